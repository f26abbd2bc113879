"""Which suite asks a question: ``slow`` tests run in CI, those that are a ``sweep`` as well only with ``make sweeps``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

SWEEP = (pytest.mark.slow, pytest.mark.sweep)


def swept(values: Iterable[Any], *, keep: Callable[[Any], bool], name: Callable[[Any], str] = str) -> list[Any]:
    """Parameters of which CI asks those to keep, and ``make sweeps`` the others."""
    return [pytest.param(value, id=name(value), marks=() if keep(value) else SWEEP) for value in values]
