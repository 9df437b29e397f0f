"""/v1/alerts: what the webhook was told of stores, or is yet to be told."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query

from storemon_pipeline.api import models
from storemon_pipeline.api.dependencies import AppStateDep
from storemon_pipeline.api.errors import problem_responses
from storemon_pipeline.storage.alert_outbox import read_alerts
from storemon_pipeline.uptime.report_request import StoreId

router = APIRouter(prefix="/v1/alerts", tags=["alerts"])

_HIGHEST = 2**31 - 1  # a PostgreSQL integer


@router.get("", summary="All alerts", responses=problem_responses())
def list_alerts(
    services: AppStateDep,
    limit: Annotated[int, Query(ge=1, le=100, description="How many on a page.")] = 20,
    before: Annotated[
        int | None,
        Query(ge=1, le=_HIGHEST, description="As the link to the next page has it."),
    ] = None,
    store_id: Annotated[StoreId | None, Query(description="Only those of this store.")] = None,
) -> models.Alerts:
    """All alerts on record, newest first: what was noticed when, and whether it was sent."""
    with services.database.read() as connection:
        found = read_alerts(connection, limit=limit + 1, before=before, store_id=store_id)
    shown, following = found[:limit], None
    if len(found) > limit:
        asked = {"store_id": store_id} if store_id else {}
        query = urlencode({"limit": limit, "before": shown[-1].id} | asked)
        following = f"/v1/alerts?{query}"
    return models.Alerts(
        alerts=[models.Alert.model_validate(asdict(each)) for each in shown], next=following
    )
