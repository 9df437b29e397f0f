"""Alerts follow from the polls, whenever they are evaluated; the outbox."""

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal
from sqlalchemy import delete, select

from storemon_pipeline.evaluation import store_states
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
from storemon_pipeline.storage.poll_store import upsert_polls
from storemon_pipeline.storage.reference_data import replace_snapshot
from storemon_pipeline.storage.schema import (
    alert,
    business_hours,
    polled_store,
    store_status,
    store_timezone,
)
from storemon_pipeline.uptime.outage_alerts import Alert, new_alerts
from storemon_pipeline_tests.helpers.store_states import read_store_states

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
        upsert_polls(database.polls, connection, frame)


def evaluate(database: Database, as_of: datetime, until: datetime | None) -> list[Alert]:
    """Evaluate the polls up to an instant and insert the alerts that are due."""
    with database.read() as connection:
        states = read_store_states(database, as_of, latest_alerts(connection), until, NO_DATA_AFTER)
    with database.registry_transaction(lock="alerts") as connection:
        latest = latest_alerts(connection)
        alerts = new_alerts(states, latest, as_of=as_of, evaluated_until=until, threshold=AFTER)
        insert_alerts(connection, alerts, as_of)
    return alerts


hourly_polls = st.lists(
    st.tuples(
        st.sampled_from(sorted(HOURS)),
        st.integers(0, 24 * 21).map(lambda hours: FIRST + hours * HOUR),
        st.booleans(),
    ),
    min_size=1,
    max_size=40,
    unique_by=lambda poll: poll[:2],
)


@given(polls=hourly_polls, data=st.data())
@settings(
    max_examples=settings.default.max_examples // 12,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
def test_latest_alerts_match_current_states(
    three_stores: Database, polls: list[tuple[str, datetime, bool]], data: st.DataObject
) -> None:
    database = three_stores
    clear(database)
    polls.sort(key=lambda poll: poll[1])
    until: datetime | None = None
    while polls:
        # evaluations may be far apart, and the cursor may be lost
        count = data.draw(st.integers(3, 15))
        put_polls(database, polls[:count])
        as_of, polls = polls[:count][-1][1], polls[count:]
        if data.draw(st.integers(0, 4)) == 0:
            until = None
        alerts = evaluate(database, as_of, until)
        until = as_of
        assert evaluate(database, as_of, data.draw(st.sampled_from([None, as_of]))) == []

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(store_states, "LOOKBACK", pd.Timedelta(days=30))
            states = read_store_states(database, as_of, NOTHING, None, NO_DATA_AFTER)
        with database.read() as connection:
            latest = latest_alerts(connection).set_index("store_id")
        for state in states.itertuples():
            kind = latest["kind"].get(state.store_id)
            if state.runs == 0:
                assert kind is None
            elif not state.is_down:
                assert kind != "down"
            elif state.down_now and state.length >= AFTER / timedelta(microseconds=1):
                assert kind == "down"
                assert latest["down_since"][state.store_id] == state.since
        assert {alert.as_of for alert in alerts} <= {as_of}
    with database.read() as connection:
        rows = connection.execute(select(alert).order_by(alert.c.id)).all()
    for store in HOURS:
        kinds = [row.kind for row in rows if row.store_id == store]
        assert kinds == [("down", "recovered")[number % 2] for number in range(len(kinds))]
        starts = [row.down_since for row in rows if row.store_id == store and row.kind == "down"]
        assert starts == sorted(set(starts))


@given(polls=hourly_polls)
@settings(
    max_examples=settings.default.max_examples // 12,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
def test_short_lookback_finds_the_same_outages(
    three_stores: Database, polls: list[tuple[str, datetime, bool]]
) -> None:
    clear(three_stores)
    put_polls(three_stores, polls)
    as_of = max(at for _, at, _ in polls)

    def outages(length: int) -> pd.DataFrame:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(store_states, "LOOKBACK", pd.Timedelta(days=length))
            states = read_store_states(three_stores, as_of, NOTHING, None, NO_DATA_AFTER)
        down = states[states["down_now"]].sort_values("store_id")
        return down.drop(columns=["runs", "up_since"]).reset_index(drop=True)

    assert_frame_equal(outages(1), outages(30))


# The outbox


def make_alert(number: int, store: str = "s1", kind: str = "down") -> Alert:
    return Alert(f"{number}", store, kind, FIRST, FIRST, {"number": number})


def add_alerts(database: Database, *alerts: Alert, at: datetime = FIRST) -> None:
    with database.registry_transaction(lock="alerts") as connection:
        insert_alerts(connection, alerts, at)


def clear(database: Database) -> None:
    with database.registry_transaction() as connection:
        connection.execute(delete(alert))
    with database.data_transaction() as connection:
        for table in (store_status, polled_store):
            connection.execute(delete(table))


def claimed_number(database: Database, now: datetime) -> int | None:
    with database.registry_transaction(lock="alerts") as connection:
        claimed = claim_next_alert(connection, now)
    return claimed.payload["number"] if claimed else None


def test_insert_duplicate_alert_fails_whole_batch(database: Database) -> None:
    add_alerts(database, make_alert(1))
    with pytest.raises(Exception, match=r"alert_by_id|alert\.alert_id"):
        add_alerts(database, make_alert(2), make_alert(1))
    with database.read() as connection:
        assert count_pending(connection) == 1


def test_claimed_alert_is_not_claimed_again_until_due(database: Database) -> None:
    add_alerts(database, make_alert(1), make_alert(2, "s2"))
    assert [claimed_number(database, FIRST) for _ in range(3)] == [1, 2, None]
    later = FIRST + timedelta(seconds=30)
    assert [claimed_number(database, later) for _ in range(3)] == [1, 2, None]


def test_alerts_of_a_store_are_claimed_in_order(database: Database) -> None:
    add_alerts(database, make_alert(1), make_alert(2, kind="recovered"), make_alert(3, "s2"))
    with database.registry_transaction(lock="alerts") as connection:
        first = claim_next_alert(connection, FIRST)
    assert first is not None
    assert claimed_number(database, FIRST) == 3
    assert claimed_number(database, FIRST) is None
    with database.registry_transaction(lock="alerts") as connection:
        mark_sent(connection, first, FIRST)
        # the failure of a concurrent sender does not undo the confirmation
        mark_failed(connection, first, "no answer")
    assert claimed_number(database, FIRST) == 2
    with database.read() as connection:
        row = connection.execute(select(alert).where(alert.c.alert_id == "1")).one()
    assert (row.sent_at, row.last_error, row.next_attempt_at) == (FIRST, None, None)


def test_drop_alerts_keeps_unsent_and_ongoing_outages(database: Database) -> None:
    before = FIRST + HOUR
    add_alerts(
        database,
        make_alert(1, "over"),
        make_alert(2, "over", "recovered"),
        make_alert(3, "ongoing"),
    )
    for _ in range(3):
        with database.registry_transaction(lock="alerts") as connection:
            claimed = claim_next_alert(connection, FIRST)
            assert claimed is not None
            mark_sent(connection, claimed, FIRST)
    add_alerts(database, make_alert(4, "unsent"), make_alert(5, "unsent", "recovered"))
    add_alerts(database, make_alert(6, "recent"), at=before)
    with database.registry_transaction(lock="alerts") as connection:
        assert drop_alerts(connection, before) == 2
        remaining = connection.execute(select(alert.c.alert_id).order_by(alert.c.id))
        assert remaining.scalars().all() == ["3", "4", "5", "6"]


def test_read_alerts_newest_first_with_delivery_state(database: Database) -> None:
    add_alerts(
        database,
        make_alert(1),
        make_alert(2, "s2"),
        make_alert(3, kind="recovered"),
        make_alert(4, "s2", "recovered"),
    )
    with database.registry_transaction(lock="alerts") as connection:
        first, second = claim_next_alert(connection, FIRST), claim_next_alert(connection, FIRST)
        assert first is not None
        assert second is not None
        mark_sent(connection, first, FIRST + HOUR)
        mark_failed(connection, second, "503 Service Unavailable")
    with database.read() as connection:
        alerts = read_alerts(connection, limit=10)
        assert [record.alert_id for record in alerts] == ["4", "3", "2", "1"]
        deliveries = [(record.attempts, record.sent_at, record.last_error) for record in alerts]
        assert deliveries[2:] == [(1, None, "503 Service Unavailable"), (1, FIRST + HOUR, None)]
        assert deliveries[:2] == [(0, None, None)] * 2
        newest = alerts[0]
        assert (newest.kind, newest.store_id) == ("recovered", "s2")
        assert newest.down_since == newest.as_of == newest.created_at == FIRST
        assert read_alerts(connection, limit=2) == alerts[:2]
        assert read_alerts(connection, limit=2, before=alerts[1].id) == alerts[2:]
        of_store = read_alerts(connection, limit=2, store_id="s1")
        assert [record.alert_id for record in of_store] == ["3", "1"]
        assert read_alerts(connection, limit=2, store_id="S1") == []
