"""Database errors as problem documents."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import FastAPI, Request
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.responses import Response

from storemon_pipeline.api.html_responses import error_response
from storemon_pipeline.api.problems import ProblemError, database_unavailable
from storemon_pipeline.storage.database_faults import DatabaseUnavailableError
from storemon_pipeline.storage.schema_version import NewerDatabaseError

DATABASE_ERRORS = (DatabaseUnavailableError, NewerDatabaseError, DBAPIError, PoolTimeoutError)
"""Exceptions raised while the database is unavailable or unusable."""


def register_database_error_handlers(app: FastAPI) -> None:
    """Answer database errors with 503 problem documents."""

    @app.exception_handler(DatabaseUnavailableError)
    @app.exception_handler(OperationalError)
    @app.exception_handler(InterfaceError)
    @app.exception_handler(PoolTimeoutError)
    def _handle_unavailable_database(request: Request, error: Exception) -> Response:
        request.state.error = str(error).partition("\n")[0]
        return error_response(request, database_unavailable())

    @app.exception_handler(DBAPIError)
    def _handle_dbapi_error(request: Request, error: Exception) -> Response:
        # drivers report a lost connection under several classes
        if not isinstance(error, DBAPIError) or not error.connection_invalidated:
            raise error
        return _handle_unavailable_database(request, error)

    @app.exception_handler(NewerDatabaseError)
    def _handle_newer_database(request: Request, error: Exception) -> Response:
        request.state.error = str(error)
        return error_response(
            request,
            ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, str(error), type_slug="database-newer"),
        )
