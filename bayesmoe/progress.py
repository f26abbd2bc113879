"""Progress of long work on standard error: a bar on a terminal and in a notebook, plain lines elsewhere."""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_LINES_PER_STAGE = 4


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far a stage of long work is; with its step size and divergences where it samples."""

    stage: str
    done: int
    total: int
    step_size: float = float("nan")
    divergences: int = 0

    def of(self, whole: str) -> Progress:
        """The same, of a stage of something larger."""
        return dataclasses.replace(self, stage=f"{whole}: {self.stage}")


@contextmanager
def progress_of(progress: bool | Callable[[Progress], None]) -> Iterator[Callable[[Progress], None]]:
    """Yield what a long step calls: nothing, the caller's own function, or a display where somebody looks."""
    if callable(progress):
        yield progress
    elif progress and _is_watched():
        with sampling_progress() as show:
            yield show
    else:
        yield lambda step: None


def _is_watched() -> bool:
    from rich.console import Console

    console = Console(stderr=True)
    return console.is_terminal or console.is_jupyter


@contextmanager
def sampling_progress() -> Iterator[Callable[[Progress], None]]:
    """Yield a callable that shows :class:`Progress`."""
    from rich.console import Console

    console = Console(stderr=True)
    # Rich draws a live bar in a notebook through ipywidgets alone.
    if console.is_terminal or (console.is_jupyter and importlib.util.find_spec("ipywidgets")):
        with _bars(console) as show:
            yield show
    else:
        yield _plain(console)


@contextmanager
def _bars(console: Any) -> Iterator[Callable[[Progress], None]]:
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description:<10}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with Bars(*columns, console=console) as bars:
        tasks: dict[str, Any] = {}

        def show(progress: Progress) -> None:
            if progress.stage not in tasks:
                tasks[progress.stage] = bars.add_task(progress.stage, total=progress.total, note="")
            bars.update(tasks[progress.stage], completed=progress.done, note=_note(progress))

        yield show


def _plain(console: Any) -> Callable[[Progress], None]:
    shown: dict[str, int] = {}

    def show(progress: Progress) -> None:
        quarter = progress.done * _LINES_PER_STAGE // progress.total
        if shown.get(progress.stage) != quarter:
            shown[progress.stage] = quarter
            console.print(
                f"{progress.stage} {progress.done}/{progress.total} {_note(progress)}".rstrip(),
                highlight=False,
                markup=False,
            )

    return show


def _note(progress: Progress) -> str:
    if progress.step_size != progress.step_size:
        return ""
    return f"step size {progress.step_size:.3g}, {progress.divergences} divergences"
