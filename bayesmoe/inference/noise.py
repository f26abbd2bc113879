"""How the noise of a run depends on its loss and its place, and what replicate seeds say of it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np
import pandas as pd

Part = Literal["loss", "ratio", "seed"]
"""What noise may depend on: the loss, the distance from the table's usual tokens per parameter, and which runs are replicates."""

SLOPES = {"loss": ("noise_loss", 2.0), "ratio": ("noise_ratio", 0.3)}
"""By part: the site of its slope, and the sd of the slope's normal prior around zero: per unit of ln L, and per e-fold of tokens per
parameter. Over the losses of a public table (0.4 to 0.9 in ln L) and its ratios either lets noise change by a factor of about three."""

REFERENCES = ("ln_loss", "ln_ratio", "ln_ratio_range")
"""Numbers of a table that the noise of another run is read against; see :func:`noise_data`."""

SEED_SHARE = "seed_share"
"""Site of the share of the noise's variance that differs between seeds of one configuration."""

SEED_SHARE_SD = 1.5
"""Sd of its prior on the logit scale, around a half: from a tenth to nine tenths."""

_MOST = float(np.log(3.0))
"""Most of the exponent either way: the noise of two runs of a table never differs more than ninefold."""

_NO_PART_OF_A_CONFIGURATION = ("run_id", "seed", "leverage", "notes")


def noise_data(frame: pd.DataFrame, kept: np.ndarray, response: str, parts: tuple[str, ...]) -> dict[str, Any]:
    """Arrays that the parts of the noise are read from.

    Parameters
    ----------
    frame, response : DataFrame, str
        Runs in model order, and the column of their response.
    kept : array of bool, shape (n,)
        Runs that the model sees: only they set references and count as replicates.
    parts : tuple of str
        Parts of the noise.

    Returns
    -------
    dict of array
        ``ln_loss``, the mean ln loss seen. ``ln_ratio``, the median ln tokens per parameter seen, ``ln_ratio_range``, how far from it a run
        was seen, and ``run_ln_ratio`` of each run.
        ``earlier`` and ``earlier_mean``, how many replicates of a run stand before it, and their mean loss.
    """
    arrays: dict[str, Any] = {}
    if "loss" in parts:
        arrays["ln_loss"] = jnp.asarray(np.log(frame.loc[kept, response].to_numpy(float)).mean())
    if "ratio" in parts:
        ratio = ln_ratio(frame, ratio_size(_complete(frame)))
        median = np.median(ratio[kept])
        arrays |= {"ln_ratio": jnp.asarray(median), "run_ln_ratio": jnp.asarray(ratio)}
        arrays["ln_ratio_range"] = jnp.asarray(np.abs(ratio[kept] - median).max())
    if "seed" in parts:
        earlier, mean = _earlier_replicates(frame, kept, response)
        arrays |= {"earlier": jnp.asarray(earlier), "earlier_mean": jnp.asarray(mean)}
    return arrays


def parts_of(frame: pd.DataFrame, asked: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the named parts that a table identifies.

    Seeds need replicates; the ratio needs tokens and a size that both vary, for where one is fixed it is the other's name.
    """
    readable = {"loss": True, "ratio": _has_ratio(frame), "seed": bool(replicates(frame).duplicated().any())}
    return tuple(part for part in asked if readable[part])


def ratio_size(complete: Collection[str]) -> str:
    """Column that tokens are counted per: the parameters used, or those of the backbone where a table does not give them for all."""
    return "n_active" if "n_active" in complete else "n_dense"


def ln_ratio(frame: pd.DataFrame, size: str) -> np.ndarray:
    """ln of training tokens per parameter, shape (n,)."""
    return np.log(frame["tokens"].to_numpy(float) / frame[size].to_numpy(float))


def replicates(frame: pd.DataFrame) -> pd.Series:
    """Number of each run's configuration: runs of one number differ in their seed and what was measured only; shape (n,).

    A run without a seed is a configuration of its own. Measured are the columns with "loss" in their name, and leverage.
    """
    number = pd.Series(-1 - np.arange(len(frame)), index=frame.index)
    if "seed" not in frame or not frame["seed"].notna().any():
        return number
    seeded = frame["seed"].notna()
    same = [name for name in map(str, frame.columns) if "loss" not in name and name not in _NO_PART_OF_A_CONFIGURATION]
    number[seeded] = frame.loc[seeded].groupby(same, dropna=False, sort=False).ngroup()
    return number


def relative_scale(slopes: dict[str, Any], ln_loss: Any, run_ln_ratio: Any, data: dict[str, Any]) -> Any:
    """Noise of a run over the table's, ``exp(a (ln L - mean ln L) + b min(|ln(tokens/N) - median|, range))``.

    Further from the usual ratio than any run seen, noise grows no more: nothing was seen of it. The exponent bends over so that no run has
    more than three times or less than a third of the table's noise. ``slopes`` holds those of a
    (``noise_loss``) and b (``noise_ratio``) that the model has; ``ln_loss`` has the shape (..., n), ``run_ln_ratio`` (n,), None without b;
    ``data`` holds the references from :func:`noise_data`.
    """
    exponent = 0.0
    if SLOPES["loss"][0] in slopes:
        exponent += slopes[SLOPES["loss"][0]] * (ln_loss - data["ln_loss"])
    if SLOPES["ratio"][0] in slopes:
        away = jnp.abs(run_ln_ratio - data["ln_ratio"])
        exponent += slopes[SLOPES["ratio"][0]] * jnp.minimum(away, data["ln_ratio_range"])
    return jnp.exp(_MOST * jnp.tanh(exponent / _MOST))


def given_earlier(mean: Any, scale: Any, share: Any, data: dict[str, Any]) -> tuple[Any, Any]:
    """Location and scale of a run given the replicates that stand before it, as if noise were normal.

    Of the noise's variance, a share s is the seed's and 1 - s the configuration's, which replicates have in common. Given k earlier
    replicates of mean y, the location is ``mean + k(1-s)/(k(1-s)+s) (y - mean)`` and the variance ``scale^2 s (s+(k+1)(1-s)) /
    (s+k(1-s))``: for k = 0 those of a run alone. The product over replicates is their joint density.
    """
    count, shared = data["earlier"], 1.0 - share
    pooled = share + count * shared
    location = mean + count * shared / pooled * (data["earlier_mean"] - mean)
    return location, scale * jnp.sqrt(share * (pooled + shared) / pooled)


def _earlier_replicates(frame: pd.DataFrame, kept: np.ndarray, response: str) -> tuple[np.ndarray, np.ndarray]:
    number = replicates(frame)
    seen, loss = pd.Series(kept.astype(float), index=frame.index), frame[response].astype(float)
    count = seen.groupby(number).cumsum() - seen
    total = (seen * loss).groupby(number).cumsum() - seen * loss
    return count.to_numpy(), np.where(count > 0, total / count.clip(lower=1.0), loss)


def _complete(frame: pd.DataFrame) -> list[str]:
    return [str(name) for name in frame if frame[name].notna().all()]


def _has_ratio(frame: pd.DataFrame) -> bool:
    complete = _complete(frame)
    return all(name in complete and frame[name].nunique() > 1 for name in ("tokens", ratio_size(complete)))
