"""The pages of the documentation, as the tests read them."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
README = ROOT / "README.md"
EXAMPLES = DOCS / "examples"

_FENCE = re.compile(r"^```.*?^```\s*$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)


def pages() -> list[Path]:
    """README, changelog and every page of the guide."""
    return [README, ROOT / "CHANGELOG.md", *sorted(DOCS.glob("*.md"))]


def guide() -> str:
    """The text of all pages below docs/."""
    return "\n".join(page.read_text(encoding="utf-8") for page in sorted(DOCS.glob("*.md")))


def prose(page: Path) -> str:
    """A page without its code blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def links(page: Path) -> list[str]:
    """Where a page's links lead."""
    return _LINK.findall(prose(page))


def anchors(page: Path) -> set[str]:
    """The anchors that the headings of a page make, as mkdocs and code hosts name them."""
    return {
        re.sub(r"[\s]+", "-", re.sub(r"[^\w\s-]", "", heading.lower())).strip("-")
        for heading in _HEADING.findall(prose(page))
    }


def block_after(page: Path, marker: str) -> str:
    """The code block that follows an HTML comment of a page."""
    text = page.read_text(encoding="utf-8")
    _, found, rest = text.partition(f"<!-- {marker} -->\n```")
    assert found, f"{page.name} has no block after <!-- {marker} -->"
    return rest.partition("\n")[2].partition("\n```")[0] + "\n"


def table_rows(page: Path, section: str) -> dict[str, list[str]]:
    """The rows of the tables of one section, the first cell's code to the other cells."""
    _, found, rest = page.read_text(encoding="utf-8").partition(f"\n## {section}\n")
    assert found, f"{page.name} has no section {section}"
    rows = {}
    for line in rest.partition("\n## ")[0].splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        if line.startswith("| `"):
            rows[cells[0].strip("`")] = cells[1:]
    return rows
