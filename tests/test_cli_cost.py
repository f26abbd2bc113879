"""``bayesmoe cost`` and ``bayesmoe calibrate-serving``: from measured points to bands on what a model costs."""

from __future__ import annotations

import json

import pytest
import serving_points as truth

from bayesmoe.costs.serving.calibration import read_calibration
from bayesmoe.resources import resource_folder

YUN = resource_folder("models") / "scenarios" / "yun-2024.toml"
SHAPE = """
name = "mine"
num_layers = 10
d_model = 1000
vocab = 1000
d_ff = 2000
[attention]
kind = "heads"
num_heads = 10
num_kv_heads = 5
head_dim = 100
"""


@pytest.fixture
def shape_file(tmp_path):
    (tmp_path / "mine.toml").write_text(SHAPE)
    return tmp_path / "mine.toml"


@pytest.fixture
def sentence(bayesmoe):
    """Run a command that must be refused, and return the sentence."""

    def run(*arguments: object) -> str:
        ended = bayesmoe(*arguments)
        assert (ended.code, ended.out) == (2, "")
        assert ended.err.startswith("bayesmoe: ")
        assert ended.err.count("\n") == 1
        return ended.err.removeprefix("bayesmoe: ").removesuffix("\n")

    return run


def scenario(path, **serving: str):
    """Yun's scenario with other lines under ``[serving]``, its last table; a key that another table has too is dropped there."""
    kept = [line for line in YUN.read_text().splitlines() if line.split(" =")[0] not in serving]
    path.write_text("\n".join([*kept, *(f"{key} = {value}" for key, value in serving.items()), ""]))
    return path


def test_a_public_model_by_name(bayesmoe):
    ended = bayesmoe("cost", "mixtral-8x7b", YUN, "--draws", 200)
    assert (ended.code, ended.err) == (0, "")
    lines = ended.out.splitlines()
    assert "P(feasible) = 100%; " in lines[0]
    assert any(line.startswith("  serving, per million output tokens") and "–" in line and "USD" in line for line in lines)
    assert any(line.startswith("  training ") and line.endswith("USD") for line in lines)
    assert "nan" not in ended.out.lower()
    assert "90% band" in lines[-1]


def test_json_of_own_shape_beside_public_models(bayesmoe, shape_file):
    arguments = ("cost", shape_file, YUN, "--beside", "llama-3.1-8b", "--beside", "deepseek-v3", "--draws", 200, "--json")
    ended = bayesmoe(*arguments)
    told = json.loads(ended.out)
    assert (told["schema"], told["schema_version"]) == ("bayesmoe.cost", 1)
    mine, llama, deepseek = told["architectures"]
    assert mine["architecture"] == "mine"
    # Nine million parameters in each of ten layers, and two embeddings of a million, two bytes each.
    assert mine["weight_bytes"]["q50"] == 2 * 92e6
    usd = "serving_usd_per_million_tokens"
    assert mine[usd]["q05"] < mine[usd]["q50"] < mine[usd]["q95"] < llama[usd]["q05"]
    assert (deepseek["p_feasible"], deepseek["limited_by"], deepseek[usd]["q50"]) == (0.0, "memory", None)
    assert bayesmoe(*arguments).out == ended.out


def test_own_shape_is_printed(bayesmoe, shape_file):
    ended = bayesmoe("cost", shape_file, YUN, "--beside", "llama-3.1-8b", "--draws", 50)
    assert ended.code == 0
    heads = [line.split(":")[0] for line in ended.out.splitlines() if "P(feasible)" in line]
    assert len(heads) == 2
    assert heads[0] == "mine"


def test_bad_input_is_one_sentence(sentence, tmp_path, shape_file):
    said = sentence("cost", "mixtral-8x7", YUN)
    assert said == "architecture: is not a known model, found 'mixtral-8x7'; did you mean 'mixtral-8x7b'?"
    assert "is not a known model" in sentence("cost", "mixtral-8x7b", YUN, "--beside", "gpt-9")
    assert "no such file" in sentence("cost", "mixtral-8x7b", tmp_path / "none.toml")
    assert "no such file" in sentence("cost", tmp_path / "none.toml", YUN)
    unknown = scenario(tmp_path / "unknown.toml", accelerator='"H100-SXN"')
    said = sentence("cost", "mixtral-8x7b", unknown)
    assert said.startswith(f"{unknown}, serving.accelerator: is not a known accelerator (did you mean 'H100-SXM'?)")
    both = scenario(tmp_path / "both.toml", latency_table='"t.csv"', engine='"vLLM"')
    assert "latency_table stands for itself" in sentence("cost", "mixtral-8x7b", both)
    engine = scenario(tmp_path / "engine.toml", engine='"vLMM"')
    assert sentence("cost", "mixtral-8x7b", engine).endswith("did you mean 'vLLM'?")
    shape_file.write_text(SHAPE.replace("d_ff", "dff"))
    assert f"{shape_file}, dff: is not a known key" in sentence("cost", shape_file, YUN)


@pytest.mark.slow
def test_own_measurements_become_a_calibration_that_costs_use(bayesmoe, sentence, tmp_path):
    frame = truth.simulated_points(architectures=("mixtral-8x7b", "llama-3.1-8b"), each=15).assign(engine="our-engine")
    out = tmp_path / "mine.nc"
    ended = bayesmoe("calibrate-serving", truth.write_points(tmp_path / "points.csv", frame), "--draws", 300, "--out", out)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("30 points of llama-3.1-8b, mixtral-8x7b; worst R-hat")
    assert ended.out.splitlines()[-1] == f"calibration in {out}; name it in a scenario as serving.calibration"
    assert read_calibration(out).attrs["points"] == 30
    # Found beside the scenario; the shipped calibration does not know that engine.
    own = scenario(tmp_path / "own.toml", calibration='"mine.nc"', engine='"our-engine"')
    assert bayesmoe("cost", "llama-3.1-8b", own, "--draws", 50).code == 0
    shipped = scenario(tmp_path / "shipped.toml", engine='"our-engine"')
    assert "serving.engine: is not in the calibration, found 'our-engine'" in sentence("cost", "llama-3.1-8b", shipped)


@pytest.mark.slow
def test_chains_that_disagree_write_nothing(bayesmoe, monkeypatch, tmp_path):
    monkeypatch.setattr("bayesmoe.costs.hierarchical._MOST_RHAT", 0.9)
    frame = truth.simulated_points(architectures=("mixtral-8x7b", "llama-3.1-8b"), each=15)
    out = tmp_path / "mine.nc"
    ended = bayesmoe("calibrate-serving", truth.write_points(tmp_path / "points.csv", frame), "--draws", 50, "--out", out)
    assert ended.code == 1
    assert ended.err.startswith("FAIL: the chains do not agree")
    assert "--draws 200" in ended.err
    assert not out.exists()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda frame: frame.drop(columns="tpot_ms"), "tpot_ms: is missing from the points"),
        (lambda frame: frame.assign(tpot_ms=0), "row 2, tpot_ms: must be a positive number, found '0'."),
        (lambda frame: frame.assign(hardware="H100"), "row 2, hardware: is not known, found 'H100'"),
        (lambda frame: frame.iloc[:19], "has too few points, found 19; give at least 20."),
    ],
)
def test_bad_points_write_nothing(refused, tmp_path, change, says):
    frame = truth.simulated_points(architectures=("llama-3.1-8b",))
    assert says in refused("calibrate-serving", truth.write_points(tmp_path / "points.csv", change(frame)))


def test_missing_points_write_nothing(refused, tmp_path):
    says = f"{tmp_path / 'none.csv'}: no such file; give a CSV of measured points."
    assert refused("calibrate-serving", tmp_path / "none.csv") == says
