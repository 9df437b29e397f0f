"""The OpenAPI document: what no endpoint can say of itself is added here, in one place."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from storemon_pipeline.api import problems, resources
from storemon_pipeline.api.surroundings import OPEN

_TEMPLATE = "#/components/schemas/{model}"
# that are referred to by name, since they come under media types of which FastAPI knows nothing
_NAMED: tuple[type[BaseModel], ...] = (problems.Problem, resources.ReportStatus)


def complete(document: dict[str, Any]) -> dict[str, Any]:
    """Add to a document the schemas that it only names, and what surrounds every endpoint.

    Parameters
    ----------
    document : dict
        As FastAPI makes it; it is changed.
    """
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for model in _NAMED:
        schema = model.model_json_schema(ref_template=_TEMPLATE)
        schemas |= schema.pop("$defs", {})
        schemas[model.__name__] = schema
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if path == OPEN:
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
            told = {str(each.value): problems.description(each) for each in refused}
            operation["responses"] = dict(sorted((operation["responses"] | told).items()))
    return document


def install(app: FastAPI) -> None:
    """Let the application give its complete document."""
    generated = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = complete(generated())
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
