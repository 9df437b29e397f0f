"""Decide which outage and recovery alerts are due, from each store's latest state.

An outage continues over closing time and ends when the store is up in its open time. (A downtime
event of :mod:`.downtime` lies within one opening.) Earlier alerts are an input; this module neither
stores nor sends alerts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from storemon_pipeline.uptime.conversions import to_iso_z, to_microseconds, to_timestamps
from storemon_pipeline.uptime.current_status import CurrentStatus
from storemon_pipeline.uptime.interval_arithmetic import Bool, Int
from storemon_pipeline.uptime.metrics import ObservedTime, round_to_hundredths
from storemon_pipeline.uptime.rules import HOUR

DOWN, RECOVERED = "down", "recovered"

_MINUTE = HOUR // 60
_MICROSECOND = timedelta(microseconds=1)
_UP_AND_DOWN = 2  # runs of a store that was up once, then down


def store_states(stores: pd.DataFrame, time: ObservedTime, current: pd.DataFrame) -> pd.DataFrame:
    """Compute the state of each store at the end of a span, and when it began.

    A *run* is open time of one status, across closing times and days. The state is the last run.

    Parameters
    ----------
    stores : DataFrame
        ``store_id`` (text, sorted, unique), ``timezone``, ``first_poll_utc``,
        ``last_poll_utc``.
    time : ObservedTime
        Of these stores; the states refer to its last instant.
    current : DataFrame
        Result of :func:`~storemon_pipeline.uptime.current_status.current_status` for the same
        stores and instant.

    Returns
    -------
    DataFrame, one row per store
        The columns of ``stores``; ``down_now`` (rule 7), ``is_down`` (the last run), ``since``
        (``datetime64[us, UTC]``: start of the last run), ``up_since`` (start of the last run of
        uptime, or NaT), ``length`` (int64: open time of the last run in microseconds) and ``runs``
        (int64: number of runs; with 0 the state is unknown).
    """
    # the rules may backfill the time before the first poll; alerts do not use that
    known_since = to_microseconds(stores["first_poll_utc"])
    was_up, was_down = (
        intervals.clip(known_since[intervals.code], time.key.end)
        for intervals in (time.up, time.down)
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
    # runs alternate, so the run before one of downtime is one of uptime
    up = newest - is_down
    is_open = (current["status"] != CurrentStatus.CLOSED).to_numpy()
    return stores[["store_id", "timezone", "first_poll_utc", "last_poll_utc"]].assign(
        down_now=(current["status"] == CurrentStatus.DOWN).to_numpy(),
        is_down=is_down,
        since=_at(run_start, newest, known),
        up_since=_at(run_start, up, runs > is_down),
        # the span ends one instant after as_of
        length=np.where(known, np.append(run_length, 0)[newest] - is_open, 0),
        runs=runs,
    )


def _at(instants: Int, position: Int, known: Bool) -> pd.Series:
    """Return the instants at positions as timestamps, NaT where unknown."""
    return to_timestamps(np.append(instants, 0)[np.where(known, position, -1)]).where(known)


def _join_latest_alerts(
    states: pd.DataFrame, latest_alerts: pd.DataFrame, evaluated_until: datetime | None
) -> Any:
    """Join the latest alert of each store, and the instant until which it was evaluated."""
    joined = states.merge(latest_alerts, on="store_id", how="left")
    joined["alerted_down"] = joined["kind"] == DOWN
    joined["evaluated_until"] = joined["as_of"]
    if evaluated_until is not None:
        joined["evaluated_until"] = joined["evaluated_until"].mask(
            joined["evaluated_until"] < evaluated_until, pd.Timestamp(evaluated_until)
        )
    return joined


def needs_longer_lookback(
    states: pd.DataFrame,
    latest_alerts: pd.DataFrame,
    start: pd.Timestamp | pd.Series,
    evaluated_until: datetime | None,
) -> Bool:
    """Return which stores need polls from before ``start`` to decide whether an alert is due.

    Parameters
    ----------
    states : DataFrame
        Result of :func:`store_states` over a span that begins at ``start``.
    start : Timestamp or Series of datetime64[us, UTC]
        Of all states, or of each by position.
    latest_alerts, evaluated_until
        As for :func:`new_alerts`.

    Returns
    -------
    bool array, one per state
    """
    joined = _join_latest_alerts(states, latest_alerts, evaluated_until)
    if isinstance(start, pd.Series):
        start = start.set_axis(joined.index)
    alerted = joined["alerted_down"]
    # no earlier than the first poll, nor than the outage of the latest alert
    earliest = joined["first_poll_utc"].where(
        ~alerted | (joined["first_poll_utc"] > joined["down_since"]), joined["down_since"]
    )
    runs, is_down = joined["runs"], joined["is_down"]
    down_throughout = is_down & (runs == 1)
    undecided = (
        # how long has it been down?
        (~alerted & joined["down_now"] & down_throughout)
        # was it up in between?
        | (alerted & (joined["evaluated_until"] < start) & (down_throughout | (runs == 0)))
        # when did it recover, or was it up before the current outage?
        | (alerted & ~is_down & (runs == 1))
        | (
            alerted
            & is_down
            & (runs == _UP_AND_DOWN)
            & (joined["since"] > joined["evaluated_until"])
        )
    )
    needed: Bool = (undecided & (earliest < start)).to_numpy(dtype=bool)
    return needed


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert to send.

    Attributes
    ----------
    alert_id : str
        Deterministic: the same event after the same earlier alert has the same id.
    store_id : str or None
        None if the alert is about the ingest.
    kind : str
        ``down`` or ``recovered``; for the ingest, ``ingest_failed`` or ``ingest_recovered``.
    down_since : datetime
        Start of the outage; for the ingest, time of the first failure.
    as_of : datetime
        The newest poll that was evaluated.
    payload : dict
        The body of the webhook request.
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
    """Decide which alerts are due: one for the start and one for the end of each outage.

    A store that is down now, and has been for at least ``threshold`` of its open time, gets a
    `down` alert. Once it has been up again in its open time, it gets a `recovered` alert, even if
    it is closed or down again by now.

    Parameters
    ----------
    states : DataFrame
        Result of :func:`store_states`, without those for which :func:`needs_longer_lookback`.
    latest_alerts : DataFrame
        The latest alert of each store: ``store_id``, ``kind``, ``alert_id``, ``down_since``,
        ``as_of``.
    as_of : datetime
        The instant of the states; UTC.
    evaluated_until : datetime, optional
        The instant of the previous evaluation: an alerted outage lasted at least until then.
    threshold : timedelta
        Minimum downtime.

    Returns
    -------
    list of Alert
        In the order in which they are to be sent.
    """
    joined = _join_latest_alerts(states, latest_alerts, evaluated_until)
    # a concurrent evaluation with newer polls has precedence
    current = ~(joined["as_of"] > as_of)
    alerted, is_down = joined["alerted_down"], joined["is_down"]
    is_new_outage = is_down & (joined["since"] > joined["evaluated_until"])
    recovered = current & alerted & joined["up_since"].notna() & (~is_down | is_new_outage)
    long = joined["length"] >= threshold // _MICROSECOND
    down = current & is_down & joined["down_now"] & long & (~alerted | recovered)

    recoveries = list(_recovered(joined[recovered], as_of))
    ends = {str(alert.store_id): alert.alert_id for alert in recoveries}
    return [*recoveries, *_down(joined[down], as_of, ends)]


def _recovered(which: pd.DataFrame, as_of: datetime) -> Iterator[Alert]:
    row: Any
    for row in which.itertuples():
        # a correction may move the recovery before the start of the outage
        up_since = max(row.up_since, row.down_since)
        yield _alert(
            row, RECOVERED, row.down_since, as_of, row.alert_id, up_since=to_iso_z(up_since)
        )


def _down(which: pd.DataFrame, as_of: datetime, ends: dict[str, str]) -> Iterator[Alert]:
    minutes = round_to_hundredths(which["length"].to_numpy(), _MINUTE) / 100
    row: Any
    for row, down_minutes in zip(which.itertuples(), minutes.tolist(), strict=True):
        previous_id = row.alert_id if isinstance(row.alert_id, str) else ""
        previous_id = ends.get(str(row.store_id), previous_id)
        yield _alert(row, DOWN, row.since, as_of, previous_id, down_minutes=down_minutes)


def _alert(
    row: Any, kind: str, down_since: pd.Timestamp, as_of: datetime, previous_id: str, **facts: Any
) -> Alert:
    # the id includes the previous alert: after a correction, the same outage may be alerted again
    text = "\n".join((row.store_id, kind, to_iso_z(down_since), previous_id))
    alert_id = hashlib.sha256(text.encode()).hexdigest()[:32]
    payload = {
        "alert_id": alert_id,
        "kind": kind,
        "store_id": row.store_id,
        "timezone": row.timezone,
        "down_since": to_iso_z(down_since),
        **facts,
        "last_poll": to_iso_z(row.last_poll_utc),
        "as_of": to_iso_z(as_of),
    }
    return Alert(alert_id, row.store_id, kind, down_since.to_pydatetime(), as_of, payload)
