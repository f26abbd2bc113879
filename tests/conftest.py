"""Shared fixtures: JAX in double precision, checked array types, the shared data when it is there, and one small fit for all tests."""

from __future__ import annotations

import dataclasses
import itertools
import math
import os
import sys
from collections import Counter
from pathlib import Path
from typing import NamedTuple

# Before NumPy is imported. Several workers have more threads than the machine has cores, and those of BLAS wait for each other by spinning: a
# regression on some hundred draws then takes a hundred times as long.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import jax
import matplotlib as mpl
import pooch
import pytest
from jaxtyping import install_import_hook
from seeds import seeded

from bayesmoe.cli import main
from bayesmoe.resources import resource_folder

# Before these rooms are imported: every call into laws, costs and the surface of a plan is held to its annotations.
install_import_hook(
    ["bayesmoe.laws", "bayesmoe.costs", "bayesmoe.planning.search", "bayesmoe.planning.surface"], "typechecker.typechecked"
)

# Workers of pytest-xdist set it, and output would be folded there.
os.environ.pop("COLUMNS", None)

mpl.use("Agg")
jax.config.update("jax_enable_x64", True)
jax.config.update("jax_compilation_cache_dir", str(pooch.os_cache("bayesmoe") / "jax"))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)

REPOSITORY = Path(__file__).parents[1]

MANY_MAPPINGS = 30_000
"""Memory mappings of a process beyond which its compiled programs are dropped: each holds many, and a process that reaches Linux's
limit of 65,530 dies within the compiler."""

TESTS_BETWEEN = 20
"""Tests after which they are counted again: to read them all takes as long as a quick test."""

_ended = itertools.count(1)


def pytest_runtest_teardown() -> None:
    """Drop compiled programs before there are too many; the cache on disk still has them."""
    mappings = Path("/proc/self/maps")
    due = next(_ended) % TESTS_BETWEEN == 0
    if due and mappings.exists() and mappings.read_bytes().count(b"\n") > MANY_MAPPINGS:
        jax.clear_caches()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave the parameters of a question beyond its first ``few`` to the slow suite, and those beyond ``slow`` to the sweeps."""
    asked: Counter[str] = Counter()
    for item in items:
        if few := item.get_closest_marker("few"):
            question = item.nodeid.partition("[")[0]
            asked[question] += 1
            if asked[question] > few.args[0]:
                item.add_marker(pytest.mark.slow)
            if asked[question] > few.kwargs.get("slow", math.inf):
                item.add_marker(pytest.mark.sweep)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with ``raw/`` and ``runs/``; tests that need the upstream files skip where it is absent."""
    mirror = os.environ.get("BAYESMOE_DATA_DIR")
    folder = Path(mirror).parent if mirror else REPOSITORY.parent / "shared" / "data"
    if not (folder / "raw").is_dir():
        pytest.skip("the upstream files are not here (set BAYESMOE_DATA_DIR)")
    return folder


@pytest.fixture
def mirror(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The raw files, found by registered data sets."""
    monkeypatch.setenv("BAYESMOE_DATA_DIR", str(shared_data / "raw"))
    return shared_data / "raw"


SMALL_SEEDS = range(1, 6)
"""Seeds of the small fit, of which the first that passes its gate is taken: 400 draws reach an R-hat of 1.01 with some."""


@pytest.fixture(scope="session")
def small():
    """The demo's spec with few draws, and a fit of the embedded runs that passes its gate."""
    from bayesmoe.fitting import fit_spec
    from bayesmoe.inference.spec import read_fit_spec
    from bayesmoe.inference.store import FitInfo

    spec = read_fit_spec(resource_folder("models") / "simulated-yun-grid.toml")
    for number in SMALL_SEEDS:
        sampler = dataclasses.replace(spec.sampler, warmup=800, draws=400, retries=0, seed=seeded(number))
        fit = fit_spec(dataclasses.replace(spec, sampler=sampler))
        if FitInfo.read(fit).gate.verdict == "PASS":
            return dataclasses.replace(spec, sampler=sampler), fit
    return pytest.fail(f"none of the seeds {list(SMALL_SEEDS)} passes its gate")


@pytest.fixture(scope="session")
def small_spec(small):
    """The demo's spec with few draws."""
    return small[0]


@pytest.fixture(scope="session")
def small_fit(small):
    """A fit of the embedded runs that passes its gate."""
    return small[1]


@pytest.fixture(scope="session")
def scenario():
    """The shipped scenario with the paper's five expert counts."""
    from bayesmoe.planning.reading import read_scenario

    shipped = read_scenario(resource_folder("models") / "scenarios" / "yun-2024.toml")
    return dataclasses.replace(shipped, choices=dataclasses.replace(shipped.choices, num_experts=(1, 4, 8, 16, 32)))


@pytest.fixture(scope="session")
def small_plan(small_fit, scenario):
    """A plan on the small fit."""
    from bayesmoe.planning.planner import plan

    return plan(small_fit, scenario)


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def bayesmoe(monkeypatch, capsys):
    """Run a command in this process, away from a terminal."""
    for variable in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(variable, raising=False)

    def run(*arguments: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["bayesmoe", *map(str, arguments)])
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as ended:
            code = ended.code or 0
        return Ended(code, *capsys.readouterr())

    return run


@pytest.fixture
def refused(bayesmoe, tmp_path):
    """Run a command that must be refused, and return the sentence; nothing may be written at ``--out``."""

    def run(*arguments: object, out: str = "out.nc") -> str:
        before = set(tmp_path.rglob("*"))
        ended = bayesmoe(*arguments, "--out", tmp_path / out)
        assert ended.code == 2
        assert ended.out == ""
        assert ended.err.startswith("bayesmoe: ")
        assert ended.err.count("\n") == 1
        assert ended.err.endswith((".\n", "?\n"))
        assert set(tmp_path.rglob("*")) == before
        return ended.err.removeprefix("bayesmoe: ").removesuffix("\n")

    return run
