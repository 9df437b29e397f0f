"""Settings from the environment, and the errors for invalid values."""

import json
import os
import subprocess
import sys
from base64 import b64encode
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError
from sqlalchemy import make_url
from upath import UPath

from storemon_pipeline.settings import PROJECT_ROOT, Settings

VARIABLES = {name: f"STOREMON_{name.upper()}" for name in Settings.model_fields}
ONE, TWO, THREE, FOUR = (f"{name:0<16}" for name in ("one", "two", "three:3", "four"))
ALERT_SECRET = f"whsec_{b64encode(bytes(range(32))).decode()}"
POSTGRESQL = "postgresql+psycopg2://someone:so-secret@db.example:5433/storemon?sslmode=require"


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Return an environment without the project's variables."""
    for name in VARIABLES.values():
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def error_of(environment: pytest.MonkeyPatch, variable: str, value: str) -> str:
    """Return the error message for a value."""
    environment.setenv(variable, value)
    with pytest.raises(ValidationError) as error:
        Settings()
    return str(error.value)


def tokens_of(settings: Settings) -> dict[str, str]:
    """Map each token to its scope."""
    return {token.get_secret_value(): scope for token, scope in settings.api_tokens.items()}


@pytest.mark.parametrize("empty", [False, True])
def test_unset_or_empty_variables_give_the_defaults(environment, empty):
    if empty:
        for name in VARIABLES.values():
            environment.setenv(name, "")
    settings = Settings()
    assert settings.data_dir == PROJECT_ROOT / "data"
    assert settings.database_url == f"sqlite:///{PROJECT_ROOT}/.storemon/storemon.db"
    assert settings.reports_path == UPath(str(PROJECT_ROOT / "reports"))
    assert settings.max_bad_share == 0.05
    assert settings.min_snapshot_share == 0.5
    assert settings.max_expansion == 200
    assert settings.target_pct == 99
    assert settings.no_data_after == timedelta(minutes=180)
    assert settings.keep_polls_days is None
    assert settings.keep_quarantined_days is None
    assert settings.keep_reports_days is None
    assert settings.alert_webhook_url is settings.alert_secret is None
    assert settings.alert_after_minutes == 60
    assert (settings.api_host, settings.api_port) == ("127.0.0.1", 8000)
    assert (settings.ui_port, settings.dagster_url) == (3000, "http://127.0.0.1:3000")
    assert settings.ui_url is None
    assert settings.api_tokens == {}
    assert settings.allowed_hosts == settings.trusted_proxies == ()
    assert settings.max_queued_reports == 100


def test_each_data_directory_has_its_own_database(environment, tmp_path: Path):
    environment.setenv("STOREMON_DATA_DIR", str(tmp_path / "raw"))
    url = Settings().database_url
    assert url == Settings().database_url
    assert url.startswith(f"sqlite:///{PROJECT_ROOT}/.storemon/raw-")
    environment.setenv("STOREMON_DATA_DIR", str(tmp_path / "elsewhere" / "raw"))
    assert Settings().database_url != url


def test_every_setting_is_a_variable(environment, tmp_path: Path):
    environment.setenv("STOREMON_DATA_DIR", str(tmp_path / "raw"))
    environment.setenv("STOREMON_DATABASE_URL", f"sqlite:///{tmp_path}/tables.db")
    environment.setenv("STOREMON_REPORTS_DIR", str(tmp_path / "out"))
    environment.setenv("STOREMON_MAX_BAD_SHARE", "0.25")
    environment.setenv("STOREMON_MIN_SNAPSHOT_SHARE", "0.75")
    environment.setenv("STOREMON_MAX_EXPANSION", "50")
    environment.setenv("STOREMON_TARGET_PCT", "99.9")
    environment.setenv("STOREMON_KEEP_POLLS_DAYS", "400")
    environment.setenv("STOREMON_KEEP_QUARANTINED_DAYS", "90")
    environment.setenv("STOREMON_KEEP_REPORTS_DAYS", "1")
    environment.setenv("STOREMON_UI_PORT", "3001")
    environment.setenv("STOREMON_DAGSTER_URL", "https://dagster.example")
    environment.setenv("STOREMON_UI_URL", "https://ui.example")
    environment.setenv("STOREMON_API_HOST", "0.0.0.0")
    environment.setenv("STOREMON_API_PORT", "8001")
    environment.setenv("STOREMON_API_TOKENS", "one-000000000000,read:two-000000000000")
    environment.setenv("STOREMON_ALLOWED_HOSTS", "api, Behind.example,")
    environment.setenv("STOREMON_TRUSTED_PROXIES", "127.0.0.1, 10.0.0.0/8,::1")
    environment.setenv("STOREMON_MAX_QUEUED_REPORTS", "7")
    settings = Settings()
    assert settings.data_dir == tmp_path / "raw"
    assert (settings.ui_port, settings.dagster_url) == (3001, "https://dagster.example")
    assert settings.ui_url == "https://ui.example"
    assert (settings.api_host, settings.api_port) == ("0.0.0.0", 8001)
    assert tokens_of(settings) == {"one-000000000000": "full", "two-000000000000": "read"}
    assert settings.allowed_hosts == ("api", "behind.example")
    proxies = [str(proxy) for proxy in settings.trusted_proxies]
    assert proxies == ["127.0.0.1/32", "10.0.0.0/8", "::1/128"]
    assert settings.max_queued_reports == 7
    assert settings.database_url == f"sqlite:///{tmp_path}/tables.db"
    assert settings.reports_path == UPath(str(tmp_path / "out"))
    assert settings.max_bad_share == 0.25
    assert settings.min_snapshot_share == 0.75
    assert settings.max_expansion == 50
    assert settings.target_pct == 99.9
    assert settings.keep_polls_days == 400
    assert settings.keep_quarantined_days == 90
    assert settings.keep_reports_days == 1


SHOW = """
import json
from storemon_pipeline.settings import Settings
s = Settings()
print(json.dumps([str(s.data_dir), s.database_url, s.reports_dir, str(s.reports_path)]))
"""


def test_relative_paths_are_relative_to_the_project(tmp_path: Path):
    own = {
        "STOREMON_DATA_DIR": "some/data",
        "STOREMON_DATABASE_URL": "sqlite:///some/tables.db",
        "STOREMON_REPORTS_DIR": "some/reports",
    }
    result = subprocess.run(
        [sys.executable, "-c", SHOW],
        cwd=tmp_path,
        env=os.environ | own,
        check=True,
        capture_output=True,
    )
    root = Path(__file__).parents[1]
    assert json.loads(result.stdout) == [
        str(root / "some/data"),
        f"sqlite:///{root}/some/tables.db",
        str(root / "some/reports"),
        str(root / "some/reports"),
    ]


def test_a_tilde_is_the_home_directory(environment, tmp_path: Path):
    environment.setenv("HOME", str(tmp_path))
    environment.setenv("STOREMON_DATA_DIR", "~/data")
    environment.setenv("STOREMON_REPORTS_DIR", "~/reports")
    assert Settings().data_dir == tmp_path / "data"
    assert Settings().reports_dir == str(tmp_path / "reports")


def test_reports_dir_may_be_any_fsspec_path(environment):
    environment.setenv("STOREMON_REPORTS_DIR", "memory://bucket/reports")
    assert Settings().reports_dir == "memory://bucket/reports"
    assert Settings().reports_path.protocol == "memory"


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg2", "postgres"])
def test_a_postgresql_database_has_three_schemes(environment, scheme):
    environment.setenv("STOREMON_DATABASE_URL", POSTGRESQL.replace("postgresql+psycopg2", scheme))
    assert Settings().database_url == POSTGRESQL


def test_password_with_special_characters_is_preserved(environment):
    url = "postgresql://some%40one:p%40ss%2Fw%3Ard%25@db.example/storemon"
    environment.setenv("STOREMON_DATABASE_URL", url)
    expected = url.replace("postgresql", "postgresql+psycopg2")
    assert make_url(Settings().database_url) == make_url(expected)


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///:memory:", "sqlite:///", "sqlite+pysqlite://"]
)
def test_a_sqlite_database_in_memory_is_rejected(environment, url):
    message = error_of(environment, "STOREMON_DATABASE_URL", url)
    assert "STOREMON_DATABASE_URL" in message
    assert "an in-memory SQLite database cannot be shared" in message


@pytest.mark.parametrize(
    "url",
    [
        "mysql://someone:so-secret@db.example/storemon",
        "postgresql+asyncpg://someone:so-secret@db.example/storemon",
        "someone:so-secret@db.example",
        "postgresql://someone:so-secret@db.example:port/storemon",
        "no url at all",
    ],
)
def test_unsupported_database_is_rejected_without_password(environment, url):
    message = error_of(environment, "STOREMON_DATABASE_URL", url)
    assert "STOREMON_DATABASE_URL" in message
    assert "postgresql://" in message
    assert "sqlite:///" in message
    assert "so-secret" not in message


@pytest.mark.parametrize("name", ["max_bad_share", "min_snapshot_share"])
@pytest.mark.parametrize("share", ["-0.01", "1.01", "5%", "nan", "inf", "many"])
def test_share_out_of_range_is_rejected_with_its_variable(environment, name, share):
    assert VARIABLES[name] in error_of(environment, VARIABLES[name], share)


@pytest.mark.parametrize("name", ["max_bad_share", "min_snapshot_share"])
@pytest.mark.parametrize("share", ["0", "1", "0.5", "1e-3"])
def test_a_share_from_0_to_1_is_accepted(environment, name, share):
    environment.setenv(VARIABLES[name], share)
    assert getattr(Settings(), name) == float(share)


@pytest.mark.parametrize("what", ["POLLS", "QUARANTINED", "REPORTS"])
@pytest.mark.parametrize("days", ["0", "-1", "1.5", "a month", "100001"])
def test_invalid_retention_days_are_rejected(environment, what, days):
    variable = f"STOREMON_KEEP_{what}_DAYS"
    assert variable in error_of(environment, variable, days)


def test_the_password_of_the_database_is_not_shown(environment):
    environment.setenv("STOREMON_DATABASE_URL", POSTGRESQL)
    settings = Settings()
    assert "so-secret" in settings.database_url
    assert "so-secret" not in repr(settings)
    assert "so-secret" not in str(settings)


def test_settings_are_immutable(environment):
    with pytest.raises(ValidationError):
        Settings().max_bad_share = 1


def test_tokens_are_comma_separated_with_optional_scope(environment):
    environment.setenv("STOREMON_API_TOKENS", f" {ONE} , read:{TWO},, full:{THREE},read: {FOUR},")
    assert tokens_of(Settings()) == {
        ONE: "full",
        TWO: "read",
        THREE: "full",
        FOUR: "read",
    }


@pytest.mark.parametrize(
    "tokens", ["fives", f"{ONE},read:so-secret-15-xx", "read:full-or-not"[:15]]
)
def test_token_shorter_than_16_characters_is_rejected(environment, tokens):
    message = error_of(environment, "STOREMON_API_TOKENS", tokens.replace("-xx", ""))
    assert "STOREMON_API_TOKENS" in message
    assert "16 characters" in message
    assert "so-secret" not in message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ALLOWED_HOSTS", "*.example"),
        ("ALLOWED_HOSTS", "https://a.example"),
        ("ALLOWED_HOSTS", "a.example:8000"),
        ("TRUSTED_PROXIES", "*"),
        ("TRUSTED_PROXIES", "nginx"),
        ("TRUSTED_PROXIES", "10.0.0.1/8"),
    ],
)
def test_invalid_host_or_proxy_is_rejected(environment, name, value):
    assert f"STOREMON_{name}" in error_of(environment, f"STOREMON_{name}", value)


@pytest.mark.parametrize(
    "tokens", ["read:", "so-secret-0000000,full:", "so-secret-0000000,read: ,other"]
)
def test_empty_token_is_rejected(environment, tokens):
    message = error_of(environment, "STOREMON_API_TOKENS", tokens)
    assert "STOREMON_API_TOKENS" in message
    assert "so-secret" not in message


def test_tokens_are_not_shown(environment):
    environment.setenv("STOREMON_API_TOKENS", "so-secret-0000000")
    assert "so-secret" not in repr(Settings())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WEBHOOK_URL", "so-secret.example/hook"),
        ("WEBHOOK_URL", "ftp://so-secret.example/hook"),
        ("WEBHOOK_URL", "https:// so-secret"),
        ("SECRET", "so-secret"),
        ("SECRET", "so-secret-of-more-than-24-characters"),
        ("SECRET", "whsec_so-secret-of-more-than-24-characters"),
        ("SECRET", "whsec_c28tc2VjcmV0LW9mLTE5LWJ5dA=="),
        ("AFTER_MINUTES", "-1"),
        ("AFTER_MINUTES", "an hour"),
    ],
)
def test_invalid_alert_setting_is_rejected(environment, name, value):
    message = error_of(environment, f"STOREMON_ALERT_{name}", value)
    assert f"STOREMON_ALERT_{name}" in message
    assert "so-secret" not in message


def test_webhook_url_and_secret_are_not_shown(environment):
    environment.setenv("STOREMON_ALERT_WEBHOOK_URL", "https://hooks.example/so-secret")
    environment.setenv("STOREMON_ALERT_SECRET", ALERT_SECRET)
    settings = Settings()
    assert settings.alert_secret.get_secret_value() == ALERT_SECRET
    assert "so-secret" not in repr(settings) + str(settings.model_dump())
    assert ALERT_SECRET not in repr(settings) + str(settings.model_dump())


@pytest.mark.parametrize("name", ["UI_PORT", "API_PORT", "MAX_QUEUED_REPORTS", "DAGSTER_URL"])
@pytest.mark.parametrize("value", ["0", "-1", "many", "65536.5"])
def test_invalid_port_number_or_url_is_rejected(environment, name, value):
    assert f"STOREMON_{name}" in error_of(environment, f"STOREMON_{name}", value)


def test_api_url_follows_the_api_port(environment):
    environment.setenv("STOREMON_API_PORT", "8123")
    assert Settings().api_url == "http://127.0.0.1:8123"
    environment.setenv("STOREMON_API_URL", "https://storemon.example/here/")
    assert Settings().api_url == "https://storemon.example/here"


def test_api_url_with_password_is_rejected(environment):
    message = error_of(environment, "STOREMON_API_URL", "https://me:so-secret@storemon.example")
    assert "must not contain a user name or password" in message
    assert "so-secret" not in message


def test_dagster_url_follows_the_ui_port(environment):
    environment.setenv("STOREMON_UI_PORT", "3123")
    assert Settings().dagster_url == "http://127.0.0.1:3123"


@pytest.mark.parametrize("name", ["DAGSTER_URL", "UI_URL", "API_URL"])
@pytest.mark.parametrize(
    "url",
    [
        "dagster.example",
        "ftp://me:so-secret@dagster.example",
        "http://",
        "http://:3000",
        "http://me:so-secret@dagster.example:port",
        "http://[",
        "http://dagster.example/?a=b",
        "http://dagster example",
    ],
)
def test_invalid_server_url_is_rejected(environment, name, url):
    message = error_of(environment, f"STOREMON_{name}", url)
    assert f"STOREMON_{name}" in message
    assert "http://host:port" in message
    assert "so-secret" not in message


def test_password_of_dagster_url_is_not_shown(environment):
    environment.setenv("STOREMON_DAGSTER_URL", "http://me:so-secret@dagster.example/path/")
    environment.setenv("STOREMON_UI_URL", "http://me:so-secret@ui.example")
    assert "so-secret" in Settings().dagster_url
    assert "so-secret" not in repr(Settings())
