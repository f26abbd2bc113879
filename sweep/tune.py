"""The tuning stage: learning rates tried at two sizes and two lengths, dense and with experts, and the rule that is read off them.

``python -m sweep.tune`` trains what ``tuning.jsonl`` lacks and writes ``learning_rate.json``.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from bayesmoe.files import write_text
from sweep.run import HERE, rows_of, said, train_all

TUNING = HERE / "tuning.jsonl"
RULE = HERE / "learning_rate.json"

RATES = {24: (0.01, 0.02, 0.04), 60: (0.005, 0.01, 0.02, 0.04)}
"""Rates by width."""
CELLS = ((24, 2**17, (1, 16)), (24, 2**19, (1, 16)), (60, 2**19, (1,)))
"""Width, tokens and expert counts."""

REFERENCE = (24, 2**19)
WITHIN = 0.1
"""Rates whose loss is that much above a cell's lowest take part in the fit: above, training is unstable and the loss no parabola."""


def tuning_runs() -> list[Any]:
    """The runs of the tuning stage."""
    from sweep.model import Model
    from sweep.train import Run

    return [
        Run(Model(d, 2, num_experts), tokens, rate)
        for d, tokens, counts in CELLS
        for num_experts in counts
        for rate in RATES[d]
    ]


def fitted(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Coefficients of ``ln rate = a + b ln(d / 24) + c ln(tokens / 2^19)``, at the minimum of ``ln loss = cell + k (ln rate - ln best)^2``.

    Linear least squares in ``ln rate`` and its square: with ``x = ln rate`` the term linear in x is ``-2 k x (a + b .. + c ..)``.
    """
    cells = sorted({(row["d_model"], row["num_experts"], row["tokens"]) for row in rows})
    lines, losses = [], []
    for at, cell in enumerate(cells):
        here = [row for row in rows if (row["d_model"], row["num_experts"], row["tokens"]) == cell]
        lowest = min(row["loss"] for row in here)
        size, length = np.log(cell[0] / REFERENCE[0]), np.log(cell[2] / REFERENCE[1])
        for row in here:
            if row["loss"] <= lowest * (1.0 + WITHIN):
                x = np.log(row["learning_rate"])
                lines.append([*np.eye(len(cells))[at], x * x, x, x * size, x * length])
                losses.append(np.log(row["loss"]))
    k, one, size, length = np.linalg.lstsq(np.array(lines), np.array(losses), rcond=None)[0][len(cells) :]
    return {
        "log_rate": -one / (2 * k),
        "per_log_width": -size / (2 * k),
        "per_log_tokens": -length / (2 * k),
        "curvature": k,
    }


def learning_rate(d_model: int, tokens: int, rule: Path = RULE) -> float:
    """The rule's learning rate, to two digits."""
    r = json.loads(rule.read_text(encoding="utf-8"))
    log = (
        r["log_rate"]
        + r["per_log_width"] * np.log(d_model / REFERENCE[0])
        + r["per_log_tokens"] * np.log(tokens / REFERENCE[1])
    )
    return float(f"{np.exp(log):.2g}")


def main() -> None:
    """Train what is missing, then fit and write the rule."""
    train_all(tuning_runs(), TUNING, processes=int(os.environ.get("PROCESSES", "2")), done=said)
    write_text(
        RULE, json.dumps({name: round(float(value), 4) for name, value in fitted(rows_of(TUNING)).items()}, indent=2) + "\n"
    )


if __name__ == "__main__":
    main()
