"""What the broker has retained, for a worker whose shared subscription does not bring it.

A shared subscription gets no retained messages (MQTT 5, 4.8.2). A camera that told its state once, before the first
worker subscribed, would stay unknown. So a worker that joins a share also subscribes as itself for a moment,
in a session that ends with its connection, and takes what bears the retain flag. It does so at each of its
starts, and when the broker has lost its session: what is known already changes and counts nothing.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import replace

import structlog
from msgspec import structs

from city.messages import Received
from ingest.session import Listener, Session, SessionRefused, SessionSettings

log = structlog.get_logger()

# Brokers send retained messages right after the subscription, in one go or by the thousand a second.
_QUIET_S = 1.0
_SHARE = "$share/"


class Retained:
    """Turned by the worker's loop beside its own session."""

    def __init__(
        self,
        settings: SessionSettings,
        connect: Callable[[SessionSettings, Listener], Session],
        listener: Listener,
    ) -> None:
        """`listener` is the worker's: it is offered the messages, without anything to acknowledge."""
        # $share/<group>/<filter>
        filters = tuple(one.split("/", 2)[2] for one in settings.topics if one.startswith(_SHARE))
        self._settings = replace(
            settings, client_id=f"{settings.client_id}-retained", topics=filters, session_expiry_s=0
        )
        self._connect = connect
        self._listener = listener
        self._wanted = bool(filters)
        self._session: Session | None = None
        self._heard_at = 0.0  # of the monotonic clock
        self._taken = 0
        self._up = self._resumed = False

    def resumed(self, connection: int) -> None:
        """The broker kept the worker's session: nothing has been missed."""
        self._resumed = True
        self._listener.resumed(connection)

    def turn(self, session: Session, *, full: bool) -> None:
        """Do what is due beside the worker's `session`; `full`: nothing can be taken now."""
        if session.connected and not self._up and self._settings.topics:
            self._wanted = self._wanted or not self._resumed
            self._resumed = False
        self._up = session.connected
        if self._wanted and self._session is None and session.connected and session.subscribed:
            # Only now: what is told from here on comes through the share.
            self._wanted, self._taken = False, 0
            self._session = self._connect(
                self._settings, Listener(self._offer, lambda _: None, self._listener.clock_ms)
            )
        if self._session is not None:
            try:
                self._go_on(self._session, full=full)
            except SessionRefused as refused:
                log.warning("retained_messages_not_taken", error=str(refused))
                self.close()

    def socket(self) -> socket.socket | None:
        """To wait on, while there is something to take."""
        return self._session.socket() if self._session is not None else None

    def close(self) -> None:
        """End the session, wherever it is."""
        session, self._session = self._session, None
        if session is not None:
            session.close(time.monotonic(), forget=True)

    def _go_on(self, session: Session, *, full: bool) -> None:
        session.connect_if_needed()
        if full or not session.subscribed:
            self._heard_at = time.monotonic()
        if not full:
            session.read()
        if session.wants_write():
            session.write()
        if time.monotonic() - self._heard_at > _QUIET_S:
            log.info("retained_messages_taken", messages=self._taken)
            self.close()

    def _offer(self, messages: list[Received]) -> None:
        # The rest comes through the share too.
        kept = [structs.replace(one, packet_id=0) for one in messages if one.retained]
        if kept:
            self._heard_at = time.monotonic()
            self._taken += len(kept)
            self._listener.offer(kept)
        if self._session is not None:
            # A worker that dies before they are stored takes them again at its next start.
            self._session.acknowledge(messages)
