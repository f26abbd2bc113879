"""Write the workloads that the package ships, ``bayesmoe/planning/workloads.toml``, from a table of request traces.

Run as ``python -m datasets.make_workloads WORKLOADS.csv``: means, standard deviations and log correlation of the lengths by trace, and what a
cache of any size would hold of its prompts.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import tomli_w

_TRACES = {
    "chat": "azure-2023-conversation",
    "long_chat": "mooncake-conversation",
    "code": "azure-2023-code",
    "agent": "mooncake-toolagent",
    "batch": "sharegpt-vllm",
}
_SPREAD_OF = {"agent": "mooncake-synthetic"}
"""Trace whose spread, correlation and cache stand for those of one whose means alone are known."""

_BUSY = {"batch": 0.95}
"""Utilization where a queue keeps the GPUs at work: an assumption of this project."""


def workloads(table: pd.DataFrame) -> dict[str, dict[str, object]]:
    """By kind of use: the keys of ``[serving]`` that it stands for, and ``source``."""
    rows = table.set_index("workload")
    found = {}
    for name, trace in _TRACES.items():
        spread = _SPREAD_OF.get(name, trace)
        found[name] = _of(rows.loc[trace], rows.loc[spread], _BUSY.get(name))
        if spread != trace:
            found[name]["source"] = f"{found[name]['source']}; spread and cache are those of {spread}"
    return found


def _of(row: pd.Series, spread: pd.Series, utilization: float | None) -> dict[str, object]:
    numbers = {
        "prompt_tokens": row["input_mean"],
        "output_tokens": row["output_mean"],
        "prompt_cv": spread["input_sd"] / spread["input_mean"],
        "output_cv": spread["output_sd"] / spread["output_mean"],
        "length_correlation": spread["pearson_log"],
        "cached_share": spread["ideal_prefix_reuse_tokens"],
        "utilization": utilization,
    }
    known = {
        key: round(float(value), 3 if key != "prompt_tokens" else 1) for key, value in numbers.items() if pd.notna(value)
    }
    said = [str(row["kind"]), str(row["source"]).partition(", as quoted")[0]]
    if pd.notna(row["licence"]):
        said.append(str(row["licence"]).partition(" (")[0])
    if pd.notna(row["requests"]):
        said.insert(0, f"{int(row['requests']):,} requests")
    cache = "; cached is what a cache of any size would hold" if "cached_share" in known else "; what is cached is not known"
    lengths = "" if "prompt_cv" in known else "; the spread of lengths is not known"
    busy = "; that a queue keeps the GPUs busy is an assumption" if utilization else ""
    return {**known, "source": ", ".join(said) + lengths + cache + busy}


def main() -> None:
    """Read the table named on the command line, and write the workloads."""
    path = Path(__file__).parents[1] / "bayesmoe" / "planning" / "workloads.toml"
    path.write_text(tomli_w.dumps(workloads(pd.read_csv(sys.argv[1]))), encoding="utf-8")


if __name__ == "__main__":
    main()
