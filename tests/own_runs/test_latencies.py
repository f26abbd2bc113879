"""The table of latencies that the sweep's scenario names: what the script writes, and bytes counted by hand."""

from __future__ import annotations

import pandas as pd
import pytest

from bayesmoe.costs.hardware import AcceleratorSpec
from bayesmoe.planning.reading import read_scenario
from bayesmoe.resources import resource_folder
from bayesmoe.specs import read_toml
from sweep import latencies

MODELS = resource_folder("models")


def table() -> pd.DataFrame:
    core = read_toml(MODELS / "accelerators" / "core.toml", AcceleratorSpec)
    return latencies.latencies(core.peak_flop_per_s, core.bandwidth_bytes_per_s)


def test_the_shipped_table_is_what_the_script_writes() -> None:
    pd.testing.assert_frame_equal(pd.read_csv(MODELS / "latencies" / "core.csv"), table(), check_dtype=False)


def test_bytes_are_those_counted_by_hand() -> None:
    seconds = table().set_index(["num_experts", "n_dense", "batch"])["decode_s"]
    # A dense model reads its 1e4 weights of four bytes whatever the batch.
    assert seconds[1, 1e4, 1] == seconds[1, 1e4, 64] == pytest.approx(4e4 / 1e10)
    # A token meets two of four half-width experts, which are as many weights as a dense layer's; many tokens meet all four.
    assert seconds[4, 1e4, 1] == pytest.approx(4e4 / 1e10)
    assert seconds[4, 1e4, 64] == pytest.approx(4e4 / 1e10 * (1 / 3 + 2 / 3 * 2))
    # Two tokens meet 2 + 2 (1 - 2/4) of them.
    assert seconds[4, 1e4, 2] == pytest.approx(4e4 / 1e10 * (1 / 3 + 2 / 3 * 3 / 2))


def test_the_scenario_has_the_lengths_of_the_table() -> None:
    serving = read_scenario(MODELS / "scenarios" / "bayesmoe-sweep.toml").serving
    assert (serving.prompt_tokens, serving.output_tokens) == (latencies.PROMPT, latencies.OUTPUT)
