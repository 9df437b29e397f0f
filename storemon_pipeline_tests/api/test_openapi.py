"""The OpenAPI document is valid, and every endpoint conforms to it."""

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from storemon_pipeline_tests.helpers.api_process import ODD_STORE, Api, ApiDatabase, StartApi

SEED, EXAMPLES = 20230125, 10
SECONDS = 300
TOKEN = "full-secret-000001"
CONFIG = """
[checks.positive_data_acceptance]
# valid values may contradict each other, e.g. a start after its end
expected-statuses = ["2xx", "3xx", "4xx", 503]

# Dagster is unavailable
[[operations]]
include-path-regex = "/(readyz|ingest)"
checks.not_a_server_error.expected-statuses = ["2xx", "4xx", 503]
"""


@pytest.fixture(scope="module")
def api(start_api: StartApi) -> Api:
    api = start_api(api_tokens=TOKEN)
    api.http.headers["Authorization"] = f"Bearer {TOKEN}"
    return api


@pytest.fixture(scope="module")
def document(api: Api) -> dict[str, Any]:
    return api.http.get("/openapi.json").raise_for_status().json()


def references(part: Any) -> set[str]:
    if isinstance(part, list):
        return set().union(*map(references, part))
    if not isinstance(part, dict):
        return set()
    own = {part["$ref"]} if isinstance(part.get("$ref"), str) else set()
    return own.union(*map(references, part.values()))


def operations(document: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (method, path): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def test_document_is_valid(document: dict[str, Any]):
    assert [error.message for error in OpenAPIV31SpecValidator(document).iter_errors()] == []


def test_references_resolve_and_no_schema_is_unused(document: dict[str, Any]):
    schemas = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert references(document) == schemas


def test_operations_have_unique_ids_summaries_and_known_tags(document: dict[str, Any]):
    ids = [operation["operationId"] for operation in operations(document).values()]
    assert len(ids) == len(set(ids))
    tags = {tag["name"] for tag in document["tags"]}
    for operation in operations(document).values():
        assert operation["operationId"].isidentifier()
        assert operation["summary"]
        assert set(operation["tags"]) <= tags


def test_error_responses_are_problem_documents(document: dict[str, Any]):
    for operation in operations(document).values():
        for status, response in operation["responses"].items():
            if status >= "400":
                assert list(response["content"]) == ["application/problem+json"]


def test_body_errors_are_documented(document: dict[str, Any]):
    for (method, _), operation in operations(document).items():
        expected = {"411", "413"} if method == "post" else set()
        assert expected <= operation["responses"].keys()
        assert ("requestBody" in operation) <= ("400" in operation["responses"])


def with_ids(document: dict[str, Any], place: ApiDatabase, api: Api) -> dict[str, Any]:
    """Return the document with existing ids as examples, so that not all requests answer 404."""
    document = copy.deepcopy(document)
    for (method, _), operation in operations(document).items():
        report = api.http.post("/v1/reports", json={"as_of": f"2023-01-24T00:00:{len(method):02}Z"})
        ids = {
            # each operation has its own report, since some delete it
            "report_id": [report.json()["id"]] + ([place.complete] if method == "get" else []),
            "store_id": ["s1", ODD_STORE],
        }
        for parameter in operation.get("parameters", ()):
            if examples := ids.get(parameter["name"]):
                parameter["examples"] = {value: {"value": value} for value in examples}
    return document


def test_responses_conform_to_the_document(
    document: dict[str, Any], api: Api, api_database: ApiDatabase, tmp_path: Path
):
    path, config = tmp_path / "openapi.json", tmp_path / "schemathesis.toml"
    config.write_text(CONFIG)
    path.write_text(json.dumps(with_ids(document, api_database, api)))
    run = subprocess.run(
        [
            Path(sys.executable).with_name("schemathesis"),
            *("--config-file", config, "run", path, "--url", api.url),
            *("--header", f"Authorization: Bearer {TOKEN}"),
            *("--seed", str(SEED), "--max-examples", str(EXAMPLES)),
            *("--phases", "examples,coverage,fuzzing"),
            *("--checks", "all", "--generation-database", "none", "--no-color"),
            "--continue-on-failure",
        ],
        cwd=tmp_path,
        timeout=SECONDS,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
