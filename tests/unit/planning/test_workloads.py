"""Kinds of use: by name, from logs as engines and providers write them, and beside keys that are given."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import bayesmoe as bm
from bayesmoe.errors import InputError
from bayesmoe.planning.reading import read_scenario
from bayesmoe.planning.workloads import workload
from datasets.make_workloads import workloads

PROMPT, OUTPUT, CACHED = [1200, 300, 5300, 80], [100, 400, 40, 9], [800, 0, 4000, 0]
MEANT = {
    "prompt_tokens": np.mean(PROMPT),
    "output_tokens": np.mean(OUTPUT),
    "prompt_cv": np.std(PROMPT) / np.mean(PROMPT),
    "output_cv": np.std(OUTPUT) / np.mean(OUTPUT),
    "length_correlation": np.corrcoef(np.log(PROMPT), np.log(OUTPUT))[0, 1],
}
WITH_CACHE = {**MEANT, "cached_share": sum(CACHED) / sum(PROMPT)}

SCENARIO = """
[training]
budget_flop = 5e21

[serving]
accelerator = "H100-SXM"
"""


def lines(records):
    return "\n".join(map(json.dumps, records))


LOGS = {
    "azure.csv": (pd.DataFrame({"TIMESTAMP": "2023-11-16", "ContextTokens": PROMPT, "GeneratedTokens": OUTPUT}), MEANT),
    "mooncake.jsonl": (
        [
            {"timestamp": 0, "input_length": p, "output_length": n, "hash_ids": [1, 2]}
            for p, n in zip(PROMPT, OUTPUT, strict=True)
        ],
        MEANT,
    ),
    "openai.jsonl": (
        [
            {"id": "a", "usage": {"prompt_tokens": p, "completion_tokens": n, "prompt_tokens_details": {"cached_tokens": c}}}
            for p, n, c in zip(PROMPT, OUTPUT, CACHED, strict=True)
        ],
        WITH_CACHE,
    ),
    "own.csv": (pd.DataFrame({"prompt_tokens": PROMPT, "output_tokens": OUTPUT, "cached_tokens": CACHED}), WITH_CACHE),
    "flat.jsonl": (
        [{"usage.input_tokens": p, "usage.output_tokens": n} for p, n in zip(PROMPT, OUTPUT, strict=True)],
        MEANT,
    ),
    "failed.csv": (
        pd.DataFrame({"Prompt Tokens": [*PROMPT, 0, None], "Completion Tokens": [*OUTPUT, 0, 3.0]}),
        MEANT,
    ),
}


def written(path, content):
    path.write_text(content.to_csv(index=False) if isinstance(content, pd.DataFrame) else lines(content))
    return path


@pytest.mark.parametrize("name", LOGS)
def test_a_log_is_read_as_its_lengths(name, tmp_path):
    content, meant = LOGS[name]
    found = workload(written(tmp_path / name, content))
    assert found.keys() == meant.keys()
    for key, value in meant.items():
        assert found[key] == pytest.approx(value, rel=1e-12), key


def test_lengths_that_do_not_vary_have_no_correlation(tmp_path):
    found = workload(written(tmp_path / "same.csv", pd.DataFrame({"input_tokens": [5, 5], "output_tokens": [1, 2]})))
    assert found["length_correlation"] == 0.0
    assert found["prompt_cv"] == 0.0


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (pd.DataFrame({"prompt": ["hello"], "output_tokens": [3]}), "no column of prompt tokens"),
        (pd.DataFrame({"prompt_tokens": [3, 4]}), "no column of output tokens"),
        (pd.DataFrame({"prompt_tokens": [3, 0], "output_tokens": [3, 3]}), "no two requests"),
    ],
)
def test_what_is_no_log_is_refused(frame, said, tmp_path):
    path = written(tmp_path / "log.csv", frame)
    with pytest.raises(InputError, match=said) as refused:
        workload(path)
    assert str(path) in str(refused.value)


@pytest.mark.parametrize("name", ["chatt", "missing.csv", "log.xlsx"])
def test_no_such_kind_and_no_such_file_are_one_sentence(name):
    with pytest.raises(InputError):
        workload(name)


def test_a_scenario_names_its_workload(tmp_path):
    notes = []
    path = tmp_path / "s.toml"
    path.write_text(SCENARIO + 'workload = "long-chat"\noutput_tokens = 500\n')
    found = read_scenario(path, on_note=notes.append).serving
    assert found.prompt_tokens == workload("long_chat")["prompt_tokens"]
    assert found.output_tokens == 500
    assert found.cached_share == workload("long_chat")["cached_share"]
    assert any("37% of the prompts cached" in note and "output_tokens as given" in note for note in notes)


def test_a_log_lies_beside_its_scenario_and_a_flag_overrides_it(tmp_path):
    path = tmp_path / "s.toml"
    path.write_text(SCENARIO + 'workload = "own.csv"\n')
    written(tmp_path / "own.csv", LOGS["own.csv"][0])
    assert read_scenario(path).serving.prompt_tokens == pytest.approx(np.mean(PROMPT))
    other = written(tmp_path / "other.csv", pd.DataFrame({"isl": [10, 20], "osl": [1, 2]}))
    assert read_scenario(path, trace=other).serving.prompt_tokens == 15.0


def test_a_workload_is_keys_of_serving():
    assert bm.Serving(**workload("agent")).cached_share == workload("agent")["cached_share"]
    assert bm.Serving(**workload("batch")).utilization == 0.95


def test_what_is_shipped_is_what_the_table_says(shared_data):
    table = pd.read_csv(shared_data / "workloads" / "workloads.csv")
    for name, said in workloads(table).items():
        said.pop("source")
        assert workload(name) == said


def test_a_key_that_can_mean_one_other_is_read_as_it(tmp_path):
    notes, path = [], tmp_path / "s.toml"
    path.write_text(SCENARIO + "\n[choices]\nnum_experts = [1, 4, 8]\nbase_num_experts = 8\n")
    assert read_scenario(path, on_note=notes.append).choices.baseline_num_experts == 8
    assert any("choices.base_num_experts is read as baseline_num_experts" in note for note in notes)
    path.write_text(path.read_text() + "baseline_num_experts = 4\n")
    with pytest.raises(InputError, match="says the same as another key"):
        read_scenario(path)
