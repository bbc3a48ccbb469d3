"""Dash's end of the push: one open page behind Dash's own web socket.

The only place that touches Dash's outbound queue, which has no bound and no public length.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dash import ctx, set_props
from dash.exceptions import WebsocketDisconnected

from dashboard.push import LIVE_ID

# A page that is being loaded or is on its way to another one may miss a question.
_ANSWER_WITHIN_S = 10.0
_MISSES_ALLOWED = 3


class DashPage:
    """The page whose persistent callback is running now. Make it inside that callback."""

    def __init__(self) -> None:
        self._socket = ctx.websocket
        self._misses = 0

    @property
    def is_open(self) -> bool:
        return self._socket is not None and not self._socket.is_shutdown

    def queued(self) -> int:
        queue = getattr(self._socket, "_outbound_queue", None)
        return 0 if queue is None else int(queue.sync_q.qsize())

    def send(self, name: str, frame: Mapping[str, Any]) -> None:
        set_props(LIVE_ID, {name: frame})

    def show(self, component: str, properties: Mapping[str, Any]) -> None:
        """Set properties of another component of this page."""
        set_props(component, dict(properties))

    async def ask(self, component: str, name: str) -> tuple[bool, Any]:
        """Whether the page answered, and the property's value."""
        try:
            value = await self._socket.get_prop(component, name, timeout=_ANSWER_WITHIN_S)
        except WebsocketDisconnected:
            return False, None
        except TimeoutError:
            self._misses += 1
            return self._misses < _MISSES_ALLOWED, None
        self._misses = 0
        return True, value
