"""Attention of one layer: parameters, what it caches per token, and what it computes per token of context."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from bayesmoe.specs import spec

Count = Annotated[int, Field(ge=1)]


@spec
class Heads:
    """Multi-head, grouped-query or multi-query attention.

    ``parameters = d h d_h (2 + [gated]) + 2 d h_kv d_h``, ``cache = 2 h_kv d_h`` elements a token,
    ``FLOP = 4 h d_h`` a token and token of context.

    Parameters
    ----------
    num_heads : int
        h, query heads.
    num_kv_heads : int, optional
        h_kv, key-value heads; ``num_heads`` (multi-head attention) where left out.
    head_dim : int
        d_h.
    gated : bool
        Whether queries come with an output gate of their own width.
    """

    kind: Literal["heads"] = "heads"
    num_heads: Count
    num_kv_heads: Count | None = None
    head_dim: Count
    gated: bool = False

    @model_validator(mode="after")
    def _groups(self) -> Heads:
        if self.num_heads % self.kv_heads:
            raise ValueError(f"num_kv_heads must divide num_heads ({self.num_heads})")
        return self

    @property
    def kv_heads(self) -> int:
        """h_kv."""
        return self.num_kv_heads if self.num_kv_heads is not None else self.num_heads

    def parameters(self, d_model: int) -> int:
        """Parameters of one layer."""
        return d_model * self.head_dim * (self.num_heads * (2 + self.gated) + 2 * self.kv_heads)

    @property
    def cache_elements_per_token(self) -> int:
        """Elements that one layer caches for one token."""
        return 2 * self.kv_heads * self.head_dim

    @property
    def cache_shards(self) -> int:
        """Over how many accelerators tensor parallelism can split the cache."""
        return self.kv_heads

    @property
    def flop_per_token_of_context(self) -> int:
        """FLOP of scores and their sum over values, of one layer, a token and token of context."""
        return 4 * self.num_heads * self.head_dim

    @property
    def decode_flop_per_token_of_context(self) -> int:
        """The same while decoding."""
        return self.flop_per_token_of_context


@spec
class Latent:
    """Multi-head latent attention (DeepSeek-V2, arXiv:2405.04434, section 2.1).

    ``parameters = d (r_q + r_kv + d_r) + r_q h (d_n + d_r) + r_kv h (d_n + d_v) + h d_v d``; without ``r_q`` the queries take
    ``d h (d_n + d_r)``. ``cache = r_kv + d_r`` elements a token. Prefill computes heads of ``d_n + d_r`` and ``d_v``, decoding works in
    the latent: ``2 h (2 r_kv + d_r)`` FLOP a token of context.

    Parameters
    ----------
    num_heads : int
        h.
    query_rank : int, optional
        r_q; queries are not compressed where left out.
    kv_rank, rope_dim, nope_dim, value_dim : int
        r_kv, d_r, d_n, d_v.
    """

    kind: Literal["latent"] = "latent"
    num_heads: Count
    query_rank: Count | None = None
    kv_rank: Count
    rope_dim: Count
    nope_dim: Count
    value_dim: Count

    def parameters(self, d_model: int) -> int:
        """Parameters of one layer."""
        key = self.nope_dim + self.rope_dim
        query = (
            d_model * self.num_heads * key if self.query_rank is None else self.query_rank * (d_model + self.num_heads * key)
        )
        cache = d_model * (self.kv_rank + self.rope_dim)
        up = self.kv_rank * self.num_heads * (self.nope_dim + self.value_dim)
        return query + cache + up + self.num_heads * self.value_dim * d_model

    @property
    def cache_elements_per_token(self) -> int:
        """Elements that one layer caches for one token."""
        return self.kv_rank + self.rope_dim

    @property
    def cache_shards(self) -> int:
        """The latent is one: tensor parallelism replicates it."""
        return 1

    @property
    def flop_per_token_of_context(self) -> int:
        """FLOP of scores and their sum over values, of one layer, a token and token of context, in prefill and training."""
        return 2 * self.num_heads * (self.nope_dim + self.rope_dim + self.value_dim)

    @property
    def decode_flop_per_token_of_context(self) -> int:
        """The same while decoding, in the latent."""
        return 2 * self.num_heads * (2 * self.kv_rank + self.rope_dim)


@spec
class Linear:
    """Linear attention with a gated delta rule (Qwen3-Next): a state of fixed size instead of a cache.

    ``parameters = d (2 h_k d_k + 2 h_v d_v + 2 h_v) + h_v d_v d``, ``state = h_v d_k d_v`` elements a request,
    ``FLOP = 6 h_v d_k d_v`` a token.

    Parameters
    ----------
    key_heads, value_heads, key_dim, value_dim : int
        h_k, h_v, d_k, d_v.
    """

    kind: Literal["linear"] = "linear"
    key_heads: Count
    value_heads: Count
    key_dim: Count
    value_dim: Count

    def parameters(self, d_model: int) -> int:
        """Parameters of one layer; its short convolution is left out."""
        values = self.value_heads * self.value_dim
        return d_model * (2 * self.key_heads * self.key_dim + 2 * values + 2 * self.value_heads) + values * d_model

    @property
    def state_elements(self) -> int:
        """Elements of the state of one layer and request."""
        return self.value_heads * self.key_dim * self.value_dim

    @property
    def flop_per_token(self) -> int:
        """FLOP of the state's update and reading, of one layer and token."""
        return 6 * self.state_elements
