"""Job that removes polls: a corrected file adds and corrects polls but removes none."""

from datetime import UTC, datetime
from typing import Any, Self

import dagster as dg
from pydantic import BaseModel, Field, model_validator

from storemon_pipeline.defs.failures import as_dagster_failure
from storemon_pipeline.defs.resources import StoremonResource
from storemon_pipeline.storage.poll_removal import remove_polls
from storemon_pipeline.uptime.messages import pluralize
from storemon_pipeline.uptime.report_request import Instant, StoreId


class RemovePollsConfig(dg.Config):
    """Range of polls to remove."""

    # Any, so that our own validation can reject a number and suggest quotes
    store_id: Any = Field(description="Store id, in quotes.")
    start: str = Field(description="Start of the range, inclusive, e.g. 2023-01-25T18:00:00Z.")
    end: str = Field(description="End of the range, exclusive.")


class PollRange(BaseModel):
    """Polls of a store in ``[start, end)``."""

    store_id: StoreId
    start: Instant
    end: Instant

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if self.start >= self.end:
            msg = f"start ({self.start.isoformat()}) must be before end ({self.end.isoformat()})"
            raise ValueError(msg)
        return self


@dg.op(
    name="remove_polls",
    out=dg.Out(dg.Nothing),
    description="Moves a store's polls in [start, end) to quarantined_row.",
)
def remove_polls_op(
    context: dg.OpExecutionContext, config: RemovePollsConfig, storemon: StoremonResource
) -> None:
    """Remove the polls of a store in a range."""
    with as_dagster_failure():
        poll_range = PollRange.model_validate(config.model_dump())
        database = storemon.database
    with database.data_transaction() as connection:
        removed = remove_polls(
            storemon.database.polls,
            connection,
            poll_range.store_id,
            poll_range.start,
            poll_range.end,
            removed_at=datetime.now(UTC),
            run_id=context.run_id,
        )
    text = (
        f"{poll_range.store_id} from {poll_range.start.isoformat()} "
        f"until {poll_range.end.isoformat()}"
    )
    if removed:
        context.log.info(
            "Moved %s of %s to quarantined_row. Also correct the file: ingesting it again restores "
            "them",
            pluralize(removed, "poll"),
            text,
        )
    else:
        context.log.warning("No polls of %s: nothing was removed", text)
    context.add_output_metadata({"polls_removed": removed})


@dg.job(
    description=(
        "Moves a store's polls in a time range to quarantined_row, e.g. after a wrong clock. "
        "Also correct their file: ingesting it again restores them."
    ),
    executor_def=dg.in_process_executor,
)
def remove_polls_job() -> None:
    """Remove the polls of a store in a range."""
    remove_polls_op()
