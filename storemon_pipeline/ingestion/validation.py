"""Validation by Pandera: rows of text to typed, valid rows, and a readable reason for the others.

The rules of the report (Inputs) define the valid values. A value is parsed first, to a missing
value if that fails; a schema then checks the parsed values, and the error texts of its checks make
up the reason.
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

from storemon_pipeline.ingestion.columns import fullmatch
from storemon_pipeline.ingestion.csv_parser import LINE
from storemon_pipeline.ingestion.file_errors import IngestionError
from storemon_pipeline.ingestion.sources import (
    BUSINESS_HOURS,
    SERVICE_LEVELS,
    SPECIAL_HOURS,
    STORE_STATUS,
    STORE_TIMEZONES,
    SourceFile,
)
from storemon_pipeline.ingestion.time_zone_names import parse_timezones
from storemon_pipeline.ingestion.timestamps import is_complete_timestamp, parse_timestamps
from storemon_pipeline.uptime.conversions import map_distinct
from storemon_pipeline.uptime.messages import quote_value
from storemon_pipeline.uptime.report_request import (
    FIRST_YEAR,
    LAST_YEAR,
    STORE_ID_DESCRIPTION,
    STORE_ID_PATTERN,
)
from storemon_pipeline.uptime.rules import EARLIEST_POLL

MAX_CLOCK_SKEW = timedelta(minutes=10)
"""Maximum distance of a poll's timestamp after the time of ingestion."""

_DATE = r"\d{4}-\d\d-\d\d"
_PERCENT = r"\d{1,3}(?:\.\d{1,3})?"
_WALL_TIME = r"\d{1,2}:[0-5]\d(?::[0-5]\d(?:\.\d{1,6})?)?"
_MIDNIGHT = pd.Timedelta(hours=24)

_START_RULE = "must be a time of day from 00:00:00 to 23:59:59"
_END_RULE = "must be a time of day from 00:00:00 to 24:00:00"
# a long number as spreadsheets display it
_SCIENTIFIC = re.compile(r"\d(?:[.,]\d+)?[eE]\+\d+")
_ID_RULE = f"must be {STORE_ID_DESCRIPTION}"


@dataclass(frozen=True, slots=True)
class ValidatedRows:
    """Result of the validation of rows.

    Attributes
    ----------
    valid : DataFrame
        The kind's columns, typed.
    rejected : DataFrame
        ``line_number`` and ``reason`` of each rejected row.
    weekdays : frozenset of str
        All weekdays of opening hours as written, valid or not.
    """

    valid: pd.DataFrame
    rejected: pd.DataFrame
    weekdays: frozenset[str] = frozenset()


def _store_id() -> pa.Column:
    return pa.Column("str", pa.Check(lambda ids: fullmatch(ids, STORE_ID_PATTERN), error=_ID_RULE))


def _parse_wall_times(text: pd.Series) -> pd.Series:
    return map_distinct(text, _parse_distinct_wall_times)


def _parse_distinct_wall_times(texts: pd.Series) -> pd.Series:
    shaped = texts.where(fullmatch(texts, _WALL_TIME))
    return pd.to_timedelta(_with_seconds(shaped), errors="coerce").astype("timedelta64[us]")


def _with_seconds(text: pd.Series) -> pd.Series:
    return text.where(text.str.count(":") != 1, text + ":00")


def _format_wall_times(times: pd.Series) -> pd.Series:
    """Format as ``HH:MM:SS``, with six digits of any fraction."""
    return map_distinct(times, _format_distinct_wall_times)


def _format_distinct_wall_times(times: pd.Series) -> pd.Series:
    total = times.dt.total_seconds().astype("int64")
    text = (
        (total // 3600).astype("str").str.zfill(2)
        + ":"
        + (total // 60 % 60).astype("str").str.zfill(2)
        + ":"
        + (total % 60).astype("str").str.zfill(2)
    )
    fraction = times.dt.microseconds
    formatted: pd.Series = text.where(
        fraction == 0, text + "." + fraction.astype("str").str.zfill(6)
    )
    return formatted


def _format_optional_wall_times(times: pd.Series) -> pd.Series:
    """Format as :func:`_format_wall_times`; a missing time (closed) becomes empty."""
    is_missing = times.isna()
    return _format_wall_times(times.fillna(pd.Timedelta(0))).mask(is_missing, "")


def _polls(text: pd.DataFrame, now: datetime) -> tuple[pd.DataFrame, pa.DataFrameSchema]:
    latest = now + MAX_CLOCK_SKEW
    read = text.assign(
        timestamp_utc=parse_timestamps(text["timestamp_utc"]),
        status=map_distinct(text["status"], lambda statuses: statuses.str.lower()),
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
                        error="must be a timestamp like 2023-01-22 12:09:39.388884 UTC",
                    ),
                    pa.Check(
                        lambda at: at >= EARLIEST_POLL,
                        error=f"is before the year {EARLIEST_POLL.year}: a placeholder, not a time",
                    ),
                    pa.Check(
                        lambda at: at <= latest,
                        error="is more than ten minutes after the time of ingestion, "
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
        start_time_local=_parse_wall_times(text["start_time_local"]),
        end_time_local=_parse_wall_times(text["end_time_local"]),
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
        start_time_local=_parse_wall_times(times["start_time_local"]),
        end_time_local=_parse_wall_times(times["end_time_local"]),
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
    """Parse and validate rows.

    Parameters
    ----------
    text : DataFrame
        The kind's columns as text without surrounding spaces, and ``line_number``; from
        :func:`~storemon_pipeline.ingestion.csv_parser.parse_rows`.
    kind : SourceFile
    now : datetime
        The time of ingestion, UTC.

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
            start_time_local=_format_wall_times(good["start_time_local"]),
            end_time_local=_format_wall_times(good["end_time_local"]),
        )
        weekdays = frozenset(text["day_of_week"].unique())
        return ValidatedRows(good, bad, weekdays)
    if kind is SPECIAL_HOURS:
        good = good.assign(
            date=good["date"].dt.strftime("%Y-%m-%d"),
            start_time_local=_format_optional_wall_times(good["start_time_local"]),
            end_time_local=_format_optional_wall_times(good["end_time_local"]),
        )
    return ValidatedRows(good, bad)


def raise_if_days_from_one(weekdays: AbstractSet[str], file: str) -> None:
    """Reject opening hours whose days appear to be numbered from 1 to 7.

    They would all be off by one day.

    Parameters
    ----------
    weekdays : set of str
        All weekdays of the file as written.
    file : str
        Name of the file.

    Raises
    ------
    IngestionError
        If 7 occurs and 0 does not.
    """
    if "7" in weekdays and "0" not in weekdays:
        msg = (
            f"{file} was rejected: it has a day 7 and no day 0, but days are numbered from 0 "
            "(Monday) to 6 (Sunday). If 1 is Monday, subtract 1 from each day. Nothing was changed."
        )
        raise IngestionError(msg)


def _rejection_reasons(failures: pd.DataFrame, text: pd.DataFrame) -> pd.DataFrame:
    """Return one reason per rejected row: the errors of all its failed checks."""
    cases = failures[["index", "column", "check"]].drop_duplicates()
    at = cases["index"].to_numpy(dtype="int64")
    rows = np.unique(at)
    reasons = np.full(len(rows), "", dtype=object)
    # loop over the few checks, never over the rows
    kinds = cases[["column", "check"]].drop_duplicates()
    for column, check in zip(kinds["column"].astype("str"), kinds["check"], strict=True):
        failed = at[((cases["column"] == column) & (cases["check"] == check)).to_numpy()]
        which, values = pd.factorize(text[column].loc[failed])
        hint = _rounding_hint if column == "store_id" else _no_hint
        texts = np.array(
            [f"{column} {_quote_value(value)} {check}{hint(value)}" for value in values],
            dtype=np.object_,
        )
        of_rows = np.searchsorted(rows, failed)
        before = reasons[of_rows]
        reasons[of_rows] = before + np.where(before == "", "", "; ") + texts[which]
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
    """Return whether a line without a newline is complete, so that no appended text changes it.

    Parameters
    ----------
    values : dict
        Column -> text, for the columns of a poll.
    last_column : str or None
        The line's last column, which may be incomplete; None if it is not a column of a poll.

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
