"""Rows of text -> typed, valid rows, by Pandera; and a reason, for people, for each of the others.

What a valid value is, is decided by the rules of the report (Inputs). A value is first read, to
nothing where it cannot be; a schema then says what was read must be; what fails is told in the
words of the schema's checks.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import pandas as pd
import pandera.pandas as pa
import pyarrow.compute as pc
from pandera.errors import SchemaErrors
from pyarrow import ArrowInvalid
from pyarrow import array as arrow_array
from pyarrow import string as arrow_text
from pyarrow import timestamp as arrow_timestamp

from storemon_pipeline.intake.files import (
    BUSINESS_HOURS,
    SERVICE_LEVELS,
    SPECIAL_HOURS,
    STORE_STATUS,
    STORE_TIMEZONES,
    FileKind,
)
from storemon_pipeline.intake.rows import LINE
from storemon_pipeline.uptime.request import FIRST_YEAR, LAST_YEAR, STORE_ID, STORE_ID_IN_WORDS

MAX_AHEAD = timedelta(minutes=10)
"""How far after the moment of ingestion a poll may be stamped."""

_TIMESTAMP = re.compile(
    r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?"
    r"(?:\s*(?:UTC|Z|[+-]\d\d(?::?[0-5]\d)?))?"
)
_DATE = r"\d{4}-\d\d-\d\d"
_PERCENT = r"\d{1,3}(?:\.\d{1,3})?"
_WALL_TIME = re.compile(r"\d{1,2}:[0-5]\d(?::[0-5]\d(?:\.\d{1,6})?)?")
_MIDNIGHT = pd.Timedelta(hours=24)
_FIRST_INSTANT = pd.Timestamp("0001-01-01", tz="UTC")

# how a timestamp ends that is not the beginning of a longer one
_WHOLE_ZONE = re.compile(r"(?:UTC|Z|[+-]\d\d:?\d\d)$")

_START_RULE = "must be a time of day from 00:00:00 to 23:59:59"
_END_RULE = "must be a time of day from 00:00:00 to 24:00:00"
# how a spreadsheet writes a long number
_SCIENTIFIC = re.compile(r"\d(?:[.,]\d+)?[eE]\+\d+")
_ID_RULE = f"must be {STORE_ID_IN_WORDS}"


@dataclass(frozen=True, slots=True)
class CheckedRows:
    """Rows, judged.

    Attributes
    ----------
    good : DataFrame
        The kind's columns, typed.
    bad : DataFrame
        ``line_number`` and ``reason`` of the others.
    """

    good: pd.DataFrame
    bad: pd.DataFrame


def _store_id() -> pa.Column:
    return pa.Column("str", pa.Check(lambda ids: _fullmatch(ids, STORE_ID), error=_ID_RULE))


def _fullmatch(text: pd.Series, pattern: str) -> pd.Series:
    """Whether each text is what the pattern says; by Arrow, since pandas may go row by row."""
    found = pc.match_substring_regex(arrow_array(text, arrow_text()), rf"^(?:{pattern})$")
    return pd.Series(found.to_numpy(zero_copy_only=False), index=text.index)


def read_timestamps(text: pd.Series) -> pd.Series:
    """Instants as the files write them; NaT where it is none.

    Parameters
    ----------
    text : Series of text
        ``2023-01-22 12:09:39.388884 UTC`` with zero to six digits of fraction, or ISO 8601 with
        ``Z`` or an offset; without either it is UTC.

    Returns
    -------
    Series of ``datetime64[us, UTC]``
    """
    shaped = _fullmatch(text, _TIMESTAMP.pattern)
    exact = _usual_timestamps(text) if shaped.all() else None
    if exact is None:
        plain = text.where(shaped).str.removesuffix("UTC").str.rstrip()
        instants = pd.to_datetime(plain, format="ISO8601", utc=True, errors="coerce")
        exact = instants.astype("datetime64[us, UTC]")
    # the calendar has no year 0, and neither database can give such an instant back
    return exact.where(exact >= _FIRST_INSTANT)


def _usual_timestamps(text: pd.Series) -> pd.Series | None:
    """Instants of a timestamp's shape; None where one has an offset or is not in the calendar.

    Arrow reads them in a fraction of the time, but cannot say which of them it could not read.
    """
    plain = pc.ascii_rtrim(arrow_array(text, arrow_text()), " \t\n\f\rUTCZ")
    try:
        instants = plain.cast(arrow_timestamp("us"))
    except ArrowInvalid:
        return None
    return pd.Series(instants.to_numpy(), index=text.index).dt.tz_localize("UTC")


def _read_wall_times(text: pd.Series) -> pd.Series:
    # the same few hundred times of day again and again, each read once
    which, known = pd.factorize(text)
    texts = pd.Series(known, dtype="str")
    shaped = texts.where(_fullmatch(texts, _WALL_TIME.pattern))
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
    """Statuses without spaces around them, in small letters; each that differs is made once."""
    which, known = pd.factorize(text)
    statuses = pd.Series(known, dtype="str").str.strip().str.lower()
    return pd.Series(statuses.array.take(which), index=text.index)


def _polls(text: pd.DataFrame, now: datetime) -> tuple[pd.DataFrame, pa.DataFrameSchema]:
    latest = now + MAX_AHEAD
    read = text.assign(
        timestamp_utc=read_timestamps(text["timestamp_utc"]),
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
    closed = (times["start_time_local"].str.strip() == "") & (
        times["end_time_local"].str.strip() == ""
    )
    shaped = text["date"].where(_fullmatch(text["date"], _DATE))
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
    shaped = text["target_pct"].str.strip()
    shaped = shaped.where(_fullmatch(shaped, _PERCENT))
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
    schema = pa.DataFrameSchema(
        {
            "store_id": _store_id(),
            "timezone_str": pa.Column(
                "str",
                pa.Check(
                    lambda zones: zones.str.strip() != "",
                    error="must name a time zone, such as America/New_York",
                ),
            ),
        }
    )
    return text, schema


_READERS = {
    STORE_STATUS.table_name: _polls,
    BUSINESS_HOURS.table_name: _opening_hours,
    STORE_TIMEZONES.table_name: _timezones,
    SPECIAL_HOURS.table_name: _special_hours,
    SERVICE_LEVELS.table_name: _service_levels,
}


def check_rows(text: pd.DataFrame, kind: FileKind, now: datetime) -> CheckedRows:
    """Read and judge the rows of a kind.

    Parameters
    ----------
    text : DataFrame
        The kind's columns as text, and ``line_number``; of
        :func:`~storemon_pipeline.intake.rows.read_rows`.
    kind : FileKind
    now : datetime
        The moment of ingestion, UTC.

    Returns
    -------
    CheckedRows
    """
    read, schema = _READERS[kind.table_name](text, now)
    try:
        schema.validate(read, lazy=True)
        bad = pd.DataFrame({LINE: pd.Series(dtype="int64"), "reason": pd.Series(dtype="object")})
    except SchemaErrors as errors:
        bad = _reasons(errors.failure_cases, text)
    good = read[~read[LINE].isin(bad[LINE])].drop(columns=LINE)
    if kind is BUSINESS_HOURS:
        good = good.assign(
            day_of_week=good["day_of_week"].astype("int64"),
            start_time_local=_wall_time_text(good["start_time_local"]),
            end_time_local=_wall_time_text(good["end_time_local"]),
        )
    if kind is SPECIAL_HOURS:
        good = good.assign(
            date=good["date"].dt.strftime("%Y-%m-%d"),
            start_time_local=_wall_time_or_nothing(good["start_time_local"]),
            end_time_local=_wall_time_or_nothing(good["end_time_local"]),
        )
    return CheckedRows(good, bad)


def _reasons(failures: pd.DataFrame, text: pd.DataFrame) -> pd.DataFrame:
    """One reason a row, of all that failed in it, in the words of the checks."""
    cases = failures[["index", "column", "check"]].drop_duplicates()
    at = cases["index"].astype("int64")
    values = pd.Series("", index=cases.index, dtype="object")
    hints = values.copy()
    for column in cases["column"].unique():
        of_column = cases["column"] == column
        values[of_column] = text[column].loc[at[of_column]].map(_shown).to_numpy()
        if column == "store_id":
            hints[of_column] = text[column].loc[at[of_column]].map(_rounding_hint).to_numpy()
    said = cases["column"] + " " + values + " " + cases["check"].astype("str") + hints
    reasons = said.groupby(at).agg("; ".join)
    return pd.DataFrame(
        {LINE: text[LINE].loc[reasons.index].to_numpy(), "reason": reasons.to_numpy(dtype=object)}
    )


def _rounding_hint(store_id: str) -> str:
    if not _SCIENTIFIC.fullmatch(store_id.strip()):
        return ""
    return ", and was rounded by a spreadsheet: export ids as text"


def _shown(value: str) -> str:
    if not value.strip():
        return "is empty and"
    return f"is {value[:60]!r}{'…' if len(value) > 60 else ''} and"  # noqa: PLR2004


def is_whole_poll(values: dict[str, str], last_column: str | None) -> bool:
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
    >>> is_whole_poll(poll, "timestamp_utc")
    False
    >>> is_whole_poll(poll | {"timestamp_utc": "2023-01-22 12:09:39.38 UTC"}, "timestamp_utc")
    True
    """
    if last_column is None:
        return True
    value = values[last_column]
    if last_column == "status":
        return value.strip().lower() in {"active", "inactive"}
    if last_column == "timestamp_utc":
        return bool(_WHOLE_ZONE.search(value) and _TIMESTAMP.fullmatch(value))
    return False
