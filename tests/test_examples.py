"""Every example and the notebook run as they stand, in a folder of their own, without a network; the notebook also from the wheel."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from processes import environment

EXAMPLES = Path(__file__).parents[1] / "examples"
WRITES = {
    "fit_a_posterior": {"fit.nc"},
    "arviz_diagnostics": {
        f"{plot}.png" for plot in ("trace", "rank", "pair", "forest", "ppc", "loo_pit", "energy", "psense")
    },
    "plan": {"plan.nc", "plan.json", "report.html"},
    "own_law": {"own.nc", "chinchilla.nc"},
    "own_serving_table": {"latency.csv", "scenario.toml", "plan.nc"},
    "cluster_calibration": {"ranks.nc"},
}
SECONDS, MINUTES = 300, 40
NOTEBOOK = EXAMPLES / "quickstart.ipynb"


def notebook(*without: str) -> Any:
    """The notebook without its outputs, and without cells of these tags."""
    found = nbformat.read(NOTEBOOK, as_version=4)
    found.cells = [cell for cell in found.cells if not {*without} & {*cell.metadata.get("tags", ())}]
    for cell in found.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return found


def kinds(cell: Any) -> set[str]:
    """Media types of what a cell shows."""
    return {kind for output in cell.outputs for kind in output.get("data", {})}


def test_every_example_is_run_and_listed() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(WRITES)
    listed = (EXAMPLES / "README.md").read_text()
    assert all(f"| `{name}.py` |" in listed for name in WRITES)
    assert f"({NOTEBOOK.name})" in listed


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(WRITES))
def test_an_example_runs(name: str, tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, str(EXAMPLES / f"{name}.py"), "--out", "out"],
        cwd=tmp_path,
        env=environment() | {"MPLBACKEND": "Agg"},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout
    assert WRITES[name] <= {path.name for path in (tmp_path / "out").iterdir()}
    assert not list((tmp_path / "out").glob("*.partial.jsonl"))


@pytest.mark.slow
def test_the_notebook_runs_and_shows_its_figures(tmp_path: Path) -> None:
    _executed(notebook("average", "report"), tmp_path)


@pytest.mark.slow
@pytest.mark.sweep
def test_every_cell_of_the_notebook_runs(tmp_path: Path) -> None:
    _executed(notebook(), tmp_path)
    assert (tmp_path / "report.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def _executed(found: Any, folder: Path) -> None:
    client = NotebookClient(found, timeout=MINUTES * 60, resources={"metadata": {"path": str(folder)}})
    # Commands that ran in this process have set the backend of what it starts.
    client.execute(env={name: value for name, value in environment().items() if name != "MPLBACKEND"})
    _shows(found)


def _shows(found: Any) -> None:
    """Cells that end with a figure show it once; gates and decisions are tables."""
    code = [cell for cell in found.cells if cell.cell_type == "code"]
    for cell in code:
        drawn = [output for output in cell.outputs if "image/png" in output.get("data", {})]
        assert len(drawn) == cell.source.startswith("bm.plots."), cell.source
        assert "text/html" in kinds(cell) or not cell.source.splitlines()[-1].startswith(("bm.check", "bm.decide")), (
            cell.source
        )
    assert any("text/html" in kinds(cell) for cell in code)
    assert sum("image/png" in kinds(cell) for cell in code) >= 4


def test_the_notebook_is_kept_with_what_it_shows() -> None:
    found = nbformat.read(NOTEBOOK, as_version=4)
    _shows(found)
    counts = [cell.execution_count for cell in found.cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))
    assert "Traceback" not in NOTEBOOK.read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_notebook_runs_from_the_wheel(tmp_path: Path) -> None:
    wheels, fresh, empty = (tmp_path / name for name in ("wheels", "fresh", "empty"))
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    backend = find_spec("hatchling") is not None
    if (
        not backend
        and subprocess.run([*pip, "download", "--no-deps", "-d", str(wheels), "hatchling"], check=False).returncode
    ):
        pytest.skip("hatchling, which builds the wheel, is not here and cannot be fetched")
    isolation = ["--no-build-isolation"] if backend else []
    subprocess.run([*pip, "wheel", "--no-deps", *isolation, "-w", str(wheels), str(EXAMPLES.parent)], check=True)
    (wheel,) = wheels.glob("bayesmoe-*.whl")
    modules = {path.relative_to(EXAMPLES.parent).as_posix() for path in (EXAMPLES.parent / "bayesmoe").rglob("*.py")}
    assert modules <= set(zipfile.ZipFile(wheel).namelist())
    venv.create(fresh, with_pip=True)
    python = next(fresh.glob("*/python"))
    subprocess.run([python, "-m", "pip", "-q", "install", "--no-deps", "--no-index", str(wheel)], check=True)
    # What bayesmoe needs is taken from this environment; a checkout that it names in a .pth file of its own is not.
    (site,) = fresh.glob("lib/python*/site-packages")
    (site / "needs.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    empty.mkdir()
    cells = [cell.source for cell in notebook("average").cells if cell.cell_type == "code"]
    script = "\n\n".join([*cells, "print(bm.__file__)"])
    lacking = {name: value for name, value in environment().items() if name != "PYTHONPATH"} | {"MPLBACKEND": "Agg"}
    ended = subprocess.run(
        [python, "-c", script], cwd=empty, env=lacking, capture_output=True, text=True, check=False, timeout=SECONDS
    )
    assert ended.returncode == 0, ended.stderr
    assert Path(ended.stdout.strip()).is_relative_to(site)
    assert [path.name for path in empty.iterdir()] == ["report.html"]
