"""The job that removes polls which a corrected file cannot take back: polls only add up."""

from datetime import UTC, datetime
from typing import Any, Self

import dagster as dg
from pydantic import BaseModel, Field, model_validator

from storemon_pipeline.defs.errors import as_dagster_failure
from storemon_pipeline.defs.resources import StoremonResource
from storemon_pipeline.storage.removal import remove_polls
from storemon_pipeline.uptime.report_request import Instant, StoreId


class RemovePollsConfig(dg.Config):
    """Which polls to remove."""

    # of anything, so that a number is refused with the remedy (quotes), which Dagster cannot name
    store_id: Any = Field(description="The store, in quotes.")
    start: str = Field(description="The first instant to remove, such as 2023-01-25T18:00:00Z.")
    end: str = Field(description="The instant from which polls are kept again.")


class PollRange(BaseModel):
    """The polls of a store in ``[start, end)``."""

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
    description="Moves a store's polls from start to before end to quarantined_row.",
)
def remove_polls_op(
    context: dg.OpExecutionContext, config: RemovePollsConfig, storemon: StoremonResource
) -> None:
    """Remove the polls of a store in a range."""
    with as_dagster_failure():
        wanted = PollRange.model_validate(config.model_dump())
        database = storemon.database
    with database.data_transaction() as connection:
        removed = remove_polls(
            connection,
            wanted.store_id,
            wanted.start,
            wanted.end,
            removed_at=datetime.now(UTC),
            run_id=context.run_id,
        )
    which = f"{wanted.store_id} from {wanted.start.isoformat()} to before {wanted.end.isoformat()}"
    if removed:
        context.log.info(
            "Removed %s of %s, and kept in quarantined_row. Correct the file as well: when it is "
            "read again, it brings back what it still has",
            "1 poll" if removed == 1 else f"{removed:,} polls",
            which,
        )
    else:
        context.log.warning("There is no poll of %s: nothing was removed", which)
    context.add_output_metadata({"polls_removed": removed})


@dg.job(
    description=(
        "Removes a store's polls in a range of time, such as those of a clock that was wrong. They "
        "are kept in quarantined_row. Correct their file as well, or it brings them back."
    ),
    executor_def=dg.in_process_executor,
)
def remove_polls_job() -> None:
    """Remove polls."""
    remove_polls_op()
