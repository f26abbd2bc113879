"""The calibration of training: known coefficients come back, an unmeasured model is foretold, and a fit blind to routers is found out."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from seeds import seeded

from bayesmoe.costs.hierarchical import Settings
from bayesmoe.costs.training.calibration import TAIL
from bayesmoe.costs.training.coefficients import NAMES, PRIOR
from bayesmoe.costs.training.fit_calibration import Pairs, base_seconds, calibrate_training, of_rows
from bayesmoe.costs.training_measurements import TrainingPoints, read_training_points
from bayesmoe.errors import InputError
from bayesmoe.precision import in_float64

DENSE, MOES, UNSEEN = (
    ("llama-3.1-8b", "llama-3.1-70b", "llama-2-7b"),
    ("mixtral-8x7b", "qwen3-30b-a3b", "qwen3-235b-a22b"),
    "mistral-7b",
)
HARDWARE = {"H100-SXM": -0.1, "B200-SXM": 0.1}
SETTINGS = Settings(draws=400, warmup=400)

OFF = {"matmul": 0.15, "matmul_fp8": -0.2, "recompute": 0.3}
"""How far the logarithms of some coefficients lie from the prior's medians; the others are those."""

UNEVENNESS, BETWEEN, WITHIN = np.log(0.8), 0.1, 0.03
TRUTH = np.array([np.log(median) + OFF.get(name, 0.0) for name, (median, _) in PRIOR.items()])


def configurations() -> pd.DataFrame:
    """Steps of every model on both chips, in two precisions, sizes of cluster and batch, with and without recomputation; half of an MoE's routers learn."""
    rows = []
    for model in (*DENSE, *MOES, UNSEEN):
        moe = model in MOES
        grid = itertools.product(
            HARDWARE, ("bf16", "fp8"), (64, 256), ("none", "full"), ("balanced", "learned") if moe else ("balanced",)
        )
        rows += [
            {
                "architecture": model,
                "hardware": hardware,
                "precision": precision,
                "num_gpus": gpus,
                "global_batch": 4 * gpus,
                "sequence_tokens": 4096,
                "tp": 1 if moe else 2,
                "ep": 8 if moe else 1,
                "recompute": recompute,
                "routing": routing,
                "tokens_per_s_per_gpu": 1.0,
            }
            for hardware, precision, gpus, recompute, routing in grid
        ]
    return pd.DataFrame(rows)


def seconds(points: TrainingPoints) -> np.ndarray:
    """Seconds per token of the known step, before any residual."""
    total, routed = base_seconds(jnp.asarray(TRUTH), of_rows(points.rows, points.frame["precision"]))
    return np.asarray(total + points.frame["learned_router"].to_numpy(float) * np.exp(UNEVENNESS) * routed)


def throughput(points: TrainingPoints) -> np.ndarray:
    """Tokens per second and GPU with effects of models and chips, and noise."""
    rng, frame = np.random.default_rng(seeded(31)), points.frame
    of_model = {name: BETWEEN * rng.standard_normal() for name in sorted(set(frame["architecture"]))}
    ln_s = np.log(seconds(points)) + frame["architecture"].map(of_model) + frame["hardware"].map(HARDWARE)
    return np.exp(-ln_s.to_numpy() - WITHIN * rng.standard_t(TAIL, size=len(frame)))


@pytest.fixture(scope="module")
@in_float64
def measured(tmp_path_factory) -> tuple[TrainingPoints, TrainingPoints]:
    """Points of the models to fit, and those of one that is held back."""
    path = Path(tmp_path_factory.mktemp("training") / "points.csv")
    configurations().to_csv(path, index=False)
    points = read_training_points(path)
    known = dataclasses.replace(points, frame=points.frame.assign(tokens_per_s_per_gpu=throughput(points)))
    seen = (known.frame["architecture"] != UNSEEN).to_numpy()
    return known.where(seen), known.where(~seen)


@in_float64
def pairs(points: TrainingPoints) -> Pairs:
    """What a learned router costs the first MoE on each chip."""
    frame = points.frame
    chosen = (
        (frame["architecture"] == MOES[1])
        & (frame["routing"] == "balanced")
        & (frame["num_gpus"] == 64)
        & (frame["recompute"] == "none")
    )
    rows = points.rows.where(chosen.to_numpy())
    total, routed = base_seconds(jnp.asarray(TRUTH), of_rows(rows, frame["precision"][chosen]))
    ratio = np.asarray(total / (total + np.exp(UNEVENNESS) * routed))
    return Pairs(rows, frame["precision"][chosen].to_numpy(), ratio, np.zeros(len(ratio)))


@pytest.fixture(scope="module")
@in_float64
def fitted(measured):
    """What the points say."""
    return calibrate_training(measured[0], pairs(measured[0]), settings=SETTINGS)


def flat(tree, name: str) -> np.ndarray:
    """Draws of a parameter along the first axis."""
    return tree["posterior"][name].stack(sample=("chain", "draw")).transpose("sample", ...).values


def holds(draws: np.ndarray, value: float) -> bool:
    """Whether the central 99.9% hold a value: one true value in a thousand lies outside by chance."""
    low, high = np.quantile(draws, [0.0005, 0.9995])
    return bool(low <= value <= high)


@pytest.mark.slow
def test_known_coefficients_come_back(fitted):
    theta = flat(fitted, "theta")
    missed = [name for k, name in enumerate(NAMES) if not holds(theta[:, k], TRUTH[k])]
    # Of 37 true values one lies outside by chance in 4% of fits, two in less than one of a thousand.
    assert len(missed) <= 1, missed
    for name in OFF:
        spread = theta[:, NAMES.index(name)].std()
        assert spread < 0.8 * PRIOR[name][1], f"{name} was learned from these points"
    assert holds(flat(fitted, "unevenness"), UNEVENNESS)
    assert flat(fitted, "unevenness").std() < 0.2
    assert all(holds(flat(fitted, name), WITHIN) for name in ("within_dense", "within_moes"))
    apart = flat(fitted, "of_hardware")
    names = fitted["posterior"]["hardware"].values.tolist()
    truth = HARDWARE[names[1]] - HARDWARE[names[0]]
    assert holds(apart[:, 1] - apart[:, 0], truth)


@pytest.mark.slow
def test_chains_agree_and_the_points_are_named(fitted, measured):
    assert fitted.attrs["rhat"] < 1.05
    assert fitted.attrs["points"] == len(measured[0].frame)
    assert fitted.attrs["points_sha256"] == measured[0].sha256


@pytest.mark.slow
@in_float64
def test_a_model_that_was_not_measured_is_foretold(fitted, measured):
    held_back, rng = measured[1], np.random.default_rng(7)
    theta = flat(fitted, "theta")
    part = of_rows(held_back.rows, held_back.frame["precision"])
    names = fitted["posterior"]["hardware"].values.tolist()
    effect = flat(fitted, "of_hardware")[:, [names.index(name) for name in held_back.frame["hardware"]]]
    own = flat(fitted, "between_dense")[:, None] * rng.standard_t(TAIL, size=(len(theta), 1))
    noise = flat(fitted, "within_dense")[:, None] * rng.standard_t(TAIL, size=(len(theta), len(held_back.frame)))
    found = np.stack([np.log(np.asarray(base_seconds(jnp.asarray(each), part)[0])) for each in theta]) + effect + own + noise
    inside = [holds(found[:, k], value) for k, value in enumerate(np.log(held_back.seconds_per_token))]
    # The points of one model err together: all or nearly all are inside unless its own effect is one in a thousand.
    assert np.mean(inside) > 0.9
    assert np.median(found.std(axis=0)) < 0.5


@pytest.mark.slow
@in_float64
def test_learned_routers_taken_for_balanced_ones_are_found_out(measured):
    """The broken twin: what routers cost then looks like noise, of which there is a known amount."""
    points = measured[0]
    twin = dataclasses.replace(points, frame=points.frame.assign(learned_router=0.0))
    found = calibrate_training(twin, settings=SETTINGS)
    assert not holds(flat(found, "within_moes"), WITHIN)
    assert holds(flat(found, "within_dense"), WITHIN)


def test_too_few_points_are_refused(measured):
    with pytest.raises(InputError, match=r"points\.csv: has too few points, found 19; give at least 20\."):
        calibrate_training(measured[0].where(np.arange(len(measured[0].frame)) < 19))
