"""Alerts on record: what is told follows from the polls, however and whenever one looks."""

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal
from sqlalchemy import delete, select

from storemon_pipeline.evaluation import store_states
from storemon_pipeline.evaluation.store_states import read_store_states
from storemon_pipeline.storage.alert_outbox import (
    claim_next_alert,
    count_pending,
    drop_alerts,
    insert_alerts,
    latest_alerts,
    mark_failed,
    mark_sent,
    read_alerts,
)
from storemon_pipeline.storage.database import Database
from storemon_pipeline.storage.polls import upsert_polls
from storemon_pipeline.storage.reference_data import replace_snapshot
from storemon_pipeline.storage.schema import (
    alert,
    business_hours,
    polled_store,
    store_status,
    store_timezone,
)
from storemon_pipeline.uptime.outage_alerts import Alert, new_alerts

FIRST = datetime(2023, 1, 23, tzinfo=UTC)  # a Monday
HOUR = timedelta(hours=1)
AFTER = timedelta(hours=2)
NO_DATA_AFTER = timedelta(hours=3)
NOTHING = pd.DataFrame(
    {
        "store_id": pd.Series(dtype="str"),
        "kind": pd.Series(dtype="str"),
        "alert_id": pd.Series(dtype="str"),
        "down_since": pd.Series(dtype="datetime64[us, UTC]"),
        "as_of": pd.Series(dtype="datetime64[us, UTC]"),
    }
)
# closed on Sunday, open over midnight, always open
HOURS = {
    "day": [(day, "09:00:00", "17:00:00" if day < 6 else "09:00:01") for day in range(7)],
    "night": [(day, "20:00:00", "02:00:00") for day in range(0, 7, 2)],
    "always": [],
}


@pytest.fixture
def three_stores(database: Database) -> Database:
    hours = pd.DataFrame(
        [(store, *opening) for store, openings in HOURS.items() for opening in openings],
        columns=["store_id", "day_of_week", "start_time_local", "end_time_local"],
    )
    zones = pd.DataFrame({"store_id": list(HOURS), "timezone_str": "UTC"})
    with database.data_transaction() as connection:
        replace_snapshot(connection, business_hours, hours)
        replace_snapshot(connection, store_timezone, zones)
    return database


def put_polls(database: Database, polls: list[tuple[str, datetime, bool]]) -> None:
    frame = pd.DataFrame(
        {
            "store_id": pd.Series([store for store, _, _ in polls], dtype="str"),
            "timestamp_utc": pd.Series([at for _, at, _ in polls], dtype="datetime64[us, UTC]"),
            "status": pd.Series(
                ["active" if active else "inactive" for *_, active in polls], dtype="str"
            ),
        }
    )
    with database.data_transaction() as connection:
        upsert_polls(connection, frame)


def look(database: Database, as_of: datetime, seen: datetime | None) -> list[Alert]:
    with database.read() as connection:
        found = read_store_states(database, as_of, latest_alerts(connection), seen, NO_DATA_AFTER)
    with database.registry_transaction(lock="alerts") as connection:
        on_record = latest_alerts(connection)
        told = new_alerts(found, on_record, as_of=as_of, evaluated_until=seen, threshold=AFTER)
        insert_alerts(connection, told, as_of)
    return told


polls_by_the_hour = st.lists(
    st.tuples(
        st.sampled_from(sorted(HOURS)),
        st.integers(0, 24 * 21).map(lambda hours: FIRST + hours * HOUR),
        st.booleans(),
    ),
    min_size=1,
    max_size=40,
    unique_by=lambda poll: poll[:2],
)


@given(polls=polls_by_the_hour, data=st.data())
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
def test_what_was_told_last_is_how_it_is(
    three_stores: Database, polls: list[tuple[str, datetime, bool]], data: st.DataObject
) -> None:
    database = three_stores
    clear(database)
    polls.sort(key=lambda poll: poll[1])
    seen: datetime | None = None
    while polls:
        # now and then many polls come between two looks, and what was seen is forgotten
        count = data.draw(st.integers(3, 15))
        put_polls(database, polls[:count])
        as_of, polls = polls[:count][-1][1], polls[count:]
        if data.draw(st.integers(0, 4)) == 0:
            seen = None
        told = look(database, as_of, seen)
        seen = as_of
        assert look(database, as_of, data.draw(st.sampled_from([None, as_of]))) == []

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(store_states, "LOOKBACK", pd.Timedelta(days=30))
            whole = read_store_states(database, as_of, NOTHING, None, NO_DATA_AFTER)
        with database.read() as connection:
            last = latest_alerts(connection).set_index("store_id")
        for now in whole.itertuples():
            kind = last["kind"].get(now.store_id)
            if now.runs == 0:
                assert kind is None
            elif not now.is_down:
                assert kind != "down"
            elif now.down_now and now.length >= AFTER / timedelta(microseconds=1):
                assert kind == "down"
                assert last["down_since"][now.store_id] == now.since
        assert all(each.as_of == as_of for each in told)
    with database.read() as connection:
        rows = connection.execute(select(alert).order_by(alert.c.id)).all()
    for store in HOURS:
        kinds = [row.kind for row in rows if row.store_id == store]
        assert kinds == [("down", "recovered")[number % 2] for number in range(len(kinds))]
        begun = [row.down_since for row in rows if row.store_id == store and row.kind == "down"]
        assert begun == sorted(set(begun))


@given(polls=polls_by_the_hour)
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
def test_few_polls_say_of_an_outage_what_all_would(
    three_stores: Database, polls: list[tuple[str, datetime, bool]]
) -> None:
    clear(three_stores)
    put_polls(three_stores, polls)
    as_of = max(at for _, at, _ in polls)

    def outages(length: int) -> pd.DataFrame:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(store_states, "LOOKBACK", pd.Timedelta(days=length))
            found = read_store_states(three_stores, as_of, NOTHING, None, NO_DATA_AFTER)
        found = found[found["down_now"]].sort_values("store_id")
        return found.drop(columns=["runs", "up_since"]).reset_index(drop=True)

    assert_frame_equal(outages(1), outages(30))


# The outbox


def made(number: int, store: str = "s1", kind: str = "down") -> Alert:
    return Alert(f"{number}", store, kind, FIRST, FIRST, {"number": number})


def keep(database: Database, *alerts: Alert, at: datetime = FIRST) -> None:
    with database.registry_transaction(lock="alerts") as connection:
        insert_alerts(connection, alerts, at)


def clear(database: Database) -> None:
    with database.registry_transaction() as connection:
        connection.execute(delete(alert))
    with database.data_transaction() as connection:
        for each in (store_status, polled_store):
            connection.execute(delete(each))


def claimed_number(database: Database, now: datetime) -> int | None:
    with database.registry_transaction(lock="alerts") as connection:
        claimed = claim_next_alert(connection, now)
    return claimed.payload["number"] if claimed else None


def test_an_alert_is_put_on_record_once(database: Database) -> None:
    keep(database, made(1))
    with pytest.raises(Exception, match=r"alert_by_id|alert\.alert_id"):
        keep(database, made(2), made(1))
    # all of them or none
    with database.read() as connection:
        assert count_pending(connection) == 1


def test_a_claimed_alert_is_nobody_elses_until_it_is_due_again(database: Database) -> None:
    keep(database, made(1), made(2, "s2"))
    assert [claimed_number(database, FIRST) for _ in range(3)] == [1, 2, None]
    later = FIRST + timedelta(seconds=30)
    assert [claimed_number(database, later) for _ in range(3)] == [1, 2, None]


def test_the_alerts_of_a_store_come_in_order(database: Database) -> None:
    keep(database, made(1), made(2, kind="recovered"), made(3, "s2"))
    with database.registry_transaction(lock="alerts") as connection:
        first = claim_next_alert(connection, FIRST)
    assert first is not None
    assert claimed_number(database, FIRST) == 3
    assert claimed_number(database, FIRST) is None
    with database.registry_transaction(lock="alerts") as connection:
        mark_sent(connection, first, FIRST)
        # whoever sent it as well, and heard nothing, does not make it unsent
        mark_failed(connection, first, "no answer")
    assert claimed_number(database, FIRST) == 2
    with database.read() as connection:
        row = connection.execute(select(alert).where(alert.c.alert_id == "1")).one()
    assert (row.sent_at, row.last_error, row.next_attempt_at) == (FIRST, None, None)


def test_old_alerts_go_unless_they_are_not_sent_or_their_outage_goes_on(database: Database) -> None:
    before = FIRST + HOUR
    keep(database, made(1, "over"), made(2, "over", "recovered"), made(3, "goes_on"))
    for _ in range(3):
        with database.registry_transaction(lock="alerts") as connection:
            claimed = claim_next_alert(connection, FIRST)
            assert claimed is not None
            mark_sent(connection, claimed, FIRST)
    keep(database, made(4, "unsent"), made(5, "unsent", "recovered"))
    keep(database, made(6, "recent"), at=before)
    with database.registry_transaction(lock="alerts") as connection:
        assert drop_alerts(connection, before) == 2
        left = connection.execute(select(alert.c.alert_id).order_by(alert.c.id))
        assert left.scalars().all() == ["3", "4", "5", "6"]


def test_alerts_are_listed_newest_first_with_what_became_of_them(database: Database) -> None:
    keep(database, made(1), made(2, "s2"), made(3, kind="recovered"), made(4, "s2", "recovered"))
    with database.registry_transaction(lock="alerts") as connection:
        first, second = claim_next_alert(connection, FIRST), claim_next_alert(connection, FIRST)
        assert first is not None
        assert second is not None
        mark_sent(connection, first, FIRST + HOUR)
        mark_failed(connection, second, "503 Service Unavailable")
    with database.read() as connection:
        every = read_alerts(connection, limit=10)
        assert [each.alert_id for each in every] == ["4", "3", "2", "1"]
        told = [(each.attempts, each.sent_at, each.last_error) for each in every]
        assert told[2:] == [(1, None, "503 Service Unavailable"), (1, FIRST + HOUR, None)]
        assert told[:2] == [(0, None, None)] * 2
        newest = every[0]
        assert (newest.kind, newest.store_id) == ("recovered", "s2")
        assert newest.down_since == newest.as_of == newest.created_at == FIRST
        assert read_alerts(connection, limit=2) == every[:2]
        assert read_alerts(connection, limit=2, before=every[1].id) == every[2:]
        of_store = read_alerts(connection, limit=2, store_id="s1")
        assert [each.alert_id for each in of_store] == ["3", "1"]
        assert read_alerts(connection, limit=2, store_id="S1") == []
