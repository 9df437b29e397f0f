"""Every endpoint is what its OpenAPI document says, whatever it is sent."""

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from storemon_pipeline_tests.helpers.api_process import ODD_STORE, Api, ApiDatabase, StartApi

SEED, EXAMPLES = 20230125, 20
SECONDS = 300
TOKEN = "full-secret-000001"
CONFIG = """
[checks.positive_data_acceptance]
# parts that are right and contradict each other, such as a start after its end
expected-statuses = ["2xx", "3xx", "4xx", 503]

# where Dagster is needed, which is away
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


def test_all_that_the_document_refers_to_is_in_it(document: dict[str, Any]):
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert references(document) <= known


def test_every_error_is_a_problem_document(document: dict[str, Any]):
    for operation in operations(document).values():
        for status, answer in operation["responses"].items():
            if status >= "400":
                assert list(answer["content"]) == ["application/problem+json"]


def test_what_is_sent_and_is_no_body_is_documented(document: dict[str, Any]):
    for (method, _), operation in operations(document).items():
        expected = {"411", "413"} if method == "post" else set()
        assert expected <= operation["responses"].keys()
        assert ("requestBody" in operation) <= ("400" in operation["responses"])


def with_ids(document: dict[str, Any], place: ApiDatabase, api: Api) -> dict[str, Any]:
    """The document with ids that exist as examples, so that more is tried than what is not found."""
    document = copy.deepcopy(document)
    for (method, _), operation in operations(document).items():
        asked = api.http.post("/v1/reports", json={"as_of": f"2023-01-24T00:00:{len(method):02}Z"})
        ids = {
            # what it removes is for nobody else to find
            "report_id": [asked.json()["id"]] + ([place.complete] if method == "get" else []),
            "store_id": ["s1", ODD_STORE],
        }
        for parameter in operation.get("parameters", ()):
            if found := ids.get(parameter["name"]):
                parameter["examples"] = {each: {"value": each} for each in found}
    return document


def test_every_answer_is_a_documented_one(
    document: dict[str, Any], api: Api, api_database: ApiDatabase, tmp_path: Path
):
    path, config = tmp_path / "openapi.json", tmp_path / "schemathesis.toml"
    config.write_text(CONFIG)
    path.write_text(json.dumps(with_ids(document, api_database, api)))
    ran = subprocess.run(
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
    assert ran.returncode == 0, ran.stdout + ran.stderr
