"""Words and traffic of a scenario: what people write becomes one form, once."""

from __future__ import annotations

import math

import pytest

from bayesmoe.costs.uncertain import Uncertain
from bayesmoe.errors import InputError
from bayesmoe.planning.reading import read_scenario
from bayesmoe.specs import to_toml

HEAD = "[training]\nbudget_flop = 1e21\n[serving]\noutput_tokens = 400\n"


@pytest.fixture
def read(tmp_path):
    """Read a scenario from its text, with the sentences said about it."""

    def reading(text: str):
        path, notes = tmp_path / "mine.toml", []
        path.write_text(text)
        return read_scenario(path, on_note=notes.append), [note.removeprefix(f"{path}: ") for note in notes]

    return reading


def test_users_times_requests_times_lengths(read):
    found, notes = read(HEAD + "[traffic]\nusers = 50e6\nrequests_per_user_per_day = 10\npeak_to_average = 3\n")
    assert found.serving.lifetime_tokens == pytest.approx(50e6 * 10 * 400 * 365)
    assert found.limits.output_tokens_per_s == pytest.approx(3 * 50e6 * 10 * 400 / 86_400)
    assert notes == ["[traffic] is 2.3M output tokens a second on average, and 73T in 365 days (serving.lifetime_tokens)"]


@pytest.mark.parametrize(
    ("line", "daily"),
    [
        ("output_tokens_per_s = 1e6", 8.64e10),
        ("output_tokens_per_day = 1e11", 1e11),
        ("output_tokens_per_month = 3e12", 3e12 * 12 / 365),
    ],
)
def test_tokens_of_a_time(read, line, daily):
    found, _ = read(f"{HEAD}[traffic]\n{line}\ndays = 100\n")
    assert found.serving.lifetime_tokens == pytest.approx(100 * daily)


def test_spreads_of_factors_add_up(read):
    text = HEAD.replace("400", "{ median = 400, log_sd = 0.4 }")
    found, _ = read(text + "[traffic]\nusers = { median = 1e6, log_sd = 0.3 }\nrequests_per_user_per_day = 5\n")
    assert isinstance(found.serving.lifetime_tokens, Uncertain)
    assert found.serving.lifetime_tokens.median == pytest.approx(1e6 * 5 * 400 * 365)
    assert found.serving.lifetime_tokens.log_sd == pytest.approx(math.hypot(0.3, 0.4))


def test_the_resolved_scenario_reads_as_itself(read):
    found, _ = read(HEAD + "accelerator = 'h100'\nprecision = 'FP8'\n[traffic]\noutput_tokens_per_s = 1e5\n")
    again, notes = read(to_toml(found))
    assert again == found
    assert notes == []


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (
            "output_tokens_per_s = 1\noutput_tokens_per_day = 1e5",
            "traffic.output_tokens_per_day: says the same as output_tokens_per_s",
        ),
        ("users = 1e6\noutput_tokens_per_day = 1e5", "traffic.users: says the same as output_tokens_per_day"),
        ("", "traffic.users: is required; give users and requests_per_user_per_day"),
        ("user = 1e6", "traffic.user: is not a known key; did you mean 'users'?"),
        ("users = 'many'", "traffic.users: "),
    ],
)
def test_traffic_that_is_none(read, lines, says):
    with pytest.raises(InputError) as caught:
        read(f"{HEAD}[traffic]\n{lines}\n")
    assert f"mine.toml, {says}" in str(caught.value)


def test_an_accelerator_of_several_is_said(read):
    found, notes = read(HEAD + "accelerator = 'A100'\n")
    assert found.serving.accelerator == "A100-SXM-80GB"
    assert notes == ["serving.accelerator: 'A100' is read as A100-SXM-80GB (80 GB)"]


@pytest.mark.parametrize(
    ("written", "share"), [("'MHA'", 1.0), ("'gqa'", 1 / 8), ("'GQA-4'", 1 / 4), ("'mla'", 576 / 32_768), ("0.25", 0.25)]
)
def test_attention_by_its_name(read, written, share):
    assert read(f"{HEAD}[architecture]\nkv_share = {written}\n")[0].architecture.kv_share == pytest.approx(share)


def test_an_attention_that_is_none(read):
    with pytest.raises(InputError, match=r"architecture\.kv_share: should be a valid number"):
        read(f"{HEAD}[architecture]\nkv_share = 'flash'\n")


@pytest.mark.parametrize(("written", "size"), [("'fp8'", 1.0), ("'BF16'", 2.0), ("0.5", 0.5)])
def test_a_cache_by_its_precision(read, written, size):
    assert read(f"{HEAD}bytes_per_kv_element = {written}\n")[0].serving.bytes_per_kv_element == size


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("dtype = 'fp8'", "write serving.precision."),
        ("gpu = 'H100'", "write serving.accelerator."),
        ("kv_cache_dtype = 'fp8'", "write serving.bytes_per_kv_element, such as 'fp8'."),
        ("output_tokens_per_s = 3", "write traffic.output_tokens_per_s."),
        ("max_gpu = 3", "did you mean 'max_gpus'?"),
        ("utilisation = 0.5", "did you mean 'utilization'?"),
        ("occupancy = 0.5", "write serving.utilization."),
    ],
)
def test_a_key_by_another_name(read, line, meant):
    with pytest.raises(InputError, match="is not a known key") as caught:
        read(HEAD + line)
    assert str(caught.value).endswith(meant)
