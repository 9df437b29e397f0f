"""The documentation matches the code: names, defaults, examples and outputs.

Tables and blocks under headings are compared with the code, so that a missing, misspelt or outdated
entry fails. Prose is not compared.
"""

import json
import os
import re
import shlex
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby, product
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import pytest
import yaml

from storemon_pipeline.api.app import build_app
from storemon_pipeline.api.body_limit import MAX_BODY_BYTES
from storemon_pipeline.api.models import ReportStatus
from storemon_pipeline.definitions import defs
from storemon_pipeline.defs.assets.request import ReportRequestConfig
from storemon_pipeline.ingestion.sources import SOURCES
from storemon_pipeline.settings import Settings
from storemon_pipeline.storage.schema import metadata
from storemon_pipeline.uptime.report_request import DEFAULT_WINDOWS, ReportSpec
from storemon_pipeline.uptime.rules import UptimeRules
from storemon_pipeline.uptime.windows import ROLLING_WINDOWS, Window
from storemon_pipeline_tests.helpers.dev_server import answers, start_dev, waited_for
from storemon_pipeline_tests.helpers.documentation import (
    API,
    ARCHITECTURE,
    CONFIGURATION,
    CONTRIBUTING,
    OPERATIONS,
    README,
    REFERENCE,
    REPORTS,
    RULES,
    anchors,
    blocks,
    is_as_shown,
    names,
    section,
    shown_after,
    tables,
    without_blocks,
)
from storemon_pipeline_tests.helpers.ports import free_ports
from storemon_pipeline_tests.helpers.runner import PROJECT, SAMPLE, dagster, report_path, run

MAKEFILE = (PROJECT / "Makefile").read_text()
PAGES = [
    *(PROJECT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((PROJECT / "docs").glob("*.md")),
]

LARGEST_PICTURE = 300_000


def commands(program: str) -> list[str]:
    """Return the lines of the shell blocks that call a program, with or without its directory."""
    lines = [line for block in blocks(REFERENCE, "sh") for line in block.splitlines()]
    return [line for line in lines if re.search(rf"(^|[/ ]){program} ", line.partition("#")[0])]


@dataclass(frozen=True)
class SampleRun:
    """Log, report directory and database of `ingest_and_report_job`, and the documented range."""

    log: list[str]
    directory: Path
    database: Path
    range_directory: Path


@pytest.fixture(scope="module")
def sample_run(tmp_path_factory: pytest.TempPathFactory) -> SampleRun:
    workspace = tmp_path_factory.mktemp("sample")
    reports = workspace / "reports"
    with pytest.MonkeyPatch.context() as environment:
        for name in [name for name in os.environ if name.startswith("STOREMON_")]:
            environment.delenv(name)
        environment.setenv("STOREMON_DATA_DIR", str(SAMPLE))
        environment.setenv("STOREMON_DATABASE_URL", f"sqlite:///{workspace}/storemon.db")
        environment.setenv("STOREMON_REPORTS_DIR", str(reports))
        with dg.DagsterInstance.ephemeral() as instance:
            result = run(instance, "ingest_and_report_job")
            assert result.success
            log = [
                entry.user_message
                for entry in instance.all_logs(result.run_id)
                if not entry.is_dagster_event
            ]
            range_spec = run_configs()[1]["ops"]["report_request"]["config"]
            of_range = run(instance, "report_job", **range_spec)
            assert of_range.success
    return SampleRun(
        log, reports / result.run_id, workspace / "storemon.db", reports / of_range.run_id
    )


# Settings


def documented_settings() -> dict[str, str]:
    (table,) = tables(section(CONFIGURATION, "Settings"))
    return {
        names(name)[0]: names(default)[0] if names(default) else default
        for name, default, _ in table
    }


def test_settings_table_matches_the_settings():
    defaults = {
        f"STOREMON_{name.upper()}": field.get_default(call_default_factory=True, validated_data={})
        for name, field in Settings.model_fields.items()
    }
    fields = {
        name: "not set" if value in (None, {}, ()) else str(value)
        for name, value in defaults.items()
    }
    assert documented_settings() == fields


def test_mentioned_variables_exist():
    for_tests = re.findall(
        r"STOREMON_\w+", (PROJECT / "storemon_pipeline_tests/conftest.py").read_text()
    )
    for page in PAGES:
        mentioned = set(re.findall(r"STOREMON_\w+", page.read_text()))
        assert mentioned <= documented_settings().keys() | set(for_tests), page


def test_documented_share_of_bad_rows_is_the_default():
    share = Settings.model_fields["max_bad_share"].default
    assert f"{share * 100:g} % of its rows are bad" in RULES


# Rules and windows


def rules() -> dict[str, list[str]]:
    """Return the values of each rule, the default first; `not set` for no default."""
    values = {}
    for name, field in UptimeRules.model_fields.items():
        if field.default is None:
            values[name] = ["not set"]
        else:
            others = [value for value in type(field.default) if value is not field.default]
            values[name] = [value.value for value in (field.default, *others)]
    return values


def test_rules_table_matches_the_rules_default_first():
    (table,) = tables(section(REPORTS, "Rules and windows"))
    documented: dict[str, list[str]] = {}
    rule = ""
    for name, value, _ in table:
        rule = name.strip("`") or rule
        assert ("(default)" in value) is (rule not in documented), f"{rule}: {value}"
        documented.setdefault(rule, []).append(value.removesuffix(" (default)").strip("`"))
    documented["max_carry_hours"].remove("a number above 0")
    assert documented == rules()


@pytest.mark.parametrize("rule", UptimeRules.model_fields)
def test_rule_is_specified_with_its_values(rule: str):
    (specification,) = re.findall(
        rf"^.*\*\*`{rule}`\.\*\*.*?(?=^#|^- \*\*|\Z)", RULES, re.MULTILINE | re.DOTALL
    )
    default, *others = rules()[rule]
    assert re.search(rf"{default}\b[^;]*?\(default\)", specification, re.IGNORECASE)
    for value in others:
        assert value in names(specification)


def test_windows_table_matches_the_windows():
    (table,) = tables(section(RULES, "Rule 2: windows"))
    assert [(names(window)[0], names(column)[0]) for window, *_, column in table] == [
        (window.value, f"…_{window.suffix}") for window in Window
    ]
    for window, start, *_ in table:
        length = ROLLING_WINDOWS.get(Window(names(window)[0]))
        if length:
            hours = int(length.total_seconds()) // 3600
            assert start.startswith(f"{hours} hour")


def test_windows_and_default_windows_are_documented():
    text = section(REPORTS, "Rules and windows")
    *others, last = [f"`{window}`" for window in DEFAULT_WINDOWS]
    assert f"The windows are {', '.join(others)} and {last} by default" in text
    assert set(Window) <= set(names(text))
    assert {window.suffix for window in Window} <= set(names(section(REPORTS, "Files")))


def test_as_of_values_are_documented():
    (table,) = tables(section(RULES, "Rule 1: as_of"))
    default = ReportSpec.model_fields["as_of"].default
    assert table[0][0] == f"`{default}` (default)"
    for value, _ in table[:2]:
        ReportSpec(as_of=names(value)[0])
    (example,) = re.findall(r"Such as `([^`]+)`", table[2][1])
    ReportSpec(as_of=example)


def package_files() -> list[Path]:
    return sorted((PROJECT / "storemon_pipeline").rglob("*.py"))


def test_rule_numbers_in_the_code_exist():
    numbered = {int(number) for number in re.findall(r"^## Rule (\d):", RULES, flags=re.MULTILINE)}
    assert numbered == set(range(1, len(numbered) + 1))
    for path in package_files():
        for references in re.findall(
            r"\brules? (\d)(?:(?:, | and | to )(\d))?\b", path.read_text(), re.IGNORECASE
        ):
            assert {int(number) for number in references if number} <= numbered, path


# What Dagster shows


def test_jobs_table_matches_the_jobs():
    jobs = {job.name for job in defs.jobs or ()}
    (table,) = tables(section(REPORTS, "Jobs"))
    assert {names(job)[0] for job, _ in table} == jobs
    assert set(re.findall(r"\b\w+_job\b", REFERENCE)) == jobs


def test_automation_table_matches_schedules_and_sensors():
    automation = {
        definition.name: definition
        for definition in (*(defs.schedules or ()), *(defs.sensors or ()))
    }
    (table,) = tables(section(REPORTS, "Schedules and sensors"))
    assert {names(name)[0]: default for name, default, _ in table} == {
        name: "on" if each.default_status.value == "RUNNING" else "off"
        for name, each in automation.items()
    }
    assert set(re.findall(r"\b\w+_(?:schedule|sensor)\b", REFERENCE)) == set(automation)


def test_assets_are_documented():
    documented = set(names(section(ARCHITECTURE, "Data flow")))
    assets = {key.path[-1] for key in defs.resolve_asset_graph().get_all_asset_keys()}
    assert assets <= documented


def test_checks_table_matches_the_checks_and_their_assets():
    (table,) = tables(section(REPORTS, "Asset checks"))
    documented = {(names(check)[0], asset) for check, assets, _ in table for asset in names(assets)}
    assert documented == {
        (key.name, key.asset_key.path[-1]) for key in defs.resolve_asset_graph().asset_check_keys
    }


# Files and tables


def test_input_files_table_matches_the_sources():
    (table,) = tables(section(RULES, "Input files"))
    assert len(table) == len(SOURCES)
    for kind, (files, columns, reading) in zip(SOURCES, table, strict=True):
        assert [name for name in names(files) if "…" not in name] == [
            f"{name}.csv" for name in kind.names
        ]
        accepted = [name for column in kind.columns.values() for name in column]
        assert sorted(names(columns)) == sorted(accepted)
        assert ("accumulate" in reading) is kind.is_append_only


def test_report_files_table_matches_files_and_columns(sample_run: SampleRun):
    (table,) = tables(section(REPORTS, "Files"))
    documented = {}
    for file, _, columns in table:
        documented[names(file)[0]] = [
            name.replace("…", window.suffix) if window else name
            for is_of_window, group in groupby(names(columns), lambda name: name.endswith("_…"))
            for window, name in product(DEFAULT_WINDOWS if is_of_window else [None], list(group))
        ]
    written = {
        path.name: path.read_text().partition("\n")[0].split(",") if path.suffix == ".csv" else []
        for path in sample_run.directory.iterdir()
        if path.is_file()
    }
    assert documented == written


def test_tables_table_matches_the_database_schema():
    (table,) = tables(section(OPERATIONS, "Tables"))
    assert {names(name)[0] for name, _ in table} == set(metadata.tables)


def test_query_of_quarantined_rows_returns_the_shown_rows(sample_run: SampleRun):
    text = section(OPERATIONS, "Quarantined rows")
    (query,), (expected,) = blocks(text, "sql"), blocks(text, "text")
    with closing(sqlite3.connect(sample_run.database)) as connection:
        rows = connection.execute(query).fetchall()
    assert expected.splitlines() == [" | ".join(map(str, row)) for row in rows]


def test_query_of_both_sqlite_files_works(sample_run: SampleRun):
    (script,) = blocks(section(OPERATIONS, "Tables"), "sql")
    script = script.replace(".storemon/", f"{sample_run.database.parent}/")
    attach, query = re.findall(r"^[A-Z].*?;", script, re.DOTALL | re.MULTILINE)
    with closing(sqlite3.connect(sample_run.database)) as connection:
        connection.execute(attach)
        rows = connection.execute(query).fetchall()
    assert rows
    assert all(status == "Complete" and stores for _, status, stores in rows)


# Output


def test_report_begins_with_the_shown_rows(sample_run: SampleRun):
    expected = blocks(README, "csv")[0]
    assert (sample_run.directory / "report.csv").read_text().startswith(expected)


def test_shown_outage_is_in_the_report(sample_run: SampleRun):
    header, *events = blocks(README, "csv")[1].splitlines()
    written = (sample_run.directory / "downtime_events.csv").read_text().splitlines()
    assert header == written[0]
    assert events
    assert set(events) <= set(written)


def test_log_has_the_shown_lines_in_order(sample_run: SampleRun):
    expected = blocks(section(README, "What comes out"), "text")[0].splitlines()
    log = "\n".join(sample_run.log)
    at = 0
    for line in expected:
        if line != "…":
            pattern = "^" + re.escape(line).replace("…", r"\S*") + "$"
            match = re.compile(pattern, re.MULTILINE).search(log, at)
            assert match, f"missing in the log, after the lines before it: {line}"
            at = match.end()


# Commands


def test_commands_table_matches_the_make_targets():
    targets = set(re.findall(r"^([a-z-]+):.*##", MAKEFILE, flags=re.MULTILINE))
    (table,) = tables(section(CONTRIBUTING, "Set-up"))
    assert {names(command)[0].removeprefix("make ") for command, _ in table} == targets
    in_text = {word for name in names(REFERENCE) for word in re.findall(r"\bmake ([a-z-]+)", name)}
    in_blocks = {line.split("make ")[1].split()[0] for line in commands("make")}
    assert in_text | in_blocks <= targets


def run_configs() -> list[dict[str, Any]]:
    return [yaml.safe_load(block) for block in blocks(REPORTS, "yaml")]


@pytest.mark.parametrize("config", run_configs())
def test_example_of_a_run_config_is_valid(config: dict[str, Any]):
    dg.validate_run_config(defs.resolve_job_def("report_job"), config)
    spec = config["ops"]["report_request"]["config"]
    ReportRequestConfig.model_validate(spec)
    ReportSpec.model_validate(spec)


@pytest.fixture
def sample_workspace(isolated_environment: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("STOREMON_DATA_DIR", str(SAMPLE))
    return isolated_environment


def test_example_range_lasts_25_hours(sample_run: SampleRun):
    report = (sample_run.range_directory / "report.csv").read_text()
    assert report.startswith("store_id,uptime_range,downtime_range\n")
    # the clocks go back within the range
    hours = [sum(map(float, row.split(",")[1:])) for row in report.splitlines()[1:]]
    assert max(hours) == pytest.approx(25)


def test_dagster_commands_work_in_order(sample_workspace: Path):
    (sample_workspace / "request.yaml").write_text(blocks(REPORTS, "yaml")[0])
    (sample_workspace / "remove.yaml").write_text(blocks(OPERATIONS, "yaml")[0])
    lines = commands("dagster")
    assert lines
    logs = []
    for line in lines:
        program, *arguments = shlex.split(line, comments=True)
        assert program == ".venv/bin/dagster"
        done = dagster(*arguments, cwd=sample_workspace)
        assert done.returncode == 0, done.stdout
        logs.append(done.stdout)
    *_, reported, removed = logs
    assert re.search(r"Moved \d+ polls of 1267873068966844821 .* to quarantined_row", removed)
    spec = run_configs()[0]["ops"]["report_request"]["config"]
    header, *rows = report_path(reported).read_text().splitlines()
    assert [column for column in header.split(",") if column.startswith("uptime_")] == [
        f"uptime_{Window(window).suffix}" for window in spec["windows"]
    ]
    assert {row.split(",")[0] for row in rows} == set(spec["store_ids"])


# The REST API


def openapi() -> dict[str, Any]:
    return build_app(Settings()).openapi()


def test_endpoint_tables_match_the_openapi_document():
    endpoints = [
        names(row[0])[0]
        for heading in ("Endpoints", "Legacy endpoints")
        for table in tables(section(API, heading))
        for row in table
    ]
    documented = [
        f"{method.upper()} {path}"
        for path, methods in openapi()["paths"].items()
        for method in methods
    ]
    assert sorted(endpoints) == sorted(documented)


def test_errors_table_matches_the_openapi_document():
    (table,) = tables(section(API, "Errors"))
    statuses = {status for status, _ in table}
    documented = {
        status
        for methods in openapi()["paths"].values()
        for endpoint in methods.values()
        for status in endpoint["responses"]
    }
    assert statuses == {status for status in documented if status >= "400"}
    assert f"larger than {MAX_BODY_BYTES >> 20} MiB" in API


def test_statuses_of_a_report_are_documented():
    assert set(ReportStatus) <= set(names(section(API, "Endpoints")))


def test_api_commands_return_the_shown_output(
    isolated_environment: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("STOREMON_DATA_DIR", str(SAMPLE))
    ui_port, api_port = free_ports(2)
    dev = start_dev(isolated_environment, ui_port=ui_port, api_port=api_port)
    known_store = "1267873068966844821"
    report_id = ""

    def output(command: str) -> str:
        local = command.replace("127.0.0.1:8000", f"127.0.0.1:{api_port}")
        done = subprocess.run(
            ["sh", "-c", local.replace("curl", "curl --silent --show-error --fail-with-body", 1)],
            env=os.environ | {"ID": report_id},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout.replace(f"127.0.0.1:{ui_port}", "127.0.0.1:3000")

    try:
        dev.wait_until_up()
        # sooner than new_files_sensor
        httpx.post(f"http://127.0.0.1:{api_port}/ingest", timeout=60).raise_for_status()
        store = f"http://127.0.0.1:{api_port}/v1/stores/{known_store}"
        assert waited_for(lambda: answers(store)), dev.output
        create, read, csv, trigger, get, summary = commands("curl")

        created = output(create)
        assert is_as_shown(shown_after(create, API), created), created
        report_id = json.loads(created)["id"]
        assert waited_for(lambda: json.loads(output(read))["finished_at"]), dev.output
        assert is_as_shown(shown_after(read, API), output(read)), output(read)
        assert output(csv) == shown_after(csv, API)

        expected = shown_after(summary, API).splitlines()
        triggered = output(trigger)
        assert is_as_shown(expected[0], triggered), triggered
        report_id = json.loads(triggered)["report_id"]
        assert is_as_shown(expected[1], output(get)), output(get)
        assert is_as_shown(expected[2], output(summary)), output(summary)
        assert waited_for(lambda: output(get).startswith("store_id,")), output(get)
    finally:
        dev.make.terminate()
        dev.exit_code()


# Pages


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_resolve(page: Path):
    for link in re.findall(r"\]\(([^)\s]+)\)", without_blocks(page.read_text())):
        if not link.startswith("https://"):
            path, _, anchor = link.partition("#")
            target = (page.parent / path) if path else page
            assert target.exists(), link
            assert not anchor or anchor in anchors(target.read_text()), link


def test_pictures_are_small_and_in_use():
    pictures = set((PROJECT / "docs").glob("*.png"))
    shown = {
        (page.parent / link).resolve()
        for page in PAGES
        for link in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", page.read_text())
    }
    assert shown == pictures
    for picture in pictures:
        assert picture.read_bytes().startswith(b"\x89PNG")
        assert picture.stat().st_size < LARGEST_PICTURE, picture


def test_layout_matches_the_package():
    shown = re.findall(
        r"^  (\w+[./]\w*)",
        blocks(section(ARCHITECTURE, "Layout of the code"), "text")[0],
        re.MULTILINE,
    )
    entries = {
        path.name + "/" * path.is_dir()
        for path in (PROJECT / "storemon_pipeline").iterdir()
        if path.is_dir() or path.suffix == ".py"
    }
    assert set(shown) == {e for e in entries if not e.startswith("__")}
