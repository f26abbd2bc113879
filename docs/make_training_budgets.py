"""Write ``docs/training-budgets.md``: how the loss-optimal expert count moves when every count trains at its own rate.

``python docs/make_training_budgets.py`` fits the three shipped specs, whose public tables must be here (``BAYESMOE_DATA_DIR``), and asks the loss-optimal
count under a budget in FLOP, in USD and in days, at one MFU for all and by the fastest layout on a cluster.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

OUT = Path(__file__).with_name("training-budgets.md")
COUNTS = (1, 4, 8, 16, 32, 64, 128, 256)
GPUS, MFU, PRICE, AVAILABILITY = 256, 0.4, 2.2, 0.9
FLOP, PEAK = 1e22, 989e12
DRAWS, WARMUP = 250, 800
FITS = {
    "simulated-yun-grid": {},
    "clark2022-routers-yun": {"group": "S-Base"},
    "olmoe3-ladder": {"group": "olmoe3-a0", "architecture": {"top_k": 4, "granularity": 2.0, "moe_share": 0.5}},
}
"""Shipped specs, and the group and family that each is asked for."""


def budgets() -> dict[str, dict[str, float]]:
    """One budget in three units: they are the same at the constant MFU."""
    hours = FLOP / (MFU * PEAK) / 3600.0
    return {
        f"{FLOP:.0e} FLOP".replace("e+", "e"): {"budget_flop": FLOP},
        f"USD {hours * PRICE:,.0f}": {"budget_usd": hours * PRICE},
        f"{hours / (GPUS * 24.0 * AVAILABILITY):.2f} days": {"days": hours / (GPUS * 24.0 * AVAILABILITY)},
    }


def scenario_of(budget: dict[str, float], mfu: float | None, group: str | None, architecture: dict[str, Any]) -> Any:
    """The shipped scenario on the cluster with one budget."""
    from bayesmoe.planning.reading import read_scenario
    from bayesmoe.planning.scenario import in_group, with_counts

    shipped = read_scenario("yun-2024")
    cluster = {"mfu": mfu, "cluster_gpus": GPUS, "price_usd_per_gpu_hour": PRICE, "availability": AVAILABILITY}
    training = dataclasses.replace(shipped.training, **{"budget_flop": None, **cluster, **budget})
    asked = dataclasses.replace(
        shipped,
        training=training,
        architecture=dataclasses.replace(shipped.architecture, **architecture),
        choices=dataclasses.replace(shipped.choices, num_experts=COUNTS),
    )
    return in_group(with_counts(asked, COUNTS), group)


def best(fit: Any, scenario: Any) -> tuple[np.ndarray, np.ndarray]:
    """Share of draws in which each count has the lowest loss on the budget, and its median MFU there."""
    import jax

    from bayesmoe.planning.build_surface import surfaces

    def lowest(here: Any) -> Any:
        optimal = here.loss_optimal()
        found = here.quantities(optimal, here.tokens(optimal))
        return found.loss, found.train_mfu

    (here,) = surfaces(fit, scenario).values()
    loss, mfu = map(np.asarray, jax.jit(lowest)(here))
    return np.bincount(loss.argmin(axis=1), minlength=len(COUNTS)) / len(loss), np.median(mfu, axis=0)


def main() -> None:
    """Fit, ask and write."""
    import jax

    from bayesmoe.files import write_text
    from bayesmoe.fitting import fit_spec
    from bayesmoe.inference.spec import read_fit_spec
    from bayesmoe.resources import or_packaged
    from bayesmoe.units import experts, percent

    jax.config.update("jax_enable_x64", True)
    rows, rates = [], []
    for name, asked in FITS.items():
        spec = read_fit_spec(or_packaged(name, "specs"))
        fit = fit_spec(dataclasses.replace(spec, sampler=dataclasses.replace(spec.sampler, warmup=WARMUP, draws=DRAWS)))
        for said, budget in budgets().items():
            cells = []
            for mfu in (MFU, None):
                share, rate = best(fit, scenario_of(budget, mfu, asked.get("group"), asked.get("architecture", {})))
                order = [at for at in np.argsort(-share)[:2] if share[at] > 0.0]
                cells.append(", ".join(f"{experts(COUNTS[at])} ({percent(float(share[at]))})" for at in order))
            rows.append(f"| {name} | {said} | {cells[0]} | {cells[1]} |")
        rates.append(f"| {name} | {' | '.join(percent(float(value)) for value in rate)} |")
    lines = [
        "# The loss-optimal count when every count trains at its own rate",
        "",
        f"Made by `python docs/make_training_budgets.py`: the three shipped fits, {FLOP:.0e} FLOP at an MFU of {percent(MFU)} on {GPUS} H100-SXM at USD".replace(
            "e+", "e"
        ),
        f"{PRICE:g} an hour, of which the cluster trains {percent(AVAILABILITY)}, asked in FLOP, in USD and in days. Cells: the two counts that most often have the lowest loss on",
        "the budget, with the share of draws; on the left at one MFU for all, on the right by the fastest layout that fits in each draw. A budget in FLOP buys the",
        "same tokens either way; one in money or time buys a sparser model fewer.",
        "",
        "| fit | budget | at one MFU | by layout |",
        "|---|---|---|---|",
        *rows,
        "",
        "Median MFU of each count at its loss optimum for the days, of the peak in bfloat16:",
        "",
        f"| fit | {' | '.join(map(experts, COUNTS))} |",
        f"|---|{'---|' * len(COUNTS)}",
        *rates,
        "",
    ]
    write_text(OUT, "\n".join(lines))


if __name__ == "__main__":
    main()
