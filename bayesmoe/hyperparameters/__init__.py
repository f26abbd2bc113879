"""Hyperparameter and allocation laws that a plan quotes at its optimum: one file per paper, one line here."""

from __future__ import annotations

from bayesmoe.errors import InputError, nearest
from bayesmoe.hyperparameters.base import HyperparameterLaw, PowerLaw
from bayesmoe.hyperparameters.hunyuan import HUNYUAN
from bayesmoe.hyperparameters.kaplan import KAPLAN
from bayesmoe.hyperparameters.ludziejewski import LUDZIEJEWSKI
from bayesmoe.hyperparameters.step_law import STEP_LAW, STEP_LAW_BOOTSTRAP
from bayesmoe.hyperparameters.tian import TIAN, TIAN_DENSE, TIAN_MOE
from bayesmoe.hyperparameters.yun import YUN

all_hyperparameter_laws: tuple[HyperparameterLaw, ...] = (
    STEP_LAW,
    STEP_LAW_BOOTSTRAP,
    TIAN,
    TIAN_DENSE,
    TIAN_MOE,
    LUDZIEJEWSKI,
    HUNYUAN,
    KAPLAN,
    YUN,
)

__all__ = [
    "HUNYUAN",
    "KAPLAN",
    "LUDZIEJEWSKI",
    "STEP_LAW",
    "STEP_LAW_BOOTSTRAP",
    "TIAN",
    "TIAN_DENSE",
    "TIAN_MOE",
    "YUN",
    "HyperparameterLaw",
    "PowerLaw",
    "all_hyperparameter_laws",
    "hyperparameter_law_named",
]


def hyperparameter_law_named(name: str) -> HyperparameterLaw:
    """Return the hyperparameter law of that name.

    Raises
    ------
    InputError
        The name is unknown.
    """
    laws = {law.name: law for law in all_hyperparameter_laws}
    if name not in laws:
        hint = nearest(name, tuple(laws))
        raise InputError("is not a known hyperparameter law", column="hyperparameter_law", value=name, hint=hint)
    return laws[name]
