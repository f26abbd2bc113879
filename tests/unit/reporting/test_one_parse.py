"""A report reads each stored spec once."""

from __future__ import annotations

import pytest

from bayesmoe.inference.store import _parsed
from bayesmoe.reporting.build import report
from bayesmoe.specs import from_json


@pytest.mark.slow
def test_a_report_parses_its_spec_and_its_scenario_once(small_fit, small_plan) -> None:
    for cached in (from_json, _parsed):
        cached.cache_clear()
    report(small_fit, small_plan)
    assert from_json.cache_info().misses == 2
    report(small_fit, small_plan)
    assert from_json.cache_info().misses == 2
