"""A proxy before a Redis server that counts round trips by what passes, not by what is claimed."""

from __future__ import annotations

import selectors
import socket
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

_CHUNK = 65_536


class CountingProxy:
    """Listens on a Unix socket and hands everything on to another one.

    A round trip is bytes from the client after bytes from the server (or after nothing), however
    many commands and packets they are.

    Args:
        path: where it listens.
        server: the server's socket.
    """

    def __init__(self, path: Path, server: Path) -> None:
        self.round_trips = 0
        self._server = server
        self._selector = selectors.DefaultSelector()
        self._wake, self._woken = socket.socketpair()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)
        # Each end's other end; of a client's end also whether its request is under way.
        self._other: dict[socket.socket, socket.socket] = {}
        self._asking: dict[socket.socket, bool] = {}
        self._thread = threading.Thread(target=self._run, name="counting-proxy")

    def __enter__(self) -> Self:
        """Start."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop and close all connections."""
        self._wake.send(b"x")
        self._thread.join()
        for end in (*self._other, self._listener, self._wake, self._woken):
            end.close()
        self._selector.close()

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._woken:
                    return
                if key.fileobj is self._listener:
                    self._accept()
                elif key.fileobj in self._other:
                    assert isinstance(key.fileobj, socket.socket)
                    self._pass_on(key.fileobj)

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        server.connect(str(self._server))
        self._other |= {client: server, server: client}
        self._asking[client] = False
        self._selector.register(client, selectors.EVENT_READ)
        self._selector.register(server, selectors.EVENT_READ)

    def _pass_on(self, source: socket.socket) -> None:
        data = source.recv(_CHUNK)
        target = self._other[source]
        if not data:
            for end in (source, target):
                self._selector.unregister(end)
                self._asking.pop(end, None)
                del self._other[end]
                end.close()
            return
        if source not in self._asking:
            self._asking[target] = False
        elif not self._asking[source]:
            self._asking[source] = True
            self.round_trips += 1
        target.sendall(data)
