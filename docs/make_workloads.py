"""Write ``docs/workloads.md``: which expert count is cheapest to serve by kind of use, and why they differ.

``python docs/make_workloads.py`` fits the three shipped specs, whose public tables must be here (``BAYESMOE_DATA_DIR``), and plans the cheapest serving at
bounded loss for each kind of use.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from make_training_budgets import DRAWS, FITS, WARMUP

OUT = Path(__file__).with_name("workloads.md")
FLOP, CHIP, TOKENS = 1e22, "H100-SXM", 1e13
USES = ("batch", "chat", "code", "agent", "long_chat")
PARTS = {
    "reading weights and cache": ("memory",),
    "expert matrices": ("experts", "activations"),
    "prompts and other arithmetic": ("prefill", "compute"),
    "the rest": ("layer", "moe_layer", "hop", "request", "communication"),
}


def decision_of(fit: Any, use: str, asked: dict[str, Any]) -> tuple[Any, Any]:
    """The decision for one kind of use, and its scenario."""
    import bayesmoe as bm
    from bayesmoe.planning.scenario import in_group

    scenario = bm.Scenario(
        training=bm.Training(budget_flop=FLOP),
        serving=bm.Serving(accelerator=CHIP, precision="fp8", lifetime_tokens=TOKENS, **bm.workload(use)),
        problems=("cheapest_serving",),
        goal="cheapest_serving",
    )
    shaped = dataclasses.replace(scenario.architecture, **asked.get("architecture", {}))
    scenario = in_group(dataclasses.replace(scenario, architecture=shaped), asked.get("group"))
    plan = bm.plan(fit, scenario, allow_failed=True)
    return bm.decide(plan, advice=False)[0], scenario


def row_of(name: str, use: str, fit: Any, asked: dict[str, Any]) -> str:
    """A line: the recommended count, the counts that are best most often, and what a step of the recommended design goes into."""
    import bayesmoe as bm
    from bayesmoe.units import band, experts, percent

    decision, scenario = decision_of(fit, use, asked)
    design, best = decision.closest.design, sorted(decision.optima, key=lambda one: -one.p_best)[:3]
    often = ", ".join(f"{experts(one.num_experts)} {percent(one.p_best)}" for one in best)
    said = experts(design.num_experts) + ("" if decision.recommended is not None else " (closest)")
    shape, shares = decision.shape, "–"
    if shape is not None:
        step = bm.cost([shape], scenario.training, scenario.serving, draws=500)["term_share"].isel(architecture=0)
        found = {what: float(step.sel(term=list(terms)).sum()) for what, terms in PARTS.items()}
        shares = ", ".join(f"{what} {percent(share)}" for what, share in sorted(found.items(), key=lambda one: -one[1]))
    cost = band(*decision.closest.serving_usd_per_million_tokens)
    return f"| {name} | {use} | {said} | {often} | {cost} | {shares} |"


def main() -> None:
    """Fit, plan and write."""
    import jax

    from bayesmoe.files import write_text
    from bayesmoe.fitting import fit_spec
    from bayesmoe.inference.spec import read_fit_spec
    from bayesmoe.resources import or_packaged

    jax.config.update("jax_enable_x64", True)
    rows = []
    for name, asked in FITS.items():
        spec = read_fit_spec(or_packaged(name, "specs"))
        fit = fit_spec(dataclasses.replace(spec, sampler=dataclasses.replace(spec.sampler, warmup=WARMUP, draws=DRAWS)))
        rows += [row_of(name, use, fit, asked) for use in USES]
    lines = [
        "# Expert counts by kind of use",
        "",
        f"Made by `python docs/make_workloads.py`: the three shipped fits, {FLOP:.0e} FLOP, served in FP8 on up to 8 {CHIP}, {TOKENS:.0e} output tokens in all. Cheapest serving at a loss no higher than".replace(
            "e+", "e"
        ),
        "the baseline's; kinds of use are those of `serving.workload` (see [scenarios](scenario.md)).",
        "",
        "| fit | use | recommended | most often best, each draw with its own size | USD per million output tokens | a step of the recommended design goes into |",
        "|---|---|---|---|---|---|",
        *rows,
        "",
        "What a prompt takes, arithmetic and a cache that is read back with every token, grows with the backbone and not with the experts. With long prompts it is most of the time, and more",
        "experts reach the same loss with a smaller backbone; with short ones a step waits for weights, of which more experts have more.",
        "",
    ]
    write_text(OUT, "\n".join(lines))


if __name__ == "__main__":
    main()
