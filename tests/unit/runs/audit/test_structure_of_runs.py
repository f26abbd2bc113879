"""Words that explain the losses are proposed as the group; a table that no law can read is said to be one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bayesmoe.errors import InputError
from bayesmoe.runs.audit.inspect import Inspection, inspect_runs
from bayesmoe.runs.audit.text import inspection_text


def made(offsets: dict[str, float], *, noise: float = 0.003, **columns) -> pd.DataFrame:
    """A grid of runs for each word, whose losses lie apart by these factors in ln loss; seeds fixed."""
    rng, frames = np.random.default_rng(5), []
    for word, offset in offsets.items():
        n, d, e = (axis.ravel() for axis in np.meshgrid([2e7, 1e8, 4e8], [1e9, 8e9], [1, 8], indexing="ij"))
        loss = np.exp(2.6 - 0.06 * np.log(n * 1e-7) - 0.05 * np.log(d * 1e-9) - 0.02 * np.log(e) + offset)
        loss *= np.exp(noise * rng.normal(size=len(n)))
        frames.append(
            pd.DataFrame({"word": word, "n_total": n, "tokens": d, "num_experts": e, "top_k": 1, "val_loss": loss})
        )
    return pd.concat(frames, ignore_index=True).assign(**columns)


def checked(folder: Path, table: pd.DataFrame, **options) -> Inspection:
    """What a check finds in a table."""
    table.to_csv(folder / "runs.csv", index=False)
    return inspect_runs(folder / "runs.csv", **options)


def structure(found: Inspection) -> list[str | None]:
    """Columns that are proposed as groups."""
    return [one.column for one in found.findings if one.kind == "structure"]


@pytest.mark.parametrize("name", ["data", "corpus", "Recipe name", "lab", "domain", "optimizer", "router_kind"])
@pytest.mark.parametrize("offsets", [{"web": 0.0, "code": -0.5, "math": -0.2}, {"a": 0.0, "b": 0.08}])
@pytest.mark.few(5)
def test_words_that_explain_the_losses_are_proposed(tmp_path, name, offsets):
    found = checked(tmp_path, made(offsets).rename(columns={"word": name}))
    assert structure(found) == [name]
    said = next(one for one in found.findings if one.kind == "structure")
    assert f"--map group={name}" in said.hint
    assert all(word in said.rule for word in offsets)
    assert "losses differ by" in inspection_text(found)


@pytest.mark.parametrize("group", ["sweep-2", "default"])
def test_a_constant_group_of_a_tracker_is_none(tmp_path, group):
    found = checked(tmp_path, made({"web": 0.0, "code": -0.5}, group=group))
    assert "group" not in found.names
    assert structure(found) == ["word"]


def test_groups_that_are_known_are_not_proposed_again(tmp_path):
    table = made({"web": 0.0, "code": -0.5})
    assert structure(checked(tmp_path, table, columns={"group": "word"})) == []
    assert structure(checked(tmp_path, table.rename(columns={"word": "group"}))) == []


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.few(6)
def test_words_without_meaning_are_not_proposed(tmp_path, seed):
    # 20 tables, 3 columns each; under noise alone 80% is explained with a probability far below 1 in 1,000.
    rng = np.random.default_rng(seed)
    table = made({"a": 0.0, "b": 0.0}, noise=0.02)
    for place, count in enumerate((2, 3, 6)):
        table[f"note_{place}"] = rng.choice([f"w{each}" for each in range(count)], len(table))
    table["width"] = np.where(table["n_total"] > 3e8, "large", "small")
    assert structure(checked(tmp_path, table)) == []


# What a law would need


@pytest.mark.parametrize(
    ("columns", "likely"),
    [
        ({"model weights [mln]": [20, 20, 60], "seen tokens": [2e8, 8e8, 6e8]}, "--map n_total=model weights [mln]"),
        ({"Size of model": [2e7, 2e7, 6e7], "tokens": [2e8, 8e8, 6e8]}, "--map n_total=Size of model"),
        ({"weights_count": [2e7, 2e7, 6e7], "trained_toks": [2e8, 8e8, 6e8]}, "--map tokens=trained_toks"),
        ({"step_lr": [1, 2, 3]}, "--map n_total=YOUR_COLUMN"),
        ({"embedding_params": [1e7] * 3, "tokens": [2e8, 8e8, 6e8]}, "--map n_total=YOUR_COLUMN"),
    ],
)  # fmt: skip
def test_a_table_that_no_law_can_read_is_said_to_be_one(tmp_path, columns, likely):
    found = checked(tmp_path, pd.DataFrame({"num_experts": [1, 4, 16], "loss": [5.0, 4.2, 3.9], **columns}))
    said = next(one for one in found.findings if one.kind == "no law")
    assert (said.severity, found.wrong_rows) == ("wrong", ())
    assert likely in said.hint
    assert "nothing looks wrong" not in inspection_text(found)
    with pytest.raises(InputError, match="no law can be fitted"):
        raise said.as_error("runs.csv")


@pytest.mark.parametrize(
    ("columns", "constant"),
    [
        ({"n_total": [2e7] * 4, "d_model": [256, 512, 768, 1024]}, "n_total"),
        ({"model/num_params": [2e7] * 4, "num_experts": [1, 4, 8, 16]}, "model/num_params"),
        ({"tokens": [1e9] * 4, "step": [1000, 2000, 4000, 8000]}, "tokens"),
        ({"n_dense": [2e7] * 4, "num_experts": [1, 4, 8, 16]}, None),
        ({"n_total": [2e7] * 4, "num_experts": [4] * 4}, None),
        ({"tokens": [1e9] * 4}, None),
    ],
)  # fmt: skip
def test_one_size_over_runs_that_differ_is_a_finding(tmp_path, columns, constant):
    base = {
        "run_id": list("abcd"),
        "num_experts": [1, 1, 4, 4],
        "tokens": [1e9, 2e9, 1e9, 2e9],
        "loss": [5.0, 4.2, 3.9, 3.8],
    }
    base |= {} if any("n_" in name or "params" in name for name in columns) else {"n_dense": [1e7, 2e7, 1e7, 2e7]}
    found = checked(tmp_path, pd.DataFrame(base | columns))
    assert [one.column for one in found.findings if one.kind == "constant"] == ([constant] if constant else [])
