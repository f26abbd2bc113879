"""Slips in TOML files: model specs, scenarios and what they name."""

from __future__ import annotations

import pytest
from mistakes.inputs import SPEC, YUN, changed

from bayesmoe.runs import registry


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        (
            "[data\nfile = 'runs.csv'\n",
            "model.toml: is not TOML (Expected ']' at the end of a table declaration (at line 1, column 6)); see the examples in models/.",
        ),
        (
            "[data]\nfile = runs.csv\n",
            "model.toml: is not TOML (Invalid value (at line 2, column 8)); put text in quotes, and see the examples in models/.",
        ),
        ("[data]\nfiel = 'runs.csv'\n", "model.toml, data.fiel: is not a known key; did you mean 'file'?"),
        ("[data]\nfile = 'rnus.csv'\n", "rnus.csv: no such file; check the path."),
        (
            "[data]\nsource = 'clark22'\n",
            "model.toml, source: is not a registered data set, found 'clark22'; did you mean 'clark2022'?",
        ),
        (
            "[law]\nname = 'yun'\n",
            "model.toml, data: is required; give either source (a registered data set) or file (a table of your own).",
        ),
        (
            SPEC + "[law]\nname = 'yn'\n",
            "model.toml, law: is not a known law, found 'yn'; did you mean 'yun'? (your own: package.module:MyLaw).",
        ),
        (
            SPEC + "[law.priors.alpha]\nmedian = 0.3\nsd = 0.5\n",
            "model.toml, law.priors.alpha: is not a coordinate of the law 'yun'; known: e_above, e_start, experts_part, gain, interaction, loss_reference, reducible, size_part, slope_size, slope_tokens.",
        ),
        (
            SPEC + "[sampler]\nchains = 'four'\n",
            "model.toml, sampler.chains: should be a valid integer, unable to parse string as an integer, found 'four'.",
        ),
        (
            SPEC + "[noise]\ndepends_on = 'seed'\n",
            "model.toml, noise.depends_on: should be a list in square brackets, found 'seed'.",
        ),
    ],
)
def test_the_wrong_spec(said, spec, sentence):
    assert said("fit model.toml --out new.nc", model__toml=spec) == sentence


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            "budget_flop = 5.15e21",
            "",
            "mine.toml, training.budget_flop: is required; add it, or training.budget_usd, training.budget_gpu_hours, or training.cluster_gpus with training.days.",
        ),
        (
            "budget_flop = 5.15e21",
            "budget_flop = 5.15e21\nbudget_gpu_hours = 1e4",
            "mine.toml, training.budget_gpu_hours: bounds the same as budget_flop; keep one of the two.",
        ),
        (
            "budget_flop = 5.15e21",
            "cluster_gpus = 64\ndays = 0",
            "mine.toml, training.days: should be greater than 0, found 0.",
        ),
        (
            "budget_flop = 5.15e21",
            "days = 60",
            "mine.toml, training.days: says for how long, and not on how many GPUs, found 60.0; add training.cluster_gpus, the GPUs of the run.",
        ),
        (
            "{ median = 2.0, log_sd = 0.2 }",
            "'futures'",
            "mine.toml, training.price_usd_per_gpu_hour: is neither a number nor a price book (known: on_demand, owned, reserved, spot), found 'futures'.",
        ),
        (
            "{ median = 1.5, log_sd = 0.2 }",
            "'spot'",
            "mine.toml, serving.price_usd_per_gpu_hour: has no price of A100-SXM-40GB, found 'spot'; give USD an hour of one GPU, such as 2.2.",
        ),
        ("budget_flop = 5.15e21", "budget_flop = 0", "mine.toml, training.budget_flop: should be greater than 0, found 0."),
        ("budget_flop", "budget_flops", "mine.toml, training.budget_flops: is not a known key; did you mean 'budget_flop'?"),
        (
            "median = 1.5",
            "median = -1.5",
            "mine.toml, serving.price_usd_per_gpu_hour.median: should be greater than 0, found -1.5.",
        ),
        (
            "A100-SXM-40GB",
            "A100-PCIe",
            "mine.toml, serving.accelerator: is not a known accelerator (known of this chip: A100-SXM-40GB, A100-SXM-80GB), found 'A100-PCIe'.",
        ),
        (
            "[choices]",
            "[choices]\nnum_experts = [1, 4, 8.5]",
            "mine.toml, choices.num_experts.2: should be a valid integer, got a number with a fractional part, found 8.5.",
        ),
        (
            "baseline_num_experts = 4",
            "baseline_num_experts = 2",
            "mine.toml, choices: baseline_num_experts must be one of num_experts.",
        ),
        (
            "utilization = { median = 0.5, log_sd = 0.3 }",
            "utilization = 50",
            "mine.toml, serving.utilization: should be less than or equal to 1, found 50.",
        ),
        (
            "log_sd = 0.2",
            "sd = 0.2",
            "mine.toml, training.price_usd_per_gpu_hour.sd: is not a known key; known: log_sd, median.",
        ),
        (
            "[training]",
            'problems = ["cheapest"]\n[training]',
            "mine.toml, problems: is not a planning problem, found 'cheapest'; did you mean 'cheapest_serving'? (your own: package.module:MyProblem).",
        ),
        (
            "[training]",
            'problems = ["memory_limited"]\n[training]',
            "mine.toml, limits.memory_bytes: is needed by the problem 'memory_limited'; give the memory, such as 80e9.",
        ),
        (
            "[serving]",
            "[tolerance]\nprobability = 95\n[serving]",
            "mine.toml, tolerance.probability: should be less than or equal to 1, found 95.",
        ),
        (
            "[serving]",
            '[limits]\nconstraints = "n_total <= 1e9"\n[serving]',
            "mine.toml, limits.constraints: should be a list in square brackets, found 'n_total <= 1e9'.",
        ),
        (
            "[serving]",
            '[limits]\nconstraints = ["n_total =< 1e9"]\n[serving]',
            "mine.toml, limits.constraints: is not an expression, found 'n_total =< 1e9'; such as 'n_total <= 60e9'.",
        ),
        (
            "[serving]",
            '[limits]\nconstraints = ["n_params <= 1e9"]\n[serving]',
            "mine.toml, limits.constraints: is not a quantity of a plan, found 'n_params'; known: batch, epochs, fleet_tokens_per_s, granularity, lifetime_flop, lifetime_usd, loss, memory_bytes, n_active, n_dense, n_gpus, n_total, output_tokens_per_s, quantization_loss, serving_usd_per_million_tokens, tokens, tokens_per_total_parameter, top_k, train_co2_kg, train_days, train_flop, train_gpu_hours, train_kwh, train_mfu, train_usd.",
        ),
        (
            "[serving]",
            '[serving]\nlatency_table = "times.csv"',
            "times.csv: no such file; give a CSV of measured latencies.",
        ),
        (
            "[serving]",
            '[serving]\nengine = "vlm"',
            "mine.toml, serving.engine: is not in the calibration, found 'vlm'; known: SGLang, TensorRT-LLM, vLLM.",
        ),
    ],
)
def test_the_wrong_scenario(said, old, new, sentence):
    assert said("plan fit.nc mine.toml --out new.nc", mine__toml=changed(YUN, old, new)) == sentence


def test_a_lifetime_without_what_is_served(said):
    lines = [line for line in YUN.splitlines() if not line.startswith("lifetime_tokens")]
    mine = "\n".join(['problems = ["lifetime_cost"]', *lines])
    assert (
        said("plan fit.nc mine.toml --out new.nc", mine__toml=mine)
        == "mine.toml, serving.lifetime_tokens: is needed by the problem 'lifetime_cost'; say how many output tokens will be served in all, such as { median = 1e13, log_sd = 0.5 }."
    )


def test_a_latency_table_without_a_column(said):
    mine = changed(YUN, "[serving]", '[serving]\nlatency_table = "times.csv"')
    times = "num_experts,n_gpus,n_dense,batch,decode_s\n4,1,1e8,1,0.1\n"
    assert (
        said("cost mixtral-8x7b mine.toml", mine__toml=mine, times__csv=times)
        == "times.csv, prefill_s: is missing from the latencies; they need num_experts, n_gpus, n_dense, batch, prefill_s, decode_s."
    )


def test_no_network(said, monkeypatch, tmp_path):
    monkeypatch.delenv(registry.MIRROR_VARIABLE, raising=False)
    monkeypatch.setattr(registry, "_cache", lambda: tmp_path / "cache")

    def unreachable(*_, **__):
        raise ConnectionError("Name or service not known")

    monkeypatch.setattr("pooch.retrieve", unreachable)
    assert (
        said("datasets fetch clark2022 --out clark.csv")
        == "https://raw.githubusercontent.com/google-deepmind/scaling_laws_for_routing/42da0c392b127df2c01fa7b705f72396050d05e5/data/curves.csv.gz: could not be downloaded (ConnectionError); check the network, or put the file clark2022_curves.csv.gz in the folder named by BAYESMOE_DATA_DIR."
    )
