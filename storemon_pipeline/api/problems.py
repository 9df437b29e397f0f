"""Errors as problem documents (RFC 9457).

Packages for RFC 9457 (``fastapi-problem``, ``rfc9457``) neither render problems as HTML
pages for browsers nor cover the responses of the middleware (408, 411, 413, 421).
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, Field
from starlette.responses import JSONResponse

from storemon_pipeline.uptime.messages import shorten

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = 5


class ErrorDetail(BaseModel):
    """One error in a request."""

    where: str = Field(description="The part of the request.", examples=["body.windows.0"])
    message: str = Field(description="What is wrong, and what is accepted.")


class Problem(BaseModel):
    """A problem document (RFC 9457)."""

    type: str = Field(description="The problem type.", examples=["urn:storemon:problem:not-found"])
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(
        description="What is wrong with this request, and the remedy.",
        examples=["no report has the id 5e135a30: GET /v1/reports lists all reports"],
    )
    errors: list[ErrorDetail] | None = Field(
        default=None, description="The errors in the request, if there may be several."
    )


class ProblemError(Exception):
    """An error that is answered with a problem document.

    Parameters
    ----------
    status : HTTPStatus
    detail : str
        What is wrong, and the remedy.
    type_slug : str, optional
        The last part of the problem type; by default the phrase of the status.
    errors : list of ErrorDetail, optional
    headers : mapping, optional
        Additional headers of the response.
    """

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        *,
        type_slug: str | None = None,
        errors: list[ErrorDetail] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = dict(headers or {})
        self.problem = Problem(
            type="urn:storemon:problem:" + (type_slug or status.phrase.lower().replace(" ", "-")),
            title=status.phrase,
            status=status.value,
            detail=shorten(detail),
            errors=errors,
        )

    @property
    def response(self) -> JSONResponse:
        """The problem document as a response."""
        return JSONResponse(
            self.problem.model_dump(exclude_none=True),
            self.status,
            self.headers,
            media_type=MEDIA_TYPE,
        )


_DESCRIPTIONS = {
    HTTPStatus.BAD_REQUEST: "The body or `Range` is malformed.",
    HTTPStatus.UNAUTHORIZED: "Missing or unknown bearer token.",
    HTTPStatus.FORBIDDEN: "The token is read-only, or the request comes from another site.",
    HTTPStatus.NOT_FOUND: "Not found.",
    HTTPStatus.REQUEST_TIMEOUT: "The body did not arrive in time.",
    HTTPStatus.CONFLICT: "The report is in the wrong state.",
    HTTPStatus.LENGTH_REQUIRED: "`Content-Length` is missing.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is too large.",
    HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE: "The range is outside the file.",
    HTTPStatus.MISDIRECTED_REQUEST: "`Host` is not a host of this API.",
    HTTPStatus.UNPROCESSABLE_ENTITY: "A parameter or the body is invalid.",
    HTTPStatus.TOO_MANY_REQUESTS: "The queue is full; retry after `Retry-After` seconds.",
    HTTPStatus.SERVICE_UNAVAILABLE: (
        "The database or Dagster is unavailable, or no data has been ingested yet; retry later."
    ),
}


def problem_response(status: HTTPStatus) -> dict[str, Any]:
    """Return the OpenAPI response object of a problem."""
    schema = {"$ref": "#/components/schemas/Problem"}  # .openapi adds the schema
    return {
        "description": _DESCRIPTIONS[status],
        "content": {MEDIA_TYPE: {"schema": schema}},
    }


def problem_responses(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI responses of an endpoint's problems, including those of every endpoint."""
    common = (
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        HTTPStatus.SERVICE_UNAVAILABLE,
    )
    return {status.value: problem_response(status) for status in sorted({*common, *statuses})}


def _service_unavailable(service: str, detail: str) -> ProblemError:
    """Return a 503 problem for an unavailable dependency."""
    return ProblemError(
        HTTPStatus.SERVICE_UNAVAILABLE,
        detail,
        type_slug=f"{service}-unavailable",
        headers={"Retry-After": str(RETRY_SECONDS)},
    )


def dagster_unavailable(detail: str) -> ProblemError:
    """Return the 503 problem for an unavailable Dagster webserver."""
    return _service_unavailable("dagster", detail)


def database_unavailable() -> ProblemError:
    """Return the 503 problem for an unavailable database."""
    return _service_unavailable(
        "database", "the database is unavailable: nothing was changed; try again"
    )


NO_POLLS_YET = (
    "no polls have been ingested yet: the first ingest has not finished, or there is no file to "
    "ingest. See ingest_job in the Dagster UI; POST /ingest starts it"
)


def no_polls_yet() -> ProblemError:
    """Return the 503 problem for a request before the first ingest has finished."""
    return ProblemError(
        HTTPStatus.SERVICE_UNAVAILABLE,
        NO_POLLS_YET,
        type_slug="no-polls-yet",
        headers={"Retry-After": str(RETRY_SECONDS)},
    )
