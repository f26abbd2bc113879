"""Seconds of one GPU per FLOP of training along the sizes of an architecture, in every draw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bayesmoe.arrays import Elementwise

ROUNDING = 1e-5
"""Excess over a largest ln size that is rounding, in single precision."""


@dataclass(frozen=True)
class ThroughputBySize:
    """Seconds of one GPU per FLOP along ln size, of K architectures under S draws.

    ``ln t(x) = y_0 + m_0 (x - x_0) + sum_g d_g h(x - x_g)`` with the slope ``m_0`` of the first step, the changes of slope ``d_g`` at G - 2 knots, and
    ``h(u) = (u + w)^2 / 4 w`` for ``|u| < w``, ``max(u, 0)`` elsewhere: straight in logarithms between knots, with corners rounded over half a step
    ``w`` to either side so that a slope changes without a jump. A sum over all knots is computed for many sizes at once; looking up the knots beside each
    size would take ten times as long.

    Parameters
    ----------
    ln_seconds : array, shape (S, K, G)
        ln seconds of one GPU per FLOP at the knots.
    bends : array, shape (S, K, G - 1)
        ``m_0``, then ``d_g``.
    ln_filled : array, shape (S, K, G)
        ln of the bytes that the leanest layout needs of a GPU, over those that it may fill; infinite where no layout divides the model.
    ln_smallest, ln_largest : array, shape (S, K)
        Ends of the ln sizes that some layout divides and holds; the first above the second where none does.
    first, step : float
        ln size of the first knot, and from one knot to the next.
    """

    ln_seconds: Any
    bends: Any
    ln_filled: Any
    ln_smallest: Any
    ln_largest: Any
    first: float
    step: float

    @classmethod
    def of(
        cls, ln_seconds: Any, ln_filled: Any, ln_smallest: Any, ln_largest: Any, *, first: float, step: float
    ) -> ThroughputBySize:
        """From values at the knots."""
        rise = np.diff(np.asarray(ln_seconds), axis=-1) / step
        bends = np.concatenate([rise[..., :1], np.diff(rise, axis=-1)], axis=-1)
        return cls(ln_seconds, bends, ln_filled, ln_smallest, ln_largest, first, step)

    def seconds_per_flop(self, ln_size: Elementwise) -> Elementwise:
        """Seconds of one GPU per FLOP at sizes of shape (S, K) or (S, K, M), whether they fit or not; S may be 1."""
        sizes = jnp.reshape(ln_size, (*jnp.shape(ln_size)[:2], -1)) - self.first
        start = self.ln_seconds[..., :1]
        if len(sizes) == 1:
            # Of sizes that are the same in every draw, the basis is too.
            basis = jnp.stack([self._basis(sizes[0], knot) for knot in range(self.bends.shape[-1])])
            ln_seconds = start + jnp.einsum("skg,gkm->skm", self.bends.astype(basis.dtype), basis)
        else:
            ln_seconds = start
            for knot in range(self.bends.shape[-1]):
                ln_seconds = ln_seconds + self.bends[..., knot, None] * self._basis(sizes, knot)
        # Behind the barrier it is computed once and not again for everything that reads it.
        found = jax.lax.optimization_barrier(jnp.exp(ln_seconds))
        return jnp.reshape(found, (len(found), *jnp.shape(ln_size)[1:]))

    def _basis(self, along: Any, knot: int) -> Any:
        """Function of the ln size beyond the first knot that one of ``bends`` counts."""
        if knot == 0:
            return along
        beyond = along - (knot - 0.5) * self.step
        within = jnp.clip(beyond, 0.0, self.step)
        return within * (2.0 * beyond - within) / (2.0 * self.step)

    def filled(self, ln_size: Elementwise) -> Elementwise:
        """Bytes that the leanest layout needs of a GPU, over those that it may fill: more than 1 where nothing fits."""
        sizes = jnp.reshape(ln_size, (*jnp.shape(ln_size)[:2], -1))
        draws, last = self.ln_filled.shape[0], self.ln_filled.shape[-1] - 1
        along = (sizes - self.first) / self.step
        below = jnp.clip(jnp.floor(along), 0, last - 1).astype(int)
        shape, share = (draws, *sizes.shape[1:]), along - below
        y0, y1 = (jnp.take_along_axis(self.ln_filled, jnp.broadcast_to(at, shape), axis=-1) for at in (below, below + 1))
        found = jnp.exp(jnp.where(jnp.isfinite(y0), y0 + share * (y1 - y0), y0))
        return jnp.reshape(found, (draws, *jnp.shape(ln_size)[1:]))

    def fits(self, ln_size: Elementwise) -> Any:
        """Whether some layout divides and holds the model."""
        beside = (1,) * (jnp.ndim(ln_size) - 2)
        low, high = (jnp.reshape(end, (*jnp.shape(end), *beside)) for end in (self.ln_smallest, self.ln_largest))
        return (ln_size >= low - ROUNDING) & (ln_size <= high + ROUNDING)

    def with_seconds(self, ln_seconds: Any) -> ThroughputBySize:
        """Other seconds at the same knots."""
        return self.of(ln_seconds, self.ln_filled, self.ln_smallest, self.ln_largest, first=self.first, step=self.step)


_DATA = ("ln_seconds", "bends", "ln_filled", "ln_smallest", "ln_largest")
jax.tree_util.register_dataclass(ThroughputBySize, _DATA, ("first", "step"))
