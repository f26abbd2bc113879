"""A compact MoE transformer in JAX: gated experts with top-k routing, a load-balancing loss, optional shared experts; one expert is dense."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from bayesmoe.architecture import Family

HEAD_DIM = 24
"""Least width of a head."""

BLOCK = 8
"""Rows of a block of one expert."""

TAPS = 3
"""Width of the causal convolution over queries, keys and values."""

Parameters = dict[str, Any]


@dataclass(frozen=True)
class Model:
    """Shape of a model; feed-forward parts have ``8 d_model / 3`` columns in three matrices, so a layer has ``12 d_model^2`` parameters.

    Parameters
    ----------
    d_model, num_layers : int
        Width, a multiple of 12, and layers.
    num_experts, top_k : int
        E routed experts in every layer, 1 for a dense model; K of them for a token.
    granularity : int
        Width of the dense feed-forward part over the width of an expert.
    shared_experts : int
        Always-on experts, in widths of a routed one.
    vocabulary, length : int
        Tokens, and longest document.
    """

    d_model: int
    num_layers: int
    num_experts: int = 1
    top_k: int = 2
    granularity: int = 2
    shared_experts: int = 0
    vocabulary: int = 256
    length: int = 64

    @property
    def moe(self) -> bool:
        """Whether there is anything to route."""
        return self.num_experts > 1

    @property
    def d_ff(self) -> int:
        """Columns of a dense feed-forward part."""
        return 8 * self.d_model // 3

    @property
    def family(self) -> Family:
        """The family of ``bayesmoe`` that counts this model's parameters: all feed-forward parts are experts, routers are left out."""
        return Family(
            moe_share=2.0 / 3.0,
            top_k=float(self.top_k),
            granularity=float(self.granularity),
            shared_experts=float(self.shared_experts),
        )

    @property
    def n_dense(self) -> int:
        """Parameters of the backbone, without embeddings."""
        return 12 * self.num_layers * self.d_model**2


class Routed(NamedTuple):
    """Where the tokens of a layer go.

    Parameters
    ----------
    gates : Array, shape (tokens, K)
        Weight of each chosen expert; they sum to 1 where K > 1.
    experts : Array, shape (tokens, K)
        Chosen experts.
    balance : Array, shape ()
        ``E sum_e f_e P_e``, share of tokens times mean probability (arXiv:2101.03961, equation 4): 1 when even.
    """

    gates: Any
    experts: Any
    balance: Any


class Blocks(NamedTuple):
    """Choices sorted into blocks of rows, each of one expert.

    Parameters
    ----------
    rows : Array, shape (tokens, K)
        Row of each choice; no two choices share one.
    experts : Array, shape (blocks,)
        Expert of each block.
    """

    rows: Any
    experts: Any


def initial(model: Model, seed: int) -> Parameters:
    """Parameters before training; layers are stacked along the first axis."""
    L, d, E, v = model.num_layers, model.d_model, model.num_experts, model.vocabulary
    wide = model.d_ff // model.granularity if model.moe else model.d_ff
    keys = iter(jax.random.split(jax.random.key(seed), 16))

    def normal(shape: tuple[int, ...], scale: float) -> Any:
        return scale * jax.random.normal(next(keys), shape, dtype=jnp.float32)

    into, out = d**-0.5, (2.0 * L * d) ** -0.5
    taps = jnp.zeros((L, TAPS, 3 * d), jnp.float32).at[:, 0].set(1.0)
    parameters = {
        "embedding": normal((v, d), 1.0),
        "position": normal((model.length, d), 0.1),
        "head": normal((d, v), 0.5 * into),
        "last_norm": jnp.ones(d, jnp.float32),
        "layers": {
            "norm": jnp.ones((L, 2, d), jnp.float32),
            "qkv": normal((L, d, 3 * d), into),
            "taps": taps,
            "attended": normal((L, d, d), out),
            "up": normal((L, E, d, 2 * wide), into),
            "down": normal((L, E, wide, d), out * (d / wide) ** 0.5),
        },
    }
    if model.moe:
        # Nearly even at first: where chance alone sends tokens at once, seeds differ twice as much.
        parameters["layers"]["router"] = normal((L, d, E), 0.1 * into)
        if model.shared_experts:
            shared = wide * model.shared_experts
            parameters["layers"]["shared_up"] = normal((L, d, 2 * shared), into)
            parameters["layers"]["shared_down"] = normal((L, shared, d), out * (d / shared) ** 0.5)
    return parameters


def normed(x: Any, scale: Any) -> Any:
    """``x / rms(x) * scale``."""
    return x * jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + 1e-6) * scale


def attention(layer: Parameters, x: Any) -> Any:
    """Causal attention of a document with itself, shape (documents, length, d); each head sees queries, keys and values of the last tokens mixed.

    The convolution is Primer's (arXiv:2109.08668, section 4): without it small models spend their few steps on finding the word before.
    """
    b, t, d = x.shape
    heads = max(1, d // HEAD_DIM)
    qkv = x @ layer["qkv"]
    mixed = qkv * layer["taps"][0]
    for back in range(1, TAPS):
        mixed = mixed + jnp.pad(qkv, ((0, 0), (back, 0), (0, 0)))[:, :t] * layer["taps"][back]
    q, k, v = (part.reshape(b, t, heads, d // heads).swapaxes(1, 2) for part in jnp.split(mixed, 3, axis=-1))
    scores = (q * (d // heads) ** -0.5) @ k.swapaxes(-1, -2)
    causal = jnp.where(jnp.tril(jnp.ones((t, t), dtype=bool)), 0.0, -1e9)
    return (jax.nn.softmax(scores + causal, axis=-1) @ v).swapaxes(1, 2).reshape(b, t, d) @ layer["attended"]


def gated(x: Any, up: Any, down: Any) -> Any:
    """``(relu(x U) * (x V)) W``."""
    gate, value = jnp.split(x @ up, 2, axis=-1)
    return (jax.nn.relu(gate) * value) @ down


def route(logits: Any, top_k: int) -> Routed:
    """The ``top_k`` most probable experts of each token.

    With one expert a token the gate is its probability, as the router would have no gradient otherwise (arXiv:2101.03961).
    """
    tokens, E = logits.shape
    probabilities = jax.nn.softmax(logits, axis=-1)
    gates, chosen = jax.lax.top_k(probabilities, top_k)
    if top_k > 1:
        gates = gates / gates.sum(axis=-1, keepdims=True)
    share = jnp.zeros(E, logits.dtype).at[chosen].add(1.0) / (tokens * top_k)
    return Routed(gates, chosen, E * jnp.sum(share * probabilities.mean(axis=0)))


def blocks(chosen: Any, num_experts: int) -> Blocks:
    """Rows for all choices, so that none is dropped: each expert has as many whole blocks as its tokens need (as arXiv:2211.15841).

    With few documents in a step, experts of a topic have many tokens in one step and none in the next: with a capacity they would lose
    them, and seeds would differ by whether topics came to have experts.
    """
    flat = chosen.reshape(-1)
    one_hot = jax.nn.one_hot(flat, num_experts, dtype=jnp.int32)
    rank = ((jnp.cumsum(one_hot, axis=0) - 1) * one_hot).sum(axis=-1)
    ends = jnp.cumsum(-(-one_hot.sum(axis=0) // BLOCK))
    first = jnp.pad(ends, (1, 0))[:-1] * BLOCK
    number = len(flat) // BLOCK + num_experts
    of_block = jnp.searchsorted(ends, jnp.arange(number), side="right")
    return Blocks((first[flat] + rank).reshape(chosen.shape), jnp.minimum(of_block, num_experts - 1))


def experts(model: Model, layer: Parameters, x: Any) -> tuple[Any, Any]:
    """Feed-forward part of a layer: output of shape (tokens, d), and balance."""
    if not model.moe:
        return gated(x, layer["up"][0], layer["down"][0]), 1.0
    tokens, d = x.shape
    routed = route(x @ layer["router"], model.top_k)
    where = blocks(routed.experts, model.num_experts)
    size = len(where.experts) * BLOCK
    # Rows that nobody has take the zeros behind the last token.
    source = jnp.full(size, tokens, dtype=jnp.int32).at[where.rows].set(jnp.arange(tokens, dtype=jnp.int32)[:, None])
    grouped = jnp.pad(x, ((0, 1), (0, 0)))[source].reshape(-1, BLOCK, d)
    out = gated(grouped, layer["up"][where.experts], layer["down"][where.experts]).reshape(size, d)
    y = (out[where.rows] * routed.gates[..., None]).sum(axis=1)
    if model.shared_experts:
        y = y + gated(x, layer["shared_up"], layer["shared_down"])
    return y, routed.balance


def logits(model: Model, parameters: Parameters, documents: Any) -> tuple[Any, Any]:
    """Logits of every next token, shape (documents, length, vocabulary), and mean balance over layers."""
    b, t = documents.shape
    x = parameters["embedding"][documents] + parameters["position"][:t]
    balances = []
    for at in range(model.num_layers):
        layer = {name: value[at] for name, value in parameters["layers"].items()}
        x = x + attention(layer, normed(x, layer["norm"][0]))
        y, balance = experts(model, layer, normed(x, layer["norm"][1]).reshape(b * t, -1))
        x = x + y.reshape(x.shape)
        balances.append(balance)
    out = normed(x, parameters["last_norm"]) @ parameters["head"]
    return out, sum(balances) / model.num_layers


def losses(model: Model, parameters: Parameters, documents: Any) -> tuple[Any, Any]:
    """Negative log likelihood of every token of documents, nats, shape (documents, length), and balance.

    The first token is predicted from the marker, which no document begins with.
    """
    before = jnp.pad(documents, ((0, 0), (1, 0)))[:, :-1]
    out, balance = logits(model, parameters, before)
    chosen = jnp.take_along_axis(out, documents[..., None], axis=-1)[..., 0]
    return jax.nn.logsumexp(out, axis=-1) - chosen, balance
