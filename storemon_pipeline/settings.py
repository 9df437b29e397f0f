"""Settings: every ``STOREMON_*`` environment variable.

The options of a single report are run config (:mod:`storemon_pipeline.uptime.report_request`).
"""

from __future__ import annotations

import binascii
import os
import re
from base64 import b64decode
from datetime import timedelta
from hashlib import sha256
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    AliasGenerator,
    BeforeValidator,
    Field,
    SecretStr,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError
from upath import UPath

from storemon_pipeline.uptime.messages import quote_value

_CHECKOUT = Path(__file__).resolve().parents[1]

PROJECT_ROOT = _CHECKOUT if (_CHECKOUT / "pyproject.toml").exists() else Path.cwd()
"""Base of relative paths: the checkout, or the working directory of an installed package."""


DATA_DIR = Path("data")
DEFAULT_DATABASE = Path(".storemon/storemon.db")
"""Defaults, relative to :data:`PROJECT_ROOT`."""


def _absolute(path: Path) -> Path:
    return PROJECT_ROOT / path.expanduser()


def _absolute_unless_remote(path: str) -> str:
    return path if "://" in path else str(_absolute(Path(path)))


def _database_url(text: str) -> str:
    """Set the installed driver, and make the path of a SQLite file absolute."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError) as error:
        msg = "not a valid database URL: use postgresql://… or sqlite:///…"
        raise ValueError(msg) from error
    if url.drivername in {"postgresql", "postgres"}:
        url = url.set(drivername="postgresql+psycopg2")
    if url.get_backend_name() == "sqlite":
        if not url.database or url.database == ":memory:":
            msg = "an in-memory SQLite database cannot be shared by several processes: name a file"
            raise ValueError(msg)
        url = URL.create("sqlite", database=str(_absolute(Path(url.database))))
    elif url.drivername != "postgresql+psycopg2":
        msg = f"{url.drivername} is not supported: use postgresql:// or sqlite:///"
        raise ValueError(msg)
    return url.render_as_string(hide_password=False)


def _default_database_url(values: dict[str, Any]) -> str:
    """Return a SQLite file per data directory, so that two data sets never mix."""
    data_dir = values.get("data_dir", PROJECT_ROOT / DATA_DIR)
    if data_dir == PROJECT_ROOT / DATA_DIR:
        return f"sqlite:///{DEFAULT_DATABASE}"
    return f"sqlite:///.storemon/{_name_of(data_dir)}.db"


def _name_of(data_dir: Path) -> str:
    """Return a unique name for the files of a data directory."""
    digest = sha256(str(data_dir).encode()).hexdigest()[:8]
    return f"{data_dir.name}-{digest}"


_ALERT_KEY_BYTES = range(24, 65)  # by the Standard Webhooks specification

MIN_TOKEN_LENGTH = 16
"""Minimum characters of an API token; a shorter one can be guessed."""

RetentionDays = Annotated[int, Field(ge=1, le=100_000)] | None
"""Retention in days; None: unlimited."""


def _tokens(value: object) -> object:
    """Parse a comma-separated list of tokens, with ``read:`` before read-only ones."""
    if not isinstance(value, str):
        return value
    scopes: dict[str, str] = {}
    for part in filter(None, map(str.strip, value.split(","))):
        scope = "read" if part.startswith("read:") else "full"
        token = part.removeprefix(f"{scope}:").strip()
        if not token:  # it would match requests without a token
            msg = f"the token after {scope}: is missing"
            raise ValueError(msg)
        if len(token) < MIN_TOKEN_LENGTH:
            msg = (
                f"a token must have at least {MIN_TOKEN_LENGTH} characters, not {len(token)}: "
                "generate one with openssl rand -hex 32"
            )
            raise ValueError(msg)
        scopes[token] = scope
    return scopes


def _comma_separated(value: object) -> object:
    return (
        [item.strip() for item in value.split(",") if item.strip()]
        if isinstance(value, str)
        else value
    )


def _host_name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", text):
        msg = (
            f"{quote_value(text)} is not a valid host name: use a name without scheme, port or "
            "wildcard"
        )
        raise ValueError(msg)
    return text.lower()


HostName = Annotated[str, AfterValidator(_host_name)]
"""A host name, in lower case."""


def _validate_webhook_url(address: SecretStr) -> SecretStr:
    if not re.match(r"https?://[^/\s]", address.get_secret_value()):
        msg = "not a valid webhook URL: use https://…"
        raise ValueError(msg)
    return address


def _validate_alert_secret(secret: SecretStr) -> SecretStr:
    """Accept only what every Standard Webhooks library reads as the same key."""
    prefix, _, key = secret.get_secret_value().partition("_")
    try:
        is_valid = prefix == "whsec" and len(b64decode(key, validate=True)) in _ALERT_KEY_BYTES
    except binascii.Error:
        is_valid = False
    if not is_valid:
        msg = (
            "must be whsec_ followed by 24 to 64 random bytes in base64: generate one with "
            'echo "whsec_$(openssl rand -base64 32)"'
        )
        raise ValueError(msg)
    return secret


def _validate_server_url(text: str) -> str:
    """Accept only the base URL of a web server."""
    try:
        url = urlsplit(text)
        is_valid = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:  # such as an invalid port
        is_valid = False
    if not is_valid or url.query or url.fragment or any(map(str.isspace, text)):
        msg = "not a valid server URL: use http://host:port or https://host"
        raise ValueError(msg)
    return text


ServerUrl = Annotated[str, AfterValidator(_validate_server_url)]
"""Base URL of a web server; may contain a user name and a password."""


def _validate_public_url(url: str) -> str:
    if urlsplit(url).username is not None:
        msg = "must not contain a user name or password, since pages show it: remove them"
        raise ValueError(msg)
    return url.rstrip("/")


PublicUrl = Annotated[ServerUrl, AfterValidator(_validate_public_url)]
"""Base URL of links, without user name and password."""

Port = Annotated[int, Field(ge=1, le=65_535)]
TokenScope = Literal["read", "full"]


class Settings(BaseSettings):
    """The project's settings, read from the environment on instantiation.

    Raises
    ------
    pydantic.ValidationError
        If a variable is not valid; the message names it.
    """

    model_config = SettingsConfigDict(
        # so that an error names the variable, but not the value, which may contain a password
        alias_generator=AliasGenerator(validation_alias=lambda name: f"STOREMON_{name.upper()}"),
        populate_by_name=True,
        hide_input_in_errors=True,
        env_ignore_empty=True,
        frozen=True,
    )

    data_dir: Annotated[Path, AfterValidator(_absolute)] = Field(
        default=DATA_DIR,
        validate_default=True,
        description="Directory of the raw CSV files.",
    )
    database_url: Annotated[str, AfterValidator(_database_url)] = Field(
        default_factory=_default_database_url,
        validate_default=True,
        repr=False,
        description=(
            "Database URL: postgresql://user:password@host/name or sqlite:///file. Not set: a "
            "SQLite file per data directory, under .storemon/."
        ),
    )
    polls_url: Annotated[str, AfterValidator(_absolute_unless_remote)] | None = Field(
        default=None,
        repr=False,
        description=(
            "Directory of the polls as Parquet files, or any path that fsspec supports. Not set: "
            "polls are in the database, in the table store_status."
        ),
    )
    workers: Annotated[int, Field(ge=1, le=1024)] | None = Field(
        default=None,
        description=(
            "Number of processes that evaluate a report on this machine, each with about 0.5 GiB. "
            "Not set: the number of cores."
        ),
    )
    engine: Literal["local", "spark"] = Field(
        default="local",
        description=(
            "What evaluates the slices of a report: processes of this machine, or a Spark cluster, "
            "which requires STOREMON_POLLS_URL."
        ),
    )
    spark_url: str = Field(
        default="local[*]",
        description=(
            "Spark master, such as spark://host:7077, or sc://host:15002 for Spark Connect."
        ),
    )
    reports_dir: Annotated[str, AfterValidator(_absolute_unless_remote)] = Field(
        default="reports",
        validate_default=True,
        description="Directory of the reports, or any path that fsspec supports.",
    )
    max_bad_share: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="Maximum share of bad rows in a file; a file with more is rejected.",
    )
    min_snapshot_share: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description=(
            "Minimum share of the previous snapshot's polled stores in a new one; a snapshot with "
            "fewer, or without rows, is rejected. 0 accepts any."
        ),
    )
    max_expansion: int = Field(
        default=200,
        ge=1,
        le=100_000,
        description=(
            "Maximum ratio of uncompressed to compressed size of a file; files of up to 64 MiB "
            "uncompressed are always accepted."
        ),
    )

    target_pct: float = Field(
        default=99.0,
        ge=0,
        le=100,
        description=(
            "SLO target: the minimum uptime in percent, for stores without one in "
            "service_levels.csv."
        ),
    )
    no_data_after_minutes: int = Field(
        default=180,
        ge=1,
        le=100_000,
        description=(
            "Minutes after the latest poll in a store's open time for which its current status "
            "is up or down; after that it is no data."
        ),
    )
    keep_polls_days: RetentionDays = Field(
        default=None,
        description=(
            "Retention of polls in days, by whole months: a month is deleted once all of it is "
            "older. Not set: unlimited."
        ),
    )
    keep_quarantined_days: RetentionDays = Field(
        default=None,
        description="Retention of bad rows in quarantined_row, in days. Not set: unlimited.",
    )
    keep_reports_days: RetentionDays = Field(
        default=None,
        description=(
            "Retention of reports, their files and Dagster's runs, in days. Not set: unlimited."
        ),
    )

    alert_webhook_url: Annotated[SecretStr, AfterValidator(_validate_webhook_url)] | None = Field(
        default=None,
        repr=False,
        description="URL to which alerts are sent by POST. Not set: no alerts.",
    )
    alert_secret: Annotated[SecretStr, AfterValidator(_validate_alert_secret)] | None = Field(
        default=None,
        repr=False,
        description=(
            "The secret that signs alerts: whsec_ followed by 24 to 64 random bytes in "
            "base64. Required with a webhook."
        ),
    )
    alert_after_minutes: int = Field(
        default=60,
        ge=0,
        le=100_000,
        description="Minutes of open time for which a store must be down before an alert.",
    )

    ui_port: Port = Field(default=3000, description="Port of Dagster's UI in `make dev`.")
    dagster_url: ServerUrl = Field(
        default_factory=lambda values: f"http://127.0.0.1:{values.get('ui_port', 3000)}",
        validate_default=True,
        repr=False,
        description=(
            "URL at which the API reaches Dagster's webserver. Not set: this machine, at "
            "STOREMON_UI_PORT."
        ),
    )
    ui_url: ServerUrl | None = Field(
        default=None,
        repr=False,
        description=("Public URL of Dagster's UI, for links. Not set: STOREMON_DAGSTER_URL."),
    )
    api_host: str = Field(
        default="127.0.0.1",
        description=(
            "Address that the API listens on; any but a loopback address requires "
            "STOREMON_API_TOKENS."
        ),
    )
    api_port: Port = Field(default=8000, description="Port of the API.")
    api_url: PublicUrl = Field(
        default_factory=lambda values: f"http://127.0.0.1:{values.get('api_port', 8000)}",
        validate_default=True,
        description=(
            "Public URL of the API, for links from Dagster's UI to the pages of reports. Not set: "
            "this machine, at STOREMON_API_PORT."
        ),
    )
    api_tokens: Annotated[dict[SecretStr, TokenScope], NoDecode, BeforeValidator(_tokens)] = Field(
        default={},
        repr=False,
        description=(
            "Comma-separated bearer tokens of the API; `read:` before a token makes it read-only. "
            "Not set: no token is required."
        ),
    )
    allowed_hosts: Annotated[tuple[HostName, ...], NoDecode, BeforeValidator(_comma_separated)] = (
        Field(
            default=(),
            description=(
                "Comma-separated host names that the API accepts, in addition to localhost, IP "
                "addresses, STOREMON_API_HOST and the host of STOREMON_API_URL."
            ),
        )
    )
    trusted_proxies: Annotated[
        tuple[IPv4Network | IPv6Network, ...], NoDecode, BeforeValidator(_comma_separated)
    ] = Field(
        default=(),
        description=(
            "Comma-separated addresses or networks of reverse proxies whose X-Forwarded-For and "
            "X-Forwarded-Proto headers are trusted. Not set: none."
        ),
    )
    max_queued_reports: int = Field(
        default=100,
        ge=1,
        description="Maximum number of queued reports; the API rejects more until some have run.",
    )

    @property
    def no_data_after(self) -> timedelta:
        """``no_data_after_minutes`` as a timedelta."""
        return timedelta(minutes=self.no_data_after_minutes)

    @property
    def worker_count(self) -> int:
        """``workers``, or the number of cores that this process may use."""
        return self.workers or len(os.sched_getaffinity(0))

    @property
    def polls_path(self) -> UPath | None:
        """``polls_url`` as a path."""
        return None if self.polls_url is None else UPath(self.polls_url)

    @property
    def reports_path(self) -> UPath:
        """``reports_dir`` as a path."""
        return UPath(self.reports_dir)

    @property
    def latest_report_path(self) -> UPath:
        """Path of the latest standard report, one per data directory.

        ``report.csv`` in ``reports_dir``. If only the data directory is set, it is in a
        subdirectory, so that two data directories never overwrite each other's.
        """
        is_shared = "reports_dir" not in self.model_fields_set
        if is_shared and self.data_dir != PROJECT_ROOT / DATA_DIR:
            return self.reports_path / _name_of(self.data_dir) / "report.csv"
        return self.reports_path / "report.csv"
