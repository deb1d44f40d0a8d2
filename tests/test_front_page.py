"""site.yaml: every mistake in it is one line that names the place; what is right is shown as it is."""

from pathlib import Path

import pytest

from flowatlas.errors import ConfigError
from flowatlas.front_page import FrontPage, read_front_page

WHOLE = """
title: Where pronouns come from
authors:
  - Ada Example
  - {name: Ben Example, affiliation: "Institute: one", orcid: 0000-0002-1825-0097}
  - {name: Cem Example, url: "https://cem.example/a?b=c"}
abstract: |
  One <b>paragraph</b>.

  Another one.
links: {Paper: "https://arxiv.org/abs/0000.00000", 2026: "http://talk.example"}
bibtex: |
  @article{example2026,
    title = {Where}
  }
runs: {demo run: The demo}
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "site.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_whole_file(tmp_path: Path) -> None:
    front = read_front_page(written(tmp_path, WHOLE))
    assert front.title == "Where pronouns come from"
    assert front.runs == {"demo run": "The demo"}
    assert front.shown() == {
        "authors": [
            {"name": "Ada Example"},
            {"name": "Ben Example", "affiliation": "Institute: one", "url": "https://orcid.org/0000-0002-1825-0097"},
            {"name": "Cem Example", "url": "https://cem.example/a?b=c"},
        ],
        "abstract": "One <b>paragraph</b>.\n\nAnother one.",
        "links": [
            {"label": "Paper", "url": "https://arxiv.org/abs/0000.00000"},
            {"label": "2026", "url": "http://talk.example"},
        ],
        "bibtex": "@article{example2026,\n  title = {Where}\n}",
    }


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "title:\nauthors:\nlinks:\n"])
def test_everything_may_be_left_out(tmp_path: Path, text: str) -> None:
    assert read_front_page(written(tmp_path, text)) == FrontPage()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("titel: x", "there is no key titel"),
        ("- a", "the file: `key: value` lines are needed"),
        ("title: [a, b]", "title: a text is needed"),
        ("title: yes", "title: a text is needed"),
        ("title: ' '", "title: a text is needed"),
        ("title: a: b", "line 1: mapping values are not allowed"),
        ("authors: [{affiliation: x}]", "authors: one has no name"),
        ("authors: [{name: x, email: y}]", "authors: there is no key email"),
        ("authors: [{name: x, orcid: 12}]", "authors.orcid: 12 is none"),
        ("authors: [[x]]", "authors: a text is needed"),
        ("links: [https://a.example]", "links: `key: value` lines are needed"),
        ("links: {Paper: 'javascript:alert(1)'}", "links.Paper: javascript:alert(1) is no address"),
        ("links: {Paper: 'https://a b'}", "is no address"),
        ("links: {Paper: 'https://[a'}", "is no address"),
        ("links: {Paper: paper.pdf}", "links.Paper: paper.pdf is no address"),
        ("authors: [{name: x, url: 'data:text/html,x'}]", "authors.url: data:text/html,x is no address"),
        ("bibtex: article", "bibtex: an entry begins with @"),
        ("runs: {a: {b: c}}", "runs.a: a text is needed"),
        ("title: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, words: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        read_front_page(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert words in message
    assert "\n" not in message


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read_front_page(tmp_path / "nowhere.yaml")
    (tmp_path / "site.yaml").write_bytes(b"title: \xff")
    with pytest.raises(ConfigError, match="is not UTF-8"):
        read_front_page(tmp_path / "site.yaml")
