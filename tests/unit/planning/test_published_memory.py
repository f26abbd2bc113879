"""The planner finds Ludziejewski's optima: a family with embeddings, and a memory."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import pytest
from papers import SOLVER, anchors, certain, each, near, planned, scenario_for

from bayesmoe.architecture import Family
from bayesmoe.decisions.risk import risk
from bayesmoe.planning.planner import plan
from bayesmoe.planning.scenario import ArchitectureSpec, LimitsSpec

VOCABULARY, WIDTH_PER_BLOCK = 50257, 64


@dataclasses.dataclass(frozen=True)
class WithEmbeddings(Family):
    """Ludziejewski's sizes: ``n_active = 2 d V + 13 n_b d^2`` and ``n_total = 2 d V + (4 + 9 E) n_b d^2`` with ``n_b = d/64``.

    The backbone is ``13 n_b d^2``, of which nine thirteenths are in experts; the planner needs ``run`` and ``train_flop_per_token`` only.
    """

    moe_share: float = 9 / 13
    top_k: float = 1.0

    def run(self, n_dense, tokens, num_experts):
        found = super().run(n_dense, tokens, num_experts)
        return found | {name: found[name] + self.embeddings(n_dense) for name in ("n_active", "n_total")}

    def train_flop_per_token(self, n_dense, num_experts, rule="6 n_active tokens"):
        return super().train_flop_per_token(n_dense, num_experts) + 6.0 * self.embeddings(n_dense)

    @staticmethod
    def embeddings(n_dense):
        """Parameters of both matrices."""
        return 2.0 * VOCABULARY * (WIDTH_PER_BLOCK * n_dense / 13.0) ** (1 / 3)


class EmbeddedSpec(ArchitectureSpec):
    """Architectures of that family."""

    def family(self, top_k=None, granularity=None):
        return WithEmbeddings()


# n_b d = d^2/64 = mu (13 n_b d^2)^(2/3): the planner's own rule for the cache, exactly.
EMBEDDED = EmbeddedSpec(moe_share=9 / 13, top_k=1, width_times_layers=(WIDTH_PER_BLOCK / 13) ** (2 / 3) / WIDTH_PER_BLOCK)
JOINT = anchors("ludziejewski2025")[0]["coefficients"]
COUNTS = (1, 2, 4, 8, 16, 32)


@each(anchors("ludziejewski2025_size"))
def test_the_family_has_ludziejewskis_sizes(anchor):
    width = anchor["inputs"]["d_model"]
    backbone = 13.0 * width**3 / WIDTH_PER_BLOCK
    run = WithEmbeddings().run(backbone, 1e10, anchor["inputs"]["num_experts"])
    assert near(run[anchor["output"]], anchor)
    assert near(WithEmbeddings().train_flop_per_token(backbone, 4) / 6.0, {"value": run["n_active"], "rtol": 1e-12})


@functools.cache
def optimum_plan(train_flop, *, a=JOINT["a"]):
    """A plan of the lowest loss on a budget; embeddings do not matter to it, and the package's own family has none."""
    architecture = ArchitectureSpec(moe_share=9 / 13, top_k=1)
    asked = scenario_for(train_flop, counts=COUNTS, architecture=architecture)
    return planned("ludziejewski", JOINT | {"a": a}, asked)


def table_1(anchor, *, prefix="", **changes):
    """A cell of Table 1, or the loss there."""
    name = {"N_opt": "n_active", "D_opt": "tokens", "loss_at_optimum": "loss"}[anchor["output"]]
    found = optimum_plan(anchor["inputs"]["train_flop"], **changes)
    return found[prefix + name].sel(num_experts=anchor["inputs"]["num_experts"]).item()


TABLE_1 = anchors("ludziejewski2025", "N_opt", "D_opt", "loss_at_optimum")
PRINTED = [one for one in TABLE_1 if one["output"] != "loss_at_optimum"]


@each(TABLE_1)
def test_ludziejewskis_table_1_is_the_plans_loss_optimum(anchor):
    """Within the anchors' tolerance: 1.5%, 3% for sizes printed to two digits, 1e-6 for losses."""
    assert near(table_1(anchor), anchor)
    assert near(table_1(anchor, prefix="loss_optimal_"), anchor)


def test_table_1_is_within_a_percent_where_it_is_printed_so_finely():
    """All but five cells of 36; three of these are printed to two digits, the others are off by 1.1%: the paper had more digits of its coefficients."""
    off = {(one["inputs"]["train_flop"], one["value"]): abs(table_1(one) / one["value"] - 1) for one in PRINTED}
    assert len(off) == 36
    assert {cell for cell, miss in off.items() if miss > 0.01} == {
        (1e20, 1.7e9),
        (1e20, 1.5e9),
        (1e20, 1.2e9),
        (1e20, 1.39e10),
        (1e21, 5e9),
    }


def test_a_tenth_more_of_the_size_term_is_another_table_1():
    assert sum(near(table_1(one, a=1.1 * JOINT["a"]), one) for one in TABLE_1) < len(TABLE_1) / 4


@functools.cache
def memory_plan(train_flop, memory_bytes, *, a=JOINT["a"]):
    """The whole plan of one cell of Table 2: 16,384 cached tokens, weights and cache of two bytes each."""
    asked = scenario_for(
        train_flop,
        "memory_limited",
        counts=COUNTS,
        architecture=EMBEDDED,
        limits=LimitsSpec(memory_bytes=memory_bytes, cached_tokens=16384.0),
    )
    return plan(certain("ludziejewski", JOINT | {"a": a}), asked)


@pytest.mark.slow
def test_embeddings_do_not_move_table_1():
    """On ``6 n_active tokens`` the optimum does not know what of the size is embeddings: where no memory binds, the same to the solver's 1e-4.

    Solved sizes only: ``DesignSurface.loss_optimal`` takes FLOP a token to be in proportion to the backbone, as in every family of the package.
    """
    found = memory_plan(1e21, 640e9).isel(problem=0, sample=0)
    assert (found["memory_bytes"] < 0.5 * 640e9).all()
    for name in ("n_active", "tokens"):
        np.testing.assert_allclose(found[name], optimum_plan(1e21)[name], rtol=SOLVER)


TABLE_2 = {
    (1e21, 24e9): 16, (1e21, 80e9): 32, (1e21, 640e9): 32,
    (1e22, 24e9): 4, (1e22, 80e9): 16, (1e22, 640e9): 32,
    (1e23, 24e9): 1, (1e23, 80e9): 8, (1e23, 640e9): 32,
    (1e24, 24e9): 1, (1e24, 80e9): 1, (1e24, 640e9): 16,
}  # fmt: skip
"""arXiv:2502.05172, Table 2, as in the reference catalog; 32 stands for "32 or more"."""

MISSED = {(1e21, 24e9): 32, (1e23, 80e9): 4, (1e24, 640e9): 8}
"""Cells that no recomputation from the printed coefficients gives, and what it gives; one step away each."""

HELD_OUT = 0.007
"""Nats. The paper's own error on held-out runs is 0.0039 to 0.0062; the planner's default tolerance is 0.01."""


def best_count(cell, **changes):
    """Expert count of lowest loss."""
    return int(memory_plan(*cell, **changes)["loss"].isel(problem=0, sample=0).idxmin("num_experts"))


@each(anchors("ludziejewski2025_memory"))
@pytest.mark.slow
def test_the_anchored_cells_of_table_2_are_the_plans(anchor):
    inputs = anchor["inputs"]
    assert (inputs["kv_tokens"], inputs["num_experts_choices"]) == (16384, list(COUNTS))
    assert best_count((inputs["train_flop"], inputs["memory_bytes"])) == anchor["value"]


@pytest.mark.slow
def test_nine_of_twelve_cells_of_table_2_are_the_plans_best():
    assert {cell: best_count(cell) for cell in TABLE_2} == TABLE_2 | MISSED


@pytest.mark.slow
@pytest.mark.parametrize("cell", MISSED)
def test_the_other_cells_are_in_the_near_optimal_set(cell):
    found = memory_plan(*cell)
    assert risk(found)["near_optimal"].isel(problem=0).sel(num_experts=TABLE_2[cell]).item()
    loss = found["loss"].isel(problem=0, sample=0)
    assert loss.sel(num_experts=TABLE_2[cell]).item() - loss.min().item() < HELD_OUT


@pytest.mark.parametrize("train_flop", [1e22, 3e22, 1e23])
def test_solutions_fill_a_memory_that_binds_and_no_more(train_flop):
    found = memory_plan(train_flop, 24e9).isel(problem=0, sample=0)
    share = found["memory_bytes"].values / 24e9
    assert (share <= 1.0).all()
    np.testing.assert_allclose(share, 1.0, atol=SOLVER)


@pytest.mark.slow
def test_three_tenths_more_of_the_size_term_is_another_table_2():
    right = [cell for cell in TABLE_2 if cell not in MISSED]
    assert sum(best_count(cell, a=1.3 * JOINT["a"]) == TABLE_2[cell] for cell in right) < 8
