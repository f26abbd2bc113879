"""Precisions of weights: their bytes, and what engines and formats call them."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from bayesmoe.errors import InputError

Precision = Literal["bf16", "fp16", "fp8", "int8", "fp4", "mxfp4", "int4"]

TrainingPrecision = Literal["bf16", "fp8", "fp4"]
"""Precisions that matrices are multiplied in while training."""

BYTES_PER_WEIGHT: dict[Precision, float] = {
    "bf16": 2.0,
    "fp16": 2.0,
    "fp8": 1.0,
    "int8": 1.0,
    "fp4": 0.5625,
    "mxfp4": 0.53125,
    "int4": 0.53125,
}
"""Bytes of one weight, with the scales of its block: NVFP4 one byte in 16 weights, MXFP4 and int4 one in 32."""


def weight_bits(precision: Precision | TrainingPrecision) -> float:
    """Bits of one weight with the scales of its block."""
    return 8.0 * BYTES_PER_WEIGHT[precision]


def element_bits(precision: Precision | TrainingPrecision) -> int:
    """Bits of one element alone: 16, 8 or 4."""
    return int(weight_bits(precision))


def cache_element_bytes(precision: Precision) -> float:
    """Bytes of one cached element beside weights of a precision: one where they have eight bits or fewer, two otherwise."""
    return 1.0 if BYTES_PER_WEIGHT[precision] <= 1.0 else 2.0


_PRECISIONS: dict[str, Precision] = {
    "bfloat16": "bf16",
    "float16": "fp16",
    "half": "fp16",
    "float8": "fp8",
    "fp8e4m3": "fp8",
    "float8e4m3": "fp8",
    "float8e4m3fn": "fp8",
    "e4m3": "fp8",
    "float4": "fp4",
    "nvfp4": "fp4",
    "w8a8int8": "int8",
    "w4a16": "int4",
    "awq": "int4",
    "gptq": "int4",
}
"""Precisions as engines and formats call them."""


def canonical_precision(name: Any) -> Any:
    """The precision that a word means, such as "fp8" for "FP8", "float8" or "fp8_e4m3"; what is unknown comes back as it is."""
    if not isinstance(name, str):
        return name
    word = re.sub(r"[^a-z0-9]", "", name.lower())
    return _PRECISIONS.get(word, word if word in BYTES_PER_WEIGHT else name)


def _no_precision(how: Any) -> Any:
    if isinstance(how, str) and canonical_precision(how) in BYTES_PER_WEIGHT:
        raise InputError(
            "says how weights get fewer bits, not how many",
            column="serving.quantization",
            value=how,
            hint=f"write serving.precision = '{canonical_precision(how)}', and 'after training' or 'trained' here",
        )
    return how


QuantizationName = Annotated[Literal["after training", "trained"], BeforeValidator(_no_precision)]
"""How weights come to have fewer bits than in training."""

PrecisionName = Annotated[Precision, BeforeValidator(canonical_precision)]
TrainingPrecisionName = Annotated[TrainingPrecision, BeforeValidator(canonical_precision)]


def bytes_of(element: Any) -> Any:
    """Bytes of one element of a precision, given by its name."""
    return BYTES_PER_WEIGHT.get(canonical_precision(element), element)
