"""Intermediate files of runs, and which run's files another run reads.

The files of a run are in ``<reports_dir>/<run id>/intermediate/``, so concurrent runs never share
files. A run of only some assets reads the others from its parent run: for a retry, the run that it
retries; for any other run, the latest run with a complete set.
"""

from __future__ import annotations

from collections.abc import Iterable

from upath import UPath

from storemon_pipeline.defs.failures import ReportError
from storemon_pipeline.storage.atomic_file import open_atomically
from storemon_pipeline.storage.report_writer import delete_directory

REQUEST_FILE = "report_request.json"
TABLE_FILES = (
    "polled_stores.parquet",
    "weekly_hours.parquet",
    "special_dates.parquet",
    "open_hours.parquet",
    "status_intervals.parquet",
    "current_status.parquet",
)
LATEST_RUN_FILE = ".newest_intermediate"
PARENT_RUN_FILE = "continues"


class RunStorage:
    """Intermediate files of a run and of its parent run.

    Parameters
    ----------
    reports_dir : UPath
    run_id : str
    """

    def __init__(self, reports_dir: UPath, run_id: str) -> None:
        self._reports_dir = reports_dir
        self._run_id = run_id
        self.directory = reports_dir / run_id / "intermediate"

    def locate(self, name: str, retry_of: str | None) -> UPath:
        """Return the path of an input, in this run's directory or an ancestor's.

        Parameters
        ----------
        name : str
        retry_of : str or None
            The run that this one retries.

        Raises
        ------
        ReportError
            If no run has the file, or only one with another ``report_request`` than this run.
        """
        if (path := self.directory / name).exists():
            return path
        parent = self._parent_run(retry_of)
        # a file may be gone with its report while the parent's parent still has its inputs
        while parent is not None:
            directory = self._reports_dir / parent / "intermediate"
            if (path := directory / name).exists():
                return path
            parent = _read_text(directory / PARENT_RUN_FILE)
        asset = name.partition(".")[0]
        if (self.directory / REQUEST_FILE).exists():
            msg = (
                f"{asset} is missing for this run's report_request: also materialize the assets in "
                "between, or run report_job"
            )
        else:
            msg = f"no run has produced {asset} yet: run report_job, which makes a complete report"
        raise ReportError(msg)

    def _parent_run(self, retry_of: str | None) -> str | None:
        """Return the run to read from; chosen once so that all inputs come from the same run."""
        path = self.directory / PARENT_RUN_FILE
        parent = _read_text(path)
        if parent is not None:
            return parent
        parent = retry_of
        if parent is None and not (self.directory / REQUEST_FILE).exists():
            parent = _read_text(self._reports_dir / LATEST_RUN_FILE)
        if parent is not None:
            self.directory.mkdir(parents=True, exist_ok=True)
            write_text_atomically(path, parent)
        return parent

    def add_table(self, parts: UPath, name: str) -> UPath:
        """Move a directory with the parts of a table to its place in this run's directory."""
        self.directory.mkdir(parents=True, exist_ok=True)
        path = self.directory / f"{name}.parquet"
        if path.is_dir():  # of an earlier attempt
            delete_directory(path)
        # renaming a directory moves its files only where directories exist
        parts.fs.mv(parts.path, path.path, recursive=True)
        return path

    def publish(self) -> None:
        """Offer this run's files to later runs, if they and its parent's form a complete set."""
        is_complete = (self.directory / PARENT_RUN_FILE).exists() or all(
            (self.directory / name).exists() for name in (REQUEST_FILE, *TABLE_FILES)
        )
        if is_complete:
            write_text_atomically(self._reports_dir / LATEST_RUN_FILE, self._run_id)


def referenced_runs(reports_dir: UPath, in_progress: Iterable[str]) -> set[str]:
    """Return the runs whose intermediate files may still be read.

    Parameters
    ----------
    reports_dir : UPath
    in_progress : iterable of str
        Ids of runs in progress.

    Returns
    -------
    set of str
        These runs, the latest complete one, and all their ancestors.
    """
    latest = _read_text(reports_dir / LATEST_RUN_FILE)
    pending = [*in_progress, *([latest] if latest is not None else [])]
    referenced: set[str] = set()
    while pending:
        run_id = pending.pop()
        if run_id not in referenced:
            referenced.add(run_id)
            parent = _read_text(RunStorage(reports_dir, run_id).directory / PARENT_RUN_FILE)
            pending += [] if parent is None else [parent]
    return referenced


def write_text_atomically(path: UPath, text: str) -> None:
    """Write a file atomically."""
    with open_atomically(path) as file:
        file.write(text.encode())


def _read_text(path: UPath) -> str | None:
    return path.read_text() if path.exists() else None
