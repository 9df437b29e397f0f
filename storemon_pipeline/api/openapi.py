"""The OpenAPI document: what no endpoint can say of itself is added here, in one place."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from storemon_pipeline.api import errors, models
from storemon_pipeline.api.auth import HEALTHZ_PATH

_TEMPLATE = "#/components/schemas/{model}"
# that are referred to by name, since they come under media types of which FastAPI knows nothing
_EXTRA_MODELS: tuple[type[BaseModel], ...] = (errors.Problem, models.ReportStatus)


def add_problem_schemas(document: dict[str, Any]) -> dict[str, Any]:
    """Add to a document the schemas that it only names, and what surrounds every endpoint.

    Parameters
    ----------
    document : dict
        As FastAPI makes it; it is changed.
    """
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for model in _EXTRA_MODELS:
        schema = model.model_json_schema(ref_template=_TEMPLATE)
        schemas |= schema.pop("$defs", {})
        schemas[model.__name__] = schema
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if path == HEALTHZ_PATH:
                operation.pop("security", None)
            # what is refused before any endpoint sees it
            refused = [HTTPStatus.MISDIRECTED_REQUEST]
            if method == "post":
                refused += [
                    HTTPStatus.REQUEST_TIMEOUT,
                    HTTPStatus.LENGTH_REQUIRED,
                    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                ]
                if "requestBody" in operation:
                    refused.append(HTTPStatus.BAD_REQUEST)
            told = {str(each.value): errors.problem_response(each) for each in refused}
            operation["responses"] = dict(sorted((operation["responses"] | told).items()))
    return document


def register_openapi(app: FastAPI) -> None:
    """Let the application give its complete document."""
    generated = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = add_problem_schemas(generated())
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
