"""The surface of leverage is the law's under every draw."""

from __future__ import annotations

import pytest
from made_up import made_up_fit

from bayesmoe.curves.leverage_surface import leverage_surface
from bayesmoe.errors import InputError
from bayesmoe.laws import law_named

RUN = {"train_flop": 1e20, "activation_ratio": 1 / 16, "granularity": 12.0, "tokens": 1e10}


@pytest.fixture(scope="module")
def found():
    fit = made_up_fit("tian-leverage", RUN)
    places = {"activation_ratio": [1 / 64, 1 / 16, 1.0], "granularity": [4.0, 12.0], "train_flop": [1e20, 1e22]}
    return leverage_surface(fit, **places, published="table-2", draws=1000)


def test_published_leverage_is_the_papers(found) -> None:
    law = law_named("tian-leverage")
    for place in ({"activation_ratio": 1 / 64, "granularity": 12.0, "train_flop": 1e22}, {**RUN}):
        asked = {name: place[name] for name in ("activation_ratio", "granularity", "train_flop")}
        expected = float(law.loss(law.coefficients("table-2"), asked))
        assert found["published"].sel(asked).item() == pytest.approx(expected)


def test_the_band_is_ordered_and_lies_about_what_its_draws_were_made_around(found) -> None:
    low, middle, high = found["leverage"].transpose("quantile", ...).values
    assert (low < high).all()
    assert (low <= middle).all()
    assert (middle <= high).all()
    inside = (found["published"].values >= low) & (found["published"].values <= high)
    assert inside[:2].all()


def test_leverage_grows_with_sparsity_and_compute(found) -> None:
    middle = found["leverage"].sel(quantile=0.5)
    assert bool((middle.diff("activation_ratio") < 0).all())
    assert bool((middle.isel(activation_ratio=0).diff("train_flop") > 0).all())


def test_a_law_of_losses_is_refused(small_fit) -> None:
    with pytest.raises(InputError, match="predicts losses, not leverage"):
        leverage_surface(small_fit, activation_ratio=[0.1], granularity=[4.0], train_flop=[1e20])
