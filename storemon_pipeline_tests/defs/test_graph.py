"""Properties that hold for all definitions, run config, and the layering of the package."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from enum import StrEnum
from typing import Any, get_args

import dagster as dg
import pytest

from storemon_pipeline.definitions import defs
from storemon_pipeline.defs.assets.request import ReportRequestConfig, RulesConfig, WindowName
from storemon_pipeline.defs.report_lifecycle import mark_report_failed
from storemon_pipeline.uptime.report_request import DEFAULT_WINDOWS, ReportSpec
from storemon_pipeline.uptime.rules import UptimeRules
from storemon_pipeline.uptime.windows import Window
from storemon_pipeline_tests.helpers.runner import PROJECT

PACKAGE = PROJECT / "storemon_pipeline"


# Definitions


def asset_names(job: str | None = None) -> set[str]:
    if job is None:
        keys = defs.resolve_asset_graph().get_all_asset_keys()
    else:
        keys = defs.resolve_job_def(job).asset_layer.selected_asset_keys
    return {key.to_user_string() for key in keys}


def test_assets_are_described_grouped_and_owned() -> None:
    graph = defs.resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert node.description is not None, key
        assert node.description.endswith("."), key
        assert node.group_name != "default", key
        assert node.owners, key


def test_table_assets_declare_typed_columns() -> None:
    graph = defs.resolve_asset_graph()
    for name in asset_names() - {"report_request"}:
        schema = graph.get(dg.AssetKey(name)).metadata["dagster/column_schema"]
        assert isinstance(schema, dg.TableSchema)
        assert schema.columns[0].name == "store_id", name
        assert all(column.type for column in schema.columns), name


def test_checks_jobs_and_automation_are_described() -> None:
    graph = defs.resolve_asset_graph()
    assert all(graph.get_check_spec(key).description for key in graph.asset_check_keys)
    named = [*(defs.jobs or []), *(defs.schedules or []), *(defs.sensors or [])]
    # an unresolved asset job has its description too
    assert all(definition.description for definition in named)  # type: ignore[union-attr]


def test_combined_job_selects_all_assets_of_both_jobs() -> None:
    ingested, reported = asset_names("ingest_job"), asset_names("report_job")
    assert ingested.isdisjoint(reported)
    assert ingested | reported == asset_names("ingest_and_report_job") == asset_names()


def test_every_asset_has_the_failure_hook() -> None:
    for assets in defs.assets or []:
        assert isinstance(assets, dg.AssetsDefinition)
        assert mark_report_failed in assets.hook_defs


def test_retention_ops_are_independent() -> None:
    job = defs.resolve_job_def("retention_job")
    assert len(job.graph.node_dict) > 1
    assert not any(job.dependencies.values())


# Run config


def run_config() -> dict[str, Any]:
    """Return the run config fields of the only configurable asset."""
    job = defs.resolve_job_def("ingest_and_report_job")
    types = {
        name: job.get_node_named(name).definition.config_schema.config_type
        for name in job.graph.node_dict
    }
    fields = {name: type_.fields for name, type_ in types.items() if getattr(type_, "fields", None)}
    assert set(fields) == {"report_request"}
    return dict(fields["report_request"])


def test_run_config_fields_are_optional_and_described() -> None:
    fields = run_config()
    for field in [*fields.values(), *fields["rules"].config_type.fields.values()]:
        assert not field.is_required
        assert field.description


def test_run_config_covers_all_parameters_and_rules() -> None:
    fields = run_config()
    assert fields.keys() == ReportSpec.model_fields.keys()
    assert fields["rules"].config_type.fields.keys() == UptimeRules.model_fields.keys()


def test_run_config_defaults_match_the_domain() -> None:
    fields = run_config()
    assert fields["windows"].default_value == [window.value for window in DEFAULT_WINDOWS]
    assert fields["rules"].default_value == UptimeRules().model_dump(mode="json")
    config = ReportRequestConfig().model_dump(exclude_none=True, warnings=False)
    assert ReportSpec.model_validate(config) == ReportSpec()
    assert UptimeRules.model_validate(RulesConfig().model_dump()) == UptimeRules()


def test_run_config_windows_match_the_domain() -> None:
    assert [(name.name, name.value) for name in WindowName] == [(name, name) for name in Window]
    (in_dagster,) = run_config()["windows"].config_type.inner_type.type_params
    assert tuple(in_dagster.config_values) == tuple(Window)


def test_run_config_rule_values_match_the_domain() -> None:
    in_dagster = run_config()["rules"].config_type.fields
    for rule, field in UptimeRules.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, StrEnum):
            values = tuple(field.annotation)
            assert get_args(RulesConfig.model_fields[rule].annotation) == values
            assert tuple(in_dagster[rule].config_type.config_values) == values


# Layering


def modules() -> Iterator[tuple[str, set[str]]]:
    """Yield the path of every module of the package, with the names that it imports."""
    for path in sorted(PACKAGE.rglob("*.py")):
        imported = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}: relative imports are not checked"
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


LAYERS = [
    {"uptime"},
    {"storage", "pages", "clients"},
    {"ingestion", "evaluation"},
    {"api", "defs"},
]
"""From bottom to top; a layer imports only layers below it."""


@pytest.mark.parametrize("level", range(len(LAYERS)))
def test_layer_imports_only_lower_layers(level: int) -> None:
    forbidden = {
        name: [f"storemon_pipeline.{package}" for layer in LAYERS[level + 1 :] for package in layer]
        for name in LAYERS[level]
    }
    if level == len(LAYERS) - 1:  # the API and Dagster's definitions do not import each other
        forbidden = {"api": ["storemon_pipeline.defs"], "defs": ["storemon_pipeline.api"]}
    violations = {
        path: names
        for path, imported in modules()
        if (package := path.partition("/")[0]) in forbidden
        and (names := imports(imported, *forbidden[package]))
    }
    assert violations == {}
    assert forbidden.keys() <= {path.partition("/")[0] for path, _ in modules()}


def test_only_defs_imports_dagster() -> None:
    importing = {path for path, imported in modules() if imports(imported, "dagster")}
    assert {path for path in importing if not path.startswith("defs/")} == {"definitions.py"}


def test_only_definitions_imports_defs() -> None:
    importing = {
        path for path, imported in modules() if imports(imported, "storemon_pipeline.defs")
    }
    assert {path for path in importing if not path.startswith("defs/")} == {"definitions.py"}
    assert not [
        path for path, imported in modules() if imports(imported, "storemon_pipeline.definitions")
    ]


def test_only_api_imports_packages_of_extra_server() -> None:
    pyproject = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    extra = pyproject["project"]["optional-dependencies"]["server"]
    packages = [re.split("[<>=]", line)[0].replace("-", "_") for line in extra]
    importing = {path for path, imported in modules() if imports(imported, *packages, "starlette")}
    assert importing
    assert all(path.startswith("api/") for path in importing)


def test_uptime_imports_nothing_else_of_the_package() -> None:
    for path, imported in modules():
        if path.startswith("uptime/"):
            of_package = imports(imported, "storemon_pipeline")
            assert of_package == imports(of_package, "storemon_pipeline.uptime"), path


def test_package_imports_nothing() -> None:
    assert dict(modules())["__init__.py"] == set()


def test_uptime_loads_without_dagster_and_sqlalchemy() -> None:
    names = [
        f"storemon_pipeline.uptime.{path.stem}"
        for path in (PACKAGE / "uptime").glob("*.py")
        if path.stem != "__init__"
    ]
    code = f"""
import importlib, sys
for name in {names}:
    importlib.import_module(name)
print(*sorted({{"dagster", "sqlalchemy", "pandera", "pyarrow.parquet"}} & set(sys.modules)))
print(*sorted(name for name in sys.modules if name.startswith("storemon_pipeline.")))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    third_party, own = done.stdout.splitlines()
    assert third_party == ""
    assert all(name.startswith("storemon_pipeline.uptime") for name in own.split())
