"""An exact shape of a transformer, dense or MoE: parameters, cache and training FLOP, counted layer by layer."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from bayesmoe.architecture.attention import Count, Heads, Latent, Linear
from bayesmoe.architecture.family import gated_ffn_parameters
from bayesmoe.specs import spec

Attention = Annotated[Heads | Latent, Field(discriminator="kind")]


@spec
class Experts:
    """The feed-forward part of an MoE layer.

    Parameters
    ----------
    num_experts, top_k : int
        E routed experts, K a token.
    d_expert : int
        Width of one routed expert.
    d_shared : int
        Summed width of the always-on experts; 0 for none.
    latent_dim : int, optional
        Width in which routed experts work, behind one shared projection down and one up (MoLAE, arXiv:2503.23100); the model's own
        width where left out.
    """

    num_experts: Annotated[int, Field(ge=2)]
    top_k: Count
    d_expert: Count
    d_shared: Annotated[int, Field(ge=0)] = 0
    latent_dim: Count | None = None

    @model_validator(mode="after")
    def _top_k_exist(self) -> Experts:
        if self.top_k > self.num_experts:
            raise ValueError(f"top_k must be at most num_experts ({self.num_experts})")
        return self


@spec
class Shape:
    """A transformer, layer by layer.

    ``n_total = sum over layers (attention + feed-forward + router)``, without embeddings, norms and biases; feed-forward parts are gated,
    three matrices of ``d_model`` by their width. ``n_active`` counts K routed experts a layer instead of E. ``n_dense``, the backbone,
    counts one dense part of ``d_ff`` in every layer; where no ``d_ff`` is given, one of the width that a token uses.

    Parameters
    ----------
    num_layers, d_model, vocab : int
        Layers, width, vocabulary.
    attention : Heads or Latent
        Attention of a layer with a growing cache.
    d_ff : int, optional
        Width of a dense feed-forward part; needed where any layer is dense.
    experts : Experts, optional
        Feed-forward part of an MoE layer; None for a dense model.
    num_dense_layers : int
        Dense layers; they come first, unless MoE layers are every ``moe_every``-th.
    moe_every : int
        One MoE layer in so many (2 in Yun's models).
    tied_embeddings : bool
        Whether the head is the embedding.
    window_layers, window_tokens : int
        Layers whose attention sees a sliding window, and its length.
    linear_layers, linear : int, Linear
        Layers with linear attention, and what it is.
    members : int
        Members of an ensemble (E3, arXiv:2110.03360): the experts of each layer fall into so many parts, every token is copied to all of
        them before the first MoE layer, and routed to K experts of each part. Parameters stay, work from there on multiplies.
    """

    name: str = "unnamed"
    source: str = ""
    num_layers: Count
    d_model: Count
    vocab: Annotated[int, Field(ge=0)]
    attention: Attention
    d_ff: Count | None = None
    experts: Experts | None = None
    num_dense_layers: Annotated[int, Field(ge=0)] = 0
    moe_every: Count = 1
    tied_embeddings: bool = False
    window_layers: Annotated[int, Field(ge=0)] = 0
    window_tokens: Annotated[int, Field(ge=0)] = 0
    linear_layers: Annotated[int, Field(ge=0)] = 0
    linear: Linear | None = None
    members: Count = 1

    @model_validator(mode="after")
    def _whole(self) -> Shape:
        if self.num_dense_layers > self.num_layers:
            raise ValueError(f"num_dense_layers must be at most num_layers ({self.num_layers})")
        if self.d_ff is None and self.num_moe_layers < self.num_layers:
            raise ValueError("d_ff is needed: some layers are dense")
        if self.window_layers + self.linear_layers > self.num_layers:
            raise ValueError(f"window_layers and linear_layers must be at most num_layers ({self.num_layers}) together")
        if bool(self.window_layers) != bool(self.window_tokens):
            raise ValueError("window_layers and window_tokens go together")
        if bool(self.linear_layers) != (self.linear is not None):
            raise ValueError("linear_layers and linear go together")
        if self.experts is not None and not self.num_moe_layers:
            raise ValueError("experts needs an MoE layer: lower num_dense_layers or moe_every")
        if self.experts is not None and (self.experts.latent_dim or 0) >= self.d_model:
            raise ValueError(f"experts.latent_dim must be narrower than d_model ({self.d_model})")
        if self.members > 1:
            if self.experts is None:
                raise ValueError("members needs experts to share out")
            if self.experts.num_experts % self.members or self.experts.top_k * self.members > self.experts.num_experts:
                raise ValueError(f"members must divide num_experts ({self.experts.num_experts}) and leave top_k to each")
        return self

    @property
    def num_moe_layers(self) -> int:
        """Layers with experts."""
        return 0 if self.experts is None else (self.num_layers - self.num_dense_layers) // self.moe_every

    @property
    def full_layers(self) -> int:
        """Layers whose attention sees the whole context."""
        return self.num_layers - self.window_layers - self.linear_layers

    @property
    def n_attention(self) -> int:
        """Parameters of attention."""
        of_heads = self.num_layers - self.linear_layers
        linear = self.linear.parameters(self.d_model) if self.linear is not None else 0
        return of_heads * self.attention.parameters(self.d_model) + self.linear_layers * linear

    @property
    def n_dense_ffn(self) -> int:
        """Parameters of the feed-forward parts of dense layers."""
        dense = self.num_layers - self.num_moe_layers
        return 0 if self.d_ff is None else dense * gated(self.d_model, self.d_ff)

    @property
    def n_always_on(self) -> int:
        """Parameters of MoE layers that every token uses besides attention: routers, shared experts, latent projections."""
        if self.experts is None:
            return 0
        latent = 0 if self.experts.latent_dim is None else 2 * self.d_model * self.experts.latent_dim
        layer = self.d_model * self.experts.num_experts + gated(self.d_model, self.experts.d_shared) + latent
        return self.num_moe_layers * layer

    @property
    def n_per_expert(self) -> int:
        """Parameters of one routed expert, summed over layers."""
        if self.experts is None:
            return 0
        return self.num_moe_layers * gated(self.experts.latent_dim or self.d_model, self.experts.d_expert)

    @property
    def n_routed(self) -> int:
        """Parameters in routed experts."""
        return 0 if self.experts is None else self.experts.num_experts * self.n_per_expert

    @property
    def n_total(self) -> int:
        """All parameters, without embeddings."""
        return self.n_attention + self.n_dense_ffn + self.n_always_on + self.n_routed

    @property
    def n_active(self) -> int:
        """Parameters that a token uses, without embeddings."""
        return self.n_attention + self.n_dense_ffn + self.n_always_on + self.members * self._top_k * self.n_per_expert

    @property
    def n_multiplied(self) -> float:
        """Parameters that a token is multiplied by, without embeddings: ``n_active``, but for an ensemble's copies of the token."""
        once = self.n_attention + self.n_dense_ffn + self.n_always_on + self._top_k * self.n_per_expert
        if self.members == 1:
            return once
        before = self.num_layers * (1.0 - self._copied_share)
        dense_before = 0 if self.d_ff is None else before * gated(self.d_model, self.d_ff)
        # A member routes over its own experts, so that the copies use each router's rows once together.
        routers = 0 if self.experts is None else self.num_moe_layers * self.d_model * self.experts.num_experts
        shared = routers + self.n_attention * before / self.num_layers + dense_before
        return self.members * once - (self.members - 1) * shared

    @property
    def n_dense(self) -> int:
        """Backbone: every MoE layer's experts replaced by one dense feed-forward part."""
        if self.experts is None:
            return self.n_total
        width = self.d_ff if self.d_ff is not None else self.experts.top_k * self.experts.d_expert + self.experts.d_shared
        return self.n_attention + self.n_dense_ffn + self.num_moe_layers * gated(self.d_model, width)

    @property
    def n_head(self) -> int:
        """Parameters of the head, which decoding reads."""
        return self.vocab * self.d_model

    @property
    def n_embedding(self) -> int:
        """Parameters of embeddings and head together: once where tied, else twice."""
        return self.n_head * (1 if self.tied_embeddings else 2)

    @property
    def _top_k(self) -> int:
        return 0 if self.experts is None else self.experts.top_k

    @property
    def _copied_share(self) -> float:
        """Share of layers from the first MoE layer on, where an ensemble's copies part."""
        return 1.0 - (self.num_dense_layers + self.moe_every - 1) / self.num_layers

    @property
    def copies(self) -> float:
        """Copies of a token, averaged over layers: 1 but for an ensemble."""
        return 1.0 if self.members == 1 else 1.0 + (self.members - 1) * self._copied_share

    @property
    def cache_elements_per_token(self) -> float:
        """Elements cached per token of context, in layers that see all of it."""
        return self.copies * self.full_layers * self.attention.cache_elements_per_token

    @property
    def window_cache_elements_per_token(self) -> float:
        """Elements cached per token of a sliding window."""
        return self.copies * self.window_layers * self.attention.cache_elements_per_token

    @property
    def state_elements(self) -> float:
        """Elements of a request's linear-attention state."""
        return 0.0 if self.linear is None else self.copies * self.linear_layers * self.linear.state_elements

    def train_flop_per_token(self, sequence_tokens: float) -> float:
        """Training FLOP per token: three times the forward pass, head and causal attention included."""
        full, window = (sequence_tokens + 1.0) / 2.0, min(sequence_tokens, self.window_tokens)
        # A window fills over its own length and is full from there on.
        in_window = window * (1.0 - (window - 1.0) / (2.0 * max(sequence_tokens, 1.0)))
        seen = self.full_layers * full + self.window_layers * in_window
        linear = 0 if self.linear is None else self.linear_layers * self.linear.flop_per_token
        forward = 2.0 * self.n_multiplied + self.copies * (seen * self.attention.flop_per_token_of_context + linear)
        return 3.0 * (forward + 2.0 * self.members * self.n_head)


def gated(d_model: int, width: int) -> int:
    """Parameters of a gated feed-forward part, whole."""
    return int(gated_ffn_parameters(d_model, width))
