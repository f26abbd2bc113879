"""Classes of the user's own, named in a spec as ``package.module:MyClass``."""

from __future__ import annotations

import importlib
from collections.abc import Collection

from bayesmoe.errors import InputError


def imported[T](reference: str, base: type[T], *, column: str, needs: Collection[str]) -> type[T]:
    """Import a subclass.

    Parameters
    ----------
    reference : str
        ``package.module:MyClass``.
    base : type
        What it must be a subclass of.
    column : str
        Key of the spec that names it.
    needs : collection of str
        Attributes that the class must set.

    Raises
    ------
    InputError
        The module cannot be imported, or what it names is not such a class.
    """
    module, _, attribute = reference.partition(":")
    try:
        kind = getattr(importlib.import_module(module), attribute)
    except Exception as error:  # a module of the user's own may raise anything
        raise InputError(
            f"cannot be imported ({str(error).partition(chr(10))[0]})",
            column=column,
            value=reference,
            hint=f"write package.module:My{base.__name__} and check PYTHONPATH",
        ) from error
    if not (isinstance(kind, type) and issubclass(kind, base) and kind is not base):
        where = f"{base.__module__.removesuffix('.base')}.{base.__name__}"
        raise InputError(f"is not a subclass of {where}", column=column, value=reference, hint="subclass it")
    for name in needs:
        if not hasattr(kind, name):
            raise InputError(f"has no {name}", column=column, value=reference, hint=f"set {name} on the class")
    return kind
