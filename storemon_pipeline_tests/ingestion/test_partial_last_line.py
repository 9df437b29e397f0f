"""A last line without a newline is read if it cannot be the start of a longer one."""

import logging

import pytest

from storemon_pipeline_tests.helpers.workspace import POLLS, Workspace, poll_rows, text

STATUS_LAST = "store_id,timestamp_utc,status"
AT = "2023-01-25 10:00:00"

# header, complete line
WHOLE = [
    (POLLS, f"9,active,{AT} UTC"),
    (POLLS, f"9,active,{AT}.123 UTC"),
    (POLLS, "9,active,2023-01-25T10:00:00Z"),
    (POLLS, "9,active,2023-01-25T10:00:00+00:00"),
    (POLLS, f'9,active,"{AT} UTC"'),
    (POLLS, f"9,active,{AT} utc"),
    (POLLS, f"9,active,{AT} GMT"),
    (POLLS, f"9,active,{AT}.1234567 +00:00"),
    (POLLS, f"9,active,{AT} +0000 UTC"),
    (STATUS_LAST, f"9,{AT},active"),
    (STATUS_LAST, f"9,{AT},inactive"),
    (STATUS_LAST, f"9,{AT}, Active"),
    (STATUS_LAST, f'9,{AT},"ACTIVE"'),
]
# header, partial line, missing rest
CUT = [
    (POLLS, "9,active,2023-01-25 10:00:0", "0"),
    (POLLS, "9,active,2023-01-25 10:00:00", ".25"),
    (POLLS, "9,active,2023-01-25 10:00:00.12", "5 UTC"),
    (POLLS, "9,active,2023-01-25 10:00:00 ", "UTC"),
    (POLLS, "9,active,2023-01-25 10:00:00 UT", "C"),
    (POLLS, "9,active,2023-01-25 10:00:00.1234567", "89 UTC"),
    (POLLS, "9,active,2023-01-25 10:00:00 +0000 U", "TC"),
    (POLLS, "9,active,2023-01-25 10:00:00 +00", "30"),
    (POLLS, "9,active,2023-01-25 10:00:00+05", ":30"),
    (POLLS, "9,active,2023-01-25 10:00:00+05:3", "0"),
    (POLLS, "9,active,", f"{AT} UTC"),
    (POLLS, "9,act", f"ive,{AT} UTC"),
    (POLLS, "9", f"9,active,{AT} UTC"),
    (POLLS, f'9,active,"{AT} UTC', '"'),
    (POLLS, f'"9,active,{AT} UTC', f'",active,{AT}'),
    (STATUS_LAST, f"9,{AT},inact", "ive"),
    (STATUS_LAST, f"9,{AT},a", "ctive"),
    (STATUS_LAST, f"9,{AT}, ", "active"),
    (STATUS_LAST, f"9,{AT},", "active"),
    (STATUS_LAST, f"9,{AT}", ",active"),
    ("status,timestamp_utc,store_id", f"active,{AT},9", "9"),
]


def ingest_start(workspace: Workspace, header: str) -> None:
    """Ingest a file of one row."""
    row = f"1,active,{AT} UTC" if header == POLLS else f"1,{AT},active"
    workspace.write(
        "store_status.csv", header, row if header in (POLLS, STATUS_LAST) else f"active,{AT},1"
    )
    workspace.ingest()


def stores(workspace: Workspace) -> list[str]:
    return [store for store, _, _ in workspace.polls()]


@pytest.mark.parametrize(
    ("header", "line", "newline"),
    [
        *((*whole, "\n") for whole in WHOLE),
        *((*whole, "\r\n") for whole in WHOLE[::5]),
        *((*whole, "\r") for whole in WHOLE[::5]),
        (*WHOLE[5], " \n"),
        (*WHOLE[5], " \t\r\n"),
    ],
)
def test_complete_last_line_is_read_once(workspace: Workspace, header, line, newline):
    ingest_start(workspace, header)
    workspace.add("store_status.csv", line)
    result = workspace.ingest_polls()
    assert (result.reading, result.rows, result.partial_line) == ("appended", 1, None)
    assert stores(workspace) == ["1", "9"]
    assert workspace.ingest_polls().reading == "unchanged"

    workspace.add("store_status.csv", newline)
    result = workspace.ingest_polls()
    assert (result.reading, result.rows, result.total_rows) == ("appended", 0, 2)

    workspace.add("store_status.csv", "\n" * (newline == "\r") + "bad\n")
    result = workspace.ingest_polls()
    assert (result.reading, result.rows, result.total_rows) == ("appended", 1, 3)
    assert workspace.bad_lines() == [(4, "bad")]


@pytest.mark.parametrize(("header", "line"), WHOLE)
def test_complete_last_line_is_read_once_when_lines_follow(workspace: Workspace, header, line):
    ingest_start(workspace, header)
    workspace.add("store_status.csv", line)
    workspace.ingest()
    workspace.add("store_status.csv", "\nbad\nbad")
    result = workspace.ingest_polls()
    assert (result.reading, result.rows, result.partial_line) == ("appended", 1, "bad")
    assert workspace.bad_lines() == [(4, "bad")]


@pytest.mark.parametrize(("header", "line", "missing"), CUT)
def test_partial_last_line_waits_until_complete(
    workspace: Workspace, caplog, header, line, missing
):
    ingest_start(workspace, header)
    workspace.add("store_status.csv", line)
    for _ in range(2):
        caplog.clear()
        result = workspace.ingest_polls()
        assert (result.reading, result.rows, result.partial_line) == ("unchanged", 0, line)
        (warning,) = [
            record.getMessage()
            for record in caplog.records
            if record.levelno == logging.WARNING and "store_status.csv" in record.getMessage()
        ]
        assert warning == (
            f"store_status.csv ends with {line!r}, which has no newline and may be incomplete; "
            "it is read once a newline follows"
        )
        assert stores(workspace) == ["1"]

    workspace.add("store_status.csv", missing + "\n")
    result = workspace.ingest_polls()
    assert (result.reading, result.rows, result.partial_line) == ("appended", 1, None)
    assert len(workspace.polls()) + len(workspace.quarantined()) == 2
    for bad in workspace.bad_lines():
        assert bad == (3, line + missing)


def test_partial_line_that_would_be_valid_waits(workspace: Workspace):
    workspace.put_bytes("store_status.csv", text(POLLS) + b"1,active,2023-01-25 10:00:00.12")
    result = workspace.ingest_polls()
    assert (result.reading, result.rows) == ("new", 0)
    assert result.partial_line == "1,active,2023-01-25 10:00:00.12"
    workspace.add("store_status.csv", "3456\n")
    workspace.ingest()
    assert workspace.instants() == {"1": "2023-01-25 10:00:00.123456"}


@pytest.mark.parametrize(
    "line", ["bad", '"', "a\rb", "\r", "1,2,3,4,5", f"1,open,{AT}", "x" * 200_000]
)
def test_bad_last_line_waits(workspace: Workspace, line):
    ingest_start(workspace, POLLS)
    workspace.add("store_status.csv", line)
    result = workspace.ingest_polls()
    assert (result.reading, result.rows, result.partial_line) == ("unchanged", 0, line)
    workspace.add("store_status.csv", "\n" + poll_rows("2")[0] + "\n")
    workspace.ingest()
    assert stores(workspace) == ["1", "2"]
    assert workspace.bad_lines() == ([(3, line)] if line != "\r" else [])


def test_line_cut_within_a_character_waits(workspace: Workspace):
    ingest_start(workspace, POLLS)
    whole = "Caf\u00e9".encode()
    path = workspace.data_dir / "store_status.csv"
    path.write_bytes(path.read_bytes() + whole[:-1])
    assert workspace.ingest_polls().partial_line == "Caf\ufffd"
    path.write_bytes(path.read_bytes() + whole[-1:] + b"\n")
    workspace.ingest()
    assert workspace.bad_lines() == [(3, "Caf\u00e9")]


def test_continued_complete_line_rereads_the_file(
    workspace: Workspace,
):
    ingest_start(workspace, STATUS_LAST)
    workspace.add("store_status.csv", f"9,{AT},active")
    workspace.ingest()
    workspace.add("store_status.csv", "ly\n")
    result = workspace.ingest_polls()
    assert (result.reading, result.rows, result.total_rows) == ("changed", 2, 2)
    assert workspace.bad_lines() == [(3, f"9,{AT},actively")]


@pytest.mark.parametrize("rest", ["ly\n", "\r\r\n", "\r \n", ",,\n", '"\n', b"\x97", "\r\r"])
def test_continued_line_withdraws_its_poll(either_workspace: Workspace, rest):
    workspace = either_workspace
    ingest_start(workspace, STATUS_LAST)
    # the partial line corrects an earlier one, which must count again
    start = f"bad\n9,{AT},inactive\n9,{AT},active"
    workspace.add("store_status.csv", start)
    workspace.ingest()
    assert workspace.polls()[1:] == [("9", AT, "active")]
    path = workspace.data_dir / "store_status.csv"
    path.write_bytes(path.read_bytes() + (rest if isinstance(rest, bytes) else rest.encode()))
    assert workspace.ingest_polls().reading == "changed"
    assert workspace.polls()[1:] == [("9", AT, "inactive")]
    assert len(workspace.quarantined()) == len(set(workspace.bad_lines()))
    assert [str(row[2].replace(tzinfo=None)) for row in workspace.rows("polled_store")] == [AT, AT]


@pytest.mark.parametrize("rest", [" \n", "\t\r\n", "\r\n", "\r\r\n"])
def test_bad_last_line_keeps_its_text_verbatim(workspace: Workspace, rest):
    ingest_start(workspace, STATUS_LAST)
    workspace.add("store_status.csv", f"no id,{AT},active")
    assert workspace.ingest_polls().partial_line == f"no id,{AT},active"
    workspace.add("store_status.csv", rest)
    workspace.ingest()
    text = rest.removesuffix("\n").removesuffix("\r")
    assert workspace.bad_lines() == [(3, f"no id,{AT},active{text}")]


def test_line_cut_within_a_character_of_a_note_waits(workspace: Workspace):
    workspace.put_bytes("store_status.csv", text(f"{POLLS},note") + f"1,active,{AT}Z,caf".encode())
    path = workspace.data_dir / "store_status.csv"
    path.write_bytes(path.read_bytes() + b"\xc3")
    result = workspace.ingest_polls()
    assert (result.rows, result.partial_line) == (0, f"1,active,{AT}Z,caf\ufffd")
    path.write_bytes(path.read_bytes() + b"\xa9\n")
    assert workspace.ingest_polls().rows == 1


def test_partial_unused_last_column_does_not_delay_the_row(workspace: Workspace):
    workspace.put_bytes(
        "store_status.csv", text(f"{POLLS},note") + f"1,active,{AT}.1,a no".encode()
    )
    result = workspace.ingest_polls()
    assert (result.rows, result.partial_line) == (1, None)
    workspace.add("store_status.csv", "te\n")
    result = workspace.ingest_polls()
    assert (result.reading, result.total_rows) == ("changed", 1)
    assert workspace.instants() == {"1": f"{AT}.100000"}
