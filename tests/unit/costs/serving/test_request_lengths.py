"""Requests that differ, prompts that are cached or computed by other workers, tokens drafted ahead: against simulation, by hand, and where they reduce to none of it."""

from __future__ import annotations

import dataclasses
import functools
import math

import jax
import numpy as np
import pytest
from served import CHIP, MODEL, NARROW, TRAFFIC, many_experts, terms

from bayesmoe.architecture import Family
from bayesmoe.costs.draws import serving_draws
from bayesmoe.costs.hardware import accelerator_named
from bayesmoe.costs.serving import Coefficients, Fleet, Roofline, cheapest_replica, served_family
from bayesmoe.costs.serving.replica import memory_batch
from bayesmoe.costs.serving.roofline import CHUNK
from bayesmoe.costs.serving.step import TERMS
from bayesmoe.costs.serving.traffic import MOST_DRAFTED, Traffic
from bayesmoe.costs.workload import Serving
from bayesmoe.errors import InputError

DRAFTING = TRAFFIC._replace(draft_tokens=2.0, acceptance=0.8, acceptance_decay=0.5)
"""1 + 0.8 + 0.8 x 0.4 tokens of a step."""
TOKENS = 2 * (3.2 + 2.12 * 30 / 20)
"""Of two requests in one: three and two tenths each, as a draft goes through one layer of ten, and the prompts of those that arrive."""
LATENCY = Roofline(accelerator_named("A100-SXM-40GB"))
SLOPES = Coefficients((60e-6, 20e-6, 15e-6, 5e-6, 1.2, 1.5, 1.5, 1.1, 3.0, 1.3), 1.5, 3.0, 1.0, 1.0)


def drawn(seed=0, count=400_000, *, correlation=0.5):
    """Log-normal lengths with means 1,000 and 300 and coefficients of variation 1.2 and 0.8."""
    log_sd = np.sqrt(np.log1p(np.array([1.2, 0.8]) ** 2))
    covariance = np.outer(log_sd, log_sd) * [[1.0, correlation], [correlation, 1.0]]
    logs = np.random.default_rng(seed).multivariate_normal(-(log_sd**2) / 2, covariance, count)
    return np.array([1000.0, 300.0]) * np.exp(logs)


def off(correlation):
    """Mean context of simulated requests that decode, less that of the formula at some correlation, in standard errors of the former."""
    prompt, output = drawn().T
    spec = Serving(prompt_tokens=1000.0, output_tokens=300.0, prompt_cv=1.2, output_cv=0.8, length_correlation=correlation)
    said = float(serving_draws(spec, 1, 1, np.random.default_rng(0)).traffic.context_tokens.item())
    context = (output * (prompt + 0.5 * output)).reshape(100, -1).sum(axis=1) / output.reshape(100, -1).sum(axis=1)
    return (context.mean() - said) / (context.std(ddof=1) / 10)


def test_the_context_is_that_of_the_requests_that_decode_at_one_time():
    # A normal error lies beyond 4 once in 16,000.
    assert abs(off(0.5)) < 4


def test_lengths_without_their_correlation_are_rejected():
    assert abs(off(0.0)) > 8


def test_long_prompts_attend_more_than_the_mean_prompt():
    prompt, _ = drawn().T
    traffic = Traffic(1000.0, 300.0, prompt_cv=1.2)
    squares = (terms(traffic=one)["prefill"] for one in (traffic, traffic._replace(prompt_cv=0.0)))
    more, mean = map(float, squares)
    # 4e7 p^2/2 FLOP of attention for the 1/300 of two requests that arrive in a step, on four chips of 2e12 FLOP/s.
    added = (more - mean) * 8e12 * 300 / 2 / (0.5 * 4e7)
    halves = prompt.reshape(100, -1).var(axis=1)
    assert abs(added - halves.mean()) < 4 * halves.std(ddof=1) / 10


@pytest.mark.parametrize(
    ("drafted", "acceptance", "decay", "tokens"),
    [
        (0, 0.8, 0.5, 1.0),
        (2, 0.8, 0.5, 1 + 0.8 + 0.32),
        (3, 1.0, 1.0, 4.0),
        (5, 0.0, 1.0, 1.0),
        (3, 0.9, 0.9, 1 + 0.9 + 0.9 * 0.81 + 0.9 * 0.81 * 0.729),
    ],
)
def test_tokens_of_a_step_by_hand(drafted, acceptance, decay, tokens):
    traffic = TRAFFIC._replace(draft_tokens=float(drafted), acceptance=acceptance, acceptance_decay=decay)
    assert float(traffic.tokens_per_step) == pytest.approx(tokens, rel=1e-12)


def test_tokens_of_a_step_are_those_of_drafts_accepted_one_after_the_other():
    chances = np.random.default_rng(1).random((200_000, MOST_DRAFTED)) < 0.85 * 0.9 ** np.arange(MOST_DRAFTED)
    got = 1 + np.cumprod(chances[:, :4], axis=1).sum(axis=1)
    said = float(TRAFFIC._replace(draft_tokens=4.0, acceptance=0.85, acceptance_decay=0.9).tokens_per_step)
    error = got.std() / math.sqrt(len(got))
    assert abs(got.mean() - said) < 4 * error
    # One chance for all of them, as the textbook has it, is rejected.
    assert abs(got.mean() - sum(0.85**j for j in range(5))) > 8 * error


@pytest.mark.parametrize(
    ("term", "value"),
    [
        # Two drafts, each by one layer of ten more.
        ("layer", 12.0),
        ("moe_layer", 6.0),
        ("hop", 12 * 2.0),
        ("request", 2.0),
        # Six tokens touch 63/64 of the experts; the head of 5e8 is read three times, all else and the cache 1.2 times.
        ("memory", (2 * (1.2 * (6e9 + 4e9 * 63 / 64) + 3 * 5e8) + 1.2 * 2 * 1.2e8 * 2) / 4e12),
        ("activations", TOKENS * 2 * 5 * (1000 + 4e9 / 60e3) * 8 / 4e12),
        # Attention over the context is none here: 1e9 parameters in 3.2 tokens, the head in three.
        ("compute", 2 * 2 * (3.2 * 1e9 + 3 * 5e8) / 8e12),
        ("prefill", 2 * 2.12 / 20 * (6e10 + 1.8e10) / 8e12),
        ("experts", TOKENS * 2 * 2e9 * NARROW / 8e12),
        ("communication", 10 * 2 * 2 * 0.75 * TOKENS * 2000 / 1e11),
    ],
)
def test_a_step_with_drafts_by_hand(term, value):
    assert float(terms(traffic=DRAFTING)[term]) == pytest.approx(value, rel=1e-12)


def test_cached_prompts_are_read_and_not_computed():
    half, whole = (terms(traffic=TRAFFIC._replace(cached_share=share)) for share in (0.5, 0.0))
    # 15 of 30 tokens in 2e9 FLOP each, and attention over 30^2 - 15^2.
    assert float(half["prefill"]) == pytest.approx(0.1 * (3e10 + 4e7 * (900 - 225) / 2) / 8e12, rel=1e-12)
    assert float(half["memory"]) == float(whole["memory"])
    assert float(half["experts"]) == pytest.approx(float(whole["experts"]) * (1 + 0.75) / (1 + 1.5), rel=1e-12)
    nearly = terms(traffic=TRAFFIC._replace(cached_share=1.0 - 1e-12))
    assert float(nearly["prefill"]) < 1e-9 * float(whole["prefill"])


def test_nothing_drafted_is_a_step_as_it_was():
    idle = TRAFFIC._replace(draft_tokens=0.0, acceptance=0.9, acceptance_decay=0.9)
    for term in TERMS:
        assert float(terms(traffic=idle)[term]) == float(terms()[term]), term


@pytest.mark.parametrize("traffic", [DRAFTING, DRAFTING._replace(cached_share=0.4, prompt_cv=1.0)])
def test_seconds_by_batch_are_those_of_an_iteration(traffic):
    model, batches = many_experts(), np.array([1.0, 7.0, 200.0])
    step, _ = LATENCY.by_batch(model, 4.0, traffic, SLOPES)(batches)
    np.testing.assert_allclose(step, sum(LATENCY(model, batches, 4.0, traffic, SLOPES)), rtol=1e-12)
    whole = sum(LATENCY.seconds_by_term(model, batches, 4.0, traffic, SLOPES))
    np.testing.assert_allclose(step * traffic.tokens_per_step, whole, rtol=1e-12)


SIZES, COUNTS = np.broadcast_arrays(np.geomspace(1e9, 2e10, 8)[:, None], np.array([1.0, 8.0]))
MODELS = served_family(SIZES, COUNTS, Family(), mu=0.045, cache_share=1.0, moe_layer_share=0.5)
FLEET = Fleet(max_gpus=4, memory_bytes=40e9, memory_fraction=0.9, bytes_per_weight=2.0, max_batch=64.0, max_tpot_s=0.02)
SERVED = Traffic(161.31, 337.99, acceptance=0.6, acceptance_decay=0.8)


@functools.partial(jax.jit, static_argnums=0)
def served(fleet, traffic):
    return cheapest_replica(MODELS, LATENCY, fleet, traffic, SLOPES, utilization=1.0, price_usd_per_gpu_hour=1.8)


def least(each):
    """The least cost of several ways, infinite where none serves a model; and the costs, with NaN."""
    usd = np.stack([one.usd_per_million_tokens for one in each])
    return np.where(np.isnan(usd), np.inf, usd).min(axis=0), usd


def test_the_best_number_of_drafts_is_the_cheapest_of_each_by_itself():
    each = [served(FLEET._replace(drafts=(drafts,)), SERVED) for drafts in (0, 1, 2, 3)]
    best = served(FLEET._replace(drafts=(0, 1, 2, 3)), SERVED)
    cheapest, usd = least(each)
    np.testing.assert_allclose(np.where(best.feasible, best.usd_per_million_tokens, np.inf), cheapest, rtol=1e-12)
    feasible, chosen = np.asarray(best.feasible), np.nan_to_num(np.asarray(best.draft_tokens)).astype(int)
    # Among these, drafting pays for some and not for others.
    assert len(set(chosen[feasible].tolist())) > 1
    picked = np.take_along_axis(usd, chosen[None], axis=0)[0]
    np.testing.assert_allclose(picked[feasible], cheapest[feasible], rtol=1e-12)


@pytest.mark.parametrize("target", [None, 0.05, 0.001])
@pytest.mark.few(1)
def test_workers_apart_are_the_least_of_a_loop_over_both_kinds(target):
    fleet = FLEET._replace(prefill="apart", max_ttft_s=target, max_tpot_s=0.05)
    traffic = Traffic(2000.0, 100.0)
    found = served(fleet, traffic)
    usd = np.full(SIZES.shape, np.inf)
    for at in np.ndindex(SIZES.shape):
        model = jax.tree.map(lambda leaf, at=at: np.broadcast_to(leaf, SIZES.shape)[at], MODELS)
        prompt, decode = [np.inf], [np.inf]
        for gpus in (1.0, 2.0, 4.0):
            batch = float(memory_batch(model, gpus, traffic, fleet))
            if batch < 1:
                continue
            seconds, first = map(float, LATENCY.prompt_alone_s(model, gpus, traffic, SLOPES))
            prompt += [gpus * seconds] if target is None or first <= target else []
            for many in range(int(min(batch, 64)), 0, -1):
                step = float(sum(LATENCY(model, float(many), gpus, traffic._replace(apart=1.0), SLOPES)))
                if step <= 0.05:
                    decode.append(gpus * step / many)
                    break
        usd[at] = (min(prompt) / 100.0 + min(decode)) * 1.8 / 3600 * 1e6
    np.testing.assert_allclose(np.where(found.feasible, found.usd_per_million_tokens, np.inf), usd, rtol=1e-9)
    assert np.isfinite(usd).any() == (target != 0.001)


def test_either_is_the_cheaper_of_both_and_apart_is_not_always():
    traffic = Traffic(2000.0, 100.0)
    fleets = [FLEET._replace(prefill=prefill, max_tpot_s=0.03) for prefill in ("together", "apart", "either")]
    together, apart, either = (served(fleet, traffic) for fleet in fleets)
    cheapest, _ = least([together, apart])
    np.testing.assert_allclose(np.where(either.feasible, either.usd_per_million_tokens, np.inf), cheapest, rtol=1e-12)
    chosen = np.asarray(either.prefill_gpus)[np.asarray(either.feasible)]
    assert (chosen > 0).any()
    assert (np.asarray(together.prefill_gpus)[np.asarray(together.feasible)] == 0).all()


def test_a_worker_of_prompts_by_hand():
    chip = Roofline(CHIP)
    slopes = Coefficients((0.0,) * 4 + (1.0,) * 6, 1.0, 1.0, 1.0, 1.0)
    seconds, first = map(float, chip.prompt_alone_s(MODEL, 4.0, TRAFFIC, slopes))
    # 8,192 / 30 prompts a step, each of which ends with a token; all weights are read once.
    prompts = CHUNK / 30
    step = terms(batch=prompts, traffic=Traffic(30.0, 1.0), reads="all")
    worked = sum(float(step[term]) for term in ("memory", "activations", "compute", "prefill", "experts", "communication"))
    assert seconds == pytest.approx(worked / prompts, rel=1e-12)
    alone = (6e10 + 1.8e10) / 8e12 + 30 * 2 * 2e9 * NARROW / 8e12
    assert first == pytest.approx(alone + worked, rel=1e-12)


def test_workers_that_decode_alone_compute_no_prompts():
    alone = terms(traffic=TRAFFIC._replace(apart=1.0))
    assert float(alone["prefill"]) == 0.0
    assert float(alone["memory"]) == float(terms()["memory"])
    assert float(alone["experts"]) == pytest.approx(float(terms()["experts"]) / 2.5, rel=1e-12)


def test_drafting_pays_where_few_decode_together_and_not_where_many_do():
    # A step that reads a large cache waits for memory however many decode: there drafting always pays.
    model = MODEL._replace(cache_per_token=0.0, window_cache_per_token=0.0, state=0.0)

    def gain(batch):
        plain, ahead = (
            sum(LATENCY(model, batch, 4.0, one, SLOPES))
            for one in (TRAFFIC, TRAFFIC._replace(draft_tokens=2.0, acceptance=0.85, acceptance_decay=0.9))
        )
        return float(plain / ahead)

    assert gain(1.0) > 1.5 > 1.2 > gain(4096.0)


def test_of_an_exchange_that_is_hidden_only_what_is_longer_remains():
    plain, hidden = Roofline(CHIP), Roofline(CHIP, overlap=True)
    batches = np.array([1.0, 50.0, 3000.0])
    *others, exchange = (np.asarray(each) for each in plain.seconds_by_term(MODEL, batches, 4.0, TRAFFIC, SLOPES))
    rest = sum(others)
    step, _ = hidden.by_batch(MODEL, 4.0, TRAFFIC, SLOPES)(batches)
    np.testing.assert_allclose(step, np.maximum(rest, exchange), rtol=1e-12)
    np.testing.assert_allclose(sum(hidden(MODEL, batches, 4.0, TRAFFIC, SLOPES)), step, rtol=1e-12)
    np.testing.assert_allclose(plain.by_batch(MODEL, 4.0, TRAFFIC, SLOPES)(batches)[0], rest + exchange, rtol=1e-12)
    slow = Roofline(dataclasses.replace(CHIP, link_bytes_per_s=1e6), overlap=True)
    prompt_s, _ = slow.prompt_alone_s(MODEL, 4.0, TRAFFIC, SLOPES)
    # Two all-reduces a layer of a prompt and its one token, 1,000 wide, in two bytes.
    assert float(prompt_s) == pytest.approx(1.3 * 10 * 2 * 2 * 0.75 * 31 * 2000 / 1e6, rel=1e-12)


@pytest.mark.parametrize(
    ("changed", "column"),
    [
        ({"draft_tokens": 9}, "draft_tokens"),
        ({"draft_tokens": "most"}, "draft_tokens"),
        ({"cached_share": 1.5}, "cached_share"),
        ({"prompt_cv": -1.0}, "prompt_cv"),
        ({"length_correlation": 2.0}, "length_correlation"),
        ({"latency_table": "t.csv", "cached_share": 0.4}, None),
    ],
)
def test_what_cannot_be_is_refused(changed, column):
    with pytest.raises(InputError) as refused:
        dataclasses.replace(Serving(), **changed)
    assert column is None or column in str(refused.value)
