"""What low precision takes from the loss of a plan: when, how much, on which draws, and what it does to the search for tokens."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayesmoe.errors import InputError
from bayesmoe.planning import precision_draws as module
from bayesmoe.planning.build_surface import surfaces
from bayesmoe.planning.cost_draws import sample_costs
from bayesmoe.planning.precision_draws import PrecisionDraws, precision_draws, quantized_at_a_loss, shipped_precision_prior
from bayesmoe.planning.reading import read_scenario
from bayesmoe.planning.scenario import Scenario

DRAWS = 4000


def asked(scenario: Scenario, trained: Any = "bf16", served: Any = "fp4", **serving: Any) -> Scenario:
    """The scenario with other precisions."""
    share = {"effective_size_share": serving.pop("share")} if "share" in serving else {}
    return dataclasses.replace(
        scenario,
        training=dataclasses.replace(scenario.training, precision=trained, **share),
        serving=dataclasses.replace(scenario.serving, accelerator="B200-SXM", precision=served, **serving),
    )


def drawn(scenario: Scenario, count: int) -> Any:
    """Draws of what low precision takes."""
    return precision_draws(scenario, count)


def added(scenario: Scenario, n: float = 7e9, tokens: float = 2e12, total: float | None = None) -> np.ndarray:
    """Draws of what quantizing adds to a model."""
    return np.ravel(drawn(scenario, DRAWS).quantization.loss({"n_active": n, "n_total": total or n, "tokens": tokens}))


@pytest.mark.parametrize(("trained", "served"), [("bf16", "bf16"), ("bf16", "fp16")])
def test_sixteen_bits_take_nothing(scenario, trained, served) -> None:
    assert drawn(asked(scenario, trained, served), 3) == PrecisionDraws()
    assert sample_costs(asked(scenario, trained, served), 3).precision == PrecisionDraws()


@pytest.mark.parametrize(
    ("trained", "served", "quantized"),
    [
        ("bf16", "fp8", True),
        ("bf16", "int4", True),
        ("fp8", "mxfp4", True),
        ("fp8", "int8", False),
        ("fp8", "bf16", False),
        ("fp4", "mxfp4", False),
        ("fp4", "fp8", False),
    ],
)
def test_fewer_bits_than_in_training_cost_loss_and_others_do_not(scenario, trained, served, quantized) -> None:
    found = drawn(asked(scenario, trained, served), 3)
    assert quantized_at_a_loss(asked(scenario, trained, served)) == quantized
    assert (found.quantization is not None) == quantized
    assert (found.ln_size_kept is not None) == (trained != "bf16")


def test_the_prior_holds_what_was_measured() -> None:
    """Every public row within the 95% band of the prior for its model and bits; moved by 10, few are."""
    prior = shipped_precision_prior()

    def inside(factor: float) -> float:
        kept = []
        for number, row in enumerate(prior.measured):
            of_bits = prior.after_training.draws(row.bits, DRAWS, np.random.default_rng(number))
            of_row = np.ravel(of_bits.loss({"n_active": row.n, "n_total": row.n, "tokens": row.tokens}))
            low, high = np.quantile(of_row, [0.025, 0.975])
            kept.append(low <= factor * row.loss_nats <= high)
        return float(np.mean(kept))

    assert len(prior.measured) > 10
    assert inside(1.0) == 1.0
    assert inside(10.0) < 0.5
    assert inside(0.1) < 0.5


def test_eight_bits_are_near_lossless_and_four_are_not(scenario) -> None:
    assert np.median(added(asked(scenario, served="fp8"))) < 0.001
    assert np.quantile(added(asked(scenario, served="fp8")), 0.95) < 0.005
    assert 0.01 < np.median(added(asked(scenario))) < 0.05


def test_what_is_added_grows_with_tokens_and_falls_with_size_in_every_draw(scenario) -> None:
    four = asked(scenario)
    assert (added(four, tokens=4e12) > added(four)).all()
    assert (added(four, n=14e9) < added(four)).all()
    # An MoE is as robust as a dense model between its active and its total parameters.
    between = added(four, total=70e9)
    assert (between <= added(four)).all()
    assert (between >= added(four, n=70e9)).all()


def test_training_in_fewer_bits_keeps_less_of_the_size(scenario) -> None:
    kept = {trained: np.exp(drawn(asked(scenario, trained, trained), DRAWS).ln_size_kept) for trained in ("fp8", "fp4")}
    assert (kept["fp4"] < kept["fp8"]).all()
    assert (kept["fp8"] < 1.0).all()
    assert 0.93 < np.median(kept["fp8"]) < 0.99
    assert 0.6 < np.median(kept["fp4"]) < 0.85


def test_a_model_that_is_trained_for_its_precision_loses_size_and_is_not_quantized(scenario) -> None:
    found = drawn(asked(scenario, quantization="trained"), DRAWS)
    in_four = drawn(asked(scenario, "fp4"), DRAWS)
    assert found.quantization is None
    assert (in_four.ln_size_kept < found.ln_size_kept).all()
    assert (found.ln_size_kept < 0.0).all()


def test_a_number_of_ones_own_stands_for_the_prior_and_nothing_turns_it_off(scenario) -> None:
    assert drawn(asked(scenario, quantization_loss_nats=0.0), 3) == PrecisionDraws()
    own = added(asked(scenario, quantization_loss_nats=0.02))
    np.testing.assert_allclose(own, 0.02)
    np.testing.assert_allclose(added(asked(scenario, quantization_loss_nats=0.02), n=1e9, tokens=1e14), 0.02)
    spread = added(asked(scenario, quantization_loss_nats={"median": 0.02, "log_sd": 0.5}))
    assert np.std(np.log(spread)) == pytest.approx(0.5, rel=0.1)
    assert drawn(asked(scenario, "fp8", "fp8", share=1.0), 3).ln_size_kept == pytest.approx(np.zeros((3, 1)))
    kept = drawn(asked(scenario, "fp8", "fp8", share=0.9), 3).ln_size_kept
    assert kept == pytest.approx(np.full((3, 1), np.log(0.9)))


def test_other_draws_are_the_same_with_and_without_it(scenario) -> None:
    plain, priced = (sample_costs(asked(scenario, **own), 50) for own in ({"quantization_loss_nats": 0.0}, {}))
    without = jax.tree.leaves(priced._replace(precision=PrecisionDraws()))
    for one, other in zip(jax.tree.leaves(plain), without, strict=True):
        np.testing.assert_array_equal(one, other)
    names = set(priced.by_name()) - set(plain.by_name())
    assert "serving.quantization_loss_nats" in names


HARMFUL = {"loss_nats": {"median": 0.05, "log_sd": 0.4}, "tokens_exponent": {"median": 0.7, "log_sd": 0.2}, "bits": 4.5}
"""A prior under which training on and on does harm well within the tokens considered."""


@pytest.fixture
def harmful(monkeypatch, small_fit, scenario):
    """A surface of few draws under that prior."""
    prior = shipped_precision_prior()
    after = {field.name: getattr(prior.after_training, field.name) for field in dataclasses.fields(prior.after_training)}
    changed = module.PrecisionPrior(
        after_training=module.AfterTraining(**{**after, **HARMFUL}), in_training=prior.in_training
    )
    monkeypatch.setattr(module, "shipped_precision_prior", lambda: changed)
    wanted = dataclasses.replace(
        asked(scenario, "fp8"), choices=dataclasses.replace(scenario.choices, num_experts=(1, 4, 16))
    )
    (here,) = surfaces(small_fit, wanted, draws=6).values()
    return here


def test_gradients_along_the_budget_are_those_of_the_served_loss(harmful) -> None:
    ln_size, step = jnp.full(harmful.shape, jnp.log(2e9)), 1e-4
    rise = (harmful.loss(ln_size + step) - harmful.loss(ln_size - step)) / (2.0 * step)
    np.testing.assert_allclose(harmful.loss_slope(ln_size), rise, rtol=1e-5)
    plain = dataclasses.replace(harmful, cost_draws=harmful.cost_draws._replace(precision=PrecisionDraws()))
    assert not np.allclose(plain.loss_slope(ln_size), rise, rtol=1e-3)


def test_the_loss_optimum_is_the_lowest_of_a_scan(harmful) -> None:
    grid = jnp.linspace(jnp.log(1e8), jnp.log(1e12), 4001)
    losses = np.asarray(harmful.loss(jnp.broadcast_to(grid, (1, harmful.shape[1], len(grid)))))
    at = np.asarray(grid)[losses.argmin(axis=-1)]
    np.testing.assert_allclose(harmful.loss_optimal(), at, atol=2.0 * float(grid[1] - grid[0]))
    plain = dataclasses.replace(harmful, cost_draws=harmful.cost_draws._replace(precision=PrecisionDraws()))
    assert (np.asarray(harmful.loss_optimal()) > np.asarray(plain.loss_optimal())).all()


def test_fewest_tokens_of_a_loss_are_those_of_a_scan_where_more_do_harm(harmful) -> None:
    """Brute force looks at all tokens, and takes the first that reach the loss."""
    ln_size = jnp.log(jnp.array([3e8, 1e9, 3e9, 1e10]))[None, None] + jnp.zeros((1, harmful.shape[1], 1))
    ln_tokens = np.linspace(np.log(1e8), np.log(1e17), 6001)
    every = jnp.repeat(ln_size, len(ln_tokens), axis=-1)
    tokens = jnp.broadcast_to(jnp.tile(jnp.exp(ln_tokens), ln_size.shape[-1]), every.shape)
    losses = np.asarray(harmful.loss(every, tokens)).reshape(*harmful.shape, ln_size.shape[-1], len(ln_tokens))
    least = losses.min(axis=-1)
    # More tokens do harm within the scan in every draw and size: else nothing would be asked here.
    assert (losses.argmin(axis=-1) < len(ln_tokens) - 1).all()
    target = np.median(least, axis=(1, 2), keepdims=True) + 0.02
    found = np.asarray(harmful.tokens_of_loss(ln_size, jnp.asarray(target)))
    reached = least <= target
    assert 0.3 < reached.mean() < 1.0
    np.testing.assert_array_equal(np.isfinite(found), reached)
    first = np.exp(ln_tokens[(losses <= target[..., None]).argmax(axis=-1)])
    np.testing.assert_allclose(found[reached], first[reached], rtol=1.01 * (ln_tokens[1] - ln_tokens[0]))
    at = np.asarray(harmful.loss(ln_size, jnp.where(np.isfinite(found), found, 1e12)))
    np.testing.assert_allclose(at[reached], np.broadcast_to(target, at.shape)[reached], rtol=1e-9)


def test_quantities_say_what_of_the_loss_it_is(harmful) -> None:
    ln_size = jnp.full(harmful.shape, jnp.log(2e9))
    tokens = jnp.full(harmful.shape, 1e12)
    found = harmful.quantities(ln_size, tokens)
    costs = harmful.cost_draws
    unquantized = dataclasses.replace(
        harmful, cost_draws=costs._replace(precision=costs.precision._replace(quantization=None))
    )
    np.testing.assert_allclose(found.loss - found.quantization_loss, unquantized.loss(ln_size, tokens), rtol=1e-12)
    assert (np.asarray(found.quantization_loss) > 0.0).all()
    np.testing.assert_allclose(found.tokens_per_total_parameter, tokens / found.n_total)
    # Of one draw of coefficients: in a draw where one count loses much, the others do.
    ranks = np.asarray(found.quantization_loss).argsort(axis=0)
    np.testing.assert_array_equal(ranks[:, 0], ranks[:, 1])


FILE = """[training]
budget_flop = 1e21
precision = "{trained}"
[serving]
accelerator = "B200"
precision = "fp4"
{more}
"""


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            'quantization = "int4"',
            "serving.quantization: says how weights get fewer bits, not how many, found 'int4'; write serving.precision = 'int4', and 'after training' or "
            "'trained' here.",
        ),
        ("quantization_loss_nats = -0.1", "serving.quantization_loss_nats"),
        (
            "quantization_loss_nats = 20",
            "serving.quantization_loss_nats: is implausible (plausible: 0 to 2 nats per token), found 20.0; give nats per token that quantizing adds, such as "
            "0.02; 0 for nothing.",
        ),
        ('quantization = "gptq-ish"', "serving.quantization"),
        ("quantization_loss = 0.1", "serving.quantization_loss: is not a known key; write serving.quantization_loss_nats."),
    ],
)
def test_bad_input_is_said_in_one_sentence(tmp_path, more, said) -> None:
    path = tmp_path / "s.toml"
    path.write_text(FILE.format(trained="bf16", more=more))
    with pytest.raises(InputError) as error:
        read_scenario(path)
    assert said in str(error.value)
    assert "\n" not in str(error.value)
