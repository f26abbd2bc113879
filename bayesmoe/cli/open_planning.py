"""What every command that plans reads first: a scenario, a fit, and the fit's gate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import xarray as xr

    from bayesmoe.inference.gate import Gate
    from bayesmoe.planning.scenario import Scenario


class Planning(NamedTuple):
    """A fit that may be planned on, with its gate, and the scenarios: one for each budget, the next first."""

    fit: xr.DataTree
    gate: Gate
    roadmap: tuple[Scenario, ...]

    @property
    def scenario(self) -> Scenario:
        """The scenario, or that of the next budget."""
        return self.roadmap[0]


def open_planning(fit: Path, scenario: Path, *, group: str | None, despite_fail: bool, several: bool = False) -> Planning:
    """Read a scenario and a fit.

    Parameters
    ----------
    fit, scenario : Path
        Files.
    group : str, optional
        Group of runs, in place of the scenario's.
    despite_fail : bool
        Whether a fit that failed its gate will do.
    several : bool
        Whether the scenario may hold several budgets.

    Raises
    ------
    InputError
        A file cannot be read, or the fit failed its gate.
    """
    from bayesmoe.cli.echo import note
    from bayesmoe.planning.reading import read_roadmap, read_scenario
    from bayesmoe.planning.scenario import in_group

    # A mistake in the scenario is reported before JAX is loaded.
    read = read_roadmap(scenario, on_note=note) if several else (read_scenario(scenario, on_note=note),)
    chosen = tuple(in_group(one, group) for one in read)
    from bayesmoe.cli.runtime import configure

    configure()
    from bayesmoe.inference.store import FitInfo, load_fit

    posterior = load_fit(fit)
    gate = FitInfo.read(posterior).required_gate(fit)
    gate.refuse_failure(allow_failed=despite_fail, file=fit)
    return Planning(posterior, gate, chosen)
