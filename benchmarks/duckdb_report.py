"""The same report by hand-written SQL in DuckDB: the baseline of the benchmarks.

``python benchmarks/duckdb_report.py DATA_DIR OUT.csv [--threads 2]`` reads the three CSV files and
writes ``report.csv`` for the default rules and windows. The SQL is written as a good analyst would:
one pass over each table, an as-of join for the polls within opening hours, and changes of status
before the join with opening hours. A test compares its metrics with the project's.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import duckdb

LOAD = """
CREATE TABLE store_status AS
SELECT store_id, strptime(replace(timestamp_utc, ' UTC', ''), ['%Y-%m-%d %H:%M:%S.%f', '%Y-%m-%d %H:%M:%S'])
           AS timestamp_utc, status
FROM read_csv('{data}/store_status.csv', types = {{'store_id': 'VARCHAR', 'timestamp_utc': 'VARCHAR'}});
CREATE TABLE business_hours AS
SELECT store_id, {day} AS day_of_week, start_time_local, end_time_local
FROM read_csv('{data}/menu_hours.csv', types = {{'store_id': 'VARCHAR', 'start_time_local': 'TIME', 'end_time_local': 'TIME'}});
CREATE TABLE store_timezone AS
FROM read_csv('{data}/timezones.csv', types = {{'store_id': 'VARCHAR'}});
"""

REPORT = """
WITH bounds AS (
    SELECT max(timestamp_utc) AS as_of, as_of - INTERVAL 7 DAY AS span_start, min(timestamp_utc) AS oldest
    FROM store_status
),
stores AS (
    SELECT s.store_id, coalesce(n.name, 'America/Chicago') AS zone
    FROM (SELECT DISTINCT store_id FROM store_status) s
    LEFT JOIN store_timezone z USING (store_id)
    LEFT JOIN pg_timezone_names() n ON n.name = z.timezone_str
),
days AS (
    SELECT unnest(generate_series(
        (SELECT least(span_start, oldest)::DATE - 2 FROM bounds),
        (SELECT as_of::DATE + 1 FROM bounds), INTERVAL 1 DAY))::DATE AS day
),
-- weekly openings in minutes of the day; 23:59 means midnight, a missing weekday is open all day
weekly AS (
    SELECT store_id, day_of_week, start_time_local AS opens,
           CASE WHEN end_time_local >= TIME '23:59:00' THEN INTERVAL 24 HOUR
                WHEN end_time_local <= start_time_local
                    THEN (DATE '2000-01-02' + end_time_local) - TIMESTAMP '2000-01-01'
                ELSE (DATE '2000-01-01' + end_time_local) - TIMESTAMP '2000-01-01' END AS closes
    FROM business_hours
    UNION ALL
    SELECT store_id, weekday, TIME '00:00:00', INTERVAL 24 HOUR
    FROM (SELECT DISTINCT store_id FROM business_hours), range(7) AS weekdays(weekday)
    WHERE (store_id, weekday) NOT IN (SELECT (store_id, day_of_week) FROM business_hours)
),
-- local times are converted to instants once per zone, day and time of day
placed AS (
    SELECT zone, day, opens, closes,
           timezone('UTC', timezone(zone, day + opens)) AS open_utc,
           timezone('UTC', timezone(zone, day + closes)) AS close_utc
    FROM (SELECT DISTINCT zone, day_of_week, opens, closes FROM weekly JOIN stores USING (store_id)) kinds
    JOIN days ON isodow(day) - 1 = day_of_week
),
openings AS (
    SELECT store_id, open_utc, close_utc
    FROM weekly JOIN stores USING (store_id)
    JOIN placed ON placed.zone = stores.zone AND isodow(placed.day) - 1 = weekly.day_of_week
        AND placed.opens = weekly.opens AND placed.closes = weekly.closes
    UNION ALL
    SELECT store_id, (SELECT oldest FROM bounds) - INTERVAL 2 DAY, (SELECT as_of FROM bounds) + INTERVAL 2 DAY
    FROM stores WHERE store_id NOT IN (SELECT store_id FROM business_hours)
),
-- gaps and islands: openings that overlap or touch are one
islands AS (
    SELECT *, sum(begins) OVER (PARTITION BY store_id ORDER BY open_utc, close_utc) AS island
    FROM (
        SELECT *, (open_utc > coalesce(max(close_utc) OVER (
            PARTITION BY store_id ORDER BY open_utc, close_utc
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), TIMESTAMP '0001-01-01'))::INT AS begins
        FROM openings
    )
),
open_hours AS (
    SELECT store_id, min(open_utc) AS open_utc, max(close_utc) AS close_utc
    FROM islands GROUP BY store_id, island
),
in_hours AS (
    SELECT p.store_id, p.timestamp_utc, p.rowid AS nth, p.status = 'active' AS active
    FROM store_status p ASOF JOIN open_hours o
        ON p.store_id = o.store_id AND p.timestamp_utc >= o.open_utc
    WHERE p.timestamp_utc < o.close_utc
),
changes AS (
    SELECT * FROM (
        SELECT *, lag(active) OVER polls AS before FROM in_hours
        -- of two polls at one instant the later row counts
        WINDOW polls AS (PARTITION BY store_id ORDER BY timestamp_utc, nth)
    )
    WHERE before IS NULL OR before <> active
),
status_intervals AS (
    SELECT store_id, active,
           CASE WHEN before IS NULL THEN TIMESTAMP '0001-01-01' ELSE timestamp_utc END AS start_utc,
           coalesce(lead(timestamp_utc) OVER (PARTITION BY store_id ORDER BY timestamp_utc, nth),
                    (SELECT as_of FROM bounds)) AS end_utc
    FROM changes
),
pieces AS (
    SELECT store_id, active,
           epoch_us(greatest(start_utc, open_utc)) AS start_us, epoch_us(least(end_utc, close_utc)) AS end_us
    FROM status_intervals JOIN open_hours USING (store_id)
    WHERE start_utc < close_utc AND open_utc < end_utc
),
limits AS (SELECT epoch_us(as_of) AS as_of, 3600000000 AS hour FROM bounds),
sums AS (
    SELECT store_id, active,
           sum(greatest(0, least(end_us, as_of) - greatest(start_us, as_of - hour))) AS last_hour,
           sum(greatest(0, least(end_us, as_of) - greatest(start_us, as_of - 24 * hour))) AS last_day,
           sum(greatest(0, least(end_us, as_of) - greatest(start_us, as_of - 168 * hour))) AS last_week
    FROM pieces, limits GROUP BY store_id, active
)
SELECT store_id,
       coalesce(round(max(last_hour) FILTER (active) / 6e7, 2), 0) AS uptime_last_hour,
       coalesce(round(max(last_hour) FILTER (NOT active) / 6e7, 2), 0) AS downtime_last_hour,
       coalesce(round(max(last_day) FILTER (active) / 36e8, 2), 0) AS uptime_last_day,
       coalesce(round(max(last_day) FILTER (NOT active) / 36e8, 2), 0) AS downtime_last_day,
       coalesce(round(max(last_week) FILTER (active) / 36e8, 2), 0) AS uptime_last_week,
       coalesce(round(max(last_week) FILTER (NOT active) / 36e8, 2), 0) AS downtime_last_week
FROM stores LEFT JOIN sums USING (store_id) GROUP BY store_id ORDER BY store_id
"""


def connect(threads: int) -> duckdb.DuckDBPyConnection:
    """Connect to an in-memory database with a number of threads, in UTC."""
    connection = duckdb.connect(config={"threads": threads})
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def load(connection: duckdb.DuckDBPyConnection, data: Path) -> None:
    """Read the three CSV files into tables."""
    header = (data / "menu_hours.csv").open().readline()
    day = next(name for name in ("dayOfWeek", "day_of_week", "day") if name in header)
    connection.execute(LOAD.format(data=data, day=f'"{day}"'))


def main() -> None:
    """Make the report of a data directory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    connection = connect(args.threads)
    load(connection, args.data)
    connection.execute(f"COPY ({REPORT}) TO '{args.out}' (HEADER)")


if __name__ == "__main__":
    main()
