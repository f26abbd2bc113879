"""``bayesmoe plan`` of several scenarios, ``next-run`` and ``sensitivity``: from a fit in a file to what they print."""

from __future__ import annotations

import json

import pytest

from bayesmoe.inference.store import save_fit
from bayesmoe.planning.store import load_plan
from bayesmoe.resources import resource_folder

YUN = (resource_folder("models") / "scenarios" / "yun-2024.toml").read_text()
FEW = YUN.replace("[choices]", "[choices]\nnum_experts = [4, 16]")


@pytest.fixture(scope="module")
def folder(tmp_path_factory, small_fit):
    """A folder with a fit and scenarios."""
    folder = tmp_path_factory.mktemp("planning")
    save_fit(small_fit, folder / "fit.nc")
    (folder / "shipped.toml").write_text(YUN)
    (folder / "small.toml").write_text(FEW)
    (folder / "large.toml").write_text(FEW.replace("5.15e21", "2e22"))
    (folder / "unpriced.toml").write_text(FEW.replace("lifetime_tokens", "# lifetime_tokens"))
    asked = 'problems = ["loss_optimal", "lifetime_flop"]\n' + FEW
    (folder / "other.toml").write_text(asked)
    return folder


def test_one_scenario_makes_one_plan_and_says_what_is_recommended_and_what_is_worth_knowing(bayesmoe, folder, tmp_path):
    ended = bayesmoe("plan", folder / "fit.nc", folder / "shipped.toml", "--out", tmp_path / "plan.nc")
    assert ended.code == 0
    for part in ("Cheapest serving at bounded loss. Recommended:", "Lowest loss at bounded serving cost. Recommended:",
                 "Each draw with its own size:", "Perfect information would be worth USD", "Training settings by the literature's laws"):  # fmt: skip
        assert part in ended.out
    assert load_plan(tmp_path / "plan.nc")["problem"].values.tolist() == ["cheapest_serving", "lowest_loss"]


@pytest.mark.slow
def test_several_scenarios_stand_side_by_side(bayesmoe, folder, tmp_path):
    files = [folder / f"{name}.toml" for name in ("small", "large", "other")]
    ended = bayesmoe("plan", folder / "fit.nc", *files, "--out", tmp_path / "plans")
    assert ended.code == 0
    assert {path.name for path in (tmp_path / "plans").iterdir()} == {"small.nc", "large.nc", "other.nc"}
    table = ended.out[ended.out.rindex("Cheapest serving at bounded loss:") :].splitlines()
    assert [line.split()[0] for line in table[2:5]] == ["small", "large", "other"]
    assert table[4].endswith("not asked")


@pytest.mark.slow
def test_a_roadmap_is_planned_budget_by_budget_with_one_run_to_train_next(bayesmoe, folder, tmp_path):
    few = FEW.replace("budget_flop = 5.15e21", "roadmap = [1e21, 1e22]").replace(
        "[training]", 'problems = ["lowest_loss"]\n[training]', 1
    )
    path = tmp_path / "road.toml"
    path.write_text(few)
    ended = bayesmoe("plan", folder / "fit.nc", path, "--out", tmp_path / "plans")
    assert ended.code == 0
    assert {each.name for each in (tmp_path / "plans").iterdir()} == {"road-1e21.nc", "road-1e22.nc"}
    table = ended.out[ended.out.rindex("Lowest loss at bounded serving cost:") :].splitlines()
    assert [line.split()[0] for line in table[2:4]] == ["road-1e21", "road-1e22"]
    assert f"bayesmoe next-run {folder / 'fit.nc'} {path}" in ended.out
    found = json.loads(bayesmoe("next-run", folder / "fit.nc", path, "--json").out)
    assert (found["budgets"], found["max_flop"]) == (2, pytest.approx(1e20))


@pytest.mark.slow
def test_several_scenarios_in_json(bayesmoe, folder, tmp_path):
    files = [folder / f"{name}.toml" for name in ("small", "unpriced")]
    ended = bayesmoe("plan", folder / "fit.nc", *files, "--out", tmp_path / "plans", "--json")
    found = json.loads(ended.out)
    assert (found["schema"], len(found["plans"])) == ("bayesmoe.plans", 2)
    priced, unpriced = (each["problems"]["lowest_loss"] for each in found["plans"])
    assert priced["evpi_usd"] > 0
    assert "evpi_usd" not in unpriced
    assert "lifetime_usd" not in unpriced["num_experts"][0]
    assert priced["recommended_num_experts"] in (4, 16)


def test_several_plans_need_a_folder(refused, folder):
    files = folder / "small.toml", folder / "large.toml"
    says = refused("plan", folder / "fit.nc", *files, out="plans.nc")
    assert says.startswith("--out: must be a folder for several scenarios or budgets, found '")
    says = refused("plan", folder / "fit.nc", folder / "small.toml", folder / "small.toml", out="plans")
    assert says.startswith("must not repeat a file name: each names its plan")


@pytest.mark.slow
def test_the_next_run_is_ranked_and_priced(bayesmoe, folder):
    ended = bayesmoe("next-run", folder / "fit.nc", folder / "shipped.toml", "--batch", 2, "--problem", "lowest_loss")
    assert ended.code == 0
    assert (
        "For \u201cLowest loss at bounded serving cost\u201d, the expected opportunity loss of deciding now is USD"
        in ended.out
    )
    assert "The batch as a plan, one run after the other:" in ended.out
    found = json.loads(bayesmoe("next-run", folder / "fit.nc", folder / "shipped.toml", "--max-flop", "1e19", "--json").out)
    assert found["schema"] == "bayesmoe.next_run"
    assert max(run["train_flop"] for run in found["runs"]) <= 1e19 * (1 + 1e-9)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param(["unpriced.toml"], "serving.lifetime_tokens: is needed to put money on a regret; say how many output tokens will be served", marks=pytest.mark.slow),
        (["shipped.toml", "--problem", "loss_optimal"], "problem: is not a problem of this plan, found 'loss_optimal'; one of cheapest_serving, lowest_loss."),
        (["shipped.toml", "--max-flop", "-1"], "max_flop: must be a positive number, found -1.0."),
    ],
)  # fmt: skip
def test_what_a_next_run_cannot_do(bayesmoe, folder, arguments, says):
    name, *flags = arguments
    ended = bayesmoe("next-run", folder / "fit.nc", folder / name, *flags)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(f"bayesmoe: {says}")
    assert ended.err.count("\n") == 1


@pytest.mark.slow
def test_sensitivity_turns_every_number(bayesmoe, folder):
    ended = bayesmoe("sensitivity", folder / "fit.nc", folder / "small.toml", "--json")
    found = json.loads(ended.out)
    assert found["schema"] == "bayesmoe.sensitivity"
    inputs = [one["input"] for one in found["problems"]["lowest_loss"]["inputs"]]
    assert {"serving.lifetime_tokens", "training.mfu", "serving.utilization", "training.budget_flop"} <= set(inputs)
