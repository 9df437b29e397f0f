"""Figures of past reports: histories, comparisons, downtime by hour."""

import pandas as pd
import pytest

from storemon_pipeline.uptime.past_reports import compare_uptime, history_figures, hour_figures

HOUR = 3_600_000_000


def metrics_of(**stores: tuple[int, int]) -> pd.DataFrame:
    """Return the uptime and downtime of stores as stored."""
    return pd.DataFrame(
        {
            "store_id": pd.Series([name.replace("_", "-") for name in stores], dtype="str"),
            "uptime": pd.Series([up for up, _ in stores.values()], dtype="int64"),
            "downtime": pd.Series([down for _, down in stores.values()], dtype="int64"),
        }
    )


def history(*metrics: tuple[int, int, int]) -> pd.DataFrame:
    reports = pd.DataFrame(
        {
            "report_id": pd.Series([str(number) for number in range(len(metrics))], dtype="str"),
            "as_of": pd.date_range("2023-01-25", periods=len(metrics), tz="UTC", unit="us"),
            "start": pd.Series([None] * len(metrics), dtype="object"),
        }
    )
    columns = ["uptime", "downtime", "unobserved"]
    return reports.join(pd.DataFrame(metrics, columns=columns, dtype="int64"))


def test_history_has_percentages_and_hours():
    figures = history_figures(
        history((0, 0, HOUR), (3 * HOUR, HOUR, 0), (HOUR, 2 * HOUR, HOUR // 3))
    )
    assert figures.columns.tolist() == [
        "report_id",
        "as_of",
        "start",
        "uptime_pct",
        "uptime_hours",
        "downtime_hours",
        "unobserved_hours",
    ]
    assert figures["uptime_pct"].tolist() == [
        pytest.approx(float("nan"), nan_ok=True),
        75.0,
        33.33,
    ]
    assert figures["uptime_hours"].tolist() == [0.0, 3.0, 1.0]
    assert figures["downtime_hours"].tolist() == [0.0, 1.0, 2.0]
    assert figures["unobserved_hours"].tolist() == [1.0, 0.0, 0.33]


def test_empty_history_has_the_same_dtypes():
    empty, full = history_figures(history()), history_figures(history((HOUR, 0, 0)))
    assert empty.empty
    assert empty.dtypes.to_dict() == full.dtypes.to_dict()


def test_comparison_starts_with_largest_decrease():
    a = metrics_of(
        better=(HOUR, HOUR),
        gone=(HOUR, 0),
        silent=(HOUR, 0),
        the_same=(HOUR, HOUR),
        worse=(HOUR, HOUR),
        worst=(HOUR, 0),
    )
    b = metrics_of(
        better=(3 * HOUR, HOUR),
        new=(HOUR, 0),
        silent=(0, 0),
        the_same=(HOUR, HOUR),
        worse=(HOUR, 2 * HOUR),
        worst=(0, HOUR),
    )
    comparison = compare_uptime(a, b)
    rows = comparison.astype(object).where(comparison.notna(), None)
    assert rows.to_numpy().tolist() == [
        ["worst", 100.0, 0.0, -100.0],
        ["worse", 50.0, 33.33, -16.67],
        ["the-same", 50.0, 50.0, 0.0],
        ["better", 50.0, 75.0, 25.0],
        ["gone", 100.0, None, None],
        ["new", None, 100.0, None],
        ["silent", 100.0, None, None],
    ]


def test_hours_have_the_share_of_downtime():
    hours = pd.DataFrame(
        {"hour": [8, 9], "open_minutes": [120.0, 90.0], "downtime_minutes": [30, 10.0]}
    )
    figures = hour_figures(hours)
    assert figures.columns.tolist() == ["hour", "open_minutes", "downtime_minutes", "downtime_pct"]
    assert figures["downtime_pct"].tolist() == [25.0, 11.11]
