"""Plan on a fit: change the shipped scenario in Python, choose under every draw, and write plan and report.

``python examples/plan.py --out DIR`` writes ``DIR/plan.nc``, ``DIR/plan.json`` and ``DIR/report.html``.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from fit_a_posterior import fitted

import bayesmoe as bm
from bayesmoe.documents import PlanDocument
from bayesmoe.resources import resource_folder


def main(out: Path) -> None:
    """Plan for a smaller budget than the scenario's."""
    posterior = fitted()
    shipped = bm.read_scenario(resource_folder("models") / "scenarios" / "yun-2024.toml")
    scenario = dataclasses.replace(
        shipped,
        name="Yun 2024's fleet at 1e21 FLOP",
        training=dataclasses.replace(shipped.training, budget_flop=1e21),
    )

    found = bm.plan(posterior, scenario)
    decisions = bm.decide(found, posterior)
    bm.save_plan(found, out / "plan.nc")
    (out / "plan.json").write_text(PlanDocument.of(found, decisions).as_json(), encoding="utf-8")

    # A plan is a Dataset by draw; a choice and its regret are by expert count.
    print(decisions.risk[["p_best", "expected_regret"]].sel(problem="cheapest_serving").to_dataframe().round(4))
    print(decisions)

    (out / "report.html").write_text(bm.report(posterior, found), encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("examples/out"))
    folder = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)
    main(folder)
