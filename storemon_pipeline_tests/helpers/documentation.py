"""Sections, blocks, tables and anchors of the Markdown pages."""

from __future__ import annotations

import re

from storemon_pipeline_tests.helpers.runner import PROJECT

README = (PROJECT / "README.md").read_text()
CONTRIBUTING = (PROJECT / "CONTRIBUTING.md").read_text()
ALERTS, API, ARCHITECTURE, CONFIGURATION, OPERATIONS, REPORTS, RULES = (
    (PROJECT / "docs" / f"{name}.md").read_text()
    for name in (
        "alerts",
        "api",
        "architecture",
        "configuration",
        "operations",
        "reports",
        "rules",
    )
)
REFERENCE = (
    README + CONTRIBUTING + ALERTS + API + ARCHITECTURE + CONFIGURATION + REPORTS + OPERATIONS
)
"""All pages with commands and names, but for the guide, which has its own tests."""


def without_blocks(page: str) -> str:
    return re.sub(r"^```.*?^```$", "", page, flags=re.MULTILINE | re.DOTALL)


def headings(page: str) -> list[str]:
    return re.findall(r"^#+ (.+)$", without_blocks(page), flags=re.MULTILINE)


def section(page: str, heading: str) -> str:
    """Return the text under a heading of the second level, blocks included."""
    parts = re.split(r"^## (.+)$", page, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))[heading]


def tables(text: str) -> list[list[list[str]]]:
    """Return the tables of a text: their rows without the header, as cells."""
    matches = re.findall(r"^\|.*\n\|[ |:-]+\n((?:\|.*\n)+)", text, flags=re.MULTILINE)
    return [
        [[cell.strip() for cell in row.strip("|").split("|")] for row in table.splitlines()]
        for table in matches
    ]


def names(text: str) -> list[str]:
    """Return the code spans of a text."""
    return re.findall(r"`([^`\n]+)`", text)


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)


def shown_after(command: str, text: str) -> str:
    """Return the block of output after the block of a command."""
    _, after = text.split(f"{command}\n```\n")
    return re.findall(r"^```\w+\n(.*?)^```$", after, flags=re.MULTILINE | re.DOTALL)[0]


def is_as_shown(expected: str, text: str) -> bool:
    """Return whether a text is the documented one, in which … matches any text."""
    pattern = re.escape(expected.strip()).replace("…", ".*?")
    return re.fullmatch(pattern, text.strip(), re.DOTALL) is not None


def anchors(page: str) -> set[str]:
    """Return the anchors that GitHub derives from the headings of a page."""
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings(page)
    }
