"""Spaces around values, trailing commas, and Excel's separator line."""

import pytest

from storemon_pipeline.ingestion.file_errors import IngestionError
from storemon_pipeline_tests.helpers.workspace import (
    HOURS,
    LEVELS,
    POLLS,
    SPECIAL,
    ZONES,
    Workspace,
    text,
)

AT = "2023-01-25 10:00:00"
ROWS = {
    "store_status.csv": (POLLS, ["1,active,2023-01-24 09:06:42.605777 UTC"]),
    "menu_hours.csv": (HOURS, ["1,4,00:00:00,10:00:00"]),
    "timezones.csv": (ZONES, ["1,Asia/Beirut"]),
    "special_hours.csv": (SPECIAL, ["1,2023-12-24,10:00,14:00", "1,2023-12-25,,"]),
    "service_levels.csv": (LEVELS, ["1,99.5"]),
}
SPACES = {
    "after each comma": lambda line: line.replace(",", ", "),
    "before each comma": lambda line: line.replace(",", " ,") + " ",
    "tabs": lambda line: "\t" + line.replace(",", "\t,\t") + "\t",
    "quotes, space after": lambda line: ", ".join(f'"{value}"' for value in line.split(",")),
    "quotes, space before": lambda line: " ,".join(f'"{value}"' for value in line.split(",")),
    "space in quotes": lambda line: ",".join(f'" {value} "' for value in line.split(",")),
}


def tables(workspace: Workspace) -> dict[str, list[tuple]]:
    """Return the ingested rows."""
    kinds = ("store_status", "business_hours", "store_timezone", "special_hours", "service_level")
    return {table: workspace.rows(table) for table in kinds}


@pytest.fixture
def plain(workspace: Workspace) -> dict[str, list[tuple]]:
    """Return the rows of the files without spaces, and empty the workspace."""
    for name, (header, rows) in ROWS.items():
        workspace.write(name, header, *rows)
    workspace.ingest()
    read = tables(workspace)
    assert all(read.values())
    workspace.empty()
    return read


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("spaced", SPACES.values(), ids=SPACES)
def test_spaces_around_any_value_are_ignored(workspace: Workspace, plain, spaced, newline):
    for name, (header, rows) in ROWS.items():
        lines = (spaced(line) for line in (header, *rows))
        workspace.put_bytes(name, text(*lines, newline=newline))
    workspace.ingest()
    assert workspace.quarantined() == []
    assert tables(workspace) == plain


def test_ids_that_differ_by_spaces_are_one_store(workspace: Workspace):
    workspace.write("store_status.csv", POLLS, f"a,active,{AT}", f" a ,inactive,{AT}")
    workspace.ingest()
    assert workspace.polls() == [("a", AT, "inactive")]


@pytest.mark.parametrize("end", [",", ", ", ",\t"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_trailing_comma_is_ignored(workspace: Workspace, plain, end, newline):
    for name, (header, rows) in ROWS.items():
        workspace.put_bytes(name, text(header, *(row + end for row in rows), newline=newline))
    workspace.ingest()
    assert workspace.quarantined() == []
    assert tables(workspace) == plain


def test_only_one_trailing_comma_is_ignored(workspace: Workspace):
    at = f"{AT} UTC"
    workspace.write(
        "store_status.csv",
        "store_id,note,timestamp_utc,status",
        f"1,,{at},active",
        f"2,,{at},active,",
        f'3,"a, b",{at},active,',
        f'"4",x,"{at}","active",',
        f"5,,{at},active,,",
        f"6,,{at},active,x",
        f"7,{at},active,",
        f'8,"a, b, c",{at},',
    )
    workspace.ingest()
    assert [store for store, _, _ in workspace.polls()] == ["1", "2", "3", "4"]
    assert [line for line, _ in workspace.bad_lines()] == [6, 7, 8, 9]
    texts = dict(workspace.bad_lines())
    assert texts[6] == f"5,,{at},active,,"


@pytest.mark.parametrize("first", ["sep=,", "SEP=,", "\ufeffsep=,"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_separator_line_is_skipped(workspace: Workspace, first, newline):
    for name, (header, rows) in ROWS.items():
        workspace.put_bytes(name, text(first, header, *rows, "bad", newline=newline))
    workspace.ingest()
    assert all(tables(workspace).values())
    # line numbers are those of the file
    assert workspace.bad_lines() == [(3 + len(rows), "bad") for _, rows in ROWS.values()]


def test_other_separator_in_separator_line_is_rejected(workspace: Workspace):
    workspace.write("store_status.csv", "sep=;", POLLS.replace(",", ";"), f"1;active;{AT}")
    with pytest.raises(IngestionError, match="Separate columns by commas, not by ';'"):
        workspace.ingest()


@pytest.mark.parametrize(
    "parts",
    [
        ["sep=,\n" + POLLS, f"\n1,active,{AT} UTC\n", f"2,active,{AT} UTC\nbad\n"],
        ["sep=,\n" + POLLS + "\n", f"1,active,{AT} UTC", f"\n2,active,{AT} UTC\nbad\n"],
        [f"sep=,\n{POLLS}\n1,active,{AT} UTC\n2,act", f"ive,{AT} UTC\nbad\n"],
    ],
)
def test_file_with_separator_line_is_read_incrementally(workspace: Workspace, parts):
    path = workspace.put_bytes("store_status.csv", b"")
    for part in parts:
        workspace.add(path.name, part)
        assert workspace.ingest_polls().reading in ("new", "appended", "unchanged")
    assert workspace.polls() == [("1", AT, "active"), ("2", AT, "active")]
    assert workspace.bad_lines() == [(5, "bad")]


def test_separator_line_alone_is_rejected(workspace: Workspace):
    workspace.write("store_status.csv", "sep=,")
    with pytest.raises(IngestionError, match="has no column store_id"):
        workspace.ingest()
