"""One server process in a temporary directory, which never outlives the tests."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypedDict

# A Unix socket's path must fit in sockaddr_un (104 bytes on macOS, 108 on Linux). What a server
# adds to the directory of its own is at most this long ("/data/.s.PGSQL.5432.lock").
_LONGEST_PARENT = 104 - len("/rediscache-xxxxxxxx/data/.s.PGSQL.5432.lock")

# Reads its standard input until the test process is gone (its end of the pipe is closed by the
# kernel then), and only after that ends the server and removes its directory. A clean stop of
# the server ends this watcher first, so it never signals a process id that is no longer ours.
_WATCHER = 'cat >/dev/null; kill -s "$1" "$2" 2>/dev/null; sleep 1; rm -rf "$3"'

_POLL_SECONDS = 0.01


class ServerNotReadyError(RuntimeError):
    """A server that ended, or did not answer in time, after it was started."""


def temporary_directory() -> Path:
    """Make a directory that any user may pass through and whose sockets have short names.

    The parent is the system's temporary directory, unless that is too deep for the name of a
    Unix socket or closed to other users (a server that refuses to run as root runs as another
    user); `/tmp` then.
    """
    parent = Path(tempfile.gettempdir()).resolve()
    if len(str(parent)) > _LONGEST_PARENT or not passable(parent):
        parent = Path("/tmp")  # noqa: S108 - mkdtemp below makes a private name in it
    directory = Path(tempfile.mkdtemp(prefix="rediscache-", dir=parent))
    directory.chmod(0o711)
    return directory


def passable(path: Path) -> bool:
    """Tell whether every user may pass through a directory and all its parents."""
    return all(step.stat().st_mode & 0o001 for step in (path, *path.parents))


class Identity(TypedDict, total=False):
    """The arguments of `subprocess.Popen` that decide who runs a program."""

    user: int
    group: int
    extra_groups: list[int]


def as_user(name: str | None) -> Identity:
    """What makes `subprocess` run a program as another user; None changes nothing."""
    if name is None:
        return {}
    entry = pwd.getpwnam(name)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


class ServerProcess:
    """A child process that serves, started and stopped any number of times.

    Args:
        command: The program and its arguments; it must stay in the foreground.
        directory: Where it keeps its files; removed by `close`.
        ready: Called until it returns true: the server answers.
        user: The system user to run as, None for the one that runs the tests.
        stop_signal: What asks this server to stop quickly.
    """

    def __init__(
        self,
        command: Sequence[str],
        directory: Path,
        ready: Callable[[], bool],
        *,
        user: str | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.command = list(command)
        self.directory = directory
        self.log = directory / "server.log"
        self._ready = ready
        self._user = user
        self._stop_signal = stop_signal
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        if self._process is None:
            raise ServerNotReadyError(f"{self.command[0]} is not running: call start() first")
        return self._process.pid

    def start(self, timeout: float = 30.0) -> None:
        """Start the server and wait until it answers.

        Args:
            timeout: The longest wait, in seconds.

        Raises:
            ServerNotReadyError: If it ended or did not answer; the message holds its log.
        """
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.directory,
                **as_user(self._user),
                start_new_session=True,  # an interrupt at the terminal is for the tests alone
            )
        self._watch()
        deadline = time.monotonic() + timeout
        while not self._ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                problem = "ended" if self._process.poll() is not None else "does not answer"
                self.kill()
                raise ServerNotReadyError(f"{self.command[0]} {problem}:\n{self.read_log()}")
            time.sleep(_POLL_SECONDS)

    def stop(self, timeout: float = 10.0) -> None:
        """Ask the server to stop and wait for it; kill it if it takes longer than `timeout`."""
        self._end(self._stop_signal, timeout)

    def kill(self) -> None:
        """End the server at once, as a crash would."""
        self._end(signal.SIGKILL, timeout=10.0)

    def pause(self) -> None:
        """Freeze the server: it keeps its connections and answers nothing."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let a frozen server go on."""
        os.kill(self.pid, signal.SIGCONT)

    def close(self) -> None:
        """Stop the server and remove its directory."""
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def read_log(self) -> str:
        """What the server printed."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def _watch(self) -> None:
        name = self._stop_signal.name.removeprefix("SIG")
        self._watcher = subprocess.Popen(
            ["/bin/sh", "-c", _WATCHER, "sh", name, str(self.pid), str(self.directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _end(self, signal_: signal.Signals, timeout: float) -> None:
        process, self._process = self._process, None
        self._dismiss_watcher()
        if process is None:
            return
        for step in (signal_, signal.SIGCONT):  # a frozen process acts on a signal once it goes on
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(step)
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _dismiss_watcher(self) -> None:
        watcher, self._watcher = self._watcher, None
        if watcher is None:
            return
        # Its whole group: the `cat` it waits for too, or that one would act on the closed pipe.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(watcher.pid, signal.SIGKILL)
        watcher.wait()
        if watcher.stdin is not None:
            watcher.stdin.close()
