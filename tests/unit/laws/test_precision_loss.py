"""The forms of low precision: golden values, what they grow and fall with, and their limits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayesmoe.laws.precision_loss import effective_size_of_training, quantization_loss

ANCHORS = json.loads((Path(__file__).parents[2] / "anchors_precision.json").read_text())
KNOWN = {"ln_coefficient": np.log(0.1), "tokens_exponent": 0.5, "size_exponent": 0.4, "scale": 0.6}


def value(anchor: dict[str, Any]) -> float:
    """What the code makes of an anchor."""
    c, x = anchor["coefficients"], anchor["inputs"]
    if anchor["law"] == "kumar2024_form":
        parts = [("weights", "gamma_w"), ("activations", "gamma_a"), ("kv", "gamma_kv")]
        return float(effective_size_of_training(1.0, [(float(x[f"bits_{part}"]), c[scale]) for part, scale in parts]))
    known = {
        "ln_coefficient": np.log(c["C_T"]),
        "tokens_exponent": c["gamma_D"],
        "size_exponent": c["gamma_N"],
        "scale": c["gamma_post"],
    }
    return float(quantization_loss(x["n"], x["tokens"], x["bits_after_training"], **known))


@pytest.mark.parametrize("number", range(len(ANCHORS)))
def test_golden_values(number: int) -> None:
    anchor = ANCHORS[number]
    assert value(anchor) == pytest.approx(anchor["value"], rel=anchor["rtol"])
    assert value({**anchor, "inputs": {key: 1.001 * x for key, x in anchor["inputs"].items()}}) != pytest.approx(
        anchor["value"], rel=anchor["rtol"]
    )


def test_they_are_those_of_the_shared_catalog(shared_data: Path) -> None:
    shared = json.loads((shared_data.parent / "reference" / "anchors_repetition_precision.json").read_text())
    assert [one for one in shared if one["law"].startswith("kumar2024")] == ANCHORS


def test_a_model_is_worth_more_the_more_bits_it_is_trained_in_and_all_of_it_with_endless_bits() -> None:
    kept = [float(effective_size_of_training(1e9, [(bits, 2.0), (bits, 3.0)])) for bits in (2.0, 4.0, 8.0, 16.0)]
    assert np.all(np.diff(kept) > 0)
    assert kept[-1] < 1e9
    assert float(effective_size_of_training(1e9, [(jnp.inf, 2.0)])) == 1e9
    assert effective_size_of_training(1e9, []) == 1e9


def test_what_quantizing_adds_grows_with_tokens_and_falls_with_size_and_bits() -> None:
    def at(n: float = 7e9, tokens: float = 2e12, bits: float = 4.0) -> float:
        return float(quantization_loss(n, tokens, bits, **KNOWN))

    assert at(tokens=4e12) > at() > at(tokens=1e12)
    assert at(n=14e9) < at() < at(n=3e9)
    assert at(bits=8.0) < at() < at(bits=3.0)
    assert at(bits=np.inf) == 0.0


def test_gradients_are_those_of_the_exponents() -> None:
    def ln_loss(x: Any) -> Any:
        return jnp.log(quantization_loss(jnp.exp(x[0]), jnp.exp(x[1]), x[2], **KNOWN))

    found = jax.grad(ln_loss)(jnp.array([jnp.log(7e9), jnp.log(2e12), 4.0]))
    np.testing.assert_allclose(found, [-0.4, 0.5, -1.0 / 0.6], rtol=1e-9)
