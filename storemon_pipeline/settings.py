"""What the environment decides: every ``STOREMON_*`` variable, in one place.

Dagster, the scripts and the tests read their settings here and nowhere else. What a single report
is asked for is not a setting but run config (:mod:`storemon_pipeline.uptime.report_request`).
"""

from __future__ import annotations

import binascii
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
"""What relative paths are relative to: the checkout; for an installed package, where it runs."""


DATA_DIR = Path("data")
DEFAULT_DATABASE = Path(".storemon/storemon.db")
"""The defaults, relative to :data:`PROJECT_ROOT`: the sample, and the tables made from it."""


def _absolute(path: Path) -> Path:
    return PROJECT_ROOT / path.expanduser()


def _absolute_unless_remote(path: str) -> str:
    return path if "://" in path else str(_absolute(Path(path)))


def _database_url(text: str) -> str:
    """Name the driver that is installed, and make a SQLite file's path absolute."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError) as error:
        msg = "it is not the URL of a database: use postgresql://… or sqlite:///…"
        raise ValueError(msg) from error
    if url.drivername in {"postgresql", "postgres"}:
        url = url.set(drivername="postgresql+psycopg2")
    if url.get_backend_name() == "sqlite":
        if not url.database or url.database == ":memory:":
            msg = "a SQLite database must be a file: each step of a run opens it anew"
            raise ValueError(msg)
        url = URL.create("sqlite", database=str(_absolute(Path(url.database))))
    elif url.drivername != "postgresql+psycopg2":
        msg = f"{url.drivername} is not supported: use postgresql:// or sqlite:///"
        raise ValueError(msg)
    return url.render_as_string(hide_password=False)


def _default_database_url(values: dict[str, Any]) -> str:
    """A SQLite file for each data directory, so that two sets of data never mix."""
    data_dir = values.get("data_dir", PROJECT_ROOT / DATA_DIR)
    if data_dir == PROJECT_ROOT / DATA_DIR:
        return f"sqlite:///{DEFAULT_DATABASE}"
    return f"sqlite:///.storemon/{_name_of(data_dir)}.db"


def _name_of(data_dir: Path) -> str:
    """A name for what belongs to a data directory, different for each."""
    digest = sha256(str(data_dir).encode()).hexdigest()[:8]
    return f"{data_dir.name}-{digest}"


_ALERT_KEY_BYTES = range(24, 65)  # by the Standard Webhooks specification

SHORTEST_TOKEN = 16
"""Characters of the shortest API token: a shorter one can be guessed."""

RetentionDays = Annotated[int, Field(ge=1, le=100_000)] | None
"""A number of days that the calendar has; None where there is no end to it."""


def _tokens(value: object) -> object:
    """Read a list as people write it: by commas, ``read:`` before those that may only read."""
    if not isinstance(value, str):
        return value
    scopes: dict[str, str] = {}
    for part in filter(None, map(str.strip, value.split(","))):
        scope = "read" if part.startswith("read:") else "full"
        token = part.removeprefix(f"{scope}:").strip()
        if not token:  # it would let in whoever sends none
            msg = f"there is no token after {scope}:"
            raise ValueError(msg)
        if len(token) < SHORTEST_TOKEN:
            msg = (
                f"a token has {SHORTEST_TOKEN} characters at least, and one has {len(token)}: "
                "openssl rand -hex 32 makes one"
            )
            raise ValueError(msg)
        scopes[token] = scope
    return scopes


def _comma_separated(value: object) -> object:
    return (
        [each.strip() for each in value.split(",") if each.strip()]
        if isinstance(value, str)
        else value
    )


def _host_name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", text):
        msg = f"{quote_value(text)} is not a host name: use a name without scheme, port or wildcard"
        raise ValueError(msg)
    return text.lower()


HostName = Annotated[str, AfterValidator(_host_name)]
"""A name of a host, in lower case."""


def _validate_webhook_url(address: SecretStr) -> SecretStr:
    if not re.match(r"https?://[^/\s]", address.get_secret_value()):
        msg = "it is not the address of a webhook: use https://…"
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
            "it must be whsec_ and the base64 of 24 to 64 random bytes; create one with "
            'echo "whsec_$(openssl rand -base64 32)"'
        )
        raise ValueError(msg)
    return secret


def _web_url(text: str) -> str:
    """Refuse what is no address of a web server, before anything is asked there."""
    try:
        url = urlsplit(text)
        is_one = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:  # such as a port that is none
        is_one = False
    if not is_one or url.query or url.fragment or any(map(str.isspace, text)):
        msg = "it is not the address of a web server: use http://host:port or https://host"
        raise ValueError(msg)
    return text


ServerUrl = Annotated[str, AfterValidator(_web_url)]
"""Where a web server is; there may be a name and a password in it."""


def _validate_public_url(url: str) -> str:
    if urlsplit(url).username is not None:
        msg = "it is shown to people: leave the name and the password out"
        raise ValueError(msg)
    return url.rstrip("/")


PublicUrl = Annotated[ServerUrl, AfterValidator(_validate_public_url)]
"""Where people are led to."""

Port = Annotated[int, Field(ge=1, le=65_535)]
TokenScope = Literal["read", "full"]


class Settings(BaseSettings):
    """The project's settings, read from the environment when it is made.

    Raises
    ------
    pydantic.ValidationError
        Where a variable has a value that is not accepted; the message names it.
    """

    model_config = SettingsConfigDict(
        # so that an error names the variable, and not the value, which may have a password in it
        alias_generator=AliasGenerator(validation_alias=lambda name: f"STOREMON_{name.upper()}"),
        populate_by_name=True,
        hide_input_in_errors=True,
        env_ignore_empty=True,
        frozen=True,
    )

    data_dir: Annotated[Path, AfterValidator(_absolute)] = Field(
        default=DATA_DIR,
        validate_default=True,
        description="The directory of the raw CSV files.",
    )
    database_url: Annotated[str, AfterValidator(_database_url)] = Field(
        default_factory=_default_database_url,
        validate_default=True,
        repr=False,
        description=(
            "Where the tables are: postgresql://user:password@host/name or sqlite:///file. Not "
            "set: a SQLite file under .storemon/, another for each data directory."
        ),
    )
    reports_dir: Annotated[str, AfterValidator(_absolute_unless_remote)] = Field(
        default="reports",
        validate_default=True,
        description="Where reports are written: a directory, or any path that fsspec knows.",
    )
    max_bad_share: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="A file with a larger share of bad rows than this is refused whole.",
    )
    min_snapshot_share: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description=(
            "A snapshot with a smaller share than this of the polled stores of the one before is "
            "refused, and one without a row. 0 accepts any."
        ),
    )
    max_expansion: int = Field(
        default=200,
        ge=1,
        le=100_000,
        description=(
            "A compressed file with more than this many times its size unpacked is refused; up to "
            "64 MiB it never is."
        ),
    )

    target_pct: float = Field(
        default=99.0,
        ge=0,
        le=100,
        description=(
            "The uptime that a store is to have, in percent, where service_levels.csv says nothing."
        ),
    )
    no_data_after_minutes: int = Field(
        default=180,
        ge=1,
        le=100_000,
        description=(
            "How old a store's newest poll in its open time may be, in minutes, to say whether "
            "it is up or down now. Older: no data."
        ),
    )
    keep_polls_days: RetentionDays = Field(
        default=None,
        description=(
            "For how many days polls are kept, by whole months: a month is dropped once all of it "
            "is older. Not set: for ever."
        ),
    )
    keep_quarantined_days: RetentionDays = Field(
        default=None,
        description="For how many days bad rows are kept in quarantined_row. Not set: for ever.",
    )
    keep_reports_days: RetentionDays = Field(
        default=None,
        description=(
            "For how many days reports are kept with their files, and Dagster's runs. Not set: for "
            "ever."
        ),
    )

    alert_webhook_url: Annotated[SecretStr, AfterValidator(_validate_webhook_url)] | None = Field(
        default=None,
        repr=False,
        description="Where alerts are sent, by POST. Not set: there are none.",
    )
    alert_secret: Annotated[SecretStr, AfterValidator(_validate_alert_secret)] | None = Field(
        default=None,
        repr=False,
        description=(
            "The secret that signs alerts: whsec_ and the base64 of 24 to 64 random bytes. "
            "Required with a webhook."
        ),
    )
    alert_after_minutes: int = Field(
        default=60,
        ge=0,
        le=100_000,
        description="For how many minutes of its open time a store is down before an alert.",
    )

    ui_port: Port = Field(default=3000, description="The port of Dagster's UI in `make dev`.")
    dagster_url: ServerUrl = Field(
        default_factory=lambda values: f"http://127.0.0.1:{values.get('ui_port', 3000)}",
        validate_default=True,
        repr=False,
        description=(
            "Where the API reaches Dagster's webserver. Not set: on this machine, at "
            "STOREMON_UI_PORT."
        ),
    )
    ui_url: ServerUrl | None = Field(
        default=None,
        repr=False,
        description=(
            "Where people reach Dagster's UI, for links. Not set: where the API reaches its "
            "webserver, STOREMON_DAGSTER_URL."
        ),
    )
    api_host: str = Field(
        default="127.0.0.1",
        description=(
            "The address that the API listens on; any that others can reach needs "
            "STOREMON_API_TOKENS."
        ),
    )
    api_port: Port = Field(default=8000, description="The port of the API.")
    api_url: PublicUrl = Field(
        default_factory=lambda values: f"http://127.0.0.1:{values.get('api_port', 8000)}",
        validate_default=True,
        description=(
            "Where people reach the API, for the links in Dagster's UI to the pages of reports. "
            "Not set: on this machine, at STOREMON_API_PORT."
        ),
    )
    api_tokens: Annotated[dict[SecretStr, TokenScope], NoDecode, BeforeValidator(_tokens)] = Field(
        default={},
        repr=False,
        description=(
            "Bearer tokens for the API, separated by commas; `read:` before a token lets it only "
            "read. Not set: no token is asked for."
        ),
    )
    allowed_hosts: Annotated[tuple[HostName, ...], NoDecode, BeforeValidator(_comma_separated)] = (
        Field(
            default=(),
            description=(
                "Host names that the API answers for, separated by commas, beside localhost, IP "
                "addresses, STOREMON_API_HOST and the host of STOREMON_API_URL."
            ),
        )
    )
    trusted_proxies: Annotated[
        tuple[IPv4Network | IPv6Network, ...], NoDecode, BeforeValidator(_comma_separated)
    ] = Field(
        default=(),
        description=(
            "Addresses or networks of reverse proxies, separated by commas, whose X-Forwarded-For "
            "and X-Forwarded-Proto are believed. Not set: no proxy's."
        ),
    )
    max_queued_reports: int = Field(
        default=100,
        ge=1,
        description="How many reports may be queued before the API refuses more for a while.",
    )

    @property
    def no_data_after(self) -> timedelta:
        """``no_data_after_minutes`` as a length of time."""
        return timedelta(minutes=self.no_data_after_minutes)

    @property
    def reports_path(self) -> UPath:
        """``reports_dir`` as a path to work with."""
        return UPath(self.reports_dir)

    @property
    def latest_report_path(self) -> UPath:
        """Where the newest standard report is published, one file for each data directory.

        ``report.csv`` in ``reports_dir``; where only the data directory is set, in a directory of
        its own within, so that two data directories never replace each other's.
        """
        is_shared = "reports_dir" not in self.model_fields_set
        if is_shared and self.data_dir != PROJECT_ROOT / DATA_DIR:
            return self.reports_path / _name_of(self.data_dir) / "report.csv"
        return self.reports_path / "report.csv"
