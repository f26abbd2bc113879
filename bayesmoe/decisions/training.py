"""What training a design takes: GPU-hours, days, energy, and the layout on the scenario's cluster."""

from __future__ import annotations

import xarray as xr

from bayesmoe.costs.hardware import accelerator_named
from bayesmoe.costs.training.chosen_layout import ChosenLayout, chosen_layout
from bayesmoe.costs.training.cost import cluster_of
from bayesmoe.costs.training.trained_model import Trained
from bayesmoe.costs.uncertain import median
from bayesmoe.decisions.outcome import Band, Design, TrainingOutcome
from bayesmoe.planning.scenario import Scenario
from bayesmoe.units import GRAMS_PER_KG, HOURS_PER_DAY, SECONDS_PER_HOUR


def training_outcome(row: xr.Dataset, design: Design, scenario: Scenario) -> TrainingOutcome:
    """Training of the design of one expert count, from its GPU-hours by ``quantile``."""
    spec = scenario.training
    hours, chip = Band.of(row["design_train_gpu_hours"].values), accelerator_named(spec.accelerator)
    family = scenario.architecture.family(design.top_k, design.granularity)
    flop = float(family.train_flop_per_token(design.n_dense, float(design.num_experts), spec.flop_rule)) * design.tokens
    cluster_hours = spec.cluster_gpus and spec.cluster_gpus * spec.training_share * HOURS_PER_DAY
    kw = spec.kw_per_gpu or chip.kw_all_in
    kg = kw and spec.grams_co2_per_kwh and kw * spec.grams_co2_per_kwh / GRAMS_PER_KG
    chosen = _layout(design, scenario)
    peak_flop = chip.peak_flop_per_s * SECONDS_PER_HOUR
    return TrainingOutcome(
        gpu_hours=hours,
        mfu=Band(*(flop / (value * peak_flop) for value in reversed(hours))),
        days=_scaled(hours, cluster_hours and 1.0 / cluster_hours),
        kwh=_scaled(hours, kw),
        co2_kg=_scaled(hours, kg),
        layout=chosen.layout,
        reason=chosen.reason,
    )


def _scaled(band: Band, factor: float | None) -> Band | None:
    return Band(*(value * factor for value in band)) if factor else None


def _layout(design: Design, scenario: Scenario) -> ChosenLayout:
    spec, architecture = scenario.training, scenario.architecture
    cluster = cluster_of(spec) if spec.by_layout else None
    if cluster is None:
        return ChosenLayout("", "")
    family = architecture.family(design.top_k, design.granularity)
    asked = Trained((design.num_experts,), (family,), median(architecture.width_times_layers), architecture.moe_layer_share)
    return chosen_layout(asked, design.n_dense, cluster, accelerator=spec.accelerator, calibration=spec.calibration)
