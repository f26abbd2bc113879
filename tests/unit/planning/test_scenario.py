"""Scenarios: what is read, what is refused, and how uncertain numbers are drawn."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from bayesmoe.architecture import Family
from bayesmoe.costs.uncertain import Uncertain, UncertainShare
from bayesmoe.decisions.decide import decide
from bayesmoe.errors import InputError
from bayesmoe.planning.build_surface import surfaces
from bayesmoe.planning.problems import all_problems, asked_problems
from bayesmoe.planning.reading import read_scenario
from bayesmoe.planning.scenario import Scenario, in_group
from bayesmoe.planning.store import PlanInfo
from bayesmoe.specs import from_json, to_json

TOML = """
[training]
budget_flop = 1e21
price_usd_per_gpu_hour = 2

[serving]
price_usd_per_gpu_hour = { median = 1.5, log_sd = 0.2 }
"""


@pytest.fixture
def read(tmp_path):
    """Read the scenario above with lines added below a heading."""

    def reading(heading: str = "[training]", *lines: str) -> Scenario:
        path = tmp_path / "scenario.toml"
        added = "\n".join([heading, *lines])
        path.write_text(TOML.replace(heading, added) if heading in TOML else f"{TOML}\n{added}\n")
        return read_scenario(path)

    return reading


@pytest.fixture
def complaint(read, tmp_path):
    """What is said about a scenario, after the file's name."""

    def said(heading: str, *lines: str) -> str:
        with pytest.raises(InputError) as caught:
            read(heading, *lines)
        assert str(caught.value).startswith(f"{tmp_path / 'scenario.toml'}, ")
        return str(caught.value).removeprefix(f"{tmp_path / 'scenario.toml'}, ")

    return said


# Reading


def test_quantities_are_numbers_or_medians_with_a_spread(read):
    found = read("[training]", "mfu = { median = 0.4, log_sd = 0.15 }")
    assert found.training.budget_flop == 1e21
    assert found.training.price_usd_per_gpu_hour == 2.0
    assert found.training.mfu == UncertainShare(median=0.4, log_sd=0.15)
    assert found.serving.price_usd_per_gpu_hour == Uncertain(median=1.5, log_sd=0.2)


def test_the_shipped_scenario_comes_back_from_json(scenario):
    assert scenario.training.budget_flop == 5.15e21
    assert from_json(to_json(scenario), Scenario) == scenario


def test_the_family_is_the_architectures(read):
    found = read("[architecture]", "moe_share = 0.5", "top_k = 1", "granularity = 2", "shared_experts = 1")
    assert found.architecture.family() == Family(moe_share=0.5, top_k=1.0, granularity=2.0, shared_experts=1.0)


@pytest.mark.parametrize(("moe_share", "moe_layers"), [(1 / 3, 13), (0.6, 24)])
def test_a_size_has_a_shape_of_its_family(read, moe_share, moe_layers):
    architecture = read("[architecture]", f"moe_share = {moe_share}", "top_k = 2", "width_times_layers = 0.048").architecture
    shape = architecture.shape(730e6, 16)
    # d L = 38,900 and 12 d^2 L = 7.3e8 meet at 24.9 layers; pairs of layers come as 26.
    assert (shape.num_layers, shape.num_moe_layers) == (26 if moe_share < 0.5 else 25, moe_layers)
    assert (shape.experts.num_experts, shape.experts.top_k) == (16, 2)
    assert shape.n_dense == pytest.approx(730e6, rel=0.02)
    assert architecture.shape(730e6, 1).experts is None


def test_the_default_family_is_yuns(read):
    assert read("[architecture]").architecture.family() == Family()


def test_a_latency_table_is_taken_from_the_scenarios_own_folder(read, tmp_path):
    assert read("[serving]", "latency_table = 'measured/a100.csv'").serving.latency_table == str(
        tmp_path / "measured" / "a100.csv"
    )
    assert read("[serving]", f"latency_table = '{tmp_path / 'x.csv'}'").serving.latency_table == str(tmp_path / "x.csv")
    assert read().serving.latency_table is None
    assert read("[serving]", "calibration = 'mine.nc'").serving.calibration == str(tmp_path / "mine.nc")


def test_another_group_changes_the_group_alone(read):
    plain = read("[choices]", "num_experts = [1, 4]")
    assert in_group(plain, None) is plain
    found = in_group(plain, "Hash")
    assert found.choices.group == "Hash"
    assert dataclasses.replace(found, choices=dataclasses.replace(found.choices, group=None)) == plain


# Refusing


@pytest.mark.parametrize(
    ("heading", "line", "says"),
    [
        (
            "[training]",
            "accelerator = 'H200-PCIe'",
            "is not a known accelerator (known of this chip: H200-SXM), found 'H200-PCIe'",
        ),
        (
            "[serving]",
            "accelerator = 'TPU'",
            "is not a known accelerator (known: A100-SXM-40GB, A100-SXM-80GB,",
        ),
    ],
)
def test_an_unknown_accelerator(complaint, heading, line, says):
    assert says in complaint(heading, line)


@pytest.mark.parametrize("heading", ["[training]", "[serving]"])
def test_an_unknown_accelerator_is_named_with_its_section(complaint, heading):
    assert complaint(heading, "accelerator = 'V100'").startswith(f"{heading.strip('[]')}.accelerator: ")


@pytest.mark.parametrize(
    ("heading", "lines", "says"),
    [
        ("[choices]", ["num_experts = [1, 2]"], "choices: baseline_num_experts must be one of num_experts"),
        ("[choices]", ["baseline_num_experts = 5"], "choices: baseline_num_experts must be one of num_experts"),
        ("[choices]", ["num_experts = [1, 4, 4]"], "choices: num_experts must not repeat a count"),
        ("[choices]", ["num_experts = []"], "choices.num_experts: tuple should have at least 1 item"),
        ("[choices]", ["num_experts = [0, 4]"], "choices.num_experts.0: should be greater than or equal to 1, found 0."),
        ("[choices]", ["num_experts = [4, 1.5]"], "choices.num_experts.1: should be a valid integer"),
        ("[choices]", ["num_expert = [4]"], "choices.num_expert: is not a known key; did you mean 'num_experts'?"),
        (
            "[serving]",
            ["latency_table = 'mine.csv'", "engine = 'vLLM'"],
            "serving: latency_table stands for itself: leave out calibration and engine",
        ),
        ("[serving]", ["max_gpus = 0"], "serving.max_gpus: should be greater than or equal to 1, found 0."),
        ("[serving]", ["memory_fraction = 1.1"], "serving.memory_fraction: should be less than or equal to 1, found 1.1."),
        (
            "[training]",
            ["flop_rule = '6 N'"],
            "training.flop_rule: should be '6 n_active tokens', '6 n_dense tokens' or 'exact', found '6 N'.",
        ),
        ("[tolerance]", ["loss_nats = -1"], "tolerance.loss_nats: should be greater than or equal to 0, found -1."),
        ("[tolerance]", ["probability = 0"], "tolerance.probability: should be greater than 0, found 0."),
        ("[architecture]", ["top_k = 0"], "architecture.top_k: should be greater than or equal to 1, found 0."),
        ("[choices]", ["top_k = [1, 1]"], "choices: top_k must not repeat a value"),
        ("[choices]", ["granularity = [0.0]"], "choices.granularity.0: should be greater than 0, found 0"),
        ("[training]", ["budget_usd = 1e6"], "training.budget_usd: bounds the same as budget_flop; keep one of the two."),
        ("[limits]", ["loss_nats = -1"], "limits.loss_nats: should be greater than 0, found -1"),
        ("[limits]", ["memory_byte = 1"], "limits.memory_byte: is not a known key; did you mean 'memory_bytes'?"),
        ("[value]", ["usd_per_nat = 0"], "value.usd_per_nat: should be greater than 0, found 0"),
        ("[servings]", ["x = 1"], "servings: is not a known key; did you mean 'serving'?"),
        ("[choices]", ["top_k = []"], "choices.top_k: tuple should have at least 1 item"),
        ("[choices]", ["top_k = [1.5]"], "choices.top_k.0: should be a valid integer"),
        ("[choices]", ["top_k = 2"], "choices.top_k: should be a list in square brackets"),
        ("[choices]", ["top_k = [8, 5]"], "choices.top_k: must be at most the smallest routed expert count (4), found 5."),
        ("[choices]", ["granularity = [1, 1.0]"], "choices: granularity must not repeat a value"),
        ("[choices]", ["granularities = [1]"], "choices.granularities: is not a known key; did you mean 'granularity'?"),
        ("[limits]", ["memory_bytes = 0"], "limits.memory_bytes: should be greater than 0, found 0"),
        ("[limits]", ["memory_bytes = inf"], "limits.memory_bytes: should be a finite number"),
        ("[limits]", ["unique_tokens = nan"], "limits.unique_tokens: should be a finite number"),
        ("[limits]", ["cached_tokens = -1"], "limits.cached_tokens: should be greater than or equal to 0, found -1"),
        ("[limits]", ["max_epochs = 0"], "limits.max_epochs: should be greater than 0, found 0"),
        ("[limits]", ["n_total_parameters = -1"], "limits.n_total_parameters: should be greater than 0, found -1"),
        ("[limits]", ["output_tokens_per_s = 0"], "limits.output_tokens_per_s: should be greater than 0, found 0"),
        (
            "[limits]",
            ["serving_usd_per_million_tokens = 0"],
            "limits.serving_usd_per_million_tokens: should be greater than 0",
        ),
        ("[limits]", ["constraints = 'n_total < 1'"], "limits.constraints: should be a list in square brackets"),
        ("[limits]", ["constraints = [1]"], "limits.constraints.0: should be a valid string, found 1"),
        ("[value]", ["usd_per_nat = inf"], "value.usd_per_nat: should be a finite number"),
        ("[value]", ["usd_per_nats = 1"], "value.usd_per_nats: is not a known key; did you mean 'usd_per_nat'?"),
        ("[serving]", ["lifetime_tokens = 0"], "serving.lifetime_tokens: should be greater than 0, found 0"),
    ],
)
def test_a_broken_key(complaint, heading, lines, says):
    assert complaint(heading, *lines).startswith(says)


def test_more_experts_a_token_than_a_choice_has(complaint):
    says = "architecture.top_k: must be at most the smallest routed expert count (4), found 5."
    assert complaint("[architecture]", "top_k = 5") == says


def test_a_dense_choice_needs_no_second_expert(read):
    assert read("[architecture]", "top_k = 4").choices.counts == (1, 4, 8, 16, 32, 64, 128, 256, 512)


@pytest.mark.parametrize(("heading", "name"), [("[training]", "mfu"), ("[serving]", "utilization")])
@pytest.mark.parametrize("value", ["40", "{ median = 40, log_sd = 0.1 }"])
def test_a_share_is_not_a_percentage(complaint, heading, name, value):
    assert complaint(heading, f"{name} = {value}").startswith(f"{heading.strip('[]')}.{name}")


@pytest.mark.parametrize(
    "price", ["0", "-1", "{ median = 0, log_sd = 0.1 }", "{ median = 1, log_sd = -0.1 }", "{ median = 1 }", "'free'"]
)
def test_a_quantity_that_is_none(tmp_path, price):
    path = tmp_path / "scenario.toml"
    path.write_text(TOML.replace("price_usd_per_gpu_hour = 2", f"price_usd_per_gpu_hour = {price}"))
    with pytest.raises(InputError, match=r"training\.price_usd_per_gpu_hour"):
        read_scenario(path)


# Problems


def refused_problems(scenario, *problems: str, **sections) -> str:
    """What is said about asking for problems."""
    parts = {name: dataclasses.replace(getattr(scenario, name), **values) for name, values in sections.items()}
    with pytest.raises(InputError) as caught:
        asked_problems(dataclasses.replace(scenario, problems=problems, **parts))
    return str(caught.value)


def test_a_problem_says_what_it_lacks(scenario):
    assert refused_problems(scenario, "lowest_los").startswith(
        "problems: is not a planning problem, found 'lowest_los'; did you mean"
    )
    assert refused_problems(scenario, "lowest_loss", "lowest_loss").startswith("problems: must not repeat a problem")
    says = refused_problems(scenario, "lifetime_cost", serving={"lifetime_tokens": None})
    assert says.startswith("serving.lifetime_tokens: is needed by the problem 'lifetime_cost'; say how many output tokens")
    assert refused_problems(scenario, "memory_limited").startswith(
        "limits.memory_bytes: is needed by the problem 'memory_limited'"
    )
    says = refused_problems(scenario, "equal_resources")
    assert says.startswith("limits.n_total_parameters: is needed by the problem 'equal_resources'")
    says = refused_problems(scenario, "efficiency_leverage", choices={"num_experts": (4, 8)})
    assert says.startswith("choices.num_experts: must hold the dense model, 1, for the problem 'efficiency_leverage'")


def test_every_problem_names_what_it_needs_and_no_other_does(scenario):
    bare = dataclasses.replace(scenario, serving=dataclasses.replace(scenario.serving, lifetime_tokens=None))
    needs = {
        "lifetime_cost": "serving.lifetime_tokens",
        "lifetime_flop": "serving.lifetime_tokens",
        "memory_limited": "limits.memory_bytes",
        "equal_resources": "limits.n_total_parameters",
    }
    for problem in (one.name for one in all_problems):
        if problem in needs:
            assert refused_problems(bare, problem).startswith(f"{needs[problem]}: is needed by the problem '{problem}'; ")
        else:
            assert [one.name for one in asked_problems(dataclasses.replace(bare, problems=(problem,)))] == [problem]


def test_no_problems_are_refused(tmp_path):
    path = tmp_path / "scenario.toml"
    path.write_text(f"problems = []\n{TOML}")
    with pytest.raises(InputError, match=r"problems: tuple should have at least 1 item"):
        read_scenario(path)


def test_a_constraint_that_is_none_is_refused_before_planning(small_fit, scenario):
    broken = dataclasses.replace(scenario, limits=dataclasses.replace(scenario.limits, constraints=("n_totl < 1",)))
    with pytest.raises(InputError, match=r"^limits\.constraints: is not a quantity of a plan, found 'n_totl'"):
        surfaces(small_fit, broken)


@pytest.mark.parametrize(("name", "values"), [("top_k", (1, 2)), ("granularity", (1.0, 2.0))])
def test_a_law_that_cannot_tell_choices_apart_is_refused(small_fit, scenario, name, values):
    asked = dataclasses.replace(scenario, choices=dataclasses.replace(scenario.choices, **{name: values}))
    with pytest.raises(InputError, match=rf"choices\.{name}: the law 'yun' does not read {name}, so it cannot choose one"):
        surfaces(small_fit, asked)


def test_choices_limits_and_value_are_read_and_come_back_from_json(tmp_path):
    path = tmp_path / "scenario.toml"
    text = TOML.replace("price_usd_per_gpu_hour = { ", "lifetime_tokens = 1e12\nprice_usd_per_gpu_hour = { ")
    path.write_text(
        f"""problems = ["lifetime_cost", "memory_limited"]
{text}
[choices]
top_k = [1, 2]
granularity = [1, 2.5]
[limits]
loss_nats = 2.2
serving_usd_per_million_tokens = 0.3
memory_bytes = 80e9
cached_tokens = 1e6
n_total_parameters = 2e10
output_tokens_per_s = 1000
unique_tokens = 5e11
max_epochs = 4
constraints = ["n_total <= 60e9", "tokens / n_active <= 400"]
[value]
usd_per_nat = 1e7
"""
    )
    found = read_scenario(path)
    assert found.problems == ("lifetime_cost", "memory_limited")
    assert (found.choices.top_k, found.choices.granularity) == ((1, 2), (1.0, 2.5))
    assert (found.limits.loss_nats, found.limits.serving_usd_per_million_tokens, found.limits.memory_bytes) == (
        2.2,
        0.3,
        8e10,
    )
    assert (found.limits.cached_tokens, found.limits.n_total_parameters) == (1e6, 2e10)
    assert (found.limits.output_tokens_per_s, found.limits.most_tokens) == (1000.0, 2e12)
    assert found.limits.constraints == ("n_total <= 60e9", "tokens / n_active <= 400")
    assert found.value.usd_per_nat == 1e7
    assert from_json(to_json(found), Scenario) == found
    assert [one.name for one in asked_problems(found)] == list(found.problems)


def test_without_limits_nothing_is_bounded(read):
    limits = read("[training]").limits
    assert limits.most_tokens == np.inf
    assert limits.constraints == ()


def test_a_budget_must_be_given(tmp_path):
    path = tmp_path / "scenario.toml"
    path.write_text(TOML.replace("budget_flop = 1e21\n", ""))
    with pytest.raises(
        InputError,
        match=r"training\.budget_flop: is required; add it, or training\.budget_usd, training\.budget_gpu_hours, or ",
    ):
        read_scenario(path)


def test_candidates_are_the_architectures_that_can_be(read):
    lines = ["num_experts = [1, 4, 16]", "top_k = [1, 8]", "granularity = [1, 2]"]
    found = read("[choices]", *lines).candidates
    assert [(one.num_experts, one.top_k, one.granularity) for one in found] == [
        (1, 1, 1), (4, 1, 1), (4, 1, 2), (16, 1, 1), (16, 1, 2), (16, 8, 1), (16, 8, 2)]  # fmt: skip


@pytest.mark.parametrize("budget", ["budget_flop", "budget_usd"])
def test_a_budget_of_nothing_is_refused(tmp_path, budget):
    path = tmp_path / "scenario.toml"
    path.write_text(TOML.replace("budget_flop = 1e21", f"{budget} = 0"))
    with pytest.raises(InputError, match=rf"training\.{budget}: should be greater than 0, found 0"):
        read_scenario(path)


def test_a_budget_in_usd_is_read(tmp_path):
    path = tmp_path / "scenario.toml"
    path.write_text(TOML.replace("budget_flop = 1e21", "budget_usd = 2e6"))
    found = read_scenario(path)
    assert (found.training.budget_flop, found.training.budget_usd) == (None, 2e6)


def test_the_goal_is_one_of_the_problems(read, small_plan):
    assert read().goal is None
    assert decide(small_plan, advice=False).main.problem.name == "cheapest_serving"
    scenario = dataclasses.replace(PlanInfo.read(small_plan).scenario, goal="lowest_loss")
    asked = dataclasses.replace(PlanInfo.read(small_plan), scenario=scenario).write(small_plan)
    decided = decide(asked, advice=False)
    assert decided.main.problem.name == PlanInfo.read(asked).goal == "lowest_loss"
    assert [one.problem.name for one in decided.goal_first] == ["lowest_loss", "cheapest_serving"]
    with pytest.raises(
        InputError, match="goal: must be one of problems, found 'lifetime_cost'; asked: cheapest_serving, lowest_loss"
    ):
        dataclasses.replace(scenario, goal="lifetime_cost")
