"""Kang et al. 2025, FLAME-MoE: Chinchilla's form in active parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from bayesmoe.laws.base import Published, Size
from bayesmoe.laws.forms.chinchilla import Chinchilla

_STALLED = "stalled optimizer: the amplitudes are the grid's starting values e^5, e^15 and e^20 to six digits; no prior"


@dataclass(frozen=True)
class Flame(Chinchilla):
    """Additive law in the parameters that a token uses.

    ``L = E + A/N_a^alpha + B/D^beta``

    N_a active parameters, D tokens, E the irreducible loss; L nats per token. Every run behind it has 64 routed experts,
    6 of them and 2 shared ones active, so the expert count is not a variable. Coordinates as in
    :class:`~bayesmoe.laws.forms.chinchilla.Chinchilla`.

    Notes
    -----
    Neither printed set is credible: the optimizer left the amplitudes at their starting values, and the two objectives
    give ``N* ~ C^0.72`` and ``C^0.81``. They show what fitting amplitudes on the raw scale does.

    References
    ----------
    arXiv:2505.20225; cmu-flame/FLAME-MoE, analysis/find_scaling_law.ipynb.
    """

    size: Size = "n_active"

    name: ClassVar[str] = "flame"
    default_average: ClassVar[Literal["no", "where tokens vary", "yes"]] = "no"
    source: ClassVar[str] = "Kang et al. 2025, arXiv:2505.20225"
    equation: ClassVar[str] = "L = E + A/N_a^alpha + B/D^beta"
    embeddings: ClassVar[Literal["in", "out", "not stated"]] = "not stated"
    fitted_range: ClassVar[dict[str, tuple[float, float]]] = {"train_flop": (1e18, 1e20), "num_experts": (64, 64)}
    published: ClassVar[tuple[Published, ...]] = (
        Published(
            "huber",
            {"E": 2.241716, "A": 148.413257, "B": 3269017.372472, "alpha": 0.279702, "beta": 0.7155},
            "arXiv:2505.20225, notebook, Huber loss",
            "primary",
            _STALLED,
        ),
        Published(
            "mse",
            {"E": 2.133594, "A": 65.254366, "B": 485165195.40979, "alpha": 0.226854, "beta": 0.949495},
            "arXiv:2505.20225, notebook, squared error",
            "primary",
            _STALLED,
        ),
    )
