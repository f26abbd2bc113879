"""What a law reads from a run table: its reference run, and a clear word about a column that is missing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from bayesmoe.errors import InputError
from bayesmoe.laws.base import Law, Reference

_GAIN_WITHOUT_EXPERTS = 32.0


def reference_run(frame: pd.DataFrame, law: Law) -> Reference:
    """Reference run of a table: geometric means of the law's covariates, arithmetic where a column holds zeros."""
    run = {name: _mean(frame[name].to_numpy(float)) for name in law.covariates}
    experts = frame["num_experts"].to_numpy(float) if "num_experts" in frame else np.ones(1)
    routed = experts[experts > 1]
    gain = _mean(routed) if routed.size else _GAIN_WITHOUT_EXPERTS
    if "num_experts" in run:
        run["num_experts"] = 1.0 if (experts == 1).any() else gain
    return Reference(run, gain)


def _mean(values: np.ndarray) -> float:
    return float(values.mean() if (values <= 0).any() else np.exp(np.log(values).mean()))


def require_covariates(frame: pd.DataFrame, law: Law, *, file: Any = None) -> None:
    """Raise :class:`InputError` that names the first covariate of ``law`` that ``frame`` lacks, and how to get it."""
    require_columns(frame, law.covariates, f"the law {law.name!r}", file=file)


def require_columns(frame: pd.DataFrame, columns: tuple[str, ...], by: str, *, file: Any = None) -> None:
    """Raise :class:`InputError` that names the first of the columns that ``frame`` lacks, what needs it, and how to get it."""
    for column in columns:
        if column not in frame or frame[column].isna().all():
            raise InputError(f"is needed by {by}", file=file, column=column, hint=_HINTS.get(column, "add the column"))
        if frame[column].isna().any():
            row = int(np.flatnonzero(frame[column].isna())[0])
            raise InputError(
                f"is needed by {by} and is blank in run {frame['run_id'].iloc[row]!r}",
                file=file,
                column=column,
                hint="fill it in, or leave those runs out with --select",
            )


_HINTS = {
    "n_dense": "add it (backbone parameters before expert expansion), add shape columns (d_model, num_layers, d_ff), "
    "or let the law read another size with --size n_active",
    "n_active": "add it, or n_dense, n_total and top_k to derive it",
    "n_total": "add it, or shape columns (d_model, num_layers, d_expert) to derive it",
    "tokens": "add the training tokens of each run, or choose a law without them (clark)",
    "num_experts": "add the routed experts of each run, 1 for dense",
    "top_k": "add the routed experts per token, 1 for dense",
    "shared_experts": "add the always-on experts of each run, 0 where there are none",
    "granularity": "add 4 d_model / d_expert (1 for dense), or the columns d_model and d_expert to derive it",
    "activation_ratio": "add (top_k + shared_experts) / (num_experts + shared_experts), or top_k to derive it",
    "train_flop": "add the training FLOP of each run, or n_active and tokens to derive 6 n_active tokens",
    "d_model": "add the width of the model's residual stream",
    "num_layers": "add the number of layers",
}
