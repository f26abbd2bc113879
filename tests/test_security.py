"""Files come from strangers: what they hold is data, never code, and never reaches a page or a terminal as more than text."""

from __future__ import annotations

import ast
import os
import pickle
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

import bayesmoe as package
from bayesmoe.errors import InputError
from bayesmoe.files import write_text
from bayesmoe.inference.store import load_fit, save_fit
from bayesmoe.planning.store import load_plan
from bayesmoe.resources import resource_folder
from bayesmoe.runs import registered, registry
from bayesmoe.runs.table import read_runs

PACKAGE = Path(package.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
SCENARIO = resource_folder("models") / "scenarios" / "yun-2024.toml"
RUNS = "run_id,group,loss,tokens,num_experts,top_k,n_dense\na,x,2.5,1e9,1,1,1e8\nb,x,2.4,1e9,4,2,1e8\nc,y,2.3,1e9,8,2,1e8\n"


# Nothing that is read is run

FORBIDDEN_MODULES = {
    "pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "yaml", "tarfile", "zipfile", "subprocess", "ctypes",
}  # fmt: skip
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__"}
FORBIDDEN_METHODS = {
    "read_pickle",
    "to_pickle",
    "eval",
    "query",
    "system",
    "popen",
    "unpack_archive",
    "extractall",
    "load_module",
}
EXCEPTIONS = {
    # What is compiled there is a tree in which nothing but arithmetic is left.
    "planning/constraints.py": {"eval", "compile"},
}


def dangers(source: str) -> set[str]:
    """Names in some source that unpickle, evaluate text, start programs or unpack archives."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names} & FORBIDDEN_MODULES
        elif isinstance(node, ast.ImportFrom):
            found |= {(node.module or "").partition(".")[0]} & FORBIDDEN_MODULES
        elif isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name):
                found |= {node.func.id} & FORBIDDEN_CALLS
            elif isinstance(node.func, ast.Attribute):
                found |= {node.func.attr} & FORBIDDEN_METHODS
                if (
                    node.func.attr == "load"
                    and isinstance(node.func.value, ast.Name)
                    and node.func.value.id in ("np", "numpy")
                ):
                    found.add("np.load")
            found |= {"allow_pickle" for keyword in node.keywords if keyword.arg == "allow_pickle"}
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_module_unpickles_evaluates_or_unpacks(path) -> None:
    assert dangers(path.read_text(encoding="utf-8")) <= EXCEPTIONS.get(path.relative_to(PACKAGE).as_posix(), set())


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from cloudpickle import loads",
        "import numpy as np\nnp.load(path)",
        "np.asarray(x, allow_pickle=True)",
        "pd.read_pickle(path)",
        "frame.eval(text)",
        "frame.query(text)",
        "eval(text)",
        "def f():\n    exec(text)",
        "import yaml.loader",
        "os.system(text)",
        "shutil.unpack_archive(path)",
    ],
)
def test_a_danger_is_found(source) -> None:
    assert dangers(source)


class Payload:
    """What runs when somebody unpickles it."""

    def __reduce__(self):
        return os.mkdir, ("was-run",)


@pytest.fixture
def pickled(tmp_path, monkeypatch):
    """A pickle that makes a folder when it is opened, in the working folder; the folder must never be there."""
    monkeypatch.chdir(tmp_path)
    yield pickle.dumps(Payload())
    assert not Path("was-run").exists()


def test_the_payload_works(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    pickle.loads(pickle.dumps(Payload()))
    assert Path("was-run").is_dir()


@pytest.mark.parametrize("kind", ["pickle", "npy", "hdf5"])
@pytest.mark.parametrize(
    "command",
    ["check file.nc", "report file.nc --out page.html", f"plan file.nc {SCENARIO} --out plan.nc", "runs check file.csv", "fit file.csv --out new.nc"],
)  # fmt: skip
def test_a_pickle_under_another_name_is_refused_and_not_opened(bayesmoe, pickled, kind, command) -> None:
    name = next(word for word in command.split() if word.startswith("file."))
    if kind == "pickle":
        Path(name).write_bytes(pickled)
    elif kind == "npy":
        with Path(name).open("wb") as file:
            np.save(file, np.array([Payload()], dtype=object), allow_pickle=True)
    else:
        with h5py.File(name, "w") as file:
            file["posterior/gain"] = np.void(pickled)
            file.attrs["spec"] = np.void(pickled)
            file.attrs["format"] = 5
    before = sorted(Path().iterdir())
    ended = bayesmoe(*command.split())
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(f"bayesmoe: {name}")
    assert ended.err.count("\n") == 1
    assert sorted(Path().iterdir()) == before


@pytest.mark.parametrize(
    "select",
    [
        "loss.to_csv('was-run') == 1",
        "loss.to_pickle('was-run')",
        "@pd.io.common.os.mkdir('was-run')",
        "__import__('os').mkdir('was-run')",
        "loss.__class__.__base__.__subclasses__()",
        "loss > (lambda: 1)()",
        "[x for x in loss]",
        "loss.isin([open('was-run', 'w')])",
        "loss.isna.__globals__",
        "datetime.today() > 1",
        "9 ** 9 ** 9 ** 9 ** 9 > loss",
        "f'{loss}' == 'a'",
        "(loss := 1) > 0",
    ],
)
def test_a_selection_is_read_and_never_run(tmp_path, monkeypatch, select) -> None:
    monkeypatch.chdir(tmp_path)
    Path("runs.csv").write_text(RUNS)
    with pytest.raises(InputError, match=r"^runs\.csv, select: "):
        read_runs("runs.csv", select=select)
    assert [path.name for path in Path().iterdir()] == ["runs.csv"]


def test_a_held_out_condition_is_read_and_never_run(bayesmoe, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("runs.csv").write_text(RUNS)
    ended = bayesmoe("backtest", "runs.csv", "--hold-out", "loss.to_csv('was-run') == 1")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert [path.name for path in Path().iterdir()] == ["runs.csv"]


# Where files go and come from


@pytest.mark.slow
def test_a_scenarios_name_chooses_no_place(bayesmoe, tmp_path, small_fit, small_plan, monkeypatch) -> None:
    (tmp_path / "in").mkdir()
    save_fit(small_fit, tmp_path / "in" / "fit.nc")
    files = [tmp_path / "in" / name for name in ("a.toml", "b.toml")]
    for path in files:
        text = SCENARIO.read_text(encoding="utf-8")
        path.write_text(text.replace('name = "Yun 2024\'s fleet at 5.15e21 FLOP"', 'name = "../../evil"'))
    assert '"../../evil"' in files[0].read_text()
    monkeypatch.setattr("bayesmoe.planning.planner.plan", lambda fit, scenario, *, allow_failed: small_plan)
    before = set(tmp_path.rglob("*"))
    assert bayesmoe("plan", tmp_path / "in" / "fit.nc", *files, "--out", tmp_path / "plans").code == 0
    assert set(tmp_path.rglob("*")) - before == {
        tmp_path / "plans",
        tmp_path / "plans" / "a.nc",
        tmp_path / "plans" / "b.nc",
    }


def test_a_link_at_the_output_is_replaced_and_not_followed(tmp_path) -> None:
    (tmp_path / "victim").write_text("kept")
    (tmp_path / "page.html").symlink_to(tmp_path / "victim")
    write_text(tmp_path / "page.html", "new")
    assert (tmp_path / "victim").read_text() == "kept"
    assert not (tmp_path / "page.html").is_symlink()


@pytest.mark.parametrize("name", ["../clark2022", "/etc/passwd", "clark2022/../../x", "..", "", "clark2022\x00"])
@pytest.mark.parametrize("command", ["fetch", "show"])
def test_a_data_set_is_a_known_name_and_no_path(bayesmoe, tmp_path, name, command) -> None:
    ended = bayesmoe("datasets", command, name)
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert "is not a registered data set" in ended.err


def test_registered_files_have_plain_names_and_come_encrypted() -> None:
    for entry in registered().values():
        for file in entry.files.values():
            assert Path(file.name).name == file.name
            assert file.url is None or file.url.startswith("https://")
            assert len(bytes.fromhex(file.sha256)) == 32


def archive(path: Path) -> None:
    """A zip whose members climb out of the folder that they are unpacked into, or name a place of their own."""
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("../evil.csv", RUNS)
        file.writestr(str(path.parents[1] / "evil.csv"), RUNS)


@pytest.mark.parametrize("name", ["runs.csv.zip", "runs.zip", "runs.csv", "runs.tar", "runs.csv.gz"])
@pytest.mark.parametrize("command", [["fit"], ["runs", "check"], ["calibrate-serving"]], ids=" ".join)
def test_an_archive_is_refused_and_not_unpacked(bayesmoe, tmp_path, name, command) -> None:
    (tmp_path / "in").mkdir()
    archive(tmp_path / "in" / name)
    before = set(tmp_path.rglob("*"))
    out = [] if command == ["runs", "check"] else ["--out", tmp_path / "new.nc"]
    ended = bayesmoe(*command, tmp_path / "in" / name, *out)
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert ended.err.startswith(f"bayesmoe: {tmp_path / 'in' / name}: ")
    assert set(tmp_path.rglob("*")) == before


def test_a_latency_table_is_no_archive_and_no_address(bayesmoe, tmp_path) -> None:
    archive(tmp_path / "times.zip")
    text = SCENARIO.read_text(encoding="utf-8")
    for table in ("times.zip", "http://127.0.0.1:1/times.csv", "file:///etc/passwd"):
        (tmp_path / "scenario.toml").write_text(text.replace("[serving]", f'[serving]\nlatency_table = "{table}"'))
        ended = bayesmoe("cost", "mixtral-8x7b", tmp_path / "scenario.toml")
        assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
        assert any(hint in ended.err for hint in ("save the sheet as CSV", "give a CSV of measured latencies"))


# Checksums before use


def test_a_changed_file_of_a_mirror_is_refused_before_it_is_read(bayesmoe, tmp_path, monkeypatch) -> None:
    def read(_):
        raise AssertionError("a file was read whose checksum differs")

    mirror, out = tmp_path / "mirror", tmp_path / "out"
    mirror.mkdir()
    out.mkdir()
    monkeypatch.setenv(registry.MIRROR_VARIABLE, str(mirror))
    monkeypatch.setattr(registry, "_cache", lambda: tmp_path / "cache")
    for name, entry in registered().items():
        remote = [file for file in entry.files.values() if file.url is not None]
        for file in remote:
            (mirror / file.name).write_bytes(b"hyper_id,step\n1,1\n")
        if not remote:
            continue
        monkeypatch.setitem(registry.ADAPTERS, name, read)
        ended = bayesmoe("datasets", "fetch", name, "--out", out / f"{name}.csv")
        assert ended.code == 2
        assert "must have sha256" in ended.err
        assert ended.err.count("\n") == 1
    assert list(out.iterdir()) == []


@pytest.mark.slow
def test_files_that_are_damaged_anywhere_are_refused_in_one_sentence(tmp_path, small_fit) -> None:
    save_fit(small_fit, tmp_path / "fit.nc")
    whole = (tmp_path / "fit.nc").read_bytes()
    refused = []
    for number, place in enumerate(np.linspace(0, len(whole) - 1, 40).astype(int)):
        kept = whole[:place] if number % 2 else whole[:place] + b"\xff" * 64 + whole[place + 64 :]
        (tmp_path / "fit.nc").write_bytes(kept)
        for load in (load_fit, load_plan):
            try:
                load(tmp_path / "fit.nc")
            except InputError as error:
                refused.append(str(error))
    assert len(refused) >= 40
    assert not [said for said in refused if "\n" in said]
