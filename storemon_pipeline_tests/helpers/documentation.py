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
    """What stands under a heading of the second level, blocks included."""
    parts = re.split(r"^## (.+)$", page, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))[heading]


def tables(text: str) -> list[list[list[str]]]:
    """The tables of a text: their rows without the head, as cells."""
    found = re.findall(r"^\|.*\n\|[ |:-]+\n((?:\|.*\n)+)", text, flags=re.MULTILINE)
    return [
        [[cell.strip() for cell in row.strip("|").split("|")] for row in table.splitlines()]
        for table in found
    ]


def names(text: str) -> list[str]:
    """What stands in backticks."""
    return re.findall(r"`([^`\n]+)`", text)


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)


def shown_after(command: str, text: str) -> str:
    """The block, of output, that stands after the block of a command in a text."""
    _, after = text.split(f"{command}\n```\n")
    return re.findall(r"^```\w+\n(.*?)^```$", after, flags=re.MULTILINE | re.DOTALL)[0]


def is_as_shown(shown: str, told: str) -> bool:
    """Whether a text is the one that is shown, where it may have left something out."""
    pattern = re.escape(shown.strip()).replace("…", ".*?")
    return re.fullmatch(pattern, told.strip(), re.DOTALL) is not None


def anchors(page: str) -> set[str]:
    """The names by which GitHub lets one link to a page's headings."""
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings(page)
    }
