"""Every law: coordinates and their inverse, gradients, and the whole physical range."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from law_points import LAWS, LOSS_LAWS, REFERENCE_EXPERTS, medians, prior_draws, reference_of, run_of

from bayesmoe.errors import InputError
from bayesmoe.laws import (
    Law,
    Reference,
    all_laws,
    default_average,
    law_named,
    reference_run,
    require_covariates,
    starter_law,
)


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
@pytest.mark.few(16)
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
@pytest.mark.few(8)
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
@pytest.mark.few(16)
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
@pytest.mark.few(8)
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
