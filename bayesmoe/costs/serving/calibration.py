"""A calibration of the roofline as plans and costs use it: read, and drawn for an engine, an accelerator and models it never saw."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray as xr

from bayesmoe.costs.calibrations import FARTHEST, Kind, draw_of, effect
from bayesmoe.costs.hardware import accelerator_named
from bayesmoe.costs.serving.roofline import Coefficients
from bayesmoe.costs.serving.step import BY_BANDWIDTH, OVERHEADS, TERMS
from bayesmoe.errors import InputError, nearest

SHIPPED = Path(__file__).with_name("calibration.nc")
"""Calibration on public measurements, made by ``datasets/make_serving_calibration.py``."""


KIND = Kind("serving calibration", "calibrate-serving", SHIPPED, format=3)


def read_calibration(path: str | Path | None = None) -> xr.Dataset:
    """Read a calibration; the shipped one where no path is given.

    Raises
    ------
    InputError
        The file is missing, unreadable, or no calibration.
    """
    return KIND.read(path)


class Drawn(NamedTuple):
    """Draws of a calibration for an engine and an accelerator, before any model; arrays of shape (S,).

    Attributes
    ----------
    step : tuple of array
        Slopes, in the order of :data:`bayesmoe.costs.serving.step.TERMS`.
    first_prefill, first_step : array
        Slopes of the time to first token.
    common, first_common : array
        Residual factors that a deployment brings to all models.
    own_sd, first_own_sd : array
        Log-sd of the residual factor of a model that was not measured, in that deployment.
    within, first_within : array
        Scale of what a load and lengths bring to one model, Student t with ``nu``.
    nu : array
        Its degrees of freedom.
    """

    step: tuple[np.ndarray, ...]
    first_prefill: np.ndarray
    first_step: np.ndarray
    common: np.ndarray
    first_common: np.ndarray
    own_sd: np.ndarray
    first_own_sd: np.ndarray
    within: np.ndarray
    first_within: np.ndarray
    nu: np.ndarray


def drawn_calibration(
    calibration: xr.Dataset, draws: int, rng: np.random.Generator, *, accelerator: str, engine: str | None = None
) -> Drawn:
    """Draws of a calibration for models that were not measured.

    ``slope_c = exp(theta_c + [overhead] engine + [bandwidth] hardware)``; an engine or accelerator that was not measured has an effect drawn
    from the spread between those that were. The residual on a model's latency has a part that a deployment brings to all models,
    ``by_deployment``, and others of its own: ``between_models``, ``by_cell`` of a model in a deployment, and ``within``. On an accelerator
    that was not measured the common part is as uncertain again, and on one of a vendor of which none was, by :data:`OTHER_VENDOR_SD` more.

    Raises
    ------
    InputError
        The engine is not in the calibration.
    """
    engines = calibration["engine"].values.tolist()
    if engine is not None and engine not in engines:
        raise InputError("is not in the calibration", column="serving.engine", value=engine, hint=nearest(engine, engines))
    posterior = draw_of(calibration, draws, rng)
    of_engine = effect(posterior, "of_engine", "engine", "by_engine", engine, rng)
    of_hardware = effect(posterior, "of_hardware", "hardware", "by_hardware", accelerator, rng)
    step = []
    for term in TERMS:
        slope = posterior["theta"].sel(term=term).values
        slope = slope + (of_engine if term in OVERHEADS else 0.0) + (of_hardware if term in BY_BANDWIDTH else 0.0)
        step.append(np.exp(slope))
    first = effect(posterior, "first_of_engine", "engine", "first_by_engine", engine, rng) + effect(
        posterior, "first_of_hardware", "hardware", "first_by_hardware", accelerator, rng
    )
    strange = _strangeness(calibration, accelerator)
    common, first_common = (
        np.hypot(posterior[f"{prefix}by_deployment"].values * strange.widens, strange.adds) * rng.standard_normal(draws)
        for prefix in ("", "first_")
    )
    own_sd, first_own_sd = (
        np.hypot(posterior[f"{prefix}between_models"].values, posterior[f"{prefix}by_cell"].values)
        for prefix in ("", "first_")
    )
    return Drawn(
        tuple(step),
        np.exp(posterior["first_prefill"].values),
        np.exp(posterior["first_step"].values),
        np.exp(common),
        np.exp(first_common + first),
        own_sd,
        first_own_sd,
        posterior["within"].values,
        posterior["first_within"].values,
        posterior["nu"].values,
    )


OTHER_VENDOR_SD = 0.4
"""Log-sd of what a vendor that was not measured adds to every latency: its kernels and engines are others. An assumption of this project."""


class _Strangeness(NamedTuple):
    """By what the spread of a deployment is multiplied, and what is added to it."""

    widens: float
    adds: float


def _strangeness(calibration: xr.Dataset, accelerator: str) -> _Strangeness:
    """How far an accelerator is from those that were measured."""
    measured = calibration["hardware"].values.tolist()
    if accelerator in measured:
        return _Strangeness(1.0, 0.0)
    vendors = {accelerator_named(name).vendor for name in measured}
    return _Strangeness(np.sqrt(2.0), 0.0 if accelerator_named(accelerator).vendor in vendors else OTHER_VENDOR_SD)


def coefficients(drawn: Drawn, models: int, rng: np.random.Generator) -> Coefficients:
    """Draws of the roofline's coefficients for K models, each with a residual of its own; slopes (S, 1), residuals (S, K)."""
    shape = (len(drawn.common), models)
    z, first_z = rng.standard_normal((2, *shape))
    t, first_t = np.clip(rng.standard_t(drawn.nu[:, None], size=(2, *shape)), -FARTHEST, FARTHEST)
    own, first_own = drawn.own_sd[:, None] * z, drawn.first_own_sd[:, None] * first_z
    return Coefficients(
        tuple(slope[:, None] for slope in drawn.step),
        drawn.first_prefill[:, None],
        drawn.first_step[:, None],
        drawn.common[:, None] * np.exp(own + drawn.within[:, None] * t),
        drawn.first_common[:, None] * np.exp(first_own + drawn.first_within[:, None] * first_t),
    )


def without_residual(count: int) -> Coefficients:
    """Coefficients for a latency that is measured: nothing is off."""
    ones = np.ones((count, 1))
    return Coefficients(tuple(ones for _ in TERMS), ones, ones, ones, ones)
