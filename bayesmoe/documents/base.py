"""What every JSON document has: a name, a version, and the JSON Schema that it writes itself."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer


def _finite(value: Any) -> float | None:
    """None for what is not finite: JSON has no NaN."""
    return None if value is None or not math.isfinite(float(value)) else float(value)


Number = Annotated[float | None, BeforeValidator(_finite)]
"""A number, or null where there is none."""

Probability = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Experts = Annotated[int, Field(ge=1)]


def _open(schema: dict[str, Any]) -> None:
    # Written strictly and read leniently: a later version may add keys.
    schema.pop("additionalProperties", None)


class Section(BaseModel):
    """A part of a document. Keys that were not given are left out; those given as None are null."""

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_extra=_open)


class Document(Section):
    """A whole document.

    Attributes
    ----------
    kind : str
        Its ``schema`` is ``bayesmoe.<kind>``.
    version : int
        A version only gains keys; a key whose meaning or unit changes raises it.
    command : str
        What prints it.
    """

    kind: ClassVar[str]
    version: ClassVar[int]
    command: ClassVar[str]

    @classmethod
    def stamp(cls) -> dict[str, Any]:
        """The two keys that say what a document is."""
        return {"schema": f"bayesmoe.{cls.kind}", "schema_version": cls.version}

    @model_serializer(mode="wrap")
    def _stamped(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {**self.stamp(), **dump(self)}

    def as_dict(self) -> dict[str, Any]:
        """The document as plain data."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)

    def as_json(self) -> str:
        """The document as text."""
        return json.dumps(self.as_dict(), indent=2, allow_nan=False)

    @classmethod
    def __get_pydantic_json_schema__(cls, core: Any, handler: Any) -> dict[str, Any]:
        found = handler(core)
        schema = handler.resolve_ref_schema(found)
        schema["properties"] = {key: {"const": value} for key, value in cls.stamp().items()} | schema["properties"]
        schema["required"] = [*cls.stamp(), *schema.get("required", [])]
        return found

    @classmethod
    def schema_file(cls) -> str:
        """Name of its schema in ``docs/schemas``."""
        return f"{cls.kind}.v{cls.version}.json"

    @classmethod
    def schema_text(cls) -> str:
        """Its JSON Schema, as it stands in ``docs/schemas``."""
        head = {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": f"urn:bayesmoe:{cls.kind}:{cls.version}",
        }
        return json.dumps({**head, **cls.model_json_schema()}, indent=2) + "\n"


class Quantiles(Section):
    """Median and 90% band; null where there is none."""

    q05: Number
    q50: Number
    q95: Number

    @classmethod
    def of(cls, values: Iterable[Any]) -> Self:
        """From three numbers in the order of :data:`bayesmoe.units.QUANTILES`."""
        low, median, high = values
        return cls(q05=low, q50=median, q95=high)
