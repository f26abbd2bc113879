"""A calibration of the roofline as plans and costs use it: read, and drawn for an engine, an accelerator and models it never saw."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray as xr

from bayesmoe.costs.calibrations import FARTHEST, Kind, draw_of, effect
from bayesmoe.costs.serving.roofline import OVERHEADS, TERMS, Coefficients
from bayesmoe.errors import InputError, nearest

SHIPPED = Path(__file__).with_name("calibration.nc")
"""Calibration on public measurements, made by ``datasets/make_serving_calibration.py``."""


KIND = Kind("serving calibration", "calibrate-serving", SHIPPED)


def read_calibration(path: str | Path | None = None) -> xr.Dataset:
    """Read a calibration; the shipped one where no path is given.

    Raises
    ------
    InputError
        The file is missing, unreadable, or no calibration.
    """
    found = KIND.read(path)
    if (reads := found.attrs.get("reads", "distinct")) != "distinct":
        raise InputError("was fitted to other terms than costs use", file=path, value=str(reads), hint="calibrate again")
    return found


class Drawn(NamedTuple):
    """Draws of a calibration for an engine and an accelerator, before any model; arrays of shape (S,).

    Attributes
    ----------
    step : tuple of array
        Slopes, in the order of :data:`bayesmoe.costs.serving.roofline.TERMS`.
    first_prefill, first_step : array
        Slopes of the time to first token.
    common, first_common : array
        Residual factors that a deployment brings to all models.
    own_sd, first_own_sd : array
        Log-sd of the residual factor of a model that was not measured.
    """

    step: tuple[np.ndarray, ...]
    first_prefill: np.ndarray
    first_step: np.ndarray
    common: np.ndarray
    first_common: np.ndarray
    own_sd: np.ndarray
    first_own_sd: np.ndarray


def drawn_calibration(
    calibration: xr.Dataset, draws: int, rng: np.random.Generator, *, accelerator: str, engine: str | None = None
) -> Drawn:
    """Draws of a calibration for models that were not measured.

    ``slope_c = exp(theta_c + [overhead] engine + [memory] hardware)``; an engine or accelerator that was not measured has an effect drawn
    from the spread between those that were. The residual on a model's latency has a part of its own, ``between_models``, and one that a
    deployment brings to all, ``within``.

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
        slope = slope + (of_engine if term in OVERHEADS else 0.0) + (of_hardware if term == "memory" else 0.0)
        step.append(np.exp(slope))
    common, first_common = np.clip(rng.standard_t(posterior["nu"].values, size=(2, draws)), -FARTHEST, FARTHEST)
    first = effect(posterior, "first_of_engine", "engine", "first_by_engine", engine, rng) + effect(
        posterior, "first_of_hardware", "hardware", "first_by_hardware", accelerator, rng
    )
    return Drawn(
        tuple(step),
        np.exp(posterior["first_prefill"].values),
        np.exp(posterior["first_step"].values),
        np.exp(posterior["within"].values * common),
        np.exp(posterior["first_within"].values * first_common + first),
        posterior["between_models"].values,
        posterior["first_between_models"].values,
    )


def coefficients(drawn: Drawn, models: int, rng: np.random.Generator) -> Coefficients:
    """Draws of the roofline's coefficients for K models, each with a residual of its own; slopes (S, 1), residuals (S, K)."""
    z, first_z = rng.standard_normal((2, len(drawn.common), models))
    return Coefficients(
        tuple(slope[:, None] for slope in drawn.step),
        drawn.first_prefill[:, None],
        drawn.first_step[:, None],
        drawn.common[:, None] * np.exp(drawn.own_sd[:, None] * z),
        drawn.first_common[:, None] * np.exp(drawn.first_own_sd[:, None] * first_z),
    )


def without_residual(count: int) -> Coefficients:
    """Coefficients for a latency that is measured: nothing is off."""
    ones = np.ones((count, 1))
    return Coefficients(tuple(ones for _ in TERMS), ones, ones, ones, ones)
