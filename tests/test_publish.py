"""`flowatlas publish`: a branch or a workflow that only has to be pushed; nobody's work is touched, and nothing is pushed."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from flowatlas import hosts, publish
from flowatlas.cli import main
from flowatlas.errors import FlowatlasError, InputError
from flowatlas.files import hash_file, json_text
from flowatlas.hosts import Host
from flowatlas.publish import publish_branch, publish_workflow
from flowatlas.site import build_site
from flowatlas.site_check import HASHES, check_site, files_of
from sites import flipped, read, small_explorer
from synthetic import make_run

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as monkeypatch:
        small_explorer(folder, monkeypatch)
        build_site([make_run(folder / "demo", 12)], folder / "site")
    return folder / "site"


@pytest.fixture
def site(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "my site"))


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one commit on main, a remote on GitHub, changed files, and settings that would change ours."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    repo = tmp_path / "paper"
    repo.mkdir()
    git(repo, "init", "--quiet", "--initial-branch", "main")
    git(repo, "config", "user.name", "Ada")
    git(repo, "config", "user.email", "ada@example.org")
    git(repo, "config", "core.autocrlf", "true")
    git(repo, "remote", "add", "origin", "git@github.com:Ada/pronouns.git")
    (repo / ".gitattributes").write_text("* text eol=crlf\n")
    (repo / ".gitignore").write_text("*.parquet\nassets/\n")
    (repo / "paper.tex").write_text("one\n")
    git(repo, "add", ".")
    git(repo, "commit", "--quiet", "-m", "paper")
    (repo / "paper.tex").write_text("two\n")
    (repo / "staged.txt").write_text("staged\n")
    git(repo, "add", "staged.txt")
    return repo


def change(site: Path, page: str) -> None:
    """Another page in a site that is whole."""
    (site / "index.html").write_text(page)
    hashes = read(site / HASHES) | {"index.html": hash_file(site / "index.html")}
    (site / HASHES).write_bytes(json_text(hashes))


def drop(site: Path, name: str) -> str:
    """A whole site without a file that it had; returns the name."""
    (site / name).unlink()
    (site / HASHES).write_bytes(json_text({key: value for key, value in read(site / HASHES).items() if key != name}))
    return name


def git(repo: Path, *command: str) -> str:
    return subprocess.run(["git", "-C", repo, *command], check=True, capture_output=True, text=True).stdout.strip()


def state(repo: Path) -> tuple[str, ...]:
    """Everything of a repository that publishing must leave alone."""
    commands = (
        ["status", "--porcelain=v2", "--branch"],
        ["stash", "list"],
        ["diff", "--cached"],
        ["rev-parse", "main"],
    )
    return tuple(git(repo, *command) for command in commands)


def checked_out(repo: Path, branch: str, to: Path) -> Path:
    """The branch's files, byte by byte as they are stored."""
    archive = to / "archive.zip"
    git(repo, "-c", "core.autocrlf=false", "-c", "core.attributesFile=/dev/null", "archive", "-o", str(archive), branch)
    shutil.unpack_archive(archive, to / "out")
    return to / "out"


def test_a_branch_holds_the_site_and_nothing_else_has_changed(site: Path, repo: Path, tmp_path: Path) -> None:
    before = state(repo)
    lines = publish_branch(site, repo)
    assert state(repo) == before
    out = checked_out(repo, "gh-pages", tmp_path)
    assert {name: path.read_bytes() for name, path in files_of(out).items()} == {
        name: path.read_bytes() for name, path in files_of(site).items()
    }
    assert (out / ".nojekyll").exists()
    assert check_site(out) == []
    assert "nothing was pushed" in lines[0]
    assert lines[1] == f"last step: git -C {repo} push origin gh-pages"
    assert lines[2].endswith("https://ada.github.io/pronouns/")
    assert git(repo, "log", "--format=%an %s", "gh-pages").startswith("Ada Site of flowatlas: ")


def test_again_with_and_without_history(site: Path, repo: Path) -> None:
    publish_branch(site, repo)
    first = git(repo, "rev-parse", "gh-pages")
    assert "holds this very site already" in publish_branch(site, repo)[0]
    assert git(repo, "rev-parse", "gh-pages") == first
    change(site, "new")
    publish_branch(site, repo)
    assert git(repo, "rev-parse", "gh-pages^") == first
    change(site, "newer")
    lines = publish_branch(site, repo, history=False)
    assert "push --force origin gh-pages" in lines[1]
    assert git(repo, "rev-list", "--count", "gh-pages") == "1"


def on_branch(repo: Path, branch: str = "gh-pages") -> set[str]:
    return set(git(repo, "ls-tree", "-r", "--name-only", branch).splitlines())


def add(repo: Path, *names: str) -> None:
    """A commit on gh-pages, by somebody else, of further files."""
    tree = repo.parent / "theirs"
    git(repo, "worktree", "add", "--quiet", str(tree), "gh-pages")
    for name in names:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(f"{name}, mine\n")
    git(tree, "add", "--force", *names)
    git(tree, "commit", "--quiet", "-m", "mine")
    git(repo, "worktree", "remove", "--force", str(tree))


def test_only_the_files_of_a_site_are_replaced(site: Path, repo: Path) -> None:
    """A site in a folder of a branch, among files of other people; the lines say what became of them."""
    git(repo, "branch", "gh-pages", "main")
    with pytest.raises(InputError, match=r"something else .* \(\.gitattributes, \.gitignore, paper\.tex\): .* atlas"):
        publish_branch(site, repo)
    theirs = {".gitattributes", ".gitignore", "paper.tex"}
    lines = publish_branch(site, repo, under="papers/atlas/")
    assert lines[1] == "kept: 3 other files (.gitattributes, .gitignore, paper.tex)"
    assert lines[-1].endswith("https://ada.github.io/pronouns/papers/atlas/")
    own = {*files_of(site), ".gitattributes"}
    assert on_branch(repo) == theirs | {f"papers/atlas/{name}" for name in own}
    more = {"CNAME", "papers/atlas/readme.txt", "papers/own.html", "data/table.parquet"}
    add(repo, *more)
    theirs |= more
    before = {name: git(repo, "rev-parse", f"gh-pages:{name}") for name in theirs}
    dropped = drop(site, "assets/app-1234.js")
    lines = publish_branch(site, repo, under="papers/atlas")
    assert lines[1] == f"removed: 1 file of the site that was there (papers/atlas/{dropped})"
    assert on_branch(repo) == theirs | {f"papers/atlas/{name}" for name in own - {dropped}}
    assert {name: git(repo, "rev-parse", f"gh-pages:{name}") for name in theirs} == before
    with pytest.raises(InputError, match=r"folder papers of branch .* holds something else than .* \(papers/\)"):
        publish_branch(site, repo, under="papers")
    with pytest.raises(InputError, match=r"has a file paper\.tex of its own in the site's way"):
        publish_branch(site, repo, under="paper.tex/atlas")


def test_a_site_at_the_top_keeps_those_in_folders_and_the_domain(site: Path, repo: Path) -> None:
    publish_branch(site, repo, under="atlas")
    publish_branch(site, repo)
    add(repo, "CNAME", "README.md")
    change(site, "new")
    lines = publish_branch(site, repo)
    assert git(repo, "show", "gh-pages:CNAME") == "CNAME, mine"
    own = {*files_of(site), ".gitattributes"}
    assert on_branch(repo) == {"CNAME", "README.md"} | own | {f"atlas/{name}" for name in own}
    assert lines[1] == f"kept: {len(own) + 2} other files (CNAME, README.md, atlas/)"
    assert git(repo, "show", "gh-pages:index.html") == "new"
    assert git(repo, "show", "gh-pages:atlas/index.html") != "new"


def test_a_bare_repository_and_one_of_the_account(site: Path, tmp_path: Path, repo: Path) -> None:
    bare = tmp_path / "bare.git"
    git(tmp_path, "clone", "--quiet", "--bare", str(repo), str(bare))
    git(bare, "config", "user.name", "Ada")
    git(bare, "config", "user.email", "ada@example.org")
    git(bare, "remote", "set-url", "origin", "https://github.com/ada/ada.github.io")
    assert publish_branch(site, bare)[-1].endswith("https://ada.github.io/")


def test_what_will_not_do_is_one_line(site: Path, repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(words: str, site: Path = site, repository: Path = repo, **more: str) -> None:
        with pytest.raises(FlowatlasError, match=words) as caught:
            publish_branch(site, repository, **more)  # pyright: ignore[reportArgumentType] -- names of branches and folders
        assert caught.value.exit_code == 2
        assert "\n" not in str(caught.value)

    refused("is no site", site=tmp_path)
    refused("is not a git repository: give one with --repo", repository=tmp_path)
    refused("is no folder", repository=tmp_path / "nowhere")
    for under in ("../up", ".git", "atlas/.GIT", "git~1", ".git.", "a./b", "a b", "\u200b.git"):
        refused("a folder of letters, digits", under=under)
    with flipped(site / "data" / "demo" / "edges" / "bucket-0.parquet"):
        refused(r"is not the site that was made: data/demo/edges/bucket-0\.parquet is damaged .*; make it again")
    (site / "notes.txt").write_text("private")
    refused(r"is not the site that was made: notes\.txt belongs to no run of this site")
    (site / "notes.txt").unlink()
    refused("not a valid branch name", branch="a..b")
    refused("main .* is checked out", branch="main")
    monkeypatch.setitem(hosts.HOSTS, "github-pages", Host("GitHub Pages", site_bytes=1000))
    refused("the site would be .*, and GitHub Pages takes at most 1 kB")
    monkeypatch.undo()
    git(repo, "config", "--unset", "user.name")
    git(repo, "config", "user.useConfigOnly", "true")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    refused(r"git commit-tree: .* \(git config user\.name and user\.email say who you are\)")
    assert "gh-pages" not in git(repo, "branch", "--list")


def test_a_workflow_that_deploys_a_site_in_the_repository(site: Path, repo: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no folder inside"):
        publish_workflow(site, repo)
    inside = Path(shutil.copytree(site, repo / "docs" / "atlas"))
    shutil.copytree(repo / ".git", inside / ".git")
    with pytest.raises(InputError, match="is a git repository of its own"):
        publish_workflow(inside, repo)
    shutil.rmtree(inside / ".git")
    lines = publish_workflow(inside, repo)
    path = repo / ".github" / "workflows" / "pages.yml"
    workflow = yaml.safe_load(path.read_text())
    assert workflow[True]["push"]["branches"] == ["main"]  # YAML 1.1 reads `on` as true
    steps = workflow["jobs"]["deploy"]["steps"]
    assert [step["with"]["path"] for step in steps if "upload-pages-artifact" in step["uses"]] == ["docs/atlas"]
    assert workflow["jobs"]["deploy"]["environment"]["url"] == "${{ steps.deployment.outputs.page_url }}"
    assert "nothing was committed or pushed" in lines[0]
    used = {step["uses"] for step in steps if "uses" in step}
    assert used <= set(re.findall(r"uses: (\S+)", (ROOT / publish.WORKFLOW).read_text()))  # pinned as our own are
    assert publish_workflow(inside, repo) == lines
    path.write_text("mine")
    with pytest.raises(InputError, match="is there already and another one"):
        publish_workflow(inside, repo)
    assert path.read_text() == "mine"


def test_git_leaves_no_file_of_a_workflows_site_out_and_changes_none(site: Path, repo: Path, tmp_path: Path) -> None:
    """Whatever the repository ignores and converts: the printed commands are carried out, and a clone's site is whole."""
    (repo / ".gitattributes").write_text("* text eol=crlf\n*.parquet filter=lfs\n")
    inside = Path(shutil.copytree(site, repo / "docs" / "atlas"))
    bare = tmp_path / "bare.git"
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch", "main", str(bare))
    git(repo, "remote", "set-url", "origin", str(bare))
    commands = publish_workflow(inside, repo)[1].removeprefix("next: ")
    subprocess.run(["sh", "-e", "-c", commands], check=True, capture_output=True)
    git(tmp_path, "clone", "--quiet", str(bare), "clone")
    assert check_site(tmp_path / "clone" / "docs" / "atlas") == []
    assert "staged.txt" in git(repo, "diff", "--cached", "--name-only"), "what was staged is still to be committed"
    (repo / ".gitignore").write_text("build/\n")
    hidden = Path(shutil.copytree(site, repo / "build" / "atlas"))
    (repo / ".github" / "workflows" / "pages.yml").unlink()
    with pytest.raises(
        InputError, match=r"build/atlas/.* is ignored by git \(\.gitignore:1:build/\): make the site else"
    ):
        publish_workflow(hidden, repo)
    own = Path(shutil.copytree(site, repo / "own"))
    (own / ".gitattributes").write_text("*.js text\n")
    with pytest.raises(InputError, match=r"git would change .*/own/.* \(text: set\): put `\* -text -filter`"):
        publish_workflow(own, repo)
    assert not (repo / ".github" / "workflows" / "pages.yml").exists()


def test_a_name_that_git_will_not_take_is_no_empty_branch(
    site: Path, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish, "_folder", lambda under: ".GIT/")
    with pytest.raises(InputError, match=r"git takes only 0 of \d+ files: choose another --under"):
        publish_branch(site, repo)
    assert "gh-pages" not in git(repo, "branch", "--list")


def test_without_a_remote_the_last_step_begins_with_one(site: Path, repo: Path) -> None:
    git(repo, "remote", "rename", "origin", "hub")
    lines = publish_branch(site, repo)
    assert lines[1] == f"last step: git -C {repo} push hub gh-pages"
    assert lines[2].endswith("https://ada.github.io/pronouns/")
    git(repo, "remote", "remove", "hub")
    lines = publish_branch(site, repo)
    add = f"git -C {repo} remote add origin https://github.com/OWNER/REPOSITORY.git"
    assert lines[1] == f"first: there is no remote yet; make an empty repository on GitHub, then: {add}"
    assert lines[2] == f"last step: git -C {repo} push origin gh-pages"


def test_the_command_says_the_last_step(site: Path, repo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["publish", str(site), "--to", "gh-pages", "--repo", str(repo), "--branch", "pages", "--under", "a"]) == 0
    )
    assert "last step: git -C" in capsys.readouterr().out
    assert git(repo, "ls-tree", "--name-only", "pages") == "a"
    assert main(["publish", str(site), "--to", "workflow", "--repo", str(repo)]) == 2
    assert main(["publish", str(site), "--to", "workflow", "--repo", str(repo), "--under", "a"]) == 2
    assert "--under and --no-history are of --to gh-pages" in capsys.readouterr().err


def test_this_repositorys_workflow_builds_and_serves_the_demo() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "pages.yml").read_text())
    jobs, makefile = workflow["jobs"], (ROOT / "Makefile").read_text()
    steps = jobs["build"]["steps"]
    commands = [step["run"] for step in steps if "run" in step]
    site = re.search(r"^SITE := (\S+)$", makefile, re.M)
    assert site
    assert commands == ["make demo SERVE=0", f".venv/bin/flowatlas check {site[1]}"]
    assert [step["with"]["path"] for step in steps if "upload-pages-artifact" in step.get("uses", "")] == [site[1]]
    assert jobs["deploy"]["needs"] == "build"
    assert workflow["permissions"] == {"contents": "read", "pages": "write", "id-token": "write"}
