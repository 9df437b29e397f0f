"""Coverage of child processes, measured only where they run code that no other test covers.

Measuring makes the start of a process 50 % slower, and most child processes run code that
other tests cover.
"""

import os

_VARIABLE = "COVERAGE_PROCESS_CONFIG"
_withheld: dict[str, str] = {}


def withhold() -> None:
    """Remove coverage's configuration from the environment that processes inherit."""
    if _VARIABLE in os.environ:
        _withheld[_VARIABLE] = os.environ.pop(_VARIABLE)


def measured() -> dict[str, str]:
    """Return the environment variables that enable coverage in a child process, if any."""
    return dict(_withheld)
