"""Where the data sets and model specs that come with the package lie, in a checkout and in an installed wheel."""

from __future__ import annotations

from pathlib import Path
from typing import Literal


def resource_folder(name: Literal["datasets", "models"]) -> Path:
    """Return the top-level folder of that name: beside the package in a checkout, inside it in a wheel."""
    package = Path(__file__).parent
    inside = package / f"_{name}"
    return inside if inside.is_dir() else package.parent / name


def or_packaged(path: str | Path, kind: Literal["specs", "scenarios"]) -> Path:
    """The path itself; where nothing lies there, the model spec or scenario of that name that comes with the package.

    Its name may leave out ``.toml``: "yun-2024".
    """
    path, models = Path(path), resource_folder("models")
    ours = (models if kind == "specs" else models / "scenarios") / f"{path.name.removesuffix('.toml')}.toml"
    return ours if path.name == str(path) and not path.exists() and ours.is_file() else path
