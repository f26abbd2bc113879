"""A starter model spec for a table of runs: which law and groups its columns allow."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pandas as pd

from bayesmoe.forecasting.weights import default_laws
from bayesmoe.laws import law_named, require_covariates, starter_law

_SIZES = ("n_dense", "n_active", "n_total")
_LEAST_OF_A_GROUP = 3


def starter(frame: pd.DataFrame, *, file: str | Path, columns: dict[str, str], beside: str | Path) -> str:
    """Text of a TOML spec that ``bayesmoe fit`` accepts.

    Parameters
    ----------
    frame, file : DataFrame, path
        Checked runs, with what was derived, and the file that holds them.
    columns : dict
        Ours to the file's own.
    beside : path
        Where the spec goes: the table is named from its folder.

    Raises
    ------
    InputError
        No law can read the table.
    """
    size = next((name for name in _SIZES if name in frame and frame[name].notna().all()), "n_active")
    law, own_size = _law(frame, size, origin=str(file))
    named = os.path.relpath(Path(file).absolute(), Path(beside).absolute().parent)
    lines = [
        f"# A starter for {len(frame)} runs; the specs in models/ show what else one may say.",
        f"name = {_text(Path(file).stem)}",
        "",
        "[data]",
        f"file = {_text(named)}",
    ]
    if columns:
        lines += ["", "[data.columns]", *(f"{ours} = {_text(yours)}" for ours, yours in columns.items())]
    lines += [*_groups(frame), "", "[law]", f"name = {_text(law)}"]
    lines += [f"size = {_text(size)}"] if own_size else []
    others = default_laws(frame, size)
    if len(others) > 1:
        lines += [
            "",
            "# Or average the laws that this table can tell something about, by how well they forecast larger runs:",
            f"# take the comment signs off the next two lines{', and take [law] out' if not own_size else ', and leave only size in [law]'}.",
            "# [average]",
            f"# laws = {json.dumps(others)}",
        ]
    return "\n".join(lines) + "\n"


def _law(frame: pd.DataFrame, size: str, *, origin: str) -> tuple[str, bool]:
    """The simplest law of what varies in the table, and whether its size is another column than its own."""
    varies = {name for name in ("num_experts", "tokens") if name in frame and frame[name].nunique() > 1}
    name = starter_law(varies).name
    law = law_named(name)
    own_size = getattr(law, "size", size) != size
    require_covariates(frame, law_named(name, size=size) if own_size else law, file=origin)
    return name, own_size


def _groups(frame: pd.DataFrame) -> list[str]:
    """Groups where the table names several with enough runs each; dense runs of a group of their own are everyone's."""
    if "group" not in frame or frame["group"].isna().any():
        return []
    counts = frame["group"].value_counts()
    if len(counts) < 2 or counts.min() < _LEAST_OF_A_GROUP:
        return []
    dense = frame["num_experts"].eq(1).groupby(frame["group"].astype(str)).mean()
    shared = dense.index[dense == 1.0]
    lines = ["", "[groups]", 'column = "group"']
    return [*lines, f"dense = {_text(shared[0])}"] if len(shared) == 1 and dense.drop(shared).max() == 0.0 else lines


def _text(value: object) -> str:
    """A TOML basic string; JSON's escapes are TOML's, once the lone surrogates and DEL that TOML refuses are gone."""
    return json.dumps(str(value).encode("utf-8", "replace").decode("utf-8"), ensure_ascii=False).replace("\x7f", "\\u007f")
