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
    from bayesmoe.terminal import table as table_text

    found = {str(path): load_fit(path) for path in fits}
    if len(found) == 1:
        # One averaged fit: its laws.
        found = {f"{path}: {name}": law.fit for path, fit in found.items() for name, law in components(fit).items()}
    table = compare_fits(found)
    if json_:
        echo(CompareDocument.of(table).as_json(), exact=True)
        return
    rows = [
        (
            fit,
            row["law"],
            f"{row['elpd']:.1f} ± {row['se']:.1f}",
            f"{row['elpd_diff']:.1f} ± {row['dse']:.1f}",
            f"{row['weight']:.2f}",
            str(row["doubtful"]),
        )
        for fit, row in zip(table.index, table.to_dict("records"), strict=True)
    ]
    echo(table_text(("fit", "law", "elpd", "below best", "weight", f"k > {HIGH_K}"), rows, text=2))
    echo("LOO fills gaps between runs; which law forecasts larger ones is asked by `bayesmoe backtest`.")
