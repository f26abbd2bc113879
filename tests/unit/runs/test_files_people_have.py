"""Files as people have them: comments, other encodings and separators, long and unreadable cells, charts, names that stand twice."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bayesmoe.errors import InputError
from bayesmoe.runs.audit.inspect import Inspection, inspect_runs
from bayesmoe.runs.audit.text import inspection_text

HEAD = "num_experts,top_k,n_dense,tokens,loss"
ROWS = ["1,1,20000000,200000000,5.0098", "4,2,20000000,800000000,4.2213", "16,2,60000000,600000000,3.9058"]
PLAIN = "\n".join([HEAD, *ROWS, ""])
LOSSES = [5.0098, 4.2213, 3.9058]


def checked(folder: Path, content: str | bytes, name: str = "runs.csv") -> Inspection:
    """What a check finds in a file of these bytes."""
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return inspect_runs(folder / name)


def right(found: Inspection) -> None:
    """The three runs of :data:`PLAIN`, whatever stood around them."""
    assert not found.findings
    assert found.table["loss"].tolist() == LOSSES
    assert found.table["tokens"].tolist() == [2e8, 8e8, 6e8]
    assert found.table["num_experts"].tolist() == [1, 4, 16]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (f"# exported on Monday\n{PLAIN}", [3, 4, 5]),
        (f"# exported on Monday, 3 pm, by me\n#\n\n{PLAIN}", [5, 6, 7]),
        ("# " + PLAIN, [2, 3, 4]),
        (f"# who: me\n#{PLAIN}", [3, 4, 5]),
        ("\n".join([HEAD, ROWS[0], "# the second sweep", *ROWS[1:]]), [2, 4, 5]),
        ("\n".join([HEAD, ROWS[0], "# 8,2,20000000,800000000,9.5", *ROWS[1:]]), [2, 4, 5]),
        (f"sep=,\n{PLAIN}", [3, 4, 5]),
        (f'# a "quoted comment\n{PLAIN}', [3, 4, 5]),
    ],
)
def test_comments_are_left_out_and_lines_counted_with_them(tmp_path, text, lines):
    found = checked(tmp_path, text)
    right(found)
    assert list(found.table.index) == lines
    assert any("comment line" in note for note in found.notes) == (text != "# " + PLAIN)


def test_a_name_that_begins_with_a_number_sign_is_no_comment(tmp_path):
    names = ["name," + HEAD, *(f"#{place} {'moe' if place else 'dense'},{row}" for place, row in enumerate(ROWS))]
    right(checked(tmp_path, "\n".join(names)))
    mixed = ["name," + HEAD, f"base,{ROWS[0]}", f"#12,{ROWS[1]}", f"#13,{ROWS[2]}"]
    right(checked(tmp_path, "\n".join(mixed)))


@pytest.mark.parametrize(
    "above", ["Runs of March", "Runs of March, all labs", "sweep;3", '"title"\n\n', "exported from the wiki,,"]
)
def test_a_title_above_the_header_is_named(tmp_path, above):
    with pytest.raises(InputError, match=r"row 1: is no header: row \d has more names; take out what stands above"):
        checked(tmp_path, f"{above}\n{PLAIN}")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "cp1252"])
def test_the_encodings_of_spreadsheets_are_read(tmp_path, encoding):
    text = "\n".join([HEAD + ",Größe", *(row + ",klein" for row in ROWS)])
    content = text.encode(encoding) if encoding != "utf-16-be" else b"\xfe\xff" + text.encode(encoding)
    found = checked(tmp_path, content)
    right(found)
    assert "Größe" in found.present
    assert bool(found.notes) == (not encoding.startswith("utf-8"))
    right(checked(tmp_path, gzip.compress(content, mtime=0), "runs.csv.gz"))


@pytest.mark.parametrize(("mark", "said"), [(";", "separated by ;"), ("\t", "separated by tabs"), ("|", "separated by |")])
def test_other_marks_between_values_are_read_and_said(tmp_path, mark, said):
    found = checked(tmp_path, PLAIN.replace(",", mark))
    right(found)
    assert any(said in note for note in found.notes)


@pytest.mark.parametrize(
    ("tokens", "loss"),
    [
        (["200000000", "800000000", "600000000"], ["5,0098", "4,2213", "3,9058"]),
        (["200.000.000", "800.000.000", "600.000.000"], ["5,0098", "4,2213", "3,9058"]),
        (["2,0e8", "8,0e8", "6,0e8"], ["5,0098", "4,2213", "3,9058"]),
        (["200000000,0", "800000000,0", "600000000,0"], ["5.0098", "4.2213", "3.9058"]),
        (["200.000.000,0", "800.000.000,0", "600.000.000,0"], ['"5,0098"', '"4,2213"', '"3,9058"']),
    ],
)
def test_numbers_with_a_decimal_comma_are_read_and_said(tmp_path, tokens, loss):
    lines = ["num_experts;top_k;n_dense;tokens;loss;lr;n_gpu"]
    lines += [
        f"{row.split(',')[0]};{row.split(',')[1]};{row.split(',')[2]};{t};{each};0.001;1.024"
        for row, t, each in zip(ROWS, tokens, loss, strict=True)
    ]
    found = checked(tmp_path, "\n".join(lines))
    right(found)
    assert any("decimal comma" in note for note in found.notes)
    assert found.table["learning_rate"].tolist() == [0.001] * 3


@pytest.mark.parametrize("kind", ["json", "python", "list", "text", "pandas"])
def test_a_cell_longer_than_the_limit_of_the_csv_module_is_read(tmp_path, kind):
    values = list(range(60_000))
    rows = []
    for row in ROWS:
        experts, top_k, n_dense, tokens, loss = map(float, row.split(","))
        config = {"num_experts": int(experts), "top_k": int(top_k), "n_dense": n_dense, "tokens": tokens}
        summary = {"val/loss": loss, "gradients": {"_type": "histogram", "values": values}}
        rows.append({"config": config, "summary": summary})
    if kind in ("json", "python"):
        how = json.dumps if kind == "json" else str
        frame = pd.DataFrame([{name: how(cell) for name, cell in row.items()} for row in rows])
    else:
        cell = {"list": str(values), "text": "x" * 400_000, "pandas": '"' * 200_000}[kind]
        frame = pd.DataFrame([row["config"] | {"loss": row["summary"]["val/loss"], "log": cell} for row in rows])
    frame.to_csv(tmp_path / "runs.csv", index=False)
    right(inspect_runs(tmp_path / "runs.csv"))


def dumped(*odd: str) -> str:
    """A dump of the API of W&B whose second config holds something else."""
    lines = ["name,config,summary"]
    for place, row in enumerate(ROWS):
        experts, top_k, n_dense, tokens, loss = row.split(",")
        more = f", {', '.join(odd)}" if odd and place == 1 else ""
        config = f"{{'num_experts': {experts}, 'top_k': {top_k}, 'n_dense': {n_dense}, 'tokens': {tokens}{more}}}"
        lines.append(f"run-{place},\"{config}\",{{'val/loss': {loss}}}")
    return "\n".join(lines)


@pytest.mark.parametrize(
    "odd",
    [
        "bf16",
        "torch.bfloat16",
        "<Precision.bf16: 1>",
        "PosixPath('/data')",
        "array([1, 2])",
        "datetime.date(2025, 1, 1)",
        "Namespace(a=1)",
    ],
)
def test_a_value_of_a_config_that_is_none_is_named_and_the_rest_is_read(tmp_path, odd):
    found = checked(tmp_path, dumped(f"'dtype': {odd}"))
    right(found)
    assert f"config of row 3 holds {odd}, which cannot be read as a value" in found.notes[1]


def test_numbers_of_numpy_and_torch_are_numbers(tmp_path):
    found = checked(tmp_path, dumped().replace("4.2213", "np.float64(4.2213)").replace("3.9058", "tensor(3.9058)"))
    right(found)


@pytest.mark.parametrize("cut", ["'dtype': {", "'dtype': 'bf16", "'a' 3", "..."])
def test_a_config_that_cannot_be_read_is_named_with_what_stops_it(tmp_path, cut):
    found = checked(tmp_path, dumped(cut))
    assert [(one.kind, one.severity, one.rows, one.column) for one in found.findings] == [
        ("unreadable", "wrong", (3,), "config")
    ]
    assert str(found.findings[0].value) in dumped(cut)
    assert found.table["loss"].tolist() == [LOSSES[0], LOSSES[2]]
    assert "config: cannot be read" in inspection_text(found)


CHARTS = [
    "Step,dense - val/loss,dense - val/loss__MIN,dense - val/loss__MAX,moe - val/loss,moe - val/loss__MIN,moe - val/loss__MAX",
    "Step,a - b - val/loss,a - b - val/loss__MIN,a - b - val/loss__MAX",
    "Relative Time (Process),moe-8 - train/loss,moe-16 - train/loss",
    "_step,moe-8 - _step,moe-8 - _step__MIN,moe-8 - _step__MAX,moe-8 - loss,moe-8 - loss__MIN,moe-8 - loss__MAX",
    "Step,Group: hash - loss,Group: hash - loss__MIN,Group: hash - loss__MAX",
    "Wall Time,x - eval/loss",
]


@pytest.mark.parametrize("head", CHARTS)
@pytest.mark.parametrize("kind", ["csv", "parquet", "json"])
def test_a_chart_is_no_table_of_runs(tmp_path, head, kind):
    names = head.split(",")
    frame = pd.DataFrame(
        [[100 * (step + 1), *[4.0 - step / 10] * (len(names) - 1)] for step in range(4)], columns=pd.Index(names)
    )
    {
        "csv": lambda p: frame.to_csv(p, index=False),
        "parquet": frame.to_parquet,
        "json": lambda p: frame.to_json(p, orient="records"),
    }[kind](tmp_path / f"chart.{kind}")
    with pytest.raises(InputError, match=r"is a chart of \d run.*one row a step \(4\).*export the runs table instead"):
        inspect_runs(tmp_path / f"chart.{kind}")


def test_a_column_with_a_dash_makes_no_chart(tmp_path):
    found = checked(tmp_path, PLAIN.replace("top_k", "router - top_k"))
    assert found.table["loss"].tolist() == LOSSES


def test_a_name_that_stands_twice_matters_only_where_it_is_needed(tmp_path):
    more = "\n".join([HEAD + ",acc,acc", *(f"{row},{place},{place + 1}" for place, row in enumerate(ROWS))])
    right(checked(tmp_path, more))
    same = "\n".join([HEAD + ",loss", *(f"{row},{loss}" for row, loss in zip(ROWS, LOSSES, strict=True))])
    right(checked(tmp_path, same))
    other = "\n".join([HEAD + ",loss", *(f"{row},{2 * loss}" for row, loss in zip(ROWS, LOSSES, strict=True))])
    with pytest.raises(InputError, match="loss: stands more than once in the header"):
        checked(tmp_path, other)


@pytest.mark.parametrize("word", ["", "x"])
@pytest.mark.parametrize("width", [120, 400])
@pytest.mark.few(1)
def test_a_wide_table_brings_no_warning(tmp_path, width, word):
    frame = pd.DataFrame({name: [row.split(",")[place] for row in ROWS] for place, name in enumerate(HEAD.split(","))})
    more = pd.DataFrame(
        np.arange(3 * width).reshape(3, width), columns=pd.Index([f"eval/task_{place}" for place in range(width)])
    )
    # Columns of words are kept apart by pandas, so that there are as many blocks as columns.
    pd.concat([frame, more.astype(str) + word], axis=1).to_csv(tmp_path / "runs.csv", index=False)
    found = inspect_runs(tmp_path / "runs.csv")
    right(found)
    # Findings and the names that were left alone take a few lines, however wide the table is.
    assert inspection_text(found)
