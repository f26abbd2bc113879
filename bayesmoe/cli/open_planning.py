"""What every command that plans reads first: a scenario, a fit, and the fit's gate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import xarray as xr

    from bayesmoe.inference.gate import Gate
    from bayesmoe.planning.scenario import Scenario


class Planning(NamedTuple):
    """A fit that may be planned on, with its gate, and the scenario."""

    fit: xr.DataTree
    gate: Gate
    scenario: Scenario


def open_planning(fit: Path, scenario: Path, *, group: str | None, despite_fail: bool) -> Planning:
    """Read a scenario and a fit.

    Parameters
    ----------
    fit, scenario : Path
        Files.
    group : str, optional
        Group of runs, in place of the scenario's.
    despite_fail : bool
        Whether a fit that failed its gate will do.

    Raises
    ------
    InputError
        A file cannot be read, or the fit failed its gate.
    """
    from bayesmoe.cli.echo import note
    from bayesmoe.planning.reading import read_scenario
    from bayesmoe.planning.scenario import in_group

    # A mistake in the scenario is reported before JAX is loaded.
    chosen = in_group(read_scenario(scenario, on_note=note), group)
    from bayesmoe.cli.runtime import configure

    configure()
    from bayesmoe.inference.store import FitInfo, load_fit

    posterior = load_fit(fit)
    gate = FitInfo.read(posterior).required_gate(fit)
    gate.refuse_failure(allow_failed=despite_fail, file=fit)
    return Planning(posterior, gate, chosen)
