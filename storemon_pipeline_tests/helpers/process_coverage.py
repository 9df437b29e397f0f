"""Coverage of child processes: measured in those that show what no test in this process does.

Measuring makes the start of a process half as slow again, and most of those that tests start run
code that other tests cover.
"""

import os

_VARIABLE = "COVERAGE_PROCESS_CONFIG"
_withheld: dict[str, str] = {}


def withhold() -> None:
    """Remove coverage's configuration from the environment that processes inherit."""
    if _VARIABLE in os.environ:
        _withheld[_VARIABLE] = os.environ.pop(_VARIABLE)


def measured() -> dict[str, str]:
    """Return the environment variables of a process that is to be measured, if this one is."""
    return dict(_withheld)
