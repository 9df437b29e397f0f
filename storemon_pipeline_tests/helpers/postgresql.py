"""PostgreSQL databases of the tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from sqlalchemy import create_engine, make_url, text

from storemon_pipeline.settings import Settings


@contextmanager
def new_database(postgresql_server: str) -> Iterator[str]:
    """Make a PostgreSQL database, give its URL, and drop it with whatever is connected to it."""
    server = make_url(Settings(database_url=postgresql_server).database_url)
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    name = f"storemon_{uuid4().hex}"
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    try:
        yield server.set(database=name).render_as_string(hide_password=False)
    finally:
        with engine.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        engine.dispose()
