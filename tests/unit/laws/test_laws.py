"""Every law: golden values, coordinates and their inverse, gradients, and the whole physical range."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from bayesmoe.errors import InputError
from bayesmoe.laws import Law, Reference, all_laws, effective_experts, law_named, reference_run, require_covariates

REFERENCES = [Reference(3e8, 1e10, 1.0, 24.0), Reference(3e8, 1e10, 48.0, 48.0)]
RUN = {"n_dense": 1e9, "n_active": 1e9, "n_total": 1e9, "tokens": 2e10, "num_experts": 8.0}

# (law, options, published set or its values, covariates, loss in nats per token, relative tolerance, source)
ANCHORS = [
    ("chinchilla", "hoffmann", {"n_dense": 1e9, "tokens": 2e10}, 2.53067, 1e-5, "arXiv:2203.15556, unrounded"),
    ("chinchilla", "besiroglu", {"n_dense": 1e9, "tokens": 2e10}, 2.52921, 1e-5, "arXiv:2404.10102"),
    ("clark", "s-base", {"n_dense": 1e8, "num_experts": 64.0}, 2.43053, 1e-5, "arXiv:2202.01169, Table 3"),
    ("clark", "rl-r", {"n_dense": 1e8, "num_experts": 64.0}, 2.47925, 1e-5, "arXiv:2202.01169, Table 3"),
    ("clark", "hash", {"n_dense": 1e8, "num_experts": 64.0}, 2.45578, 1e-5, "arXiv:2202.01169, Table 3"),
    ("ludziejewski", "joint", {"n_active": 1e9, "tokens": 2e10, "num_experts": 1.0}, 2.57760, 1e-5, "arXiv:2502.05172"),
    ("ludziejewski", "joint", {"n_active": 1e9, "tokens": 2e10, "num_experts": 8.0}, 2.50878, 1e-5, "arXiv:2502.05172"),
    ("ludziejewski", "joint", {"n_active": 1e9, "tokens": 2e10, "num_experts": 32.0}, 2.45456, 1e-5, "arXiv:2502.05172"),
    *(
        (
            "yun",
            "illustrative",
            {"n_dense": 679477248.0, "tokens": 2e10, "num_experts": e},
            loss,
            1e-6,
            "set by this project",
        )
        for e, loss in (
            (1.0, 2.59490666393),
            (4.0, 2.55355763639),
            (8.0, 2.51796898551),
            (16.0, 2.47432668361),
            (32.0, 2.42702101155),
        )
    ),
]


def published(law: Law, name: str) -> dict[str, float]:
    """Coefficients of a published set."""
    return next(p.coefficients for p in law.published if p.name == name)


@pytest.mark.parametrize(("name", "which", "run", "loss", "rtol", "source"), ANCHORS)
def test_published_coefficients_give_the_published_loss(name, which, run, loss, rtol, source) -> None:
    law = law_named(name)
    assert float(law.loss(published(law, which), run)) == pytest.approx(loss, rel=rtol), source


def test_an_opposite_sign_would_be_seen() -> None:
    law = law_named("ludziejewski")
    flipped = {**published(law, "joint"), "delta": 0.2285, "omega": -0.5529}
    assert abs(float(law.loss(flipped, RUN)) - 2.50878) > 0.1


def test_effective_experts_start_at_e_start_and_saturate_at_e_max() -> None:
    assert float(effective_experts(1.0, 2.0732, 290.4521)) == pytest.approx(2.0732, rel=1e-12)
    assert float(effective_experts(1e12, 2.0732, 290.4521)) == pytest.approx(290.4521, rel=1e-6)
    counts = effective_experts(jnp.arange(1.0, 600.0), 1.847, 314.478)
    assert bool((jnp.diff(counts) > 0).all())


@pytest.mark.parametrize("reference", REFERENCES, ids=["dense-reference", "routed-reference"])
@pytest.mark.parametrize("kind", all_laws, ids=lambda kind: kind.name)
def test_coordinates_and_paper_parameters_are_inverses(kind, reference) -> None:
    law = kind()
    for known in law.published:
        there = law.centre(known.coefficients, reference)
        assert set(there) == {c.name for c in law.coordinates}
        again = law.paper(there, reference)
        run = {**RUN, "num_experts": 5.0}
        if law.name != "yun":
            assert {k: float(v) for k, v in again.items()} == pytest.approx(known.coefficients, rel=1e-8)
        assert float(law.loss(again, run)) == pytest.approx(float(law.loss(known.coefficients, run)), rel=1e-9)


@pytest.mark.parametrize("reference", REFERENCES, ids=["dense-reference", "routed-reference"])
@pytest.mark.parametrize("options", [{}, {"interaction": "paper"}], ids=["centred", "paper"])
def test_yun_coordinates_survive_the_round_trip_with_a_routing_term(reference, options) -> None:
    law = law_named("yun", **options)
    q = {c.name: float(c.to_support(c.mean)) for c in law.coordinates} | {"interaction": 0.004, "gain": 0.12}
    again = law.centre(law.paper(q, reference), reference)
    assert {k: float(v) for k, v in again.items()} == pytest.approx(q, rel=1e-6)


@pytest.mark.parametrize("reference", REFERENCES, ids=["dense-reference", "routed-reference"])
@pytest.mark.parametrize("kind", all_laws, ids=lambda kind: kind.name)
def test_coordinates_mean_what_they_say(kind, reference) -> None:
    law = kind()
    q = {c.name: float(c.to_support(c.mean)) for c in law.coordinates}
    p = law.paper(q, reference)
    at = {law.size: reference.size, "tokens": reference.tokens, "num_experts": reference.num_experts}

    def ln_loss(ln_size: float, ln_tokens: float, experts: float) -> jax.Array:
        return jnp.log(law.loss(p, {law.size: jnp.exp(ln_size), "tokens": jnp.exp(ln_tokens), "num_experts": experts}))

    here = (jnp.log(reference.size), jnp.log(reference.tokens))
    assert float(law.loss(p, at)) == pytest.approx(q["loss_reference"], rel=1e-9)
    assert -float(jax.grad(ln_loss, 0)(*here, at["num_experts"])) == pytest.approx(q["slope_size"], rel=1e-3)
    if "slope_tokens" in q:
        assert -float(jax.grad(ln_loss, 1)(*here, at["num_experts"])) == pytest.approx(q["slope_tokens"], rel=1e-6)
    if "gain" in q:
        gain = ln_loss(*here, 1.0) - ln_loss(*here, reference.gain_experts)
        assert float(gain) == pytest.approx(q["gain"], rel=1e-3)


@pytest.mark.parametrize("kind", all_laws, ids=lambda kind: kind.name)
def test_gradient_agrees_with_finite_differences(kind) -> None:
    law, reference = kind(), REFERENCES[0]
    real = jnp.array([c.mean for c in law.coordinates])

    def loss(z: jax.Array) -> jax.Array:
        q = {c.name: c.to_support(z[i]) for i, c in enumerate(law.coordinates)}
        return law.loss(law.paper(q, reference), RUN)

    step = 1e-5
    numeric = [(loss(real.at[i].add(step)) - loss(real.at[i].add(-step))) / (2 * step) for i in range(len(real))]
    np.testing.assert_allclose(jax.grad(loss)(real), np.array(numeric), rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("kind", all_laws, ids=lambda kind: kind.name)
def test_losses_and_gradients_are_finite_over_the_physical_range(kind, dtype) -> None:
    law = kind()
    p = {name: jnp.asarray(value, dtype) for name, value in law.published[0].coefficients.items()}
    sizes, tokens, experts = jnp.meshgrid(
        jnp.logspace(5, 14, 7, dtype=dtype), jnp.logspace(6, 16, 6, dtype=dtype), jnp.array([1, 2, 64, 314, 4096], dtype)
    )
    runs = {law.size: sizes.ravel(), "tokens": tokens.ravel(), "num_experts": experts.ravel()}
    value, gradient = jax.vmap(jax.value_and_grad(law.loss, argnums=1), in_axes=(None, 0))(p, runs)
    assert value.dtype == dtype
    assert bool(jnp.isfinite(value).all())
    assert all(bool(jnp.isfinite(leaf).all()) for leaf in gradient.values())


@pytest.mark.parametrize("kind", [k for k in all_laws if "num_experts" in k.other_covariates], ids=lambda kind: kind.name)
def test_prior_draws_fall_with_size_and_tokens(kind) -> None:
    law, reference = kind(), REFERENCES[0]
    rng = np.random.default_rng(0)
    bad = 0
    for _ in range(200):
        q = {c.name: float(c.to_support(c.mean + c.sd * rng.standard_normal())) for c in law.coordinates}
        p = law.paper(q, reference)
        loss = [float(law.loss(p, {**RUN, law.size: n, "tokens": d})) for n, d in ((3e8, 1e10), (6e8, 1e10), (3e8, 2e10))]
        bad += loss[1] > loss[0] or loss[2] > loss[0]
    assert bad <= 4


def test_reference_run_is_dense_where_the_table_has_dense_runs() -> None:
    frame = pd.DataFrame({"n_dense": [1e8, 4e8], "tokens": [1e9, 4e9], "num_experts": [1, 16]})
    assert reference_run(frame, law_named("yun")) == pytest.approx((2e8, 2e9, 1.0, 16.0))
    assert reference_run(frame[1:], law_named("yun")) == pytest.approx((4e8, 4e9, 16.0, 16.0))


def test_a_missing_covariate_is_named_with_its_cure() -> None:
    frame = pd.DataFrame({"run_id": ["a"], "tokens": [1e9], "num_experts": [1], "n_active": [1e8]})
    with pytest.raises(InputError, match=r"n_dense: is needed by the law 'yun'.*--size n_active"):
        require_covariates(frame, law_named("yun"))


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
