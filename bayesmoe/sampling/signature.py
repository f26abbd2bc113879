"""Shapes and dtypes of arguments: the key of a compiled program."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class ArraySignature(NamedTuple):
    """Shapes and dtypes of a pytree of arrays, hashable."""

    tree: Any
    leaves: tuple[jax.ShapeDtypeStruct, ...]

    @classmethod
    def of(cls, arguments: Any) -> ArraySignature:
        """Return the signature of arguments, traced ones included."""
        leaves, tree = jax.tree.flatten(arguments)
        return cls(tree, tuple(jax.ShapeDtypeStruct(jnp.shape(leaf), jnp.result_type(leaf)) for leaf in leaves))

    def placeholders(self) -> Any:
        """Return the pytree with shapes and dtypes in place of arrays."""
        return jax.tree.unflatten(self.tree, self.leaves)
