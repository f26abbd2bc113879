"""What repeated tokens are worth, and a law of fresh tokens made one of repeated tokens."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import jax.numpy as jnp

from bayesmoe.arrays import Elementwise
from bayesmoe.errors import InputError
from bayesmoe.laws.base import Coordinate, Coordinates, Law, PaperParameters, Reference, Run
from bayesmoe.runs.epochs import UNIQUE

_SIZES = ("n_dense", "n_active", "n_total")

REPEAT_DECAY = Coordinate(
    "repeat_decay",
    "positive",
    math.log(8.0),
    0.9,
    0.2,
    "dense",
    "passes",
    "passes beyond the first after which repeats fade",
)
EXCESS_DECAY = Coordinate(
    "excess_decay", "positive", math.log(8.0), 0.9, 0.2, "dense", "1", "times the size for the data beyond which size fades"
)
SIZE_PER_TOKEN = Coordinate(
    "size_per_token",
    "positive",
    math.log(0.051),
    1.0,
    0.2,
    "dense",
    "parameters/token",
    "size for the data, a distinct token",
)
OVERFITTING = Coordinate(
    "overfitting",
    "positive",
    math.log(0.02),
    1.2,
    0.2,
    "dense",
    "nats",
    "by how much the loss rises with (ln passes)^2 and ln(1 + size / distinct tokens)",
)
PART = (REPEAT_DECAY, EXCESS_DECAY, SIZE_PER_TOKEN, OVERFITTING)
"""Coordinates of repetition. The priors of the decays hold both published pairs: 15.4 and 5.3 (arXiv:2305.16264), 4.4 and 11.1 (arXiv:2606.01155). That of
overfitting is wide, as neither form has it, and such that four passes, which arXiv:2305.16264 finds nearly as good as fresh tokens, cost a model of a
quarter of its distinct tokens .0086 nats in the middle and .06 at the upper end."""

MUENNIGHOFF = {"repeat_decay": 15.387756, "excess_decay": 5.309743, "size_per_token": 0.0509865, "overfitting": 0.0}
"""Muennighoff et al. 2023, arXiv:2305.16264: R_D*, R_N* and the size for the data, which follows from its tied exponents."""

WU = {"repeat_decay": 4.40474882, "excess_decay": 11.08763712, "size_per_token": 0.0714740, "overfitting": 0.0}
"""Wu et al. 2026, arXiv:2606.01155, of dense weights: d0, n0 and the size for the data that follows from its exponent and amplitudes."""


def effective_tokens(tokens: Elementwise, unique: Elementwise, decay: Elementwise) -> Elementwise:
    """Fresh tokens that are worth as much as tokens of which some repeat.

    ``D' = U + U R* (1 - exp(-R/R*)),   R = max(D/U - 1, 0)``

    Parameters
    ----------
    tokens : array
        Training tokens D.
    unique : array
        Distinct tokens U among them; more than D are D.
    decay : array
        R*: passes beyond the first after which a repeat is worth 1/e of a fresh token.

    Returns
    -------
    array
        Tokens, at least U and at most D; exactly D in one pass.

    References
    ----------
    Muennighoff et al. 2023, arXiv:2305.16264, Eq. 5; the same form with other decays in Wu et al. 2026, arXiv:2606.01155.

    Examples
    --------
    >>> f"{float(effective_tokens(4e9, 1e9, 15.387756)):.4g}"
    '3.726e+09'
    """
    unique = jnp.minimum(unique, tokens)
    return unique + unique * decay * -jnp.expm1(-jnp.maximum(tokens / unique - 1.0, 0.0) / decay)


def effective_size(size: Elementwise, optimal_size: Elementwise, decay: Elementwise) -> Elementwise:
    """Size that is worth as much as one of which some is in excess of what the distinct tokens can use.

    ``N' = U_N + U_N R* (1 - exp(-R/R*)),   R = max(N/U_N - 1, 0),   U_N = min(N, optimal_size)``

    Parameters
    ----------
    size : array
        Parameters N.
    optimal_size : array
        Loss-optimal size for the distinct tokens alone.
    decay : array
        R*: times that size beyond which more of it is worth 1/e.

    Returns
    -------
    array
        Parameters; exactly N up to ``optimal_size``.

    References
    ----------
    Muennighoff et al. 2023, arXiv:2305.16264, Eq. 6.

    Examples
    --------
    >>> f"{float(effective_size(6.34e9, 1.27e9, 5.309743)):.3g}"
    '4.83e+09'
    """
    return effective_tokens(size, optimal_size, decay)


def optimal_size(unique: Elementwise, parameters: PaperParameters) -> Elementwise:
    """Loss-optimal size for so many tokens under ``E + A/N^alpha + B/D^beta``.

    ``(U G)^(beta/alpha) G,   G = (alpha A / (beta B))^(1/(alpha+beta))``

    Parameters
    ----------
    unique : array
        Distinct tokens U.
    parameters : dict
        A, B, alpha and beta of Chinchilla's law.

    References
    ----------
    Muennighoff et al. 2023, arXiv:2305.16264, appendix A.
    """
    p = parameters
    growth = (p["alpha"] * p["A"] / (p["beta"] * p["B"])) ** (1.0 / (p["alpha"] + p["beta"]))
    return (unique * growth) ** (p["beta"] / p["alpha"]) * growth


def decay_of_density(density: Elementwise, full: Elementwise, linear: Elementwise, square: Elementwise) -> Elementwise:
    """A decay at a density of weights: ``R* = full (1 + linear (1-S) - square (1-S)^2)``.

    Parameters
    ----------
    density : array
        S, share of the weights that are not zero; 1 is dense. It says nothing of experts: theirs are weights that a token does not use.
    full, linear, square : array
        The decay of dense weights (d0 or n0), and how it bends (c12 or c11, c22 or c21). Fitted at densities of 1/16 to 1.

    References
    ----------
    Wu et al. 2026, arXiv:2606.01155.

    Examples
    --------
    >>> f"{float(decay_of_density(0.5, 4.40474882, 1.82159486, 1.36557887)):.3f}"
    '6.913'
    """
    zero = 1.0 - density
    return full * (1.0 + linear * zero - square * zero**2)


def density_factor(density: Elementwise, exponent: Elementwise, power: Elementwise, scale: Elementwise) -> Elementwise:
    """What a density of weights S makes of the size term: ``S^eps + c (1-S)^mu``.

    Parameters
    ----------
    density : array
        Share of the weights that are not zero.
    exponent, power, scale : array
        eps, mu and c.

    References
    ----------
    Wu et al. 2026, arXiv:2606.01155.
    """
    return density**exponent + scale * (1.0 - density) ** power


@dataclass(frozen=True)
class Repeated(Law):
    """A law whose tokens may repeat.

    ``L(N (N'/N)^s, D') + o ln(D/U)^2 ln(1 + N/U),   s = ln(D'/U) / ln(1 + R_D*)``

    L is the inner law, D' of :func:`effective_tokens` and N' of :func:`effective_size`, with ``size_per_token`` times U as the size for the data.
    Every size that the inner law reads is scaled alike. s is the share of what repeats can add that they have added: 0 in one pass, where the
    law is exactly the inner one, and 1 after many. The last term is overfitting: D' and N' level off with passes, while the loss of a model that has
    about a parameter for each distinct token turns and rises.

    Coordinates: those of the inner law, at its reference run as if all tokens were fresh, then ``repeat_decay`` R_D*, ``excess_decay`` R_N*,
    ``size_per_token`` and ``overfitting`` o.

    Parameters
    ----------
    inner : Law
        A law that reads tokens; its name is this law's too.

    Notes
    -----
    In the paper N' is in force at one epoch too, so that its law of a model too large for its data is not the plain one there. With s it comes in
    with the repeats, as D' does. Neither form has a term for overfitting.

    References
    ----------
    Muennighoff et al. 2023, arXiv:2305.16264; Wu et al. 2026, arXiv:2606.01155; the exponent s and overfitting are this project's.
    """

    inner: Law = field(kw_only=True)

    def __post_init__(self) -> None:
        inner = self.inner
        kept = (
            "name",
            "published",
            "fitted_range",
            "embeddings",
            "response",
            "noise_median",
            "default_average",
            "starter_for",
        )
        said = {name: getattr(inner, name) for name in kept} | {
            "source": f"{inner.source}; repetition: arXiv:2305.16264, arXiv:2606.01155",
            "equation": f"{inner.equation}, of N (N'/N)^s and D', + o ln(D/U)^2 ln(1 + N/U)",
            "coordinates": (*inner.coordinates, *PART),
            "symbols": inner.symbols | {one.name: one.unit for one in PART},
            "other_covariates": (*inner.other_covariates, UNIQUE),
        }
        # A law says these of itself on its class, and this one says what its inner law does.
        for name, value in said.items():
            object.__setattr__(self, name, value)

    @property
    def covariates(self) -> tuple[str, ...]:
        """Columns of the inner law, and distinct tokens."""
        return (*self.inner.covariates, UNIQUE)

    def loss(self, parameters: PaperParameters, run: Run) -> Elementwise:
        """Loss of the inner law at effective size and tokens, and overfitting; a run without distinct tokens has one epoch."""
        p, tokens = parameters, run["tokens"]
        unique = jnp.minimum(run.get(UNIQUE, tokens), tokens)
        worth = effective_tokens(tokens, unique, p["repeat_decay"])
        sizes = [name for name in _SIZES if name in self.inner.covariates]
        moved, overfit = {"tokens": worth}, 0.0
        if sizes:
            size = run[self.size if self.size in sizes else sizes[0]]
            left = effective_size(size, p["size_per_token"] * unique, p["excess_decay"]) / size
            share = jnp.log(worth / unique) / jnp.log1p(p["repeat_decay"])
            moved |= {name: run[name] * jnp.exp(share * jnp.log(left)) for name in sizes}
            overfit = p["overfitting"] * jnp.log(tokens / unique) ** 2 * jnp.log1p(size / unique)
        return self.inner.loss(_without_part(p), run | moved) + overfit

    def to_paper(self, coordinates: Coordinates, reference: Reference) -> PaperParameters:
        """Parameters of the inner law's paper, and the part's coordinates as they are."""
        return {**self.inner.to_paper(_without_part(coordinates), reference), **_part_of(coordinates)}

    def from_paper(self, parameters: PaperParameters, reference: Reference) -> Coordinates:
        """The inverse of :meth:`to_paper`."""
        return {**self.inner.from_paper(_without_part(parameters), reference), **_part_of(parameters)}


def _part_of(values: dict[str, Elementwise]) -> dict[str, Elementwise]:
    return {one.name: values[one.name] for one in PART}


def _without_part(values: dict[str, Elementwise]) -> dict[str, Elementwise]:
    names = {one.name for one in PART}
    return {name: value for name, value in values.items() if name not in names}


def repeated(law: Law) -> Repeated:
    """The law with repetition.

    Raises
    ------
    InputError
        It reads no tokens.

    Examples
    --------
    >>> law = repeated(bm.laws.law_named("chinchilla"))
    >>> law.name, law.covariates
    ('chinchilla', ('n_total', 'tokens', 'unique_tokens'))
    """
    if "tokens" not in law.covariates:
        hint = "fit a law with tokens, such as yun, or leave repetition out"
        raise InputError(f"the law {law.name!r} reads no tokens, so none can repeat", column="law.repetition", hint=hint)
    return Repeated(law.size, inner=law)
