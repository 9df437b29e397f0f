"""Time zones may have IANA or Windows names, loosely spelled; an unknown name is a bad row."""

from storemon_pipeline_tests.helpers.workspace import POLLS, ZONES, Workspace

SPELLINGS = {
    "America/New_York": "America/New_York",
    "america/new_york": "America/New_York",
    "AMERICA/NEW_YORK": "America/New_York",
    " America/New_York": "America/New_York",
    "America/New_York ": "America/New_York",
    "\tAmerica/New_York\t": "America/New_York",
    "America/New York": "America/New_York",
    "Eastern Standard Time": "America/New_York",
    "eastern standard time": "America/New_York",
    "W. Europe Standard Time": "Europe/Berlin",
    "UTC-11": "Etc/GMT+11",
    "America/Port-au-Prince": "America/Port-au-Prince",
    "America/Argentina/Buenos Aires": "America/Argentina/Buenos_Aires",
    # IANA names, including those with a newer name
    "US/Eastern": "US/Eastern",
    "EST": "EST",
    "pst8pdt": "PST8PDT",
    "UTC": "UTC",
    "utc": "UTC",
    "Etc/GMT+5": "Etc/GMT+5",
    "Europe/Kyiv": "Europe/Kyiv",
    "Europe/Kiev": "Europe/Kiev",
    "Asia/Calcutta": "Asia/Calcutta",
    "Asia/Kolkata": "Asia/Kolkata",
}
ABBREVIATION = "is an abbreviation, which may be ambiguous"
OFFSET = "is a UTC offset, which does not define clock changes"
MISSING = "is a placeholder for a missing value"
NO_NAME = "is not an IANA or Windows time zone name"
HINTS = {
    "": "must name a time zone, such as America/New_York",
    " \t": "must name a time zone, such as America/New_York",
    "EDT": ABBREVIATION,
    "PST": ABBREVIATION,
    "IST": ABBREVIATION,
    "Z": "is a timestamp suffix, not a time zone name: use UTC",
    "NULL": MISSING,
    "None": MISSING,
    "N/A": MISSING,
    "nan": MISSING,
    "UTC-05:00": OFFSET,
    "GMT+5": OFFSET,
    "-0500": OFFSET,
    "+05:30": OFFSET,
    "America/Gotham": NO_NAME,
    "Eastern Daylight Time": NO_NAME,
    "America/New_York;": NO_NAME,
    "Amérique/New_York": NO_NAME,
}


def test_time_zone_is_stored_by_its_iana_name(either_workspace: Workspace):
    workspace = either_workspace
    workspace.write("store_status.csv", POLLS)
    workspace.write(
        "timezones.csv", ZONES, *(f"{n:02},{value}" for n, value in enumerate(SPELLINGS))
    )
    workspace.ingest()
    assert workspace.quarantined() == []
    stored = dict(workspace.rows("store_timezone"))
    assert {value: stored[f"{n:02}"] for n, value in enumerate(SPELLINGS)} == SPELLINGS


def test_unknown_time_zone_is_a_bad_row_with_hint(workspace: Workspace):
    workspace.write("store_status.csv", POLLS)
    workspace.write(
        "timezones.csv", ZONES, *(f"{n},{value}" for n, value in enumerate(HINTS)), "a,UTC"
    )
    workspace.ingest()
    assert workspace.rows("store_timezone") == [("a", "UTC")]
    reasons = [reason for *_, reason in workspace.quarantined()]
    assert len(reasons) == len(HINTS)
    for reason, (value, hint) in zip(reasons, HINTS.items(), strict=True):
        assert hint in reason, value
        assert "; " not in reason, f"{value}: one reason is enough"
    assert reasons[2] == (
        f"timezone_str is 'EDT' and {ABBREVIATION}: use an IANA name such as America/New_York"
    )
