"""Documents as pages: links and anchors lead somewhere, the index has every page, messages and citation are the code's."""

import re
import string
import unicodedata
from pathlib import Path

import pytest
import yaml

import flowatlas

ROOT = Path(__file__).parents[1]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "data").rglob("README.md")]
FENCED = re.compile(r"```.*?```", re.DOTALL)
CITATION_FIELDS = {"cff-version", "message", "title", "authors"}  # what the format 1.2.0 requires
CITATION_OTHERS = {"type", "abstract", "version", "license", "keywords", "references", "date-released", "url"}


def anchors(page: str) -> set[str]:
    """The anchors that GitHub gives to the headings of a page: lower case, words joined, of two alike the second numbered."""
    found: dict[str, int] = {}
    names = set()
    for heading in re.findall(r"^#+ (.+)$", FENCED.sub("", page), re.M):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        kept = "".join(c for c in text if c in "-_ " or unicodedata.category(c)[0] in "LNM")
        name = kept.replace(" ", "-")
        names.add(name if name not in found else f"{name}-{found[name]}")
        found[name] = found.get(name, 0) + 1
    return names


EVERY_PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@EVERY_PAGE
def test_links_and_anchors_lead_somewhere(page: Path) -> None:
    text = FENCED.sub("", page.read_text())
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("http"):
            continue
        path, _, anchor = target.partition("#")
        place = (page.parent / path).resolve() if path else page
        assert place.is_relative_to(ROOT), f"{target} leads out of the repository"
        assert place.exists(), target
        if anchor:
            assert anchor in anchors(place.read_text()), target


@EVERY_PAGE
def test_the_rows_of_a_table_have_as_many_cells_as_its_heading(page: Path) -> None:
    above = 0
    for line in page.read_text().splitlines():
        cells = len(re.findall(r"(?<!\\)\|", line)) if line.startswith("|") else 0
        assert not (cells and above) or cells == above, line
        above = cells


def test_the_index_has_every_page() -> None:
    listed = set(re.findall(r"\]\(([^)#]+)\)", (ROOT / "docs" / "README.md").read_text()))
    there = {path.name for path in (ROOT / "docs").glob("*.*") if path.suffix in (".md", ".ipynb")} - {"README.md"}
    assert there <= listed


def test_messages_that_are_explained_are_said() -> None:
    sources = [*(ROOT / "pipeline" / "flowatlas").glob("*.py"), *(ROOT / "explorer" / "src").glob("*.js")]
    code = "\n".join(path.read_text() for path in sources)
    said = re.findall(r"^\| `([^`]+)` \|", (ROOT / "docs" / "troubleshooting.md").read_text(), re.M)
    assert len(said) > 30
    assert [message for message in said if message not in code] == []


def test_the_citation_is_of_this_version() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert cited.keys() >= CITATION_FIELDS
    assert cited.keys() <= CITATION_FIELDS | CITATION_OTHERS
    assert cited["cff-version"] == "1.2.0"
    pyproject = (ROOT / "pyproject.toml").read_text()
    assert f'version = "{cited["version"]}"' in pyproject
    assert f'license = "{cited["license"]}"' in pyproject
    assert str(cited["version"]) == flowatlas.__version__
    for work in (cited, *cited["references"]):
        assert all("name" in author or {"family-names", "given-names"} <= author.keys() for author in work["authors"])


def test_the_changelog_has_this_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    sections = re.findall(r"^## \[(.+?)\]", text, re.M)
    assert sections[0] == "Unreleased"
    assert flowatlas.__version__ in text
    kinds = set(re.findall(r"^### (.+)$", text, re.M))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert not set("".join(sections[1:])) - set(string.digits + ".")
