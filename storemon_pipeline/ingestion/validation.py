"""Rows of text -> typed, valid rows, by Pandera; and a reason, for people, for each of the others.

What a valid value is, is decided by the rules of the report (Inputs). A value is first read, to
nothing where it cannot be; a schema then says what was read must be; what fails is told in the
words of the schema's checks.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pandera.errors import SchemaErrors

from storemon_pipeline.ingestion.csv_parser import LINE
from storemon_pipeline.ingestion.errors import IngestionError
from storemon_pipeline.ingestion.sources import (
    BUSINESS_HOURS,
    SERVICE_LEVELS,
    SPECIAL_HOURS,
    STORE_STATUS,
    STORE_TIMEZONES,
    SourceFile,
)
from storemon_pipeline.ingestion.text import fullmatch
from storemon_pipeline.ingestion.time_zone_names import parse_timezones
from storemon_pipeline.ingestion.timestamps import is_complete_timestamp, parse_timestamps
from storemon_pipeline.uptime.messages import quote_value
from storemon_pipeline.uptime.report_request import (
    FIRST_YEAR,
    LAST_YEAR,
    STORE_ID_DESCRIPTION,
    STORE_ID_PATTERN,
)
from storemon_pipeline.uptime.rules import EARLIEST_POLL

MAX_CLOCK_SKEW = timedelta(minutes=10)
"""How far after the moment of ingestion a poll may be stamped."""

_DATE = r"\d{4}-\d\d-\d\d"
_PERCENT = r"\d{1,3}(?:\.\d{1,3})?"
_WALL_TIME = r"\d{1,2}:[0-5]\d(?::[0-5]\d(?:\.\d{1,6})?)?"
_MIDNIGHT = pd.Timedelta(hours=24)

_START_RULE = "must be a time of day from 00:00:00 to 23:59:59"
_END_RULE = "must be a time of day from 00:00:00 to 24:00:00"
# how a spreadsheet writes a long number
_SCIENTIFIC = re.compile(r"\d(?:[.,]\d+)?[eE]\+\d+")
_ID_RULE = f"must be {STORE_ID_DESCRIPTION}"


@dataclass(frozen=True, slots=True)
class ValidatedRows:
    """Rows, judged.

    Attributes
    ----------
    valid : DataFrame
        The kind's columns, typed.
    rejected : DataFrame
        ``line_number`` and ``reason`` of the others.
    weekdays : frozenset of str
        Which weekdays of opening hours occur, good or bad, as they are written.
    """

    valid: pd.DataFrame
    rejected: pd.DataFrame
    weekdays: frozenset[str] = frozenset()


def _store_id() -> pa.Column:
    return pa.Column("str", pa.Check(lambda ids: fullmatch(ids, STORE_ID_PATTERN), error=_ID_RULE))


def _read_wall_times(text: pd.Series) -> pd.Series:
    # the same few hundred times of day again and again, each read once
    which, known = pd.factorize(text)
    texts = pd.Series(known, dtype="str")
    shaped = texts.where(fullmatch(texts, _WALL_TIME))
    times = pd.to_timedelta(_with_seconds(shaped), errors="coerce").astype("timedelta64[us]")
    return pd.Series(times.array.take(which), index=text.index)


def _with_seconds(text: pd.Series) -> pd.Series:
    return text.where(text.str.count(":") != 1, text + ":00")


def _wall_time_text(times: pd.Series) -> pd.Series:
    """``HH:MM:SS``, with six digits of fraction where there is one."""
    which, known = pd.factorize(times)
    each = pd.Series(known, dtype="timedelta64[us]")
    total = each.dt.total_seconds().astype("int64")
    text = (
        (total // 3600).astype("str").str.zfill(2)
        + ":"
        + (total // 60 % 60).astype("str").str.zfill(2)
        + ":"
        + (total % 60).astype("str").str.zfill(2)
    )
    fraction = each.dt.microseconds
    whole = text.where(fraction == 0, text + "." + fraction.astype("str").str.zfill(6))
    return pd.Series(whole.array.take(which), index=times.index)


def _wall_time_or_nothing(times: pd.Series) -> pd.Series:
    """As :func:`_wall_time_text`; nothing where there is no time: closed."""
    none = times.isna()
    return _wall_time_text(times.fillna(pd.Timedelta(0))).mask(none, "")


def _statuses(text: pd.Series) -> pd.Series:
    """Statuses in small letters; each that differs is made once."""
    which, known = pd.factorize(text)
    statuses = pd.Series(known, dtype="str").str.lower()
    return pd.Series(statuses.array.take(which), index=text.index)


def _polls(text: pd.DataFrame, now: datetime) -> tuple[pd.DataFrame, pa.DataFrameSchema]:
    latest = now + MAX_CLOCK_SKEW
    read = text.assign(
        timestamp_utc=parse_timestamps(text["timestamp_utc"]),
        status=_statuses(text["status"]),
    )
    schema = pa.DataFrameSchema(
        {
            "store_id": _store_id(),
            "timestamp_utc": pa.Column(
                "datetime64[us, UTC]",
                [
                    pa.Check(
                        pd.Series.notna,
                        ignore_na=False,
                        error="must be an instant like 2023-01-22 12:09:39.388884 UTC",
                    ),
                    pa.Check(
                        lambda at: at >= EARLIEST_POLL,
                        error=f"is before the year {EARLIEST_POLL.year}, as where no time is known",
                    ),
                    pa.Check(
                        lambda at: at <= latest,
                        error="is more than ten minutes after the moment of ingestion, "
                        f"{now:%Y-%m-%d %H:%M:%S} UTC",
                    ),
                ],
                nullable=True,
            ),
            "status": pa.Column(
                "str", pa.Check.isin(["active", "inactive"], error="must be active or inactive")
            ),
        }
    )
    return read, schema


def _opening_hours(text: pd.DataFrame, _now: datetime) -> tuple[pd.DataFrame, pa.DataFrameSchema]:
    read = text.assign(
        start_time_local=_read_wall_times(text["start_time_local"]),
        end_time_local=_read_wall_times(text["end_time_local"]),
    )

    schema = pa.DataFrameSchema(
        {
            "store_id": _store_id(),
            "day_of_week": pa.Column(
                "str", pa.Check.str_matches("^[0-6]$", error="must be 0 (Monday) to 6 (Sunday)")
            ),
            "start_time_local": _time_of_day(_START_RULE, lambda t: t < _MIDNIGHT),
            "end_time_local": _time_of_day(_END_RULE, lambda t: t <= _MIDNIGHT),
        }
    )
    return read, schema


def _time_of_day(error: str, upto: Callable[[pd.Series], pd.Series]) -> pa.Column:
    return pa.Column("timedelta64[us]", pa.Check(upto, ignore_na=False, error=error), nullable=True)


def _special_hours(text: pd.DataFrame, _now: datetime) -> tuple[pd.DataFrame, pa.DataFrameSchema]:
    times = text[["start_time_local", "end_time_local"]]
    closed = (times["start_time_local"] == "") & (times["end_time_local"] == "")
    shaped = text["date"].where(fullmatch(text["date"], _DATE))
    read = text.assign(
        date=pd.to_datetime(shaped, format="%Y-%m-%d", errors="coerce").astype("datetime64[us]"),
        start_time_local=_read_wall_times(times["start_time_local"]),
        end_time_local=_read_wall_times(times["end_time_local"]),
    )
    schema = pa.DataFrameSchema(
        {
            "store_id": _store_id(),
            "date": pa.Column(
                "datetime64[us]",
                pa.Check(
                    lambda dates: dates.dt.year.between(FIRST_YEAR, LAST_YEAR),
                    ignore_na=False,
                    error=f"must be a date like 2023-12-25, from {FIRST_YEAR} to {LAST_YEAR}",
                ),
                nullable=True,
            ),
            "start_time_local": _time_of_day(
                f"{_START_RULE}, or both times empty: closed", lambda t: (t < _MIDNIGHT) | closed
            ),
            "end_time_local": _time_of_day(
                f"{_END_RULE}, or both times empty: closed", lambda t: (t <= _MIDNIGHT) | closed
            ),
        }
    )
    return read, schema


def _service_levels(text: pd.DataFrame, _now: datetime) -> tuple[pd.DataFrame, pa.DataFrameSchema]:
    shaped = text["target_pct"].where(fullmatch(text["target_pct"], _PERCENT))
    read = text.assign(target_pct=pd.to_numeric(shaped, errors="coerce").astype("float64"))
    schema = pa.DataFrameSchema(
        {
            "store_id": _store_id(),
            "target_pct": pa.Column(
                "float64",
                pa.Check(
                    lambda target: target.between(0, 100),
                    ignore_na=False,
                    error="must be a percentage from 0 to 100, with at most three decimals",
                ),
                nullable=True,
            ),
        }
    )
    return read, schema


def _timezones(text: pd.DataFrame, _now: datetime) -> tuple[pd.DataFrame, pa.DataFrameSchema]:
    zones, column = parse_timezones(text["timezone_str"])
    schema = pa.DataFrameSchema({"store_id": _store_id(), "timezone_str": column})
    return text.assign(timezone_str=zones), schema


_READERS = {
    STORE_STATUS.table_name: _polls,
    BUSINESS_HOURS.table_name: _opening_hours,
    STORE_TIMEZONES.table_name: _timezones,
    SPECIAL_HOURS.table_name: _special_hours,
    SERVICE_LEVELS.table_name: _service_levels,
}


def validate_rows(text: pd.DataFrame, kind: SourceFile, now: datetime) -> ValidatedRows:
    """Read and judge the rows of a kind.

    Parameters
    ----------
    text : DataFrame
        The kind's columns as text without spaces around it, and ``line_number``; of
        :func:`~storemon_pipeline.ingestion.csv_parser.parse_rows`.
    kind : SourceFile
    now : datetime
        The moment of ingestion, UTC.

    Returns
    -------
    ValidatedRows
    """
    read, schema = _READERS[kind.table_name](text, now)
    try:
        schema.validate(read, lazy=True)
        bad = pd.DataFrame({LINE: pd.Series(dtype="int64"), "reason": pd.Series(dtype="object")})
    except SchemaErrors as errors:
        bad = _rejection_reasons(errors.failure_cases, text)
    good = read[~read[LINE].isin(bad[LINE])].drop(columns=LINE)
    if kind is BUSINESS_HOURS:
        good = good.assign(
            day_of_week=good["day_of_week"].astype("int64"),
            start_time_local=_wall_time_text(good["start_time_local"]),
            end_time_local=_wall_time_text(good["end_time_local"]),
        )
        weekdays = frozenset(text["day_of_week"].unique())
        return ValidatedRows(good, bad, weekdays)
    if kind is SPECIAL_HOURS:
        good = good.assign(
            date=good["date"].dt.strftime("%Y-%m-%d"),
            start_time_local=_wall_time_or_nothing(good["start_time_local"]),
            end_time_local=_wall_time_or_nothing(good["end_time_local"]),
        )
    return ValidatedRows(good, bad)


def refuse_days_from_one(weekdays: AbstractSet[str], file: str) -> None:
    """Refuse opening hours whose days seem to be numbered from 1 to 7: all would be a day off.

    Parameters
    ----------
    weekdays : set of str
        All that occur in the file, as they are written.
    file : str
        Its name.

    Raises
    ------
    IngestionError
        Where there is a 7 and no 0.
    """
    if "7" in weekdays and "0" not in weekdays:
        msg = (
            f"{file} is refused: it has a day 7 and no day 0, where days go from 0 (Monday) to 6 "
            "(Sunday). Where 1 is Monday, write each day less one. Nothing was changed."
        )
        raise IngestionError(msg)


def _rejection_reasons(failures: pd.DataFrame, text: pd.DataFrame) -> pd.DataFrame:
    """One reason a row, of all that failed in it, in the words of the checks."""
    cases = failures[["index", "column", "check"]].drop_duplicates()
    at = cases["index"].to_numpy(dtype="int64")
    rows = np.unique(at)
    reasons = np.full(len(rows), "", dtype=object)
    # few columns with few checks each; rows may be many, and are never looped over
    kinds = cases[["column", "check"]].drop_duplicates()
    for column, check in zip(kinds["column"].astype("str"), kinds["check"], strict=True):
        failed = at[((cases["column"] == column) & (cases["check"] == check)).to_numpy()]
        which, values = pd.factorize(text[column].loc[failed])
        hint = _rounding_hint if column == "store_id" else _no_hint
        said = np.array(
            [f"{column} {_quote_value(value)} {check}{hint(value)}" for value in values],
            dtype=np.object_,
        )
        of_rows = np.searchsorted(rows, failed)
        before = reasons[of_rows]
        reasons[of_rows] = before + np.where(before == "", "", "; ") + said[which]
    return pd.DataFrame({LINE: text[LINE].loc[rows].to_numpy(), "reason": reasons})


def _no_hint(_value: str) -> str:
    return ""


def _rounding_hint(store_id: str) -> str:
    if not _SCIENTIFIC.fullmatch(store_id.strip()):
        return ""
    return ", and was rounded by a spreadsheet: export ids as text"


def _quote_value(value: str) -> str:
    if not value.strip():
        return "is empty and"
    return f"is {quote_value(value)} and"


def is_complete_poll_line(values: dict[str, str], last_column: str | None) -> bool:
    """Whether a line that has no newline yet cannot be the beginning of a longer one.

    Parameters
    ----------
    values : dict
        Column -> text, of the line's columns of a poll.
    last_column : str or None
        The line's last column, which may be cut; None where that is one that is not needed.

    Examples
    --------
    >>> poll = {"status": "active", "timestamp_utc": "2023-01-22 12:09:39.38"}
    >>> is_complete_poll_line(poll, "timestamp_utc")
    False
    >>> is_complete_poll_line(poll | {"timestamp_utc": "2023-01-22 12:09:39 UTC"}, "timestamp_utc")
    True
    """
    if last_column is None:
        return True
    value = values[last_column]
    if last_column == "status":
        return value.strip().lower() in {"active", "inactive"}
    if last_column == "timestamp_utc":
        return is_complete_timestamp(value)
    return False
