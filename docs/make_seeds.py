"""Write ``docs/seeds.md``: the gate of every shipped spec over twenty seeds, and what the shipped scenario recommends over the first five.

``python docs/make_seeds.py``; the specs' data must have been fetched.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import statistics
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
OUT = ROOT / "docs" / "seeds.md"

TEXT = """# The sampler over seeds

Every spec in `models/` fitted with {seeds} seeds (`python docs/make_seeds.py`, bayesmoe {version}). A fit is PASS, or REVIEW or FAIL
for the reasons given; a fit made more than once has said why. R-hat and effective sample sizes are the worst parameter's of the worst
seed.

| spec | runs | PASS | REVIEW | FAIL | made again | largest R-hat | least bulk ESS | least tail ESS | divergences | seconds (median) |
|---|---|---|---|---|---|---|---|---|---|---|
{rows}

Reasons of what is not PASS, and what further attempts were made for:

{reasons}

## The recommendation over seeds

The scenario `yun-2024`, for the first group of runs where there are groups, planned on the fits of the first {planned} seeds: the recommended expert count, with those that it says are tied with
it within Monte Carlo error. Another count of another seed is announced where each names the other as tied.

| spec | problem | recommended, by seed | announced |
|---|---|---|---|
{choices}
"""


class Choice(NamedTuple):
    """What a seed recommends: a count, 0 for none, and the counts tied with it."""

    count: int
    tied: frozenset[int]

    def __str__(self) -> str:
        others = sorted(self.tied - {self.count})
        return f"{self.count or 'none'}" + (f" (tied: {', '.join(map(str, others))})" if others else "")


def announced(choices: list[Choice]) -> bool:
    """Whether every two seeds that differ name each other's count as tied."""
    return all(
        one.count == other.count or (other.count in one.tied and one.count in other.tied)
        for one, other in itertools.combinations(choices, 2)
    )


def chosen(fitted: Any) -> dict[str, Choice]:
    """By problem of the shipped scenario, what is recommended on a fit."""
    from bayesmoe.decisions.decide import decide
    from bayesmoe.inference.groups import GROUP_DIM
    from bayesmoe.planning.planner import plan
    from bayesmoe.planning.reading import read_scenario
    from bayesmoe.planning.scenario import in_group

    shipped = read_scenario(ROOT / "models" / "scenarios" / "yun-2024.toml")
    posterior = fitted["posterior"].dataset
    scenario = in_group(shipped, str(posterior[GROUP_DIM].values[0]) if GROUP_DIM in posterior.dims else None)
    return {
        one.problem.name: Choice(one.recommended_num_experts or 0, frozenset(one.tied))
        for one in decide(plan(fitted, scenario, allow_failed=True), advice=False)
    }


def one_fit(spec: Any, seed: int, *, planned: bool) -> dict[str, Any]:
    """Gate and attempts of a fit, and what is recommended on it."""
    from bayesmoe.criticism.gate import check
    from bayesmoe.fitting import fit_spec
    from bayesmoe.inference.store import FitInfo

    begin = time.perf_counter()
    fitted = fit_spec(dataclasses.replace(spec, sampler=dataclasses.replace(spec.sampler, seed=seed)))
    seconds = time.perf_counter() - begin
    gate = check(fitted)
    value = {found.name: found.value for found in gate.checks}
    attempts = FitInfo.read(fitted).attempts
    return {
        "verdict": gate.verdict,
        "runs": fitted["observed_data"].sizes["run"],
        "reasons": [f"{c.verdict}: {c.name} ({c.where})" for c in gate.checks if c.verdict != "PASS"],
        "again": [attempt.problem for attempt in attempts if attempt.problem],
        "attempts": len(attempts),
        "seconds": seconds,
        "chosen": chosen(fitted) if planned else {},
        **{name: value[name] for name in ("R-hat", "bulk ESS", "tail ESS", "divergences")},
    }


def row(name: str, fits: list[dict[str, Any]]) -> str:
    """A line of the table."""
    verdicts = Counter(found["verdict"] for found in fits)
    cells = [
        f"`{name}`",
        fits[0]["runs"],
        *(verdicts[verdict] for verdict in ("PASS", "REVIEW", "FAIL")),
        sum(found["attempts"] > 1 for found in fits),
        f"{max(found['R-hat'] for found in fits):.4f}",
        f"{min(found['bulk ESS'] for found in fits):.0f}",
        f"{min(found['tail ESS'] for found in fits):.0f}",
        f"{sum(found['divergences'] for found in fits):.0f}",
        f"{statistics.median(found['seconds'] for found in fits):.1f}",
    ]
    return "| " + " | ".join(map(str, cells)) + " |"


def reasons(name: str, fits: list[dict[str, Any]]) -> list[str]:
    """What was found, with the number of seeds it was found in."""
    found = Counter(reason for fit in fits for reason in fit["reasons"])
    lines = [f"- `{name}`: {reason}, {count} of {len(fits)} seeds" for reason, count in found.most_common()]
    return lines + [f"- `{name}`: made again for {problem}" for fit in fits for problem in fit["again"]]


def main() -> None:
    """Fit and write."""
    import jax

    import bayesmoe
    from bayesmoe.inference.spec import read_fit_spec

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--plans", type=int, default=5, help="seeds whose fits are planned on")
    given = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    rows, why, choices = [], [], []
    for path in sorted((ROOT / "models").glob("*.toml")):
        spec = read_fit_spec(path)
        fits = [one_fit(spec, seed, planned=seed < given.plans) for seed in range(given.seeds)]
        rows.append(row(path.stem, fits))
        why += reasons(path.stem, fits)
        for problem in fits[0]["chosen"]:
            found = [fit["chosen"][problem] for fit in fits[: given.plans]]
            same = "same" if len({one.count for one in found}) == 1 else "yes" if announced(found) else "no"
            choices.append(f"| `{path.stem}` | {problem} | {'; '.join(map(str, found))} | {same} |")
        print(rows[-1], *choices[-2:], sep="\n", flush=True)
    text = TEXT.format(
        seeds=given.seeds,
        planned=given.plans,
        version=bayesmoe.__version__,
        rows="\n".join(rows),
        reasons="\n".join(why) or "- none",
        choices="\n".join(choices),
    )
    OUT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
