"""What a shape caches and computes, counted once more beside the roofline's formulas."""

from __future__ import annotations

from bayesmoe.architecture import Shape


def cache_elements(shape: Shape, context_tokens: float) -> float:
    """Elements that one request caches at some context."""
    window = shape.window_cache_elements_per_token * min(context_tokens, shape.window_tokens)
    return shape.cache_elements_per_token * context_tokens + window + shape.state_elements


def decode_flop(shape: Shape, context_tokens: float) -> float:
    """FLOP to decode one token at some context: ``2 (n_multiplied + n_head)`` and attention over the context."""
    seen = shape.full_layers * context_tokens + shape.window_layers * min(context_tokens, shape.window_tokens)
    linear = 0 if shape.linear is None else shape.linear_layers * shape.linear.flop_per_token
    attention = seen * shape.attention.decode_flop_per_token_of_context + linear
    return 2.0 * (shape.n_multiplied + shape.members * shape.n_head) + shape.copies * attention


def prefill_flop(shape: Shape, prompt_tokens: float) -> float:
    """FLOP to read a prompt: a third of training on it, with the head of one token only."""
    head = 2.0 * shape.members * shape.n_head
    return prompt_tokens * (shape.train_flop_per_token(prompt_tokens) / 3.0 - head) + head
