"""Write ``docs/repetition.md``: what repeated tokens are worth in public runs, how well few passes forecast many, and what plans make of limited data.

``python docs/make_repetition.py FOLDER`` reads the tidy tables from FOLDER (see the data cards for what they are); the plans take the shipped spec
``olmoe3-ladder``, whose public table must be here (``BAYESMOE_DATA_DIR``). Each finished part is a line of ``build/repetition.jsonl``, so that a run that was stopped
goes on where it stopped; remove the file to make all anew.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

ROOT = Path(__file__).parents[1]
OUT, FIGURE = ROOT / "docs" / "repetition.md", ROOT / "docs" / "repetition.png"
KEPT = ROOT / "build" / "repetition.jsonl"

USED = (
    "tokens > 1e9 and unique_tokens >= 1e9 and size_unsure == 0 and perhaps_undecayed == 0 and group == 'datablations-c4' "
    "and diverged == 0 and other_config == 0 and copied_value == 0"
)
"""Runs of the public study that its card does not doubt, of at least 1e9 distinct tokens: fewer are over-fitted within a few passes."""

FEW, PLANNED = "epochs <= 4", "epochs > 4 and epochs <= 40"
LAWS = ("chinchilla", "nested")
KINDS = ("fitted", "saturating", "fresh", "muennighoff", "wu")
SAID = {
    "fitted": "decays fitted to the few passes",
    "saturating": "decays fitted, without overfitting",
    "fresh": "repeats count as fresh",
    "muennighoff": "decays of Muennighoff 2023",
    "wu": "decays of Wu 2026",
}
LEVELS = (0.5, 0.8, 0.9)
UNIQUE = 15e12
BUDGETS = (1e24, 1e25, 1e26)
COUNTS = (1, 8, 16, 32, 64, 128, 256, 512)
GROUP, FAMILY = "olmoe3-a0", {"top_k": 4, "granularity": 2.0, "moe_share": 0.5}


def fitted(frame: pd.DataFrame, law: str, kind: str, size: str = "n_active") -> Any:
    """A fit to runs: with decays of its own, without repetition, or with those of a paper."""
    import bayesmoe as bm
    from bayesmoe.laws.repetition import MUENNIGHOFF, WU

    published = {"muennighoff": MUENNIGHOFF, "wu": WU, "saturating": {"overfitting": 0.0}}.get(kind, {})
    # A coordinate that is positive cannot be nothing.
    priors = {name: bm.PriorSpec(median=max(value, 1e-9), sd=1e-3) for name, value in published.items()}
    spec = bm.LawSpec(name=law, size=size, repetition=kind != "fresh", priors=priors)
    noise = bm.NoiseSpec(depends_on=("ratio", "seed"), where_known=True)
    return bm.fit(frame, law=spec, noise=noise, sampler={"seed": 1, "draws": 500}, progress=False)


def bands_of(fit: Any) -> dict[str, list[float]]:
    """5%, 50% and 95% quantiles of what repetition is made of, and the gate."""
    from bayesmoe.laws.repetition import PART

    posterior = fit["posterior"].dataset
    return {one.name: np.quantile(posterior[one.name].values, [0.05, 0.5, 0.95]).tolist() for one in PART}


def refit(frame: pd.DataFrame, size: str) -> dict[str, Any]:
    """What a table says of the decays."""
    import bayesmoe as bm

    fit = fitted(frame, "chinchilla", "fitted", size)
    return {"runs": len(frame), "most": float(frame["epochs"].max()), "gate": bm.check(fit).verdict, **bands_of(fit)}


def forecast(runs: pd.DataFrame, law: str, kind: str) -> dict[str, Any]:
    """Percentile and score of every run of more than four passes, from runs of at most four."""
    import bayesmoe as bm
    from bayesmoe.forecasting.scores import crps

    asked = runs.query("epochs > 4")
    draws = bm.predict(fitted(runs.query(FEW), law, kind), asked)["loss"].values
    observed = asked["loss"].to_numpy()
    # Noise of heavy tails now and then takes a loss below zero, which has no logarithm.
    score = crps(np.log(np.maximum(draws, 0.1)), np.log(observed))
    return {
        "epochs": asked["epochs"].tolist(),
        "below": (draws < observed).mean(axis=0).tolist(),
        "crps": score.tolist(),
        "miss": np.log(np.median(draws, axis=0) / observed).tolist(),
    }


def plans() -> list[dict[str, Any]]:
    """Designs on each budget, with data limited and not."""
    import bayesmoe as bm
    from bayesmoe.inference.spec import read_fit_spec
    from bayesmoe.planning.scenario import in_group
    from bayesmoe.resources import or_packaged

    spec = read_fit_spec(or_packaged("olmoe3-ladder", "specs"))
    fit = bm.fit(dataclasses.replace(spec, sampler=dataclasses.replace(spec.sampler, warmup=400, draws=150)), progress=False)
    found = []
    for budget in BUDGETS:
        for limits in ({}, {"unique_tokens": UNIQUE}, {"unique_tokens": UNIQUE, "max_epochs": 1.0}):
            scenario = bm.Scenario(
                training=bm.Training(budget_flop=budget),
                serving=bm.Serving(accelerator="H100-SXM", precision="fp8", max_gpus=512),
                choices={"num_experts": COUNTS, "baseline_num_experts": 8},
                architecture=FAMILY,
                limits=limits,
                problems=("lowest_loss",),
            )
            plan = bm.plan(fit, in_group(scenario, GROUP), allow_failed=True)
            found.append({"budget": budget, "limits": limits, **optima_of(plan)})
    return found


def optima_of(plan: Any) -> dict[str, Any]:
    """Medians and bands of each draw's best design of a plan, and how often each count is best."""
    part = plan.isel(problem=0)
    loss = np.where(part["feasible"].values, part["loss"].values, np.inf)
    best = loss.argmin(axis=0)
    some = np.isfinite(loss.min(axis=0))
    at = {
        name: np.take_along_axis(part[name].values, best[None], axis=0)[0][some]
        for name in ("tokens", "n_active", "n_total", "loss")
    }
    counts = part["num_experts"].values
    return {
        **{name: np.quantile(value, [0.05, 0.5, 0.95]).tolist() for name, value in at.items()},
        "share": {int(count): float((counts[best[some]] == count).mean()) for count in counts},
        "experts": np.quantile(counts[best[some]], [0.05, 0.5, 0.95], method="nearest").tolist(),
    }


def steps(folder: Path) -> dict[str, Callable[[], Any]]:
    """Every part of the page by its name."""
    runs = pd.read_csv(folder / "datablations.csv").query(USED)
    other = pd.read_csv(folder / "data_repetition_runs.csv").query("tokens > 1e9 and unique_tokens >= 1e9")
    other = other.assign(num_experts=1)
    found: dict[str, Callable[[], Any]] = {
        f"forecast {law} {kind}": lambda law=law, kind=kind: forecast(runs, law, kind) for law in LAWS for kind in KINDS
    }
    found |= {
        "refit few": lambda: refit(runs.query(FEW), "n_active"),
        "refit planned": lambda: refit(runs.query("epochs <= 40"), "n_active"),
        "refit all": lambda: refit(runs, "n_active"),
        "refit other": lambda: refit(other, "n_total"),
    }
    return found | {"plans": plans}


def done(folder: Path) -> dict[str, Any]:
    """Results of all parts; those that a run before has finished are read back."""
    KEPT.parent.mkdir(exist_ok=True)
    kept = [json.loads(line) for line in KEPT.read_text().splitlines()] if KEPT.exists() else []
    found = {one["name"]: one["found"] for one in kept}
    for name, make in steps(folder).items():
        if name not in found:
            print(name, file=sys.stderr, flush=True)
            found[name] = make()
            with KEPT.open("a", encoding="utf-8") as lines:
                print(json.dumps({"name": name, "found": found[name]}), file=lines)
    return found


PARTS = {
    "repeat_decay": "R_D\\*",
    "excess_decay": "R_N\\*",
    "size_per_token": "parameters per distinct token",
    "overfitting": "overfitting, nats",
}
REFITS = {
    "refit few": "datablations, at most 4 passes",
    "refit planned": "datablations, at most 40 passes",
    "refit all": "datablations, all",
    "refit other": "data_repetition_runs, all (sizes with embeddings, nothing sorted out)",
}
SETS = {"over 4 and at most 40 passes": 40.0, "all over 4 passes": np.inf}


def of_decays(found: dict[str, Any]) -> list[str]:
    """The section on what the tables say of the decays."""
    from bayesmoe.laws.repetition import MUENNIGHOFF, PART, WU
    from bayesmoe.units import band

    def row(name: str, runs: str, cells: dict[str, str], gate: str) -> str:
        return f"| {name} | {runs} | " + " | ".join(cells[part] for part in PARTS) + f" | {gate} |"

    rows = []
    for step, name in REFITS.items():
        one = found[step]
        rows.append(row(name, str(one["runs"]), {part: band(*one[part]) for part in PARTS}, one["gate"]))
    for name, values in (("Muennighoff et al. 2023", MUENNIGHOFF), ("Wu et al. 2026, dense", WU)):
        rows.append(row(name, "–", {part: f"{values[part]:.3g}" for part in PARTS}, "–"))
    prior = {one.name: band(*(float(one.to_support(one.mean + z * one.sd)) for z in (-1.645, 0.0, 1.645))) for one in PART}
    rows.append(row("prior", "–", prior, "–"))
    planned = found["refit planned"]
    held = [
        name
        for name, values in (("Muennighoff's", MUENNIGHOFF), ("Wu's", WU))
        if all(planned[part][0] <= values[part] <= planned[part][2] for part in ("repeat_decay", "excess_decay"))
    ]
    return [
        "## What public runs say",
        "",
        "Chinchilla's law with repetition, fitted to runs of at least 1e9 tokens and as many distinct ones; medians and central 90% of draws.",
        "",
        "| runs | number | " + " | ".join(PARTS.values()) + " | gate |",
        "|---|---|" + "---|" * len(PARTS) + "---|",
        *rows,
        "",
        f"The bands of the runs of at most 40 passes hold {' and '.join(held) or 'neither'} pair. Why the numbers differ between rows:",
        "",
        "- Muennighoff's pair was fitted with A, B, E and the exponents held at values of other runs, which lie about 0.2 nats below these; here they are fitted together. "
        "And there N' is in force at one epoch too, here it comes in with the repeats.",
        "- Wu's runs are of another study, of sparse training and smaller models. The prior averages both pairs: its middle lies between them, and its band holds both.",
        "- Neither form has a term for overfitting, so that its decays hold it too: where models that are large for their data over-fit, repeats seem to fade sooner. With the term R_D\\* comes "
        "out longer, and longer still with more passes; overfitting itself comes out alike from runs of few and of many. The worth of repeats is not a constant of nature but of the form and the range of passes; plans stop at 40.",
        "- Dependence on the density of weights (Wu) is in `bayesmoe.laws.repetition` as functions; no fit reads it, as no table here has such a column.",
        "",
    ]


def of_forecasts(found: dict[str, Any], runs: pd.DataFrame) -> list[str]:
    """The section on forecasts of many passes from few."""
    from bayesmoe.units import percent

    lines = [
        "## Many passes from few",
        "",
        f"Runs of more than 4 passes, forecast from the {found['refit few']['runs']} runs of at most 4, with noise by ratio and seed. The law is fitted anew for each row; the decays of a paper are held at "
        "its values. Seeds of one configuration err together, so that a configuration counts once; coverage with every run counted is beside it. CRPS of ln loss, by configuration and with every run counted.",
        "",
        "| runs asked | law | repeats | in the 50% band | 80% | 90% | 90%, every run | CRPS | CRPS, every run | median miss of ln loss |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    held = runs.query("epochs > 4")
    weight = 1.0 / held.groupby(["n_active", "tokens", "unique_tokens"])["loss"].transform("size").to_numpy()
    for name, most in SETS.items():
        for law in LAWS:
            for kind in KINDS:
                one = {key: np.array(value) for key, value in found[f"forecast {law} {kind}"].items()}
                asked = one["epochs"] <= most
                off, own = np.abs(one["below"][asked] - 0.5), weight[asked]
                cells = [percent(float(np.average(off <= level / 2, weights=own))) for level in LEVELS]
                cells.append(percent(float((off <= LEVELS[-1] / 2).mean())))
                score, miss = np.average(one["crps"][asked], weights=own), np.median(one["miss"][asked])
                asked_for = f"{name} ({asked.sum()} of {own.sum():.0f} configurations)"
                scores = f"{score:.4f} | {one['crps'][asked].mean():.4f}"
                lines.append(f"| {asked_for} | {law} | {SAID[kind]} | {' | '.join(cells)} | {scores} | {miss:+.4f} |")
    return [
        *lines,
        "",
        "The bands are those of one law, without a discrepancy: an average (`bayesmoe fit` of no named law) adds one along size and tokens, and none along passes. Without the term for overfitting "
        "the forecast of a model that is large for its data levels off where its loss turns and rises; with it the bands of few passes are a little wider, as they hardly know the term.",
        "",
    ]


def of_plans(found: dict[str, Any]) -> list[str]:
    """The section on plans of limited data."""
    from bayesmoe.units import band, experts, percent, short

    lines = [
        f"## Plans with {short(UNIQUE)} distinct tokens",
        "",
        "Shipped spec `olmoe3-ladder`, whose runs have one epoch: what repeats are worth comes from the prior. Lowest loss at a serving cost no higher than that of the loss-optimal 8-expert model, on H100-SXM in FP8; "
        f"each draw with its own optimum. These budgets lie far beyond the runs, and {max(COUNTS)} experts are the most offered: read how the choice moves, not the losses.",
        "",
        "![Passes, size and experts by budget, with data limited and not](repetition.png)",
        "",
        "| FLOP | data | passes | active parameters, 1e9 | total, 1e9 | experts, most often best | loss |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in found["plans"]:
        passes = band(*(value / UNIQUE for value in one["tokens"]))
        sizes = [band(*(value / 1e9 for value in one[name])) for name in ("n_active", "n_total")]
        often = sorted(one["share"].items(), key=lambda each: -each[1])[:2]
        counts = ", ".join(f"{experts(int(count))} {percent(share)}" for count, share in often)
        lines.append(
            f"| {one['budget']:.0e} | {data_of(one)} | {passes} | {sizes[0]} | {sizes[1]} | {counts} | {band(*one['loss'])} |".replace(
                "e+", "e"
            )
        )
    return [*lines, ""]


def data_of(plan: dict[str, Any]) -> str:
    """What a plan was given of data, in words."""
    limits = plan["limits"]
    if not limits:
        return "no limit: as if repeats were fresh"
    return "one pass at most" if "max_epochs" in limits else "repeats worth less"


def drawn(found: dict[str, Any]) -> Any:
    """Passes, size and experts by budget."""
    from bayesmoe.plots.style import OKABE_ITO, new_panels

    figure, panels = new_panels(3)
    kinds = list(dict.fromkeys(map(data_of, found["plans"])))
    titles = ("passes over 15e12 tokens", "active parameters", "experts of the best design")
    for axes, name, title in zip(panels, ("tokens", "n_active", "experts"), titles, strict=True):
        for number, kind in enumerate(kinds):
            own = [one for one in found["plans"] if data_of(one) == kind]
            low, middle, high = np.array([one[name] for one in own]).T / (UNIQUE if name == "tokens" else 1.0)
            x = np.array([one["budget"] for one in own]) * 1.06 ** (number - 1)
            axes.errorbar(
                x, middle, (middle - low, high - middle), color=OKABE_ITO[number], marker="o", label=kind, capsize=2
            )
        axes.set(xscale="log", yscale="log", xlabel="training FLOP", title=title)
    panels[2].set_yscale("log", base=2)
    panels[2].yaxis.set_major_formatter("{x:g}")
    panels[0].axhline(1.0, color="0.6", linewidth=0.8)
    panels[0].legend(frameon=False, fontsize=7)
    return figure


def written(found: dict[str, Any], folder: Path) -> str:
    """The page."""
    return "\n".join(
        [
            "# Repeated data",
            "",
            f"Made by `python docs/make_repetition.py {folder.name}` from `datablations.csv` and `data_repetition_runs.csv` (Muennighoff et al. 2023, arXiv:2305.16264) and a shipped spec.",
            "",
            "With U distinct tokens of D trained on, N parameters, U_N = U times `size_per_token` and o for overfitting, a law L(N, D) becomes",
            "",
            "```",
            "L(N (N'/N)^s, D') + o ln(D/U)^2 ln(1 + N/U)",
            "s  = ln(D'/U) / ln(1 + R_D*)",
            "D' = U + U R_D* (1 - exp(-(D/U - 1)/R_D*))",
            "N' = U_N + U_N R_N* (1 - exp(-(N/U_N - 1)/R_N*))   beyond U_N, else N",
            "```",
            "",
            "which is the law itself where no token repeats. See [plans](how-to/plan.md) and [your own table](how-to/own-table.md) for how to use it.",
            "",
            *of_decays(found),
            *of_forecasts(found, pd.read_csv(folder / "datablations.csv").query(USED)),
            *of_plans(found),
        ]
    )


def main() -> None:
    """Make what is missing, then write page and figure."""
    import jax

    from bayesmoe.files import write_text

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    jax.config.update("jax_enable_x64", True)
    found = done(folder)
    write_text(OUT, written(found, folder))
    drawn(found).savefig(FIGURE, dpi=130, facecolor="white")


if __name__ == "__main__":
    main()
