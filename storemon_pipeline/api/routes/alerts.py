"""/v1/alerts: alerts that the webhook received or will receive."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field, TypeAdapter

from storemon_pipeline.api import models
from storemon_pipeline.api.dependencies import AppStateDep
from storemon_pipeline.api.pagination import CursorQuery, Paginator
from storemon_pipeline.api.problems import problem_responses
from storemon_pipeline.storage.alert_outbox import read_alerts
from storemon_pipeline.uptime.alert_record import AlertRecord
from storemon_pipeline.uptime.report_request import StoreId

router = APIRouter(prefix="/v1/alerts", tags=["alerts"])

_MAX_ID = 2**31 - 1  # a PostgreSQL integer
_PAGINATOR = Paginator[int](TypeAdapter(Annotated[int, Field(ge=1, le=_MAX_ID)]))


@router.get("", summary="List alerts", responses=problem_responses())
def list_alerts(
    app_state: AppStateDep,
    limit: Annotated[int, Query(ge=1, le=100, description="Page size.")] = 20,
    cursor: CursorQuery = None,
    store_id: Annotated[StoreId | None, Query(description="Only alerts of this store.")] = None,
) -> models.Alerts:
    """List alerts, newest first, with the state of their delivery."""
    before = _PAGINATOR.decode(cursor)
    with app_state.database.read() as connection:
        records = read_alerts(connection, limit=limit + 1, before=before, store_id=store_id)
    page = _PAGINATOR.page(records, limit, lambda record: record.id)
    return models.Alerts(
        alerts=[_to_model(record) for record in page.items],
        next=page.next_link("/v1/alerts", {"limit": limit, "store_id": store_id}),
    )


def _to_model(record: AlertRecord) -> models.Alert:
    return models.Alert.model_validate(asdict(record) | {"noticed_at": record.created_at})
