"""What the benchmarks measure against gives the same figures."""

from pathlib import Path

from pandas.testing import assert_frame_equal

from benchmarks import computation, duckdb_report
from storemon_pipeline import sample
from storemon_pipeline.storage.report_files import short_report


def test_duckdb_gives_the_same_figures(tmp_path: Path) -> None:
    sample.generate(tmp_path, stores=300, days=9, bad=0)
    connection = duckdb_report.connect(threads=2)
    duckdb_report.load(connection, tmp_path)
    ours = short_report(computation.figures(computation.tables_of(connection)))
    theirs = connection.sql(duckdb_report.REPORT).df()
    assert len(ours) > 250
    # DuckDB rounds floats, and so may be a hundredth off where a half is rounded
    assert_frame_equal(
        ours.astype({"store_id": "str"}),
        theirs.astype({"store_id": "str"}),
        atol=0.0101,
        rtol=0,
        check_dtype=False,
    )
