"""Errors of the API as RFC 9457 problem documents."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException


class Problem(Exception):
    """What the caller gets instead of an answer: status, a short title, what to do about it, and members of its own."""

    def __init__(self, status: int, title: str, detail: str, **more: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.title = title
        self.detail = detail
        self.more = more


def document(status: int, title: str, detail: str, instance: str, **more: Any) -> JSONResponse:
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail, "instance": instance, **more}
    return JSONResponse(body, status_code=status, media_type="application/problem+json")


def add_handlers(server: FastAPI) -> None:
    @server.exception_handler(Problem)
    async def problem(request: Request, error: Problem) -> JSONResponse:
        return document(error.status, error.title, error.detail, request.url.path, **error.more)

    @server.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> JSONResponse:
        return document(error.status_code, str(error.detail), str(error.detail), request.url.path)

    @server.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        wrong = [
            {"parameter": ".".join(str(part) for part in e["loc"][1:]), "detail": e["msg"]} for e in error.errors()
        ]
        detail = "; ".join(f"{w['parameter']}: {w['detail']}" for w in wrong)
        return document(422, "A parameter cannot be used", detail, request.url.path, errors=wrong)
