"""The house: imports point down only, modules stay short, and public names are what they are meant to be."""

from __future__ import annotations

import ast
import dataclasses
import re
from pathlib import Path

import pytest

import bayesmoe

PACKAGE = Path(bayesmoe.__file__).parent
MODULES = sorted(path for path in PACKAGE.rglob("*.py"))

ANYWHERE = {
    "errors",
    "files",
    "specs",
    "units",
    "resources",
    "interrupts",
    "precision",
    "progress",
    "terminal",
    "threads",
    "__init__",
}
FLOORS = (
    ("arrays", "errors", "units", "resources", "interrupts", "precision", "progress", "terminal", "threads", "__init__"),
    ("files", "plugins", "specs"),
    ("expressions", "tables"),
    ("architecture",),
    ("runs", "costs"),
    ("laws",),
    ("hyperparameters", "sampling"),
    ("catalog", "inference"),
    ("criticism",),
    ("forecasting",),
    ("fitting",),
    ("planning",),
    ("decisions",),
    ("curves",),
    ("documents",),
    ("plots",),
    ("reporting",),
    ("explore", "demo"),
    ("cli",),
    ("__main__",),
)
"""Rooms from the ground up; a room may import what lies below it, but for what ``NEVER`` forbids."""

NEVER = {
    "sampling": {"laws", "runs", "costs", "architecture"},
    "laws": {"costs"},
    "hyperparameters": {"laws", "runs", "costs"},
    "catalog": {"costs", "sampling"},
    "inference": {"costs"},
    "criticism": {"costs", "catalog", "hyperparameters"},
    "forecasting": {"costs", "catalog", "hyperparameters"},
    "planning": {"criticism", "forecasting", "catalog", "sampling"},
    "decisions": {"criticism", "forecasting", "catalog", "sampling"},
    "curves": {"criticism", "forecasting", "catalog", "sampling"},
    "plots": {name for floor in FLOORS for name in floor} - {"decisions", "criticism", "inference", "planning", "units"},
}


def below(owner: str) -> set[str]:
    """Rooms that a room may import."""
    under: set[str] = set()
    for floor in FLOORS:
        if owner in floor:
            break
        under |= set(floor)
    return under - NEVER.get(owner, set())


BARE = {"arrays", "errors", "units", "packaged", "__init__", "files", "plugins", "specs"}


def room(path: Path) -> str:
    """First name below the package: the folder or module that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rooms(source: str) -> set[str]:
    """Rooms of the package that some source imports, at any depth."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names] if node.module == "bayesmoe" else [node.module]
        found |= {name.split(".")[1] for name in names if name.startswith("bayesmoe.")}
    return found - {"__version__"}


def wrong_edges(owner: str, source: str) -> set[str]:
    """Imports that do not point down."""
    if owner == "__init__":
        return set()
    allowed = below(owner) | {owner} | (set() if owner in BARE else ANYWHERE)
    return imported_rooms(source) - allowed


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down_only(path: Path) -> None:
    assert wrong_edges(room(path), path.read_text()) == set()


@pytest.mark.parametrize(
    ("owner", "source"),
    [
        ("laws", "from bayesmoe.costs.hardware import ACCELERATORS"),
        ("costs", "import bayesmoe.laws"),
        ("plots", "def f():\n    from bayesmoe.forecasting.scores import crps"),
        ("units", "from bayesmoe import errors"),
    ],
)
def test_an_upward_import_is_found(owner: str, source: str) -> None:
    assert wrong_edges(owner, source)


def test_runs_are_read_without_their_audit() -> None:
    reading = [path for path in MODULES if path.parent.name == "runs"]
    assert [path.name for path in reading if "runs.audit" in path.read_text()] == []


MOST_LINES, MOST_FUNCTION_LINES, MOST_PARAMETERS = 300, 60, 8


def oversize(path: str, source: str) -> list[str]:
    """What exceeds the limits: the module, its functions, their parameters; a command has one parameter a flag."""
    lines = len(source.splitlines())
    wrong = [f"{lines} lines"] if lines > MOST_LINES else []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.FunctionDef):
            continue
        long = (node.end_lineno or 0) - node.lineno + 1
        parameters = [
            one for one in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs) if one.arg not in ("self", "cls")
        ]
        if long > MOST_FUNCTION_LINES and not path.startswith("cli/"):
            wrong.append(f"{node.name}: {long} lines")
        if len(parameters) > MOST_PARAMETERS and not path.startswith("cli/"):
            wrong.append(f"{node.name}: {len(parameters)} parameters")
    return wrong


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_is_too_large(path: Path) -> None:
    assert oversize(str(path.relative_to(PACKAGE)), path.read_text()) == []


@pytest.mark.parametrize(
    "source",
    [
        "x = 1\n" * (MOST_LINES + 1),
        "def f():\n" + "    x = 1\n" * MOST_FUNCTION_LINES,
        f"def f({', '.join(f'a{n}' for n in range(MOST_PARAMETERS + 1))}): ...",
    ],
)
def test_what_is_too_large_is_found(source: str) -> None:
    assert oversize("laws/base.py", source)


STORES = {"files.py", "inference/store.py", "inference/tree.py", "planning/store.py"}
"""``files.py`` refuses the format of any of them."""


def test_stored_attributes_are_read_in_the_store_modules_only() -> None:
    from bayesmoe.inference.store import FitInfo
    from bayesmoe.planning.store import PlanInfo

    names = {field.name for info in (FitInfo, PlanInfo) for field in dataclasses.fields(info)} - {"law", "response"}
    stored = re.compile(rf"attrs(\.get\(|\[)[\"']({'|'.join(names)})[\"']")
    readers = {str(path.relative_to(PACKAGE)) for path in MODULES if stored.search(path.read_text())}
    assert readers <= STORES
    assert stored.search('fit.attrs["spec"]')


def test_only_the_models_sample() -> None:
    sampling = [str(p.relative_to(PACKAGE)) for p in MODULES if "numpyro.sample(" in p.read_text()]
    assert sampling == [
        "costs/serving/fit_calibration.py",
        "costs/training/fit_calibration.py",
        "inference/model.py",
    ]


def test_jax_is_configured_in_the_command_line_only() -> None:
    configuring = {room(p) for p in MODULES if "jax.config" in p.read_text()}
    assert configuring == {"cli"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_public_names_have_docstrings_and_no_forbidden_word(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree)
    told_once = {
        "forms": {"loss", "to_paper", "from_paper"},
        "problems": {"goal", "more_quantities", "require", "sizes", "tokens", "met", "bound"},
    }
    inherited = told_once.get(path.parent.name, set()) if path.name != "base.py" else set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_") and node.col_offset <= 4:
            nested = isinstance(node, ast.FunctionDef) and node.col_offset == 4 and _inside_function(tree, node)
            assert nested or node.name in inherited or ast.get_docstring(node), node.name
    assert "log_loss" not in path.read_text()


def _inside_function(tree: ast.Module, wanted: ast.FunctionDef) -> bool:
    return any(isinstance(n, ast.FunctionDef) and n is not wanted and wanted in ast.walk(n) for n in ast.walk(tree))


def test_public_names() -> None:
    from bayesmoe import laws, plots, runs

    files = {path.stem for path in (PACKAGE / "laws" / "forms").glob("*.py")} - {"__init__"}
    assert {law.__module__ for law in laws.all_laws} == {f"bayesmoe.laws.forms.{name}" for name in files}
    assert len({law.name for law in laws.all_laws}) == len(laws.all_laws)
    assert set(runs.__all__) == {
        "RunTable",
        "as_run_table",
        "fetch",
        "load_source",
        "read_models",
        "read_runs",
        "registered",
        "registered_as",
    }
    assert all(callable(getattr(plots, name)) for name in plots.__all__)
