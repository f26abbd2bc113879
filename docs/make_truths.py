"""Write ``docs/truths.md``: what an average of laws says of plans whose true answer is known, because it was simulated.

``python docs/make_truths.py --tables 200``. Tables are simulated, fitted and judged by ``simulated_truths.py`` from ``simulated_tables.py``, on dask workers; each finished one is
a line of ``docs/truths.jsonl``, so that a run that was stopped, or is to have more tables, goes on where it stopped. ``--page`` writes the page from
what there is.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import simulated_tables
import simulated_truths as simulated
from scipy import stats

ROOT = Path(__file__).parents[1]
OUT = ROOT / "docs" / "truths.md"
KEPT = ROOT / "docs" / "truths.jsonl"
RESTART_AFTER = 60
"""Tables a worker makes before its process starts anew."""

ERROR_RATE = 0.01
TESTED = (0.8, 0.9)
IN_WORDS = {"n_dense": "N\\*", "tokens": "tokens\\*", "over_training_ratio": "over-training"}
COUNT = "expert count"


def answers_of(found: Sequence[dict[str, Any]], discrepancy: str, **keys: Any) -> list[dict[str, Any]]:
    """Answers of tables with a discrepancy, to a problem or on a budget where these are given, each with its table's number."""
    return [
        {**answer, "number": table["number"]}
        for table in found
        for answer in table["answers"]
        if answer["discrepancy"] == discrepancy and all(answer[key] == value for key, value in keys.items())
    ]


def verdicts(answers: Sequence[dict[str, Any]], level: float) -> dict[str, np.ndarray]:
    """Whether the band, or the set of counts, of a level held the truth: by quantity, shape (answer,)."""
    from bayesmoe.forecasting.decision_calibration import choice_percentiles
    from bayesmoe.forecasting.scores import covered

    held = {
        name: covered(np.array([answer["percentile"][name] for answer in answers]), level) for name in simulated.QUANTITIES
    }
    return {**held, COUNT: choice_percentiles(*counts_of(answers), seed=0) <= level}


def counts_of(answers: Sequence[dict[str, Any]]) -> tuple[np.ndarray, np.ndarray]:
    """Stated probability of each count, shape (answer, count), and the number of the true one."""
    chance = np.array([answer["chance"] for answer in answers])
    right = np.array([simulated_tables.COUNTS.index(answer["true_count"]) for answer in answers])
    return chance / chance.sum(axis=1, keepdims=True), right


def one_a_table(answers: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One answer of every table, by turns of problem and budget: tables are independent, the answers of one are not."""
    turns = [(problem, factor) for factor in simulated_tables.FACTORS for problem in simulated_tables.PROBLEMS]

    def turn(number: int) -> tuple[str, float]:
        # Laws come by turns too: each is to have every problem and budget.
        return turns[(number + number // len(simulated_tables.LAWS)) % len(turns)]

    return [one for one in answers if turn(one["number"]) == (one["problem"], one["factor"])]


def rejected(answers: Sequence[dict[str, Any]]) -> dict[str, tuple[float, str]]:
    """By quantity, the probability of coverage this far from nominal if bands are right, and on which side it is.

    Exact binomial of one answer a table, two-sided, at two levels: the smallest, doubled.
    """
    once, found = one_a_table(answers), {}
    for name in (*simulated.QUANTITIES, COUNT):
        held = {level: verdicts(once, level)[name] for level in TESTED}
        values = {level: stats.binomtest(int(each.sum()), len(once), level).pvalue for level, each in held.items()}
        level = min(values, key=lambda one: values[one])
        side = "too wide" if held[level].mean() > level else "too narrow"
        found[name] = (min(1.0, len(TESTED) * float(values[level])), side)
    return found


def cells(answers: Sequence[dict[str, Any]]) -> list[str]:
    """Coverage of every quantity at every level in percent."""
    from bayesmoe.forecasting.scores import LEVELS

    held = {level: verdicts(answers, level) for level in LEVELS}
    return ["/".join(f"{100 * held[level][name].mean():.0f}" for level in LEVELS) for name in (*simulated.QUANTITIES, COUNT)]


def percent(held: np.ndarray) -> str:
    """A share of a few answers with the 95% interval of Clopper and Pearson."""
    interval = stats.binomtest(int(held.sum()), len(held)).proportion_ci(method="exact")
    return f"{100 * held.mean():.0f}% ({100 * interval.low:.0f} to {100 * interval.high:.0f})"


def at_true_count(found: Sequence[dict[str, Any]]) -> list[str]:
    """Rows of coverage of the design at the true count, by problem and budget, where draws have one there."""
    from bayesmoe.forecasting.scores import LEVELS, covered

    lines = []
    for problem in simulated_tables.PROBLEMS:
        for factor in simulated_tables.FACTORS:
            answers = answers_of(found, simulated.LEARNED, problem=problem, factor=factor)
            known = [one["percentile_at_true_count"] for one in answers]
            known = [one for one in known if None not in one.values()]
            shares = (
                "/".join(f"{100 * covered(np.array([one[name] for one in known]), level).mean():.0f}" for level in LEVELS)
                for name in simulated.QUANTITIES
            )
            lines.append(f"| {problem.replace('_', ' ')} | {factor:g}x | {len(known)} | {' | '.join(shares)} |")
    return lines


def groups(found: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Tables by what is true."""
    return {
        "law in the average, nothing planted": [
            t for t in found if t["law"] in simulated_tables.INSIDE and not any(t["planted"])
        ],
        "law in the average, planted discrepancy": [
            t for t in found if t["law"] in simulated_tables.INSIDE and any(t["planted"])
        ],
        "other law, nothing planted": [t for t in found if t["law"] in simulated_tables.OUTSIDE and not any(t["planted"])],
        "other law, planted discrepancy": [t for t in found if t["law"] in simulated_tables.OUTSIDE and any(t["planted"])],
    }


def interior(answers: Sequence[dict[str, Any]]) -> np.ndarray:
    """Whether the true count is neither the smallest nor the largest offered."""
    return np.array([simulated_tables.COUNTS[0] < answer["true_count"] < simulated_tables.COUNTS[-1] for answer in answers])


def choices(answers: Sequence[dict[str, Any]]) -> str:
    """Cells of what was said of the count: stated and right, slope, log score, size of the 90% set, regret."""
    from bayesmoe.forecasting.decision_calibration import choice_calibration

    chosen = np.array([simulated_tables.COUNTS.index(answer["chosen"]) for answer in answers])
    found = choice_calibration(*counts_of(answers), chosen)
    known = [answer for answer in answers if answer["regret_suffered"] is not None]
    stated, suffered = (100 * np.mean([answer[f"regret_{name}"] for answer in known]) for name in ("stated", "suffered"))
    lost = len(answers) - len(known)
    return (
        f"{float(found['stated']):.2f} / {float(found['right']):.2f} | {float(found['slope']):.2f} | {float(found['log_score']):.2f} | "
        f"{float(found['set_size'].sel(level=0.9)):.1f} | {stated:.1f} / {suffered:.1f}{f', {lost} without a design' if lost else ''}"
    )


def written(found: list[dict[str, Any]]) -> str:
    """The page."""
    ours = answers_of(found, simulated.LEARNED)
    inside, tables = interior(ours), len(found)
    gates = Counter(table["gate"] for table in found)
    once = one_a_table(ours)
    lines = [
        "# Simulated truths",
        "",
        "Made by `python docs/make_truths.py`. The bands of a plan can be judged where the right answer is known: a true law is drawn, runs of it are",
        "simulated, an average of the default laws is fitted to them, and its plan is held against the truth.",
        "",
        f"- **Tables**: {tables}, each of {len(simulated_tables.truth(0).design)} runs, with experts up to 32 or 64, tokens by a grid or by tokens per parameter, noise of",
        f"  {100 * simulated_tables.NOISE[0]:.1f} to {100 * simulated_tables.NOISE[1]:.1f}% of the loss. Everything follows from the table's number.",
        f"- **Truths**: laws of the average ({', '.join(f'`{law}`' for law in simulated_tables.INSIDE)}) and others ({', '.join(f'`{law}`' for law in simulated_tables.OUTSIDE)}), by turns, with",
        "  parameters from the law's prior or around published ones. Half have a discrepancy that no law of the package has: a part in size x experts and one in",
        f"  tokens x experts, each with a standard deviation of {100 * simulated_tables.PLANTED_PER_DECADE:.1f}% of the loss from 1 to {simulated_tables.COUNTS[-1]} experts and a factor of ten.",
        f"- **Plans**: counts from {simulated_tables.COUNTS[0]} to {simulated_tables.COUNTS[-1]} on 10 and 100 times the largest run's compute: the cheapest to serve that is as good as the loss-optimal dense",
        f"  model, and the lowest loss in {simulated_tables.MEMORY_BYTES / 1e9:.0f} GB. Costs are fixed and the same for truth and forecast; they follow from the runs, never from the truth.",
        f"- The true count is neither the smallest nor the largest offered in {percent(inside)} of the {len(ours)} answers"
        + "".join(
            f"; {problem.replace('_', ' ')} {100 * interior(answers_of(found, simulated.LEARNED, problem=problem)).mean():.0f}%"
            for problem in simulated_tables.PROBLEMS
        )
        + ".",
        f"- **Gate** of the fits: {', '.join(f'{verdict} {count}' for verdict, count in gates.most_common())}.",
        "",
        "The set of counts of a level holds the most probable ones, the last of them by lot, so that a right forecast covers exactly the level. Other bands are",
        "central. Coverage is that of 50/80/90/95%.",
        "",
        f"| discrepancy | budget | answers | {' | '.join(IN_WORDS.values())} | {COUNT} | P(best) stated / right | slope | log score | counts in the 90% set | regret stated / suffered |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name in (simulated.LEARNED, simulated.COMMON, simulated.NONE):
        for factor in simulated_tables.FACTORS:
            answers = answers_of(found, name, factor=factor)
            lines.append(f"| {name} | {factor:g}x | {len(answers)} | {' | '.join(cells(answers))} | {choices(answers)} |")
    lines += [
        "",
        "P(best) is that of the count chosen, the one of lowest expected ln objective among those that have a design in 90% of draws; slope that of being best on",
        "the stated probability of every count (1: dependable); log score the mean log of the probability that the best count was given. Regret is ln USD, or ln loss,",
        "over the best, times 100; the size of the chosen count is chosen anew in each draw, and for the truth.",
        "",
        "A band of N\\* over all draws spans those of every count that may be best. At the true count alone, with the learned discrepancy:",
        "",
        f"| problem | budget | answers | {' | '.join(IN_WORDS.values())} |",
        "|---|---|---|---|---|---|",
        *at_true_count(found),
        "",
        f"Answers of one table are not independent. Of one answer a table ({len(once)}, by turns of problem and budget), with 95% intervals:",
        "",
        f"| | {' | '.join(IN_WORDS.values())} | {COUNT} |",
        "|---|---|---|---|---|",
    ]
    for level in (0.5, *TESTED):
        held = verdicts(once, level)
        lines.append(f"| {100 * level:.0f}% | {' | '.join(percent(held[name]) for name in held)} |")
    lines += [
        "",
        "## Would it be noticed?",
        "",
        f"Exact binomial tests of that coverage at {' and '.join(f'{100 * level:.0f}%' for level in TESTED)}, two-sided; a right forecast is rejected with a probability of at most",
        f"{100 * ERROR_RATE:g}% a column.",
        "",
        f"| discrepancy | {' | '.join(IN_WORDS.values())} | {COUNT} |",
        "|---|---|---|---|---|",
    ]
    for name in (simulated.LEARNED, simulated.COMMON, simulated.NONE):
        tested = rejected(answers_of(found, name))
        said = (
            f"**rejected, {side}**, p = {p:.2g}" if p < ERROR_RATE else f"not rejected, p = {p:.2g}"
            for p, side in tested.values()
        )
        lines.append(f"| {name} | {' | '.join(said)} |")
    lines += [
        "",
        "## By truth",
        "",
        f"| truth | tables | discrepancy | {' | '.join(IN_WORDS.values())} | {COUNT} | P(best) stated / right | slope | log score | counts in the 90% set | regret stated / suffered |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, part in groups(found).items():
        for discrepancy in (simulated.LEARNED, simulated.COMMON, simulated.NONE) if part else ():
            answers = answers_of(part, discrepancy)
            lines.append(f"| {name} | {len(part)} | {discrepancy} | {' | '.join(cells(answers))} | {choices(answers)} |")
    by_law = [(f"`{law}`", [table for table in found if table["law"] == law]) for law in simulated_tables.LAWS]
    for name, part in by_law:
        if part:
            answers = answers_of(part, simulated.LEARNED)
            lines.append(
                f"| {name} | {len(part)} | {simulated.LEARNED} | {' | '.join(cells(answers))} | {choices(answers)} |"
            )
    lines += [
        "",
        "## Falls short",
        "",
        "The prior of discrepancy says how far laws missed larger runs of public tables. A truth that is a law, or nearly one, is missed by less: where bands are",
        "too wide here and not on [tables of labs](decisions.md), they say that truths of labs are rougher than these.",
        "",
        *(shortfalls(found) or ["Nothing: every coverage is within what is asked of it."]),
        "",
    ]
    return "\n".join(lines)


ASKED = {0.5: (0.38, 0.62), 0.9: (0.85, 0.96)}
"""Coverage that is asked for, by level."""


def shortfalls(found: Sequence[dict[str, Any]]) -> list[str]:
    """Coverage outside what is asked for, by budget and quantity; and the interior share."""
    lines = []
    for factor in simulated_tables.FACTORS:
        answers = answers_of(found, simulated.LEARNED, factor=factor)
        for level, (low, high) in ASKED.items():
            for name, held in verdicts(answers, level).items():
                if not low <= held.mean() <= high:
                    side = "too narrow" if held.mean() < low else "too wide"
                    lines.append(
                        f"- {IN_WORDS.get(name, name)} at {factor:g}x: the {100 * level:.0f}% band holds the truth in {100 * held.mean():.0f}% "
                        f"(asked: {100 * low:.0f} to {100 * high:.0f}%): {side}."
                    )
    if (share := interior(answers_of(found, simulated.LEARNED)).mean()) < 2 / 3:
        lines.append(f"- The true count is interior in {100 * share:.0f}% of answers (asked: two thirds).")
    return lines


def kept_tables() -> list[dict[str, Any]]:
    """Tables that are done, by number."""
    found = {}
    for line in KEPT.read_text(encoding="utf-8").splitlines() if KEPT.exists() else ():
        try:
            result = json.loads(line)["result"]
        except json.JSONDecodeError:
            # The last line of a run that was stopped while writing.
            continue
        found[result["number"]] = result
    return [found[number] for number in sorted(found)]


def main() -> None:
    """Measure what is missing, then write the page."""
    from bayesmoe.criticism.cluster import finished_blocks
    from bayesmoe.files import write_text

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", type=int, default=200)
    parser.add_argument("--workers", type=int, default=1, help="Workers of a cluster on this machine.")
    parser.add_argument("--scheduler", help="Address of a dask scheduler, in place of a cluster on this machine.")
    parser.add_argument("--page", action="store_true", help="Write the page from what is done.")
    given = parser.parse_args()
    if not given.page:
        finished_blocks(
            simulated.measured,
            [[number] for number in range(given.tables)],
            (simulated.RULES,),
            kept=KEPT,
            scheduler=given.scheduler,
            workers=given.workers,
            restart_after=RESTART_AFTER * given.workers,
            on_progress=lambda line: print(line, file=sys.stderr, flush=True),
        )
    write_text(OUT, written(kept_tables()))


if __name__ == "__main__":
    main()
