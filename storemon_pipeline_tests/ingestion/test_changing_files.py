"""Files that change while being read are read again; appended lines are not a change."""

import logging
import os
from collections.abc import Callable

import pytest

from storemon_pipeline.ingestion import ingest, line_reader
from storemon_pipeline.ingestion.discovery import fingerprint
from storemon_pipeline.ingestion.file_errors import FileChangedError
from storemon_pipeline_tests.helpers.workspace import HOURS, POLLS, Workspace, poll_rows, text

OLD = text(POLLS, *poll_rows(range(100, 110)))
# as long as the old content, so that the rest of a line may look like a line
NEW = text(POLLS, *poll_rows(range(900, 910)))


class WhileReading(logging.Handler):
    """Calls a function after a block was read, a given number of times."""

    def __init__(self, act: Callable[[], object], times: int = 1) -> None:
        super().__init__()
        self.act, self.times = act, times

    def emit(self, record: logging.LogRecord) -> None:
        if "read up to" in record.getMessage() and self.times:
            self.times -= 1
            self.act()


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch, request) -> logging.Logger:
    """Return a separate log; blocks are small, and there is no delay between attempts."""
    monkeypatch.setattr(line_reader, "BLOCK_BYTES", 100)
    monkeypatch.setattr(ingest, "SECONDS_BETWEEN_TRIES", 0)
    log = logging.getLogger(request.node.name)
    log.setLevel(logging.INFO)
    return log


def replace_file(workspace: Workspace, name: str, data: bytes) -> None:
    workspace.put_bytes("new", data).rename(workspace.data_dir / name)


def stores(workspace: Workspace) -> list[str]:
    return [store for store, _, _ in workspace.polls()]


@pytest.mark.parametrize("how", ["put_bytes", "replace"])
def test_file_changed_while_read_is_read_again(either_workspace: Workspace, log, how):
    workspace = either_workspace
    workspace.put_bytes("store_status.csv", OLD)
    change = workspace.put_bytes if how == "put_bytes" else lambda *to: replace_file(workspace, *to)
    log.addHandler(WhileReading(lambda: change("store_status.csv", NEW)))
    (result,) = workspace.ingest(log=log)["store_status"].files
    assert stores(workspace) == [str(store) for store in range(900, 910)]
    assert result.bad_rows == 0
    assert len(workspace.rows("ingested_file")) == 1


def test_rewrite_that_keeps_the_time_of_change_is_seen(workspace: Workspace, log):
    path = workspace.put_bytes("store_status.csv", OLD)
    stat = path.stat()

    def rewrite() -> None:
        path.write_bytes(NEW)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))

    log.addHandler(WhileReading(rewrite))
    workspace.ingest(log=log)
    assert stores(workspace) == [str(store) for store in range(900, 910)]


def test_snapshot_written_on_while_read_is_read_again(workspace: Workspace, log):
    workspace.put_all()
    rows = [f"{store},0,09:00:00,17:00:00" for store in range(10)]
    workspace.write("menu_hours.csv", HOURS, *rows)
    log.addHandler(
        WhileReading(
            lambda: workspace.write("menu_hours.csv", HOURS, *rows, "x,0,09:00:00,17:00:00"),
            times=3,
        )
    )
    workspace.ingest(log=log)
    assert len(workspace.rows("business_hours")) == 11


def test_file_that_never_rests_is_rejected_with_a_remedy(workspace: Workspace, log):
    workspace.put_bytes("store_status.csv", OLD)
    contents = [OLD, NEW]

    def rewrite() -> None:
        contents.reverse()
        workspace.put_bytes("store_status.csv", contents[0])

    log.addHandler(WhileReading(rewrite, times=100))
    with pytest.raises(FileChangedError) as error:
        workspace.ingest(log=log)
    assert str(error.value).endswith(
        "while it was read. Nothing was changed. Write such a file under another name, rename it "
        "once it is complete, and ingest again"
    )
    assert workspace.polls() == workspace.rows("ingested_file") == []


def test_lines_appended_while_read_are_no_change(workspace: Workspace, log, caplog):
    workspace.put_bytes("store_status.csv", OLD)
    log.addHandler(
        WhileReading(lambda: workspace.add("store_status.csv", "\n".join(poll_rows([7]))))
    )
    log.addHandler(caplog.handler)
    workspace.ingest(log=log)
    assert "reading it again" not in caplog.text
    workspace.ingest()
    assert stores(workspace) == [*(str(store) for store in range(100, 110)), "7"]


def test_name_that_is_not_utf8_is_named_and_not_read(either_workspace: Workspace):
    workspace = either_workspace
    workspace.put_all()
    name = os.fsdecode(b"store_status_caf\xe9.csv")
    try:
        workspace.put_bytes(name, text(POLLS, *poll_rows([2])))
    except OSError:
        pytest.skip("the file system takes names in UTF-8 alone")
    workspace.ingest()
    assert stores(workspace) == ["1"]
    assert workspace.unread() == {
        r"store_status_caf\xe9.csv": "its name is not valid UTF-8: rename it"
    }
    assert sorted(fingerprint(workspace.data_dir)) == [
        "menu_hours.csv",
        "store_status.csv",
        "timezones.csv",
    ]
