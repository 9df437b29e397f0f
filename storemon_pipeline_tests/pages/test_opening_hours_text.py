"""Opening hours as text, by the same rules as the figures."""

from datetime import date

from storemon_pipeline.pages.opening_hours_text import special_dates, weekly_hours
from storemon_pipeline_tests.helpers.pages import hours_of

DASH = "\N{EN DASH}"


def test_weekly_hours_list_each_weekday():
    hours = hours_of(
        weekly=[
            (0, "08:00:00", "21:00:00"),
            (1, "09:00:00", "12:30:00"),
            (1, "20:00:00", "02:00:00"),
            (2, "00:00:00", "23:59:00"),
            (3, "00:00:00", "00:00:00"),
            (4, "09:00:00", "09:00:00"),
            (6, "18:00:00", "24:00:00"),
        ]
    )
    assert weekly_hours(hours) == [
        ("Mon", f"08:00{DASH}21:00"),
        ("Tue", f"09:00{DASH}12:30, 20:00{DASH}02:00 (Wed)"),
        # closing in the last minute of a day means midnight
        ("Wed", "open all day"),
        ("Thu", "open all day"),
        ("Fri", f"09:00{DASH}09:00 (Sat)"),
        ("Sat", "not provided: open all day"),
        ("Sun", f"18:00{DASH}24:00"),
    ]
    assert weekly_hours(hours_of()) == []


def test_special_dates_start_at_the_first_date():
    hours = hours_of(
        special=[
            ("2022-12-25", "", ""),
            ("2023-01-20", "", ""),
            ("2023-02-14", "10:00:00", "14:00:00"),
            ("2023-02-14", "17:00:00.25", "01:00:00"),
            ("2023-02-19", "20:00:00", "02:00:00"),
        ]
    )
    assert special_dates(hours, date(2023, 1, 20), 10) == (
        [
            ("Fri 20 Jan 2023", "closed"),
            ("Tue 14 Feb 2023", f"10:00{DASH}14:00, 17:00:00.25{DASH}01:00 (Wed)"),
            ("Sun 19 Feb 2023", f"20:00{DASH}02:00 (Mon)"),
        ],
        0,
    )
    assert special_dates(hours, date(2023, 1, 20), 1) == ([("Fri 20 Jan 2023", "closed")], 2)
    assert special_dates(hours, date(2023, 3, 1), 10) == ([], 0)
