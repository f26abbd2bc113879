"""Write ``docs/came-true.md``: a plan that was committed before its designs were trained, beside what came.

``python docs/make_came_true.py`` reads ``sweep/plan.json`` (``python -m sweep.later plan``) and ``sweep/later.jsonl`` (``python -m sweep.later train``).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
OUT, FIGURE = ROOT / "docs" / "came-true.md", ROOT / "docs" / "came-true.png"
LEVELS = (0.5, 0.8, 0.9)


def losses_of(designs: list[Any], rows: list[dict[str, Any]]) -> list[list[float]]:
    """Losses that came, by design, seed by seed."""
    known = {row["run_id"]: row["loss"] for row in rows}
    from sweep.later import SEEDS

    return [[known[name] for seed in SEEDS if (name := one.run(seed).run_id) in known] for one in designs]


def inside(draws: np.ndarray, observed: float) -> list[bool]:
    """Whether a number lies in the central intervals of draws."""
    return [bool(np.abs((draws < observed).mean() - 0.5) <= level / 2) for level in LEVELS]


def level_rows(designs: list[Any], draws: np.ndarray, came: list[list[float]]) -> tuple[list[str], np.ndarray]:
    """Rows of the table of losses, and which bands held the mean over seeds."""
    from bayesmoe.units import band

    rows, held = [], []
    for one, forecast, found in zip(designs, draws, came, strict=True):
        mark = inside(forecast, float(np.mean(found)))
        held.append(mark)
        seeds = ", ".join(f"{loss:.4f}" for loss in found)
        in_band = ", ".join(f"{100 * level:.0f}%" for level, each in zip(LEVELS, mark, strict=True) if each) or "none"
        rows.append(
            f"| {one.role} | {one.num_experts} | {one.d_model} | {one.tokens / 1e6:.1f} | {band(*np.quantile(forecast, [0.05, 0.5, 0.95]))} | {seeds} | {in_band} |"
        )
    return rows, np.array(held)


def difference_rows(designs: list[Any], draws: np.ndarray, came: list[list[float]]) -> tuple[list[str], np.ndarray]:
    """Rows of the table of differences from the recommended design, in percent of its loss."""
    from bayesmoe.units import band

    rows, held = [], []
    for number in range(1, len(designs)):
        forecast = 100 * np.log(draws[number] / draws[0])
        found = 100 * np.log(np.mean(came[number]) / np.mean(came[0]))
        held.append(inside(forecast, found))
        one = designs[number]
        rows.append(
            f"| {one.role} | {one.num_experts} | {one.d_model} | {band(*np.quantile(forecast, [0.05, 0.5, 0.95]))} | {found:+.2f} | {100 * (forecast > 0).mean():.0f}% |"
        )
    return rows, np.array(held)


def counted(held: np.ndarray) -> str:
    """How many bands held, by level."""
    return ", ".join(f"{held[:, at].sum()} of {len(held)} at {100 * level:.0f}%" for at, level in enumerate(LEVELS))


def drawn(designs: list[Any], draws: np.ndarray, came: list[list[float]]) -> Any:
    """Bands and what came."""
    from bayesmoe.plots.style import OKABE_ITO, new_panels

    figure, panels = new_panels(1, height=3.6)
    axes = panels[0]
    for at, (forecast, found) in enumerate(zip(draws, came, strict=True)):
        for level, width in zip(LEVELS, (7, 4, 1.5), strict=True):
            low, high = np.quantile(forecast, [(1 - level) / 2, (1 + level) / 2])
            axes.plot([low, high], [at, at], color=OKABE_ITO[0], linewidth=width, alpha=0.5, solid_capstyle="butt")
        axes.plot(found, [at] * len(found), "o", color=OKABE_ITO[1], markersize=5, label="trained" if at == 0 else None)
    names = [f"{one.role}\n{one.num_experts} experts, width {one.d_model}" for one in designs]
    axes.set(yticks=range(len(designs)), yticklabels=names, xlabel="loss, nats per token")
    axes.invert_yaxis()
    axes.legend(frameon=False)
    return figure


def page(plan: dict[str, Any], designs: list[Any], came: list[list[float]], largest_flop: float) -> str:
    """The page."""
    loss, expected = np.array(plan["loss"]), np.array(plan["expected"])
    # Means of so many seeds are forecast: what differs between runs is averaged, too.
    seeds = max(len(found) for found in came)
    mean = expected + (loss - expected) / np.sqrt(seeds)
    levels, held = level_rows(designs, mean, came)
    differences, held_differences = difference_rows(designs, mean, came)
    stated = float((expected[0] - expected.min(axis=0)).mean())
    means = np.array([np.mean(found) for found in came])
    suffered, spread = (
        float(means[0] - means.min()),
        float(np.mean([np.std(found, ddof=1) for found in came if len(found) > 1])),
    )
    return "\n".join(
        [
            "# A plan, and what came",
            "",
            f"Made by `python docs/make_came_true.py`. The fit of this project's own runs ([sweep](sweep.md)) was asked for the lowest loss on {plan['budget_flop']:.3g} FLOP, "
            f"{plan['budget_flop'] / largest_flop:.0f} times the largest of its runs. The plan and its forecasts (`sweep/plan.json`) were committed before any of the designs below was trained "
            f"(`python -m sweep.later train`, {seeds} seeds each, at the learning rate of the sweep's rule). Sizes are rounded to a width that heads divide.",
            "",
            "## Losses",
            "",
            f"Bands of the mean over seeds held {counted(held)}.",
            "",
            "| design | experts | width | tokens, 1e6 | forecast (90% band) | trained, by seed | in the band of |",
            "|---|---|---|---|---|---|---|",
            *levels,
            "",
            "![Forecasts and what came](came-true.png)",
            "",
            "## Differences",
            "",
            f"Loss above that of the recommended design, in percent; bands held {counted(held_differences)}.",
            "",
            "| design | experts | width | forecast (90% band) | came | P(worse), forecast |",
            "|---|---|---|---|---|---|",
            *differences,
            "",
            "## Regret",
            "",
            f"Of these designs the recommended one was expected to lose {1000 * stated:.1f}e-3 nats against the best of each draw. It lost {1000 * suffered:.1f}e-3 against the best that was "
            f"trained; seeds of one design differ by {1000 * spread:.1f}e-3 (standard deviation).",
            "",
        ]
    )


def main() -> None:
    """Read, draw and write."""
    from bayesmoe.files import write_text
    from sweep.later import LATER, PLAN, planned
    from sweep.run import RUNS, rows_of

    plan, designs = json.loads(PLAN.read_text(encoding="utf-8")), planned()
    came = losses_of(designs, rows_of(LATER))
    if missing := [one.role for one, found in zip(designs, came, strict=True) if not found]:
        raise SystemExit(f"not trained yet: {', '.join(missing)}")
    largest = max(row["train_flop"] for row in rows_of(RUNS))
    write_text(OUT, page(plan, designs, came, largest))
    drawn(designs, np.array(plan["loss"]), came).savefig(FIGURE, dpi=130, bbox_inches="tight")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
