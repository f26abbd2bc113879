"""OLMoE-3 ladder: the rules on small files, and equality with the shared tidy tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest

from bayesmoe.errors import InputError
from bayesmoe.runs.sources import olmoe3

Raw = dict[str, Path]

# 20 tokens for each of 100e6 active parameters and 50e6 of the LM head.
TOKENS_B = {1: 3.0, 2: 6.0}
BATCH = "Baseline Ladder"
COARSE, LATE = "coarse 24E/top2", "integration wide 256E/top8"


def line(wandb: str, lr: str, loss: float, *, cx: int = 1, label: str = olmoe3.BASELINE) -> str:
    """Return one line of a table of runs; ``label`` is the batch under the baseline heading."""
    link = f"[{wandb}](https://wandb.ai/some-team/runs/{wandb})"
    return f"| 275M | Cx{cx} | {label} | {lr} | {TOKENS_B[cx]} | {loss} | {link} |"


def notes_file(tables: dict[str, Sequence[str]]) -> str:
    """Return Markdown with every heading of the real file: a summary, then a table of runs."""
    text = ["# Plotted Results", ""]
    for heading in olmoe3.HEADINGS:
        label = "batch" if heading == BATCH else "variant"
        text += [f"## {heading}", "", "| model | Cx | best observed LR |", "| --- | --- | --- |"]
        text += ["| 275M | Cx1 | 9e-9 |", "", f"| model | Cx | {label} | LR | tokensB | avg250M | W&B |"]
        text += ["| --- | --- | --- | --- | --- | --- | --- |", *tables.get(heading, []), ""]
    return "\n".join(text)


@pytest.fixture
def raw(tmp_path) -> Raw:
    """Return small upstream files: a sweep under two headings, a second variant, one late row."""
    sweep = {"aaa": ("5e-4", 2.7), "bbb": ("1.2e-3", 2.5), "ccc": ("3e-3", 2.6)}
    tables = {
        BATCH: [line(i, lr, loss, label="256k") for i, (lr, loss) in sweep.items()],
        "Expert Granularity": [
            *(line(i, lr, loss) for i, (lr, loss) in sweep.items()),
            line("ddd", "9e-4", 2.4, cx=2, label=f"{COARSE} (b384k)"),
            line("eee", "1e-3", 2.3, cx=2, label=f"{COARSE} (b512k)"),
        ],
        "Dense Schedule": [line("bbb", "1.2e-3", 2.5, label="baseline dense1 + shared")],
    }
    shape = {
        "size_label": "275M", "group": "g", "d_model": 90, "num_layers": 3, "num_moe_layers": 2,
        "num_experts": 48, "top_k": 4, "d_expert": 135, "d_shared": 0, "n_active_nonembedding": 100_000_000,
        "n_total_nonembedding": 900_000_000, "n_embedding": 40_000_000, "n_lm_head": 50_000_000,
    }  # fmt: skip
    late = {"size_label": "275M", "cx": 1, "variant": LATE, "lr": 8e-4, "loss": 2.2}
    paths = {"results": "notes.md", "shapes": "shapes.csv", "late_rows": "late.csv"}
    raw = {name: tmp_path / path for name, path in paths.items()}
    raw["results"].write_text(notes_file(tables))
    shapes = [shape | {"variant": variant} for variant in (olmoe3.BASELINE, COARSE, LATE)]
    shapes[1]["d_shared"] = 45
    pd.DataFrame(shapes).to_csv(raw["shapes"], index=False)
    pd.DataFrame([late | {"tokens_computed": 3_000_000_000}]).to_csv(raw["late_rows"], index=False)
    return raw


def edit(path: Path, old: str, new: str) -> None:
    """Replace every ``old`` in a file, which must hold it."""
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_a_run_under_several_headings_counts_once_and_keeps_its_batch(raw):
    runs = olmoe3.full(raw).set_index("run_id")
    assert runs.index.tolist() == ["olmoe3-aaa", "olmoe3-bbb", "olmoe3-ccc", "olmoe3-ddd", "olmoe3-eee"]
    assert runs["batch"].tolist() == ["256k", "256k", "256k", "384k", "512k"]
    assert runs.loc["olmoe3-bbb", "variant"] == olmoe3.BASELINE


def test_learning_rates_and_tokens_are_numbers(raw):
    runs = olmoe3.full(raw)
    assert runs["lr"].tolist() == [5e-4, 1.2e-3, 3e-3, 9e-4, 1e-3]
    assert runs["notes"].tolist()[:2] == ["W&B run aaa; lr=0.0005", "W&B run bbb; lr=0.0012"]
    assert runs["tokens"].tolist() == [3_000_000_000] * 3 + [6_000_000_000] * 2


def test_sizes_with_and_without_embeddings_and_head(raw):
    run = olmoe3.full(raw).iloc[0]
    sizes = ["n_active", "n_active_with_lm_head", "n_active_all", "n_total", "n_total_all"]
    assert run[sizes].tolist() == [100_000_000, 150_000_000, 190_000_000, 900_000_000, 990_000_000]
    assert run["train_flop"] == pytest.approx(6 * 15e7 * 3e9, rel=1e-12)
    assert run["granularity"] == 2.6667


def test_a_shared_expert_is_counted_where_it_has_a_width(raw):
    assert olmoe3.full(raw)["shared_experts"].tolist() == [0, 0, 0, 1, 1]


def test_tuned_keeps_the_best_learning_rate_of_each_cell(raw):
    cells = olmoe3.tuned(raw).set_index("run_id")
    assert cells.index.tolist() == [
        "olmoe3t-275M-Cx1-baseline-48E-top4",
        "olmoe3t-275M-Cx2-coarse-24E-top2",
        "olmoe3t-275M-Cx1-integration-wide-256E-top8",
    ]
    assert cells["loss"].tolist() == [2.5, 2.4, 2.2], "the better run at Cx2 and batch 512k is left out"
    assert cells["num_lr"].tolist() == [3, 1, 1]
    assert cells["bracketed"].tolist() == [1, 0, 0]
    assert cells["late"].tolist() == [0, 0, 1]
    origin = "from optimal_losses.md 2026-07-12, tokens computed"
    assert cells["notes"].tolist() == [
        "W&B run bbb; best observed of 3 LRs; lr=0.0012",
        "W&B run ddd; best observed of 1 LRs; lr=0.0009; LR not bracketed",
        f"{origin}; best observed of 1 LRs; lr=0.0008; LR not bracketed",
    ]


def test_a_best_learning_rate_on_the_edge_is_not_bracketed(raw):
    edit(raw["results"], "| 3e-3 | 3.0 | 2.6 |", "| 3e-3 | 3.0 | 2.4 |")
    best = olmoe3.tuned(raw).iloc[0]
    assert (best["lr"], best["bracketed"]) == (3e-3, 0)


@pytest.mark.parametrize(
    ("name", "old", "new", "told"),
    [
        ("results", "## Qwen3-Like", "## Other", "Qwen3-Like"),
        ("results", "| LR |", "| rate |", "LR"),
        ("results", "| W&B |", "| id |", "W&B"),
        ("results", "| 5e-4 |", "| n/a |", "n/a"),
        ("results", "| Cx2 |", "| Cx |", "Cx"),
        ("results", "| 9e-4 | 6.0 |", "| 9e-4 |", "7 cells"),
        ("shapes", "n_lm_head", "head", "n_lm_head"),
        ("shapes", COARSE, "finer", "olmoe3-ddd"),
    ],
)
def test_what_is_missing_or_unreadable_is_named(raw, name, old, new, told):
    edit(raw[name], old, new)
    with pytest.raises(InputError, match=told):
        olmoe3.full(raw)


def test_a_late_file_without_a_column_is_refused(raw):
    edit(raw["late_rows"], "tokens_computed", "tokens")
    with pytest.raises(InputError, match="tokens_computed"):
        olmoe3.tuned(raw)


def test_a_run_told_differently_under_two_headings_is_refused(raw):
    ladder = line("aaa", "5e-4", 2.7, label="256k")
    edit(raw["results"], ladder, ladder.replace("2.7", "2.8"))
    with pytest.raises(InputError, match=r"loss: .* run aaa"):
        olmoe3.full(raw)


@pytest.mark.parametrize(("logged", "refused"), [("3.002", False), ("3.004", True)])
def test_logged_tokens_must_be_twenty_a_parameter_and_cx(raw, logged, refused):
    edit(raw["results"], "| 3.0 |", f"| {logged} |")
    if refused:
        with pytest.raises(InputError, match=r"20 \* Cx .* olmoe3-aaa"):
            olmoe3.full(raw)
    else:
        assert olmoe3.full(raw)["tokens"].iloc[0] == 3_002_000_000


def real(folder: Path) -> Raw:
    """Return the paths of the real upstream files."""
    names = {"results": "PLOTTED_RESULTS.md", "shapes": "shapes.csv", "late_rows": "late_rows.csv"}
    return {key: folder / "raw" / f"olmoe3_{name}" for key, name in names.items()}


@pytest.mark.parametrize("table", ["full", "tuned"])
def test_the_real_files_give_the_shared_tables_row_for_row(shared_data, table):
    got = getattr(olmoe3, table)(real(shared_data))
    want = pd.read_csv(shared_data / "runs" / f"olmoe3_{table}.csv")
    pd.testing.assert_frame_equal(got, want, rtol=1e-9, atol=0)


@pytest.mark.parametrize("table", ["full", "tuned"])
@pytest.mark.parametrize(
    ("old", "new"),
    [("| 2.7767 |", "| 2.7768 |"), ("| 2e-3 | 4.028 |", "| 2.1e-3 | 4.028 |")],
    ids=["one loss", "one learning rate"],
)
def test_changed_files_do_not_give_the_shared_tables(shared_data, tmp_path, table, old, new):
    paths = real(shared_data)
    text = paths["results"].read_text(encoding="utf-8")
    changed = tmp_path / "notes.md"
    changed.write_text(text, encoding="utf-8")
    edit(changed, old, new)
    got = getattr(olmoe3, table)(paths | {"results": changed})
    want = pd.read_csv(shared_data / "runs" / f"olmoe3_{table}.csv")
    with pytest.raises(AssertionError):
        pd.testing.assert_frame_equal(got, want, rtol=1e-9, atol=0)
