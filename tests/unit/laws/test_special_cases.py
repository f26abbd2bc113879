"""Laws at the ends of their range: one expert, endless experts, laws that hold others, and the signs that papers' tables need."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from law_points import LOSS_LAWS, medians, prior_draws, reference_of, run_of

from bayesmoe.laws import (
    effective_experts,
    law_named,
)

DENSE = {
    "effective-size": lambda p, n, d: p["F"] + p["A"] * (n ** -p["a"] + p["R"] * d ** -p["b"]) ** p["k"],
    "clark": lambda p, n, d: (
        10 ** (p["d"] + p["b"] * np.log10(p["e_start"])) * n ** (p["a"] + p["c"] * np.log10(p["e_start"]))
    ),
    "clark-bilinear": lambda p, n, d: 10 ** p["d"] * n ** p["a"],
    "clark-separable": lambda p, n, d: 10 ** p["d"] * n ** p["a"],
    "yun": lambda p, n, d: p["A"] / n ** p["alpha"] + p["C"] / d ** p["gamma"] + p["F"] + p["B"] / p["e_start"] ** p["beta"],
    "ludziejewski": lambda p, n, d: (
        p["a"] * p["e_start"] ** p["delta"] * n ** (p["alpha"] + p["gamma"] * np.log(p["e_start"]))
        + p["b"] * p["e_start"] ** p["omega"] * d ** (p["beta"] + p["zeta"] * np.log(p["e_start"]))
        + p["c"]
    ),
    "wang": lambda p, n, d: p["A"] / n ** p["alpha"] + p["B"] / d ** p["beta"] + p["sigma"],
    "krajewski": lambda p, n, d: (p["g"] + p["a"]) / n ** p["alpha"] + p["b"] / d ** p["beta"] + p["c"],
    "abnar": lambda p, n, d: p["a"] / n ** p["alpha"] + p["d"] / n ** p["gamma"] + p["b"] / d ** p["beta"] + p["c"] + p["e"],
    "zhao": lambda p, n, d: (
        ((p["e"] + p["f"]) * (1 + p["k"]) + p["a"] + p["c"]) / n ** p["alpha"]
        + (p["e"] + p["f"]) * p["h"]
        + p["b"] / d ** p["beta"]
        + p["eps"]
    ),
    "hossain": lambda p, n, d: p["e"] + p["a"] / n ** p["alpha"] + p["b"] / d ** p["beta"],
    "frantar": lambda p, n, d: (p["a_S"] + p["c_S"]) / n ** p["b_N"] + (p["a_D"] / d) ** p["b_D"] + p["c"],
    "tian": lambda p, n, d: p["E"] + p["B"] * (6 * n * d) ** -p["b"],
}
"""What each law says of a dense model of n parameters and d tokens, written out apart from it."""
DENSE |= {f"{name}-unsaturated": DENSE[name] for name in ("effective-size", "clark", "yun", "ludziejewski")}


@pytest.mark.parametrize("law", [p for p in LOSS_LAWS if p.values[0].has_experts])
def test_one_expert_gives_the_dense_law(law) -> None:
    run = {name: float(value) for name, value in run_of(7e8, 3e10, 1.0).items()}
    assert run["n_total"] == run["n_active"] == run["n_dense"]
    draws = prior_draws(law, 20)
    for i in range(20):
        p = {name: float(np.broadcast_to(values, 20)[i]) for name, values in draws.items()}
        assert float(law.loss(p, run)) == pytest.approx(DENSE[law.name](p, 7e8, 3e10), rel=1e-9)


def test_leverage_of_a_dense_model_is_almost_one_as_printed() -> None:
    law: Any = law_named("tian-leverage")
    dense = {"train_flop": 1e22, "activation_ratio": 1.0, "granularity": 24.0}
    assert 0.990 <= round(float(law.loss(law.coefficients("table-2"), dense)), 3) <= 0.994


def test_the_nested_law_holds_chinchilla_and_kaplan() -> None:
    nested, run = law_named("nested"), {"n_total": 1e9, "tokens": 2e10}
    c = law_named("chinchilla").coefficients("besiroglu")
    as_nested = {"F": c["E"], "A": c["A"], "a": c["alpha"], "R": c["B"] / c["A"], "b": c["beta"], "k": 1.0}
    assert float(nested.loss(as_nested, run)) == pytest.approx(float(law_named("chinchilla").loss(c, run)), rel=1e-12)
    k = law_named("kaplan").coefficients("joint")
    a = k["alpha_N"] / k["alpha_D"]
    amplitude = k["N_c"] ** a
    as_nested = {"F": 0.0, "A": amplitude ** k["alpha_D"], "a": a, "R": k["D_c"] / amplitude, "b": 1.0, "k": k["alpha_D"]}
    assert float(nested.loss(as_nested, run)) == pytest.approx(float(law_named("kaplan").loss(k, run)), rel=1e-12)


def test_the_house_law_holds_clark() -> None:
    clark: Any = law_named("clark")
    house: Any = law_named("effective-size")
    c = clark.coefficients("s-base")
    run = {"n_dense": 4e8, "tokens": 1e30, "num_experts": 32.0}
    start = np.log10(c["e_start"])
    slope, kink = c["a"] + c["c"] * start, c["c"] / np.log(10)
    p = {
        "F": 0.0,
        "A": 10 ** (c["d"] + c["b"] * start),
        "a": -slope,
        "R": 1.0,
        "b": 1.0,
        "k": 1.0,
        "g": (c["b"] + c["c"] * np.log10(1e8)) / slope,
        "h": kink / slope,
        "N_0": 1e8,
        "e_start": c["e_start"],
        "e_max": c["e_max"],
    }
    assert float(house.loss(p, run)) == pytest.approx(float(clark.loss(c, run)), rel=1e-9)
    assert float(house.effective_size(p, run)) == pytest.approx(float(clark.effective_parameters(c, run)), rel=1e-9)


@pytest.mark.parametrize("name", ["clark", "yun", "ludziejewski", "effective-size"])
def test_an_endless_e_max_is_the_unsaturated_law(name) -> None:
    law, limit = law_named(name), law_named(f"{name}-unsaturated")
    p = law.to_paper(medians(law), reference_of(law))
    run = {column: float(value) for column, value in run_of(1e9, 2e10, 100.0).items()}
    endless = float(law.loss({**p, "e_max": 1e12}, run))
    without = {key: value for key, value in p.items() if key != "e_max"}
    assert endless == pytest.approx(float(limit.loss(without, run)), rel=1e-8)
    assert float(law.loss(p, run)) != pytest.approx(endless, rel=1e-4)


def test_effective_experts_start_at_e_start_and_saturate_at_e_max() -> None:
    assert float(effective_experts(1.0, 2.0732, 290.4521)) == pytest.approx(2.0732, rel=1e-12)
    assert float(effective_experts(1e12, 2.0732, 290.4521)) == pytest.approx(290.4521, rel=1e-6)
    assert float(effective_experts(64.0, 2.0, jnp.inf)) == pytest.approx(65.0, rel=1e-12)
    counts = effective_experts(jnp.arange(1.0, 600.0), 1.847, 314.478)
    assert bool((jnp.diff(counts) > 0).all())


def test_the_signs_of_ludziejewski_are_those_that_give_its_table_4() -> None:
    law = law_named("ludziejewski")
    c = law.coefficients("joint")
    assert c["delta"] < 0 < c["omega"]
    flipped = {**c, "delta": -c["delta"], "omega": -c["omega"]}
    run = {"n_active": 1e9, "tokens": 2e10, "num_experts": 8.0}
    assert float(law.loss(c, run)) == pytest.approx(2.50878, rel=1e-5)
    assert abs(float(law.loss(flipped, run)) - 2.50878) > 0.1


def test_the_leverage_of_tian_grows_with_compute_only_with_the_sign_of_its_table() -> None:
    law = law_named("tian-leverage")
    c = law.coefficients("table-2")
    assert c["d"] < 0

    def leverage(p: dict[str, float], flop: float) -> float:
        return float(law.loss(p, {"activation_ratio": 1 / 32, "granularity": 24.0, "train_flop": flop}))

    assert leverage(c, 1e22) == pytest.approx(7.22, abs=0.005)
    assert leverage(c, 1e22) > leverage(c, 1e20) > 1.0
    flipped = {**c, "d": -c["d"]}
    assert leverage(flipped, 1e22) < 1.0


def test_the_dense_model_of_yun_has_e_start_effective_experts() -> None:
    law = law_named("yun")
    c = law.coefficients("illustrative")
    run = {"n_dense": 1e9, "tokens": 2e10, "num_experts": 1.0}
    by_hand = c["A"] / 1e9 ** c["alpha"] + c["B"] / c["e_start"] ** c["beta"] + c["C"] / 2e10 ** c["gamma"] + c["F"]
    assert float(law.loss(c, run)) == pytest.approx(by_hand, rel=1e-12)
    with_one = by_hand + c["B"] * (1.0 - c["e_start"] ** -c["beta"])
    assert abs(float(law.loss(c, run)) - with_one) > 0.1
