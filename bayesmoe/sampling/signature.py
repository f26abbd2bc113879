"""What two sets of arguments must have in common to share a compiled program."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class ArraySignature(NamedTuple):
    """Shapes and types of a tree of arrays, to be compared and hashed."""

    tree: Any
    leaves: tuple[jax.ShapeDtypeStruct, ...]

    @classmethod
    def of(cls, arguments: Any) -> ArraySignature:
        """Shapes and types of these arguments, traced ones included."""
        leaves, tree = jax.tree.flatten(arguments)
        return cls(tree, tuple(jax.ShapeDtypeStruct(jnp.shape(leaf), jnp.result_type(leaf)) for leaf in leaves))

    def placeholders(self) -> Any:
        """The tree with shapes and types in place of arrays."""
        return jax.tree.unflatten(self.tree, self.leaves)
