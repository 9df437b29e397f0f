"""/v1/alerts: what the webhook was told of stores, or is yet to be told."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query

from storemon_pipeline.api import resources
from storemon_pipeline.api.problems import documented
from storemon_pipeline.api.services import Given
from storemon_pipeline.storage.alerts import list_alerts
from storemon_pipeline.uptime.request import StoreId

router = APIRouter(prefix="/v1/alerts", tags=["alerts"])

_HIGHEST = 2**31 - 1  # of alert_number, an integer of PostgreSQL's


@router.get("", summary="All alerts", responses=documented())
def every(
    services: Given,
    limit: Annotated[int, Query(ge=1, le=100, description="How many on a page.")] = 20,
    before: Annotated[
        int | None,
        Query(ge=1, le=_HIGHEST, description="As the link to the next page has it."),
    ] = None,
    store_id: Annotated[StoreId | None, Query(description="Only those of this store.")] = None,
) -> resources.Alerts:
    """All alerts on record, newest first: what was noticed when, and whether it was sent."""
    with services.database.read() as connection:
        found = list_alerts(connection, limit=limit + 1, before=before, store_id=store_id)
    shown, following = found[:limit], None
    if len(found) > limit:
        asked = {"store_id": store_id} if store_id else {}
        query = urlencode({"limit": limit, "before": shown[-1].alert_number} | asked)
        following = f"/v1/alerts?{query}"
    return resources.Alerts(
        alerts=[resources.Alert.model_validate(asdict(each)) for each in shown], next=following
    )
