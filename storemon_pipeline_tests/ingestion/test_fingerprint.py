"""The fingerprint of the data directory differs whenever there is something new to ingest."""

import os

import pytest

from storemon_pipeline.ingestion.discovery import fingerprint
from storemon_pipeline.ingestion.file_errors import IngestionError
from storemon_pipeline_tests.helpers.workspace import Workspace


def test_fingerprint_changes_with_every_raw_file(workspace: Workspace):
    seen = [fingerprint(workspace.data_dir)]

    def differs() -> bool:
        seen.append(fingerprint(workspace.data_dir))
        return seen[-1] not in seen[:-1]

    workspace.put_all()
    assert differs()
    for name in ("store_status.csv", "menu_hours.csv", "timezones.csv"):
        workspace.add(name, "more\n")
        assert differs()
        path = workspace.data_dir / name
        # of the same size, a moment later
        os.utime(path, ns=(0, path.stat().st_mtime_ns + 1_000))
        assert differs()
    workspace.write("store_status_2.csv.gz", "another")
    assert differs()
    (workspace.data_dir / "store_status_2.csv.gz").unlink()
    assert fingerprint(workspace.data_dir) == seen[-2]


def test_fingerprint_is_stable_without_changes(workspace: Workspace):
    workspace.put_all()
    before = fingerprint(workspace.data_dir)
    assert list(before) == ["store_status.csv", "menu_hours.csv", "timezones.csv"]
    workspace.write("notes.txt", "of no concern")
    workspace.write("business_hours.csv", "passed over")
    workspace.ingest_polls()
    assert fingerprint(workspace.data_dir) == before


def test_fingerprint_is_empty_without_files(workspace: Workspace):
    assert fingerprint(workspace.data_dir) == {}


@pytest.mark.parametrize("what", ["missing", "a file", "a link to itself"])
def test_fingerprint_of_invalid_directory_raises(workspace: Workspace, what):
    workspace.data_dir.rmdir()
    if what == "a file":
        workspace.data_dir.write_text("no directory")
    elif what == "a link to itself":
        workspace.data_dir.symlink_to(workspace.data_dir)
    with pytest.raises(IngestionError, match=r"data directory .*STOREMON_DATA_DIR"):
        fingerprint(workspace.data_dir)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_fingerprint_of_forbidden_directory_raises(workspace: Workspace):
    workspace.put_all()
    workspace.data_dir.chmod(0)
    with pytest.raises(IngestionError, match="cannot be read: Permission denied"):
        fingerprint(workspace.data_dir)
    workspace.data_dir.chmod(0o700)
