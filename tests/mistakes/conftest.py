"""What newcomers do wrong most often, and what they then read: one sentence with file, row, column, rule, value and cure."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import pytest
from mistakes.inputs import RUNS, YUN

from bayesmoe.inference.store import save_fit
from bayesmoe.planning.store import save_plan


@pytest.fixture(scope="session")
def made(tmp_path_factory, small_fit, small_plan) -> Path:
    """A folder with a fit and a plan."""
    folder = tmp_path_factory.mktemp("made")
    save_fit(small_fit, folder / "fit.nc")
    save_plan(small_plan, folder / "plan.nc")
    return folder


@pytest.fixture
def said(bayesmoe, tmp_path, monkeypatch, made):
    """What a command says of a mistake, in a folder with runs.csv, scenario.toml, fit.nc and plan.nc; it must leave the folder as it was."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    Path("runs.csv").write_text(RUNS)
    Path("scenario.toml").write_text(YUN)
    Path("folder").mkdir()

    def run(command: str, **files: str | bytes) -> str:
        for name, content in files.items():
            path = Path(name.replace("__", "."))
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
        ended = bayesmoe(*shlex.split(command))
        assert (ended.code, ended.out) == (2, ""), ended
        assert ended.err.startswith("bayesmoe: ")
        assert ended.err.count("\n") == 1
        assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == before
        return ended.err.removeprefix("bayesmoe: ").removesuffix("\n")

    return run
