"""Scenarios that nobody means: each is refused with one sentence that says what to write, and nothing is recommended."""

from __future__ import annotations

import dataclasses

import pytest
from mistakes.inputs import YUN

from bayesmoe.errors import InputError

BUDGET, PRICE, SERVING = "budget_flop = 5.15e21", "median = 1.5", "[serving]"
SERVED = "lifetime_tokens = { median = 1e12, log_sd = 0.7 }"
TARGETS = "[serving]\nmax_tpot_s"


def edited(*changes: tuple[str, str]) -> str:
    """The shipped scenario with pieces replaced."""
    text = YUN
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    return text


IMPLAUSIBLE = {
    "budget of 1e3 FLOP": (
        [(BUDGET, "budget_flop = 1e3")],
        "training.budget_flop: is implausible (plausible: 1e12 to 2e29 FLOP), found 1000.0; give FLOP in all, such as 5e21; a PFLOP/s-day is 8.64e19.",
    ),
    "budget of 1e40 FLOP": (
        [(BUDGET, "budget_flop = 1e40")],
        "training.budget_flop: is implausible (plausible: 1e12 to 2e29 FLOP), found 1e+40; give FLOP in all, such as 5e21; a PFLOP/s-day is 8.64e19.",
    ),
    "budget in zettaFLOP": ([(BUDGET, "budget_flop = 5.15")], "training.budget_flop: is implausible"),
    "budget in millions of USD": (
        [(BUDGET, "budget_usd = 10")],
        "training.budget_usd: is implausible (plausible: 100 to 1e12 USD), found 10.0; give USD, such as 10e6 for ten million.",
    ),
    "budget above the world's product": ([(BUDGET, "budget_usd = 1e15")], "training.budget_usd: is implausible"),
    "negative price": (
        [(PRICE, "median = -1.5")],
        "serving.price_usd_per_gpu_hour.median: should be greater than 0, found -1.5.",
    ),
    "price in cents a million": ([(PRICE, "median = 15000")], "serving.price_usd_per_gpu_hour: is implausible"),
    "MFU in percent": (
        [("median = 0.4,", "median = 40,")],
        "training.mfu.median: should be less than or equal to 1, found 40.",
    ),
    "MFU that no run has": ([("median = 0.4,", "median = 0.004,")], "training.mfu: is implausible"),
    "spread in percent": (
        [("log_sd = 0.15", "log_sd = 15")],
        "training.mfu.log_sd: is implausible (plausible: at most 3), found 15.0; it is the standard deviation of the natural logarithm",
    ),
    "nothing served": ([(SERVED, "lifetime_tokens = 0")], "serving.lifetime_tokens: should be greater than 0, found 0."),
    "tokens in trillions": ([(SERVED, "lifetime_tokens = 10")], "serving.lifetime_tokens: is implausible"),
    "more than the planet is served": (
        [(SERVED, "lifetime_tokens = 1e20")],
        "serving.lifetime_tokens: is implausible (plausible: 1e6 to 1e18 output tokens), found 1e+20; give the output tokens of all users in all, such as 1e13, or [traffic].",
    ),
    "no users": (
        [(SERVED, "[traffic]\nusers = 0\nrequests_per_user_per_day = 10")],
        "traffic.users: should be greater than 0, found 0.",
    ),
    "more users than people": (
        [(SERVED, "[traffic]\nusers = 1e11\nrequests_per_user_per_day = 10")],
        "traffic.users: is implausible (plausible: 1 to 8.3e9 users), found 100000000000.0; give people: there are 8.3e9.",
    ),
    "more tokens a second than anybody serves": (
        [(SERVED, "[traffic]\noutput_tokens_per_s = 1e13")],
        "traffic.output_tokens_per_s: is implausible",
    ),
    "traffic said twice": (
        [(SERVED, f"{SERVED}\n[traffic]\noutput_tokens_per_s = 1e5")],
        "serving.lifetime_tokens: says the same as [traffic]; keep one of the two.",
    ),
    "users without requests": (
        [(SERVED, "[traffic]\nusers = 1e6")],
        "traffic.requests_per_user_per_day: is required; give users and requests_per_user_per_day, or output_tokens_per_s, _per_day or _per_month.",
    ),
    "TPOT in ms": (
        [(SERVING, f"{TARGETS} = 25")],
        "serving.max_tpot_s: is implausible (plausible: 0.0005 to 2 s), found 25.0; give seconds from one token to the next, such as 0.025 for 25 ms.",
    ),
    "TPOT that no engine meets": ([(SERVING, f"{TARGETS} = 1e-6")], "serving.max_tpot_s: is implausible"),
    "TTFT that no engine meets": (
        [(SERVING, "[serving]\nmax_ttft_s = 1e-4")],
        "serving.max_ttft_s: is implausible (plausible: 0.005 to 600 s), found 0.0001; give seconds to the first token, such as 0.5 for 500 ms.",
    ),
    "unknown accelerator": (
        [("A100-SXM-40GB", "TPU v9")],
        "serving.accelerator: is not a known accelerator (known: A100-SXM-40GB, A100-SXM-80GB,",
    ),
    "FP8 on a chip without it": (
        [(SERVING, '[serving]\nprecision = "FP8"')],
        "serving.precision: is not computed by A100-SXM-40GB, found 'fp8'; use bf16 or int8, or an accelerator such as H100-SXM.",
    ),
    "FP4 on a chip without it": (
        [(SERVING, '[serving]\nprecision = "NVFP4"'), ("A100-SXM-40GB", "h100")],
        "serving.precision: is not computed by H100-SXM, found 'fp4'; use fp8 or mxfp4, or an accelerator such as B200-SXM.",
    ),
    "unknown precision": ([(SERVING, '[serving]\nprecision = "fp7"')], "serving.precision: should be 'bf16', 'fp16', 'fp8'"),
    "data in trillions of tokens": (
        [(SERVING, "[limits]\nunique_tokens = 15\n[serving]")],
        "limits.unique_tokens: is implausible (plausible: 1e7 to 1e17 tokens), found 15.0; give tokens: 15T is 15e12.",
    ),
    "a million epochs": ([(SERVING, "[limits]\nmax_epochs = 1e6\n[serving]")], "limits.max_epochs: is implausible"),
    "loss below the entropy of text": (
        [(SERVING, "[limits]\nloss_nats = 0.01\n[serving]")],
        "limits.loss_nats: is implausible",
    ),
    "loss as perplexity": ([(SERVING, "[limits]\nloss_nats = 17\n[serving]")], "limits.loss_nats: is implausible"),
    "memory in GB": (
        [("[training]", 'problems = ["memory_limited"]\n[training]'), (SERVING, "[limits]\nmemory_bytes = 80\n[serving]")],
        "limits.memory_bytes: is implausible (plausible: 1e7 to 1e16 bytes), found 80.0; give bytes: 80 GB is 80e9.",
    ),
    "size in billions": (
        [
            ("[training]", 'problems = ["equal_resources"]\n[training]'),
            (SERVING, "[limits]\nn_total_parameters = 20\n[serving]"),
        ],
        "limits.n_total_parameters: is implausible",
    ),
    "a million tokens for each parameter that fits": (
        [
            ("[training]", 'problems = ["memory_limited"]\n[training]'),
            (BUDGET, "budget_flop = 1e25"),
            (SERVING, "[limits]\nmemory_bytes = 1e9\n[serving]"),
        ],
        "limits.memory_bytes: holds at most 500M parameters, which the budget trains on 3.3Q tokens: more than 300000 a parameter, found 1000000000.0; raise it,",
    ),
    "a frontier budget served by one small GPU": (
        [(BUDGET, "budget_flop = 1e29"), ("max_gpus = 8", "max_gpus = 1")],
        "serving.max_gpus: holds at most 18B parameters, which the budget trains on 930Q tokens: more than 300000 a parameter, found 1;",
    ),
    "a world served by one node": (
        [
            ("[training]", 'problems = ["fixed_hardware"]\n[training]'),
            (SERVING, "[limits]\noutput_tokens_per_s = 1e9\n[serving]"),
        ],
        "limits.output_tokens_per_s: is more than 8 A100-SXM-40GB can decode",
    ),
    "fewer GPUs in all than in a replica": (
        [(SERVING, "[serving]\nfleet_gpus = 4")],
        "serving.fleet_gpus: must be at least max_gpus, the most of one replica (8), found 4; lower max_gpus.",
    ),
    "millions of experts": (
        [("[choices]", "[choices]\nnum_experts = [4, 1000000]")],
        "choices.num_experts: is implausible",
    ),
    "a nat worth nothing": ([(SERVING, "[value]\nusd_per_nat = 1e-6\n[serving]")], "value.usd_per_nat: is implausible"),
    "GPUs by another name": (
        [("max_gpus = 8", "num_gpus = 512")],
        "serving.num_gpus: is not a known key; write serving.max_gpus (GPUs of a replica) or serving.fleet_gpus (of all).",
    ),
    "users in the serving section": (
        [(SERVING, "[serving]\nusers = 50e6")],
        "serving.users: is not a known key; write traffic.users.",
    ),
    "a key that is near in letters only": (
        [(SERVING, "[serving]\nmax_tokens_s = 4")],
        "serving.max_tokens_s: is not a known key; known: accelerator, attention,",
    ),
}


@pytest.mark.parametrize("name", IMPLAUSIBLE)
def test_a_scenario_that_nobody_means(said, name):
    changes, sentence = IMPLAUSIBLE[name]
    found = said("plan fit.nc mine.toml --out new.nc", mine__toml=edited(*changes))
    assert found.startswith(f"mine.toml, {sentence}")
    assert len(found) < 500


def test_there_are_thirty_of_them():
    assert len(IMPLAUSIBLE) >= 30


def test_the_scenario_that_they_are_made_from_is_plausible(tmp_path):
    from bayesmoe.planning.reading import read_scenario

    path = tmp_path / "mine.toml"
    path.write_text(YUN)
    assert read_scenario(path).name


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("training", "budget_flop", 1e3),
        ("serving", "max_tpot_s", 25.0),
        ("limits", "unique_tokens", 15.0),
        ("serving", "precision", "fp4"),
    ],
)
def test_a_scenario_of_a_notebook_is_refused_as_one_of_a_file_is(small_fit, scenario, section, key, value):
    from bayesmoe.planning.planner import plan

    meant = dataclasses.replace(scenario, **{section: dataclasses.replace(getattr(scenario, section), **{key: value})})
    with pytest.raises(InputError, match=rf"{section}\.{key}: is (implausible|not computed)"):
        plan(small_fit, meant)
