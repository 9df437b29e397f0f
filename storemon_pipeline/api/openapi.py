"""Completes the OpenAPI document with what endpoints cannot declare themselves."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from storemon_pipeline.api import models, problems
from storemon_pipeline.api.auth import HEALTHZ_PATH

_TEMPLATE = "#/components/schemas/{model}"
# referenced by name only, under media types that FastAPI does not generate schemas for
_EXTRA_MODELS: tuple[type[BaseModel], ...] = (problems.Problem, models.LegacyReportStatus)


def add_problem_schemas(document: dict[str, Any]) -> dict[str, Any]:
    """Add missing schemas, and the responses of the middleware, to a document in place."""
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for model in _EXTRA_MODELS:
        schema = model.model_json_schema(ref_template=_TEMPLATE)
        schemas |= schema.pop("$defs", {})
        schemas[model.__name__] = schema
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if path == HEALTHZ_PATH:
                operation["security"] = []
            # responses of the middleware
            statuses = [HTTPStatus.MISDIRECTED_REQUEST]
            if method == "post":
                statuses += [
                    HTTPStatus.REQUEST_TIMEOUT,
                    HTTPStatus.LENGTH_REQUIRED,
                    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                ]
                if "requestBody" in operation:
                    statuses.append(HTTPStatus.BAD_REQUEST)
            responses = {
                str(status.value): problems.problem_response(status) for status in statuses
            }
            operation["responses"] = dict(sorted((operation["responses"] | responses).items()))
    return document


def register_openapi(app: FastAPI) -> None:
    """Make the application serve its complete document."""
    generated = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = add_problem_schemas(generated())
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
