"""Databases on the PostgreSQL server of the tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from sqlalchemy import create_engine, make_url, text

from storemon_pipeline.settings import Settings

# no durability is needed on this server
UNSAFE_SETTINGS = ("fsync", "synchronous_commit", "full_page_writes")


def administer(server: str, *statements: str) -> None:
    """Run statements on a server, each outside a transaction."""
    engine = create_engine(Settings(database_url=server).database_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


@contextmanager
def new_database(server: str, *, template: str | None = None) -> Iterator[str]:
    """Create a PostgreSQL database, yield its URL, and drop it with all its connections.

    Parameters
    ----------
    server : str
        URL of any database of the server.
    template : str, optional
        URL of the database to copy, which must have no connections.
    """
    name = f"storemon_{uuid4().hex}"
    source = make_url(template).database if template else "template1"
    administer(server, f"CREATE DATABASE {name} TEMPLATE {source}")
    try:
        url = make_url(Settings(database_url=server).database_url)
        yield url.set(database=name).render_as_string(hide_password=False)
    finally:
        administer(server, f"DROP DATABASE {name} WITH (FORCE)")
