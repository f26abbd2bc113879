"""Progress of long work on standard error: a bar on a terminal and in a notebook, plain lines elsewhere."""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_LINES_PER_STAGE, _STAGE = 4, 24


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
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=16),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    # What is done leaves the screen, so that nothing is left that looks stuck.
    with Bars(*columns, console=console, transient=True) as bars:
        tasks: dict[str, Any] = {}
        current: dict[str, Any] = {}

        def show(progress: Progress) -> None:
            whole = progress.stage.rpartition(": ")[0]
            if progress.stage not in tasks:
                if whole in current:
                    bars.update(current[whole], visible=False)
                tasks[progress.stage] = bars.add_task(_cut(progress.stage), total=progress.total, note="")
            current[whole] = tasks[progress.stage]
            bars.update(tasks[progress.stage], completed=progress.done, note=_note(progress), visible=True)

        yield show


def _cut(stage: str) -> str:
    return stage if len(stage) <= _STAGE else f"{stage[: _STAGE - 1]}\u2026"


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
    return f"step {progress.step_size:.2g}, {progress.divergences} div."
