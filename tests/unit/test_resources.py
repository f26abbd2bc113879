"""Data sets and model specs are found in a checkout and in an installed wheel."""

from __future__ import annotations

from pathlib import Path

import pytest

from bayesmoe import resources


@pytest.mark.parametrize(
    ("folder", "holds"),
    [("datasets", "registry.toml"), ("models", "simulated-yun-grid.toml"), ("models", "scenarios/yun-2024.toml")],
)
def test_what_the_package_needs_is_there(folder, holds):
    assert (resources.resource_folder(folder) / holds).is_file()


@pytest.fixture
def package(tmp_path, monkeypatch) -> Path:
    """An installed package in an empty folder."""
    package = tmp_path / "bayesmoe"
    package.mkdir()
    monkeypatch.setattr(resources, "__file__", str(package / "resources.py"))
    return package


def test_a_checkout_has_them_beside_the_package(package):
    assert resources.resource_folder("datasets") == package.parent / "datasets"


def test_a_wheel_has_them_inside_which_wins(package):
    (package / "_models").mkdir()
    (package.parent / "models").mkdir()
    assert resources.resource_folder("models") == package / "_models"
    assert resources.resource_folder("datasets") == package.parent / "datasets"
