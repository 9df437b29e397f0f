"""`dagster job execute` runs each job from any directory; failures name cause and remedy."""

import os
import re
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import dagster as dg
import pytest
import yaml

from storemon_pipeline.definitions import defs
from storemon_pipeline.defs import failures
from storemon_pipeline.storage.schema import REGISTRY_TABLES, metadata
from storemon_pipeline.uptime.windows import Window
from storemon_pipeline_tests.helpers.runner import (
    PROJECT,
    copy_data,
    execute,
    failure,
    report_path,
    report_row,
    request_config,
    rows,
    run,
    table,
)

MAKEFILE = (PROJECT / "Makefile").read_text()

A_DAY = request_config(windows=["day"], as_of="2024-11-10T12:00:00Z") | {
    "loggers": {"console": {"config": {"log_level": "INFO"}}}
}


class CommandResult(NamedTuple):
    """Exit code and log of a command."""

    exit_code: int
    log: str


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, bool], CommandResult]:
    """Run the jobs with the command, with and without a config file: (job, has_config) -> result.

    Starting a process costs more than its job, so each run differs in several ways. Two workspaces
    run in parallel: the first uses the default `data/`, a DAGSTER_HOME without a dagster.yaml and
    Python's own warning filter; the second a data directory set in the environment, the project's
    dagster.yaml and the warning filter of the Makefile.
    """
    workspace = tmp_path_factory.mktemp("commands")
    sample = workspace / "sample"
    sample.mkdir()
    copy_data(PROJECT / "data", sample)
    (ignored,) = re.findall(r"^export PYTHONWARNINGS := (.*)$", MAKEFILE, flags=re.MULTILINE)

    def work(name: str, runs: list[tuple[str, bool]], **env: str) -> list[CommandResult]:
        working_dir, home = workspace / name, workspace / name / "home"
        home.mkdir(parents=True)
        if name == "second":
            shutil.copyfile(PROJECT / "dagster.yaml", home / "dagster.yaml")
        settings = {
            "STOREMON_DATABASE_URL": f"sqlite:///{working_dir}/storemon.db",
            "STOREMON_REPORTS_DIR": str(working_dir / "reports"),
            "DAGSTER_DISABLE_TELEMETRY": "yes",
            "DAGSTER_HOME": str(home),
        }
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("STOREMON_", "DAGSTER_"))
        }
        results = []
        for job, has_config in runs:
            config = working_dir / f"{job}.yaml"
            # unquoted timestamps, as users write them
            config.write_text(yaml.safe_dump(A_DAY).replace("'", ""))
            done = execute(
                job,
                *(["-c", config] if has_config else []),
                cwd=working_dir,
                env=inherited | settings | env,
            )
            results.append(CommandResult(done.returncode, done.stdout))
        return results

    first = [("ingest_job", False), ("report_job", False)]
    second = [("ingest_and_report_job", False), ("report_job", True)]
    with ThreadPoolExecutor(max_workers=2) as pool:
        in_first = pool.submit(work, "first", first, PYTHONWARNINGS="")
        in_second = pool.submit(
            work, "second", second, STOREMON_DATA_DIR=str(sample), PYTHONWARNINGS=ignored
        )
        results = in_first.result() + in_second.result()
    return dict(zip(first + second, results, strict=True))


@pytest.mark.parametrize(
    ("job", "has_config"),
    [("report_job", False), ("report_job", True), ("ingest_and_report_job", False)],
)
def test_report_jobs_exit_0_and_log_the_report_path(
    job: str, has_config: bool, commands: dict[tuple[str, bool], CommandResult]
) -> None:
    exit_code, log = commands[job, has_config]
    assert exit_code == 0, log
    columns = list(rows(report_path(log))[0])
    windows = ["day"] if has_config else ["hour", "day", "week"]
    assert columns == ["store_id"] + [
        f"{figure}_last_{window}" for window in windows for figure in ("uptime", "downtime")
    ]


@pytest.mark.parametrize("job", ["ingest_job", "ingest_and_report_job"])
def test_ingesting_job_exits_0_and_logs_the_files(
    job: str, commands: dict[tuple[str, bool], CommandResult]
) -> None:
    exit_code, log = commands[job, False]
    assert exit_code == 0, log
    for file in ("store_status.csv", "menu_hours.csv", "timezones.csv"):
        assert re.search(rf"{file} is new: [\d,]+ rows read", log)


@pytest.mark.parametrize("job", ["ingest_job", "report_job"])
def test_console_of_another_dagster_home_has_no_debug_lines(
    job: str, commands: dict[tuple[str, bool], CommandResult]
) -> None:
    # a DAGSTER_HOME without a dagster.yaml: nothing there sets python_log_level
    log = commands[job, False].log
    assert " - INFO - " in log
    assert " - DEBUG - " not in log


def test_make_report_has_no_superseded_warning(
    commands: dict[tuple[str, bool], CommandResult],
) -> None:
    # if this fails, the Makefile no longer needs the filter
    assert "is superseded" in commands["report_job", False].log
    assert "is superseded" not in commands["ingest_and_report_job", False].log


def test_definitions_validate() -> None:
    # `dagster definitions validate` calls this in a process of its own
    dg.Definitions.validate_loadable(defs)


def test_failure_exits_1_and_names_its_cause(isolated_environment: Path, data_dir: Path) -> None:
    shutil.rmtree(data_dir)
    misspelt = isolated_environment / "misspelt.yaml"
    misspelt.write_text(yaml.safe_dump(request_config(rules={"interpolation": "linear"})))
    with ThreadPoolExecutor(max_workers=2) as pool:
        no_data = pool.submit(execute, "ingest_and_report_job", cwd=isolated_environment)
        rejected = pool.submit(execute, "report_job", "-c", misspelt, cwd=isolated_environment)
        assert no_data.result().returncode == 1
        assert f"the data directory {data_dir} does not exist" in no_data.result().stdout
        assert rejected.result().returncode == 1
        assert "interpolation not in enum type" in rejected.result().stdout
        assert "got linear" in rejected.result().stdout


# The command logs the description of a step's Failure, as shown above. Other failures are tested in
# this process, which is faster.


def test_missing_data_directory_is_named(instance: dg.DagsterInstance, data_dir: Path) -> None:
    data_dir.rmdir()
    message = failure(run(instance, "ingest_job"), "ingest")
    assert message.startswith(f"the data directory {data_dir} does not exist: ")
    assert "STOREMON_DATA_DIR" in message


def test_missing_file_of_polls_is_named(instance: dg.DagsterInstance, two_stores: Path) -> None:
    (two_stores / "store_status.csv").unlink()
    message = failure(run(instance, "ingest_job"), "ingest")
    assert message.startswith(f"{two_stores} has no store_status.csv ")
    assert "put it there" in message


def test_missing_column_is_named(instance: dg.DagsterInstance, two_stores: Path) -> None:
    (two_stores / "timezones.csv").write_text("store_id,zone\ns1,America/Chicago\n")
    message = failure(run(instance, "ingest_job"), "ingest")
    assert "timezones.csv" in message
    assert "timezone_str" in message


def spoil_polls(data_dir: Path) -> str:
    polls = data_dir / "store_status.csv"
    polls.write_text(polls.read_text() + "s9,asleep,2023-01-25 00:00:00 UTC\n" * 10)
    return r"store_status\.csv was rejected: 10 of its \d+ rows"


def drop_a_column(data_dir: Path) -> str:
    (data_dir / "timezones.csv").write_text("store_id\ns1\n")
    return "timezone_str"


def ingested_tables() -> dict[str, Any]:
    """Return the rows of all tables except the registry, which also records failures."""
    names = metadata.tables.keys() - {registry_table.name for registry_table in REGISTRY_TABLES}
    return {name: table(name) for name in sorted(names)}


@pytest.mark.parametrize("spoil", [spoil_polls, drop_a_column])
def test_rejected_file_leaves_all_tables_unchanged(
    spoil: Callable[[Path], str], instance: dg.DagsterInstance, two_stores: Path
) -> None:
    assert run(instance, "ingest_job").success
    before = ingested_tables()
    # a valid change of another file, which must not be ingested alone
    hours = two_stores / "menu_hours.csv"
    hours.write_text(hours.read_text() + "s7,0,10:00:00,18:00:00\n")
    pattern = spoil(two_stores)
    assert re.search(pattern, failure(run(instance, "ingest_job"), "ingest"))
    assert ingested_tables() == before


def test_report_of_empty_tables_names_ingest_job(instance: dg.DagsterInstance) -> None:
    message = failure(run(instance, "report_job"), "report_request")
    assert message == "store_status has no polls yet: run ingest_job first"


INVALID_REQUESTS: list[tuple[dict[str, Any], str]] = [
    ({"windows": []}, f"windows is empty: list at least one of {', '.join(Window)}"),
    ({"windows": ["range"]}, "the window 'range' needs start and end"),
    (
        {"start": "2023-01-20"},
        "start and end must be set together: set both, for a range, or neither",
    ),
    (
        {"end": "2023-01-20"},
        "start and end must be set together: set both, for a range, or neither",
    ),
    (
        {"start": "2023-01-21", "end": "2023-01-20T12:00:00-06:00"},
        "start (2023-01-21T00:00:00+00:00) must be before end (2023-01-20T18:00:00+00:00)",
    ),
    (
        {"start": "2023-01-20", "end": "2023-01-21", "as_of": "now"},
        "the end of a range is its as_of: omit as_of if start and end are set",
    ),
    (
        {"as_of": "gestern"},
        "as_of: 'gestern' is not a valid timestamp: use ISO 8601, e.g. 2023-01-25T18:00:00Z, or latest, or now",
    ),
    (
        {"start": "gestern", "end": "2023-01-25"},
        "start: 'gestern' is not a valid timestamp: use ISO 8601, e.g. 2023-01-25T18:00:00Z",
    ),
    (
        {"rules": {"max_carry_hours": 0}},
        "rules.max_carry_hours: Input should be greater than 0, not 0.0",
    ),
    (
        {"rules": {"max_carry_hours": -1}},
        "rules.max_carry_hours: Input should be greater than 0, not -1.0",
    ),
]


@pytest.mark.parametrize(("config", "message"), INVALID_REQUESTS)
def test_invalid_request_fails_with_one_sentence(
    config: dict[str, Any], message: str, instance: dg.DagsterInstance
) -> None:
    assert failure(run(instance, "report_job", **config), "report_request") == message


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"as_of": "2199-01-01"},
            "as_of: 2199-01-01T00:00:00Z is in the future; the current time is 20",
        ),
        (
            {"start": "2023-01-20", "end": "2199-01-01"},
            "end: 2199-01-01T00:00:00Z is in the future",
        ),
        ({"start": "1950-01-20", "end": "2023-01-01"}, "is before 2000-01-01T00:00:00Z"),
        ({"start": "2017-01-20", "end": "2023-01-20"}, "a range has at most 1,830 days"),
    ],
)
def test_time_out_of_range_is_rejected(
    config: dict[str, Any], message: str, instance: dg.DagsterInstance
) -> None:
    assert message in failure(run(instance, "report_job", **config), "report_request")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"rules": {"missing_day": "maybe"}}, "missing_day not in enum type"),
        ({"rules": {"max_carry": 6}}, 'unexpected config entry "max_carry"'),
        ({"window": ["day"]}, 'unexpected config entry "window"'),
        ({"windows": "day"}, "windows must be list"),
        ({"windows": ["day", "fortnight"]}, "not in enum type WindowName got fortnight"),
    ],
)
def test_invalid_run_config_is_rejected_before_the_run(
    config: dict[str, Any], message: str, instance: dg.DagsterInstance
) -> None:
    with pytest.raises(dg.DagsterInvalidConfigError, match=message):
        run(instance, "ingest_and_report_job", **config)
    assert instance.get_runs_count() == 0


def test_null_config_values_mean_the_defaults(
    instance: dg.DagsterInstance, two_stores: Path
) -> None:
    assert run(instance, "ingest_job").success
    null_config = {"as_of": None, "windows": None, "start": None, "end": None, "store_ids": None}
    plain = run(instance, "report_job")
    nulls = run(instance, "report_job", **null_config, rules={"max_carry_hours": None})
    assert nulls.success
    assert report_row(nulls.run_id)["request"] == report_row(plain.run_id)["request"]


def test_unreachable_database_is_named_without_password(
    instance: dg.DagsterInstance, two_stores: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "postgresql://storemon:secret@127.0.0.1:1/stores"
    monkeypatch.setenv("STOREMON_DATABASE_URL", url)
    monkeypatch.setattr(failures, "FIRST_DELAY_SECONDS", 0)
    message = failure(run(instance, "ingest_job"), "ingest")
    assert "storemon:***@127.0.0.1:1/stores cannot be reached: " in message
    assert "Connection refused" in message
    assert message.endswith(". Is it running, and is STOREMON_DATABASE_URL correct?")
    assert "\n" not in message
    assert "secret" not in message


def test_setting_out_of_range_is_named(
    instance: dg.DagsterInstance, two_stores: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STOREMON_MAX_BAD_SHARE", "5")
    message = failure(run(instance, "ingest_job"), "ingest")
    assert message == "STOREMON_MAX_BAD_SHARE: Input should be less than or equal to 1, not '5'"
