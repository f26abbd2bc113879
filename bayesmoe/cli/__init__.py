"""The command line: one file per command, each a few lines around one public function."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Annotated, Any, NoReturn

import typer

import bayesmoe
from bayesmoe.cli import (
    backtest,
    calibrate,
    calibrate_discrepancy,
    calibrate_serving,
    calibrate_training,
    check,
    compare,
    cost,
    datasets,
    demo,
    explore,
    figures,
    fit,
    init,
    laws,
    next_run,
    plan,
    predict,
    report,
    runs,
    sensitivity,
    speedup,
)
from bayesmoe.errors import InputError, printable
from bayesmoe.files import begin, stopped
from bayesmoe.interrupts import INTERRUPTED, ends_soon

app = typer.Typer(
    name="bayesmoe",
    help="Bayesian scaling laws for Mixture-of-Experts models: from a table of runs to a risk-aware plan.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

EXAMPLES: dict[Callable[..., None], str] = {
    init.init: "bayesmoe init my-sweep",
    demo.demo: "bayesmoe demo --out demo",
    fit.fit: "bayesmoe fit runs.csv --law average --group-by recipe --out fit.nc",
    check.check: "bayesmoe check fit.nc",
    compare.compare: "bayesmoe compare yun.nc chinchilla.nc",
    backtest.backtest: "bayesmoe backtest runs.csv --hold-out 'n_dense > 1e9'",
    calibrate.calibrate: "bayesmoe calibrate fit.toml --simulations 100 --out ranks.nc",
    calibrate_discrepancy.calibrate_discrepancy: "bayesmoe calibrate-discrepancy ours=sweep-2025.csv --out prior.toml",
    predict.predict: "bayesmoe predict fit.nc models.csv",
    cost.cost: "bayesmoe cost architecture.toml scenario.toml",
    calibrate_serving.calibrate_serving: "bayesmoe calibrate-serving points.csv --out calibration.nc",
    calibrate_training.calibrate_training: "bayesmoe calibrate-training points.csv --out calibration.nc",
    plan.plan: "bayesmoe plan fit.nc scenario.toml --out plan.nc",
    next_run.next_run: "bayesmoe next-run fit.nc scenario.toml --batch 4",
    speedup.speedup: "bayesmoe speedup fit.nc --of new-mix --over baseline --at 1e22",
    sensitivity.sensitivity: "bayesmoe sensitivity fit.nc scenario.toml",
    report.report: "bayesmoe report fit.nc plan.nc --out report.html",
    explore.explore: "bayesmoe explore fit.nc scenario.toml",
    figures.figures: "bayesmoe figures --out figures",
}
"""Commands in the order of their help, each with an example."""

for _call, _example in EXAMPLES.items():
    app.command(_call.__name__.replace("_", "-"), epilog=f"Example: {_example}")(_call)
app.add_typer(datasets.app, name="datasets")
app.add_typer(laws.app, name="laws")
app.add_typer(runs.app, name="runs")


def _version(*, asked: bool) -> None:
    if asked:
        typer.echo(f"bayesmoe {bayesmoe.__version__}")
        raise typer.Exit


@app.callback()
def _bayesmoe(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", is_eager=True, callback=lambda asked: _version(asked=asked)),
    ] = False,
) -> None:
    """Flags before any command."""


# Some versions of typer carry a click of their own, so that the class is found through typer.
_UsageError: Any = typer.BadParameter.__mro__[1]


@functools.cache
def _command() -> Any:
    """The commands and their flags, for which typer reads every signature."""
    return typer.main.get_command(app)


def main() -> None:
    """Run a command; bad input ends with one sentence and exit code 2, an interrupt with 130."""
    begin()
    try:
        with ends_soon(lambda: f"bayesmoe: {printable(stopped())}"):
            code = _command()(prog_name="bayesmoe", standalone_mode=False)
    except InputError as error:
        _end(str(error))
    except _UsageError as error:
        if error.ctx is not None and type(error).__name__ == "NoArgsIsHelpError":
            # Its help was printed where it was raised.
            sys.exit(2)
        _end(str(_as_input_error(error)))
    except (typer.Abort, KeyboardInterrupt):
        _end(printable(stopped()), INTERRUPTED)
    else:
        if code == INTERRUPTED:
            _end(printable(stopped()), INTERRUPTED)
        sys.exit(code or 0)


def _end(said: str, code: int = 2) -> NoReturn:
    print(f"bayesmoe: {said}", file=sys.stderr)
    sys.exit(code)


def _as_input_error(error: Any) -> InputError:
    """A slip on the command line in the words of every other complaint."""
    said = error.format_message().replace("Input should", "should").replace(". Did you", ", did you").rstrip(".")
    command = error.ctx.command_path if error.ctx is not None else "bayesmoe"
    return InputError(f"{said[:1].lower()}{said[1:]}", hint=None if said.endswith("?") else f"see `{command} --help`")
