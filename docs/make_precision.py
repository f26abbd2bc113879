"""Write ``docs/precision.md`` and its figure: the over-trained optimum with and without what few bits take from the loss.

``python docs/make_precision.py`` fits the simulated runs that come with the package, and plans cheapest serving and lowest lifetime cost for each precision.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

OUT, FIGURE = Path(__file__).with_name("precision.md"), Path(__file__).with_name("precision.png")
SPEC, WARMUP, DRAWS = "simulated-yun-grid", 300, 150
FLOP, CHIP, TOKENS, COUNTS = 1e23, "B200-SXM", 1e13, (1, 4, 16, 64)
PROBLEMS = ("cheapest_serving", "lifetime_cost")
FREE, TRAINED = {"quantization_loss_nats": 0.0}, {"quantization": "trained"}
ROWS = (
    ("bf16", "bf16", "–", {}),
    ("bf16", "fp8", "none", FREE),
    ("bf16", "fp8", "after training", {}),
    ("bf16", "fp4", "none", FREE),
    ("bf16", "fp4", "after training", {}),
    ("bf16", "fp4", "trained for it", TRAINED),
    ("fp8", "fp8", "in training", {}),
    ("fp4", "fp4", "in training", {}),
)
"""Precision of training and of serving, which price in loss is taken, and the keys of ``[serving]`` that say so."""

DENSE, ALONG = 7e9, np.geomspace(2.0, 2e5, 161)


def scenario_of(trained: Any, served: Any, more: dict[str, Any]) -> Any:
    """The scenario of a row."""
    import bayesmoe as bm
    from bayesmoe.planning.choices import ChoicesSpec

    return bm.Scenario(
        training=bm.Training(budget_flop=FLOP, precision=trained),
        serving=bm.Serving(accelerator=CHIP, precision=served, lifetime_tokens=TOKENS, **{**bm.workload("chat"), **more}),
        choices=ChoicesSpec(num_experts=COUNTS, baseline_num_experts=4),
        problems=PROBLEMS,
    )


def forgotten(design: Any, trained: str, served: str) -> str:
    """Band of what quantizing adds to a design, where a plan took it as nothing."""
    from bayesmoe.planning.precision_draws import precision_draws
    from bayesmoe.units import QUANTILES, band

    drawn = precision_draws(scenario_of(trained, served, {}), 4000)
    if drawn is None or drawn.quantization is None:
        return "–"
    run = {"n_active": design.n_active, "n_total": design.n_total, "tokens": design.tokens}
    return band(*np.quantile(np.asarray(drawn.quantization.loss(run)), QUANTILES))


def rows_of(fit: Any) -> dict[str, list[str]]:
    """Lines of the table of each problem."""
    import bayesmoe as bm
    from bayesmoe.units import band, experts, percent, short, significant

    lines: dict[str, list[str]] = {name: [] for name in PROBLEMS}
    for trained, served, price, more in ROWS:
        plan = bm.plan(fit, scenario_of(trained, served, more), allow_failed=True)
        for decision in bm.decide(plan, fit, advice=False):
            outcome, design = decision.closest, decision.closest.design
            ratio = decision.optimum(design.num_experts).bands["over_training_ratio"]
            added = forgotten(design, trained, served) if price in ("none", "after training") else "–"
            lines[decision.problem.name].append(
                f"| {trained} | {served} | {price} | {experts(design.num_experts)} | {short(design.n_active, 3)} of {short(design.n_total, 3)} | {short(design.tokens, 3)} | "
                f"{significant(design.tokens / design.n_active, 3)} | {band(*ratio)} | {band(*outcome.loss)} | {added} | {band(*outcome.serving_usd_per_million_tokens)} | "
                f"{band(*(outcome.lifetime_usd or ()), large=True)} | {percent(outcome.p_feasible)} |"
            )
    return lines


def draw(fit: Any) -> dict[str, float]:
    """The figure, and by precision the tokens per parameter at which the median loss turns."""
    import jax.numpy as jnp

    from bayesmoe.planning.build_surface import surfaces
    from bayesmoe.plots.style import OKABE_ITO, new_panels
    from bayesmoe.units import QUANTILES

    figure, (losses, prices) = new_panels(2, 9.6, 3.8)
    turns = {}
    for color, (served, label) in zip(OKABE_ITO, (("bf16", "bf16"), ("fp8", "FP8"), ("fp4", "FP4")), strict=False):
        (here,) = surfaces(fit, scenario_of("bf16", served, {})).values()
        ln_size = jnp.full((1, len(COUNTS), len(ALONG)), np.log(DENSE))
        found = here.quantities(ln_size, jnp.broadcast_to(jnp.asarray(ALONG * DENSE), ln_size.shape))
        loss, added = (np.asarray(values)[:, 0] for values in (found.loss, found.quantization_loss))
        low, middle, high = np.quantile(added, QUANTILES, axis=0)
        at = np.median(loss, axis=0)
        losses.plot(ALONG, at, color=color, label=label)
        turns[served] = float(ALONG[at.argmin()])
        if served != "bf16":
            prices.plot(ALONG, middle, color=color, label=label)
            prices.fill_between(ALONG, low, high, color=color, alpha=0.15, linewidth=0)
    for axes, title in ((losses, "median loss as served, nats per token"), (prices, "added by quantizing, nats per token")):
        axes.set_xscale("log")
        axes.set_xlabel("training tokens per parameter, dense 7B")
        axes.set_ylabel(title)
        axes.legend(frameon=False)
    prices.set_yscale("log")
    figure.savefig(FIGURE, dpi=110)
    return turns


def measured() -> list[str]:
    """Rows of public measurements beside the prior's band."""
    from bayesmoe.planning.precision_draws import shipped_precision_prior
    from bayesmoe.units import QUANTILES, band, short

    prior, lines = shipped_precision_prior(), []
    for number, row in enumerate(prior.measured):
        drawn = prior.after_training.draws(row.bits, 4000, np.random.default_rng(number))
        said = np.asarray(drawn.loss({"n_active": row.n, "n_total": row.n, "tokens": row.tokens}))
        lines.append(
            f"| {row.model} | {short(row.tokens, 2)} | {row.method} | {row.bits:g} | {row.loss_nats:.2g} | {band(*np.quantile(said, QUANTILES))} | {row.source} |"
        )
    return lines


HEAD = (
    "| trained in | served in | price in loss | recommended | active of total parameters | tokens | tokens per active parameter | over-training ratio | loss, nats per token | of it added by "
    "quantizing, or forgotten | USD per million output tokens | USD in all | goal met |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|"
)


def page(lines: dict[str, list[str]], turns: dict[str, float]) -> str:
    """The whole page."""
    from bayesmoe.planning.problems import problem_named
    from bayesmoe.units import significant

    parts = [
        "# Precision",
        f"Made by `python docs/make_precision.py`: the simulated runs of the package (`{SPEC}`), {FLOP:.0e} FLOP, served on {CHIP}, {TOKENS:.0e} output tokens in all, a chat's lengths, "
        f"{', '.join(map(str, COUNTS))} experts with 4 as the baseline.".replace("e+", "e"),
        "The loss of a plan is that of the model as it is served:",
        "```\nL(N_eff, D, E) + delta(N, D)\nN_eff = N (1 - exp(-P_w / gamma_w)) (1 - exp(-P_a / gamma_a))           training in P bits\ndelta = C_T D^gamma_D / N^gamma_N exp(-P_post / gamma_post)               quantizing after training\n```",
        "The form is that of Kumar et al. 2024 (arXiv:2411.04330). Its coefficients could not be read in any source and are not used: the prior, with what in it is measured and what is "
        "judged, is `models/priors/precision.toml`. One draw of coefficients holds for all candidates of a sample. N_eff is taken against 16 bits, as the runs that laws are fitted to are. For an MoE, N of delta lies "
        "between active and total parameters, where nobody measured it.",
        "Thresholds are losses as served, too: a target in nats is met by the model that answers, and the baseline's own threshold is that of the baseline served in the same precision. "
        '`serving.quantization_loss_nats` replaces the prior by a number of your own, 0 by nothing; `serving.quantization = "trained"` is quantization-aware training, which takes size in place of adding '
        "loss; `training.effective_size_share` is N_eff / N of your own.",
        "## The optimum with and without the price",
        '"None" takes fewer bits as free; the column of what quantizing adds then says what that plan forgets, and elsewhere what is in its loss.',
    ]
    for name in PROBLEMS:
        parts += [f"### {problem_named(name).title}", "\n".join([HEAD, *lines[name]])]
    more = ", ".join(
        f"{label} {'none up to' if turns[key] >= ALONG[-1] else 'at'} {significant(turns[key], 2)}"
        for key, label in (("bf16", "bf16"), ("fp8", "FP8"), ("fp4", "FP4"))
    )
    parts += [
        "## Where more data do harm",
        f"A dense model of 7B parameters, trained ever longer. The median loss turns, in tokens per parameter: {more}. A search for the fewest tokens of a loss ends at the turning point: a target below the "
        "lowest loss as served is met by no number of tokens.",
        "![Loss and what quantizing adds, by tokens per parameter](precision.png)",
        "## Public measurements and the prior",
        "ln of perplexity after quantization of the weights over perplexity before, on WikiText-2; the prior's 90% band for the same model and bits.",
        "| model | tokens | method | bits of a weight | added, nats | prior | source |\n|---|---|---|---|---|---|---|\n"
        + "\n".join(measured()),
        "FP8 of weights and activations is lossless on tasks (arXiv:2411.02355, abstract). Training in FP8 stayed within 0.25% of the loss of BF16 in DeepSeek-V3 (arXiv:2412.19437), in NVFP4 within 1 to 1.5% of "
        "that of FP8 at 12B parameters (arXiv:2509.25149); both as others quote them. No MoE and no 4-bit floating format was measured here in loss.",
    ]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Fit, plan, draw and write."""
    import jax

    from bayesmoe.files import write_text
    from bayesmoe.fitting import fit_spec
    from bayesmoe.inference.spec import read_fit_spec
    from bayesmoe.resources import or_packaged

    jax.config.update("jax_enable_x64", True)
    spec = read_fit_spec(or_packaged(SPEC, "specs"))
    fit = fit_spec(dataclasses.replace(spec, sampler=dataclasses.replace(spec.sampler, warmup=WARMUP, draws=DRAWS)))
    turns = draw(fit)
    write_text(OUT, page(rows_of(fit), turns))


if __name__ == "__main__":
    main()
