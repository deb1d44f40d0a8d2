"""`site.yaml`: what stands on the first page of a site: title, authors, abstract, links, citation, titles of its runs.

    title: Where pronouns come from
    authors:
      - Ada Example
      - {name: Ben Example, affiliation: Some Institute, url: https://ben.example, orcid: 0000-0002-1825-0097}
    abstract: |
      One paragraph.

      Another one.
    links: {Paper: https://arxiv.org/abs/0000.00000, Code: https://github.com/ada/pronouns}
    bibtex: |
      @article{example2026pronouns, ...}
    runs: {pronouns-gpt2: GPT-2 small, every pronoun}

Every key may be left out. All of it is text: the page shows it as it is, and links lead to http and https only.
"""

import dataclasses
import re
import urllib.parse
from pathlib import Path
from typing import Any

import yaml

from flowatlas.errors import ConfigError

_ORCID = re.compile(r"(\d{4}-){3}\d{3}[\dX]")
_AUTHOR = ("name", "affiliation", "url", "orcid")


@dataclasses.dataclass(frozen=True)
class FrontPage:
    """`authors` are dictionaries with `name` and maybe `affiliation`, `url`; `links` are `label` and `url`."""

    title: str | None = None
    authors: tuple[dict[str, str], ...] = ()
    abstract: str | None = None
    links: tuple[dict[str, str], ...] = ()
    bibtex: str | None = None
    runs: dict[str, str] = dataclasses.field(default_factory=dict)

    def shown(self) -> dict[str, Any]:
        """What the catalogue holds of it besides the titles; empty when there is nothing."""
        parts = {
            "authors": list(self.authors),
            "abstract": self.abstract,
            "links": list(self.links),
            "bibtex": self.bibtex,
        }
        return {key: value for key, value in parts.items() if value}


def read_front_page(path: Path) -> FrontPage:
    """The front page that a YAML file describes. Raises ConfigError, naming the file and what in it is wrong."""
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{path}{where}: {getattr(error, 'problem', None) or error}") from error
    try:
        return _front_page({} if given is None else given)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def _front_page(given: object) -> FrontPage:
    names = [field.name for field in dataclasses.fields(FrontPage)]
    found = _mapping(given, "the file")
    for key in found:
        if key not in names:
            raise ConfigError(f"there is no key {key}: it may have {', '.join(names)}")
    bibtex = _optional(found, "bibtex")
    if bibtex is not None and not bibtex.startswith("@"):
        raise ConfigError("bibtex: an entry begins with @, as in @article{...}")
    return FrontPage(
        title=_optional(found, "title"),
        authors=tuple(_author(one) for one in _list(found, "authors")),
        abstract=_optional(found, "abstract"),
        links=tuple({"label": label, "url": _url(url, f"links.{label}")} for label, url in _pairs(found, "links")),
        bibtex=bibtex,
        runs={run: _text(title, f"runs.{run}") for run, title in _pairs(found, "runs")},
    )


def _author(given: object) -> dict[str, str]:
    if not isinstance(given, dict):
        return {"name": _text(given, "authors")}
    for key in given:
        if key not in _AUTHOR:
            raise ConfigError(f"authors: there is no key {key}: an author may have {', '.join(_AUTHOR)}")
    author = {key: _text(value, f"authors.{key}") for key, value in given.items()}
    if "name" not in author:
        raise ConfigError("authors: one has no name")
    orcid = author.pop("orcid", None)
    if orcid is not None:
        if not _ORCID.fullmatch(orcid):
            raise ConfigError(f"authors.orcid: {orcid} is none, as 0000-0002-1825-0097 is")
        author.setdefault("url", f"https://orcid.org/{orcid}")
    if "url" in author:
        author["url"] = _url(author["url"], "authors.url")
    return author


def _url(value: object, where: str) -> str:
    url = _text(value, where)
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError:
        parts = urllib.parse.SplitResult("", "", "", "", "")
    if parts.scheme not in ("http", "https") or not parts.netloc or re.search(r"[\s\x00-\x1f]", url):
        raise ConfigError(f"{where}: {url} is no address that begins with https:// or http://")
    return url


def _text(value: object, where: str) -> str:
    """A text without the spaces around it; numbers (YAML reads 2026 as one) as they are written."""
    if isinstance(value, bool) or not isinstance(value, str | int | float) or not str(value).strip():
        raise ConfigError(f"{where}: a text is needed (between quotes when it has a colon)")
    return str(value).strip()


def _optional(found: dict[str, Any], key: str) -> str | None:
    return None if found.get(key) is None else _text(found[key], key)


def _list(found: dict[str, Any], key: str) -> list[Any]:
    value = found.get(key)
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _pairs(found: dict[str, Any], key: str) -> list[tuple[str, Any]]:
    value = found.get(key)
    return [] if value is None else [(_text(name, key), one) for name, one in _mapping(value, key).items()]


def _mapping(value: object, where: str) -> dict[Any, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"{where}: `key: value` lines are needed")
    return value
