"""`flowatlas publish SITE`: everything but the last step of putting a site on GitHub Pages.

`--to gh-pages` makes a commit of the site's files on a branch of a repository, without touching its working tree, index or
current branch; `--to workflow` writes the workflow that deploys a site which lies in the repository. Nothing is pushed:
what is left to do is printed.
"""

import json
import re
import shlex
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from flowatlas.errors import InputError, RunError
from flowatlas.files import replacing
from flowatlas.hosts import HOSTS, Part, size, too_large
from flowatlas.repository import Repository
from flowatlas.site_check import HASHES, UNREADABLE, check_site, files_of, listed

WORKFLOW = ".github/workflows/pages.yml"
_WORKFLOW_TEXT = """\
# Serves the folder {folder} of this repository on GitHub Pages (once: Settings > Pages > Source: GitHub Actions).
name: pages
on:
  push:
    branches: [{branch}]
  workflow_dispatch:
permissions:
  contents: read
  pages: write
  id-token: write
concurrency:
  group: pages
  cancel-in-progress: false
jobs:
  deploy:
    runs-on: ubuntu-latest
    environment:
      name: github-pages
      url: ${{{{ steps.deployment.outputs.page_url }}}}
    steps:
      - uses: actions/checkout@11bd71901bbe5b1630ceea73d27597364c9af683 # v4.2.2
      - uses: actions/configure-pages@983d7736d9b0ae728b81ab479565c72886d7745b # v5.0.0
      - uses: actions/upload-pages-artifact@56afc609e74202658d3ffba0e8f6dda462b719fa # v3.0.1
        with:
          path: {folder}
      - id: deployment
        uses: actions/deploy-pages@d6db90164ac5ed86f2b6aed7e0febac5b3c0c03e # v4.0.5
"""
# Beside a site in a repository, so that what is there for other files does not change, replace or leave out its own.
ATTRIBUTES, IGNORED = ".gitattributes", ".gitignore"
_OURS = {
    ATTRIBUTES: "# Made by flowatlas publish: every file as it is, byte for byte.\n"
    "* -text -filter -ident -working-tree-encoding\n",
    IGNORED: "# Made by flowatlas publish: every file is part of the site.\n!*\n",
}
_CATALOGUE = "data/catalogue.json"
_LISTS = re.compile(r"data/(catalogue\.json|files\.json|[^/]+/index\.json)")
_SHOWN = 5  # names
ORIGIN = "origin"


def publish_branch(
    site: Path, repository: Path, branch: str = "gh-pages", under: str = "", history: bool = True
) -> list[str]:
    """Commit a site to a branch, as all of it or as its folder `under`; returns lines that say what is left to do.

    Only files of a site that was there before are replaced. Without `history` the commit has no parent, so that the
    repository does not keep what was published before. Raises RunError for what is no site, a damaged one or more than
    GitHub Pages takes, InputError for a repository, branch or folder that will not do.
    """
    folder = _folder(under)
    files, repo = _checked(site), Repository(repository)
    repo.refuse_checked_out(branch)
    parent = repo.tip(branch)
    there = repo.entries(parent) if parent else {}
    place = f"{f'folder {folder[:-1]} of ' if folder else ''}branch {branch} of {repo.folder}"
    replaced = _of_site(repo, there, folder)
    kept = {name: line for name, line in there.items() if name not in replaced}
    _refuse_foreign(there, replaced, folder, place)
    new = {folder + name: path for name, path in files.items()}
    _refuse_collisions(kept, new, place)
    texts = {} if folder + ATTRIBUTES in kept else {folder + ATTRIBUTES: _OURS[ATTRIBUTES]}
    tree = repo.tree(kept.values(), new, texts)
    steps = _last_steps(repo, branch, folder, history)
    if parent and repo.run("rev-parse", f"{parent}^{{tree}}") == tree:
        return [f"{place} holds this very site already", *steps]
    whole = f"{size(_whole(files).bytes)} in {len(files):,} files"
    commit = repo.commit(tree, parent if history else None, f"Site of flowatlas: {whole}")
    repo.run("update-ref", f"refs/heads/{branch}", commit)
    done = f"{place} holds the site as commit {commit[:10]} ({whole}); nothing was pushed"
    return [done, *_what_became_of(replaced - new.keys() - texts.keys(), kept), *steps]


def publish_workflow(site: Path, repository: Path) -> list[str]:
    """Write the workflow that deploys a site which lies in the repository. Raises as publish_branch."""
    files, repo = _checked(site), Repository(repository)
    root, place = Path(repo.run("rev-parse", "--show-toplevel")), site.resolve()
    if not place.is_relative_to(root) or place == root:
        raise InputError(
            f"{site} is no folder inside {root}: make the site there (and commit it), or use --to gh-pages"
        )
    folder = place.relative_to(root).as_posix()
    if not re.fullmatch(r"[A-Za-z0-9._/-]+", folder):
        raise InputError(f"{folder}: a folder of letters, digits and . _ / - is needed in a workflow")
    if (place / ".git").exists():
        raise InputError(f"{site} is a git repository of its own: make the site in another folder of {root}")
    branch = repo.run("symbolic-ref", "--short", "HEAD", fallback="main")
    text, path = _WORKFLOW_TEXT.format(folder=folder, branch=json.dumps(branch)), root / WORKFLOW
    if path.exists() and path.read_text() != text:
        raise InputError(f"{path} is there already and another one: move it away, or use --to gh-pages")
    for name, content in _OURS.items():
        if not (place / name).exists():
            _write(place / name, content)
    _refuse_changed(repo, [*files.values(), place / ATTRIBUTES])
    _write(path, text)
    git, paths = _git(root), f"{WORKFLOW} {folder}"
    push = f"{git} push {repo.remote or ORIGIN} {shlex.quote(branch)}"
    return [
        f"{path} deploys {folder} ({size(_whole(files).bytes)} in {len(files):,} files); nothing was committed or pushed",
        *_remote(repo),
        f"next: {git} add {paths} && {git} commit -m 'Site of flowatlas' -- {paths} && {push}",
        f"once, on GitHub: Settings > Pages > Source: GitHub Actions; the site is then at {_address(repo, '')}",
    ]


def _write(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text)


def _checked(site: Path) -> dict[str, Path]:
    """The files of a whole site by name, known to fit GitHub Pages."""
    if problems := check_site(site):
        more = f" (and {len(problems) - 1:,} more: `flowatlas check {site}`)" if len(problems) > 1 else ""
        raise RunError(
            f"{site} is not the site that was made: {problems[0]}{more}; make it again with `flowatlas site`"
        )
    files = files_of(site)
    parts = {name: Part(path.stat().st_size, 1, path.stat().st_size) for name, path in files.items()}
    if said := too_large(parts, HOSTS["github-pages"]):
        raise RunError(f"{said}: make it again with `flowatlas site`, whose --host github-pages says what to leave out")
    return files


def _whole(files: dict[str, Path]) -> Part:
    return sum((Part(path.stat().st_size, 1) for path in files.values()), Part())


def _folder(under: str) -> str:
    """`atlas/` for --under atlas; empty for the branch's top. Raises InputError for what is no plain name."""
    parts = [part for part in under.split("/") if part]
    if not all(re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(?<!\.)", part) for part in parts):
        raise InputError(
            f"--under {under}: a folder of letters, digits and . _ / - is needed, no part with a . at an end"
        )
    return "/".join([*parts, ""]) if parts else ""


def _of_site(repo: Repository, there: Mapping[str, str], folder: str) -> set[str]:
    """Files of a branch that belong to a whole site in a folder of it; empty where there is none."""
    if folder + _CATALOGUE not in there or folder + HASHES not in there:
        return set()
    with tempfile.TemporaryDirectory() as temporary:
        for name, line in there.items():
            inside = name.removeprefix(folder)
            if name.startswith(folder) and _LISTS.fullmatch(inside):
                path = Path(temporary, inside)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(repo.blob(line), encoding="utf-8", errors="surrogateescape")
        try:
            names = {folder + name for name in listed(Path(temporary))}
        except UNREADABLE:
            return set()
    if (line := there.get(folder + ATTRIBUTES)) and repo.store(_OURS[ATTRIBUTES]) in line:
        names.add(folder + ATTRIBUTES)
    return names & there.keys()


def _refuse_foreign(there: Iterable[str], replaced: set[str], folder: str, place: str) -> None:
    """Where no site was, there may be other sites, deeper in, and the domain that the pages answer at; nothing else."""
    if replaced:
        return
    deeper = [name.removesuffix(_CATALOGUE) for name in there if name.endswith(f"/{_CATALOGUE}")]
    deeper = tuple(other for other in deeper if other != folder and other.startswith(folder))
    foreign = {name for name in there if name.startswith(folder) and not name.startswith(deeper)} - {"CNAME"}
    if foreign:
        raise InputError(
            f"{place} holds something else than a site of flowatlas ({_first(_tops(foreign))}): give --under "
            f"{'another folder' if folder else 'atlas to put the site in a folder of it'}, or another --branch"
        )


def _refuse_collisions(kept: Iterable[str], new: Iterable[str], place: str) -> None:
    """What is kept must not stand where the site's files go."""
    ours = set(new)
    ours |= {parent.as_posix() for name in new for parent in PurePosixPath(name).parents}
    for name in kept:
        above = {parent.as_posix() for parent in PurePosixPath(name).parents}
        if name in ours or above & set(new):
            raise InputError(
                f"{place} has a file {name} of its own in the site's way: give another --under or --branch"
            )


def _what_became_of(removed: set[str], kept: Iterable[str]) -> list[str]:
    """Lines on what was on the branch besides what is as it was."""
    of_others = set(kept)
    lines = [f"removed: {_files(removed)} of the site that was there ({_first(removed)})"] if removed else []
    return lines + ([f"kept: {_files(of_others, 'other ')} ({_first(_tops(of_others))})"] if of_others else [])


def _files(names: set[str], which: str = "") -> str:
    return f"{len(names):,} {which}file{'s' * (len(names) > 1)}"


def _tops(names: Iterable[str]) -> set[str]:
    """Files at the top, and folders there for what is deeper."""
    return {top + "/" if rest else top for top, _, rest in (name.partition("/") for name in names)}


def _first(names: set[str]) -> str:
    return ", ".join([*sorted(names)[:_SHOWN], *(["..."] if len(names) > _SHOWN else [])])


def _refuse_changed(repo: Repository, paths: Iterable[Path]) -> None:
    """Raises InputError when git would leave out some files of a site, or change their bytes on their way in or out."""
    given = "".join(f"{path.resolve()}\0" for path in paths)
    ignored = repo.run("check-ignore", "-z", "--stdin", given=given, fallback="").split("\0")[0]
    if ignored:
        said = repo.run("check-ignore", "-v", ignored, fallback="").partition("\t")[0]
        raise InputError(f"{ignored} is ignored by git ({said}): make the site elsewhere, or mend that line")
    fields = repo.run("check-attr", "-z", "--stdin", "text", "filter", given=given).split("\0")
    for name, attribute, value in zip(fields[::3], fields[1::3], fields[2::3], strict=False):
        if value not in (("unset",) if attribute == "text" else ("unset", "unspecified")):
            mended = f"put `* -text -filter` into the {ATTRIBUTES} of the site"
            raise InputError(f"git would change {name} ({attribute}: {value}): {mended}")


def _last_steps(repo: Repository, branch: str, folder: str, history: bool) -> list[str]:
    force = "" if history else "--force "
    return [
        *_remote(repo),
        f"last step: {_git(repo.folder)} push {force}{repo.remote or ORIGIN} {shlex.quote(branch)}",
        f"once, on GitHub: Settings > Pages > Deploy from a branch: {branch}, / (root); the site is then at "
        f"{_address(repo, folder)}",
    ]


def _remote(repo: Repository) -> list[str]:
    """What goes before a push where there is nowhere to push to."""
    if repo.remote:
        return []
    add = f"{_git(repo.folder)} remote add {ORIGIN} https://github.com/OWNER/REPOSITORY.git"
    return [f"first: there is no remote yet; make an empty repository on GitHub, then: {add}"]


def _git(folder: Path) -> str:
    return f"git -C {shlex.quote(str(folder))}"


def _address(repo: Repository, folder: str) -> str:
    """Where GitHub will serve it, as far as the remote tells."""
    remote = repo.run("config", "--get", f"remote.{repo.remote}.url", fallback="")
    found = re.search(r"github\.com[:/]([\w.-]+)/([\w.-]+?)(?:\.git)?/?$", remote)
    if not found:
        return f"https://OWNER.github.io/REPOSITORY/{folder}"
    owner, name = found[1].lower(), found[2]
    return f"https://{owner}.github.io/{'' if name.lower() == f'{owner}.github.io' else name + '/'}{folder}"
