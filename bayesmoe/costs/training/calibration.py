"""A calibration of the training step as costs use it: read, and drawn for an accelerator, a source and models it never saw."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray as xr

from bayesmoe.costs.calibrations import FARTHEST, Kind, draw_of, effect
from bayesmoe.costs.precisions import TrainingPrecision
from bayesmoe.costs.training.coefficients import NAMES, log_design
from bayesmoe.costs.training.step import Slopes, Software
from bayesmoe.errors import InputError

KIND = Kind("training calibration", "calibrate-training", Path(__file__).with_name("calibration.nc"))
"""The shipped one is on public measurements, made by ``datasets/make_training_calibration.py``."""

TODAY = Software(age_years=0.0, full_graph=0.0, partial_graph=1.0, plain_dispatch=0.0, overlap=0.0)
"""What a lab's stack is taken to be: current, with graphs of parts of a layer and fused dispatch."""

TAIL = 4.0
"""Degrees of freedom of residuals: some models, and some rows, are off by far more than most, for kernels that nobody tuned."""


def read_training_calibration(path: str | Path | None = None) -> xr.Dataset:
    """Read a calibration; the shipped one where no path is given.

    Raises
    ------
    InputError
        The file is missing, unreadable, no such calibration, or of other coefficients than this version's.
    """
    found = KIND.read(path)
    if found["coefficient"].values.tolist() != list(NAMES):
        raise InputError("is of other coefficients than this version's", file=path, hint="calibrate again")
    return found


class Drawn(NamedTuple):
    """Draws of a calibration for a precision, a stack and an accelerator, before any model; arrays of shape (S, ...).

    Attributes
    ----------
    terms : array
        Slopes, shape (S, term).
    recompute, recompute_some, bubble : array
        Shares of what is computed, shape (S,).
    unevenness, between_routers : array
        Share by which a learned router stretches what is routed, and its log-sd between models, shape (S,).
    common : array
        Residual factor that hardware, source, and the gap between a benchmark and a run bring to all models, shape (S,).
    own_sd, own_sd_moe : array
        Scale of the log residual of a dense model and of an MoE that were not measured, with that of a single measurement, shape (S,).
    """

    terms: np.ndarray
    recompute: np.ndarray
    recompute_some: np.ndarray
    bubble: np.ndarray
    unevenness: np.ndarray
    between_routers: np.ndarray
    common: np.ndarray
    own_sd: np.ndarray
    own_sd_moe: np.ndarray


def drawn_training(
    calibration: xr.Dataset,
    draws: int,
    rng: np.random.Generator,
    *,
    accelerator: str,
    precision: TrainingPrecision,
    software: Software = TODAY,
    source: str | None = None,
    run: str | None = "whole_run",
) -> Drawn:
    """Draws of a calibration for models that were not measured.

    Parameters
    ----------
    calibration : Dataset
        Of :func:`read_training_calibration`.
    draws, rng : int, Generator
        S, and where randomness comes from.
    accelerator, source : str
        Hardware and source as in the calibration; others have effects drawn from the spread between those that were measured.
    precision, software : str, Software
        Of the matrices; the stack.
    run : {"whole_run", "steady_state"}, optional
        Whether all hours of a lab's run are meant, or its steady steps; a benchmark's steps where None.
    """
    posterior = draw_of(calibration, draws, rng)
    theta = posterior["theta"].transpose("sample", "coefficient").values
    value = dict(zip(NAMES, np.exp(theta).T, strict=True))
    ln_common = effect(posterior, "of_hardware", "hardware", "by_hardware", accelerator, rng)
    ln_common = ln_common + effect(posterior, "of_source", "source", "by_source", source, rng)
    if run is not None:
        spread = posterior["between_labs"].values * rng.standard_normal(draws)
        ln_common = ln_common + posterior["gap"].sel(kind=run).values + spread
    return Drawn(
        terms=np.exp(theta @ log_design(software, precision).T),
        recompute=value["recompute"],
        recompute_some=value["recompute_some"],
        bubble=value["bubble"],
        unevenness=np.exp(posterior["unevenness"].values),
        between_routers=posterior["between_routers"].values,
        common=np.exp(ln_common),
        own_sd=np.hypot(posterior["between_dense"].values, posterior["within_dense"].values),
        own_sd_moe=np.hypot(posterior["between_moes"].values, posterior["within_moes"].values),
    )


def training_slopes(drawn: Drawn, moe: np.ndarray, rng: np.random.Generator) -> Slopes:
    """Draws of slopes for K models, each with residuals of its own; terms (S, 1), unevenness and slowdown (S, K).

    Parameters
    ----------
    drawn : Drawn
        Draws before any model.
    moe : array
        Which models have experts, shape (K,).
    rng : Generator
        Where randomness comes from.
    """
    size = (len(drawn.common), len(np.atleast_1d(moe)))
    own_sd = np.where(moe, drawn.own_sd_moe[:, None], drawn.own_sd[:, None])
    return Slopes(
        tuple(slope[:, None] for slope in drawn.terms.T),
        drawn.recompute[:, None],
        drawn.recompute_some[:, None],
        drawn.bubble[:, None],
        drawn.unevenness[:, None] * np.exp(drawn.between_routers[:, None] * rng.standard_normal(size)),
        drawn.common[:, None] * np.exp(own_sd * _student(TAIL, size, rng)),
    )


def _student(nu: float, size: int | tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    return np.clip(rng.standard_t(nu, size=size), -FARTHEST, FARTHEST)
