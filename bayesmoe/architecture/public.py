"""Public models by name, and shapes from the user's own files."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import NamedTuple

from bayesmoe.architecture.shape import Shape
from bayesmoe.errors import InputError, nearest
from bayesmoe.specs import from_mapping, read_toml


class PublicModel(NamedTuple):
    """A public model: its shape, and the parameter counts that its makers publish; some leave the embedding out of the active ones."""

    shape: Shape
    n_total_published: float
    n_active_published: float


@cache
def public_models() -> dict[str, PublicModel]:
    """All public models, by name."""
    raw = tomllib.loads(Path(__file__).with_name("public.toml").read_text(encoding="utf-8"))
    return {
        name: PublicModel(from_mapping(model["shape"], Shape), model["n_total_published"], model["n_active_published"])
        for name, model in raw.items()
    }


def public_shape(name: str) -> Shape:
    """The shape of a public model, or :class:`InputError` with the nearest name."""
    models = public_models()
    if name not in models:
        raise InputError("is not a known model", column="architecture", value=name, hint=nearest(name, list(models)))
    return models[name].shape


_OTHERS = {
    "training": ("is a scenario, not an architecture", "give it after the architecture; see models/architectures/"),
    "data": ("is a model spec, not an architecture", "see models/architectures/"),
}


def read_shape(source: str | Path, *, folder: Path = Path()) -> Shape:
    """A shape from a TOML file (relative to ``folder``), or of a public model by name.

    Raises
    ------
    InputError
        There is no such model, the file is missing, or a key or value in it breaks a rule.
    """
    if str(source).endswith(".toml"):
        return read_toml(folder / source, Shape, others=_OTHERS)
    return public_shape(str(source))
