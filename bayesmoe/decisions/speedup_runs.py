"""Which run would settle whether recipe B is to be promoted over A: value of its outcome, and probability of a verdict after it."""

from __future__ import annotations

import numpy as np
import xarray as xr
from scipy import special

from bayesmoe.costs.hardware import accelerator_named
from bayesmoe.costs.training import training_usd
from bayesmoe.costs.training_budget import USUAL_MFU
from bayesmoe.decisions.recipe_losses import RecipeLosses
from bayesmoe.decisions.value_of_information import Stakes, basis, normal_scores, sample, stakes
from bayesmoe.errors import InputError
from bayesmoe.inference.model import noisy

SHARES = (1 / 10, 1 / 3, 1.0, 3.0)
"""Compute of a candidate over the budget asked."""

MOST = float(np.log(10.0))
"""A lead counts as tenfold at most, either way: where one recipe never has the other's loss, ln s has no mean."""


def settling_runs(losses: RecipeLosses, at_flop: float, *, threshold: float, probability: float, seed: int) -> xr.Dataset:
    """Value of one more run of A, of B, or of one of each, at several shares of a budget.

    Each candidate has the size that is loss-optimal for its recipe; a pair has one size for both. Every draw says what a run would show, with
    the noise of a run. EVSI is that of the decision "promote where the expected ln s exceeds ln threshold", whose loss is the ln s given away. The
    verdict after a run is read from a normal regression of the scores of ln s on what it would show, so that no second posterior is needed.

    Parameters
    ----------
    losses : RecipeLosses
        Losses of both groups.
    at_flop : float
        The budget of the verdict, FLOP.
    threshold, probability : float
        Of the verdict.
    seed : int
        Seed of the outcomes.

    Returns
    -------
    Dataset
        By ``run``: ``run_of``, the recipes to train, "both" for a pair; ``run_flop`` in all; ``run_n_active`` and ``run_tokens`` of each; ``run_evsi`` and ``run_evsi_se``, ln
        speedup; ``run_says``, "worth" or "cannot tell" where the standard error exceeds the value; ``run_p_settled``, probability that the verdict is
        PROMOTE or REJECT after it. ``p_settled_now`` is 1 where it is so already, else 0; ``evpi`` is the value of knowing s, ln speedup.
    """
    ln_speedup = losses.ln_speedup(np.log([at_flop]))[:, 0]
    of = _stakes(ln_speedup, threshold)
    rng, rows = np.random.default_rng((seed, 5)), []
    for share in SHARES:
        for groups in ((losses.recipes.over,), (losses.recipes.of,), losses.recipes.groups):
            shown, design = _outcomes(losses, groups, float(np.log(at_flop * share)), rng)
            worth = sample(of, shown[of.kept])
            rows.append(
                {
                    "run_of": groups[0] if len(groups) == 1 else "both",
                    "run_flop": at_flop * share * len(groups),
                    "run_n_active": np.exp(design[0]),
                    "run_tokens": np.exp(design[1]),
                    "run_evsi": worth.usd,
                    "run_evsi_se": worth.se_usd,
                    "run_says": "worth" if worth.usd > worth.se_usd else "cannot tell",
                    "run_p_settled": settled_after(ln_speedup, shown, float(np.log(threshold)), probability),
                }
            )
    p_above = float((ln_speedup > np.log(threshold)).mean())
    now = max(p_above, 1.0 - p_above) >= probability
    columns = {name: ("run", [row[name] for row in rows]) for name in rows[0]}
    return xr.Dataset({**columns, "p_settled_now": float(now), "evpi": of.evpi_usd})


def settling_run(found: xr.Dataset) -> int | None:
    """Place of the cheapest run after which a verdict is as probable as the verdict asks of itself; None without one."""
    sure = np.flatnonzero(found["run_p_settled"].values >= found.attrs["probability"])
    return int(sure[found["run_flop"].values[sure].argmin()]) if len(sure) else None


def settled_after(ln_speedup: np.ndarray, shown: np.ndarray, ln_threshold: float, probability: float) -> float:
    """Probability that ``P(s > threshold | outcome)`` is at least ``probability``, or at most one less it.

    Parameters
    ----------
    ln_speedup : array, shape (S,)
        By draw; may be infinite.
    shown : array, shape (S, k)
        An outcome of k numbers by draw.
    ln_threshold, probability : float
        Of the verdict.
    """
    below = float((ln_speedup <= ln_threshold).mean())
    if below in (0.0, 1.0):
        return 1.0
    scores, limit = normal_scores(ln_speedup), float(special.ndtri(below))
    design = np.column_stack([np.ones(len(scores)), basis([normal_scores(column) for column in shown.T], 1)])
    fitted = design @ np.linalg.lstsq(design, scores)[0]
    spread = max(float(np.std(scores - fitted)), 1e-12)
    p_above = special.ndtr((fitted - limit) / spread)
    return float((np.maximum(p_above, 1.0 - p_above) >= probability).mean())


def usd_of(flop: float, usd_per_gpu_hour: float, accelerator: str) -> float:
    """USD of training FLOP at a usual utilization (:data:`bayesmoe.costs.workload.USUAL_MFU`).

    Raises
    ------
    InputError
        The price is not positive, or there is no such accelerator.
    """
    if not 0.0 < usd_per_gpu_hour < np.inf:
        raise InputError(
            "must be positive", column="--usd-per-gpu-hour", value=usd_per_gpu_hour, hint="give one such as 2.2"
        )
    peak = accelerator_named(accelerator).peak_flop_per_s
    return float(training_usd(flop, mfu=USUAL_MFU, peak_flop_per_s=peak, price_usd_per_gpu_hour=usd_per_gpu_hour))


def _stakes(ln_speedup: np.ndarray, threshold: float) -> Stakes:
    """What promoting and keeping lose, in ln speedup: fields of :class:`Stakes` that are named after money hold that."""
    gain = np.clip(ln_speedup - np.log(threshold), -MOST, MOST)
    return stakes(xr.DataArray(np.stack([-gain, np.zeros_like(gain)]), dims=("option", "sample")))


def _outcomes(
    losses: RecipeLosses, groups: tuple[str, ...], ln_flop: float, rng: np.random.Generator
) -> tuple[np.ndarray, tuple[float, float]]:
    """What runs of the groups at one design would show, shape (S, k), and the design: of a pair the difference comes first."""
    design = losses.design(ln_flop, groups)
    ln_loss = []
    for name in groups:
        scale, df = losses.noise(name, *design)
        seen = noisy(losses.loss(name, *design)[:, None], scale[:, None], df, rng)[:, 0]
        ln_loss.append(np.log(np.maximum(seen, np.finfo(float).tiny)))
    if len(groups) == 1:
        return ln_loss[0][:, None], design
    return np.stack([ln_loss[0] - ln_loss[1], ln_loss[1]], axis=1), design
