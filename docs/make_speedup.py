"""Write ``docs/speedup.md``: recipes of three public tables compared, each by one command after its fit.

``python docs/make_speedup.py FOLDER`` reads the tidy tables from FOLDER (see the data cards for what they are). Fits are kept in ``build/speedup``, so
that an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
OUT = ROOT / "docs" / "speedup.md"
KEPT = ROOT / "build" / "speedup"
PRIOR = ROOT / "models" / "priors" / "shared_discrepancy.toml"

TEXT = """# Recipes compared

Groups of runs of three public tables, compared by `bayesmoe speedup` (`python docs/make_speedup.py FOLDER`, bayesmoe {version}): the compute that the second would need for the loss
of the first, over that of the first. Bands are 90% of the draws of an average of two laws, with its discrepancy. The verdict is that at the largest run that
both have, with probability 0.9. After the fit each takes {least:.0f} to {most:.0f} seconds on two cores, start included.

{sections}

## What groups share

Of a law's discrepancy beyond the runs, two groups share the part rho ~ Beta({shared:g}, {own:g}): mean {mean:.2f}. It was learned from how laws fitted to the smaller runs of
{tables} missed the larger ones, by group (`python docs/make_shared_discrepancy.py FOLDER`). Labs differ in it, and what is shipped is for a lab that
was not seen. The script prints what each lab says alone, and how many pairs of its groups lay in the 90% band that the other labs teach.
"""

SECTION = """## {title}

{note}

```
{command}
{example}
```

| of | over | largest run, FLOP | speedup there | P(> 1) | at 10 times | at 100 times | with scale | verdict |
|---|---|---|---|---|---|---|---|---|
{rows}
"""


class Compared(NamedTuple):
    """A table, its fit, and groups that are compared with one of them."""

    title: str
    note: str
    file: str
    flags: tuple[str, ...]
    over: str
    of: tuple[str, ...]


TABLES = (
    Compared(
        "Clark's routers",
        "Three routers of Clark et al. 2022 (arXiv:2202.01169). All runs saw the same tokens, so that compute is size.",
        "clark2022_final",
        (
            "--select",
            "main_grid == 1 and suspect == 0",
            "--law",
            "clark",
            "--law",
            "yun",
            "--group-by",
            "group",
            "--dense-group",
            "Dense",
        ),
        "Hash",
        ("RL-R", "S-Base"),
    ),
    Compared(
        "OLMoE's ten recipes",
        "The recipes of AI2's ladder, each over its base. They share no architecture: each is compared at its own.",
        "olmoe3_tuned",
        ("--law", "yun", "--law", "frantar", "--size", "n_active", "--group-by", "group"),
        "olmoe3-a0",
        tuple(
            f"olmoe3-{name}" for name in ("dense0", "dense2", "dense4", "gran", "intD", "intW", "noshared", "qwenA", "qwenD")
        ),
    ),
    Compared(
        "Six corpora",
        "Models of one lab on six corpora. The loss of each is on its own corpus, which says nothing of another: here all are compared on C4.",
        "kempner_l2l",
        ("--map", "loss=loss_c4", "--law", "chinchilla", "--law", "kaplan", "--group-by", "group"),
        "l2l-fineweb",
        tuple(f"l2l-{name}" for name in ("fineweb-edu", "proofpile2", "slimpajama", "smollm", "starcoder")),
    ),
)


def quoted(words: tuple[str, ...]) -> str:
    """Words of a command, those with spaces in quotes."""
    return " ".join(f"'{word}'" if " " in word else word for word in words)


def bayesmoe(*words: str) -> subprocess.CompletedProcess[str]:
    """Run a command; a verdict that is no promotion is no failure."""
    ended = subprocess.run([sys.executable, "-m", "bayesmoe", *words], capture_output=True, text=True, check=False)
    if ended.returncode not in (0, 1) or not (ended.returncode == 0 or "speedup" in words):
        raise SystemExit(ended.stderr)
    return ended


def compared(table: Compared, folder: Path) -> tuple[list[dict[str, Any]], list[float]]:
    """Documents of every group over the base, and seconds of each; the fit is made once."""
    fit = KEPT / f"{table.file}.nc"
    if not fit.exists():
        KEPT.mkdir(parents=True, exist_ok=True)
        bayesmoe("fit", str(folder / f"{table.file}.csv"), *table.flags, "--out", str(fit))
    found, seconds = [], []
    for of in table.of:
        begin = time.perf_counter()
        found.append(
            json.loads(bayesmoe("speedup", str(fit), "--of", of, "--over", table.over, "--json", "--despite-fail").stdout)
        )
        seconds.append(time.perf_counter() - begin)
        print(of, found[-1]["verdict"], f"{seconds[-1]:.1f} s", flush=True)
    return found, seconds


def row(document: dict[str, Any]) -> str:
    """A line of the table."""
    from bayesmoe.units import percent

    largest, ten, hundred = document["budgets"]
    exponent = document["exponent"]["q50"]
    cells = [
        document["of"],
        document["over"],
        f"{largest['train_flop']:.2g}",
        band(largest["speedup"]),
        percent(largest["p_faster"]),
        band(ten["speedup"]),
        band(hundred["speedup"]),
        f"{document['trend']} ({'–' if exponent is None else f'{exponent:+.2f}'})",
        document["verdict"],
    ]
    return "| " + " | ".join(cells) + " |"


def band(quantiles: dict[str, float | None]) -> str:
    """Median and 90% band."""
    from bayesmoe.reporting.speedup_text import band as said

    return said([float("inf") if value is None else value for value in quantiles.values()])


def section(table: Compared, documents: list[dict[str, Any]]) -> str:
    """A table's part of the page."""
    return SECTION.format(
        title=table.title,
        note=table.note,
        command=f"bayesmoe fit {table.file}.csv {quoted(table.flags)} --out fit.nc",
        example=f"bayesmoe speedup fit.nc --of {table.of[0]} --over {table.over}",
        rows="\n".join(map(row, documents)),
    ).rstrip()


def main() -> None:
    """Fit, compare and write."""
    import bayesmoe as bm
    from bayesmoe.inference.shared_discrepancy import read_shared_discrepancy

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    sections, seconds = [], []
    for table in TABLES:
        documents, each = compared(table, folder)
        sections.append(section(table, documents))
        seconds += each
    share = read_shared_discrepancy(PRIOR)
    text = TEXT.format(
        version=bm.__version__,
        sections="\n\n".join(sections),
        least=min(seconds),
        most=max(seconds),
        shared=share.shared,
        own=share.own,
        mean=share.shared / (share.shared + share.own),
        tables=", ".join(f"`{one.table}`" for one in share.learned_from),
    )
    OUT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
