"""The documentation says what the code does: names, defaults, examples and outputs are the same.

Each fact is taken from where the documentation states it, a table or a block under a heading, so
that one which is missing, misspelt or out of date fails here, and so does one that was forgotten.
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
from storemon_pipeline_tests.helpers.dev_server import answers, free_ports, start_dev, waited_for
from storemon_pipeline_tests.helpers.documentation import (
    README,
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
from storemon_pipeline_tests.helpers.runner import PROJECT, SAMPLE, dagster, report_path, run

MAKEFILE = (PROJECT / "Makefile").read_text()
PAGES = [PROJECT / "README.md", PROJECT / "CHANGELOG.md", *sorted((PROJECT / "docs").glob("*.md"))]

LARGEST_PICTURE = 300_000


def commands(program: str) -> list[str]:
    """The lines of the shell blocks that call a program, whatever is before it."""
    lines = [line for block in blocks(README, "sh") for line in block.splitlines()]
    return [line for line in lines if re.search(rf"(^|[/ ]){program} ", line.partition("#")[0])]


@dataclass(frozen=True)
class SampleRun:
    """What came of `ingest_and_report_job` on the sample."""

    log: list[str]
    directory: Path
    database: Path


@pytest.fixture(scope="module")
def sample_run(tmp_path_factory: pytest.TempPathFactory) -> SampleRun:
    place = tmp_path_factory.mktemp("sample")
    with pytest.MonkeyPatch.context() as environment:
        for name in [name for name in os.environ if name.startswith("STOREMON_")]:
            environment.delenv(name)
        environment.setenv("STOREMON_DATA_DIR", str(SAMPLE))
        environment.setenv("STOREMON_DATABASE_URL", f"sqlite:///{place}/storemon.db")
        environment.setenv("STOREMON_REPORTS_DIR", str(place / "reports"))
        with dg.DagsterInstance.ephemeral() as instance:
            result = run(instance, "ingest_and_report_job")
            assert result.success
            log = [
                entry.user_message
                for entry in instance.all_logs(result.run_id)
                if not entry.is_dagster_event
            ]
    return SampleRun(log, place / "reports" / result.run_id, place / "storemon.db")


# Settings


def documented_settings() -> dict[str, str]:
    (table,) = tables(section(README, "Settings"))
    return {
        names(name)[0]: names(default)[0] if names(default) else default
        for name, default, _ in table
    }


def test_every_setting_is_documented_with_its_default_and_no_other():
    defaults = {
        f"STOREMON_{name.upper()}": field.get_default(call_default_factory=True, validated_data={})
        for name, field in Settings.model_fields.items()
    }
    fields = {
        name: "not set" if value in (None, {}, ()) else str(value)
        for name, value in defaults.items()
    }
    assert documented_settings() == fields


def test_every_variable_that_is_mentioned_exists():
    for_tests = re.findall(
        r"STOREMON_\w+", (PROJECT / "storemon_pipeline_tests/conftest.py").read_text()
    )
    for page in PAGES:
        mentioned = set(re.findall(r"STOREMON_\w+", page.read_text()))
        assert mentioned <= documented_settings().keys() | set(for_tests), page


def test_the_accepted_share_of_bad_rows_is_the_one_that_is_told():
    share = Settings.model_fields["max_bad_share"].default
    assert f"{share * 100:g} % of its rows are bad" in README


# Rules and windows


def rules() -> dict[str, list[str]]:
    """The values of each rule, the default first; `not set` where it has none."""
    found = {}
    for name, field in UptimeRules.model_fields.items():
        if field.default is None:
            found[name] = ["not set"]
        else:
            others = [value for value in type(field.default) if value is not field.default]
            found[name] = [value.value for value in (field.default, *others)]
    return found


def test_every_rule_is_documented_with_its_values_and_its_default_first():
    (table,) = tables(section(README, "The rules of the figures"))
    documented: dict[str, list[str]] = {}
    rule = ""
    for name, value, _ in table:
        rule = name.strip("`") or rule
        assert ("(default)" in value) is (rule not in documented), f"{rule}: {value}"
        documented.setdefault(rule, []).append(value.removesuffix(" (default)").strip("`"))
    documented["max_carry_hours"].remove("a number above 0")
    assert documented == rules()


@pytest.mark.parametrize("rule", UptimeRules.model_fields)
def test_every_rule_is_explained_in_full(rule: str):
    (explained,) = re.findall(
        rf"^.*\*\*`{rule}`\.\*\*.*?(?=^#|^- \*\*|\Z)", RULES, re.MULTILINE | re.DOTALL
    )
    default, *others = rules()[rule]
    assert re.search(rf"{default}\b[^;]*?\(default\)", explained, re.IGNORECASE)
    for value in others:
        assert value in names(explained)


def test_every_window_is_documented_with_its_length_and_its_columns():
    (table,) = tables(section(RULES, "Rule 2: windows"))
    assert [(names(window)[0], names(column)[0]) for window, *_, column in table] == [
        (window.value, f"…_{window.suffix}") for window in Window
    ]
    for window, start, *_ in table:
        length = ROLLING_WINDOWS.get(Window(names(window)[0]))
        if length:
            hours = int(length.total_seconds()) // 3600
            assert start.startswith(f"{hours} hour")


def test_the_windows_of_a_report_are_those_that_are_told():
    *others, last = [f"`{window}`" for window in DEFAULT_WINDOWS]
    told = section(README, "The rules of the figures")
    assert f"The windows are {', '.join(others)} and {last} by default" in told
    assert set(Window) <= set(names(told))
    assert {window.suffix for window in Window} <= set(
        names(section(README, "The files of a report"))
    )


def test_as_of_is_documented():
    (table,) = tables(section(RULES, "Rule 1: as_of"))
    default = ReportSpec.model_fields["as_of"].default
    assert table[0][0] == f"`{default}` (default)"
    for value, _ in table[:2]:
        ReportSpec(as_of=names(value)[0])
    (example,) = re.findall(r"Such as `([^`]+)`", table[2][1])
    ReportSpec(as_of=example)


def package_files() -> list[Path]:
    return sorted((PROJECT / "storemon_pipeline").rglob("*.py"))


def test_what_the_code_calls_a_rule_is_one():
    numbered = {int(number) for number in re.findall(r"^## Rule (\d):", RULES, flags=re.MULTILINE)}
    assert numbered == set(range(1, len(numbered) + 1))
    for path in package_files():
        for said in re.findall(
            r"\brules? (\d)(?:(?:, | and | to )(\d))?\b", path.read_text(), re.IGNORECASE
        ):
            assert {int(number) for number in said if number} <= numbered, path


# What Dagster shows


def test_every_job_is_documented_and_no_other():
    jobs = {job.name for job in defs.jobs or ()}
    table = tables(section(README, "Jobs, automation, checks"))[0]
    assert {names(job)[0] for job, _ in table} == jobs
    assert set(re.findall(r"\b\w+_job\b", README)) == jobs


def test_every_schedule_and_sensor_is_documented_and_no_other():
    automation = {each.name for each in (*(defs.schedules or ()), *(defs.sensors or ()))}
    assert set(re.findall(r"\b\w+_(?:schedule|sensor)\b", README)) == automation


def test_every_asset_is_documented():
    told = set(names(section(README, "How the figures are made")))
    assets = {key.path[-1] for key in defs.resolve_asset_graph().get_all_asset_keys()}
    assert assets <= told


def test_every_check_is_documented_with_its_assets_and_no_other():
    table = tables(section(README, "Jobs, automation, checks"))[1]
    documented = {(names(check)[0], asset) for check, assets, _ in table for asset in names(assets)}
    assert documented == {
        (key.name, key.asset_key.path[-1]) for key in defs.resolve_asset_graph().asset_check_keys
    }


# Files and tables


def test_every_raw_file_is_documented_with_all_names_of_it_and_its_columns():
    (table,) = tables(section(README, "Your own files"))
    assert len(table) == len(SOURCES)
    for kind, (files, columns, reading) in zip(SOURCES, table, strict=True):
        assert [name for name in names(files) if "…" not in name] == [
            f"{name}.csv" for name in kind.names
        ]
        accepted = [name for column in kind.columns.values() for name in column]
        assert sorted(names(columns)) == sorted(accepted)
        assert ("add up" in reading) is kind.is_append_only


def test_the_files_of_a_report_and_their_columns_are_those_that_are_documented(
    sample_run: SampleRun,
):
    (table,) = tables(section(README, "The files of a report"))
    documented = {}
    for file, _, columns in table:
        documented[names(file)[0]] = [
            name.replace("…", window.suffix) if window else name
            for is_of_window, told in groupby(names(columns), lambda name: name.endswith("_…"))
            for window, name in product(DEFAULT_WINDOWS if is_of_window else [None], list(told))
        ]
    written = {
        path.name: path.read_text().partition("\n")[0].split(",") if path.suffix == ".csv" else []
        for path in sample_run.directory.iterdir()
        if path.is_file()
    }
    assert documented == written


def test_every_table_of_the_database_is_documented_and_no_other(sample_run: SampleRun):
    (table,) = tables(section(README, "Tables"))
    assert {names(name)[0] for name, _ in table} == set(metadata.tables)


def test_the_query_of_bad_rows_gives_what_is_shown(sample_run: SampleRun):
    query, _ = blocks(README, "sql")
    shown = README.split(query)[1].split("```text\n")[1].split("```")[0]
    with closing(sqlite3.connect(sample_run.database)) as connection:
        found = connection.execute(query).fetchall()
    assert shown.splitlines() == [" | ".join(map(str, row)) for row in found]


def test_the_query_of_both_sqlite_files_works(sample_run: SampleRun):
    _, script = blocks(README, "sql")
    script = script.replace(".storemon/", f"{sample_run.database.parent}/")
    attach, query = re.findall(r"^[A-Z].*?;", script, re.DOTALL | re.MULTILINE)
    with closing(sqlite3.connect(sample_run.database)) as connection:
        connection.execute(attach)
        ((_, status, stores),) = connection.execute(query).fetchall()
    assert (status, stores > 0) == ("Complete", True)


# Output


def test_the_report_begins_as_shown(sample_run: SampleRun):
    shown = blocks(README, "csv")[0]
    assert (sample_run.directory / "report.csv").read_text().startswith(shown)


def test_the_outage_is_in_the_report_as_shown(sample_run: SampleRun):
    header, *events = blocks(README, "csv")[1].splitlines()
    written = (sample_run.directory / "downtime_events.csv").read_text().splitlines()
    assert header == written[0]
    assert events
    assert set(events) <= set(written)


def test_the_log_says_what_is_shown_in_that_order(sample_run: SampleRun):
    shown = blocks(section(README, "What comes out"), "text")[0].splitlines()
    log = "\n".join(sample_run.log)
    at = 0
    for line in shown:
        if line != "…":
            pattern = "^" + re.escape(line).replace("…", r"\S*") + "$"
            found = re.compile(pattern, re.MULTILINE).search(log, at)
            assert found, f"after the lines before it, the log does not say: {line}"
            at = found.end()


# Commands


def test_every_make_target_is_documented_and_no_other():
    targets = set(re.findall(r"^([a-z-]+):.*##", MAKEFILE, flags=re.MULTILINE))
    (table,) = tables(section(README, "Development"))
    assert {names(command)[0].removeprefix("make ") for command, _ in table} == targets
    in_text = {word for name in names(README) for word in re.findall(r"\bmake ([a-z-]+)", name)}
    in_blocks = {line.split("make ")[1].split()[0] for line in commands("make")}
    assert in_text | in_blocks <= targets


def run_configs() -> list[dict[str, Any]]:
    return [yaml.safe_load(block) for block in blocks(README, "yaml")]


@pytest.mark.parametrize(
    "config", [config for config in run_configs() if "report_request" in config["ops"]]
)
def test_an_example_of_a_run_config_is_valid(config: dict[str, Any]):
    dg.validate_run_config(defs.resolve_job_def("report_job"), config)
    asked = config["ops"]["report_request"]["config"]
    ReportRequestConfig.model_validate(asked)
    ReportSpec.model_validate(asked)


@pytest.fixture
def the_sample_is_the_data(
    isolated_environment: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    monkeypatch.setenv("STOREMON_DATA_DIR", str(SAMPLE))
    return isolated_environment


def test_the_range_of_the_example_is_reported(the_sample_is_the_data: Path):
    config = run_configs()[1]["ops"]["report_request"]["config"]
    with dg.DagsterInstance.ephemeral() as instance:
        assert run(instance, "ingest_job").success
        result = run(instance, "report_job", **config)
    assert result.success
    report = (the_sample_is_the_data / "reports" / result.run_id / "report.csv").read_text()
    assert report.startswith("store_id,uptime_range,downtime_range\n")
    # the clocks go back in that range, so what is open throughout is open for 25 hours
    hours = [sum(map(float, row.split(",")[1:])) for row in report.splitlines()[1:]]
    assert max(hours) == pytest.approx(25)


def test_the_dagster_commands_work_one_after_the_other(the_sample_is_the_data: Path):
    (the_sample_is_the_data / "request.yaml").write_text(blocks(README, "yaml")[0])
    (the_sample_is_the_data / "remove.yaml").write_text(blocks(README, "yaml")[-1])
    lines = commands("dagster")
    assert lines
    logs = []
    for line in lines:
        program, *arguments = shlex.split(line, comments=True)
        assert program == ".venv/bin/dagster"
        done = dagster(*arguments, cwd=the_sample_is_the_data)
        assert done.returncode == 0, done.stdout
        logs.append(done.stdout)
    *_, reported, removed = logs
    assert " of 1267873068966844821 from 2024-11-10T12:00:00+00:00 to before " in removed
    assert "Removed " in removed
    asked = run_configs()[0]["ops"]["report_request"]["config"]
    header, *rows = report_path(reported).read_text().splitlines()
    assert [column for column in header.split(",") if column.startswith("uptime_")] == [
        f"uptime_{Window(window).suffix}" for window in asked["windows"]
    ]
    assert {row.split(",")[0] for row in rows} == set(asked["store_ids"])


# The REST API


def openapi() -> dict[str, Any]:
    return build_app(Settings()).openapi()


def test_every_endpoint_is_documented_and_no_other():
    told = tables(section(README, "The REST API"))
    endpoints = [names(row[0])[0] for table in told for row in table if names(row[0])]
    documented = [
        f"{method.upper()} {path}"
        for path, methods in openapi()["paths"].items()
        for method in methods
    ]
    assert sorted(endpoints) == sorted(documented)


def test_every_status_of_an_error_is_documented_and_no_other():
    told = tables(section(README, "The REST API"))
    statuses = {row[0] for table in told for row in table if not names(row[0])}
    documented = {
        status
        for methods in openapi()["paths"].values()
        for endpoint in methods.values()
        for status in endpoint["responses"]
    }
    assert statuses == {status for status in documented if status >= "400"}
    assert f"more than {MAX_BODY_BYTES >> 20} MiB" in README


def test_every_status_of_a_report_is_documented():
    assert set(ReportStatus) <= set(names(section(README, "The REST API")))


def test_the_api_answers_the_commands_as_shown(
    isolated_environment: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("STOREMON_DATA_DIR", str(SAMPLE))
    ui_port, api_port = free_ports(2)
    dev = start_dev(isolated_environment, ui_port=ui_port, api_port=api_port)
    known_store = "1267873068966844821"
    report_id = ""
    api = section(README, "The REST API")

    def answer(command: str) -> str:
        here = command.replace("127.0.0.1:8000", f"127.0.0.1:{api_port}")
        done = subprocess.run(
            ["sh", "-c", here.replace("curl", "curl --silent --show-error --fail-with-body", 1)],
            env=os.environ | {"ID": report_id},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout.replace(f"127.0.0.1:{ui_port}", "127.0.0.1:3000")

    try:
        dev.wait_until_up()
        # the sensor reads the files as soon as nobody writes them
        store = f"http://127.0.0.1:{api_port}/v1/stores/{known_store}"
        assert waited_for(lambda: answers(store)), dev.output
        first, how, csv, trigger, get, summary = commands("curl")

        told = answer(first)
        assert is_as_shown(shown_after(first, api), told), told
        report_id = json.loads(told)["id"]
        assert waited_for(lambda: json.loads(answer(how))["finished_at"]), dev.output
        assert is_as_shown(shown_after(how, api), answer(how)), answer(how)
        assert answer(csv) == shown_after(csv, api)

        shown = shown_after(summary, api).splitlines()
        told = answer(trigger)
        assert is_as_shown(shown[0], told), told
        report_id = json.loads(told)["report_id"]
        assert is_as_shown(shown[1], answer(get)), answer(get)
        assert is_as_shown(shown[2], answer(summary)), answer(summary)
        assert waited_for(lambda: answer(get).startswith("store_id,")), answer(get)
    finally:
        dev.make.terminate()
        dev.exit_code()


# Pages


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path):
    for link in re.findall(r"\]\(([^)\s]+)\)", without_blocks(page.read_text())):
        if not link.startswith("https://"):
            path, _, anchor = link.partition("#")
            target = (page.parent / path) if path else page
            assert target.exists(), link
            assert not anchor or anchor in anchors(target.read_text()), link


def test_pictures_are_small_and_all_are_shown():
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


def test_the_layout_of_the_package_is_the_one_that_is_shown():
    shown = re.findall(
        r"^  (\w+[./]\w*)", blocks(section(README, "Development"), "text")[0], re.MULTILINE
    )
    entries = {
        path.name + "/" * path.is_dir()
        for path in (PROJECT / "storemon_pipeline").iterdir()
        if path.is_dir() or path.suffix == ".py"
    }
    assert set(shown) == {e for e in entries if not e.startswith("__")}
