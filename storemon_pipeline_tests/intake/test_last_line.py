"""A last line without its newline is read once it cannot be the beginning of a longer one."""

import logging

import pytest

from storemon_pipeline_tests.intake.place import POLLS, Place, poll_rows, text

STATUS_LAST = "store_id,timestamp_utc,status"
AT = "2023-01-25 10:00:00"

# header, a line that cannot go on
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
# header, what there is of a line, what is missing of it
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


def begun(place: Place, header: str) -> None:
    """Take in a file of one row."""
    row = f"1,active,{AT} UTC" if header == POLLS else f"1,{AT},active"
    place.put(
        "store_status.csv", header, row if header in (POLLS, STATUS_LAST) else f"active,{AT},1"
    )
    place.take_in()


def stores(place: Place) -> list[str]:
    return [store for store, _, _ in place.polls()]


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
def test_a_whole_last_line_is_read_at_once_and_not_twice(place: Place, header, line, newline):
    begun(place, header)
    place.add("store_status.csv", line)
    report = place.take_in_polls()
    assert (report.reading, report.rows, report.waiting_line) == ("grown", 1, None)
    assert stores(place) == ["1", "9"]
    assert place.take_in_polls().reading == "unchanged"

    place.add("store_status.csv", newline)
    report = place.take_in_polls()
    assert (report.reading, report.rows, report.total_rows) == ("grown", 0, 2)

    place.add("store_status.csv", "\n" * (newline == "\r") + "bad\n")
    report = place.take_in_polls()
    assert (report.reading, report.rows, report.total_rows) == ("grown", 1, 3)
    assert place.bad_lines() == [(4, "bad")]


@pytest.mark.parametrize(("header", "line"), WHOLE)
def test_a_whole_last_line_is_not_read_twice_when_its_newline_comes_with_more(
    place: Place, header, line
):
    begun(place, header)
    place.add("store_status.csv", line)
    place.take_in()
    place.add("store_status.csv", "\nbad\nbad")
    report = place.take_in_polls()
    assert (report.reading, report.rows, report.waiting_line) == ("grown", 1, "bad")
    assert place.bad_lines() == [(4, "bad")]


@pytest.mark.parametrize(("header", "line", "missing"), CUT)
def test_a_cut_last_line_waits_until_it_is_whole(place: Place, caplog, header, line, missing):
    begun(place, header)
    place.add("store_status.csv", line)
    for _ in range(2):
        caplog.clear()
        report = place.take_in_polls()
        assert (report.reading, report.rows, report.waiting_line) == ("unchanged", 0, line)
        (warning,) = [
            record.getMessage()
            for record in caplog.records
            if record.levelno == logging.WARNING and "store_status.csv" in record.getMessage()
        ]
        assert warning == (
            f"store_status.csv ends with {line!r}, which has no newline and may be cut: it will be "
            "read once it has one"
        )
        assert stores(place) == ["1"]

    place.add("store_status.csv", missing + "\n")
    report = place.take_in_polls()
    assert (report.reading, report.rows, report.waiting_line) == ("grown", 1, None)
    assert len(place.polls()) + len(place.quarantined()) == 2
    for bad in place.bad_lines():
        assert bad == (3, line + missing)


def test_a_cut_line_is_read_also_where_it_would_have_been_one_without_its_end(place: Place):
    place.put_bytes("store_status.csv", text(POLLS) + b"1,active,2023-01-25 10:00:00.12")
    report = place.take_in_polls()
    assert (report.reading, report.rows) == ("new", 0)
    assert report.waiting_line == "1,active,2023-01-25 10:00:00.12"
    place.add("store_status.csv", "3456\n")
    place.take_in()
    assert place.instants() == {"1": "2023-01-25 10:00:00.123456"}


@pytest.mark.parametrize(
    "line", ["bad", '"', "a\rb", "\r", "1,2,3,4,5", f"1,open,{AT}", "x" * 200_000]
)
def test_a_bad_last_line_waits_too(place: Place, line):
    begun(place, POLLS)
    place.add("store_status.csv", line)
    report = place.take_in_polls()
    assert (report.reading, report.rows, report.waiting_line) == ("unchanged", 0, line)
    place.add("store_status.csv", "\n" + poll_rows("2")[0] + "\n")
    place.take_in()
    assert stores(place) == ["1", "2"]
    assert place.bad_lines() == ([(3, line)] if line != "\r" else [])


def test_a_line_cut_within_a_letter_waits(place: Place):
    begun(place, POLLS)
    whole = "Caf\u00e9".encode()
    path = place.data_dir / "store_status.csv"
    path.write_bytes(path.read_bytes() + whole[:-1])
    assert place.take_in_polls().waiting_line == "Caf\ufffd"
    path.write_bytes(path.read_bytes() + whole[-1:] + b"\n")
    place.take_in()
    assert place.bad_lines() == [(3, "Caf\u00e9")]


def test_a_line_that_goes_on_where_it_seemed_whole_is_read_again_with_the_file(place: Place):
    begun(place, STATUS_LAST)
    place.add("store_status.csv", f"9,{AT},active")
    place.take_in()
    place.add("store_status.csv", "ly\n")
    report = place.take_in_polls()
    assert (report.reading, report.rows, report.total_rows) == ("changed", 2, 2)
    assert place.bad_lines() == [(3, f"9,{AT},actively")]


@pytest.mark.parametrize("rest", ["ly\n", "\r\r\n", "\r \n", ",,\n", '"\n', b"\x97", "\r\r"])
def test_line_that_goes_on_leaves_no_poll_behind(either_place: Place, rest):
    place = either_place
    begun(place, STATUS_LAST)
    # the line that is cut corrects an earlier one, which must count again
    start = f"bad\n9,{AT},inactive\n9,{AT},active"
    place.add("store_status.csv", start)
    place.take_in()
    assert place.polls()[1:] == [("9", AT, "active")]
    path = place.data_dir / "store_status.csv"
    path.write_bytes(path.read_bytes() + (rest if isinstance(rest, bytes) else rest.encode()))
    assert place.take_in_polls().reading == "changed"
    assert place.polls()[1:] == [("9", AT, "inactive")]
    assert len(place.quarantined()) == len(set(place.bad_lines()))
    assert [str(row[2].replace(tzinfo=None)) for row in place.rows("polled_store")] == [AT, AT]


@pytest.mark.parametrize("rest", [" \n", "\t\r\n", "\r\n", "\r\r\n"])
def test_bad_last_line_keeps_its_text_word_for_word(place: Place, rest):
    begun(place, STATUS_LAST)
    place.add("store_status.csv", f"no id,{AT},active")
    assert place.take_in_polls().waiting_line == f"no id,{AT},active"
    place.add("store_status.csv", rest)
    place.take_in()
    text = rest.removesuffix("\n").removesuffix("\r")
    assert place.bad_lines() == [(3, f"no id,{AT},active{text}")]


def test_line_broken_within_a_letter_waits_in_a_note(place: Place):
    place.put_bytes("store_status.csv", text(f"{POLLS},note") + f"1,active,{AT}Z,caf".encode())
    path = place.data_dir / "store_status.csv"
    path.write_bytes(path.read_bytes() + b"\xc3")
    report = place.take_in_polls()
    assert (report.rows, report.waiting_line) == (0, f"1,active,{AT}Z,caf\ufffd")
    path.write_bytes(path.read_bytes() + b"\xa9\n")
    assert place.take_in_polls().rows == 1


def test_what_follows_an_unneeded_last_column_is_not_waited_for(place: Place):
    place.put_bytes("store_status.csv", text(f"{POLLS},note") + f"1,active,{AT}.1,a no".encode())
    report = place.take_in_polls()
    assert (report.rows, report.waiting_line) == (1, None)
    place.add("store_status.csv", "te\n")
    report = place.take_in_polls()
    assert (report.reading, report.total_rows) == ("changed", 1)
    assert place.instants() == {"1": f"{AT}.100000"}
