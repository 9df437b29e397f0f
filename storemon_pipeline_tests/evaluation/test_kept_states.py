"""States brought forward by newer polls equal those computed from all polls."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal
from sqlalchemy import delete

from storemon_pipeline.evaluation import kept_states, store_states
from storemon_pipeline.evaluation.kept_states import EvaluatedStates, evaluate_states
from storemon_pipeline.storage.alert_outbox import insert_alerts, latest_alerts
from storemon_pipeline.storage.database import Database
from storemon_pipeline.storage.poll_removal import remove_polls, withdraw_poll
from storemon_pipeline.storage.poll_store import upsert_polls
from storemon_pipeline.storage.polled_stores import newest_poll
from storemon_pipeline.storage.reference_data import replace_snapshot
from storemon_pipeline.storage.retention import drop_polls
from storemon_pipeline.storage.schema import (
    alert,
    business_hours,
    metadata,
    special_hours,
    state_evaluation,
    store_state,
    store_timezone,
)
from storemon_pipeline.storage.store_states import latest_state_evaluation
from storemon_pipeline.storage.store_states import store_states as save_states
from storemon_pipeline.uptime.outage_alerts import Alert, new_alerts
from storemon_pipeline_tests.helpers.store_states import read_store_states

FIRST = datetime(2023, 1, 23, tzinfo=UTC)  # a Monday
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
AFTER, NO_DATA_AFTER = timedelta(hours=2), timedelta(hours=3)
END = datetime(2100, 1, 1, tzinfo=UTC)
STORES = ("always", "day", "night", "unknown")
# closed on Sunday, over midnight, always open, two openings, a minute, never open but on a date
OPENINGS = (
    [(day, "09:00:00", "17:00:00" if day < 6 else "09:00:01") for day in range(7)],
    [(day, "20:00:00", "02:00:00") for day in range(0, 7, 2)],
    [],
    [
        (day, *times)
        for day in range(7)
        for times in (("08:00:00", "12:00:00"), ("14:00:00", "22:00:00"))
    ],
    [(day, "12:00:00", "12:01:00") for day in range(7)],
)
ZONES = ("UTC", "America/Chicago", "Asia/Kolkata")

statuses = st.booleans().map(lambda active: "active" if active else "inactive")
instants = st.builds(
    lambda hours, minutes: hours * HOUR + minutes * MINUTE,
    st.integers(-60, 12),
    st.sampled_from([0, 0, 0, 30]),
)
appended = st.builds(
    lambda hours, minutes: hours * HOUR + minutes * MINUTE,
    st.integers(0, 12),
    st.sampled_from([1, 30, 60]),
)


@dataclass
class World:
    """A database, and what has been evaluated of it."""

    database: Database
    newest: datetime = FIRST
    now: datetime = END
    evaluated_until: datetime | None = None

    def put(self, *polls: tuple[str, datetime, str]) -> None:
        frame = pd.DataFrame(polls, columns=["store_id", "timestamp_utc", "status"]).astype(
            {"store_id": "str", "timestamp_utc": "datetime64[us, UTC]", "status": "str"}
        )
        with self.database.data_transaction() as connection:
            upsert_polls(self.database.polls, connection, frame)
        self.newest = max(self.newest, *(at for _, at, _ in polls))

    def remove(self, store: str, start: datetime, end: datetime) -> None:
        with self.database.data_transaction() as connection:
            remove_polls(
                self.database.polls, connection, store, start, end, removed_at=END, run_id=""
            )

    def set_hours(self, openings: dict[str, list[tuple[int, str, str]]]) -> None:
        rows = [(store, *row) for store, rows in openings.items() for row in rows]
        columns = ["store_id", "day_of_week", "start_time_local", "end_time_local"]
        with self.database.data_transaction() as connection:
            replace_snapshot(connection, business_hours, pd.DataFrame(rows, columns=columns))

    def as_of(self) -> datetime | None:
        with self.database.read() as connection:
            return newest_poll(self.database.polls, connection, self.now)

    def latest_alerts(self) -> pd.DataFrame:
        with self.database.read() as connection:
            return latest_alerts(connection)

    def evaluate(self, as_of: datetime) -> EvaluatedStates:
        return evaluate_states(
            self.database, as_of, self.latest_alerts(), self.evaluated_until, NO_DATA_AFTER
        )

    def evaluate_from_polls(self, as_of: datetime) -> pd.DataFrame:
        return read_store_states(
            self.database, as_of, self.latest_alerts(), self.evaluated_until, NO_DATA_AFTER
        )

    def due(self, states: pd.DataFrame, as_of: datetime) -> list[Alert]:
        alerts = new_alerts(
            states,
            self.latest_alerts(),
            as_of=as_of,
            evaluated_until=self.evaluated_until,
            threshold=AFTER,
        )
        return sorted(alerts, key=lambda each: str(each.store_id))

    def store(self, evaluated: EvaluatedStates, alerts: list[Alert]) -> bool:
        _, previous, current, changed, gone = evaluated
        with self.database.registry_transaction(lock="alerts") as connection:
            insert_alerts(connection, alerts, current.as_of)
            self.evaluated_until = current.as_of
            return save_states(connection, previous, current, changed, gone)

    def step(self) -> None:
        """Evaluate and store, as a tick of the sensor does."""
        as_of = self.as_of()
        assert as_of is not None
        evaluated = self.evaluate(as_of)
        assert self.store(evaluated, self.due(evaluated.states, as_of))


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


def sorted_states(states: pd.DataFrame) -> pd.DataFrame:
    return states.sort_values("store_id", ignore_index=True)


def change(world: World, data: st.DataObject) -> None:
    """Apply a random change."""
    kind = data.draw(
        st.sampled_from(["append"] * 6 + ["any"] * 2 + ["remove", "drop", "hours", "zones", "date"])
    )
    base, store = world.newest, st.sampled_from(STORES)
    if kind in {"append", "any"}:
        offsets = appended if kind == "append" else instants
        polls = data.draw(st.lists(st.tuples(store, offsets, statuses), min_size=1, max_size=6))
        world.put(*((name, base + offset, status) for name, offset, status in polls))
    elif kind == "remove":
        start = base + data.draw(instants)
        length = data.draw(st.sampled_from([MINUTE, HOUR, 30 * HOUR, 900 * HOUR]))
        world.remove(data.draw(store), start, start + length)
    elif kind == "drop":
        with world.database.data_transaction() as connection:
            drop_polls(world.database.polls, connection, base - data.draw(st.integers(0, 9)) * HOUR)
    elif kind == "hours":
        world.set_hours({name: data.draw(st.sampled_from(OPENINGS)) for name in STORES[:3]})
    elif kind == "zones":
        zones = {name: data.draw(st.sampled_from(ZONES)) for name in STORES[:3]}
        frame = pd.DataFrame({"store_id": list(zones), "timezone_str": list(zones.values())})
        with world.database.data_transaction() as connection:
            replace_snapshot(connection, store_timezone, frame)
    else:
        date = {"date": f"{base:%Y-%m-%d}", "start_time_local": "", "end_time_local": ""}
        with world.database.data_transaction() as connection:
            frame = pd.DataFrame([{"store_id": data.draw(store), **date}])
            replace_snapshot(connection, special_hours, frame)


def clear(database: Database) -> None:
    with database.registry_transaction() as connection:
        for table in (alert, state_evaluation, store_state):
            connection.execute(delete(table))
    with database.data_transaction() as connection:
        names = ("store_status", "poll_file", "polled_store", "store_revision", "business_hours")
        for name in (*names, "special_hours", "store_timezone", "quarantined_row", "ingested_file"):
            connection.execute(delete(metadata.tables[name]))


@given(data=st.data(), lookback=st.sampled_from([1, 1000]))
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_states_brought_forward_equal_those_of_all_polls(
    database: Database, data: st.DataObject, lookback: int
) -> None:
    clear(database)
    world = World(database)
    world.set_hours(dict(zip(STORES, OPENINGS, strict=False)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store_states, "LOOKBACK", pd.Timedelta(days=lookback))
        for _ in range(data.draw(st.integers(2, 8))):
            for _ in range(data.draw(st.integers(1, 2))):
                change(world, data)
            # polls of a fast clock do not count yet
            world.now = world.newest - data.draw(st.sampled_from([0, 0, 0, 5])) * HOUR
            as_of = world.as_of()
            if as_of is None:
                continue
            evaluated = world.evaluate(as_of)
            from_polls = world.evaluate_from_polls(as_of)
            alerts = world.due(evaluated.states, as_of)
            assert alerts == world.due(from_polls, as_of)
            if lookback > 1:
                assert_frame_equal(sorted_states(evaluated.states), sorted_states(from_polls))
            # the process may die before it stores anything
            if data.draw(st.integers(0, 5)):
                assert world.store(evaluated, alerts)


# Each reason to evaluate a store from its polls


def reevaluated_stores(world: World, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Evaluate; return the stores that were evaluated from their polls."""
    stores: set[str] = set()
    read = kept_states.read_states_of

    def spy(database: Database, these: pd.DataFrame, *arguments: object, **options: object):
        stores.update(these["store_id"])
        return read(database, these, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(kept_states, "read_states_of", spy)
        as_of = world.as_of()
        assert as_of is not None
        evaluated = world.evaluate(as_of)
    from_polls = world.evaluate_from_polls(as_of)
    assert_frame_equal(
        sorted_states(evaluated.states)[["store_id", "down_now", "is_down"]],
        sorted_states(from_polls)[["store_id", "down_now", "is_down"]],
    )
    assert world.store(evaluated, world.due(evaluated.states, as_of))
    return stores


@pytest.fixture
def evaluated(world: World) -> World:
    """Stores `a` and `b`, polled at 10:00 and 9:00 and evaluated."""
    world.put(("a", FIRST + 10 * HOUR, "active"), ("b", FIRST + 9 * HOUR, "active"))
    world.step()
    return world


def test_newer_polls_bring_states_forward(
    evaluated: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluated.put(("a", FIRST + 11 * HOUR, "inactive"), ("b", FIRST + 11 * HOUR, "active"))
    assert reevaluated_stores(evaluated, monkeypatch) == set()
    evaluated.put(("b", FIRST + 12 * HOUR, "inactive"))
    assert reevaluated_stores(evaluated, monkeypatch) == set()


def test_new_store_is_evaluated_from_its_polls(
    evaluated: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluated.put(("c", FIRST + 11 * HOUR, "active"))
    assert reevaluated_stores(evaluated, monkeypatch) == {"c"}


def test_late_poll_evaluates_its_store_from_its_polls(
    evaluated: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # newer than the last poll of the store, but not than the evaluation
    evaluated.put(("b", FIRST + 9.5 * HOUR, "inactive"))
    assert reevaluated_stores(evaluated, monkeypatch) == {"b"}
    assert reevaluated_stores(evaluated, monkeypatch) == set()


def test_late_poll_after_removal_of_newest_is_found(
    evaluated: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluated.put(("a", FIRST + 8 * HOUR, "active"))
    evaluated.remove("a", FIRST + 10 * HOUR, FIRST + 11 * HOUR)
    evaluated.put(("b", FIRST + 9.5 * HOUR, "inactive"))
    evaluated.put(("a", FIRST + 11 * HOUR, "active"))
    assert reevaluated_stores(evaluated, monkeypatch) == {"a", "b"}


def test_late_poll_after_withdrawal_of_newest_is_found(
    evaluated: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluated.put(("c", FIRST + 10 * HOUR, "active"))
    evaluated.step()
    database, later = evaluated.database, FIRST + 11 * HOUR
    frame = pd.DataFrame(
        {
            "store_id": ["b", "a"],
            "timestamp_utc": pd.to_datetime([FIRST + 9.5 * HOUR, later]).as_unit("us"),
            "status": ["inactive", "active"],
        }
    )
    with database.data_transaction() as connection:
        for store in ("a", "c"):
            withdraw_poll(database.polls, connection, store, FIRST + 10 * HOUR)
        upsert_polls(database.polls, connection, frame)
    assert reevaluated_stores(evaluated, monkeypatch) == {"a", "b"}


def test_store_removed_and_added_is_evaluated_from_polls(
    evaluated: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluated.remove("b", FIRST, FIRST + 24 * HOUR)
    evaluated.put(("b", FIRST + 11 * HOUR, "inactive"))
    assert reevaluated_stores(evaluated, monkeypatch) == {"b"}


@pytest.mark.parametrize("table", [business_hours, special_hours, store_timezone])
def test_new_snapshot_evaluates_all_stores_from_polls(
    evaluated: World, monkeypatch: pytest.MonkeyPatch, table: object
) -> None:
    with evaluated.database.data_transaction() as connection:
        rows = pd.DataFrame(columns=[column.name for column in table.columns])
        replace_snapshot(connection, table, rows)
    assert reevaluated_stores(evaluated, monkeypatch) == {"a", "b"}


def test_evaluation_overtaken_by_another_stores_no_states(evaluated: World) -> None:
    evaluated.put(("a", FIRST + 11 * HOUR, "inactive"))
    overtaken = evaluated.evaluate(FIRST + 11 * HOUR)
    evaluated.put(("a", FIRST + 12 * HOUR, "active"))
    evaluated.step()
    assert not evaluated.store(overtaken, [])
    with evaluated.database.read() as connection:
        latest = latest_state_evaluation(connection)
    assert latest is not None
    assert latest.as_of == FIRST + 12 * HOUR


def test_states_of_removed_stores_are_deleted(evaluated: World) -> None:
    evaluated.remove("b", FIRST, FIRST + 24 * HOUR)
    evaluated.step()
    with evaluated.database.read() as connection:
        assert connection.execute(store_state.select()).all()[0].store_id == "a"
        assert len(connection.execute(store_state.select()).all()) == 1
