"""Reading run tables and deriving what can be derived, against numbers worked by hand."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import pandas as pd
import pytest

from bayesmoe.errors import InputError
from bayesmoe.runs import as_run_table, read_runs

TEXT = """run_id,loss,tokens,num_experts,n_dense,router
a,2.5,1e9,1,1e8,none
b,2.4,1e9,4,1e8,hash
c,2.3,1e9,8,1e8,base
d,2.2,1e9,16,1e8,hash
"""


def written(folder: Path, text: str = TEXT, name: str = "runs.csv") -> Path:
    """A run table as a file."""
    path = folder / name
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(text.encode()))
    elif name.endswith((".parquet", ".pq")):
        pd.read_csv(written(folder, text)).to_parquet(path)
    else:
        path.write_text(text)
    return path


def complaint(path: Path, **options) -> str:
    """What is said about a file, after its name."""
    with pytest.raises(InputError) as caught:
        read_runs(path, **options)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(path))
    return str(caught.value).removeprefix(str(path))


def table(**columns) -> pd.DataFrame:
    """Runs with a loss each."""
    frame = pd.DataFrame(columns)
    return frame.assign(loss=2.5)


def test_a_parquet_file_whose_text_is_no_text_is_refused(tmp_path):
    path = written(tmp_path, name="runs.parquet")
    found = path.read_bytes()
    assert found.count(b"hash") == 1
    path.write_bytes(found.replace(b"hash", b"\xb4ash"))
    assert complaint(path).startswith(": cannot be read (")


@pytest.mark.parametrize("name", ["runs.csv", "runs.csv.gz", "runs.parquet", "runs.pq"])
def test_every_format_gives_the_same_runs_and_the_checksum_of_its_file(tmp_path, name):
    path = written(tmp_path, name=name)
    found = read_runs(path)
    assert found.frame["run_id"].tolist() == ["a", "b", "c", "d"]
    assert found.frame["loss"].tolist() == [2.5, 2.4, 2.3, 2.2]
    assert found.frame["num_experts"].tolist() == [1, 4, 8, 16]
    assert found.frame["router"].tolist() == ["none", "hash", "base", "hash"]
    assert found.origin == str(path)
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert not found.simulated


def test_a_frame_from_memory_has_a_checksum_of_its_content_and_is_left_alone():
    frame = table(num_experts=[1, 2])
    before = frame.copy()
    found = as_run_table(frame)
    assert found.origin == "a DataFrame"
    assert found.sha256 == as_run_table(frame.copy()).sha256
    assert found.sha256 != as_run_table(frame.assign(loss=2.6)).sha256
    pd.testing.assert_frame_equal(frame, before)


# Columns


def test_your_column_names_are_mapped_to_ours(tmp_path):
    path = written(tmp_path, TEXT.replace("loss", "val_loss", 1).replace("n_dense", "N", 1))
    found = read_runs(path, columns={"loss": "val_loss", "n_dense": "N"})
    assert found.frame["loss"].tolist() == [2.5, 2.4, 2.3, 2.2]
    assert found.frame["n_dense"].tolist() == [1e8] * 4


def test_a_mapped_column_takes_the_place_of_the_files_own(tmp_path):
    text = "loss,val_loss,num_experts\n9.0,2.5,1\n9.0,2.4,2\n"
    assert read_runs(written(tmp_path, text), columns={"loss": "val_loss"}).frame["loss"].tolist() == [2.5, 2.4]


def test_a_column_mapped_to_itself_changes_nothing(tmp_path):
    assert read_runs(written(tmp_path), columns={"loss": "loss"}).frame["loss"].tolist() == [2.5, 2.4, 2.3, 2.2]


def test_two_columns_may_be_swapped(tmp_path):
    text = "loss,num_experts,top_k,n_active,n_total\n2.5,4,2,1.6e8,1.2e8\n"
    found = read_runs(written(tmp_path, text), columns={"n_active": "n_total", "n_total": "n_active"})
    assert found.frame[["n_active", "n_total"]].to_numpy().tolist() == [[1.2e8, 1.6e8]]


def test_a_mapped_column_must_be_in_the_file(tmp_path):
    says = ", los: is mapped to 'loss' but is not in the table; did you mean 'loss'?"
    assert complaint(written(tmp_path), columns={"loss": "los"}) == says


def test_a_mapping_must_be_to_a_column_of_ours(tmp_path):
    assert "did you mean 'tokens'" in complaint(written(tmp_path), columns={"token": "n_dense"})


def test_a_file_without_run_ids_numbers_them_by_row(tmp_path):
    path = written(tmp_path, "loss,num_experts\n2.5,1\n2.4,2\n2.3,4\n")
    assert read_runs(path).frame["run_id"].tolist() == ["row-2", "row-3", "row-4"]
    assert read_runs(path, select="num_experts > 1").frame["run_id"].tolist() == ["row-3", "row-4"]


def test_a_column_becomes_the_group_as_text(tmp_path):
    assert read_runs(written(tmp_path), group="router").frame["group"].tolist() == ["none", "hash", "base", "hash"]
    assert read_runs(written(tmp_path), group="num_experts").frame["group"].tolist() == ["1", "4", "8", "16"]


def test_the_group_column_must_be_in_the_table(tmp_path):
    says = ", routr: is named as the group column but is not in the table; did you mean 'router'?"
    assert complaint(written(tmp_path), group="routr") == says


def test_a_run_without_a_group_is_named(tmp_path):
    text = TEXT.replace("8,1e8,base", "8,1e8,")
    assert complaint(written(tmp_path, text), group="router").startswith(", row 4, router: must not be blank")


def test_a_run_without_a_group_may_be_selected_away(tmp_path):
    path = written(tmp_path, TEXT.replace("8,1e8,base", "8,1e8,"))
    assert read_runs(path, group="router", select="run_id != 'c'").frame["group"].tolist() == ["none", "hash", "hash"]


# Selection


@pytest.mark.parametrize(
    ("select", "kept"),
    [
        ("num_experts > 4", "cd"),
        ("router == 'hash'", "bd"),
        ("num_experts == 1 or loss < 2.3", "ad"),
        ("run_id != 'a'", "bcd"),
    ],
)
def test_rows_are_kept_where_the_expression_holds(tmp_path, select, kept):
    assert read_runs(written(tmp_path), select=select).frame["run_id"].tolist() == list(kept)


def test_selection_sees_the_mapped_names_and_the_group(tmp_path):
    path = written(tmp_path, TEXT.replace("loss", "val_loss", 1))
    found = read_runs(path, columns={"loss": "val_loss"}, group="router", select="loss < 2.45 and group == 'hash'")
    assert found.frame["run_id"].tolist() == ["b", "d"]


@pytest.mark.parametrize(
    ("select", "why"),
    [
        ("num_experts >", "invalid syntax"),
        ("n_experts > 1", "name 'n_experts' is not defined"),
        ("", "cannot be an empty string"),
    ],
)
def test_a_broken_expression_is_quoted_with_an_example(tmp_path, select, why):
    said = complaint(written(tmp_path), select=select)
    assert said.startswith(", select: cannot be evaluated (")
    assert why in said
    assert said.endswith(f"found {select!r}; write it over column names, such as \"n_dense > 1e8 and group == 'Hash'\".")


def test_an_expression_must_say_yes_or_no(tmp_path):
    # A column of counts: pandas would take them as row numbers and shuffle the runs.
    path = written(tmp_path, "loss,num_experts\n2.5,5\n2.4,3\n2.3,4\n2.2,2\n")
    assert complaint(path, select="num_experts").startswith(", select: must say yes or no of each run")


@pytest.mark.parametrize("select", ["num_experts + 1", "more = num_experts > 1", "1", "True"])
def test_neither_a_number_nor_an_assignment_says_yes_or_no(tmp_path, select):
    assert complaint(written(tmp_path), select=select).startswith(", select: ")


def test_an_expression_that_keeps_nothing(tmp_path):
    says = ", select: keeps no run, found 'num_experts > 99'; loosen it."
    assert complaint(written(tmp_path), select="num_experts > 99") == says


def test_a_broken_run_may_be_selected_away(tmp_path):
    path = written(tmp_path, TEXT.replace("c,2.3", "c,-2.3"))
    assert len(read_runs(path, select="run_id != 'c'").frame) == 3


# Row numbers: the header is line 1


@pytest.mark.parametrize(("name", "row"), [("a", 2), ("b", 3), ("c", 4), ("d", 5)])
@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet"])
def test_the_header_is_line_1(tmp_path, name, row, suffix):
    lines = TEXT.splitlines()
    text = "\n".join("e,-1,1e9,1,1e8,x" if line.startswith(f"{name},") else line for line in lines)
    said = complaint(written(tmp_path, text, f"runs{suffix}"))
    assert (
        said == f", row {row}, loss: must be positive, found -1.0; losses are nats per token; remove the run or correct it."
    )


def test_row_numbers_survive_selection(tmp_path):
    path = written(tmp_path, TEXT.replace("d,2.2", "d,-2.2"))
    assert complaint(path, select="num_experts > 4").startswith(", row 5, loss: must be positive")


def test_both_rows_of_a_run_that_stands_twice_survive_selection(tmp_path):
    path = written(tmp_path, TEXT.replace("\nd,", "\nb,"))
    assert "it stands in rows 3, 5" in complaint(path, select="num_experts > 1")


def test_row_numbers_are_those_of_the_file_whatever_the_frames_index():
    frame = table(num_experts=[1, -1]).set_axis([70, 3])
    with pytest.raises(InputError, match="a DataFrame, row 3, num_experts: must be at least 1"):
        as_run_table(frame)


def test_a_blank_line_counts(tmp_path):
    path = written(tmp_path, TEXT.replace("b,", "\nb,").replace("d,2.2", "d,-2.2"))
    assert complaint(path).startswith(", row 6, loss: must be positive")


def test_runs_without_ids_are_numbered_by_the_line_they_stand_in(tmp_path):
    path = written(tmp_path, "loss,num_experts\n2.5,1\n\n2.4,2\n")
    assert read_runs(path).frame["run_id"].tolist() == ["row-2", "row-4"]


def test_a_blank_line_above_the_header_changes_nothing_but_the_row_numbers(tmp_path):
    assert read_runs(written(tmp_path, "\n" + TEXT)).frame["run_id"].tolist() == ["a", "b", "c", "d"]
    path = written(tmp_path, "\n" + TEXT.replace("b,2.4", "b,-2.4"))
    assert complaint(path).startswith(", row 4, loss: must be positive")


def test_a_blank_line_leaves_whole_numbers_whole(tmp_path):
    path = written(tmp_path, "run_id,loss,num_experts\n7,2.5,1\n\n8,2.4,2\n")
    assert read_runs(path).frame["run_id"].tolist() == ["7", "8"]


def test_rows_of_a_parquet_file_are_counted_whatever_index_it_brings(tmp_path):
    frame = pd.DataFrame({"loss": [2.5, -2.4], "num_experts": [1, 2]}, index=[500, 900])
    frame.to_parquet(tmp_path / "runs.parquet")
    assert complaint(tmp_path / "runs.parquet").startswith(", row 3, loss: must be positive")


# Files


def test_a_missing_file(tmp_path):
    assert complaint(tmp_path / "none.csv") == ": no such file; check the path."


@pytest.mark.parametrize("name", ["runs.xlsx", "runs.txt", "runs", "runs.csv.zip"])
def test_an_unknown_suffix(tmp_path, name):
    says = ": is neither CSV, Parquet nor JSON; export the runs as .csv, .parquet or .json."
    assert complaint(written(tmp_path, name=name)) == says


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("plain.csv.gz", TEXT.encode()),
        ("cut.csv.gz", gzip.compress(TEXT.encode(), mtime=0)[:-12]),
        ("text.parquet", TEXT.encode()),
        ("short.parquet", b"x"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_unreadable_file(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    said = complaint(tmp_path / name)
    assert said.startswith(": cannot be read (")
    assert said.endswith("); export the runs again.")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", ": is empty; add a header and one row a trained model."),
        ("loss,num_experts\n2,1\n2,1,1,1\n", ", row 3: must have 2 values like the header, found 4; "),
    ],
)
def test_a_file_that_is_no_table(tmp_path, content, says):
    assert complaint(written(tmp_path, content)).startswith(says)


def test_a_table_with_a_header_alone(tmp_path):
    assert complaint(written(tmp_path, TEXT.splitlines()[0] + "\n")) == ": has no runs; add one row a trained model."


def test_a_missing_loss(tmp_path):
    said = complaint(written(tmp_path, TEXT.replace("loss", "losss", 1)))
    assert said == (
        ", loss: is missing (final loss, nats/token); map your own name with --map loss=YOUR_COLUMN (did you mean 'losss'?)."
    )


def test_lines_longer_than_the_header_never_shift_the_columns(tmp_path):
    # A trailing comma on every line: pandas would take run_id as an index and read top_k as the number of experts.
    path = written(tmp_path, "run_id,loss,num_experts,top_k\na,2.5,4,2,\nb,2.4,8,2,\n")
    try:
        found = read_runs(path).frame
    except InputError:
        return
    assert found[["loss", "num_experts", "top_k"]].to_numpy().tolist() == [[2.5, 4, 2], [2.4, 8, 2]]


@pytest.mark.filterwarnings("ignore::pandas.errors.ParserWarning")
def test_a_line_with_a_surplus_value_is_refused(tmp_path):
    path = written(tmp_path, "run_id,loss,num_experts,top_k\na,2.5,4,2,9\nb,2.4,8,2,9\n")
    assert complaint(path)


def test_a_column_that_stands_twice_in_a_file_is_named(tmp_path):
    assert complaint(written(tmp_path, "loss,loss,num_experts\n2.5,2.4,1\n")).startswith(", loss: stands more than once")


def test_a_column_that_stands_twice_is_named():
    frame = pd.DataFrame([[2.5, 2.4, 1]], columns=["loss", "loss", "num_experts"])
    with pytest.raises(InputError, match="loss"):
        as_run_table(frame)


LEVERAGES = """leverage,train_flop,activation_ratio,granularity
1.0,1e20,1,1
3.0,1e21,0.125,12
7.2,1e22,0.03125,24
"""


def test_a_table_of_leverages_needs_no_expert_count_and_derives_nothing(tmp_path):
    found = read_runs(written(tmp_path, LEVERAGES), response="leverage")
    assert found.frame["leverage"].tolist() == [1.0, 3.0, 7.2]
    assert found.frame["run_id"].tolist() == ["row-2", "row-3", "row-4"]
    assert (found.derived, found.missing) == ((), ())


def test_a_table_of_leverages_is_no_table_of_losses(tmp_path):
    assert complaint(written(tmp_path, LEVERAGES)).startswith(", loss: is missing (final loss, nats/token); ")
    assert complaint(written(tmp_path), response="leverage").startswith(", leverage: is missing (")
