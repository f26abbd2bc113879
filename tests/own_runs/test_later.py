"""The test of a plan: which designs of a decision are trained, and the page of what came."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from sweep import later
from sweep.train import CALL_TOKENS

sys.path.append(str(Path(__file__).parents[2] / "docs"))
import make_came_true

BUDGET = 1.6e13


def decision():
    """A decision of four counts: 16 is recommended, 32 and 4 come next, 1 is worst."""
    regrets = {1: 0.2, 4: 0.03, 16: 0.0, 32: 0.01}
    designs = {count: SimpleNamespace(num_experts=count, n_dense=2e5 + 1e3 * count) for count in regrets}
    return SimpleNamespace(
        outcome=SimpleNamespace(design=designs[16]),
        designs=[SimpleNamespace(design=one) for one in designs.values()],
        optima=[SimpleNamespace(num_experts=count, expected_regret=regret) for count, regret in regrets.items()],
    )


def test_five_designs_are_trained_on_the_budget() -> None:
    found = later.designs_of(decision(), BUDGET)
    assert [one.num_experts for one in found] == [16, 32, 4, 1, 16]
    assert [one.role.partition(":")[0] for one in found] == ["recommended", *["alternative"] * 2, *["advised against"] * 2]
    for one in found:
        assert one.tokens % CALL_TOKENS == 0
        assert one.run().model.n_dense * one.tokens * 6 == pytest.approx(BUDGET, rel=0.01)
    assert found[-1].run().model.n_dense == pytest.approx(found[0].run().model.n_dense / 4, rel=0.1)


@pytest.mark.parametrize("n_dense", [1e4, 1e5, 2.3e5, 1e6])
def test_a_width_is_near_the_size_and_its_heads_divide_it(n_dense) -> None:
    d = later.width_of(n_dense)
    assert d % max(1, d // 24) == 0
    assert abs(np.log(24 * d * d / n_dense)) < 0.35


def test_the_page_counts_what_came() -> None:
    designs = later.designs_of(decision(), BUDGET)
    rng = np.random.default_rng(0)
    middle = np.array([1.0, 1.01, 1.03, 1.2, 1.1])
    expected = middle[:, None] + 0.01 * rng.standard_normal((5, 400))
    plan = {"budget_flop": BUDGET, "expected": expected.tolist(), "loss": expected.tolist()}
    # The dense one comes out far from its forecast, and an alternative as the best.
    came = [[1.002, 0.998], [0.994, 0.996], [1.03, 1.031], [1.3, 1.31], [1.101, 1.1]]
    page = make_came_true.page(plan, designs, came, 1.6e12)
    assert "10 times the largest" in page
    assert "4 of 5 at 90%" in page
    assert "It lost 5.0e-3 against the best" in page
    assert f"{100 * np.log(1.305 / 1.0):+.2f}" in page
