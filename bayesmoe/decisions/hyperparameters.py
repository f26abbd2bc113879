"""Learning rate and batch that the literature's laws would use for the recommended design, with the spread within and between papers."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import xarray as xr

from bayesmoe.hyperparameters import HyperparameterLaw, PowerLaw, all_hyperparameter_laws
from bayesmoe.planning.best_designs import best_designs
from bayesmoe.planning.store import PlanInfo
from bayesmoe.units import QUANTILES

NAMES = ("learning_rate", "batch_tokens")
_DRAWS = 4000


def hyperparameters(plan: xr.Dataset, summary: xr.Dataset) -> xr.Dataset:
    """Hyperparameters of each problem's recommended design, by every law of the literature that gives them.

    Parameters
    ----------
    plan, summary : Dataset
        A plan and its :func:`bayesmoe.decisions.risk.risk`.

    Returns
    -------
    Dataset
        ``learning_rate`` (1) and ``batch_tokens`` (tokens) by ``problem``, ``paper`` and ``quantile``, NaN where a paper gives none or there is no
        recommendation: the band of a published bootstrap, or of the loss that a law reads; a point where the source prints no spread. ``learning_rate_log_sd`` and
        ``batch_tokens_log_sd`` by ``problem``: spread of ln between papers. ``beyond``: what of the model a law extrapolates, in words.
    """
    papers = [paper for paper in all_hyperparameter_laws if any(law.quantity in NAMES for law in paper.laws)]
    problems = [str(name) for name in plan["problem"].values]
    bands = {name: np.full((len(problems), len(papers), len(QUANTILES)), np.nan) for name in NAMES}
    beyond = np.full((len(problems), len(papers)), "", dtype=object)
    for row, problem in enumerate(problems):
        choice = int(summary["recommended"].sel(problem=problem))
        if not choice:
            continue
        model = _model(plan.sel(problem=problem), choice, int(best_designs(plan).sel(problem=problem, num_experts=choice)))
        for column, paper in enumerate(papers):
            asked = {name: model[name] for name in paper.inputs}
            beyond[row, column] = " ".join(paper.outside_fitted_range(**asked))
            for law in paper.laws:
                if law.quantity in NAMES:
                    bands[law.quantity][row, column] = _band(law, {name: asked[name] for name in law.inputs})
    dims = ("problem", "paper")
    apart = {name: np.array([_log_sd(papers, row[:, 1]) for row in values]) for name, values in bands.items()}
    found: dict[str, Any] = {name: ((*dims, "quantile"), values) for name, values in bands.items()}
    found |= {f"{name}_log_sd": ("problem", values) for name, values in apart.items()}
    return xr.Dataset(
        {**found, "beyond": (dims, beyond.astype(str))},
        coords={"problem": problems, "paper": [paper.name for paper in papers], "quantile": list(QUANTILES)},
    )


def _model(part: xr.Dataset, num_experts: int, option: int) -> dict[str, np.ndarray]:
    """What laws read of an option, arrays of one number, or of one for each draw where draws differ."""
    own = part.isel(option=option)
    family = PlanInfo.read(part).scenario.architecture.family(float(own["option_top_k"]), float(own["option_granularity"]))
    run = family.run(float(own["option_n_dense"]), float(own["option_tokens"]), float(num_experts))
    loss = own["option_loss"].values.astype(float)
    return {
        **{name: np.atleast_1d(np.asarray(value, dtype=float)) for name, value in run.items()},
        "loss": loss[np.isfinite(loss)],
    }


def _band(law: PowerLaw, inputs: dict[str, np.ndarray]) -> np.ndarray:
    if law.covariance is not None:
        return np.quantile(law.draws(np.random.default_rng(0), _DRAWS, **inputs), QUANTILES)
    return np.quantile(np.asarray(law.value(**inputs)), QUANTILES)


def _log_sd(papers: list[HyperparameterLaw], values: np.ndarray) -> float:
    """Spread of ln between papers; one that has several fits counts once."""
    by_paper: dict[str, list[float]] = {}
    for paper, value in zip(papers, np.log(values), strict=True):
        if np.isfinite(value):
            by_paper.setdefault(re.findall(r"arXiv:[\d.]+", paper.source)[0], []).append(value)
    means = [np.mean(each) for each in by_paper.values()]
    return float(np.std(means, ddof=1)) if len(means) > 1 else float("nan")
