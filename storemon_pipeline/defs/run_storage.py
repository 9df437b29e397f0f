"""Intermediate files of runs, and which run's files another run reads."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import uuid4

from upath import UPath

from storemon_pipeline.defs.errors import ReportError

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
    """The intermediate files of a run, and of the run that it continues.

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
        """Where a file is that this run needs and has perhaps not made itself.

        Parameters
        ----------
        name : str
        retry_of : str or None
            The run that this one is a retry of.

        Raises
        ------
        ReportError
            Where there is none, or it would not fit what this run made itself.
        """
        if (own := self.directory / name).exists():
            return own
        continued = self._parent_run(retry_of)
        # what is no longer there was removed with its report; what it was made from may be
        while continued is not None:
            directory = self._reports_dir / continued / "intermediate"
            if (left := directory / name).exists():
                return left
            settled = directory / PARENT_RUN_FILE
            continued = settled.read_text() if settled.exists() else None
        asset = name.partition(".")[0]
        if (self.directory / REQUEST_FILE).exists():
            msg = (
                f"this run made a new report_request but no {asset} for it: materialize all that "
                "lies between as well, or run report_job"
            )
        else:
            msg = f"no run has left {asset} yet: run report_job, which makes all of a report"
        raise ReportError(msg)

    def _parent_run(self, retry_of: str | None) -> str | None:
        """The run that this one continues; settled once, so that all its inputs fit together."""
        settled = self.directory / PARENT_RUN_FILE
        if settled.exists():
            return settled.read_text()
        if retry_of is None and not (self.directory / REQUEST_FILE).exists():
            newest = self._reports_dir / LATEST_RUN_FILE
            retry_of = newest.read_text() if newest.exists() else None
        if retry_of is not None:
            self.directory.mkdir(parents=True, exist_ok=True)
            write_text_atomically(settled, retry_of)
        return retry_of

    def publish(self) -> None:
        """Let later runs continue this one, once it has, or continues, a complete set."""
        complete = (self.directory / PARENT_RUN_FILE).exists() or all(
            (self.directory / name).exists() for name in (REQUEST_FILE, *TABLE_FILES)
        )
        if complete:
            write_text_atomically(self._reports_dir / LATEST_RUN_FILE, self._run_id)


def referenced_runs(reports_dir: UPath, working: Iterable[str]) -> set[str]:
    """The runs whose intermediate files are still read: all others may go.

    Parameters
    ----------
    reports_dir : UPath
    working : iterable of str
        The ids of runs that are in progress.

    Returns
    -------
    set of str
        These, the one that the next run continues, and all that they continue themselves.
    """
    newest = reports_dir / LATEST_RUN_FILE
    left = [*working, *([newest.read_text()] if newest.exists() else [])]
    needed: set[str] = set()
    while left:
        run_id = left.pop()
        if run_id not in needed:
            needed.add(run_id)
            settled = RunStorage(reports_dir, run_id).directory / PARENT_RUN_FILE
            left += [settled.read_text()] if settled.exists() else []
    return needed


def write_text_atomically(path: UPath, text: str) -> None:
    """Write a file that appears whole or not at all."""
    # runs that finish together write the same file, each from a part of its own
    temporary = path.with_name(f"{path.name}.{uuid4().hex}.part")
    temporary.write_text(text)
    temporary.rename(path)
