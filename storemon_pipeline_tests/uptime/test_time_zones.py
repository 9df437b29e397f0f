"""Names of time zones, single and in bulk."""

import pandas as pd

from storemon_pipeline.uptime.time_zones import (
    canonical_timezones,
    known_timezones,
    resolve_timezone,
    resolve_timezones,
)

NAMES = [
    "Asia/Tokyo",
    "asia/tokyo ",
    None,
    "America/Gotham",
    "Tokyo Standard Time",
    "",
    "Asia/Tokyo",
]


def test_vectorised_lookup_equals_single_lookups() -> None:
    names = pd.Series(NAMES, dtype="str", index=range(5, 5 + len(NAMES)))
    tokyo, chicago = "Asia/Tokyo", "America/Chicago"
    expected = [tokyo, tokyo, chicago, chicago, tokyo, chicago, tokyo]
    assert resolve_timezones(names).tolist() == expected
    assert resolve_timezones(names).index.equals(names.index)
    assert [resolve_timezone(name) for name in NAMES] == expected
    assert canonical_timezones(names).isna().tolist() == [zone == chicago for zone in expected]


def test_missing_names_have_no_zone() -> None:
    for names in (pd.Series([], dtype="str"), pd.Series([None, None], dtype="str")):
        assert canonical_timezones(names).isna().all()
        assert len(resolve_timezones(names)) == len(names)


def test_canonical_name_of_an_iana_name_is_itself() -> None:
    names = pd.Series(sorted(known_timezones()))
    assert canonical_timezones(names).tolist() == names.tolist()
