"""What datasets, tokenizers, names, site.yaml and addresses say is text: nothing runs or breaks, no other host is asked."""

import json
import shutil
import socket
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import Browser, Page, expect
from stage import DEMO, flowatlas, live, until
from tokenizers.pre_tokenizers import ByteLevel

from flowatlas.vocab_files import clustering_of

HOSTILE = (
    '<img src=x onerror="hit()">',
    "</script><script>hit()</script>",
    "\"'><svg/onload=hit()>",
    "javascript:hit()",
    "'; DROP VIEW edges; --",
    '" OR 1=1; COPY edges TO "x',
    "${hit()} `${hit()}` {{hit()}}",
    "$id {files} {text} $1 $& $'",
    "prompt_id",
    "share) FROM edges; --",
    "__proto__",
    "constructor.prototype",
    "../../../etc/passwd",
    "..\\..\\ %2e%2e%2f%00 %ED%A0%80 %",
    "\u202etxet\u202c \u200b\u2066a\u2069 \ufeff\u2028",
    "a\0b\x1b[31m\r\n\t\x7f",
    "👩‍👩‍👧 😀 \U000e0041 a\u0301\u0301\u0301\u0301",
    "#/routes?q=1&x=2#",
    '=HYPERLINK("http://example.org","x")',
    "A" * 3000,
)
SHOWN = (*HOSTILE[:12], "<U+202E>", "<0x00>")
TABLES = (
    *("prompts", "rejects", "generated", "knockouts", "model.vocab", "stats.by_kind", "vocab.clusters"),
    "interventions.continuations",
)
STAGES = {  # what only a run with that stage has
    "trust": "audit-keep",
    "interventions": "table-overview",
    "clusters": "to-cluster",
    "p/0?tab=edits": "edited-answer",
}
RUN = '<b onclick=hit()>run\'s "${1}" ; --'
BUSY = ".starting, .skeleton, .loading, [aria-busy]"
COUNT = """() => document.querySelectorAll(
    'script:not([src]), img, iframe, object, embed, base, [onerror], [onload], [onclick], a[href^="javascript"]').length"""
WATCH = """
    window.hits = [];
    window.hit = () => window.hits.push('a string was run');
    addEventListener('securitypolicyviolation', (event) => window.hits.push(`${event.violatedDirective}: ${event.blockedURI}`));
"""


def hostile_model(folder: Path) -> Path:
    """The demo model with another tokenizer: of every 12th token that is a word or a part of one the text is hostile."""
    shutil.copytree(DEMO, folder)
    file = folder / "tokenizer.json"
    tokenizer = json.loads(file.read_text())
    model, level = tokenizer["model"], ByteLevel(add_prefix_space=False, use_regex=False)
    texts = [level.pre_tokenize_str(f"{text[:60]}{i}")[0][0] for i in range(3) for text in HOSTILE]
    renamed = dict(zip([token for token, id_ in model["vocab"].items() if id_ > 260][::12], texts, strict=False))
    model["vocab"] = {renamed.get(token, token): id_ for token, id_ in model["vocab"].items()}
    model["merges"] = [pair for pair in model["merges"] if {*pair, "".join(pair)} <= model["vocab"].keys()]
    file.write_text(json.dumps(tokenizer))
    return folder


@pytest.fixture(scope="module")
def hostile(tmp_path_factory) -> Iterator[str]:
    """The address of a site in which everything that may be a string is a hostile one, with a model behind it."""
    folder = tmp_path_factory.mktemp("hostile")
    rows = [
        {"id": f"{text}{role}", "text": f"{text[:200]} Mary and {role} went to", "group": text, "pair_id": text}
        | {"role": role, "answer": " Mary", "foil": text[:40], text[:80]: text, "column": text}
        for text in HOSTILE
        for role in ("<i>clean</i>", "'corrupt'")
    ]
    rows += [{"id": text, "text": text} for text in ("", "half a character: \ud800", "A" * 100_000)]  # rejected
    (folder / "prompts.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    model = hostile_model(folder / "model <i>")
    settings = (f"model={json.dumps(str(model))}", "dataset=prompts.jsonl", "routes.targets=last", "maps.store=true")
    more = ("generate.max_new_tokens=1", "vocab.store=true", "knockouts.store=true", "knockouts.sample=0.1")
    flowatlas("run", *settings, *more, "run.dir=again", cwd=folder)
    flowatlas("audit", "again", "--prompts", "4", "--draws", "1", cwd=folder)
    edits = [{"name": "hostile note", "note": harmless("".join(HOSTILE))[:900], "edits": ["L1H0=off"]}]
    (folder / "edits.yaml").write_text(yaml.safe_dump(edits))
    flowatlas("intervene", "again", "--list", "edits.yaml", "--generate", "1", cwd=folder)
    names = {f"L{layer}H{head}": HOSTILE[4 * layer + head][:80] for layer in range(4) for head in range(4)}
    names |= {
        "L3 MLP": {"label": HOSTILE[1], "note": "".join(HOSTILE)[:1500]},
        "L0N5": HOSTILE[0],
        "cluster 0": HOSTILE[2],
        "clustering": clustering_of(folder / "again")["clustering"],
    }
    names = {name: json.loads(harmless(json.dumps(value))) for name, value in names.items()}
    shutil.copytree(folder / "again", folder / RUN)
    (folder / RUN / "names.yaml").write_text(yaml.safe_dump(names))
    front = {
        "title": HOSTILE[0],
        "authors": [HOSTILE[1]],
        "abstract": "\n\n".join(HOSTILE[:14]),
        "bibtex": f"@{HOSTILE[2]}",
    }
    front |= {"links": {HOSTILE[4]: "https://example.org/'\"><script>hit()</script>"}}
    (folder / "site.yaml").write_text(yaml.safe_dump(front))
    flowatlas("site", RUN, "again", "--out", "site", "--about", "site.yaml", cwd=folder)
    with live(folder / "site", json.dumps(str(model))) as (_, address):
        yield address.partition("#")[0]


def harmless(text: str) -> str:
    """Without what no YAML file can hold."""
    return text.replace("\\u0000", "").replace("\\u001b", "").replace("\0", "").replace("\x1b", "")


def run_id(url: str, page: Page) -> str:
    catalogue = page.request.get(f"{url}data/catalogue.json").json()
    return next(run["id"] for run in catalogue["runs"] if run["id"] != "again")


def test_hostile_strings_are_text_in_every_view(page: Page, hostile):
    run = run_id(hostile, page)
    asked: list[str] = []
    page.context.on("request", lambda request: asked.append(request.url))
    page.add_init_script(WATCH)
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    quoted = [urllib.parse.quote(text[:400]) for text in HOSTILE]
    of_run = (
        *(f"prompts{more}" for more in ("", "?sort=text", "?sort=-group", f"?group={quoted[0]}")),
        *(f"p/{i}?tab={tab}" for i in (0, 9, 31) for tab in ("node", "heads", "mlp", "trace", "effects", "edits")),
        *("p/2?pair=3", "p/0?embed=graph", "head/L1H2", "neuron/L0N5", "search?q=hit", "corpus", "contrast"),
        *("clusters", "cluster/0", "interventions?measure=kl"),
        *("contrast?by=roles", "map?clusters=0", "interventions", "names?of=L1H2", "trust", "data"),
        *(f"sql?q=SELECT+*+FROM+{table}" for table in TABLES),
    )
    views = ["", *(f"{run}/{view}" for view in of_run), f"compare/{run}/again"]
    seen = ""
    for view in views:
        page.goto(f"{hostile}#/{view}")
        expect(page.locator(BUSY), view).to_have_count(0)
        expect(page.locator("main, section").first, view).to_be_visible()
        expect(page.get_by_test_id("message"), view).to_have_count(0)
        expect(page.locator("[role=alert]:not(:empty)"), view).to_have_count(0)
        assert page.evaluate(COUNT) == 0, view
        seen += page.locator("body").inner_text()
    assert [text for text in SHOWN if text not in seen] == []
    page.goto(
        f"{hostile}#/try?{urllib.parse.urlencode({'text': HOSTILE[0], 'answer': HOSTILE[1], 'foil': HOSTILE[4]})}"
    )
    page.get_by_test_id("try-run").click()
    expect(page.get_by_test_id("outcome")).to_contain_text("prediction")
    assert page.evaluate(COUNT) == 0
    page.goto(f"{hostile}#/try?text=a&edits={quoted[1]}")
    expect(page.get_by_test_id("tried")).to_have_text([HOSTILE[0]])
    assert page.evaluate(COUNT) == 0
    for address, there in STAGES.items():
        page.goto(f"{hostile}#/{run}/{address}")
        expect(page.get_by_test_id(there).first, address).to_be_visible()
    tokens = [f"{text}{i}".replace(" ", "·") for i in range(3) for text in HOSTILE]
    assert len([token for token in tokens if token in seen]) > 3
    for i, text in enumerate(quoted):
        others = (
            f"{run}/{text}/{text}?{text}={text}",
            f"{run}/search?q={text}",
            f"{run}/p/{i}?sel={text}",
            f"{text}/p/0",
        )
        for address in (f"{run}/prompts?q={text}&group={text}", others[i % len(others)]):
            page.evaluate("(hash) => (location.hash = hash)", f"#/{address}")
            expect(page.locator(BUSY), address).to_have_count(0)
            assert page.evaluate(COUNT) == 0, address
    expect(page.locator("main, section").first).to_be_visible()
    assert page.evaluate("hits") == []
    assert asked
    assert [url for url in asked if not url.startswith((hostile, "blob:", "data:"))] == []


@pytest.fixture
def watched(browser: Browser) -> Iterator[tuple[Page, list[str]]]:
    """A page that may log errors, and whatever it asks for."""
    context = browser.new_context()
    context.add_init_script(WATCH)
    page, asked = context.new_page(), list[str]()
    context.on("request", lambda request: asked.append(request.url))
    yield page, asked
    context.close()


FORBIDDEN = {
    "SELECT * FROM read_csv_auto('https://example.org/x.csv')": "files of its own site only",
    "SELECT * FROM 'https://example.org/x.parquet'": "files of its own site only",
    "SELECT * FROM read_parquet('s3://bucket/x.parquet')": "files of its own site only",
    "SELECT * FROM glob('http://127.0.0.1:1/*')": "files of its own site only",
    "SELECT * FROM read_csv_auto('data/catalogue.json')": "No files found",
    "SELECT * FROM read_csv_auto('/etc/passwd')": "No files found",
    "SELECT json('1')": "json extension",
    "COPY (SELECT 1) TO 'file-1.parquet'": "not with COPY",
    "/* SELECT */ ATTACH 'https://example.org/x.db'": "not with ATTACH",
    "INSTALL httpfs": "not with INSTALL",
    "LOAD httpfs": "not with LOAD",
    "SET lock_configuration = false": "not with SET",
    "CREATE OR REPLACE VIEW prompts AS SELECT 1": "not with CREATE",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO 'file-1.parquet'": "not with EXPLAIN COPY",
    "SELECT 1; COPY (SELECT 1) TO 'x'": "single statement",
    "SELECT E'\\''; SET threads = 1 --'": "single statement",
}


def test_the_console_reads_the_sites_own_tables_only(watched, site):
    page, asked = watched
    for sql, refused in FORBIDDEN.items():
        page.goto(f"{site.url}#/routes/sql?q={urllib.parse.quote(sql)}")
        expect(page.get_by_test_id("sql-error"), sql).to_contain_text(refused)
    page.goto(f"{site.url}#/routes/sql?q=SELECT+count(*)+AS+n+FROM+prompts")
    expect(page.get_by_test_id("sql-row")).to_have_text(["60"])
    assert [url for url in asked if not url.startswith((site.url, "blob:", "data:"))] == []


def test_the_policy_stops_what_would_get_into_the_page(watched, site):
    """No script in markup, no other host, no frame, no form: what a mistake of ours would let in does nothing."""
    page, _ = watched
    page.goto(f"{site.url}#/routes/prompts")
    expect(page.get_by_test_id("prompt-row").first).to_be_visible()
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.setblocking(False)
        foreign = f"http://127.0.0.1:{other.getsockname()[1]}/"
        page.evaluate(
            """async (foreign) => {
              document.body.insertAdjacentHTML('beforeend', `<img src=x onerror="hit()"><b onclick="hit()">b</b>
                <img src="${foreign}"><iframe src="data/catalogue.json"></iframe><style>body { opacity: 0 }</style>
                <a id="link" href="javascript:hit()">link</a>`);
              document.body.append(Object.assign(document.createElement('script'), { textContent: 'hit()' }));
              document.querySelector('b[onclick]').click();
              document.querySelector('#link').click();
              await fetch(foreign).catch(() => {});
              try { new Worker('assets/none.js'); } catch {}
              setTimeout(() => (0, eval)('hit()')); // what the test itself runs may use eval, what comes later may not
            }""",
            foreign,
        )
        wanted = {
            "script-src-elem",
            "script-src-attr",
            "img-src",
            "frame-src",
            "connect-src",
            "worker-src",
            "style-src-elem",
        }
        until(page, "(n) => new Set(hits.map((one) => one.split(':')[0])).size >= n", len(wanted))
        with pytest.raises(BlockingIOError):
            other.accept()  # nobody came
    hits = page.evaluate("hits")
    assert {one.split(":")[0] for one in hits} >= wanted
    assert "a string was run" not in hits
