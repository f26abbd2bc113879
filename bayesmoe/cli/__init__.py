"""The command line: one file per command, each a few lines around one public function."""

from __future__ import annotations

import sys

import typer

from bayesmoe.cli import (
    backtest,
    calibrate,
    calibrate_serving,
    check,
    compare,
    cost,
    datasets,
    demo,
    figures,
    fit,
    laws,
    next_run,
    plan,
    predict,
    report,
    runs,
    sensitivity,
)
from bayesmoe.errors import InputError

app = typer.Typer(
    name="bayesmoe",
    help="Bayesian scaling laws for Mixture-of-Experts models: from a table of runs to a risk-aware plan.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command()(demo.demo)
app.add_typer(datasets.app, name="datasets")
app.add_typer(laws.app, name="laws")
app.add_typer(runs.app, name="runs")
app.command()(fit.fit)
app.command()(check.check)
app.command()(compare.compare)
app.command()(backtest.backtest)
app.command()(calibrate.calibrate)
app.command()(predict.predict)
app.command()(cost.cost)
app.command()(calibrate_serving.calibrate_serving)
app.command()(plan.plan)
app.command("next-run")(next_run.next_run)
app.command()(sensitivity.sensitivity)
app.command()(report.report)
app.command()(figures.figures)


INTERRUPTED = 130
"""Exit code that typer gives an interrupt."""


def main() -> None:
    """Run a command; bad input ends with one sentence and exit code 2, an interrupt with 130."""
    try:
        app()
    except InputError as error:
        print(f"bayesmoe: {error}", file=sys.stderr)
        sys.exit(2)
    except SystemExit as end:
        if end.code == INTERRUPTED:
            print("bayesmoe: stopped; nothing was written.", file=sys.stderr)
        raise
