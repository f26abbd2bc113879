"""Files that another version wrote: they load, or the sentence says which version reads them and how to make them again."""

from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import pytest

from bayesmoe import __version__
from bayesmoe.costs.serving.calibration import KIND, SHIPPED, read_calibration
from bayesmoe.errors import InputError
from bayesmoe.inference.store import FORMAT as FIT_FORMAT
from bayesmoe.inference.store import load_fit, save_fit
from bayesmoe.planning.store import FORMAT as PLAN_FORMAT
from bayesmoe.planning.store import load_plan, save_plan

KINDS = {
    "fit": (load_fit, FIT_FORMAT, "refit"),
    "plan": (load_plan, PLAN_FORMAT, "plan again"),
    "calibration": (read_calibration, KIND.format, "calibrate again"),
}


@pytest.fixture(scope="module")
def written(tmp_path_factory, small_fit, small_plan):
    """A file of each kind."""
    folder = tmp_path_factory.mktemp("written")
    save_fit(small_fit, folder / "fit.nc")
    save_plan(small_plan, folder / "plan.nc")
    shutil.copy(SHIPPED, folder / "calibration.nc")
    return folder


@pytest.fixture
def saved(tmp_path, written):
    """Write a file of a kind with other attributes at its top (None takes one out) and without some groups, and return its path."""

    def write(kind: str, *, without: tuple[str, ...] = (), **attrs: object):
        path = Path(shutil.copy(written / f"{kind}.nc", tmp_path))
        with h5py.File(path, "a") as file:
            for name in without:
                del file[name]
            for name, value in attrs.items():
                if name in file.attrs:
                    del file.attrs[name]
                if value is not None:
                    file.attrs[name] = value
        return path

    return write


def sentence(kind: str, path) -> str:
    """What is said of a file, after its name."""
    with pytest.raises(InputError) as caught:
        KINDS[kind][0](path)
    assert caught.value.file == path
    return str(caught.value).removeprefix(f"{path}: ")


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_of_this_layout_loads_whatever_version_wrote_it(saved, kind):
    load, reads, _ = KINDS[kind]
    assert load(saved(kind, bayesmoe_version="0.0.7")).attrs["format"] == reads


@pytest.mark.parametrize("kind", KINDS)
def test_an_older_layout_names_the_version_that_reads_it(saved, kind):
    _, reads, again = KINDS[kind]
    said = sentence(kind, saved(kind, format=reads - 1, bayesmoe_version="0.0.7"))
    assert said == (
        f"was written by bayesmoe 0.0.7, in an older layout ({reads - 1}) than this version reads ({reads}); "
        f"{again}, or install bayesmoe == 0.0.7."
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_newer_layout_asks_for_a_newer_version(saved, kind):
    reads = KINDS[kind][1]
    said = sentence(kind, saved(kind, format=reads + 1, bayesmoe_version="9.1"))
    assert said == (
        f"was written by bayesmoe 9.1, in a newer layout ({reads + 1}) than this version reads ({reads}); install bayesmoe >= 9.1."
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_layout_from_before_the_release_is_made_again(saved, kind):
    _, reads, again = KINDS[kind]
    said = sentence(kind, saved(kind, format=reads - 1, bayesmoe_version=__version__))
    assert said == (
        f"was written by another state of bayesmoe {__version__}, in an older layout ({reads - 1}) than this version reads ({reads}); "
        f"{again}."
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_layout_of_nobody(saved, kind):
    _, reads, again = KINDS[kind]
    older = sentence(kind, saved(kind, format=reads - 1, bayesmoe_version=None))
    assert older.endswith(f"than this version reads ({reads}); {again}.")
    newer = sentence(kind, saved(kind, format=reads + 1, bayesmoe_version=None))
    assert newer.endswith("; install a newer bayesmoe.")


@pytest.mark.parametrize("kind", ["fit", "plan"])
@pytest.mark.parametrize(
    "value",
    [None, *(pytest.param(each, marks=pytest.mark.slow) for each in ("five", "", float("nan"), float("inf"), [1, 2]))],
)
def test_a_layout_that_is_not_told(saved, kind, value):
    said = sentence(kind, saved(kind, format=value))
    assert said == f"does not say in which layout it was written; {KINDS[kind][2]} with this version."


@pytest.mark.parametrize("group", ["sample_stats", "constant_data"])
def test_an_older_fit_that_lacks_a_group_is_older_and_not_another_kind_of_file(saved, group):
    said = sentence("fit", saved("fit", without=(group,), format=1, bayesmoe_version="0.0.1"))
    assert said.startswith("was written by bayesmoe 0.0.1, in an older layout (1)")


@pytest.mark.parametrize(
    "text",
    [
        "{",
        *(pytest.param(each, marks=pytest.mark.slow) for each in ("", "[]", '{"data": {"file": "x"}, "laws": 3}', "null")),
    ],
)
def test_a_spec_or_a_scenario_that_cannot_be_read(saved, text):
    assert sentence("fit", saved("fit", spec=text)) == "holds no model spec that can be read; refit."
    assert sentence("plan", saved("plan", scenario=text)) == "holds no scenario that can be read; plan again."


@pytest.mark.parametrize("name", ["law", "method", "data_origin", "data_sha256", "data_simulated"])
def test_a_fit_that_lacks_an_attribute_is_none(saved, name):
    assert sentence("fit", saved("fit", **{name: None})) == "is not a fit of bayesmoe; make one with `bayesmoe fit`."


@pytest.mark.parametrize("command", ["check", "report", "plan", "next-run", "sensitivity", "predict", "compare", "explore"])
def test_every_command_says_so(bayesmoe, saved, tmp_path, command):
    from bayesmoe.resources import resource_folder

    if command == "explore":
        pytest.importorskip("panel")
    path = saved("fit", format=FIT_FORMAT - 1, bayesmoe_version="0.0.7")
    scenario = resource_folder("models") / "scenarios" / "yun-2024.toml"
    (tmp_path / "models.csv").write_text("tokens,num_experts,top_k,n_dense\n1e12,8,1,1e9\n")
    more = {
        "report": ["--out", tmp_path / "page.html"],
        "plan": [scenario, "--out", tmp_path / "plan.nc"],
        "next-run": [scenario],
        "sensitivity": [scenario],
        "predict": [tmp_path / "models.csv"],
        "compare": [path],
        "explore": ["--no-browser"],
    }.get(command, [])
    before = set(tmp_path.iterdir())
    ended = bayesmoe(command, path, *more)
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert "was written by bayesmoe 0.0.7, in an older layout" in ended.err
    assert set(tmp_path.iterdir()) == before
