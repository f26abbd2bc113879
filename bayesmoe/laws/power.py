"""Powers of what is positive, at the price of one exponential."""

from __future__ import annotations

import jax.numpy as jnp

from bayesmoe.arrays import Elementwise


def power(base: Elementwise, exponent: Elementwise) -> Elementwise:
    """``base^exponent = exp(exponent ln base)``, elementwise, of a positive base.

    A compiled ``base ** exponent`` and its gradient take several times as long, as they also serve bases that are not positive;
    the law's terms are most of what a fit computes.
    """
    return jnp.exp(exponent * jnp.log(base))
