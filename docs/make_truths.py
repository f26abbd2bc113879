"""Write ``docs/truths.md``: how often the bands of averaged plans hold a truth that is known, because it was simulated.

``python docs/make_truths.py``. Truths are drawn from the priors of laws, some of which are in the average and some not. Finished tables
are kept in ``build/truths.jsonl``, so that an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
OUT = ROOT / "docs" / "truths.md"
KEPT = ROOT / "build" / "truths.jsonl"

BROKEN = "broken"
TRUTHS = {
    "dense": ("chinchilla", "kaplan", "nested", BROKEN),
    "MoE": ("yun", "effective-size", "krajewski", "zhao"),
}
OUTSIDE = (BROKEN, "krajewski", "zhao")
"""Truths that are no law of the average."""

EXPERTS = {"dense": (1,), "MoE": (1, 4, 16, 64)}
FACTORS = (10.0, 100.0)
NOISE = 0.004
LOSSES = (1.2, 8.0)


def broken(rng: np.random.Generator) -> Callable[[dict[str, Any]], Any]:
    """Chinchilla's law whose size exponent changes by up to a half around a billion parameters (Caballero et al., arXiv:2210.14891)."""
    alpha, beta = rng.uniform(0.25, 0.4, 2)
    change, floor = rng.uniform(-0.5, 0.5) * alpha, rng.uniform(1.4, 2.0)
    size, tokens = 0.8 * 1e8**alpha, 0.5 * 1e10**beta

    def loss(run: dict[str, Any]) -> Any:
        bend = (1.0 + (run["n_dense"] / 1e9) ** 2.0) ** (-change / 2.0)
        return floor + size * run["n_dense"] ** -alpha * bend + tokens * run["tokens"] ** -beta

    return loss


def of_law(name: str, design: Any, rng: np.random.Generator) -> Callable[[dict[str, Any]], Any]:
    """A law with parameters from its prior."""
    import jax

    from bayesmoe.laws import law_named, reference_run

    law = law_named(name)
    reference = reference_run(design, law)
    drawn = {c.name: c.to_support(c.mean + c.sd * rng.standard_normal()) for c in law.coordinates}
    parameters = law.to_paper(drawn, reference)
    over_runs = jax.jit(jax.vmap(lambda run: law.loss(parameters, run)))
    return lambda run: np.asarray(over_runs({key: np.atleast_1d(np.asarray(run[key], float)) for key in law.covariates}))


def simulated(kind: str, name: str, number: int) -> tuple[Any, Callable[[dict[str, Any]], Any]]:
    """A table, and the truth behind it: losses between 1.2 and 8 nats, lower for more compute, with an optimum inside all sizes."""
    from bayesmoe.architecture import Family
    from bayesmoe.runs.simulate import grid_of_runs, simulate_losses

    sizes, tokens = np.geomspace(3e7, 6e8, 5), np.geomspace(1e9, 3e10, 4 if kind == "dense" else 3)
    design = grid_of_runs(sizes.tolist(), tokens.tolist(), EXPERTS[kind], family=Family())
    rng = np.random.default_rng([sum(map(ord, kind + name)), number])
    for _ in range(1000):
        truth = broken(rng) if name == BROKEN else of_law(name, design, rng)
        losses = truth({key: design[key].to_numpy(float) for key in design.columns if key != "run_id"})
        if not (LOSSES[0] < losses.min() and losses.max() < LOSSES[1]):
            continue
        found = [best(truth, kind, factor * budget_of(design)) for factor in (1.0, *FACTORS)]
        inside = all(1e7 < one["n_dense"] < 1e12 for one in found)
        if inside and found[0]["loss"] > found[1]["loss"] > found[2]["loss"] > 1.0:
            return simulate_losses(design, truth, noise_scale=NOISE, seed=number), truth
    raise RuntimeError(f"no usable truth of {name}")


def budget_of(design: Any) -> float:
    """Training compute of the largest run, FLOP."""
    return 6.0 * float((design["n_active"] * design["tokens"]).max())


def best(truth: Callable[[dict[str, Any]], Any], kind: str, budget: float) -> dict[str, float]:
    """The truth's own optimum on a budget."""
    from bayesmoe.architecture import Family

    family, size = Family(), np.geomspace(1e6, 1e13, 8000)
    found = []
    for count in EXPERTS[kind]:
        tokens = budget / family.train_flop_per_token(size, float(count))
        run = family.run(size, tokens, float(count))
        loss = truth({key: np.broadcast_to(np.asarray(value, float), size.shape) for key, value in run.items()})
        at = int(np.argmin(loss))
        found.append({"num_experts": count, "n_dense": size[at], "tokens": tokens[at], "loss": float(loss[at])})
    return min(found, key=lambda one: one["loss"])


def measured(task: tuple[str, str, int]) -> dict[str, Any]:
    """Percentiles of one truth within the bands of an averaged fit, at each factor."""
    import jax

    from bayesmoe.costs.workload import Serving, Training
    from bayesmoe.forecasting.fit_average import fit_average
    from bayesmoe.inference.spec import AVERAGE, AverageSpec, DataSpec, FitSpec
    from bayesmoe.inference.store import FitInfo
    from bayesmoe.planning.build_surface import surfaces
    from bayesmoe.planning.choices import ChoicesSpec
    from bayesmoe.planning.scenario import Scenario
    from bayesmoe.runs import as_run_table
    from bayesmoe.sampling.settings import SamplerSpec

    jax.config.update("jax_enable_x64", True)
    kind, name, number = task
    frame, truth = simulated(kind, name, number)
    spec = FitSpec(
        data=DataSpec(file="simulated"), average=AverageSpec(), sampler=SamplerSpec(draws=250, warmup=600, retries=1)
    )
    fit = fit_average(spec, table=as_run_table(frame))
    rows = []
    for factor in FACTORS:
        budget = factor * budget_of(frame)
        scenario = Scenario(
            training=Training(budget_flop=budget, price_usd_per_gpu_hour=2.0),
            serving=Serving(price_usd_per_gpu_hour=2.0),
            choices=ChoicesSpec(num_experts=EXPERTS[kind], baseline_num_experts=EXPERTS[kind][0]),
        )
        right = best(truth, kind, budget)
        at = EXPERTS[kind].index(right["num_experts"])
        losses, sizes, counts = [], [], []
        for here in surfaces(fit, scenario).values():
            optimal = here.loss_optimal()
            sizes.append(np.asarray(optimal)[:, at])
            losses.append(np.asarray(here.loss(np.full(here.shape, np.log(right["n_dense"]))))[:, at])
            counts.append(np.asarray(here.loss(optimal)).argmin(axis=1))
        low, high = np.quantile(np.concatenate(counts), [0.05, 0.95], method="inverted_cdf")
        rows.append(
            {
                "factor": factor,
                "loss": float((np.concatenate(losses) < right["loss"]).mean()),
                "n_dense": float((np.concatenate(sizes) < np.log(right["n_dense"])).mean()),
                # The budget ties tokens to the size: the more of one, the less of the other.
                "tokens": float((np.concatenate(sizes) > np.log(right["n_dense"])).mean()),
                "experts_inside": bool(low <= at <= high),
            }
        )
    weights = fit[AVERAGE]["weight"]
    return {
        "kind": kind,
        "truth": name,
        "number": number,
        "weights": dict(zip(weights["law"].values.tolist(), weights.values.tolist(), strict=True)),
        "forward_coverage": (forward.coverage if (forward := FitInfo.read(fit).forward) else {}).get("0.9"),
        "rows": rows,
    }


def written(found: list[dict[str, Any]]) -> str:
    """The page."""

    def share(values: list[bool]) -> str:
        return f"{100 * np.mean(values):.0f}%" if values else "–"

    def inside(rows: list[dict[str, Any]], key: str) -> list[bool]:
        return [0.05 <= row[key] <= 0.95 for row in rows]

    lines = [
        "# Simulated truths",
        "",
        f"Made by `python docs/make_truths.py`: {len(found)} tables of runs simulated from truths that are known (parameters from the laws' priors,",
        f"noise {NOISE:g} in ln loss), an average of the default laws fitted to each, and a budget of 10 and of 100 times the largest run's. Cells: share",
        "of tables in which the 90% band held the truth. On a budget, tokens follow from the size, so either both bands hold or neither.",
        f"Truths marked * are no law of the average; `{BROKEN}` is Chinchilla's law with a size exponent that changes at a billion parameters.",
        "",
        "| | truth | tables | budget | loss at the true optimum | N* | tokens* | best expert count |",
        "|---|---|---|---|---|---|---|---|",
    ]
    groups: list[tuple[str, str, list[dict[str, Any]]]] = []
    for kind, names in TRUTHS.items():
        for name in names:
            here = [one for one in found if (one["kind"], one["truth"]) == (kind, name)]
            groups.append((kind, f"{name}{' *' if name in OUTSIDE else ''}", here))
        groups.append((kind, "all", [one for one in found if one["kind"] == kind]))
    groups.append(("all", "in the average", [one for one in found if one["truth"] not in OUTSIDE]))
    groups.append(("all", "not in it", [one for one in found if one["truth"] in OUTSIDE]))
    groups.append(("all", "all", found))
    for kind, name, here in groups:
        for factor in FACTORS:
            rows = [row for one in here for row in one["rows"] if row["factor"] == factor]
            experts = share(
                [
                    row["experts_inside"]
                    for one in here
                    if one["kind"] == "MoE"
                    for row in one["rows"]
                    if row["factor"] == factor
                ]
            )
            if rows:
                cells = [share(inside(rows, key)) for key in ("loss", "n_dense", "tokens")]
                lines.append(f"| {kind} | {name} | {len(rows)} | {factor:g}x | {' | '.join(cells)} | {experts} |")
    return "\n".join([*lines, ""])


def main() -> None:
    """Measure what is missing, then write the page."""
    from bayesmoe.files import write_text

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", type=int, default=6, help="Tables a truth.")
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    KEPT.parent.mkdir(exist_ok=True)
    kept = [json.loads(line) for line in KEPT.read_text().splitlines()] if KEPT.exists() else []
    done = {(one["kind"], one["truth"], one["number"]) for one in kept}
    tasks = [(kind, name, number) for number in range(given.tables) for kind, names in TRUTHS.items() for name in names]
    # A table at a time, so that all cores are busy to the end; spawned, as JAX must not be forked.
    with multiprocessing.get_context("spawn").Pool(given.jobs) as pool, KEPT.open("a") as lines:
        for one in pool.imap_unordered(measured, [task for task in tasks if task not in done]):
            kept.append(one)
            print(json.dumps(one), file=lines, flush=True)
            print(f"{len(kept)} of {len(tasks)}: {one['kind']} {one['truth']} {one['number']}", flush=True)
    write_text(OUT, written(kept))


if __name__ == "__main__":
    main()
