"""Whatever is read, what comes is a result or one sentence, and files are whole or not there.

``pytest tests/fuzz`` tries each kind of input a little; ``pytest tests/fuzz -m sweep`` tries 11,200 inputs. What fails once fails again under
the same base seed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fuzz.outcome import ReachedError, read_or_refused, run_or_refused
from fuzz.specs import ACCELERATOR, SCENARIO, SHAPE, SPEC, constraints, toml_files
from fuzz.tables import LATENCIES, MODELS, POINTS, RUNS, File, files, grids
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from seeds import seeded

from bayesmoe.architecture import read_shape
from bayesmoe.costs.draws import fleet_of, latency_of
from bayesmoe.costs.hardware import accelerator_named
from bayesmoe.costs.prices import price_of
from bayesmoe.costs.serving.table import read_latency_table
from bayesmoe.documents.runs_check import RunsCheckDocument
from bayesmoe.errors import InputError
from bayesmoe.planning.constraints import constraint
from bayesmoe.planning.problems import asked_problems
from bayesmoe.planning.quantities import QUANTITIES
from bayesmoe.planning.reading import read_scenario
from bayesmoe.runs import read_models, read_runs
from bayesmoe.runs.audit.inspect import inspect_runs
from bayesmoe.runs.audit.text import inspection_text

Consumer = Callable[[Path, Any, int], bool]


@pytest.fixture(autouse=True)
def nothing_is_sampled(monkeypatch):
    """Commands go as far as they read; sampling reads nothing more."""

    def reached(*_: Any, **__: Any) -> None:
        raise ReachedError

    monkeypatch.setattr("bayesmoe.inference.fit_law.LogDensity", reached)
    monkeypatch.setattr("bayesmoe.inference.fit_law.degrees_of_centering", lambda structure, data: {})
    monkeypatch.setattr("bayesmoe.forecasting.fit_average.forward_forecasts", reached)
    monkeypatch.setattr("bayesmoe.costs.serving.fit_calibration.calibrate_serving", reached)


# Consumers: each takes a folder of its own, the input and a number that picks among its flags; raises where the oracle is broken, and says
# whether the input was taken


def placed(folder: Path, file: File) -> Path:
    """The path of a file, written into a folder."""
    (folder / file.name).write_bytes(file.content)
    return folder / file.name


def runs_as_they_are_read(folder: Path, file: File, how: int) -> bool:
    """``read_runs``, with some of its arguments."""
    path = placed(folder, file)
    select = (None, "n_dense > 1e8", "loss < 3 and group == 'hash'", "group in ['hash'] or tokens.notna()")[how % 4]
    return read_or_refused(lambda: read_runs(path, select=select, group=(None, "group")[how % 2]), folder) is None


def runs_as_they_are_inspected(folder: Path, file: File, how: int) -> bool:
    """``inspect_runs``, its text and its document."""
    path = placed(folder, file)

    def inspected() -> None:
        found = inspect_runs(path, best=how % 2 == 1)
        assert inspection_text(found)
        RunsCheckDocument.of(found).as_json()

    return read_or_refused(inspected, folder) is None


def runs_as_they_are_checked(folder: Path, file: File, how: int) -> bool:
    """``bayesmoe runs check``."""
    path, clean, spec = placed(folder, file), folder / "out" / "clean.csv", folder / "out" / "mine.toml"
    flags = (
        [],
        ["--json"],
        ["--clean", clean],
        ["--clean", clean, "--spec", spec],
        ["--spec", spec],
        ["--map", "loss=val_loss"],
    )
    return run_or_refused("runs", "check", path, *flags[how % len(flags)], folder=folder, made=(clean, spec)).code != 2


def runs_as_they_are_fitted(folder: Path, file: File, how: int) -> bool:
    """``bayesmoe fit`` on a table, up to sampling."""
    path = placed(folder, file)
    flags = (
        [],
        ["--law", "clark"],
        ["--group-by", "group"],
        ["--law", "average"],
        ["--map", "loss=val_loss", "--size", "n_total"],
    )
    return run_or_refused("fit", path, *flags[how % len(flags)], "--out", folder / "out" / "fit.nc", folder=folder).code != 2


def models_are_read(folder: Path, file: File, how: int) -> bool:
    """Models to predict."""
    path = placed(folder, file)
    return read_or_refused(lambda: read_models(path), folder) is None


def latencies_are_read(folder: Path, file: File, how: int) -> bool:
    """A latency table."""
    path = placed(folder, file)
    return read_or_refused(lambda: read_latency_table(path), folder) is None


def points_are_read(folder: Path, file: File, how: int) -> bool:
    """Measured serving points, by ``bayesmoe calibrate-serving`` up to sampling."""
    return run_or_refused("calibrate-serving", placed(folder, file), "--out", folder / "points.nc", folder=folder).code != 2


def spec_is_fitted(folder: Path, content: bytes, how: int) -> bool:
    """``bayesmoe fit`` on a model spec, up to sampling."""
    placed(folder, File("runs.csv", RUNS.encode()))
    flags = ([], [], ["--law", "clark"], ["--seed", 3])
    path = placed(folder, File("model.toml", content))
    return run_or_refused("fit", path, *flags[how % len(flags)], "--out", folder / "fit.nc", folder=folder).code != 2


def scenario_is_read(folder: Path, content: bytes, how: int) -> bool:
    """A scenario, and all that a plan reads of it."""
    path = placed(folder, File("scenario.toml", content))

    def read() -> None:
        found = read_scenario(path)
        asked_problems(found)
        for text in found.limits.constraints:
            constraint(text, tuple(QUANTITIES))
        latency_of(found.serving)
        fleet_of(found.serving)
        price_of(found.training)
        assert found.candidates

    return read_or_refused(read, folder) is None


def scenario_is_priced(folder: Path, content: bytes, how: int) -> bool:
    """``bayesmoe cost`` of a public model under a scenario."""
    path = placed(folder, File("scenario.toml", content))
    return (
        run_or_refused("cost", "mixtral-8x7b", path, "--draws", 8, *(["--json"] if how % 2 else []), folder=folder).code != 2
    )


def shape_is_counted(folder: Path, content: bytes, how: int) -> bool:
    """An architecture and its counts."""
    path = placed(folder, File("shape.toml", content))

    def counted() -> None:
        found = read_shape(path)
        assert found.n_active <= found.n_multiplied + found.n_total
        assert found.n_total + found.n_embedding > 0
        assert found.train_flop_per_token(4096.0) > 0

    return read_or_refused(counted, folder) is None


def accelerator_is_read(folder: Path, content: bytes, how: int) -> bool:
    """An accelerator."""
    path = placed(folder, File("chip.toml", content))
    return read_or_refused(lambda: accelerator_named(str(path)), folder) is None


def constraint_is_read(folder: Path, text: str, how: int) -> bool:
    """A constraint of a scenario, and the same text as a condition on runs."""
    taken = read_or_refused(lambda: constraint(text, tuple(QUANTITIES)), folder) is None
    path = placed(folder, File("runs.csv", RUNS.encode()))
    return read_or_refused(lambda: read_runs(path, select=text), folder) is None or taken


INPUTS: dict[Consumer, tuple[st.SearchStrategy[Any], int, int]] = {
    runs_as_they_are_read: (grids.flatmap(files), 20, 1400),
    runs_as_they_are_inspected: (grids.flatmap(files), 20, 1200),
    runs_as_they_are_checked: (grids.flatmap(files), 20, 1400),
    runs_as_they_are_fitted: (grids.flatmap(files), 15, 1000),
    models_are_read: (files(MODELS), 10, 600),
    latencies_are_read: (files(LATENCIES), 10, 600),
    points_are_read: (files(POINTS), 10, 600),
    spec_is_fitted: (toml_files(SPEC), 20, 1200),
    scenario_is_read: (toml_files(SCENARIO), 20, 1000),
    scenario_is_priced: (toml_files(SCENARIO), 5, 200),
    shape_is_counted: (toml_files(SHAPE), 15, 600),
    accelerator_is_read: (toml_files(ACCELERATOR), 10, 400),
    constraint_is_read: (constraints, 25, 1000),
}
"""Consumers, with the inputs that each is tried on, and how many by default and in a sweep."""


def tried(consumer: Consumer, inputs: st.SearchStrategy[Any], count: int) -> list[bool]:
    """Try a consumer on so many inputs; which of them it took."""
    taken = []

    @seed(seeded(1))
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(inputs, st.integers(0, 59))
    def each(given_input: Any, how: int) -> bool:
        with tempfile.TemporaryDirectory() as folder:
            taken.append(consumer(Path(folder), given_input, how))

    each()
    return taken


def named(consumer: Callable[..., None]) -> str:
    """Name of a consumer, for pytest."""
    return consumer.__name__


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("consumer", INPUTS, ids=named)
@pytest.mark.few(7)
def test_an_input_is_read_or_refused_in_one_sentence(consumer) -> None:
    inputs, few, _ = INPUTS[consumer]
    tried(consumer, inputs, few)


@pytest.mark.slow
@pytest.mark.sweep
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("consumer", INPUTS, ids=named)
def test_many_inputs_are_read_or_refused_in_one_sentence(consumer) -> None:
    inputs, _, many = INPUTS[consumer]
    taken = tried(consumer, inputs, many)
    # Neither does all pass nor is all of it nonsense that the first check refuses.
    assert len(taken) >= many
    assert 0.05 < sum(taken) / len(taken) < 0.95


def test_a_sweep_tries_thousands() -> None:
    assert sum(many for *_, many in INPUTS.values()) == 11_200


# Broken twins: the oracle sees what it is there to see


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder of its own, as a consumer is given one."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def test_a_planted_traceback_is_found(folder, monkeypatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise KeyError("planted")

    monkeypatch.setattr("bayesmoe.runs.examine.renamed", broken)
    with pytest.raises(KeyError, match="planted"):
        runs_as_they_are_read(folder, File("runs.csv", RUNS.encode()), 0)


def test_a_planted_traceback_of_a_command_is_found(folder, monkeypatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise KeyError("planted")

    monkeypatch.setattr("bayesmoe.runs.examine.renamed", broken)
    with pytest.raises(KeyError, match="planted"):
        runs_as_they_are_checked(folder, File("runs.csv", RUNS.encode()), 0)


def test_a_planted_half_file_is_found(folder, monkeypatch) -> None:
    def half(found: Any, path: Path) -> None:
        path.parent.mkdir()
        path.write_text("half")
        raise InputError("could not be written", file=path, hint="free disk space")

    monkeypatch.setattr("bayesmoe.runs.audit.inspect.write_tidy", half)
    with pytest.raises(AssertionError):
        runs_as_they_are_checked(folder, File("runs.csv", RUNS.encode()), 2)


def test_a_planted_temporary_that_stays_is_found(folder, monkeypatch) -> None:
    def littering(path: Path, text: str) -> None:
        path.with_suffix(".tmp").write_text(text)
        raise InputError("could not be written", file=path, hint="free disk space")

    (folder / "out").mkdir()
    monkeypatch.setattr("bayesmoe.files.write_text", littering)
    with pytest.raises(AssertionError):
        runs_as_they_are_checked(folder, File("runs.csv", RUNS.encode()), 4)


@pytest.mark.parametrize("said", ["no end", "two\nlines.", "\x1b[31mred and long.", "."])
def test_what_is_no_sentence_is_found(folder, monkeypatch, said) -> None:
    class AnythingError(InputError):
        def __str__(self) -> str:
            return said

    def refusing(*_: Any, **__: Any) -> None:
        raise AnythingError("x")

    monkeypatch.setattr("bayesmoe.runs.examine.renamed", refusing)
    with pytest.raises(AssertionError):
        runs_as_they_are_read(folder, File("runs.csv", RUNS.encode()), 0)


def test_an_input_that_is_overwritten_is_found(folder, monkeypatch) -> None:
    def writing(path: Path, *_: Any, **__: Any) -> None:
        path.write_text("gone")

    monkeypatch.setattr(f"{__name__}.read_runs", writing)
    with pytest.raises(AssertionError):
        runs_as_they_are_read(folder, File("runs.csv", RUNS.encode()), 0)
