"""The synthetic data set: small, reproducible, and with the anomalies of the real files.

The anomalies are checked in ``data/`` with the standard library alone, so that a fault in the
package's parser cannot hide a missing one.
"""

import csv
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo, available_timezones

import pytest

from storemon_pipeline import sample_data
from storemon_pipeline_tests.helpers.raw_files import fault, instant

DATA = Path(__file__).parents[1] / "data"
NAMES = ("menu_hours.csv", "store_status.csv", "timezones.csv")
END_TEXT = "2024-11-12 18:13:22.47922 UTC"
NUMERIC_ID = re.compile(r"\d{19}")
UUID_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Poll(NamedTuple):
    """A good row of ``store_status.csv``."""

    store_id: str
    status: str
    at: datetime
    stamp: str


Opening = tuple[int, str, str]


def rows(path: Path) -> list[list[str]]:
    """Read the rows of a file, without its header."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))[1:]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.fixture(scope="module")
def faults() -> list[str]:
    """Return the faults of the rows of ``store_status.csv``, in file order."""
    return [fault(row) for row in rows(DATA / "store_status.csv")]


@pytest.fixture(scope="module")
def polls(faults: list[str]) -> list[Poll]:
    """Read the good polls, in their order in the file."""
    return [
        Poll(store_id, status, instant(stamp), stamp)
        for (store_id, status, stamp), wrong in zip(
            rows(DATA / "store_status.csv"), faults, strict=True
        )
        if not wrong
    ]


@pytest.fixture(scope="module")
def histories(polls: list[Poll]) -> Mapping[str, list[Poll]]:
    """Sort the polls of each store by time."""
    histories: defaultdict[str, list[Poll]] = defaultdict(list)
    for poll in sorted(polls, key=lambda poll: poll.at):
        histories[poll.store_id].append(poll)
    return histories


@pytest.fixture(scope="module")
def weeks() -> Mapping[str, list[Opening]]:
    """List the openings of each store by weekday and start, without the bad row."""
    weeks: defaultdict[str, list[Opening]] = defaultdict(list)
    for store_id, day, start, end in sorted(rows(DATA / "menu_hours.csv")):
        if day != "7":
            weeks[store_id].append((int(day), start, end))
    return weeks


@pytest.fixture(scope="module")
def zones() -> Mapping[str, str]:
    """Read the time zone of each store, without the bad row."""
    return {store_id: zone for store_id, zone in rows(DATA / "timezones.csv") if zone}


# Contract of the module


def test_data_is_what_the_module_writes_by_default(tmp_path: Path) -> None:
    sample_data.generate(tmp_path)
    assert contents(tmp_path) == contents(DATA)


def test_data_is_small() -> None:
    assert sum(len(content) for content in contents(DATA).values()) < 3_000_000


def test_the_seed_alone_decides_the_bytes(tmp_path: Path) -> None:
    for folder, seed in (("one", 1), ("again", 1), ("other", 2)):
        sample_data.generate(tmp_path / folder, stores=10, days=2, seed=seed)
    one, again, other = (contents(tmp_path / name) for name in ("one", "again", "other"))
    assert one == again
    assert all(one[name] != other[name] for name in NAMES)


def test_command_line_equals_call(tmp_path: Path) -> None:
    arguments = "--stores 5 --days 1.5 --every 30 --end 2023-03-12T12:00:00Z --seed 3 --bad 1"
    command = [sys.executable, "-m", "storemon_pipeline.sample_data", str(tmp_path / "by_command")]
    subprocess.run([*command, *arguments.split()], check=True, cwd=DATA.parent)
    end = datetime(2023, 3, 12, 12, tzinfo=UTC)
    sample_data.generate(tmp_path / "by_call", stores=5, days=1.5, every=30, end=end, seed=3, bad=1)
    assert contents(tmp_path / "by_command") == contents(tmp_path / "by_call")


@pytest.mark.parametrize("option", ["--stores=0", "--days=0", "--every=0", "--bad=-1"])
def test_a_number_out_of_range_is_rejected(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as error:
        sample_data.main([str(tmp_path / "out"), option])
    assert error.value.code == 2
    assert "need stores >= 1" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("stores", [1, 300])
def test_any_number_of_stores_is_generated(
    stores: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample_data, "BLOCK_POLLS", 1000)  # several blocks
    end = datetime(2023, 1, 25, 18, 13, 22, 479220, tzinfo=UTC)
    sample_data.generate(tmp_path, stores=stores, days=1, end=end, bad=0)
    status, hours, known_zones = (
        rows(tmp_path / name) for name in ("store_status.csv", "menu_hours.csv", "timezones.csv")
    )
    assert len({row[0] for row in status + hours + known_zones}) == stores
    assert max(instant(row[2]) for row in status) == end
    assert not any(fault(row) for row in status)


def test_a_run_that_fails_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample_data.generate(tmp_path, stores=3, days=1)
    old = contents(tmp_path)["store_status.csv"]

    def fail(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(sample_data, "_with_bad_rows", fail)
    with pytest.raises(RuntimeError):
        sample_data.generate(tmp_path, stores=3, days=1, seed=2)
    assert contents(tmp_path)["store_status.csv"] == old
    assert sorted(contents(tmp_path)) == sorted(NAMES)


# Anomalies of the format


def test_headers_are_those_of_the_real_files() -> None:
    assert {name: (DATA / name).read_text().partition("\n")[0] for name in NAMES} == {
        "menu_hours.csv": "store_id,day,start_time_local,end_time_local",
        "store_status.csv": "store_id,status,timestamp_utc",
        "timezones.csv": "store_id,timezone_str",
    }


def test_ids_do_not_survive_being_read_as_floats(
    histories: Mapping[str, list[Poll]], weeks: Mapping[str, list[Opening]]
) -> None:
    ids = histories.keys() | weeks.keys()
    numeric = [store_id for store_id in ids if NUMERIC_ID.fullmatch(store_id)]
    uuids = [store_id for store_id in ids if UUID_ID.fullmatch(store_id)]
    assert (len(ids), len(numeric), len(uuids)) == (60, 57, 3)
    assert all(2**53 < int(store_id) < 2**63 for store_id in numeric)
    assert sum(int(float(store_id)) != int(store_id) for store_id in numeric) > 50


def test_fractions_are_cut_and_whole_seconds_have_none(polls: list[Poll]) -> None:
    form = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{0,5}[1-9])? UTC")
    assert all(form.fullmatch(poll.stamp) for poll in polls)
    digits = Counter(len(poll.stamp.partition(".")[2].removesuffix(" UTC")) for poll in polls)
    assert digits[6] > digits[5] > digits[4] > digits[3] > 0
    assert digits[0] > 10


def test_polls_are_in_random_order(polls: list[Poll]) -> None:
    ascending = sum(one.at < other.at for one, other in pairwise(polls))
    assert 0.48 < ascending / len(polls) < 0.52
    assert sum(one.store_id == other.store_id for one, other in pairwise(polls)) < len(polls) / 30


def test_each_bad_row_template_occurs(faults: list[str]) -> None:
    found = Counter(filter(None, faults))
    assert found == {
        "empty id": 2,
        "unknown status": 2,
        "malformed timestamp": 1,
        "impossible date": 1,
        "empty timestamp": 1,
        "id starts with =": 1,
    }
    places = [place for place, wrong in enumerate(faults) if wrong]
    assert max(places) - min(places) > len(faults) / 2, "not all in one place"


def test_one_weekday_and_one_time_zone_are_bad() -> None:
    days = Counter(day for _, day, _, _ in rows(DATA / "menu_hours.csv"))
    assert set(days) == set("01234567")
    assert days["7"] == 1
    assert [zone for _, zone in rows(DATA / "timezones.csv")].count("") == 1


# Anomalies of the polls


def test_the_latest_poll_is_at_the_end(polls: list[Poll]) -> None:
    assert max(polls, key=lambda poll: poll.at).stamp == END_TEXT


def test_polls_come_about_hourly_with_some_missing(histories: Mapping[str, list[Poll]]) -> None:
    gaps = [
        (other.at - one.at) / timedelta(minutes=1)
        for history in histories.values()
        for one, other in pairwise(history)
        if one.at != other.at
    ]
    assert min(gaps) >= 60 * (1 - sample_data.JITTER) - 1 / 60
    assert sum(55 < gap < 65 for gap in gaps) / len(gaps) < 0.5, "jitter"
    assert 0.03 < sum(gap > 90 for gap in gaps) / len(gaps) < 0.07, "missing polls"


def test_the_clocks_change_within_the_polls(polls: list[Poll]) -> None:
    new_york = ZoneInfo("America/New_York")
    times = [poll.at for poll in polls]
    assert max(times) - min(times) > timedelta(days=34)
    assert {at.astimezone(new_york).strftime("%Z") for at in times} == {"EDT", "EST"}


def test_outages_last_and_nights_are_mostly_inactive(
    histories: Mapping[str, list[Poll]], zones: Mapping[str, str]
) -> None:
    new_york = ZoneInfo("America/New_York")
    night: list[bool] = []
    after_up: list[bool] = []
    after_down: list[bool] = []
    for store_id, history in histories.items():
        if zones.get(store_id) != "America/New_York":
            continue
        for before, poll in pairwise(history):
            hour = poll.at.astimezone(new_york).hour
            down = poll.status == "inactive"
            if 3 <= hour < 6:  # night by standard time and by summer time
                night.append(down)
            elif 10 <= hour < 22:
                (after_down if before.status == "inactive" else after_up).append(down)
    assert sum(night) / len(night) > 0.7
    assert sum(after_up) / len(after_up) < 0.04
    assert sum(after_down) / len(after_down) > 0.7


def test_some_stores_are_down_for_days_up_to_the_end(
    histories: Mapping[str, list[Poll]], polls: list[Poll]
) -> None:
    end = max(poll.at for poll in polls)
    lengths = []
    for history in histories.values():
        last_up = max(poll.at for poll in history if poll.status == "active")
        if history[-1].at > end - timedelta(hours=4) and end - last_up > timedelta(days=1):
            lengths.append(end - last_up)
    assert len(lengths) == 3
    assert max(lengths) > timedelta(days=2)


def test_some_stores_are_silent_in_the_last_days(
    histories: Mapping[str, list[Poll]], polls: list[Poll]
) -> None:
    end = max(poll.at for poll in polls)
    silences = [end - history[-1].at for history in histories.values()]
    assert sum(silence > timedelta(days=1) for silence in silences) == 4
    assert max(silences) > timedelta(days=3)


def test_some_polls_are_corrected_later_in_the_file(polls: list[Poll]) -> None:
    statuses: defaultdict[tuple[str, datetime], list[str]] = defaultdict(list)
    for poll in polls:
        statuses[poll.store_id, poll.at].append(poll.status)
    repeated = [found for found in statuses.values() if len(found) > 1]
    assert len(repeated) == 3
    assert all(sorted(found) == ["active", "inactive"] for found in repeated)


# Anomalies of the stores


def test_some_stores_are_missing_in_a_file(
    histories: Mapping[str, list[Poll]],
    weeks: Mapping[str, list[Opening]],
    zones: Mapping[str, str],
) -> None:
    polled, with_hours, with_zone = histories.keys(), weeks.keys(), zones.keys()
    assert len((polled & with_zone) - with_hours) == 3, "no hours"
    assert len((polled & with_hours) - with_zone) == 3, "no zone"
    assert len(polled - with_hours - with_zone) == 1, "neither"
    assert len((with_hours & with_zone) - polled) == 2, "no poll"


def test_zones_are_several_and_one_is_unknown(zones: Mapping[str, str]) -> None:
    found = Counter(zones.values())
    assert [zone for zone in found if zone not in available_timezones()] == [
        sample_data.UNKNOWN_ZONE
    ]
    assert found[sample_data.UNKNOWN_ZONE] == 1
    assert {"Asia/Beirut", "Australia/Sydney", "Pacific/Honolulu", "America/Phoenix"} < set(found)
    assert sum(zone.startswith("America/") for zone in found) >= 6


def per_day(openings: Sequence[Opening]) -> list[list[tuple[str, str]]]:
    """List starts and ends of one store's openings on each of the seven weekdays."""
    return [
        [(start, end) for day, start, end in openings if day == weekday] for weekday in range(7)
    ]


def test_some_days_have_split_shifts_and_some_openings_overlap(
    weeks: Mapping[str, list[Opening]],
) -> None:
    pairs = [day for openings in weeks.values() for day in per_day(openings) if len(day) == 2]
    within_a_day = [day for day in pairs if all(start < end for start, end in day)]
    assert any(first[1] < second[0] for first, second in within_a_day), "split"
    assert any(first[1] > second[0] for first, second in within_a_day), "overlap"
    assert any(
        end <= start and next_day and next_day[0][0] < end
        for openings in weeks.values()
        for today, next_day in pairwise(per_day(openings))
        for start, end in today
    ), "the end of one day over the start of the next"


@pytest.mark.parametrize("end", ["23:59:00", "23:59:59"])
def test_some_openings_continue_in_a_row_after_midnight(
    end: str, weeks: Mapping[str, list[Opening]]
) -> None:
    assert any(
        len(today) == 2 and today[-1][1] == end and tomorrow and tomorrow[0][0] == "00:00:00"
        for openings in weeks.values()
        for today, tomorrow in pairwise(per_day(openings))
    )


def test_some_openings_end_at_or_before_their_start(weeks: Mapping[str, list[Opening]]) -> None:
    openings = [(start, end) for week in weeks.values() for _, start, end in week]
    assert any(end < start for start, end in openings)


def test_round_the_clock_has_three_notations(weeks: Mapping[str, list[Opening]]) -> None:
    ways = {
        openings[0][1:]
        for openings in weeks.values()
        if len(openings) == 7 and len({opening[1:] for opening in openings}) == 1
    }
    assert {("00:00:00", end) for end in ("23:59:00", "23:59:59", "00:00:00")} < ways


def test_some_stores_have_no_row_on_a_weekday_or_two(weeks: Mapping[str, list[Opening]]) -> None:
    assert {len({day for day, _, _ in openings}) for openings in weeks.values()} == {5, 6, 7}
