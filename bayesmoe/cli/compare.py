"""``bayesmoe compare``: fits of one table side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bayesmoe.cli.echo import echo


def compare(
    fits: Annotated[
        list[Path], typer.Argument(metavar="FIT.nc FIT.nc ...", help="Fits of the same runs, or one averaged fit.")
    ],
    json_: Annotated[bool, typer.Option("--json", help="Print the versioned JSON document.")] = False,
) -> None:
    """Compare fits by PSIS-LOO and stacking; which law forecasts larger runs is `bayesmoe backtest`'s question."""
    from bayesmoe.cli.runtime import configure

    configure()
    from bayesmoe.criticism.compare import HIGH_K
    from bayesmoe.criticism.compare import compare as compare_fits
    from bayesmoe.documents.compare import CompareDocument
    from bayesmoe.inference.ensemble import components
    from bayesmoe.inference.store import load_fit

    found = {str(path): load_fit(path) for path in fits}
    if len(found) == 1:
        # One averaged fit: its laws.
        found = {f"{path}: {name}": law.fit for path, fit in found.items() for name, law in components(fit).items()}
    table = compare_fits(found)
    if json_:
        echo(CompareDocument.of(table).as_json())
        return
    width = max(len("fit"), *(len(fit) for fit in table.index))
    echo(f"{'fit':{width}}  {'law':<24} {'elpd':>10} {'se':>7} {'below best':>11} {'se':>7} {'weight':>7}  k > {HIGH_K}")
    for fit, row in zip(table.index, table.to_dict("records"), strict=True):
        echo(
            f"{fit:{width}}  {row['law']:<24} {row['elpd']:>10.1f} {row['se']:>7.1f} {row['elpd_diff']:>11.1f} {row['dse']:>7.1f} "
            f"{row['weight']:>7.2f}  {row['doubtful']}"
        )
    echo("LOO fills gaps between runs; which law forecasts larger ones is asked by `bayesmoe backtest`.")
