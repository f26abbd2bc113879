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
KINDS = ("fitted", "fresh", "muennighoff", "wu")
SAID = {
    "fitted": "decays fitted to the few passes",
    "fresh": "repeats count as fresh",
    "muennighoff": "decays of Muennighoff 2023",
    "wu": "decays of Wu 2026",
}
LEVELS = (0.5, 0.8, 0.9)
UNIQUE = 15e12
BUDGETS = (1e24, 1e25, 1e26)
COUNTS = (1, 4, 8, 16, 32, 64, 128)
GROUP, FAMILY = "olmoe3-a0", {"top_k": 4, "granularity": 2.0, "moe_share": 0.5}


def fitted(frame: pd.DataFrame, law: str, kind: str, size: str = "n_active") -> Any:
    """A fit to runs: with decays of its own, without repetition, or with those of a paper."""
    import bayesmoe as bm
    from bayesmoe.laws.repetition import MUENNIGHOFF, WU

    published = {"muennighoff": MUENNIGHOFF, "wu": WU}.get(kind, {})
    priors = {name: bm.PriorSpec(median=value, sd=1e-3) for name, value in published.items()}
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
    fit = bm.fit(dataclasses.replace(spec, sampler=dataclasses.replace(spec.sampler, warmup=400, draws=300)), progress=False)
    found = []
    for budget in BUDGETS:
        for limits in ({}, {"unique_tokens": UNIQUE}, {"unique_tokens": UNIQUE, "max_epochs": 1.0}):
            scenario = bm.Scenario(
                training=bm.Training(budget_flop=budget),
                serving=bm.Serving(accelerator="H100-SXM", precision="fp8", max_gpus=64),
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


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    done(parser.parse_args().folder)
