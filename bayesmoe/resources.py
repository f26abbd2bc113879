"""Where the data sets and model specs that come with the package lie, in a checkout and in an installed wheel."""

from __future__ import annotations

from pathlib import Path
from typing import Literal


def resource_folder(name: Literal["datasets", "models"]) -> Path:
    """Return the top-level folder of that name: beside the package in a checkout, inside it in a wheel."""
    package = Path(__file__).parent
    inside = package / f"_{name}"
    return inside if inside.is_dir() else package.parent / name
