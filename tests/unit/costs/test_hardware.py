"""Accelerators: the datasheets' figures, their order, files of the user's own, and the cure for a wrong name."""

from __future__ import annotations

import itertools
import typing

import pytest

from bayesmoe.costs.hardware import ACCELERATORS, accelerator_named, canonical_accelerator
from bayesmoe.costs.precisions import BYTES_PER_WEIGHT, Precision, canonical_precision
from bayesmoe.costs.uncertain import median
from bayesmoe.errors import InputError

DATASHEETS = {
    # Dense TFLOP/s in BF16, FP8 and FP4 (or the next wider kind), TB/s, GB, GB/s of link each way.
    "A100-SXM-40GB": (312, 312, 312, 1.555, 40, 300),
    "A100-SXM-80GB": (312, 312, 312, 2.039, 80, 300),
    "H100-PCIe": (756, 1513, 1513, 2.0, 80, 64),
    "H100-NVL": (835, 1671, 1671, 3.9, 94, 300),
    "H100-SXM": (989, 1979, 1979, 3.35, 80, 450),
    "H200-SXM": (989, 1979, 1979, 4.8, 141, 450),
    # A DGX B200 and an HGX B300 over eight, NVL72 racks over 72; figures printed with sparsity halved.
    "B200-SXM": (72e3 / 2 / 16, 72e3 / 2 / 8, 144e3 / 2 / 8, 64 / 8, 1440 / 8, 14.4e3 / 8 / 2),
    "B300-SXM": (36e3 / 2 / 8, 72e3 / 2 / 8, 108e3 / 8, 64 / 8, 288, 14.4e3 / 8 / 2),
    "GB200": (360e3 / 2 / 72, 720e3 / 2 / 72, 1440e3 / 2 / 72, 576 / 72, 186, 130e3 / 72 / 2),
    "GB300": (360e3 / 2 / 72, 720e3 / 2 / 72, 1080e3 / 72, 576 / 72, 288, 130e3 / 72 / 2),
    "MI300X": (1307, 2615, 2615, 5.3, 192, 7 * 64),
}
GENERATIONS = ("A100-SXM-40GB", "A100-SXM-80GB", "H100-SXM", "H200-SXM", "B200-SXM", "B300-SXM")
FIGURES = ("peak_flop_per_s", "peak_fp8_flop_per_s", "peak_fp4_flop_per_s", "bandwidth_bytes_per_s", "memory_bytes")
OWN = """\
peak_flop_per_s = 1e15
bandwidth_bytes_per_s = 3e12
memory_bytes = 9e10
link_bytes_per_s = 4e11
price_usd_per_hour = 3
"""


@pytest.fixture
def own(tmp_path):
    """Read a text as an accelerator."""

    def read(text):
        (tmp_path / "own.toml").write_text(text)
        return accelerator_named(str(tmp_path / "own.toml"))

    return read


@pytest.mark.parametrize("name", ACCELERATORS)
def test_figures_are_the_datasheets(name):
    found = accelerator_named(name)
    *peaks, bandwidth, memory, link = DATASHEETS[name]
    assert [found.peak_flop_per_s, found.peak_fp8_flop_per_s, found.peak_fp4_flop_per_s] == [1e12 * peak for peak in peaks]
    assert (found.bandwidth_bytes_per_s, found.memory_bytes) == (bandwidth * 1e12, memory * 1e9)
    # 130 TB/s of a rack are 1.8 of each, rounded.
    assert found.link_bytes_per_s == pytest.approx(link * 1e9, rel=0.005)
    assert ("AMD" if name == "MI300X" else "NVIDIA") in found.source


@pytest.mark.parametrize("name", ACCELERATORS)
def test_narrow_kinds_are_no_slower_and_figures_hang_together(name):
    found = accelerator_named(name)
    assert found.peak_flop_per_s <= found.peak_fp8_flop_per_s <= found.peak_fp4_flop_per_s
    # Memory is read in 20 to 60 ms, the link is slower than memory, and a byte pays off at 100 FLOP or more.
    assert 0.02 < found.memory_bytes / found.bandwidth_bytes_per_s < 0.06
    assert found.link_bytes_per_s < found.bandwidth_bytes_per_s
    assert 100 < found.peak_flop_per_s / found.bandwidth_bytes_per_s < 500
    assert 0.5 < median(found.price_usd_per_hour) < 10


@pytest.mark.parametrize("figure", [*FIGURES, "link_bytes_per_s"])
def test_a_newer_accelerator_has_no_less(figure):
    for older, newer in itertools.pairwise(GENERATIONS):
        assert getattr(ACCELERATORS[older], figure) <= getattr(ACCELERATORS[newer], figure)
    assert getattr(ACCELERATORS["GB200"], figure) <= getattr(ACCELERATORS["GB300"], figure)


def test_a_newer_accelerator_costs_no_less():
    prices = [median(ACCELERATORS[name].price_usd_per_hour) for name in GENERATIONS]
    assert prices == sorted(prices)


def test_bytes_of_weights_hold_the_scales_of_their_blocks():
    assert set(BYTES_PER_WEIGHT) == set(typing.get_args(Precision))
    assert BYTES_PER_WEIGHT["bf16"] == BYTES_PER_WEIGHT["fp16"] == 2
    assert BYTES_PER_WEIGHT["fp8"] == BYTES_PER_WEIGHT["int8"] == 1
    assert BYTES_PER_WEIGHT["fp4"] == 1 / 2 + 1 / 16
    assert BYTES_PER_WEIGHT["mxfp4"] == BYTES_PER_WEIGHT["int4"] == 1 / 2 + 1 / 32


@pytest.mark.parametrize("precision", BYTES_PER_WEIGHT)
def test_weights_are_multiplied_as_narrow_as_the_chip_can(precision):
    of_b200 = {"fp8": 4500e12, "int8": 4500e12, "mxfp4": 4500e12, "fp4": 9000e12}
    assert ACCELERATORS["B200-SXM"].peak(precision) == of_b200.get(precision, 2250e12)
    # Without units for four bits their weights are widened to sixteen.
    assert ACCELERATORS["H100-SXM"].peak(precision) == {"fp8": 1979e12, "int8": 1979e12}.get(precision, 989e12)
    assert ACCELERATORS["A100-SXM-80GB"].peak(precision) == 312e12


def test_an_accelerator_of_ones_own_has_the_next_wider_peaks_where_left_out(own):
    found = own(OWN)
    assert found.peak_flop_per_s == found.peak_fp8_flop_per_s == found.peak_fp4_flop_per_s == 1e15
    assert (found.bandwidth_bytes_per_s, found.memory_bytes, found.link_bytes_per_s) == (3e12, 9e10, 4e11)
    assert found.price_usd_per_hour == 3
    assert found.source.endswith("own.toml")
    assert own(OWN + "peak_fp8_flop_per_s = 2e15\n").peak_fp4_flop_per_s == 2e15
    four = own(OWN + "peak_fp4_flop_per_s = 4e15\n")
    assert (four.peak_fp8_flop_per_s, four.peak_fp4_flop_per_s) == (1e15, 4e15)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        (("memory_bytes = 9e10", "memory_bytes = -1"), "memory_bytes: should be greater than or equal to 0, found -1."),
        (("price_usd_per_hour = 3", "price_usd_per_hour = -3"), "price_usd_per_hour: should be greater than 0, found -3."),
        (("memory_bytes = 9e10\n", ""), "memory_bytes: is required; add it."),
        (("memory_bytes", "memory_byte"), "memory_byte: is not a known key; did you mean 'memory_bytes'?"),
    ],
)
def test_a_broken_file_is_refused_by_its_key(own, changed, says):
    with pytest.raises(InputError) as caught:
        own(OWN.replace(*changed))
    assert str(caught.value).endswith(f"own.toml, {says}")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"gone\.toml: no such file"):
        accelerator_named(str(tmp_path / "gone.toml"))


def test_a_near_miss_is_told_the_right_name():
    with pytest.raises(InputError, match="did you mean 'H100-SXM'") as caught:
        accelerator_named("H100-SMX")
    assert caught.value.value == "H100-SMX"


def test_a_wild_name_is_told_all_names():
    with pytest.raises(InputError) as caught:
        accelerator_named("abacus")
    assert all(name in str(caught.value) for name in DATASHEETS)


@pytest.mark.parametrize(
    ("written", "known"),
    [
        ("H100", "H100-SXM"),
        ("h100 sxm", "H100-SXM"),
        ("NVIDIA H100 80GB HBM3", "H100-SXM"),
        ("H100-SXM5-80GB", "H100-SXM"),
        ("H100 PCIe", "H100-PCIe"),
        ("h100 94GB", "H100-NVL"),
        ("H200", "H200-SXM"),
        ("B200", "B200-SXM"),
        ("B200 192GB", "B200-SXM"),
        ("GB200 NVL72", "GB200"),
        ("a100", "A100-SXM-80GB"),
        ("A100 40", "A100-SXM-40GB"),
        ("mi300x", "MI300X"),
        ("own.toml", "own.toml"),
    ],
)
def test_an_accelerator_by_the_name_that_people_write(written, known):
    assert canonical_accelerator(written) == known


@pytest.mark.parametrize("written", ["A10", "H20", "GH200", "A100-PCIe", "H1000", "TPU", "", "80GB", "SXM"])
def test_a_name_that_is_another_chip_or_none(written):
    with pytest.raises(ValueError, match="is not a known accelerator"):
        canonical_accelerator(written)


def test_every_accelerator_is_called_by_its_own_name_in_any_case():
    for known in ACCELERATORS:
        assert canonical_accelerator(known.lower().replace("-", " ")) == known


@pytest.mark.parametrize(
    ("written", "known"),
    [
        ("FP8", "fp8"),
        ("float8_e4m3fn", "fp8"),
        ("bfloat16", "bf16"),
        ("NVFP4", "fp4"),
        ("MXFP4", "mxfp4"),
        ("W4A16", "int4"),
    ],
)
def test_a_precision_by_the_name_that_people_write(written, known):
    assert canonical_precision(written) == known
    assert canonical_precision("fp7") == "fp7"
