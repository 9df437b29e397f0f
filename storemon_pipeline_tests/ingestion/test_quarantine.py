"""Bad rows are quarantined verbatim, with file, line and reason; other rows are ingested."""

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from storemon_pipeline.ingestion import line_reader
from storemon_pipeline.uptime.messages import pluralize
from storemon_pipeline_tests.helpers.workspace import (
    HOURS,
    NOW,
    POLLS,
    ZONES,
    Workspace,
    gz,
    poll_rows,
    text,
)

AT = "2023-01-25 10:00:00 UTC"
ID = "must be a letter or digit followed by at most 63 letters, digits or ._:-"
INSTANT = "must be a timestamp like 2023-01-22 12:09:39.388884 UTC"


def stores(workspace: Workspace) -> list[str]:
    return [store for store, _, _ in workspace.polls()]


def test_bad_rows_have_file_line_text_and_reason(either_workspace: Workspace):
    workspace = either_workspace
    workspace.write(
        "store_status.csv",
        POLLS,
        *poll_rows(["1"]),
        f"2,closed,{AT}",
        *poll_rows(["3"]),
        "4,active",
    )
    workspace.write("store_status_2.csv.gz", POLLS, "5,Active,tomorrow", f"\t,?,{AT}")
    workspace.write("menu_hours.csv", HOURS, "1,0,09:00:00,17:00:00", "1,8,09:00:00,17:00:00")
    workspace.write("timezones.csv", ZONES, "1, ", "2,Asia/Tokyo")
    workspace.ingest()
    assert workspace.quarantined() == [
        (
            "store_status.csv",
            3,
            f"2,closed,{AT}",
            "status is 'closed' and must be active or inactive",
        ),
        ("store_status.csv", 5, "4,active", "2 values, but the header has 3 columns"),
        (
            "store_status_2.csv.gz",
            2,
            "5,Active,tomorrow",
            f"timestamp_utc is 'tomorrow' and {INSTANT}",
        ),
        (
            "store_status_2.csv.gz",
            3,
            f"\t,?,{AT}",
            f"store_id is empty and {ID}; status is '?' and must be active or inactive",
        ),
        (
            "menu_hours.csv",
            3,
            "1,8,09:00:00,17:00:00",
            "day_of_week is '8' and must be 0 (Monday) to 6 (Sunday)",
        ),
        (
            "timezones.csv",
            2,
            "1, ",
            "timezone_str is empty and must name a time zone, such as America/New_York",
        ),
    ]
    assert stores(workspace) == ["1", "3"]


def test_bad_row_references_its_ingest(either_workspace: Workspace):
    workspace = either_workspace
    workspace.write("store_status.csv", POLLS, "bad")
    workspace.ingest(run_id="first")
    workspace.add("store_status.csv", "worse\n")
    workspace.write("menu_hours.csv", HOURS, "bad")
    workspace.ingest(run_id="second")
    readings = {row[0]: row for row in workspace.rows("ingested_file")}
    found = {
        row_text: (file, *(readings[reading][index] for index in (1, 10)), at)
        for _, reading, file, _, row_text, _, at in workspace.rows("quarantined_row")
        if file == "store_status.csv"
    }
    assert found == {
        "bad": ("store_status.csv", "store_status.csv", "first", NOW),
        "worse": ("store_status.csv", "store_status.csv", "second", NOW),
    }


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("block_bytes", [64, 2**20])
def test_line_numbers_count_blank_lines_across_blocks(
    workspace: Workspace, monkeypatch, newline, block_bytes
):
    monkeypatch.setattr(line_reader, "BLOCK_BYTES", block_bytes)
    lines = [POLLS, "", "bad 3", "", "", *poll_rows(["1"]), "bad 7", "", *poll_rows("23456"), ""]
    lines += ["bad 15", "bad 16", *poll_rows(["7"]), "x,y,z", "a,b,c,d", "", "bad 21"]
    workspace.put_bytes("store_status.csv", text(*lines, newline=newline))
    result = workspace.ingest_polls()
    numbered = [(n, line) for n, line in enumerate(lines, 1)]
    assert workspace.bad_lines() == [numbered[n - 1] for n in (3, 7, 15, 16, 18, 19, 21)]
    assert (result.rows, result.bad_rows) == (14, 7)
    assert stores(workspace) == list("1234567")


def test_line_numbers_continue_in_appended_lines(workspace: Workspace):
    workspace.write("store_status.csv", POLLS, *poll_rows(["1"]), "", "bad 4")
    workspace.ingest()
    workspace.add("store_status.csv", "\nbad 6\r\n" + poll_rows(["2"])[0] + "\nbad 8\n")
    workspace.ingest()
    workspace.add("store_status.csv", "bad 9\n")
    workspace.ingest()
    assert workspace.bad_lines() == [(n, f"bad {n}") for n in (4, 6, 8, 9)]


QUOTES = {
    f'"2,active,{AT}': "unclosed quote",
    f'2,"active,{AT}': "unclosed quote",
    f'2,active,"{AT}': "unclosed quote",
    f'"2",active,{AT}"': f"timestamp_utc is '{AT}\"' and {INSTANT}",
    f'2,act"ive,{AT}': "status is 'act\"ive' and must be active or inactive",
    f'2,"act"ive,{AT}': "unclosed quote",
    '"': "unclosed quote",
    '"""': "unclosed quote",
    '""': "1 value, but the header has 3 columns",
    f'"2,active,{AT}"': "1 value, but the header has 3 columns",
    f'2,active,{AT},""': "4 values, but the header has 3 columns",
}


@pytest.mark.parametrize("row", QUOTES)
def test_stray_or_unclosed_quote_is_one_bad_row(workspace: Workspace, row):
    workspace.write("store_status.csv", POLLS, *poll_rows(["1"]), row, *poll_rows("345"), row)
    workspace.ingest()
    assert stores(workspace) == ["1", "3", "4", "5"]
    assert workspace.bad_lines() == [(3, row), (7, row)]
    assert {reason for *_, reason in workspace.quarantined()} == {QUOTES[row]}


@pytest.mark.parametrize(
    "row", ["2", "2,active", ",", f"2,active,{AT},,", f"2,active,{AT},5,6,7", " "]
)
def test_wrong_number_of_fields_is_one_bad_row(workspace: Workspace, row):
    workspace.write("store_status.csv", POLLS, row, *poll_rows("13"), row, *poll_rows("45"))
    workspace.ingest()
    assert stores(workspace) == ["1", "3", "4", "5"]
    assert workspace.bad_lines() == [(2, row), (5, row)]
    assert {reason for *_, reason in workspace.quarantined()} == {
        f"{pluralize(row.count(',') + 1, 'value')}, but the header has 3 columns"
    }


@pytest.mark.parametrize(
    "row", ["a\rb", f"2,active\r,{AT}", "\r", "\ra", f"2\r3,active,{AT}", "\r\r", '"a\rb"']
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_carriage_return_within_line_is_one_bad_row(workspace: Workspace, row, newline):
    lines = [POLLS, *poll_rows(["1"]), row, *poll_rows("345"), "bad"]
    workspace.put_bytes("store_status.csv", text(*lines, newline=newline))
    workspace.ingest()
    assert stores(workspace) == ["1", "3", "4", "5"]
    # the last carriage return before a line feed is part of the newline
    kept = (row + newline).removesuffix("\n").removesuffix("\r")
    assert workspace.bad_lines() == [*([(3, kept)] if kept else []), (7, "bad")]


def test_special_characters_are_stored_verbatim(either_workspace: Workspace):
    workspace = either_workspace
    odd = [
        "\x01\x1f\x7f",
        "\x85",
        "\u2028\u2029",
        "\x0b\x0c\x1c",
        "☃ é \U0001f35c",
        "%s %(a)s",
        "'--",
        "\\N",
        "\\.",
    ]
    workspace.write("store_status.csv", POLLS, *odd, *poll_rows(["1"]))
    workspace.ingest()
    assert workspace.bad_lines() == list(enumerate(odd, 2))
    assert stores(workspace) == ["1"]


def test_long_bad_row_is_stored_whole_with_short_reason(workspace: Workspace):
    row = f"{'x' * 500_000},active,{AT}"
    workspace.write("store_status.csv", POLLS, row)
    workspace.ingest()
    ((_, _, row_text, reason),) = workspace.quarantined()
    assert row_text == row
    assert len(reason) < 300


garbage = st.text(
    st.characters(exclude_characters="\n\0", exclude_categories=["Cs"])
    | st.sampled_from('",\r \t'),
    max_size=20,
)
nearly_rows = st.builds(
    ",".join,
    st.lists(
        st.sampled_from(["a", "active", AT, '"', '""', '"x"', "", "\r", "\ufeff"]), max_size=5
    ),
)


@settings(
    max_examples=settings.default.max_examples // 5,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@example(lines=["\ufeff"], block_bytes=2**20)
@example(lines=["\ra", '"', ""], block_bytes=2**20)
@given(
    lines=st.lists(garbage | nearly_rows, max_size=12),
    block_bytes=st.sampled_from([200, 2**20]),
)
def test_arbitrary_lines_between_valid_rows_are_quarantined(
    workspace: Workspace, monkeypatch, lines, block_bytes
):
    monkeypatch.setattr(line_reader, "BLOCK_BYTES", block_bytes)
    workspace.empty()
    written = [POLLS]
    for number, line in enumerate(lines):
        written += [f"good{number:02},active,{AT}", line]
    workspace.put_bytes("store_status.csv.gz", gz(text(*written)))
    workspace.ingest()
    good = [f"good{number:02}" for number in range(len(lines))]
    assert [store for store in stores(workspace) if store.startswith("good")] == good
    also_good = [store for store in stores(workspace) if not store.startswith("good")]
    assert set(also_good) <= {"a", "active", "x"}
    # a line ends with \n or \r\n
    expected = [
        (number, line.removesuffix("\r"))
        for number, line in enumerate(written, 1)
        if number % 2 == 1 and number > 1 and line.removesuffix("\r")
    ]
    rows = {(number, line) for number, line in expected if line in GOOD}
    assert workspace.bad_lines() == [bad for bad in expected if bad not in rows]


# valid rows that nearly_rows may generate
GOOD = {f"{store},active,{AT}" for store in ("a", "active", '"x"')}
