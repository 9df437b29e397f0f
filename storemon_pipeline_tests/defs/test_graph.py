"""The whole graph, written down: what is in it, how it hangs together, and who imports whom.

A change of the graph shows here in review. Names are contracts.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple, get_args

import dagster as dg
import pytest

from storemon_pipeline.definitions import build_defs, defs
from storemon_pipeline.defs.assets.request import ReportRequestConfig, RulesConfig, WindowName
from storemon_pipeline.defs.resources import StoremonResource
from storemon_pipeline.uptime.report_request import DEFAULT_WINDOWS, ReportSpec
from storemon_pipeline.uptime.rules import UptimeRules
from storemon_pipeline.uptime.windows import Window
from storemon_pipeline_tests.helpers.runner import PROJECT

PACKAGE = PROJECT / "storemon_pipeline"


class Asset(NamedTuple):
    """What of an asset the UI shows before anything has run."""

    group: str
    kinds: set[str]
    deps: set[str]


CSV = {"csv", "pandera", "sqlalchemy"}
TABLE = {"pandas", "parquet"}
REPORT_DEPS = {
    "report_request",
    "polled_stores",
    "weekly_hours",
    "open_hours",
    "status_intervals",
    "current_status",
}
ASSETS = {
    "store_status": Asset("raw", CSV, set()),
    "business_hours": Asset("raw", CSV, set()),
    "store_timezones": Asset("raw", CSV, set()),
    "special_hours": Asset("raw", CSV, set()),
    "service_levels": Asset("raw", CSV, set()),
    "report_request": Asset("request", {"sqlalchemy"}, {"store_status"}),
    "polled_stores": Asset(
        "request",
        TABLE | {"sqlalchemy"},
        {"store_status", "store_timezones", "service_levels", "report_request"},
    ),
    "weekly_hours": Asset("request", TABLE | {"sqlalchemy"}, {"business_hours", "polled_stores"}),
    "special_dates": Asset("request", TABLE | {"sqlalchemy"}, {"special_hours", "polled_stores"}),
    "open_hours": Asset(
        "intervals", TABLE, {"report_request", "polled_stores", "weekly_hours", "special_dates"}
    ),
    "status_intervals": Asset(
        "intervals",
        TABLE | {"sqlalchemy"},
        {
            "store_status",
            "report_request",
            "polled_stores",
            "weekly_hours",
            "special_dates",
            "open_hours",
        },
    ),
    "current_status": Asset(
        "intervals",
        TABLE | {"sqlalchemy"},
        {"store_status", "report_request", "polled_stores", "weekly_hours", "special_dates"},
    ),
    "uptime_report": Asset("report", {"pandas", "csv"}, REPORT_DEPS),
    "downtime_events": Asset("report", {"pandas", "csv"}, REPORT_DEPS),
    "downtime_by_hour": Asset("report", {"pandas", "csv"}, REPORT_DEPS),
}
RAW = {name for name, asset in ASSETS.items() if asset.group == "raw"}
CHECKS = {
    ("store_status", "no_bad_rows"),
    ("store_status", "polled_within_a_day"),
    ("store_status", "every_file_is_read"),
    *(
        (asset, "store_ids_match_polls")
        for asset in ("business_hours", "store_timezones", "special_hours", "service_levels")
    ),
    ("business_hours", "no_bad_rows"),
    ("business_hours", "every_store_has_hours"),
    ("business_hours", "every_weekday_has_hours"),
    ("store_timezones", "no_bad_rows"),
    ("store_timezones", "every_store_has_a_timezone"),
    ("special_hours", "no_bad_rows"),
    ("special_hours", "only_polled_stores"),
    ("service_levels", "no_bad_rows"),
    ("service_levels", "only_polled_stores"),
    ("uptime_report", "uptime_and_downtime_within_open_time"),
    ("uptime_report", "one_row_per_store"),
}
STEPS = {
    "ingest": RAW,
    "report": {"uptime_report", "downtime_events", "downtime_by_hour"},
}


def test_the_assets_their_groups_kinds_owners_and_deps() -> None:
    graph = defs.resolve_asset_graph()
    nodes = {key.to_user_string(): graph.get(key) for key in graph.get_all_asset_keys()}
    found = {
        name: Asset(
            node.group_name, set(node.kinds), {dep.to_user_string() for dep in node.parent_keys}
        )
        for name, node in nodes.items()
    }
    assert found == ASSETS
    assert {owner for node in nodes.values() for owner in node.owners} == {"team:operations"}


@pytest.mark.parametrize("name", ASSETS)
def test_each_asset_is_described_with_its_columns(name: str) -> None:
    node = defs.resolve_asset_graph().get(dg.AssetKey(name))
    assert node.description
    assert node.description.endswith(".")
    if name == "report_request":  # no table
        return
    schema = node.metadata["dagster/column_schema"]
    assert isinstance(schema, dg.TableSchema)
    assert schema.columns[0].name == "store_id"
    assert all(column.type for column in schema.columns)


def test_the_checks_each_with_a_description() -> None:
    graph = defs.resolve_asset_graph()
    keys = graph.asset_check_keys
    assert {(key.asset_key.to_user_string(), key.name) for key in keys} == CHECKS
    assert all(graph.get_check_spec(key).description for key in keys)


@pytest.mark.parametrize(
    ("job", "selected"),
    [
        ("ingest_job", RAW),
        ("report_job", ASSETS.keys() - RAW),
        ("ingest_and_report_job", ASSETS.keys()),
    ],
)
def test_the_jobs_and_what_they_make(job: str, selected: set[str]) -> None:
    found = defs.resolve_job_def(job)
    made = {key.to_user_string() for key in found.asset_layer.selected_asset_keys}
    assert made == set(selected)
    checks = {"table_checks"} if selected >= RAW else set()
    steps = {name for name, makes in STEPS.items() if makes <= made}
    alone = made - {asset for makes in STEPS.values() for asset in makes}
    assert set(found.graph.node_dict) == checks | steps | alone
    assert found.description
    assert found.executor_def.name == "in_process"


def test_there_are_no_other_jobs_schedules_or_sensors() -> None:
    assert {job.name for job in defs.jobs or []} == {
        "ingest_job",
        "report_job",
        "ingest_and_report_job",
        "retention_job",
        "remove_polls_job",
    }
    assert {schedule.name for schedule in defs.schedules or []} == {
        "hourly_report_schedule",
        "retention_schedule",
    }
    assert [sensor.name for sensor in defs.sensors or []] == [
        "new_files_sensor",
        "report_request_sensor",
        "report_status_sensor",
        "outage_alert_sensor",
    ]


def test_the_schedule_is_hourly_and_off_until_it_is_switched_on() -> None:
    schedule = defs.resolve_schedule_def("hourly_report_schedule")
    assert schedule.cron_schedule == "5 * * * *"
    assert schedule.execution_timezone == "UTC"
    assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED
    assert schedule.job_name == "ingest_and_report_job"
    assert schedule.description


def test_the_retention_job_drops_each_thing_by_itself() -> None:
    job = defs.resolve_job_def("retention_job")
    steps = {"drop_old_polls", "drop_old_quarantined_rows", "drop_old_reports"}
    assert set(job.graph.node_dict) == steps
    assert not any(job.dependencies.values())
    assert job.description
    assert job.executor_def.name == "in_process"


def test_the_retention_schedule_is_daily_and_off_until_it_is_switched_on() -> None:
    schedule = defs.resolve_schedule_def("retention_schedule")
    assert schedule.cron_schedule == "30 3 * * *"
    assert schedule.execution_timezone == "UTC"
    assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED
    assert schedule.job_name == "retention_job"
    assert schedule.description


def test_the_sensor_starts_ingest_and_report_job_and_is_on() -> None:
    sensor = defs.resolve_sensor_def("new_files_sensor")
    assert sensor.job_name == "ingest_and_report_job"
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
    assert sensor.minimum_interval_seconds == 10
    assert sensor.description


def test_a_test_can_swap_one_resource(isolated_environment: Path) -> None:
    class Elsewhere(StoremonResource):
        """Settings of another place."""

    swapped = build_defs({"storemon": Elsewhere()})
    assert isinstance((swapped.resources or {})["storemon"], Elsewhere)
    assert set(swapped.resources or {}) == {
        "storemon",
        "heartbeat",
        "request_io",
        "table_io",
    }


REQUEST_FIELDS = {"as_of", "windows", "start", "end", "store_ids", "rules"}
RULES = {
    "interpolation": ("previous", "nearest"),
    "closed_polls": ("ignore", "use"),
    "missing_day": ("open", "closed"),
    "day_end": ("midnight", "literal"),
    "before_first_poll": ("backfill", "unobserved"),
}


def run_config() -> dict[str, Any]:
    """The fields of the run config as Dagster has them, by name."""
    job = defs.resolve_job_def("ingest_and_report_job")
    schemas = {
        name: job.get_node_named(name).definition.config_schema.config_type
        for name in job.graph.node_dict
    }
    fields = {name: of.fields for name, of in schemas.items() if getattr(of, "fields", None)}
    assert set(fields) == {"report_request"}, "only report_request has config"
    return dict(fields["report_request"])


def test_the_run_config_has_these_fields_all_optional_and_described() -> None:
    fields = run_config()
    rules = fields["rules"].config_type.fields
    assert set(fields) == REQUEST_FIELDS
    assert set(rules) == {*RULES, "max_carry_hours"}
    for field in [*fields.values(), *rules.values()]:
        assert not field.is_required
        assert field.description


def test_the_defaults_of_the_run_config_are_those_of_the_rules() -> None:
    fields = run_config()
    assert fields["windows"].default_value == [window.value for window in DEFAULT_WINDOWS]
    assert fields["as_of"].default_value == "latest"
    for name in ("start", "end", "store_ids"):
        assert fields[name].default_value is None
    assert ReportSpec.model_validate(
        ReportRequestConfig().model_dump(exclude_none=True, warnings=False)
    ) == (ReportSpec())
    assert UptimeRules.model_validate(RulesConfig().model_dump()) == UptimeRules()
    assert fields["rules"].default_value == UptimeRules().model_dump(mode="json")


def test_the_windows_that_may_be_asked_for_are_those_that_there_are() -> None:
    assert [(each.name, each.value) for each in WindowName] == [(each, each) for each in Window]
    (in_dagster,) = run_config()["windows"].config_type.inner_type.type_params
    assert tuple(in_dagster.config_values) == tuple(Window)


@pytest.mark.parametrize("rule", RULES)
def test_the_values_of_a_rule_are_those_of_its_enum(rule: str) -> None:
    enum = UptimeRules.model_fields[rule].annotation
    assert isinstance(enum, type)
    assert issubclass(enum, StrEnum)
    assert tuple(enum) == RULES[rule] == get_args(RulesConfig.model_fields[rule].annotation)
    in_dagster = run_config()["rules"].config_type.fields[rule].config_type
    assert tuple(in_dagster.config_values) == RULES[rule]


def modules() -> Iterator[tuple[str, set[str]]]:
    """Every module of the package, by its path in it, with what it imports."""
    for path in sorted(PACKAGE.rglob("*.py")):
        imported = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}: relative imports hide the arrows"
                # a name may be a module
                imported |= {f"{node.module}.{alias.name}" for alias in node.names}
        yield path.relative_to(PACKAGE).as_posix(), imported


def imports(imported: set[str], *packages: str) -> set[str]:
    return {
        name
        for name in imported
        for package in packages
        if name == package or name.startswith(f"{package}.")
    }


def test_what_the_arrows_are_told_of_is_there() -> None:
    parts = {name.partition("/")[0] for name, _ in modules()}
    assert parts >= {"uptime", "storage", "ingestion", "defs", "definitions.py", "__init__.py"}


@pytest.mark.parametrize(
    ("part", "not_imported"),
    [
        ("uptime", ("dagster", "sqlalchemy")),
        ("evaluation", ("dagster", "storemon_pipeline.defs", "storemon_pipeline.api")),
        ("ingestion", ("dagster", "storemon_pipeline.defs", "storemon_pipeline.api")),
        (
            "storage",
            (
                "dagster",
                "storemon_pipeline.defs",
                "storemon_pipeline.ingestion",
                "storemon_pipeline.evaluation",
                "storemon_pipeline.api",
            ),
        ),
    ],
)
def test_arrows_point_one_way(part: str, not_imported: tuple[str, ...]) -> None:
    wrong = {
        name: found
        for name, imported in modules()
        if name.startswith(f"{part}/") and (found := imports(imported, *not_imported))
    }
    assert wrong == {}


def test_uptime_imports_nothing_of_the_rest_of_the_package() -> None:
    own = "storemon_pipeline.uptime"
    for name, imported in modules():
        if name.startswith("uptime/"):
            of_package = imports(imported, "storemon_pipeline")
            assert of_package == imports(of_package, own), name


def test_nothing_imports_defs_but_definitions_and_nothing_imports_definitions() -> None:
    of_defs = {name for name, imported in modules() if imports(imported, "storemon_pipeline.defs")}
    assert {name for name in of_defs if not name.startswith("defs/")} == {"definitions.py"}
    assert not [
        name for name, imported in modules() if imports(imported, "storemon_pipeline.definitions")
    ]


def test_the_package_itself_imports_nothing() -> None:
    assert dict(modules())["__init__.py"] == set()


def test_uptime_can_be_imported_where_there_is_neither_dagster_nor_sqlalchemy() -> None:
    every = [
        f"storemon_pipeline.uptime.{path.stem}"
        for path in (PACKAGE / "uptime").glob("*.py")
        if path.stem != "__init__"
    ]
    code = f"""
import importlib, sys
for name in {every}:
    importlib.import_module(name)
print(*sorted({{"dagster", "sqlalchemy", "pandera", "pyarrow.parquet"}} & set(sys.modules)))
print(*sorted(name for name in sys.modules if name.startswith("storemon_pipeline.")))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    outsiders, own = done.stdout.splitlines()
    assert outsiders == ""
    assert all(name.startswith("storemon_pipeline.uptime") for name in own.split())
