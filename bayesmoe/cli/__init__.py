"""The command line: one file per command, each a few lines around one public function."""

from __future__ import annotations

import functools
import sys
from typing import Any, NoReturn

import typer

from bayesmoe.cli import (
    backtest,
    calibrate,
    calibrate_discrepancy,
    calibrate_serving,
    check,
    compare,
    cost,
    datasets,
    demo,
    explore,
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
app.command()(calibrate_discrepancy.calibrate_discrepancy)
app.command()(predict.predict)
app.command()(cost.cost)
app.command()(calibrate_serving.calibrate_serving)
app.command()(plan.plan)
app.command("next-run")(next_run.next_run)
app.command()(sensitivity.sensitivity)
app.command()(report.report)
app.command()(explore.explore)
app.command()(figures.figures)


INTERRUPTED = 130
"""Exit code that typer gives an interrupt."""


# Some versions of typer carry a click of their own, so that the class is found through typer.
_UsageError: Any = typer.BadParameter.__mro__[1]


@functools.cache
def _command() -> Any:
    """The commands and their flags, for which typer reads every signature."""
    return typer.main.get_command(app)


def main() -> None:
    """Run a command; bad input ends with one sentence and exit code 2, an interrupt with 130."""
    try:
        code = _command()(prog_name="bayesmoe", standalone_mode=False)
    except InputError as error:
        _end(str(error))
    except _UsageError as error:
        if error.ctx is not None and type(error).__name__ == "NoArgsIsHelpError":
            typer.echo(error.ctx.get_help())
            sys.exit(2)
        _end(str(_as_input_error(error)))
    except typer.Abort:
        _end("stopped; nothing was written.", INTERRUPTED)
    else:
        if code == INTERRUPTED:
            _end("stopped; nothing was written.", INTERRUPTED)
        sys.exit(code or 0)


def _end(said: str, code: int = 2) -> NoReturn:
    print(f"bayesmoe: {said}", file=sys.stderr)
    sys.exit(code)


def _as_input_error(error: Any) -> InputError:
    """A slip on the command line in the words of every other complaint."""
    said = error.format_message().replace("Input should", "should").replace(". Did you", ", did you").rstrip(".")
    command = error.ctx.command_path if error.ctx is not None else "bayesmoe"
    return InputError(f"{said[:1].lower()}{said[1:]}", hint=None if said.endswith("?") else f"see `{command} --help`")
