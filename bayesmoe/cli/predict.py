"""``bayesmoe predict``: what a fit says of models that were not trained."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bayesmoe.cli.echo import echo
from bayesmoe.cli.flags import Map


def predict(
    fit: Annotated[Path, typer.Argument(metavar="FIT.nc")],
    models: Annotated[
        Path, typer.Argument(metavar="MODELS.csv", help="Models in the columns of a run table; no loss needed.")
    ],
    group: Annotated[str | None, typer.Option(help="Group of runs whose law is meant, or 'new'.")] = None,
    map_: Map = None,
    json_: Annotated[bool, typer.Option("--json", help="Print the versioned JSON document.")] = False,
) -> None:
    """Print the loss of each model with its 90% band."""
    from bayesmoe.cli.runtime import configure

    configure()
    from bayesmoe.documents.predict import PredictDocument
    from bayesmoe.errors import printable
    from bayesmoe.inference.predict import predict as predict_models
    from bayesmoe.inference.store import FitInfo, load_fit
    from bayesmoe.runs import read_models
    from bayesmoe.runs.table import column_map
    from bayesmoe.terminal import table
    from bayesmoe.units import QUANTILES, band

    posterior = load_fit(fit)
    bands = predict_models(posterior, read_models(models, columns=column_map(map_ or ())), group=group, file=models)[
        "loss"
    ].quantile(QUANTILES, "sample")
    rows = {printable(str(run)): [float(value) for value in bands.sel(run=run).values] for run in bands["run"].values}
    if json_:
        echo(PredictDocument.of(FitInfo.read(posterior).law_name, rows).as_json(), exact=True)
        return
    echo(table(("model", "loss, nats per token"), [(run, band(*values)) for run, values in rows.items()], text=2))
