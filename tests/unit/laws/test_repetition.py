"""Repetition: golden numbers, exactly the inner law at one epoch, gradients, and the way each input moves the loss."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from law_points import medians, run_of

from bayesmoe.errors import InputError
from bayesmoe.laws import Law, Reference, all_laws, law_named
from bayesmoe.laws.repetition import (
    EXCESS_DECAY,
    MUENNIGHOFF,
    OVERFITTING,
    REPEAT_DECAY,
    SIZE_PER_TOKEN,
    WU,
    decay_of_density,
    density_factor,
    effective_size,
    effective_tokens,
    optimal_size,
    repeated,
)
from bayesmoe.runs.epochs import UNIQUE, repeats, with_unique_tokens

ANCHORS = json.loads((Path(__file__).parents[2] / "anchors_repetition.json").read_text())
WITH_TOKENS = [pytest.param(kind(), id=kind.name) for kind in all_laws if "tokens" in kind().covariates]


def reference_of(law: Law) -> Reference:
    """A dense reference run of one epoch."""
    run = run_of(3e8, 1e10, 1.0)
    return Reference({name: float(run.get(name, run["tokens"])) for name in law.covariates}, 24.0)


def prior_draws(law: Law, draws: int) -> dict[str, Any]:
    """Paper parameters of prior draws, shape (draws,) each."""
    z, reference = np.random.default_rng(0).standard_normal((draws, len(law.coordinates))), reference_of(law)
    q = {c.name: c.to_support(c.mean + c.sd * z[:, i]) for i, c in enumerate(law.coordinates)}
    return jax.vmap(lambda values: law.to_paper(values, reference))(q)


# Golden numbers


def plain(p: dict[str, Any], size: Any, tokens: Any, factor: Any = 1.0) -> Any:
    """The law without the part, which Chinchilla's is."""
    return law_named("chinchilla").loss({**p, "A": p["A"] * factor}, {"n_total": size, "tokens": tokens})


def told(anchor: dict[str, Any]) -> Any:
    """An anchor's number from the functions of the package."""
    c, x = anchor["coefficients"], anchor["inputs"]
    p = {name.removeprefix("ln_"): np.exp(value) if name.startswith("ln_") else value for name, value in c.items()}
    p.setdefault("beta", p.get("alpha"))
    match anchor["law"]:
        case "muennighoff2023_effective_tokens":
            return effective_tokens(x["epochs"], 1.0, c["RD_star"])
        case "muennighoff2023_unique_params":
            return optimal_size(x["unique_tokens"], p)
        case "wu2026_density_factor":
            return density_factor(x["density"], c["eps"], c["mu"], c["c"])
        case "wu2026_repetition":
            of = ("d0", "c12", "c22") if "d0" in c else ("n0", "c11", "c21")
            return decay_of_density(x["density"], *(c[name] for name in of))
        case "muennighoff2023":
            size, repeat, excess, factor = x["n_total"], c["RD_star"], c["RN_star"], 1.0
        case "wu2026":
            size, density = x["n_active"], x["density"]
            repeat = decay_of_density(density, c["d0"], c["c12"], c["c22"])
            excess = decay_of_density(density, c["n0"], c["c11"], c["c21"])
            factor = density_factor(density, c["eps"], c["mu"], c["c"])
        case name:
            raise AssertionError(f"nobody owns {name}")
    # The size for the data is the optimum of the whole law, with what the density makes of its size term.
    size_for_data = optimal_size(x["unique_tokens"], {**p, "A": p["A"] * factor})
    worth = effective_tokens(x["tokens"], x["unique_tokens"], repeat)
    return plain(p, effective_size(size, size_for_data, excess), worth, factor)


@pytest.mark.parametrize("anchor", ANCHORS, ids=lambda one: f"{one['law']}-{one['value']:g}")
def test_every_published_number_comes_out(anchor) -> None:
    with jax.enable_x64(True):
        assert float(told(anchor)) == pytest.approx(anchor["value"], rel=anchor["rtol"])


def test_the_sizes_for_the_data_follow_from_the_published_exponents() -> None:
    found = {}
    for anchor in ANCHORS:
        c = anchor["coefficients"]
        if anchor["law"] in ("muennighoff2023", "wu2026"):
            p = {"A": np.exp(c["ln_A"]), "B": np.exp(c["ln_B"]), "alpha": c["alpha"], "beta": c["alpha"]}
            found[anchor["law"]] = float(optimal_size(1.0, p))
    assert found["muennighoff2023"] == pytest.approx(MUENNIGHOFF["size_per_token"], rel=1e-5)
    assert found["wu2026"] == pytest.approx(WU["size_per_token"], rel=1e-5)


def test_the_priors_hold_both_published_pairs_in_their_middle_two_thirds_or_near() -> None:
    for one in (REPEAT_DECAY, EXCESS_DECAY, SIZE_PER_TOKEN):
        z = [(float(one.to_real(published[one.name])) - one.mean) / one.sd for published in (MUENNIGHOFF, WU)]
        assert max(map(abs, z)) < 1.0


# The law at one epoch


@pytest.mark.parametrize("law", WITH_TOKENS)
def test_one_epoch_is_exactly_the_law_without_the_part(law) -> None:
    whole = repeated(law)
    p = {name: jnp.asarray(value[:8]) for name, value in prior_draws(whole, 8).items()}
    inner = {name: value for name, value in p.items() if name in law.symbols}
    # Sizes far beyond what so few tokens can use.
    for size, tokens in ((1e7, 1e12), (1e9, 2e10), (1e12, 1e9)):
        run = run_of(size, tokens, 8.0)
        for unique in (tokens, 3.0 * tokens):
            found = jax.vmap(lambda one, run=run, unique=unique: whole.loss(one, {**run, UNIQUE: unique}))(p)
            np.testing.assert_array_equal(found, jax.vmap(lambda one, run=run: law.loss(one, run))(inner))
        np.testing.assert_array_equal(found, jax.vmap(lambda one, run=run: whole.loss(one, run))(p))


@pytest.mark.parametrize("law", WITH_TOKENS)
def test_the_part_changes_neither_name_nor_reference(law) -> None:
    whole, reference = repeated(law), reference_of(repeated(law))
    assert (whole.name, whole.response, whole.size, whole.has_experts) == (law.name, law.response, law.size, law.has_experts)
    assert whole.covariates == (*law.covariates, UNIQUE)
    assert whole == repeated(law)
    assert hash(whole) == hash(repeated(law))
    assert whole != law
    q = medians(whole)
    again = whole.from_paper(whole.to_paper(q, reference), reference)
    assert {name: float(value) for name, value in again.items()} == pytest.approx(q, rel=1e-5)
    assert set(whole.to_paper(q, reference)) == set(whole.symbols)


# How the loss moves


@pytest.mark.parametrize("law", WITH_TOKENS)
def test_gradients_are_finite_at_one_epoch_at_many_and_between(law) -> None:
    whole = repeated(law)
    p = {name: jnp.asarray(value) for name, value in prior_draws(whole, 16).items()}

    def loss(one: Any, ln_size: Any, ln_tokens: Any, ln_unique: Any) -> Any:
        run = run_of(jnp.exp(ln_size), jnp.exp(ln_tokens), 8.0)
        return whole.loss(one, {**run, UNIQUE: jnp.exp(ln_unique)})

    slopes = jax.vmap(jax.grad(loss, argnums=(0, 1, 2, 3)), in_axes=(0, None, None, None))
    for epochs in (0.5, 1.0, 1.0 + 1e-6, 4.0, 1e3, 1e9):
        for size in (1e8, 1e11):
            tokens = 1e10 * epochs
            found = slopes(p, jnp.log(size), jnp.log(tokens), jnp.log(1e10))
            assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(found)), (epochs, size)


def test_effective_tokens_rise_with_tokens_with_distinct_tokens_and_with_the_decay() -> None:
    with jax.enable_x64(True):
        rng = np.random.default_rng(0)
        unique, decay = 10.0 ** rng.uniform(7, 13, 2000), 10.0 ** rng.uniform(-1, 2, 2000)
        tokens = unique * 10.0 ** rng.uniform(-1, 1.2, 2000)
        here = effective_tokens(tokens, unique, decay)
        assert bool((here <= tokens * (1 + 1e-12)).all())
        assert bool((here >= jnp.minimum(tokens, unique)).all())
        for moved in ((1.02 * tokens, unique, decay), (tokens, 1.02 * unique, decay), (tokens, unique, 1.02 * decay)):
            assert bool((effective_tokens(*moved) >= here).all())
        # A rise that can be seen where something repeats and not all is lost.
        some = (tokens > 1.1 * unique) & (tokens < unique * (1 + 5 * decay))
        for moved in ((1.02 * tokens, unique, decay), (tokens, 1.02 * unique, decay), (tokens, unique, 1.02 * decay)):
            assert bool((effective_tokens(*moved) > here)[some].all())


@pytest.mark.parametrize("name", ["chinchilla", "yun", "nested"])
def test_repeats_are_worth_less_than_fresh_tokens_and_more_than_none(name) -> None:
    whole = repeated(law_named(name))
    p = {key: jnp.asarray(value) for key, value in prior_draws(whole, 200).items()}

    def loss(tokens: float, unique: float) -> np.ndarray:
        run = {**run_of(2e9, tokens, 8.0), UNIQUE: unique}
        return np.asarray(jax.vmap(lambda one: whole.loss(one, run))(p))

    once, four, fresh = loss(1e11, 1e11), loss(4e11, 1e11), loss(4e11, 4e11)
    assert (four >= fresh).all()
    # Draws in which tokens hardly help are possible, and there overfitting may take more than they give: a little, and rarely.
    assert (four < once).mean() > 0.85
    assert (four < 1.002 * once).mean() > 0.95
    assert (loss(4e11, 1e11) >= loss(4e11, 2e11)).all()


def test_a_model_too_large_for_its_data_loses_more_by_repeats() -> None:
    with jax.enable_x64(True):
        whole = repeated(law_named("chinchilla"))
        p = whole.to_paper(medians(whole), reference_of(whole))
        without = {**p, "size_per_token": 1e9, "overfitting": 0.0}
        p |= {"overfitting": 0.0}
        run = {"n_total": 1e11, "tokens": 1e11, UNIQUE: 1e10}
        small = {**run, "n_total": 1e8}
        assert float(whole.loss(p, run)) > float(whole.loss(without, run)) * 1.001
        assert float(whole.loss(p, small)) == float(whole.loss(without, small))


def test_overfitting_rises_with_passes_and_size_and_hardly_shows_in_four_passes() -> None:
    with jax.enable_x64(True):
        whole = repeated(law_named("chinchilla"))
        p = whole.to_paper(medians(whole), reference_of(whole))

        def overfit(size: float, passes: float) -> float:
            run = {"n_total": size, "tokens": passes * 1e9, UNIQUE: 1e9}
            return float(whole.loss(p, run) - whole.loss({**p, "overfitting": 0.0}, run))

        assert overfit(1e9, 10.0) == pytest.approx(p["overfitting"] * np.log(10.0) ** 2 * np.log(2.0), rel=1e-9)
        assert overfit(1e9, 10.0) > overfit(1e9, 4.0) > overfit(1e9, 1.0) == 0.0
        assert overfit(4e9, 4.0) > overfit(1e9, 4.0)
        # What the prior's comment says.
        assert overfit(2.5e8, 4.0) == pytest.approx(0.0086, abs=5e-5)
        upper = np.exp(OVERFITTING.mean + 1.645 * OVERFITTING.sd) / p["overfitting"]
        assert upper * overfit(2.5e8, 4.0) == pytest.approx(0.06, abs=0.003)


# What a table says


def test_distinct_tokens_come_from_epochs_and_default_to_one_epoch() -> None:
    frame = pd.DataFrame(
        {"tokens": [8e9, 8e9, 8e9, 8e9], UNIQUE: [2e9, np.nan, np.nan, 9e9], "epochs": [4.0, 2.0, np.nan, 1.0]}
    )
    assert with_unique_tokens(frame)[UNIQUE].tolist() == [2e9, 4e9, 8e9, 8e9]
    assert repeats(frame).tolist() == [True, True, False, False]
    assert not repeats(frame[["tokens"]]).any()
    assert not repeats(pd.DataFrame({"epochs": [4.0]})).any()


def test_tokens_that_differ_by_rounding_are_one_epoch() -> None:
    assert not repeats(pd.DataFrame({"tokens": [1.005e9], UNIQUE: [1e9]})).any()
    assert repeats(pd.DataFrame({"tokens": [1.02e9], UNIQUE: [1e9]})).all()


def test_a_law_without_tokens_cannot_repeat_any() -> None:
    with pytest.raises(InputError, match=r"law\.repetition: the law 'clark' reads no tokens, so none can repeat; fit a law"):
        repeated(law_named("clark"))
