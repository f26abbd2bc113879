"""Which runs a backtest holds out: those of a condition, or the larger ones at several splits."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bayesmoe.errors import InputError
from bayesmoe.forecasting.forward_validation import has_tokens, training_compute
from bayesmoe.forecasting.weights import size_of
from bayesmoe.inference.spec import FitSpec
from bayesmoe.runs import RunTable
from bayesmoe.runs.expressions import evaluated


def held_out(table: RunTable, expression: str) -> np.ndarray:
    """Runs of a table where an expression over its columns holds, shape (n,).

    Raises
    ------
    InputError
        It is no condition over the table's columns.
    """
    try:
        mask = np.asarray(evaluated(table.frame, expression))
    except (ValueError, SyntaxError) as error:
        raise InputError(
            f"is not a condition over the table's columns ({error})",
            column="--hold-out",
            value=expression,
            hint=f"columns: {', '.join(map(str, table.frame.columns))}",
        ) from error
    if mask.dtype != bool or mask.shape != (len(table.frame),):
        raise InputError("is not a condition on runs", column="--hold-out", value=expression, hint='such as "n_dense > 1e9"')
    return mask


LEAST_KEPT = 8
"""Fewest runs that a backtest fits."""

_FACTORS = (3.0, 10.0, 30.0, 100.0)
_LEAST_BELOW, _LEAST_ABOVE = 20, 2


def far_masks(spec: FitSpec, frame: pd.DataFrame) -> dict[str, np.ndarray]:
    """Runs above the largest training compute over 3, 10, 30 and 100, where at least 20 runs lie below and 2 above."""
    compute = training_compute(frame, size_of(spec, frame))
    masks = {f"{factor:g}x": compute > compute.max() / factor for factor in _FACTORS}
    return {name: above for name, above in masks.items() if (~above).sum() >= _LEAST_BELOW and above.sum() >= _LEAST_ABOVE}


def forward_masks(spec: FitSpec, frame: pd.DataFrame, count: int) -> dict[str, np.ndarray]:
    """``count`` splits of a table by training compute: all runs above a split are held out.

    The splits lie evenly between the 40th and the 90th percentile of the runs, above at least :data:`LEAST_KEPT` of them; splits of a small
    table that come to hold out the same runs are one.

    Raises
    ------
    InputError
        No split keeps so many runs and holds one out.
    """
    compute = training_compute(frame, size_of(spec, frame))
    unit = "FLOP" if has_tokens(frame) else "FLOP a token"
    # Where many runs share the most compute, a percentile may be that, and nothing lies above.
    most = np.max(compute[compute < compute.max()], initial=0.0)
    if (compute <= most).sum() < LEAST_KEPT:
        rule = f"must keep {LEAST_KEPT} runs and hold out larger ones: only {int((compute <= most).sum())} lie below the largest"
        raise InputError(rule, column="--forward", value=f"{len(frame)} runs", hint="train more runs, of several sizes")
    least = np.sort(compute)[LEAST_KEPT - 1]
    limits = np.clip(np.quantile(compute, np.linspace(0.4, 0.9, count) if count > 1 else [0.8]), least, most)
    return {f"training compute > {limit:.2g} {unit}": compute > limit for limit in limits}
