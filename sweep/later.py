"""The test of a plan: ``python -m sweep.later plan`` writes what the sweep says of a larger budget, ``python -m sweep.later train`` trains it.

``plan.json`` is committed before any of its designs is trained. It has the Decision as ``bayesmoe plan --json`` prints it, the designs, which are
the recommended one, its two nearest alternatives and two that it advises against, and draws of the loss of each from the fit.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from bayesmoe.files import write_text
from sweep.design import LAYERS, run
from sweep.run import HERE, STATE, counts, rows_of, said, train_all
from sweep.train import CALL_TOKENS, Run

PLAN = HERE / "plan.json"
LATER = HERE / "later.jsonl"
SEEDS = (0, 1)
DRAWS = 1000
"""Draws of a design's loss that are kept."""

TOO_SMALL = 1 / 4
"""Size, in those of the recommended design, of one that the plan advises against: over-trained."""


class Designed(NamedTuple):
    """A design to train.

    Attributes
    ----------
    role : str
        What the plan says of it.
    num_experts, d_model, tokens : int
        Experts, width and training tokens.
    """

    role: str
    num_experts: int
    d_model: int
    tokens: int

    def run(self, seed: int = 0) -> Run:
        """The run, at the learning rate of the rule."""
        return run(self.d_model, self.tokens, self.num_experts, seed)


def width_of(n_dense: float) -> int:
    """The width whose backbone is nearest in ln size, of those that heads divide: multiples of 12, and of their number of heads."""
    widths = [d for d in range(12, 600, 12) if d % max(1, d // 24) == 0]
    return min(widths, key=lambda d: abs(math.log(12 * LAYERS * d * d / n_dense)))


def designed(role: str, num_experts: int, n_dense: float, budget_flop: float) -> Designed:
    """A design of a budget: 6 n_dense tokens, in whole calls."""
    d_model = width_of(n_dense)
    calls = round(budget_flop / (6 * 12 * LAYERS * d_model**2) / CALL_TOKENS)
    return Designed(role, num_experts, d_model, calls * CALL_TOKENS)


def designs_of(decision: Any, budget_flop: float) -> list[Designed]:
    """What is trained of a decision, the recommended design first."""
    outcome = decision.outcome
    best = outcome.design
    others = [one for one in decision.optima if one.num_experts != best.num_experts]
    by_regret = sorted(others, key=lambda one: one.expected_regret)
    size = {one.design.num_experts: one.design.n_dense for one in decision.designs}
    asked = [("recommended", best.num_experts, best.n_dense)]
    asked += [("alternative", one.num_experts, size[one.num_experts]) for one in by_regret[:2]]
    worst = by_regret[-1].num_experts
    asked += [("advised against: its count", worst, size[worst])]
    asked += [("advised against: its size", best.num_experts, TOO_SMALL * best.n_dense)]
    return [designed(role, count, n_dense, budget_flop) for role, count, n_dense in asked]


def frame_of(designs: list[Designed]) -> pd.DataFrame:
    """Designs as rows of a run table."""
    rows = [
        {**counts(one.run().model, one.tokens), "num_experts": one.num_experts, "tokens": one.tokens, "run_id": str(number)}
        for number, one in enumerate(designs)
    ]
    return pd.DataFrame(rows)


def write_plan(path: Path = PLAN) -> None:
    """Fit the sweep, plan, and write what the plan says and what is to be trained."""
    import jax

    import bayesmoe as bm
    from bayesmoe.documents import PlanDocument
    from bayesmoe.inference.spec import read_fit_spec
    from bayesmoe.planning.reading import read_scenario
    from bayesmoe.resources import or_packaged

    jax.config.update("jax_enable_x64", True)
    scenario = read_scenario(or_packaged("bayesmoe-sweep", "scenarios"))
    budget = scenario.training.budget_flop
    assert budget is not None
    fit = bm.fit(read_fit_spec(or_packaged("bayesmoe-sweep", "specs")))
    plan = bm.plan(fit, scenario)
    decisions = bm.decide(plan, fit)
    designs = designs_of(decisions[0], budget)
    found = bm.predict(fit, frame_of(designs), draws=DRAWS)
    document = {
        "scenario": "models/scenarios/bayesmoe-sweep.toml",
        "budget_flop": budget,
        "designs": [one._asdict() for one in designs],
        "expected": np.round(found["expected"].values.T, 5).tolist(),
        "loss": np.round(found["loss"].values.T, 5).tolist(),
        "decision": json.loads(PlanDocument.of(plan, decisions).as_json()),
    }
    lines = (f"{json.dumps(key)}: {json.dumps(value, allow_nan=False)}" for key, value in document.items())
    write_text(path, "{\n" + ",\n".join(lines) + "\n}\n")
    for number, one in enumerate(designs):
        low, middle, high = np.quantile(found["loss"].values[:, number], [0.05, 0.5, 0.95])
        print(
            f"{one.role}: {one.num_experts} experts, width {one.d_model}, {one.tokens:,} tokens: {middle:.4f} ({low:.4f} to {high:.4f})"
        )


def planned(path: Path = PLAN) -> list[Designed]:
    """The designs of the plan."""
    return [Designed(**one) for one in json.loads(path.read_text(encoding="utf-8"))["designs"]]


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m sweep.later", description=__doc__)
    parser.add_argument("step", choices=("plan", "train"))
    parser.add_argument("--processes", type=int, default=2, help="runs at a time, each in a process of one thread (2)")
    given = parser.parse_args(arguments)
    if given.step == "plan":
        if rows_of(LATER):
            print(f"{LATER.name} has runs of the plan that is there: it is not written again", file=sys.stderr)
            return 2
        write_plan()
        return 0
    # The first seed of every design before the second of any.
    runs = [one.run(seed) for seed in SEEDS for one in planned()]
    train_all(runs, LATER, processes=given.processes, state=STATE, done=said)
    return 0


if __name__ == "__main__":
    sys.exit(main())
