"""Strategies for TOML: valid files broken key by key, and text that was never meant to be any."""

from __future__ import annotations

import copy
import tomllib
from typing import Any

import tomli_w
from fuzz.tables import FEW
from hypothesis import strategies as st

from bayesmoe.planning.quantities import QUANTITIES
from bayesmoe.resources import resource_folder

MODELS = resource_folder("models")
SPEC = """
name = "mine"
[data]
file = "runs.csv"
select = "n_dense > 1e7"
[data.columns]
loss = "loss"
[groups]
column = "group"
[law]
name = "yun"
size = "n_dense"
[law.priors.slope_size]
median = 0.02
sd = 0.5
[noise]
depends_on = ["ratio"]
where_known = true
[sampler]
kernel = "hmc"
chains = 2
warmup = 100
draws = 10
target_accept = 0.9
seed = 1
"""
SCENARIO = (
    (MODELS / "scenarios" / "yun-2024.toml").read_text(encoding="utf-8")
    + """
engine = "vLLM"
max_tpot_s = 0.05
[limits]
unique_tokens = 8e12
max_epochs = 2
constraints = ["n_total <= 60e9", "20 <= tokens / n_active <= 400"]
[value]
usd_per_nat = 5e6
"""
)
SHAPE = (MODELS / "architectures" / "eight-experts.toml").read_text(encoding="utf-8")
ACCELERATOR = """
peak_flop_per_s = 989e12
peak_fp8_flop_per_s = 1979e12
bandwidth_bytes_per_s = 3.35e12
memory_bytes = 80e9
link_bytes_per_s = 450e9
price_usd_per_hour = { median = 2.2, log_sd = 0.3 }
"""

VALUES: tuple[Any, ...] = (
    0, -1, 1, 2, 3.5, 1e300, -1e300, 1e-300, float("nan"), float("inf"), 10**30, True, False, "", "x", "1", "nan", "yun", "average", "loss > 2", "n_dense > 1e7",
    "group", "no/such.csv", "../runs.csv", "/dev/null", ".", "runs.csv", "\x00", "\x1b[31m", "[red]", "ä☃", "a" * 300, [], [1], [1, 1], [0], ["x"], [[1]], {},
    {"median": 1, "log_sd": 0.1}, {"median": 1}, {"median": -1, "log_sd": -1}, {"median": "x", "log_sd": 1}, {"x": 1}, {"kind": "heads"}, {"kind": "x"},
    "6 n_dense tokens", "exact", "H100-SXM", "os:system", "math:pi", "clark", "tian-leverage", "json:JSONDecoder", ["seed", "loss"], ["n_total <"], ["loss"], ["loss < x"],
)  # fmt: skip
KEYS = (
    "x",
    "name",
    "kind",
    "median",
    "sd",
    "",
    "a.b",
    "ä",
    "\x1b[31m",
    "law",
    "data",
    "training",
    "num_experts",
    "class",
    "__class__",
    "self",
)


def paths(mapping: Any, before: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of every key of a mapping, nested ones included."""
    found = []
    for key, value in mapping.items():
        found.append((*before, key))
        if isinstance(value, dict):
            found += paths(value, (*before, key))
    return found


@st.composite
def broken_mapping(draw: st.DrawFn, text: str) -> dict[str, Any]:
    """A valid file's mapping after a few mishaps."""
    found = copy.deepcopy(tomllib.loads(text))
    for _ in range(draw(FEW)):
        known = paths(found)
        if not known:
            break
        *before, key = draw(st.sampled_from(known))
        holder: Any = found
        for part in before:
            holder = holder[part]
        match draw(st.sampled_from(("value", "value", "value", "drop", "rename", "add", "wrap", "list"))):
            case "value":
                holder[key] = copy.deepcopy(draw(values))
            case "drop":
                del holder[key]
            case "rename":
                holder[draw(renamed(key))] = holder.pop(key)
            case "add":
                holder[draw(st.sampled_from(KEYS))] = copy.deepcopy(draw(values))
            case "wrap":
                holder[key] = {draw(st.sampled_from(KEYS)): holder[key]}
            case "list":
                holder[key] = [holder[key]]
    return found


values = st.one_of(
    st.sampled_from(VALUES), st.sampled_from(VALUES), st.floats(), st.integers(-(2**63), 2**63 - 1), st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
)  # fmt: skip


def renamed(key: str) -> st.SearchStrategy[str]:
    """A key with a slip of the finger, or another word."""
    return st.one_of(
        st.sampled_from((key[:-1], key + "s", key[::-1], key.upper(), key.replace("_", "-"))), st.sampled_from(KEYS)
    )


@st.composite
def toml_files(draw: st.DrawFn, text: str) -> bytes:
    """Bytes of a TOML file after mishaps of its keys, its characters or its bytes."""
    kind = draw(st.sampled_from((*["keys"] * 9, "characters", "bytes", "text")))
    if kind == "keys":
        return tomli_w.dumps(draw(broken_mapping(text))).encode("utf-8", "replace")
    if kind == "bytes":
        return draw(st.binary(max_size=120))
    if kind == "text":
        return "".join(draw(st.lists(st.sampled_from(PIECES), max_size=12))).encode()
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(text)))
        text = text[:place] + draw(st.sampled_from(PIECES)) + text[place + draw(st.integers(0, 3)) :]
    return text.encode("utf-8", "replace")


PIECES = (
    "=",
    "[",
    "]",
    "[[",
    "]]",
    '"',
    "'",
    '"""',
    "#",
    "\n",
    ".",
    ",",
    "{",
    "}",
    "1",
    "-",
    "e",
    "_",
    " ",
    "\t",
    "\r",
    "\x00",
    "ä",
    "a",
    "true",
    "inf",
    "nan",
    "1979-05-27",
    "x = 1\n",
    "[a]\n",
)

constraints = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
    st.lists(
        st.sampled_from(
            (
                *QUANTITIES, "abs", "log", "min", "max", "sqrt", "epochs", "(", ")", "(", ")", "+", "-", "*", "/", "**", "%", "<", "<=", ">", ">=", "==", "!=", "and", "or",
                "not", "in", "is", "if", "else", "lambda", "1", "60e9", "1e400", "0", "1j", "'a'", "None", "True", ",", ".", ":", "=", ":=", "[", "]", "{", "}", "f''", "__import__",
                "__class__", "\n", "#", "~", "&", "|", "^", "<<", "@", "await", "yield", "*n_total", "nan",
            )
        ),
        max_size=12,
    ).map(" ".join),
    st.integers(1, 3000).map(lambda depth: "(" * depth + "n_total <= 1" + ")" * depth),
    st.integers(1, 3000).map(lambda depth: "-" * depth + "n_total <= 1"),
    st.integers(1, 3000).map(lambda many: " + ".join(["n_total"] * many) + " <= 1"),
    st.integers(1, 3000).map(lambda many: "not " * many + "n_total <= 1"),
)  # fmt: skip
