"""What a column says of a model, by the words of its name: a size with or without embeddings, the expert count, experts a token."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Literal, NamedTuple

from bayesmoe.runs.schema import SIZES
from bayesmoe.runs.words import RESULTS, SETTINGS, plain

_PARAMETERS = {"param", "params", "parameter", "parameters", "nparams"}
_ACTIVE = {"active", "activated", "act"}
_DENSE = {"dense", "backbone"}
_COUNT = {"n", "num", "number", "nb", "count", "total", "all", "of", "model", "trainable", "whole", "size", "in", "transformer", "student", "the"}  # fmt: skip
_WITHOUT = {"non", "no", "not", "without", "wo", "w", "o", "excl", "excluding", "exclude", "minus", "except", "sans", "nonemb", "nonembed", "nonembedding", "noembed", "ne"}  # fmt: skip
_WITH = {"with", "incl", "including", "include", "plus", "and"}
_EMBEDDING = {"emb", "embd", "embed", "embeds", "embedding", "embeddings", "vocab", "vocabulary"}
_PART = {
    "router", "routing", "draft", "teacher", "optimizer", "head", "expert", "experts", "per", "attn", "attention", "ffn", "mlp", "gate", "adapter", "lora", "frozen",
    "shared", "norm", "bias", "ratio", "fraction", "sparsity", "memory", "flops", "flop", "encoder", "decoder", "vision", "critic", "reward", "reference", "ref", "unembedding",
    "layer", "layers", "block", "buffer", "ema", "log", "target", "baseline", "base", "max", "min", "path", "groups", "group",
}  # fmt: skip
_ALONE = {*_ACTIVE, *_DENSE, *_WITHOUT, *_EMBEDDING, "total", "all", "trainable"}
_UNITS = re.compile(r"_(?:k|m|mm|b|bn|t|mln|mio|bln|thousands?|millions?|billions?|trillions?)$")
_EXPERTS, _OF_EXPERTS = {"expert", "experts"}, {"n", "num", "number", "nb", "count", "total", "of", "expert", "experts", "routed", "local", "moe", "model", "config"}  # fmt: skip
_CHOSEN = {"active", "activated", "selected", "chosen"}
_ROUTING = {"moe", "router", "routing", "expert", "experts", "gate", "gating", "num", "n", "model", "config", "ffn"}
_OF_SAMPLING = {"generation", "gen", "sampling", "sample", "sampler", "decode", "decoding", "inference", "eval", "rollout", "logits", "retrieval", "accuracy", "acc"}  # fmt: skip
_SAMPLING = {
    "top_p",
    "temperature",
    "do_sample",
    "repetition_penalty",
    "num_beams",
    "max_new_tokens",
    "typical_p",
    "length_penalty",
}


class SizeName(NamedTuple):
    """Which of our sizes a column is, and what it says of embeddings."""

    ours: Literal["n_dense", "n_active", "n_total"]
    embeddings: Literal["without", "", "with"]


def words_of(name: str) -> list[str]:
    """The words of a name, without the part that a tracker puts before it."""
    return plain(name).split("_")


@cache
def size_name(name: str) -> SizeName | None:
    """What a name says of a model's size; None where it speaks of no parameters, or of those of a part."""
    words = _UNITS.sub("", plain(name)).split("_")
    if name.replace("/", ".").startswith("params."):
        # MLflow's settings begin so, and so do the parts of a count: params/total.
        words = words if set(words) & _PARAMETERS or not set(words) <= _ALONE else [*words, "params"]
    known = set(words)
    if not known & _PARAMETERS:
        return None
    embedding, without = known & (_EMBEDDING | {w for w in _WITHOUT if "emb" in w} | {"ne"}), known & _WITHOUT
    if "transformer" in known and not embedding:
        without, embedding = known, known
    if known & _PART or (embedding and not without and not known & _WITH):
        return None
    others = known - _PARAMETERS - _ACTIVE - _DENSE - _COUNT - _WITHOUT - _WITH - _EMBEDDING
    if others and not _in_path_only(name, others):
        return None
    ours = "n_active" if known & _ACTIVE else "n_dense" if known & _DENSE else "n_total"
    return SizeName(ours, "without" if without and embedding else "with" if embedding else "")


def _in_path_only(name: str, words: set[str]) -> bool:
    """Whether words stand only in the parts before the last, which trackers name after a part of the program."""
    return not words & set(re.split(r"[./]", plain_path(name))[-1].split("_"))


def plain_path(name: str) -> str:
    """A name with its path, each part in small letters and underscores."""
    return "/".join(plain(part) for part in re.split(r"[./]", name))


def sizes_of(ours: str, columns: Iterable[str]) -> list[list[str]]:
    """Columns that are a size of ours, in ranks: those without embeddings first, and those that name no part of a path before others."""
    ranked: dict[tuple[int, int], list[str]] = {}
    for name in columns:
        said = size_name(name)
        if said is not None and said.ours == ours:
            rank = ("without", "", "with").index(said.embeddings), int(not _is_alone(name))
            ranked.setdefault(rank, []).append(name)
    return [ranked[rank] for rank in sorted(ranked)]


def speaks_of_parameters(name: str) -> bool:
    """Whether a name counts parameters, of a model or of a part of one."""
    return bool(set(words_of(name)) & _PARAMETERS)


def _is_alone(name: str) -> bool:
    """Whether a name has no path but a tracker's, or that of the model."""
    above = [part for part in plain_path(name).split("/")[:-1] if part not in (*SETTINGS, *RESULTS)]
    return not above or above == ["model"]


@cache
def counts_embeddings(name: str) -> bool:
    """Whether a name says how many parameters the embeddings have."""
    known = set(words_of(name))
    return bool(known & _PARAMETERS and known & _EMBEDDING and not known & {*_WITHOUT, *_WITH} and size_name(name) is None)


@cache
def is_expert_count(name: str) -> bool:
    """Whether a name says how many routed experts a layer has, and nothing else: ``expert_num``, ``moe_n_experts``."""
    words = set(words_of(name.replace("/", ".").rpartition(".")[2]))
    return bool(words & _EXPERTS) and words <= _OF_EXPERTS


@cache
def is_shared_expert_count(name: str) -> bool:
    """Whether a name says how many experts every token passes through, and nothing else: ``moe_num_shared_experts``."""
    words = set(words_of(name.replace("/", ".").rpartition(".")[2]))
    return "shared" in words and bool(words & _EXPERTS) and words - {"shared"} <= _OF_EXPERTS - {"routed"}


@cache
def is_routing_top_k(name: str) -> bool:
    """Whether a name says how many experts a token is routed to: experts per token, active experts, top k of a router."""
    words = words_of(name)
    known = set(words)
    if known & _OF_SAMPLING or known & {
        "params",
        "parameters",
        "shared",
        "capacity",
        "dim",
        "size",
        "ratio",
        "fraction",
        "loss",
    }:
        return False
    if known & _EXPERTS and ({"per"} < known & {"per", "tok", "token", "tokens"} or known & _CHOSEN):
        also = {"per", "tok", "token", "tokens", "nb", "number", "of", "routed", "local", "layer"}
        return known <= {*_CHOSEN, *_ROUTING, *also}
    topk = "topk" in known or any(words[place : place + 2] == ["top", "k"] for place in range(len(words)))
    return topk and bool(known & {"moe", "router", "routing", "expert", "experts", "gate", "gating"})


def is_sampling_top_k(name: str, columns: Iterable[str]) -> bool:
    """Whether a bare top k is that of sampling text: by its path, or because other settings of sampling stand beside it."""
    known = set(words_of(name))
    if is_routing_top_k(name) or not ("topk" in known or {"top", "k"} <= known):
        return False
    last = {plain(re.split(r"[./]", column)[-1]) for column in columns}
    return bool(known & _OF_SAMPLING or last & _SAMPLING)


def said_of_sizes(names: Mapping[str, str]) -> list[str]:
    """What the names of sizes leave open, one sentence each; ours to the file's own."""
    said = []
    for ours in SIZES:
        own = names.get(ours, ours)
        spoken = size_name(own) if own != ours else None
        if spoken is not None and spoken.embeddings == "" and ours != "n_dense":
            said.append(f"{ours} = {own}: it may count embeddings, which its name does not say; sizes here are without them")
    return said
