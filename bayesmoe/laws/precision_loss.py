"""What low precision takes from a loss: the size that a model is worth when trained in few bits, and what quantizing it afterwards adds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import jax.numpy as jnp

from bayesmoe.arrays import Elementwise


def effective_size_of_training(n: Elementwise, parts: Iterable[tuple[Any, Any]]) -> Elementwise:
    """``N_eff = N prod_x (1 - exp(-P_x / gamma_x))``, parameters of the model of equal loss that was trained at full precision.

    Elementwise. It grows with every P_x and is N where all are infinite; a law of the loss is then read at N_eff.

    Parameters
    ----------
    n : array
        N, parameters.
    parts : iterable of (array, array)
        Bits P_x and scale gamma_x, in bits, of each part x that training computes with: weights, activations, cache.

    References
    ----------
    Kumar et al. 2024, arXiv:2411.04330: the form. Its coefficients are not used anywhere here.

    Examples
    --------
    >>> round(float(effective_size_of_training(1.0, [(4.0, 3.0)])), 3)
    0.736
    """
    kept = n
    for bits, scale in parts:
        kept = kept * -jnp.expm1(-bits / scale)
    return kept


def quantization_loss(
    n: Elementwise,
    tokens: Elementwise,
    bits: Elementwise,
    *,
    ln_coefficient: Elementwise,
    tokens_exponent: Elementwise,
    size_exponent: Elementwise,
    scale: Elementwise,
) -> Elementwise:
    """``delta = C_T D^gamma_D / N^gamma_N exp(-P_post / gamma_post)``, nats per token that quantizing a trained model adds to its loss.

    Elementwise. It grows with tokens, falls with size, and falls to nothing as bits grow: a small model that was trained long loses most.

    Parameters
    ----------
    n, tokens : array
        N, parameters; D, training tokens.
    bits : array
        P_post, bits of a weight after training.
    ln_coefficient : array
        ln C_T.
    tokens_exponent, size_exponent : array
        gamma_D and gamma_N.
    scale : array
        gamma_post, bits.

    References
    ----------
    Kumar et al. 2024, arXiv:2411.04330: the form. Its coefficients are not used anywhere here.

    Examples
    --------
    >>> known = dict(ln_coefficient=-2.3, tokens_exponent=0.5, size_exponent=0.4, scale=0.6)
    >>> float(quantization_loss(1e9, 2e12, 4.0, **known)) > float(quantization_loss(1e9, 2e10, 4.0, **known))
    True
    """
    return jnp.exp(ln_coefficient + tokens_exponent * jnp.log(tokens) - size_exponent * jnp.log(n) - bits / scale)
