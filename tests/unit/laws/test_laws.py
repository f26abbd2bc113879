"""Every law: coordinates and their inverse, gradients, limits, sign traps, and the whole physical range."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from bayesmoe.architecture import Family
from bayesmoe.errors import InputError
from bayesmoe.laws import (
    Law,
    Reference,
    all_laws,
    default_average,
    effective_experts,
    law_named,
    reference_run,
    require_covariates,
    starter_law,
)

FAMILY = Family(moe_share=0.6, top_k=4.0, granularity=4.0, shared_experts=1.0)
LAWS = [pytest.param(kind(), id=kind.name) for kind in all_laws]
LOSS_LAWS = [pytest.param(kind(), id=kind.name) for kind in all_laws if kind.response == "loss"]
REFERENCE_EXPERTS = [pytest.param((1.0, 24.0), id="dense-reference"), pytest.param((48.0, 48.0), id="routed-reference")]


def run_of(size: Any, tokens: Any, experts: Any) -> dict[str, Any]:
    """Covariates of a run of one family, of every name that some law reads."""
    return FAMILY.run(size, tokens, experts)


def reference_of(law: Law, experts: tuple[float, float] = (1.0, 24.0)) -> Reference:
    """A reference run of 3e8 backbone parameters and 1e10 tokens."""
    run = run_of(3e8, 1e10, experts[0])
    return Reference({name: float(run[name]) for name in law.covariates}, experts[1])


def medians(law: Law) -> dict[str, float]:
    """Prior medians of a law's coordinates."""
    return {c.name: float(c.to_support(c.mean)) for c in law.coordinates}


def prior_draws(law: Law, draws: int, seed: int = 0) -> dict[str, Any]:
    """Paper parameters of prior draws, shape (draws,) each."""
    z = np.random.default_rng(seed).standard_normal((draws, len(law.coordinates)))
    q = {c.name: c.to_support(c.mean + c.sd * z[:, i]) for i, c in enumerate(law.coordinates)}
    reference = reference_of(law)
    return jax.vmap(lambda values: law.to_paper(values, reference))(q)


@pytest.mark.parametrize("law", LAWS)
def test_a_law_says_what_it_is(law) -> None:
    assert type(law).__doc__.split("\n\n")[1].strip().startswith("``"), "the equation comes first"
    assert "arXiv" in law.source
    assert set(law.to_paper(medians(law), reference_of(law))) == set(law.symbols)
    shape = {"e_start", "e_max"} if "Ehat" in law.equation else set()
    assert all(symbol in shape or symbol in law.equation for symbol in law.symbols)
    assert all(c.unit and c.meaning for c in law.coordinates)
    assert all(low <= high for low, high in law.fitted_range.values())
    assert all(known.provenance in ("primary", "secondary", "derived") and known.source for known in law.published)


@pytest.mark.parametrize("experts", REFERENCE_EXPERTS)
@pytest.mark.parametrize("law", LAWS)
def test_coordinates_and_paper_parameters_are_inverses(law, experts) -> None:
    reference = reference_of(law, experts)
    rng = np.random.default_rng(1)
    q = {c.name: float(c.to_support(c.mean + 0.5 * c.sd * rng.standard_normal())) for c in law.coordinates}
    again = law.from_paper(law.to_paper(q, reference), reference)
    assert {name: float(value) for name, value in again.items()} == pytest.approx(q, rel=1e-6)
    run = {name: jnp.asarray(value) for name, value in run_of(1e9, 2e10, 5.0).items()}
    for known in law.published:
        there = law.from_paper(known.coefficients, reference)
        assert set(there) == {c.name for c in law.coordinates}
        again = law.to_paper(there, reference)
        if law.name != "yun":  # its routing term moves to another center
            assert {name: float(value) for name, value in again.items()} == pytest.approx(known.coefficients, rel=1e-8)
        assert float(law.loss(again, run)) == pytest.approx(float(law.loss(known.coefficients, run)), rel=1e-9)


@pytest.mark.parametrize("experts", REFERENCE_EXPERTS)
@pytest.mark.parametrize("options", [{}, {"interaction": "paper"}], ids=["centered", "paper"])
def test_yun_coordinates_survive_the_round_trip_with_a_routing_term(experts, options) -> None:
    law = law_named("yun", **options)
    q = medians(law) | {"interaction": 0.004, "gain": 0.12}
    reference = reference_of(law, experts)
    again = law.from_paper(law.to_paper(q, reference), reference)
    assert {name: float(value) for name, value in again.items()} == pytest.approx(q, rel=1e-6)


@pytest.mark.parametrize("experts", REFERENCE_EXPERTS)
@pytest.mark.parametrize("law", LOSS_LAWS)
def test_coordinates_mean_what_they_say(law, experts) -> None:
    reference, q = reference_of(law, experts), medians(law)
    p = law.to_paper(q, reference)

    def ln_loss(ln_step: Any, *columns: str, **other: float) -> Any:
        moved = {**reference.run, **other}
        return jnp.log(law.loss(p, {**moved, **{name: moved[name] * jnp.exp(ln_step) for name in columns if name in moved}}))

    assert float(law.loss(p, reference.run)) == pytest.approx(q["loss_reference"], rel=1e-9)
    sizes = ("n_dense", "n_active", "n_total")
    for name, columns in (("slope_size", sizes), ("slope_tokens", ("tokens",))):
        if name in q:
            assert -float(jax.grad(lambda step, c=columns: ln_loss(step, *c))(0.0)) == pytest.approx(q[name], rel=1e-3)
    if "gain" in q:
        gain = ln_loss(0.0, num_experts=1.0) - ln_loss(0.0, num_experts=reference.gain_experts)
        assert float(gain) == pytest.approx(q["gain"], rel=1e-3)


def test_the_slope_of_tian_is_that_in_leveraged_compute() -> None:
    law = law_named("tian")
    reference = reference_of(law)
    dense = {**reference.run, "activation_ratio": 1.0}
    p = law.to_paper(medians(law), Reference(dense, 24.0))
    slope = jax.grad(lambda step: jnp.log(law.loss(p, {**dense, "train_flop": dense["train_flop"] * jnp.exp(step)})))(0.0)
    assert -float(slope) == pytest.approx(medians(law)["slope_flop"], rel=1e-9)


def test_the_interaction_of_clark_is_a_part_of_its_slope() -> None:
    law = law_named("clark")
    reference, q = reference_of(law), medians(law)
    p = law.to_paper(q, reference)

    def gain(ln_size: Any) -> Any:
        losses = (law.loss(p, {"n_dense": jnp.exp(ln_size), "num_experts": e}) for e in (1.0, reference.gain_experts))
        dense, routed = losses
        return jnp.log(dense / routed)

    assert -float(jax.grad(gain)(jnp.log(1e9))) == pytest.approx(q["interaction"] * q["slope_size"], rel=1e-6)


@pytest.mark.parametrize("law", LAWS)
def test_gradient_agrees_with_finite_differences(law) -> None:
    reference = reference_of(law, (48.0, 48.0))
    real = jnp.array([c.mean for c in law.coordinates])
    run = {name: jnp.asarray(value) for name, value in run_of(1e9, 2e10, 8.0).items()}

    def loss(z: jax.Array) -> jax.Array:
        q = {c.name: c.to_support(z[i]) for i, c in enumerate(law.coordinates)}
        return law.loss(law.to_paper(q, reference), run)

    step = 1e-5
    numeric = [(loss(real.at[i].add(step)) - loss(real.at[i].add(-step))) / (2 * step) for i in range(len(real))]
    np.testing.assert_allclose(jax.grad(loss)(real), np.array(numeric), rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("law", LAWS)
def test_losses_and_gradients_are_finite_over_the_physical_range(law, dtype) -> None:
    sets = [known.coefficients for known in law.published] or [law.to_paper(medians(law), reference_of(law))]
    counts = jnp.array([1, 2, 64, 314, 478, 4096], dtype)
    sizes, tokens, experts = (
        axis.ravel()
        for axis in jnp.meshgrid(jnp.logspace(5, 14, 7, dtype=dtype), jnp.logspace(6, 16, 6, dtype=dtype), counts)
    )
    found = run_of(sizes, tokens, experts)
    runs = {name: jnp.broadcast_to(jnp.asarray(found[name], dtype), sizes.shape) for name in law.covariates}
    for coefficients in sets:
        p = {name: jnp.asarray(value, dtype) for name, value in coefficients.items()}
        both = jax.jit(jax.vmap(jax.value_and_grad(law.loss, argnums=(0, 1)), in_axes=(None, 0)))
        value, gradients = both(p, runs)
        assert value.dtype == dtype
        assert bool((jnp.isfinite(value) & (value > 0)).all())
        assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(gradients))


@pytest.mark.parametrize("law", [p for p in LAWS if "e_max" in p.values[0].symbols])
def test_nothing_breaks_where_the_expert_count_meets_e_max(law) -> None:
    p = law.to_paper(medians(law), reference_of(law))
    run = {name: jnp.asarray(value) for name, value in run_of(1e9, 2e10, p["e_max"]).items()}
    assert bool(jnp.isfinite(law.loss(p, run)))
    assert all(bool(jnp.isfinite(leaf)) for leaf in jax.grad(law.loss)(p, run).values())


@pytest.mark.parametrize("law", LOSS_LAWS)
def test_prior_draws_fall_with_size_and_tokens(law) -> None:
    """Within a factor 3 of the reference run, for 1, 16 and 128 experts; a law with a free interaction may break in 1 of 20."""
    p = prior_draws(law, 400)
    around = np.array([1 / 3, 1.0, 3.0])
    axes = np.meshgrid(3e8 * around, 1e10 * around, [1.0, 16.0, 128.0], indexing="ij")
    sizes, tokens, experts = (axis.ravel() for axis in axes)
    found = run_of(sizes, tokens, experts)
    runs = {name: jnp.broadcast_to(jnp.asarray(found[name]), sizes.shape) for name in law.covariates}
    losses = np.asarray(jax.vmap(jax.vmap(law.loss, (None, 0)), (0, None))(p, runs)).reshape(400, 3, 3, 3)
    allowed = 0.05 if any(c.support == "real" for c in law.coordinates) else 0.0
    for axis in (1, 2):
        assert (np.diff(losses, axis=axis) > 0).any((1, 2, 3)).mean() <= allowed


def test_a_law_that_rises_with_size_would_be_seen() -> None:
    law = law_named("yun")
    p = law.to_paper(medians(law) | {"interaction": 0.08}, reference_of(law))
    losses = [float(law.loss(p, {"n_dense": n, "tokens": 1e10, "num_experts": 128.0})) for n in (3e8, 9e8)]
    assert losses[1] > losses[0]


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


def test_reference_run_is_dense_where_the_table_has_dense_runs() -> None:
    frame = pd.DataFrame({"n_dense": [1e8, 4e8], "tokens": [1e9, 4e9], "num_experts": [1, 16]})
    law = law_named("yun")
    run, gain = reference_run(frame, law)
    assert run == pytest.approx({"n_dense": 2e8, "tokens": 2e9, "num_experts": 1.0})
    assert gain == pytest.approx(16.0)
    assert reference_run(frame[1:], law).run == pytest.approx({"n_dense": 4e8, "tokens": 4e9, "num_experts": 16.0})


def test_the_reference_of_a_column_with_zeros_is_its_mean() -> None:
    frame = pd.DataFrame({name: [1e9, 4e9] for name in ("n_total", "n_active", "tokens")})
    run = reference_run(frame.assign(top_k=[1, 4], shared_experts=[0, 1]), law_named("zhao")).run
    assert (run["shared_experts"], run["top_k"]) == (0.5, 2.0)


COVARIATES = sorted({name for kind in all_laws for name in kind().covariates})


@pytest.mark.parametrize("column", COVARIATES)
def test_a_missing_covariate_is_named_with_its_cure(column) -> None:
    law = next(kind() for kind in all_laws if column in kind().covariates)
    frame = pd.DataFrame({name: [2.0, 2.0] for name in (*COVARIATES, "run_id")})
    with pytest.raises(InputError, match=rf"^{column}: is needed by the law '{law.name}'; .*add ") as said:
        require_covariates(frame.drop(columns=column), law)
    assert "add the column" not in str(said.value)
    with pytest.raises(InputError, match=rf"{column}: .* is blank in run"):
        require_covariates(frame.assign(**{column: [2.0, np.nan]}), law)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("yum", "did you mean 'yun'"),
        ("no.such.module:Law", "cannot be imported"),
        ("bayesmoe.laws:Reference", "is not a subclass"),
    ],
)
def test_unknown_laws(name, message) -> None:
    with pytest.raises(InputError, match=message):
        law_named(name)


class OwnLaw(Law):
    """``L = a N^-b``: a law of one's own is one class."""

    name = "own"
    source = "this test"
    equation = "L = a N^-b"
    other_covariates = ()
    coordinates = ()

    def loss(self, parameters, run):
        return parameters["a"] * run[self.size] ** -parameters["b"]


def test_a_law_of_ones_own_is_found_by_name() -> None:
    law = law_named(f"{__name__}:OwnLaw", size="n_total")
    assert law.covariates == ("n_total",)
    assert law.loss({"a": 8.0, "b": 0.5}, {"n_total": 4.0}) == 4.0


@pytest.mark.parametrize(
    ("varying", "names", "starter"),
    [
        (("num_experts", "tokens"), "yun effective-size effective-size-unsaturated ludziejewski wang", "yun"),
        (("num_experts",), "clark clark-unsaturated clark-bilinear yun effective-size", "clark"),
        (("tokens",), "kaplan chinchilla nested gadre", "chinchilla"),
        ((), "kaplan chinchilla nested gadre", "kaplan"),
    ],
)
def test_what_varies_decides_the_default_average_and_the_starter(varying, names, starter):
    assert [law.name for law in default_average(varying)] == names.split()
    assert starter_law(varying).name == starter
