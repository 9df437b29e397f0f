"""Reading rows of one store, and pages of events, from the files of a report."""

from pathlib import Path

import pytest
from upath import UPath

from storemon_pipeline.storage.report_reader import EventFilter, query_events, read_store_rows


@pytest.mark.parametrize("stores", [0, 1, 2, 3, 40])
@pytest.mark.parametrize("length", [1, 300])
def test_read_store_rows_at_any_position(tmp_path: Path, stores: int, length: int):
    ids = sorted(f"{number * 7 % 64}{'x' * (number % 3) * length}"[:60] for number in range(stores))
    lines = [
        f"{store},{nth},{'y' * length}" for at, store in enumerate(ids) for nth in range(at % 4)
    ]
    path = UPath(tmp_path / "rows.csv")
    path.write_text("\n".join(["store_id,nth,text", *lines, ""]))
    for at, store in enumerate(ids):
        assert read_store_rows(path, store)["nth"].to_pylist() == list(range(at % 4))
    for other in ("", "0", "1", "3", "zzz", "6x", "-"):
        if other not in ids:
            assert len(read_store_rows(path, other)) == 0


def test_query_events_pages_across_blocks(tmp_path: Path):
    header = "store_id,start_utc,end_utc,start_local,end_local,minutes,ongoing\n"
    utc, local = "2023-01-01T00:00:00Z", "2023-01-01T05:30:00+05:30"
    count = 30_000  # several of Arrow's blocks
    path = UPath(tmp_path / "events.csv")
    rows = (f"s{n:05},{utc},{utc},{local},{local},{n}.00,false\n" for n in range(count))
    path.write_text(header + "".join(rows))
    minutes: list[float] = []
    while len(minutes) < 12_000:
        page, total = query_events(
            path, EventFilter(min_minutes=5.0), offset=len(minutes), limit=4000
        )
        assert (len(page), total) == (4000, count - 5)
        assert set(page["start_local"].to_pylist()) == {local}
        minutes += page["minutes"].to_pylist()
    assert minutes == [float(n) for n in range(5, 12_005)]
    assert query_events(path, EventFilter(), offset=count, limit=10)[0].num_rows == 0


def test_query_events_of_empty_file_is_empty(tmp_path: Path):
    path = UPath(tmp_path / "events.csv")
    path.write_text("store_id,start_utc,end_utc,start_local,end_local,minutes,ongoing\n")
    page, total = query_events(path, EventFilter(), offset=0, limit=10)
    assert (len(page), total) == (0, 0)
