"""Progress of long work: a bar on a terminal, plain lines elsewhere; always on standard error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_LINES_PER_STAGE = 4


@contextmanager
def sampling_progress() -> Iterator[Callable[[Any], None]]:
    """Yield a callable that shows :class:`bayesmoe.sampling.chains.Progress`."""
    from rich.console import Console

    console = Console(stderr=True)
    if console.is_terminal:
        with _bars(console) as show:
            yield show
    else:
        yield _plain(console)


@contextmanager
def _bars(console: Any) -> Iterator[Callable[[Any], None]]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description:<10}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with Progress(*columns, console=console) as bars:
        tasks: dict[str, Any] = {}

        def show(progress: Any) -> None:
            if progress.stage not in tasks:
                tasks[progress.stage] = bars.add_task(progress.stage, total=progress.total, note="")
            bars.update(tasks[progress.stage], completed=progress.done, note=_note(progress))

        yield show


def _plain(console: Any) -> Callable[[Any], None]:
    shown: dict[str, int] = {}

    def show(progress: Any) -> None:
        quarter = progress.done * _LINES_PER_STAGE // progress.total
        if shown.get(progress.stage) != quarter:
            shown[progress.stage] = quarter
            console.print(
                f"{progress.stage} {progress.done}/{progress.total} {_note(progress)}".rstrip(),
                highlight=False,
                markup=False,
            )

    return show


def _note(progress: Any) -> str:
    if progress.step_size != progress.step_size:
        return ""
    return f"step size {progress.step_size:.3g}, {progress.divergences} divergences"
