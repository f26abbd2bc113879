"""Progress of commands that plan: a bar with the time left where somebody looks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import xarray as xr

    from bayesmoe.planning.scenario import Scenario


@contextmanager
def planning_progress(
    fit: xr.DataTree, scenario: Scenario, show: Callable[[Any], None], stage: str = "planning"
) -> Iterator[None]:
    """Show how many of a plan's programs have run."""
    from bayesmoe.inference.ensemble import components
    from bayesmoe.planning.blocks import counted, programs_of_plan
    from bayesmoe.planning.problems import asked_problems
    from bayesmoe.progress import Progress

    total, done = programs_of_plan(len(components(fit)), asked_problems(scenario)), 0

    def one_more() -> None:
        nonlocal done
        done += 1
        show(Progress(stage, min(done, total), total))

    show(Progress(stage, 0, total))
    with counted(one_more):
        yield
    show(Progress(stage, total, total))
