"""The Makefile's commands install what they need, and no more."""

import re
import subprocess
from pathlib import Path

import pytest

from storemon_pipeline_tests.helpers.runner import PROJECT


@pytest.mark.parametrize(
    ("command", "extras"),
    [
        ("report", []),
        ("sample", []),
        ("dev", ["server"]),
        ("install", ["dev"]),
        ("lint", ["dev"]),
        ("test", ["dev"]),
        ("test-fast", ["dev"]),
        ("bench", ["dev"]),
    ],
)
def test_command_installs_only_what_it_needs(
    command: str, extras: list[str], tmp_path: Path
) -> None:
    done = subprocess.run(
        ["make", "--dry-run", f"VENV={tmp_path}/venv", command],
        cwd=PROJECT,
        check=True,
        capture_output=True,
        text=True,
    )
    installs = re.findall(r"pip install .*--constraint constraints\.txt .*", done.stdout)
    installed = [re.search(r" '?\.(?:\[(\w+)\]')?$", line) for line in installs]
    assert [match and match[1] for match in installed] == [None, *extras]
