"""A TCP link on this machine that can be cut in several ways."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Sequence


class Proxy:
    """Forwards TCP connections to a port of this machine until it is cut."""

    def __init__(self, target: int) -> None:
        self.target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._flows = threading.Event()
        self._flows.set()
        self._shut = self._deaf = False
        self._epoch = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Break every connection, and each new one at once."""
        self._shut = True
        self._epoch += 1
        self._break(self._pairs)

    def freeze(self) -> None:
        """Let nothing through; connections stay open."""
        self._flows.clear()

    def deafen(self) -> None:
        """Throw away what the near end says; the far end is heard."""
        self._deaf = True

    def heal(self) -> None:
        """Let everything through again, what waited too."""
        self._shut = self._deaf = False
        self._flows.set()

    def heal_for_new(self) -> None:
        """As after a network that forgot its connections: the far end is closed, the near end never hears of it."""
        self._epoch += 1
        for _, far in self._pairs:
            _close(far)
        self.heal()

    def close(self) -> None:
        self.cut()
        self._flows.set()
        _close(self._listener)

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if self._shut:
                _close(near)
            else:
                threading.Thread(target=self._connect, args=(near, self._epoch), daemon=True).start()

    def _connect(self, near: socket.socket, epoch: int) -> None:
        self._flows.wait()
        if epoch != self._epoch:
            _close(near)
            return
        try:
            far = socket.create_connection(("127.0.0.1", self.target), 2)
        except OSError:
            _close(near)
            return
        self._pairs.append((near, far))
        threading.Thread(target=self._pump, args=(near, far, epoch, True), daemon=True).start()
        self._pump(far, near, epoch, False)

    def _pump(self, source: socket.socket, sink: socket.socket, epoch: int, of_near: bool) -> None:
        try:
            source.settimeout(None)
            while data := source.recv(1 << 16):
                self._flows.wait()
                if epoch != self._epoch:
                    return  # swallowed: nobody is told
                if not (of_near and self._deaf):
                    sink.sendall(data)
        except OSError:
            pass
        if epoch == self._epoch:
            self._flows.wait()
        if epoch == self._epoch:
            self._break([(source, sink)])

    def _break(self, pairs: Sequence[tuple[socket.socket, socket.socket]]) -> None:
        for pair in list(pairs):
            for end in pair:
                _close(end)


def _close(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
