"""Memory of training by hand, what layouts are tried, and what is said where nothing fits."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from bayesmoe.architecture import Shape, public_shape
from bayesmoe.costs.hardware import accelerator_named
from bayesmoe.costs.training.layout import Layout
from bayesmoe.costs.training.layouts import Cluster, layouts, room
from bayesmoe.costs.training.memory import WORKSPACE_BYTES, training_memory
from bayesmoe.costs.training.trained_model import trained_shapes
from bayesmoe.specs import from_mapping

MOE = {
    "num_layers": 4,
    "d_model": 128,
    "vocab": 1000,
    "attention": {"kind": "heads", "num_heads": 8, "head_dim": 16},
    "experts": {"num_experts": 16, "top_k": 2, "d_expert": 64},
}
MODEL = trained_shapes([from_mapping(MOE, Shape)], 1024.0)
ROUTED = 4 * 16 * 3 * 128 * 64
DENSE = float(MODEL.n_total[0]) - ROUTED


def memory(layout: Layout, precision="bf16"):
    return {name: float(np.ravel(value)[0]) for name, value in training_memory(MODEL, layout, precision)._asdict().items()}


def test_one_gpu_keeps_everything():
    found = memory(Layout(1.0, 8.0, 1.0, 1024.0))
    assert found["weights"] == pytest.approx(2 * (DENSE + ROUTED))
    assert found["gradients"] == pytest.approx(4 * (DENSE + ROUTED))
    assert found["optimizer"] == pytest.approx(12 * (DENSE + ROUTED))
    # Streams and norms; q, k, v, o of 128 and two experts' gates and ups; copies; logits.
    inner = 4 * 4 * 128 + 4 * 2 * 2 * 64
    assert found["activations"] == pytest.approx(1024 * (8 * 4 * 128 + 3 * inner + 4 * 4 * 2 * 128 + 6 * 1000))


def test_sixteen_gpus_share():
    found = memory(Layout(16.0, 64.0, 1.0, 1024.0, tensor=2.0, pipeline=2.0, expert=4.0), "fp8")
    kept = DENSE / 4 + ROUTED / 8
    assert found["weights"] == pytest.approx(3 * kept)
    # The dense part's states over four replicas; two stages of eight GPUs hold each expert twice.
    assert found["optimizer"] == pytest.approx(12 * (DENSE / 4 / 4 + ROUTED / 8 / 2))


def test_sharded_weights_leave_one_layer_gathered():
    plain, sharded = (memory(Layout(8.0, 64.0, 1.0, 1024.0, sharded=flag)) for flag in (0.0, 1.0))
    assert sharded["weights"] == pytest.approx(plain["weights"] / 8 + 2 * (DENSE + ROUTED) / 4)
    assert sharded["gradients"] == pytest.approx(plain["gradients"] / 8)
    assert sharded["optimizer"] == plain["optimizer"]


def test_recomputation_keeps_less():
    base = Layout(1.0, 8.0, 1.0, 1024.0)
    kept = [memory(base._replace(**some))["activations"] for some in ({}, {"recompute_some": 1.0}, {"recompute": 1.0})]
    assert kept == sorted(kept, reverse=True)
    assert len(set(kept)) == 3


def test_a_pipeline_holds_passes_under_way():
    # Four passes through four stages: the first holds all four of a quarter of the layers.
    one = memory(Layout(4.0, 4.0, 1.0, 1024.0))["activations"]
    assert memory(Layout(4.0, 4.0, 1.0, 1024.0, pipeline=4.0))["activations"] == pytest.approx(one)
    assert memory(Layout(4.0, 4.0, 1.0, 1024.0, pipeline=4.0, virtual=2.0))["activations"] > one


def cluster(gpus: int = 64, **changed) -> Cluster:
    return Cluster(
        accelerator_named("H100-SXM"), "bf16", gpus, **{"step_tokens": 2.0**22, "sequence_tokens": 4096.0, **changed}
    )


@pytest.mark.parametrize("gpus", [1, 8, 24, 64, 1000])
def test_layouts_divide_model_and_cluster(gpus):
    shape = public_shape("mixtral-8x7b")
    found = layouts(trained_shapes([shape], 4096.0), cluster(gpus))
    assert len(found.num_gpus) > 0
    assert (gpus % (found.tensor * found.pipeline * found.context) == 0).all()
    assert (gpus / found.pipeline % found.expert == 0).all()
    assert (shape.experts.num_experts % found.expert == 0).all()
    assert (found.global_batch % (np.asarray(found.replicas) * found.micro_batch) == 0).all()
    assert ((found.global_batch <= 1024) & (found.global_batch >= 0.9 * 1024)).all()
    assert (found.tensor <= 8).all()


def test_a_step_smaller_than_the_cluster_leaves_no_layout():
    found = layouts(trained_shapes([public_shape("llama-3.1-8b")], 4096.0), cluster(2048, step_tokens=4096.0))
    assert len(found.num_gpus) == 0


def test_dense_models_have_no_expert_parallelism():
    found = layouts(trained_shapes([public_shape("llama-3.1-8b")], 4096.0), cluster())
    assert set(found.expert) == {1.0}


def test_mixtral_fits_on_64_gpus_and_not_on_one():
    model = trained_shapes([public_shape("mixtral-8x7b")], 4096.0)
    for gpus, fits in ((64, True), (1, False)):
        some = cluster(gpus)
        total = np.asarray(training_memory(model, layouts(model, some), "bf16").total)
        assert bool((total <= room(some)).any()) is fits
        assert (total > WORKSPACE_BYTES).all()


def test_more_memory_never_fits_less():
    model = trained_shapes([public_shape("deepseek-v3")], 4096.0)
    small = cluster(256)
    large = dataclasses.replace(small, accelerator=accelerator_named("B300-SXM"))
    needed = np.asarray(training_memory(model, layouts(model, small), "bf16").total)
    assert ((needed <= room(large)) >= (needed <= room(small))).all()
