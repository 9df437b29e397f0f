"""The newest state of stores -> what there is to tell of them: alerts.

An *outage* here is what a person takes for one: it goes on over closing time, and is over when the
store is up in its open time. (A downtime event of :mod:`.outages` lies within one opening.) What
has been told before is known by the alerts on record; how they are kept and sent is not known here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from storemon_pipeline.uptime.conversions import to_microseconds, to_timestamps
from storemon_pipeline.uptime.current_status import CurrentStatus
from storemon_pipeline.uptime.intervals import Bool, Int
from storemon_pipeline.uptime.metrics import ObservedTime, round_to_hundredths
from storemon_pipeline.uptime.rules import HOUR

DOWN, RECOVERED = "down", "recovered"

_MINUTE = HOUR // 60
_INSTANT = timedelta(microseconds=1)


def store_states(stores: pd.DataFrame, time: ObservedTime, current: pd.DataFrame) -> pd.DataFrame:
    """How each store is at the end of a span, and since when.

    A *run* is open time of one status, over closing time and days. The state is the last run.

    Parameters
    ----------
    stores : DataFrame
        ``store_id`` (text, sorted, no store twice), ``timezone``, ``first_poll_utc``,
        ``last_poll_utc``.
    time : OpenTime
        Of these stores; its last instant is the one that the states are of.
    current : DataFrame
        Of :func:`~storemon_pipeline.uptime.current_status.current_status`, of the same stores and
        instant.

    Returns
    -------
    DataFrame, a row a store by position
        The columns of ``stores``; ``down_now`` (rule 7), ``is_down`` (the last run), ``since``
        (``datetime64[us, UTC]``: the run's beginning), ``up_since`` (that of the last run of
        uptime; NaT where there is none), ``length`` (int64: the run's open time up to the last
        instant, in microseconds) and ``runs`` (int64: how many there are; of a store with none,
        nothing is known).
    """
    # the rules let the first poll speak for all time before it; nobody is told of that
    known_since = to_microseconds(stores["first_poll_utc"])
    was_up, was_down = (
        each.clip(known_since[each.code], time.line.end) for each in (time.up, time.down)
    )
    code = np.concatenate((was_up.code, was_down.code))
    start = np.concatenate((was_up.start, was_down.start))
    end = np.concatenate((was_up.end, was_down.end))
    down = np.repeat([False, True], [len(was_up), len(was_down)])
    order = np.lexsort((start, code))
    code, start, end, down = code[order], start[order], end[order], down[order]

    first = np.flatnonzero(
        np.append(True, (code[1:] != code[:-1]) | (down[1:] != down[:-1]))[: len(code)]
    )
    run_code, run_start, run_down = code[first], start[first], down[first]
    run_length = np.add.reduceat(end - start, first) if len(first) else first

    runs = np.bincount(run_code, minlength=len(stores))
    newest = np.cumsum(runs) - 1
    known = runs > 0
    is_down = np.zeros(len(stores), dtype=bool)
    is_down[known] = run_down[newest[known]]
    # runs take turns: before one of downtime there is one of uptime, if there is any
    up = newest - is_down
    is_open = (current["status"] != CurrentStatus.CLOSED).to_numpy()
    return stores[["store_id", "timezone", "first_poll_utc", "last_poll_utc"]].assign(
        down_now=(current["status"] == CurrentStatus.DOWN).to_numpy(),
        is_down=is_down,
        since=_at(run_start, newest, known),
        up_since=_at(run_start, up, runs > is_down),
        # the span is one instant longer than what has passed
        length=np.where(known, np.append(run_length, 0)[newest] - is_open, 0),
        runs=runs,
    )


def _at(instants: Int, position: Int, known: Bool) -> pd.Series:
    """Instants at positions, as timestamps; NaT where they are not known."""
    return to_timestamps(np.append(instants, 0)[np.where(known, position, -1)]).where(known)


def _join_latest_alerts(
    states: pd.DataFrame, latest_alerts: pd.DataFrame, evaluated_until: datetime | None
) -> Any:
    """States with what is on record of each store, and up to when its outage is known."""
    both = states.merge(latest_alerts, on="store_id", how="left")
    both["told_down"] = both["kind"] == DOWN
    both["seen"] = both["as_of"]
    if evaluated_until is not None:
        both["seen"] = both["seen"].mask(
            both["seen"] < evaluated_until, pd.Timestamp(evaluated_until)
        )
    return both


def needs_longer_lookback(
    states: pd.DataFrame,
    latest_alerts: pd.DataFrame,
    start: pd.Timestamp,
    evaluated_until: datetime | None,
) -> Bool:
    """Of which stores more must be looked at, since what is to be told began before ``start``.

    Parameters
    ----------
    states : DataFrame
        Of :func:`store_states`, over a span from ``start`` on.
    on_record, seen
        As for :func:`new_alerts`.

    Returns
    -------
    bool array, a state each
    """
    both = _join_latest_alerts(states, latest_alerts, evaluated_until)
    told = both["told_down"]
    # nothing is known before the first poll, and what came before the outage on record is told
    earliest = both["first_poll_utc"].where(
        ~told | (both["first_poll_utc"] > both["down_since"]), both["down_since"]
    )
    runs, is_down = both["runs"], both["is_down"]
    down_throughout = is_down & (runs == 1)
    wanted = (
        # how long has it been down?
        (~told & both["down_now"] & down_throughout)
        # was it up in between?
        | (told & (both["seen"] < start) & (down_throughout | (runs == 0)))
        # since when is it up, or was it up before it was down once more?
        | (told & ~is_down & (runs == 1))
        | (told & is_down & (runs == 2) & (both["since"] > both["seen"]))  # noqa: PLR2004
    )
    found: Bool = (wanted & (earliest < start)).to_numpy(dtype=bool)
    return found


@dataclass(frozen=True, slots=True)
class Alert:
    """Something to tell.

    Attributes
    ----------
    alert_id : str
        The same whenever the same is noticed again on the same record.
    store_id : str or None
        None: the alert is about the ingest.
    kind : str
        ``down`` or ``recovered``; of the ingest ``ingest_failed`` or ``ingest_recovered``.
    down_since : datetime
        When the outage began; of the ingest, since when it fails.
    as_of : datetime
        The newest poll, up to which this is known.
    payload : dict
        What is sent.
    """

    alert_id: str
    store_id: str | None
    kind: str
    down_since: datetime
    as_of: datetime
    payload: dict[str, Any]


def new_alerts(
    states: pd.DataFrame,
    latest_alerts: pd.DataFrame,
    *,
    as_of: datetime,
    evaluated_until: datetime | None,
    threshold: timedelta,
) -> list[Alert]:
    """Decide what there is to tell, each outage's beginning and end once.

    A store that is down now and has been for ``after`` of its open time is `down`; once it
    has been told so, nothing more is, until it is known to have been up in its open time, which is
    `recovered`, be it closed by now or down once more.

    Parameters
    ----------
    states : DataFrame
        Of :func:`store_states`, none of them :func:`needs_longer_lookback`.
    latest_alerts : DataFrame
        The newest alert of each store that has any: ``store_id``, ``kind``, ``alert_id``,
        ``down_since``, ``as_of``.
    as_of : datetime
        The instant that the states are of; UTC.
    evaluated_until : datetime, optional
        Up to when what is on record was held against the polls before: an outage on record went on
        at least until then.
    threshold : timedelta

    Returns
    -------
    list of Alert
        In the order in which they are to be told.
    """
    both = _join_latest_alerts(states, latest_alerts, evaluated_until)
    # somebody with newer polls has decided already
    current = ~(both["as_of"] > as_of)
    told, is_down = both["told_down"], both["is_down"]
    is_new_outage = is_down & (both["since"] > both["seen"])
    recovered = current & told & both["up_since"].notna() & (~is_down | is_new_outage)
    long = both["length"] >= threshold // _INSTANT
    down = current & is_down & both["down_now"] & long & (~told | recovered)

    found = list(_recovered(both[recovered], as_of))
    ends = {str(alert.store_id): alert.alert_id for alert in found}
    return [*found, *_down(both[down], as_of, ends)]


def _recovered(which: pd.DataFrame, as_of: datetime) -> Iterator[Alert]:
    row: Any
    for row in which.itertuples():
        # where a correction says that it was never down, it was for no time
        up_since = max(row.up_since, row.down_since)
        yield _alert(
            row, RECOVERED, row.down_since, as_of, row.alert_id, up_since=instant_text(up_since)
        )


def _down(which: pd.DataFrame, as_of: datetime, ends: dict[str, str]) -> Iterator[Alert]:
    minutes = round_to_hundredths(which["length"].to_numpy(), _MINUTE) / 100
    row: Any
    for row, down_minutes in zip(which.itertuples(), minutes.tolist(), strict=True):
        before = row.alert_id if isinstance(row.alert_id, str) else ""
        before = ends.get(str(row.store_id), before)
        yield _alert(row, DOWN, row.since, as_of, before, down_minutes=down_minutes)


def _alert(
    row: Any, kind: str, down_since: pd.Timestamp, as_of: datetime, before: str, **facts: Any
) -> Alert:
    # the alert before it is part of the id: after a correction, the same outage may be told anew
    text = "\n".join((row.store_id, kind, instant_text(down_since), before))
    alert_id = hashlib.sha256(text.encode()).hexdigest()[:32]
    payload = {
        "alert_id": alert_id,
        "kind": kind,
        "store_id": row.store_id,
        "timezone": row.timezone,
        "down_since": instant_text(down_since),
        **facts,
        "last_poll": instant_text(row.last_poll_utc),
        "as_of": instant_text(as_of),
    }
    return Alert(alert_id, row.store_id, kind, down_since.to_pydatetime(), as_of, payload)


def instant_text(instant: datetime) -> str:
    """An instant in UTC as ISO 8601 with ``Z``."""
    return instant.isoformat().replace("+00:00", "Z")
