"""What leaves the house: the section `notices` of config.yaml, and one thing to be told to one receiver."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from msgspec import Struct
from pydantic import Field, field_validator, model_validator

from city.alarms import Action, Alarm, AlarmState, Transition
from city.checked import Section
from city.i18n import Language

Positive = Annotated[float, Field(gt=0)]
NoticePriority = Literal["critical", "high", "medium", "low"]
ReceiverName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
# CAP 1.2, 3.2.1: no spaces, commas or characters that XML reserves; a comma and a space part `references`.
_CAP_SENDER = r"^[^\s,<>&\"']{1,256}$"
_MAIL_ADDRESS = re.compile(r"[^\s@<>,;:\"()\\]+@[^\s@<>,;:\"()\\]+")
_SECRET_MIN_BYTES = 24  # Standard Webhooks: 24 to 64 bytes
_BASE64_SECRET = "whsec_"  # noqa: S105 - the prefix by which Standard Webhooks knows a secret in base64


class Cap(Section):
    """How alarms look as CAP 1.2."""

    status: Literal["Actual", "Exercise", "System", "Test", "Draft"] = "Actual"
    scope: Literal["Public", "Restricted"] = "Restricted"
    restriction: str = "city services"  # who may read it, where the scope is Restricted
    languages: Annotated[tuple[Language, ...], Field(min_length=1)] = ("uz", "ru", "en")
    expires_after_s: Annotated[float, Field(ge=600)] = 86400


class Mail(Section):
    """The server that takes our e-mail."""

    host: str | None = None
    port: Annotated[int, Field(ge=1, le=65535)] = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: str | None = None
    password: str | None = Field(default=None, repr=False)
    sender: str | None = None

    @field_validator("sender")
    @classmethod
    def _an_address(cls, sender: str | None) -> str | None:
        return None if sender is None else check_address(sender)

    @model_validator(mode="after")
    def _no_password_in_the_clear(self) -> Mail:
        if self.password is not None and self.security == "none":
            raise ValueError("a password is sent over starttls or tls only")
        return self


class Receiver(Section):
    """Somebody who is told: by a webhook, or by e-mail."""

    webhook: str | None = None  # where to POST
    secret: str | None = Field(default=None, repr=False)  # signs what the webhook gets
    mail: tuple[str, ...] = ()  # addresses
    language: Language | None = None  # of e-mails; none: the city's
    # What it is told as it happens; escalation tells beside it. No priorities: only what escalates.
    priorities: tuple[NoticePriority, ...] = ("critical", "high")
    agencies: tuple[str, ...] = ()  # owners of alarms; none: all
    rules: tuple[str, ...] = ()  # none: all

    @field_validator("webhook")
    @classmethod
    def _an_http_address(cls, webhook: str | None) -> str | None:
        if webhook is None:
            return None
        parts = urlsplit(webhook)
        _ = parts.port  # raises ValueError for what is no port
        if parts.scheme not in ("https", "http") or not parts.hostname or parts.username is not None:
            raise ValueError("expected https://host/… or http://host/…, without a user in it")
        # It becomes the request's first line.
        if not webhook.isascii() or re.search(r"[\x00-\x20\x7f]", webhook):
            raise ValueError("an address has ASCII characters and no spaces: encode others as %XX")
        return webhook

    @field_validator("mail")
    @classmethod
    def _addresses(cls, mail: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(check_address(one) for one in mail)

    @model_validator(mode="after")
    def _one_way(self) -> Receiver:
        if (self.webhook is None) == (not self.mail):
            raise ValueError("a receiver has either a webhook or mail")
        if self.webhook is not None and (self.secret is None or len(secret_key(self.secret)) < _SECRET_MIN_BYTES):
            raise ValueError(f"a webhook needs a secret of {_SECRET_MIN_BYTES} bytes or more")
        return self


class EscalationStep(Section):
    """Who is told when nobody acknowledged within so long."""

    after_s: Positive
    tell: Annotated[tuple[ReceiverName, ...], Field(min_length=1)]
    priorities: tuple[NoticePriority, ...] = ()  # none: all
    agencies: tuple[str, ...] = ()  # none: all


class Sending(Section):
    """How the outbox is emptied."""

    at_once: Annotated[int, Field(ge=1, le=64)] = 4
    timeout_s: Annotated[float, Field(ge=1, le=300)] = 10
    retry_min_s: Positive = 2
    retry_max_s: Positive = 600

    @model_validator(mode="after")
    def _growing(self) -> Sending:
        if self.retry_min_s > self.retry_max_s:
            raise ValueError("retry_min_s must not be above retry_max_s")
        return self


class Notices(Section):
    sender: Annotated[str, Field(pattern=_CAP_SENDER)] = "centre.invalid"
    sender_names: Mapping[Language, str] = Field(default={})
    contact: str = ""
    web: str = ""
    ca_file: Path | None = None
    cap: Cap = Cap()
    mail: Mail = Mail()
    receivers: Mapping[ReceiverName, Receiver] = Field(default={})
    escalation: tuple[EscalationStep, ...] = ()
    mqtt: bool = True  # every announced alarm as a retained message on a topic of its own
    sending: Sending = Sending()

    @field_validator("web")
    @classmethod
    def _a_base(cls, web: str) -> str:
        if web and urlsplit(web).scheme not in ("https", "http"):
            raise ValueError("expected https://host or http://host")
        return web.rstrip("/")

    @model_validator(mode="after")
    def _known_receivers(self) -> Notices:
        unknown = {name for step in self.escalation for name in step.tell} - self.receivers.keys()
        if unknown:
            raise ValueError(f"escalation tells {', '.join(sorted(unknown))}, which receivers does not name")
        return self

    @model_validator(mode="after")
    def _a_server_for_mail(self) -> Notices:
        if any(one.mail for one in self.receivers.values()) and not (self.mail.host and self.mail.sender):
            raise ValueError("receivers with mail need mail.host and mail.sender")
        return self


class Notice(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that one receiver is told, as it waits in the outbox."""

    id: str  # the same whenever the same thing is told to the same receiver again
    receiver: str
    alarm: Alarm  # as it was then
    transition: Transition | None = None  # what happened; None: nobody acknowledged in time
    unacknowledged_s: float | None = None  # of an escalation: for so long
    at_ms: int


def notice_of(receiver: str, alarm: Alarm, transition: Transition) -> Notice:
    """What a receiver is told of a transition; `alarm` is as it is after it."""
    # By the transition alone: made again after a crash, when the alarm is further, it is the same one.
    name = f"{transition.alarm}:{transition.at_ms}:{transition.version}:{receiver}"
    return Notice(id=name, receiver=receiver, alarm=alarm, transition=transition, at_ms=transition.at_ms)


_HELD = frozenset({AlarmState.SHELVED, AlarmState.SUPPRESSED, AlarmState.OUT_OF_SERVICE})


def announces(transition: Transition) -> bool:
    """Whether the operator gets a new alarm by it: a rise or another announcement, or the end of a hold."""
    return transition.after is AlarmState.UNACKNOWLEDGED and transition.before is not AlarmState.UNACKNOWLEDGED


def is_told(transition: Transition) -> bool:
    """Whether others hear of it: an alarm that is announced, acknowledged or over; not what is held."""
    if transition.action is Action.CLEAR:
        return transition.before not in _HELD
    return transition.action is Action.ACKNOWLEDGE or announces(transition)


def wanted_by(receivers: Mapping[str, Receiver], transition: Transition, agency: str) -> list[str]:
    """The receivers that are told of this transition as it happens, by name; `agency` owns the alarm."""
    return sorted(
        name
        for name, one in receivers.items()
        if is_told(transition)
        and transition.priority in one.priorities
        and (not one.agencies or agency in one.agencies)
        and (not one.rules or transition.rule in one.rules)
    )


def secret_key(secret: str) -> bytes:
    """The bytes that sign a webhook: of `whsec_…` what the base64 stands for, else the text itself.

    Raises ValueError for a `whsec_` that is no base64.
    """
    if not secret.startswith(_BASE64_SECRET):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(_BASE64_SECRET), validate=True)
    except binascii.Error:
        raise ValueError("what follows whsec_ is not base64") from None


def check_address(address: str) -> str:
    """An e-mail address as it is; ValueError for a name with it, a list, or no address."""
    if len(address) > 254 or not address.isascii() or _MAIL_ADDRESS.fullmatch(address) is None:
        raise ValueError("expected one e-mail address, such as duty@city.example")
    return address
