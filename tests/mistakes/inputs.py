"""Inputs that nothing is wrong with, each of which a mistake changes."""

from __future__ import annotations

from bayesmoe.resources import resource_folder

YUN = (resource_folder("models") / "scenarios" / "yun-2024.toml").read_text(encoding="utf-8")
RUNS = """run_id,loss,tokens,num_experts,top_k,n_dense
a,2.5,1e9,1,1,1e8
b,2.4,1e9,4,2,1e8
c,2.3,1e9,8,2,1e8
"""
SPEC = '[data]\nfile = "runs.csv"\n'


def changed(text: str, old: str, new: str) -> str:
    """A text with one piece replaced wherever it stands."""
    assert old in text
    return text.replace(old, new)
