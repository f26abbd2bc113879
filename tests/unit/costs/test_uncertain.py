"""Numbers known up to a factor: their draws and medians, and what a file may say."""

from __future__ import annotations

import numpy as np
import pytest

from bayesmoe.costs.uncertain import Quantity, QuantityShare, Uncertain, UncertainShare, median, sample
from bayesmoe.errors import InputError
from bayesmoe.specs import read_toml, spec


@spec
class Bill:
    price: Quantity = 2.0
    busy: QuantityShare = 0.5


@pytest.fixture
def read(tmp_path):
    """Read a text as a bill, and return it or what its error says after the file it names."""

    def reading(text):
        (tmp_path / "bill.toml").write_text(text)
        try:
            return read_toml(tmp_path / "bill.toml", Bill)
        except InputError as error:
            return str(error).removeprefix(f"{tmp_path / 'bill.toml'}, ")

    return reading


@pytest.mark.parametrize("size", [3, (2, 5)])
@pytest.mark.parametrize("quantity", [2, 2.5, Uncertain(median=2.0, log_sd=0.0)])
def test_a_known_number_is_drawn_as_it_is(quantity, size):
    found = sample(quantity, size, np.random.default_rng(0))
    assert found.shape == np.empty(size).shape
    assert (found == median(quantity)).all()


def test_draws_are_log_normal():
    logs = np.log(sample(Uncertain(median=3.0, log_sd=0.4), 200_000, np.random.default_rng(1)))
    assert logs.mean() == pytest.approx(np.log(3.0), abs=5 * 0.4 / 200_000**0.5)
    assert logs.std() == pytest.approx(0.4, rel=0.01)
    # A fifth of a normal lies beyond 0.8416 standard deviations.
    assert np.quantile(logs, 0.8) == pytest.approx(np.log(3.0) + 0.4 * 0.8416, abs=0.005)


def test_draws_are_those_of_their_generator():
    first, again, other = (sample(Uncertain(median=1.0, log_sd=1.0), 4, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).all()


def test_a_share_is_at_most_one():
    found = sample(UncertainShare(median=0.9, log_sd=1.0), 10_000, np.random.default_rng(0), most=1.0)
    assert found.max() == 1.0
    assert found.min() > 0
    # What lies above is heaped at one and not drawn anew: the median stays.
    assert np.median(found) == pytest.approx(0.9, rel=0.05)
    assert (sample(1.0, 3, np.random.default_rng(0), most=1.0) == 1.0).all()


@pytest.mark.parametrize(
    ("quantity", "known"),
    [(4, 4.0), (0.4, 0.4), (Uncertain(median=7.0, log_sd=2.0), 7.0), (UncertainShare(median=0.3, log_sd=0.1), 0.3)],
)
def test_the_middle_is_the_median(quantity, known):
    assert median(quantity) == known
    assert isinstance(median(quantity), float)


def test_a_file_says_a_number_or_a_spread(read):
    assert read("price = 3\nbusy = 1.0") == Bill(price=3.0, busy=1.0)
    found = read("price = { median = 2.0, log_sd = 0.2 }\nbusy = { median = 0.4, log_sd = 0.0 }")
    assert found == Bill(price=Uncertain(median=2.0, log_sd=0.2), busy=UncertainShare(median=0.4, log_sd=0.0))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("price = -1.0", "price: should be greater than 0, found -1.0."),
        ("price = 0", "price: should be greater than 0, found 0."),
        ("busy = -0.5", "busy: should be greater than 0, found -0.5."),
        ("busy = 1.5", "busy: should be less than or equal to 1, found 1.5."),
        ("price = { median = -2.0, log_sd = 0.2 }", "price.median: should be greater than 0, found -2.0."),
        ("price = { median = 2.0, log_sd = -0.2 }", "price.log_sd: should be greater than or equal to 0, found -0.2."),
        ("busy = { median = 1.2, log_sd = 0.2 }", "busy.median: should be less than or equal to 1, found 1.2."),
        ("busy = { median = 0.5, log_sd = -1 }", "busy.log_sd: should be greater than or equal to 0, found -1."),
        ("price = { median = 2.0 }", "price.log_sd: is required; add it."),
        ("price = nan", "price: should be a finite number, found nan."),
    ],
)
def test_what_is_no_quantity_is_refused_by_its_key(read, text, says):
    assert read(text) == says
