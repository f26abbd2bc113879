"""Write ``docs/seeds.md``: the gate of every shipped spec over twenty seeds.

``python docs/make_seeds.py``; the specs' data must have been fetched.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import time
from collections import Counter
from pathlib import Path
from typing import Any

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
"""


def one_fit(spec: Any, seed: int) -> dict[str, Any]:
    """Gate and attempts of a fit."""
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
    given = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    rows, why = [], []
    for path in sorted((ROOT / "models").glob("*.toml")):
        spec = read_fit_spec(path)
        fits = [one_fit(spec, seed) for seed in range(given.seeds)]
        rows.append(row(path.stem, fits))
        why += reasons(path.stem, fits)
        print(rows[-1], flush=True)
    text = TEXT.format(
        seeds=given.seeds, version=bayesmoe.__version__, rows="\n".join(rows), reasons="\n".join(why) or "- none"
    )
    OUT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
