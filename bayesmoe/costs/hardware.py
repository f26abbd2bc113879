"""Accelerators as data: peaks by precision, bandwidth, memory, interconnect and network, and where the figures come from."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from bayesmoe.costs.precisions import BYTES_PER_WEIGHT, Precision
from bayesmoe.costs.uncertain import Positive, Quantity, Uncertain
from bayesmoe.errors import InputError, nearest
from bayesmoe.specs import read_toml, spec
from bayesmoe.units import BYTES_PER_GB

NotNegative = Annotated[float, Field(ge=0)]


@dataclass(frozen=True)
class Accelerator:
    """One accelerator; peaks without sparsity.

    Parameters
    ----------
    peak_flop_per_s : float
        Peak in bfloat16, FLOP per second.
    peak_fp8_flop_per_s, peak_fp4_flop_per_s : float
        Peaks with weights and activations of eight and four bits; those of the next wider kind where the chip has none.
    bandwidth_bytes_per_s : float
        Memory bandwidth, bytes per second.
    memory_bytes : float
        Memory, bytes (1 GB = 1e9 bytes).
    link_bytes_per_s : float
        Interconnect within a node, bytes per second, accelerator and direction.
    price_usd_per_hour : quantity
        What an hour costs where a scenario does not say: an assumption of this project of November 2025, no quote.
    source : str
        Where the figures are printed.
    node_gpus : int
        Accelerators that the interconnect joins: a server, or a rack where the interconnect spans it.
    network_bytes_per_s : float
        Network between nodes, bytes per second, accelerator and direction, in the vendor's reference design.
    kw_all_in : float, optional
        Power of one accelerator with its share of server, network and cooling, kW.
    """

    peak_flop_per_s: float
    peak_fp8_flop_per_s: float
    peak_fp4_flop_per_s: float
    bandwidth_bytes_per_s: float
    memory_bytes: float
    link_bytes_per_s: float
    price_usd_per_hour: Quantity
    source: str
    node_gpus: int = 8
    network_bytes_per_s: float = 50.0 * BYTES_PER_GB
    kw_all_in: float | None = None

    @property
    def vendor(self) -> str:
        """Who prints its figures: the first word of the source."""
        return self.source.split()[0]

    @property
    def multiplies_fp4(self) -> bool:
        """Whether four-bit weights meet four-bit activations at a peak of their own."""
        return self.peak_fp4_flop_per_s > self.peak_fp8_flop_per_s

    def peak(self, precision: Precision) -> float:
        """Peak at which weights kept in a precision are multiplied, FLOP per second.

        Weights of four bits are multiplied in 16 where the chip has no units for them (W4A16: GPTQ, AWQ, MXFP4 on Hopper), and always where
        they are integers; MXFP4 meets activations of eight bits on chips that have.
        """
        if BYTES_PER_WEIGHT[precision] > 1.0 or precision == "int4":
            return self.peak_flop_per_s
        if precision in ("fp4", "mxfp4"):
            narrow = self.peak_fp4_flop_per_s if precision == "fp4" else self.peak_fp8_flop_per_s
            return narrow if self.multiplies_fp4 else self.peak_flop_per_s
        return self.peak_fp8_flop_per_s


def _accelerator(
    bf16: float, fp8: float, fp4: float, bandwidth: float, gigabytes: float, link: float, usd: float, source: str
) -> Accelerator:
    """Peaks in TFLOP/s, bandwidth in TB/s, memory in GB, link in GB/s."""
    price = Uncertain(median=usd, log_sd=0.4)
    return Accelerator(
        bf16 * 1e12,
        fp8 * 1e12,
        fp4 * 1e12,
        bandwidth * 1e12,
        gigabytes * BYTES_PER_GB,
        link * BYTES_PER_GB,
        price,
        source,
    )


_CHIPS = {
    "A100-SXM-40GB": _accelerator(312, 312, 312, 1.555, 40, 300, 1.2, "NVIDIA A100 datasheet, 2021"),
    "A100-SXM-80GB": _accelerator(312, 312, 312, 2.039, 80, 300, 1.5, "NVIDIA A100 datasheet, 2021"),
    "H100-PCIe": _accelerator(756, 1513, 1513, 2.0, 80, 64, 2.0, "NVIDIA H100 datasheet, 2023"),
    "H100-NVL": _accelerator(835, 1671, 1671, 3.9, 94, 300, 2.2, "NVIDIA H100 NVL datasheet, 2024"),
    "H100-SXM": _accelerator(989, 1979, 1979, 3.35, 80, 450, 2.2, "NVIDIA H100 datasheet, 2023"),
    "H200-SXM": _accelerator(989, 1979, 1979, 4.8, 141, 450, 2.8, "NVIDIA H200 datasheet, 2024"),
    "B200-SXM": _accelerator(2250, 4500, 9000, 8.0, 180, 900, 4.5, "NVIDIA DGX B200 datasheet, 2024"),
    "B300-SXM": _accelerator(2250, 4500, 13500, 8.0, 288, 900, 5.5, "NVIDIA HGX B300 specifications, 2025"),
    "GB200": _accelerator(2500, 5000, 10000, 8.0, 186, 900, 5.0, "NVIDIA GB200 NVL72 specifications, 2024"),
    "GB300": _accelerator(2500, 5000, 15000, 8.0, 288, 900, 6.0, "NVIDIA GB300 NVL72 specifications, 2025"),
    "MI300X": _accelerator(1307, 2615, 2615, 5.3, 192, 448, 2.0, "AMD Instinct MI300X datasheet, 2023"),
}

_NODES = {
    "A100-SXM-40GB": (8, 25.0),
    "A100-SXM-80GB": (8, 25.0),
    "B300-SXM": (8, 100.0),
    "GB200": (72, 50.0),
    "GB300": (72, 100.0),
}
"""Accelerators of a node, and GB/s of its network for each, where they are not 8 and 50 (NVIDIA DGX A100, DGX B300 and NVL72 specifications)."""

_KW: dict[str, float] = dict(zip(("H100-SXM", "H200-SXM", "MI300X"), (1.37, 1.37, 1.39), strict=True))
_KW |= dict(zip(("B200-SXM", "B300-SXM", "GB200", "GB300"), (1.71, 1.9, 1.87, 2.12), strict=True))
"""kW of a GPU with its share of server, network and cooling: constants of SemiAnalysis InferenceX of 15 August 2026."""

ACCELERATORS: dict[str, Accelerator] = {
    name: replace(chip, node_gpus=node_gpus, network_bytes_per_s=network * BYTES_PER_GB, kw_all_in=_KW.get(name))
    for name, chip in _CHIPS.items()
    for node_gpus, network in (_NODES.get(name, (8, 50.0)),)
}


USUAL = ("A100-SXM-80GB", "H100-SXM")
"""What a name means that several accelerators share: "A100" and "H100" are those of most clouds."""

OWN_FILE = "or name a TOML file with its figures"
"""What to do about an accelerator that is not known."""

_SAID_BESIDE = {
    "nvidia",
    "amd",
    "instinct",
    "tesla",
    "gpu",
    "hgx",
    "dgx",
    "tensor",
    "core",
    "hbm3",
    "hbm3e",
    "hbm2e",
    "nvl72",
}
"""Words beside a model that name no other chip."""

_SAME_MEMORY = 0.08
"""Difference up to which memory printed in a name is that of an accelerator: of 192 GB, 180 are free to use."""


def _words(name: str) -> tuple[set[str], float | None]:
    """Words of an accelerator's name, and the memory in it in GB."""
    text = name.lower()
    memory = re.search(r"(\d+)\s*gi?b?\b", text)
    text = text.replace(memory[0], " ") if memory else text
    words = set(re.findall(r"[a-z]*\d+[a-z]?(?![a-z0-9])|[a-z]+\d*", re.sub(r"sxm\d?", " sxm ", text)))
    return words - _SAID_BESIDE, float(memory[1]) if memory else None


def _is_model(word: str) -> bool:
    return any(map(str.isdigit, word)) and not word.isdigit()


def _meant(name: str) -> list[str]:
    """Known accelerators that a name may mean."""
    words, memory = _words(name)
    # "A100 40" has its memory without a unit.
    sizes = {word for word in words if word.isdigit()}
    memory = float(sizes.pop()) if memory is None and len(sizes) == 1 else memory
    words = {word for word in words if not word.isdigit()}
    if not any(map(_is_model, words)):
        return []
    return [
        known
        for known, chip in ACCELERATORS.items()
        if words <= _words(known)[0] | ({"mi300"} if known == "MI300X" else set())
        if memory is None or abs(memory * BYTES_PER_GB / chip.memory_bytes - 1.0) <= _SAME_MEMORY
    ]


def canonical_accelerator(name: Any) -> Any:
    """The known accelerator that a name means, such as "H100-SXM" for "h100", "NVIDIA H100 SXM5" or "H100-SXM5-80GB".

    A name that several share is the one of :data:`USUAL`. What is no text, and the path of a TOML file, comes back as it is.

    Raises
    ------
    ValueError
        No known accelerator, or several that are all unusual, are called that.
    """
    if not isinstance(name, str) or name in ACCELERATORS or name.endswith(".toml"):
        return name
    meant = _meant(name)
    usual = [one for one in meant if one in USUAL]
    if len(meant) == 1 or usual:
        return (usual or meant)[0]
    if meant:
        raise ValueError(f"could be any of {', '.join(meant)}")
    raise ValueError(f"is not a known accelerator ({unknown_hint(name)})")


AcceleratorName = Annotated[str, AfterValidator(canonical_accelerator)]
"""A known name however it is written, or a TOML file."""


def unknown_hint(name: str) -> str:
    """What to do about a name that no known accelerator has: those of the same model, or all."""
    words = set(filter(_is_model, _words(name)[0]))
    same = [known for known in ACCELERATORS if words & _words(known)[0]]
    return (
        nearest(name, same).replace("known:", "known of this chip:")
        if same
        else f"known: {', '.join(ACCELERATORS)}, {OWN_FILE}"
    )


@spec
class AcceleratorSpec:
    """An accelerator of the user's own, as read from a TOML file; see :class:`Accelerator`.

    Peaks in eight and four bits are those of the next wider kind where left out, and nodes have eight accelerators on 400 Gbit/s each.
    """

    peak_flop_per_s: NotNegative
    peak_fp8_flop_per_s: NotNegative | None = None
    peak_fp4_flop_per_s: NotNegative | None = None
    bandwidth_bytes_per_s: NotNegative
    memory_bytes: NotNegative
    link_bytes_per_s: Positive
    price_usd_per_hour: Quantity
    node_gpus: Annotated[int, Field(ge=1)] = 8
    network_bytes_per_s: Positive = 50.0 * BYTES_PER_GB
    kw_all_in: Positive | None = None


def accelerator_named(name: str) -> Accelerator:
    """The accelerator that a name means (:func:`canonical_accelerator`), or of a TOML file.

    Raises
    ------
    InputError
        There is no such accelerator (with the nearest known one) or file, or the file breaks a rule.
    """
    if name.endswith(".toml"):
        chip = read_toml(name, AcceleratorSpec)
        narrow = chip.peak_flop_per_s if chip.peak_fp8_flop_per_s is None else chip.peak_fp8_flop_per_s
        return Accelerator(
            chip.peak_flop_per_s,
            narrow,
            narrow if chip.peak_fp4_flop_per_s is None else chip.peak_fp4_flop_per_s,
            chip.bandwidth_bytes_per_s,
            chip.memory_bytes,
            chip.link_bytes_per_s,
            chip.price_usd_per_hour,
            name,
            chip.node_gpus,
            chip.network_bytes_per_s,
            chip.kw_all_in,
        )
    try:
        return ACCELERATORS[canonical_accelerator(name)]
    except ValueError as error:
        raise InputError(str(error), column="accelerator", value=name) from error
