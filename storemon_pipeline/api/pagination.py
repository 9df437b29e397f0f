"""Cursor pagination: opaque cursors, and the link to the next page.

A cursor is the sort key of the last item of a page, as JSON in base64url. Clients follow the
``next`` link and must not rely on the content of a cursor.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Generic, TypeVar
from urllib.parse import urlencode

from fastapi import Query
from pydantic import Field, TypeAdapter

from storemon_pipeline.api.problems import ErrorDetail, ProblemError

T = TypeVar("T")
Key = TypeVar("Key")

CursorQuery = Annotated[
    str | None,
    Query(
        max_length=300,
        pattern=r"^[A-Za-z0-9_-]+$",
        description="Opaque position of a page, as in the `next` link of the previous one.",
    ),
]
NextLink = Annotated[
    str | None,
    Field(
        description="Path and query of the next page; null on the last page.",
        examples=["/v1/stores?limit=100&cursor=IjE0ODE5NjY0OTg4MjAxNTg5Nzki"],
    ),
]


@dataclass(frozen=True)
class Page(Generic[T]):
    """A page of a list.

    Attributes
    ----------
    items : sequence
    next_cursor : str or None
        The cursor of the next page; None on the last page.
    """

    items: Sequence[T]
    next_cursor: str | None

    def next_link(self, path: str, query: Mapping[str, object]) -> str | None:
        """Return path and query of the next page; None on the last page.

        Parameters
        ----------
        path : str
        query : mapping
            Query parameters of this page without the cursor; those that are None are omitted.
        """
        if self.next_cursor is None:
            return None
        present = {name: value for name, value in query.items() if value is not None}
        return f"{path}?{urlencode(present | {'cursor': self.next_cursor})}"


@dataclass(frozen=True)
class Paginator(Generic[Key]):
    """Encodes and decodes the cursors of one list.

    Attributes
    ----------
    key_type : TypeAdapter
        The type of the sort key.

    Examples
    --------
    >>> paginator = Paginator(TypeAdapter(int))
    >>> page = paginator.page([5, 4, 3], 2, lambda item: item)
    >>> page.items, paginator.decode(page.next_cursor)
    ([5, 4], 4)
    >>> page.next_link("/v1/alerts", {"limit": 2, "store_id": None})
    '/v1/alerts?limit=2&cursor=NA'
    """

    key_type: TypeAdapter[Key]

    def encode(self, key: Key) -> str:
        """Return the cursor for a sort key."""
        return urlsafe_b64encode(self.key_type.dump_json(key)).decode().rstrip("=")

    def decode(self, cursor: str | None) -> Key | None:
        """Return the sort key of a cursor; None for the first page.

        Raises
        ------
        ProblemError
            422 if the cursor is invalid.
        """
        if cursor is None:
            return None
        try:
            key = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
            return self.key_type.validate_json(key, strict=True)
        except ValueError as error:
            message = "not a valid cursor: follow the `next` link of the previous page"
            raise ProblemError(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                f"query.cursor: {message}",
                errors=[ErrorDetail(where="query.cursor", message=message)],
            ) from error

    def page(self, items: Sequence[T], limit: int, key: Callable[[T], Key]) -> Page[T]:
        """Return a page of items.

        Parameters
        ----------
        items : sequence
            Up to ``limit + 1`` items; the additional one means that there is a next page.
        limit : int
        key : callable
            Returns the sort key of an item.
        """
        shown = items[:limit]
        has_next = len(items) > limit
        return Page(shown, self.encode(key(shown[-1])) if has_next else None)
