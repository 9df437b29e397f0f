"""A store's rows are found in a report's file wherever they are, and no others."""

from pathlib import Path

import pytest
from upath import UPath

from storemon_pipeline.storage.report_reader import EventFilter, query_events, read_store_rows


@pytest.mark.parametrize("stores", [0, 1, 2, 3, 40])
@pytest.mark.parametrize("length", [1, 300])
def test_the_rows_of_each_store_are_found(tmp_path: Path, stores: int, length: int):
    ids = sorted(f"{number * 7 % 64}{'x' * (number % 3) * length}"[:60] for number in range(stores))
    lines = [
        f"{store},{nth},{'y' * length}" for at, store in enumerate(ids) for nth in range(at % 4)
    ]
    path = UPath(tmp_path / "some.csv")
    path.write_text("\n".join(["store_id,nth,text", *lines, ""]))
    for at, store in enumerate(ids):
        assert read_store_rows(path, store)["nth"].to_pylist() == list(range(at % 4))
    for other in ("", "0", "1", "3", "zzz", "6x", "-"):
        if other not in ids:
            assert len(read_store_rows(path, other)) == 0


def test_pages_go_over_the_ends_of_blocks(tmp_path: Path):
    header = "store_id,start_utc,end_utc,start_local,end_local,minutes,ongoing\n"
    utc, local = "2023-01-01T00:00:00Z", "2023-01-01T05:30:00+05:30"
    count = 30_000  # several of Arrow's blocks
    path = UPath(tmp_path / "events.csv")
    rows = (f"s{n:05},{utc},{utc},{local},{local},{n}.00,false\n" for n in range(count))
    path.write_text(header + "".join(rows))
    found: list[float] = []
    while len(found) < 12_000:
        page, total = query_events(
            path, EventFilter(min_minutes=5.0), offset=len(found), limit=4000
        )
        assert (len(page), total) == (4000, count - 5)
        assert set(page["start_local"].to_pylist()) == {local}
        found += page["minutes"].to_pylist()
    assert found == [float(n) for n in range(5, 12_005)]
    assert query_events(path, EventFilter(), offset=count, limit=10)[0].num_rows == 0


def test_a_file_without_rows_has_no_events(tmp_path: Path):
    path = UPath(tmp_path / "events.csv")
    path.write_text("store_id,start_utc,end_utc,start_local,end_local,minutes,ongoing\n")
    page, total = query_events(path, EventFilter(), offset=0, limit=10)
    assert (len(page), total) == (0, 0)
