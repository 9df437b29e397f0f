"""Benchmarks: the baselines give the same metrics, and RESULTS.md keeps its notes."""

from pathlib import Path

import dagster as dg
import pytest
from pandas.testing import assert_frame_equal

from benchmarks import computation, duckdb_report, report_files
from benchmarks.run import NOTES_MARKER, RESULTS, write_results
from storemon_pipeline import sample_data
from storemon_pipeline.storage.report_writer import short_report
from storemon_pipeline_tests.helpers.runner import CSV_FILES, SAMPLE, run


def test_duckdb_baseline_gives_the_same_metrics(tmp_path: Path) -> None:
    sample_data.generate(tmp_path, stores=300, days=9, bad=0)
    connection = duckdb_report.connect(threads=2)
    duckdb_report.load(connection, tmp_path)
    ours = short_report(computation.compute_report(computation.load_tables(connection)))
    theirs = connection.sql(duckdb_report.REPORT).df()
    assert len(ours) > 250
    # DuckDB rounds floats, so a half may be rounded to the other hundredth
    assert_frame_equal(
        ours.astype({"store_id": "str"}),
        theirs.astype({"store_id": "str"}),
        atol=0.0101,
        rtol=0,
        check_dtype=False,
    )


def test_report_files_baseline_equals_files_of_the_job(
    tmp_path: Path, postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STOREMON_DATABASE_URL", postgresql_url)
    monkeypatch.setenv("STOREMON_DATA_DIR", str(SAMPLE))
    with dg.DagsterInstance.ephemeral() as instance:
        made = run(instance, "ingest_and_report_job")
    for which in ("alone", "all"):
        report_files.main([which])
    reports = tmp_path / "reports"
    by_job = reports / made.run_id
    assert [file.name for file in (reports / "alone").iterdir()] == ["report.csv"]
    assert (reports / "alone" / "report.csv").read_bytes() == (by_job / "report.csv").read_bytes()
    for name in CSV_FILES:
        assert (reports / "all" / name).read_bytes() == (by_job / name).read_bytes(), name
    page = (reports / "all" / "report.html").read_text()
    assert page.replace(">all</code>", f">{made.run_id}</code>") == (
        (by_job / "report.html").read_text()
    )


def test_write_results_keeps_notes_below_the_marker(tmp_path: Path) -> None:
    file = tmp_path / "RESULTS.md"
    write_results(file, "# Results\n\nfirst\n")
    file.write_text(file.read_text() + "\n## What bounds them\n\nThe disk.\n")
    write_results(file, "# Results\n\nsecond\n")
    write_results(file, "# Results\n\nthird\n")
    assert (
        file.read_text()
        == f"# Results\n\nthird\n\n{NOTES_MARKER}\n\n## What bounds them\n\nThe disk.\n"
    )


def test_results_file_has_the_marker() -> None:
    assert f"\n{NOTES_MARKER}\n" in RESULTS.read_text()
