"""Strategies for tables: valid ones broken in the ways people and programs break them, in every format that is read."""

from __future__ import annotations

import csv
import gzip
import io
import json
from typing import Any, NamedTuple

import pandas as pd
from hypothesis import strategies as st

RUNS = """run_id,group,loss,tokens,num_experts,top_k,n_dense,n_total,seed
a,hash,2.9,1e9,1,1,1e8,1e8,0
b,hash,2.7,2e9,4,2,1e8,3e8,0
c,hash,2.5,4e9,8,2,2e8,9e8,1
d,base,2.85,1e9,1,1,1e8,1e8,0
e,base,2.6,2e9,8,2,2e8,9e8,0
f,base,2.4,8e9,16,2,4e8,3e9,1
"""
SHAPES = """loss,tokens,num_experts,top_k,d_model,num_layers,d_ff,num_moe_layers,d_expert,vocab
2.9,1e9,1,1,512,8,2048,0,2048,50304
2.7,2e9,8,2,512,8,2048,4,2048,50304
2.5,4e9,16,2,768,12,3072,6,3072,50304
2.4,8e9,32,4,1024,16,4096,8,1024,50304
"""
TRACKED = """Name,State,Notes,Tags,val_loss,train_loss,tokens_seen,config.num_experts,config.top_k,config.n_dense,config.lr,_step
run-1,finished,,,2.9,2.95,1e9,1,1,1e8,0.001,1000
run-2,finished,,,2.7,2.75,2e9,8,2,1e8,0.001,2000
run-3,crashed,,,2.8,2.85,1e9,8,2,1e8,0.002,900
run-4,finished,,,2.5,2.55,4e9,16,2,2e8,0.001,4000
"""
LATENCIES = """num_experts,n_gpus,n_dense,batch,prefill_s,decode_s
4,1,1e8,1,0.1,0.01
4,1,1e8,64,0.4,0.02
4,1,1e9,1,0.2,0.03
4,1,1e9,64,0.8,0.05
"""
POINTS = """architecture,hardware,engine,weight_precision,n_gpus,isl_tokens,osl_tokens,concurrency_requests,tpot_ms,ttft_ms
mixtral-8x7b,H100-SXM,vLLM,bf16,2,1000,500,1,9.5,80
mixtral-8x7b,H100-SXM,vLLM,bf16,2,1000,500,16,14.5,190
llama-3.1-8b,H100-SXM,vLLM,fp8,1,1000,500,64,21,400
"""
MODELS = """run_id,tokens,num_experts,top_k,n_dense
big,1e12,16,2,1e9
bigger,2e12,32,2,4e9
"""

WORDS = (
    "loss", "val_loss", "tokens", "num_experts", "top_k", "run_id", "name", "n_dense", "n_active", "n_total", "state", "step", "timestamp",
    "config", "summary", "lr", "seed", "group", "d_model", "d_expert", "Unnamed: 0", "index", "row", "_row", "key", "path", "run_name",
    "granularity", "perplexity", "bits_per_byte", "leverage", "train_flop", "quality_flags", "__index_level_0__", "params.loss", "metrics.loss",
)  # fmt: skip
CELLS = (
    "", " ", "nan", "NaN", "NULL", "None", "n/a", "-", "inf", "-inf", "0", "-0", "-1", "0.5", "1e9", "1e400", "-1e400", "1e-400", "9" * 400, "1,000", "1 000",
    "1_000", "2,5", "2.5B", "1.3e9 tokens", "50%", "True", "[1, 2]", "{}", "{'a': 1}", '{"a": {"value": 1}}', "#REF!", "=1+1", "'", '"', "１２", "ä☃",
    "\u202e", "\x1b[31mred", "<b>x</b>", "[red]x", "a\nb", "a\x00b", "\x7f", "2026-01-01", "1/2", "0x10", "1e", "--", "Infinity", "1" * 30,
)  # fmt: skip
SUFFIXES = (".csv", ".CSV", ".csv.gz", ".parquet", ".pq", ".json", ".jsonl", ".txt", ".xlsx", "")

words = st.one_of(
    st.sampled_from(WORDS), st.text(st.characters(exclude_categories=["Cs"]), max_size=8), st.sampled_from(CELLS[:20])
)
cells = st.one_of(
    st.sampled_from(CELLS),
    st.sampled_from(CELLS),
    st.floats().map(str),
    st.integers().map(str),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
)
grids = st.sampled_from((RUNS, RUNS, SHAPES, TRACKED))


FEW = st.sampled_from((0, 1, 1, 1, 1, 2, 3))
"""Mishaps of one file: most people make one at a time, and what several break at once hides what each breaks."""


class File(NamedTuple):
    """A file's name and bytes."""

    name: str
    content: bytes


def rows_of(text: str) -> list[list[str]]:
    """Rows of a table's text, the header first."""
    return [line.split(",") for line in text.splitlines()]


@st.composite
def broken_rows(draw: st.DrawFn, text: str) -> list[list[str]]:
    """Rows of a valid table after a few mishaps."""
    rows = rows_of(text)
    for _ in range(draw(FEW)):
        kind = draw(
            st.sampled_from(
                ("cell", "cell", "cell", "head", "head", "column", "drop", "double", "ragged", "row", "rows", "blank")
            )
        )
        row, column = draw(st.integers(0, len(rows) - 1)), draw(st.integers(0, len(rows[0]) - 1))
        match kind:
            case "cell" if row and column < len(rows[row]):
                rows[row][column] = draw(cells)
            case "head":
                rows[0][column] = draw(words)
            case "column":
                value = draw(cells)
                for line in rows[1:]:
                    line[column:] = [value, *line[column + 1 :]]
            case "drop" if len(rows[0]) > 1:
                for line in rows:
                    del line[column : column + 1]
            case "double":
                for line in rows:
                    line.extend(line[column : column + 1])
            case "ragged":
                rows[row] = rows[row][: draw(st.integers(0, len(rows[row])))] + draw(st.lists(cells, max_size=3))
                rows[0] = rows[0] or [""]
            case "row" if row:
                rows.insert(row, list(rows[row]))
            case "rows":
                del rows[max(row, 1) :]
            case "blank":
                rows.insert(row, draw(st.sampled_from(([], [""], ["", "", ""], ["# a comment"]))))
                rows[0] = rows[0] or [""]
    return rows


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """Bytes as they are, mostly; or cut short, with bytes replaced, or with something before or after."""
    kind = draw(st.sampled_from((*["as it is"] * 7, "cut", "replaced", "before", "after")))
    place = draw(st.integers(0, len(content)))
    few = draw(st.binary(min_size=1, max_size=4))
    return {
        "as it is": content,
        "cut": content[:place],
        "replaced": content[:place] + few + content[place + len(few) :],
        "before": few + content,
        "after": content + few,
    }[kind]


def as_csv(rows: list[list[str]], *, mark: str = ",", end: str = "\n", quoting: Any = csv.QUOTE_MINIMAL) -> str:
    """Text of a table."""
    text = io.StringIO()
    csv.writer(text, delimiter=mark, lineterminator=end, quoting=quoting).writerows(rows)
    return text.getvalue()


def encoded(text: str, encoding: str) -> bytes:
    """Bytes of a text; what an encoding cannot say becomes a question mark."""
    return text.encode(encoding, "replace")


@st.composite
def files(draw: st.DrawFn, text: str, suffixes: tuple[str, ...] = SUFFIXES) -> File:
    """A table after mishaps, in some format, under a suffix that mostly fits it."""
    if draw(st.integers(0, 19)) == 0:
        return File(f"runs{draw(st.sampled_from(suffixes))}", draw(st.binary(max_size=200)))
    rows = draw(broken_rows(text))
    suffix = draw(st.sampled_from([*[".csv"] * 12, *suffixes]))
    content = draw(damaged(written(draw, rows, suffix)))
    wrong = draw(st.integers(0, 19)) == 0
    return File(f"runs{draw(st.sampled_from(suffixes)) if wrong else suffix}", content)


def written(draw: st.DrawFn, rows: list[list[str]], suffix: str) -> bytes:
    """Bytes of a table in the format of a suffix."""
    mark = draw(st.sampled_from((*[","] * 9, ";", "\t", "|")))
    end = draw(st.sampled_from(("\n", "\n", "\r\n", "\r")))
    quoting = draw(st.sampled_from((csv.QUOTE_MINIMAL, csv.QUOTE_ALL)))
    encoding = draw(st.sampled_from((*["utf-8"] * 6, "utf-8-sig", "utf-16", "latin-1", "cp1252")))
    plain = encoded(as_csv(rows, mark=mark, end=end, quoting=quoting), encoding)
    if suffix == ".csv.gz":
        return gzip.compress(plain, mtime=0)
    if suffix not in (".parquet", ".pq", ".json", ".jsonl"):
        return plain
    heads = list(dict.fromkeys(rows[0]))
    records = [dict(zip(heads, (told(draw, cell) for cell in row), strict=False)) for row in rows[1:]]
    if suffix == ".jsonl":
        return "\n".join(json.dumps(record) for record in records).encode()
    if suffix == ".json":
        return json.dumps(arranged(draw, heads, records)).encode()
    made = io.BytesIO()
    frame = pd.DataFrame([[str(record.get(name)) for name in heads] for record in records], columns=pd.Index(heads))
    for name in frame if draw(st.booleans()) else ():
        frame[name] = pd.to_numeric(frame[name], errors="coerce")
    frame.to_parquet(made, index=draw(st.booleans()))
    return made.getvalue()


def told(draw: st.DrawFn, cell: str) -> Any:
    """A cell in JSON: its text or its number, now and then something else."""
    if draw(st.integers(0, 29)) == 0:
        return draw(st.sampled_from((None, True, [], [1], {}, {"value": 1}, {"a": {"b": 1}}, 10**400, float("nan"))))
    try:
        return float(cell)
    except ValueError:
        return cell


def arranged(draw: st.DrawFn, heads: list[str], records: list[dict[str, Any]]) -> Any:
    """Records as programs arrange them, and as none does."""
    columns = {name: [record.get(name) for record in records] for name in heads}
    return draw(
        st.sampled_from(
            (
                records, {"runs": records}, {"data": records}, columns, {str(i): record for i, record in enumerate(records)},
                {"columns": heads, "data": [list(record.values()) for record in records]}, [records], [*records[:1], 1], {"data": 3},
                [{"info": {"run_id": "a"}, "data": {"metrics": [{"key": "loss", "value": 2}]}}], [{"info": 1, "data": 2}], [], {}, 3, None,
                {"runs": [1]}, {"columns": 1, "data": [1]}, {"columns": ["a"], "data": [1]}, {"a": {"b": 1}, "c": [1, 2]}, [{"config": records}],
            )
        )
    )  # fmt: skip
