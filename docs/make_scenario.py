"""Write ``docs/scenario.md``: every key of a scenario, from the dataclasses that read it. ``python docs/make_scenario.py``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from docstrings import prose, table

from bayesmoe.costs.hardware import ACCELERATORS, USUAL
from bayesmoe.costs.precisions import BYTES_PER_WEIGHT
from bayesmoe.costs.uncertain import Uncertain, UncertainShare
from bayesmoe.planning.problems import all_problems
from bayesmoe.planning.quantities import QUANTITIES
from bayesmoe.planning.reference import Key, keys
from bayesmoe.planning.scenario import MOST_TOKENS_PER_PARAMETER
from bayesmoe.planning.words import KV_SHARES
from bayesmoe.units import BYTES_PER_GB

PAGE = Path(__file__).parent / "scenario.md"

BEGINNING = """# Scenarios

A scenario is one TOML file. Every price, length, share and demand is a number or `{ median = 2.0, log_sd = 0.2 }`, log-normal. Only `[training]`
with its budget and `[serving]` are required; `bayesmoe init` writes one to edit, and `bayesmoe plan fit.nc yun-2024` takes it as it comes with the package.
This page is made by `python docs/make_scenario.py` from the code that reads scenarios.

```toml
problems = ["cheapest_serving", "lowest_loss"]

[training]
budget_usd = 10e6             # or budget_flop = 5e21
accelerator = "H100"
mfu = { median = 0.4, log_sd = 0.15 }

[choices]
num_experts = [1, 8, 16, 32, 64, 128]
baseline_num_experts = 8

[serving]
accelerator = "H100"
precision = "FP8"
max_gpus = 8                  # of one replica
max_tpot_s = 0.025
prompt_tokens = 1200
output_tokens = 400

[traffic]
users = { median = 50e6, log_sd = 0.3 }
requests_per_user_per_day = 10
days = 365

[limits]
unique_tokens = 15e12
max_epochs = 2
constraints = ["n_total <= 600e9"]
```
"""

ASK = """## What to ask

A threshold that is left out is the baseline's own at its loss optimum on the budget, in each draw. Thresholds that are given are kept exactly; the baseline's,
within `[tolerance]`. Losses and thresholds of loss are those of models as they are served: where serving has fewer bits than training, what that takes is in them, and the
baseline is served in the same precision ([Precision](precision.md)).
"""

AFTER = """## Names

Names are read in any case, with or without separators, and with what vendors print beside them: `"h100 sxm"`, `"NVIDIA H100 80GB HBM3"`,
`"float8"`. {usual} stand for their name without a form factor, which is then printed. An accelerator of your own is a TOML file with the
fields of the table: `accelerator = "mine.toml"`.

{accelerators}

Precisions are {precisions}. FP8 and FP4 (NVFP4) are refused on a chip that does not compute in them. `architecture.kv_share` takes
{attention}, and `"gqa-4"` for four query heads to each of keys and values.

## Traffic

`[traffic]` becomes `serving.lifetime_tokens` and `limits.output_tokens_per_s` when the scenario is read, and what it became is printed. Users
and requests multiply with `serving.output_tokens`.

## What is refused

A value outside the plausible range of its key, or a spread above `log_sd = 3`, is refused with what to write; so is a budget that would train the largest
model that fits on more than {most:g} tokens for each parameter, and no design beyond that is ever recommended.

## Constraints

A constraint is a comparison of {quantities}, with arithmetic, `and`, `or`, `not`, and `abs`, `exp`, `log`, `log2`, `log10`, `sqrt`, `min`, `max`: `"20 <= tokens / n_active <= 400 and n_gpus <= 4"`.

## What comes back

Two answers, which differ:

- **Per-draw optimum**: every posterior draw chooses its own best size. Bands, the probability of being best and expected regret are of these; they
  say what is uncertain.
- **Recommended design**: one size and token count for all draws, in a shape of whole numbers, best in expectation among those that keep every constraint with the
  scenario's probability; with its mean, 95% quantile, mean of the worst twentieth and worst draw.

The expected opportunity loss is the expected regret of the second against the best option of each draw. `bayesmoe next-run` says which run would save most of it, and
`bayesmoe sensitivity` which number of the scenario moves it.
"""

READS = {
    "cheapest_serving": "`limits.loss_nats`",
    "lowest_loss": "`limits.serving_usd_per_million_tokens`",
    "lifetime_cost": "`serving.lifetime_tokens`, `limits.loss_nats`",
    "lifetime_flop": "`serving.lifetime_tokens`, `limits.loss_nats`",
    "memory_limited": "`limits.memory_bytes`, `limits.cached_tokens`",
    "equal_resources": "`limits.n_total_parameters`",
    "fixed_hardware": "`serving.max_tpot_s`, `serving.max_ttft_s`, `serving.fleet_gpus`, `limits.output_tokens_per_s`",
    "efficiency_leverage": "dense among the choices",
}


def page() -> str:
    """The whole page."""
    asked = table(
        ("problem", "answer", "source", "reads"),
        [(f"`{one.name}`", one.title, one.source, READS.get(one.name, "")) for one in all_problems],
    )
    sections = dict.fromkeys(one.section for one in keys())
    parts = [BEGINNING.rstrip(), ASK.rstrip(), asked, "## Keys"]
    for section in sections:
        rows = [_row(one) for one in keys() if one.section == section]
        heading = f"### [{section}]" if section else "### Before the first heading"
        parts += [heading, table(("key", "meaning", "unit", "values", "default", "source of the default"), rows)]
    chips = table(
        ("accelerator", "bf16 TFLOP/s", "fp8 TFLOP/s", "memory, GB", "TB/s", "USD per hour, assumed", "source"),
        [
            (
                f"`{name}`",
                f"{chip.peak_flop_per_s / 1e12:g}",
                f"{chip.peak_fp8_flop_per_s / 1e12:g}",
                f"{chip.memory_bytes / BYTES_PER_GB:g}",
                f"{chip.bandwidth_bytes_per_s / 1e12:g}",
                _value(chip.price_usd_per_hour),
                chip.source,
            )
            for name, chip in ACCELERATORS.items()
        ],
    )
    after = AFTER.format(
        usual=" and ".join(f"`{one}`" for one in USUAL),
        accelerators=chips,
        precisions=", ".join(f"`{one}`" for one in BYTES_PER_WEIGHT),
        attention=", ".join(f'`"{word}"` ({share:.3g})' for word, share in KV_SHARES.items()),
        most=MOST_TOKENS_PER_PARAMETER,
        quantities=", ".join(f"`{name}`" for name in QUANTITIES),
    )
    return "\n\n".join([*parts, after.rstrip()]) + "\n"


def _row(one: Key) -> tuple[str, ...]:
    about = one.about
    allowed = one.allowed
    if about.plausible:
        allowed = f"{allowed}; plausible: {about.plausible}"
    return (f"`{one.key}`", prose(one.says), about.unit, prose(allowed), _value(one.default), about.source)


def _value(default: Any) -> str:
    if default is None:
        return ""
    if isinstance(default, Uncertain | UncertainShare):
        return f"`{{ median = {default.median:g}, log_sd = {default.log_sd:g} }}`"
    if isinstance(default, tuple):
        return f"`[{', '.join(_bare(each) for each in default)}]`"
    return f"`{_bare(default)}`"


def _bare(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else f"{value:.5g}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
