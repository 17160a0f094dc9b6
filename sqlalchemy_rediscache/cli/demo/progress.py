"""Progress: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

LOG_SECONDS = 5.0


class Stage(Protocol):
    """One step of the demo that takes a while."""

    def update(self, done: float, note: str = "") -> None:
        """Show how far the step has come.

        Args:
            done: how much is done, in the unit of the step's total.
            note: what to say beside it.
        """


@contextmanager
def stage(console: Console, title: str, total: float) -> Iterator[Stage]:
    """Show a step from its beginning to its end.

    Args:
        console: where to; a terminal gets a moving bar, anything else gets lines.
        title: what the step does.
        total: what `Stage.update` counts up to.
    """
    if not console.is_terminal:
        lines = _LineStage(console, title)
        yield lines
        lines.finish()
        return
    columns = (
        TextColumn("{task.description:<32}"),
        BarColumn(bar_width=24),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console) as progress:
        bar = _BarStage(progress, progress.add_task(title, total=total, note=""))
        yield bar
        bar.finish(total)


class _BarStage:
    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    def update(self, done: float, note: str = "") -> None:
        self._progress.update(self._task, completed=done, note=note)

    def finish(self, total: float) -> None:
        self._progress.update(self._task, completed=total)


class _LineStage:
    def __init__(self, console: Console, title: str) -> None:
        self._console = console
        self._title = title
        self._note = ""
        self._started = self._shown = time.monotonic()
        console.print(f"{title} ...", highlight=False)

    def update(self, done: float, note: str = "") -> None:
        self._note = note
        now = time.monotonic()
        if now - self._shown >= LOG_SECONDS:
            self._shown = now
            self._console.print(f"  {note or f'{done:,.0f}'}", highlight=False)

    def finish(self) -> None:
        seconds = time.monotonic() - self._started
        note = f"{self._note}, " if self._note else ""
        self._console.print(f"  done: {note}{seconds:.1f} s", highlight=False)
