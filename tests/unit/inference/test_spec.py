"""Model specs: from TOML, from a run table, with flags on top, and into a law with priors."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from bayesmoe.errors import InputError
from bayesmoe.inference.spec import (
    AverageSpec,
    DataSpec,
    FitSpec,
    GroupSpec,
    LawSpec,
    NoiseSpec,
    SamplerSpec,
    law_of,
    load_table,
    read_fit_spec,
    spec_from,
)
from bayesmoe.resources import resource_folder
from bayesmoe.specs import from_json, to_json

MODELS = sorted(resource_folder("models").glob("*.toml"))
TOML = """
name = "mine"

[data]
file = "runs.csv"
select = "n_dense > 1e6"
columns = { loss = "val_loss", tokens = "D" }

[law]
name = "clark"

[groups]
column = "router"
dense = "Dense"

[sampler]
chains = 2
seed = 7
"""


@pytest.fixture
def model(tmp_path) -> Path:
    """A model spec beside its runs."""
    (tmp_path / "model.toml").write_text(TOML)
    (tmp_path / "runs.csv").write_text(
        "val_loss,D,num_experts,n_dense,router\n2.5,1e9,1,1e8,Dense\n2.4,1e9,4,1e8,Hash\n2.3,1e9,4,1e5,Hash\n"
    )
    return tmp_path / "model.toml"


def asked(target, **flags) -> FitSpec:
    """A spec of a command with these flags and no others."""
    return spec_from(target, **{"laws": [], "size": None, "groups": {}, "data": {}, "columns": [], "sampler": {}} | flags)


def complaint(function, *arguments, **named) -> str:
    """What is said about them."""
    with pytest.raises(InputError) as caught:
        function(*arguments, **named)
    return str(caught.value)


# From TOML


def test_a_spec_is_read_with_its_file_taken_from_its_own_folder(model, tmp_path):
    assert read_fit_spec(model) == FitSpec(
        name="mine",
        data=DataSpec(file=str(tmp_path / "runs.csv"), select="n_dense > 1e6", columns={"loss": "val_loss", "tokens": "D"}),
        law=LawSpec(name="clark"),
        groups=GroupSpec(column="router", dense="Dense"),
        sampler=SamplerSpec(chains=2, seed=7),
    )


def test_the_folder_of_the_process_does_not_matter(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path.parent)
    assert load_table(read_fit_spec(model).data, None).frame["loss"].tolist() == [2.5, 2.4]


def test_an_absolute_file_stays(tmp_path):
    path = tmp_path / "model.toml"
    path.write_text(f"[data]\nfile = '{tmp_path / 'far' / 'runs.csv'}'\n")
    assert read_fit_spec(path).data.file == str(tmp_path / "far" / "runs.csv")


@pytest.mark.parametrize("path", MODELS, ids=[path.stem for path in MODELS])
def test_shipped_specs_are_named_after_their_file_and_have_a_law(path):
    found = read_fit_spec(path)
    assert found.name == path.stem
    assert law_of(found.law).name == found.law.name
    assert from_json(to_json(found), FitSpec) == found


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        (("[sampler]", "[samplers]"), "samplers: is not a known key; did you mean 'sampler'?"),
        (("chains", "chain"), "sampler.chain: is not a known key; did you mean 'chains'?"),
        (("dense =", "dens ="), "groups.dens: is not a known key; did you mean 'dense'?"),
        (("chains = 2", "chains = 0"), "sampler.chains: should be greater than or equal to 1, found 0."),
        (("seed = 7", "seed = -7"), "sampler.seed: should be greater than or equal to 0, found -7."),
        (("seed = 7", "warmup = 50"), "sampler.warmup: should be greater than or equal to 100, found 50."),
        (("seed = 7", "target_accept = 1"), "sampler.target_accept: should be less than 1, found 1."),
        (('name = "clark"', 'size = "n"'), "law.size: should be 'n_dense', 'n_active' or 'n_total', found 'n'."),
        (
            ('name = "clark"', "priors.gain = { median = 1, sd = 0 }"),
            "law.priors.gain.sd: should be greater than 0, found 0.",
        ),
    ],
)
def test_a_broken_key_is_named_with_the_file(model, changed, says):
    model.write_text(TOML.replace(*changed))
    assert complaint(read_fit_spec, model) == f"{model}, {says}"


@pytest.mark.parametrize("data", ["file = 'runs.csv'\nsource = 'clark2022'", "select = 'loss > 2'"])
def test_runs_come_from_one_place(tmp_path, data):
    (tmp_path / "model.toml").write_text(f"[data]\n{data}\n")
    said = complaint(read_fit_spec, tmp_path / "model.toml")
    assert "give either source (a registered data set) or file (a table of your own)" in said


# From a command


def test_a_run_table_alone_is_a_spec():
    assert asked("folder/my-runs.csv") == FitSpec(name="my-runs", data=DataSpec(file="folder/my-runs.csv"))


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({"laws": ["chinchilla"]}, {"law": LawSpec(name="chinchilla")}),
        ({"laws": ["average"]}, {"average": AverageSpec()}),
        ({"laws": ["yun", "clark"]}, {"average": AverageSpec(laws=("yun", "clark"))}),
        ({"size": "n_active"}, {"law": LawSpec(size="n_active")}),
        ({"groups": {"column": "lab", "dense": None}}, {"groups": GroupSpec(column="lab")}),
        ({"groups": {"column": None, "dense": "Dense"}}, {"groups": GroupSpec(dense="Dense")}),
        ({"groups": {"column": None, "dense": None}}, {"groups": None}),
        ({"sampler": {"seed": 0, "chains": 3}}, {"sampler": SamplerSpec(seed=0, chains=3)}),
        ({"data": {"select": "loss < 3"}}, {"data": DataSpec(file="runs.csv", select="loss < 3")}),
        ({"columns": ["loss=val", "tokens=D"]}, {"data": DataSpec(file="runs.csv", columns={"loss": "val", "tokens": "D"})}),
        ({"columns": ["loss=a=b"]}, {"data": DataSpec(file="runs.csv", columns={"loss": "a=b"})}),
    ],
)
def test_flags_on_top_of_a_run_table(flags, expected):
    plain = asked("runs.csv")
    assert asked("runs.csv", **flags) == dataclasses.replace(plain, **expected)


def test_flags_on_top_of_a_spec_change_what_they_name_and_nothing_else(model):
    plain = read_fit_spec(model)
    found = asked(
        model,
        laws=["yun"],
        groups={"column": None, "dense": "None"},
        data={"select": "loss < 3"},
        columns=["loss=train_loss"],
        sampler={"seed": None, "draws": 10},
    )
    assert found == dataclasses.replace(
        plain,
        law=LawSpec(name="yun"),
        groups=GroupSpec(column="router", dense="None"),
        data=dataclasses.replace(plain.data, select="loss < 3", columns={"loss": "train_loss", "tokens": "D"}),
        sampler=SamplerSpec(chains=2, seed=7, draws=10),
    )


def test_one_law_in_place_of_an_average(tmp_path):
    path = tmp_path / "model.toml"
    path.write_text("[data]\nfile = 'runs.csv'\n[average]\nlaws = ['yun', 'effective-size']\n")
    assert read_fit_spec(path).average == AverageSpec(laws=("yun", "effective-size"))
    assert asked(path, laws=["clark"]) == dataclasses.replace(read_fit_spec(path), law=LawSpec(name="clark"), average=None)


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ("[law]\noptions = { interaction = 'none' }\n", "one law's own; leave them out of an average"),
        ("[sampler]\nmethod = 'laplace'\n", "an average of laws is sampled"),
    ],
)
def test_what_an_average_cannot_have(tmp_path, section, says):
    path = tmp_path / "model.toml"
    path.write_text(f"[data]\nfile = 'runs.csv'\n[average]\n{section}")
    assert says in complaint(read_fit_spec, path)


def test_a_seed_of_zero_is_not_an_absent_seed(model):
    assert asked(model, sampler={"seed": 0}).sampler.seed == 0


@pytest.mark.parametrize("pair", ["loss", "loss=", "=val_loss", "="])
def test_a_mapping_needs_both_names(pair):
    said = complaint(asked, "runs.csv", columns=[pair])
    assert said == f"--map: must be ours=yours, such as loss=val_loss, found {pair!r}."


def test_a_flag_that_breaks_a_rule():
    assert (
        complaint(asked, "runs.csv", sampler={"warmup": 5})
        == "sampler.warmup: should be greater than or equal to 100, found 5."
    )


def test_a_spec_that_is_not_there(tmp_path):
    assert complaint(asked, tmp_path / "none.toml") == f"{tmp_path / 'none.toml'}: no such file; check the path."


# Runs


def test_runs_of_a_file_follow_the_spec(model, tmp_path):
    found = read_fit_spec(model)
    table = load_table(found.data, found.groups)
    assert table.origin == str(tmp_path / "runs.csv")
    assert table.frame["group"].tolist() == ["Dense", "Hash"]
    assert table.frame["tokens"].tolist() == [1e9, 1e9]


def test_runs_of_a_registered_source_carry_its_provenance():
    table = load_table(DataSpec(source="simulated-yun-grid", select="num_experts > 1"), None)
    assert len(table.frame) == 64
    assert table.origin == "simulated-yun-grid"
    assert table.simulated
    assert table.sha256.startswith("3276b0fb")


def test_an_unknown_source():
    said = complaint(load_table, DataSpec(source="simulated-yun"), None)
    assert said == "source: is not a registered data set, found 'simulated-yun'; did you mean 'simulated-yun-grid'?"


def test_noise_of_a_spec_and_of_flags(tmp_path):
    path = tmp_path / "spec.toml"
    path.write_text("[data]\nfile = 'runs.csv'\n[noise]\ndepends_on = ['loss']\n")
    assert read_fit_spec(path).noise == NoiseSpec(depends_on=("loss",))
    assert asked(path, noise=["ratio", "seed"]).noise == NoiseSpec(depends_on=("ratio", "seed"))
    assert asked(path, noise=["none"]).noise == NoiseSpec()
    assert asked(tmp_path / "runs.csv").noise is None
    with pytest.raises(InputError, match=r"noise\.depends_on"):
        asked(path, noise=["size"])
