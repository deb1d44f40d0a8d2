"""Reading prompts from files and hub datasets."""

import csv
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowatlas import hub
from flowatlas.config import ColumnsConfig, DatasetConfig
from flowatlas.errors import DatasetError
from flowatlas.prompts import Row, open_dataset


def read(path, limit=None, **columns) -> list[Row]:
    config = DatasetConfig(path=str(path), columns=ColumnsConfig(**columns))
    return list(open_dataset(config, limit).rows())


def write(path, content) -> str:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def problems(rows) -> dict[int, str]:
    return {row.prompt_id: row.problem[0] for row in rows if row.problem}


def lines(objects) -> str:
    return "".join(json.dumps(value) + "\n" for value in objects)


def test_txt_is_a_prompt_per_line_with_its_spaces(tmp_path):
    rows = read(write(tmp_path / "a.txt", b"\xef\xbb\xbf one \r\n\r\n  \ntwo\x0b\xe2\x80\xa8still two\n<b>\r"))
    assert [row.text for row in rows] == [" one ", "two\x0b\u2028still two", "<b>"]
    assert [(row.prompt_id, row.source_id) for row in rows] == [(0, "0"), (1, "1"), (2, "2")]


def test_jsonl_columns_and_the_rest(tmp_path):
    record = {"text": "a", "id": 7, "group": "g", "pair_id": 1.0, "role": "clean", "answer": 7, "foil": True}
    rest = {"note": "é", "deep": {"x": [1, None]}, "score": 0.5}
    (row,) = read(write(tmp_path / "a.jsonl", lines([{**record, "targets": [3, -1], **rest}])))
    assert row == Row(0, "7", "a", "g", "1", "clean", "7", "true", [3, -1], rest)


def test_csv_quotes_line_breaks_and_empty_cells(tmp_path):
    content = '\ufefftext,answer,targets,year\r\n"one, ""two""\nthree",7,"[3, -1]",1999\r\n\r\nb,,5,\r\nc,,,x\r\n'
    rows = read(write(tmp_path / "a.csv", content))
    assert [row.text for row in rows] == ['one, "two"\nthree', "b", "c"]
    assert [row.answer for row in rows] == ["7", None, None]
    assert [row.targets for row in rows] == [[3, -1], [5], None]
    assert [row.extra for row in rows] == [{"year": "1999"}, {"year": ""}, {"year": "x"}]


def test_parquet_types(tmp_path):
    table = pa.table(
        {
            "text": pa.array(["a", None, "b"]).dictionary_encode(),
            "id": [1.0, float("nan"), 3.0],
            "answer": [7, 8, 9],
            "targets": [[0], None, [1, 2]],
            "day": pa.array([0, 1, 2], pa.date32()),
            "odd": [float("nan"), 1.5, None],
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    rows = read(tmp_path / "a.parquet")
    assert problems(rows) == {1: "no_text"}
    assert (rows[0].source_id, rows[1].source_id, rows[2].source_id) == ("1", "1", "3")
    assert [rows[0].answer, rows[0].targets, rows[2].targets] == ["7", [0], [1, 2]]
    assert [rows[0].extra, rows[2].extra] == [{"day": "1970-01-01", "odd": "nan"}, {"day": "1970-01-03", "odd": None}]


def test_an_answer_may_be_a_list_of_those_that_are_accepted(tmp_path):
    given = [["a", 7.0, "a"], ["b"], [], "c", ["", None]]
    rows = read(write(tmp_path / "a.jsonl", lines([{"text": "x", "answer": one} for one in given])))
    assert [row.answer for row in rows] == [["a", "7"], "b", None, "c", None]
    pq.write_table(pa.table({"text": ["x", "y"], "answer": [["a", "b"], ["c"]]}), tmp_path / "a.parquet")
    assert [row.answer for row in read(tmp_path / "a.parquet")] == [["a", "b"], "c"]


def test_renamed_columns(tmp_path):
    path = write(tmp_path / "a.jsonl", lines([{"prompt": "a", "key": "k", "id": "other"}]))
    (row,) = read(path, text="prompt", id="key")
    assert (row.text, row.source_id, row.extra) == ("a", "k", {"id": "other"})


def test_a_column_that_first_appears_late_is_found(tmp_path):
    path = write(tmp_path / "a.jsonl", lines([{"text": "a"}] * 3000 + [{"text": "b", "gold": "c"}]))
    assert read(path, answer="gold")[-1].answer == "c"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"text": "\xff"}', "not_utf8"),
        (b'{"text": "\\ud800"}', "not_utf8"),
        (b'{"text": "a", "more": {"x": "\\udfff"}}', "not_utf8"),
        (b'{"text": "a", "id": "\\udfff"}', "not_utf8"),
        (b'{"text": ', "bad_json"),
        (b"[1]", "bad_json"),
        (b"[" * 100_000, "bad_json"),
        (b'{"text": ' + b"1" * 5000 + b"}", "bad_json"),
        (b'{"answer": "a"}', "no_text"),
        (b'{"text": " \\n"}', "no_text"),
        (b'{"text": null}', "no_text"),
        (b'{"text": 7}', "no_text"),
        (b'{"text": "a", "answer": [["b"]]}', "bad_row"),
        (b'{"text": "a", "foil": ["b"]}', "bad_row"),
        (b'{"text": "a", "targets": "last"}', "bad_targets"),
        (b'{"text": "a", "targets": [1.5]}', "bad_targets"),
        (b'{"text": "a", "targets": [true]}', "bad_targets"),
        (b'{"text": "a", "targets": []}', "bad_targets"),
        (b'{"text": "a", "targets": {"x": 1}}', "bad_targets"),
    ],
)
def test_a_bad_jsonl_row_is_rejected_alone(tmp_path, line, reason):
    rows = read(write(tmp_path / "a.jsonl", b'{"text": "one"}\n' + line + b'\n{"text": "two"}\n'))
    assert problems(rows) == {1: reason}
    assert [rows[0].text, rows[1].text, rows[2].text] == ["one", None, "two"]
    assert rows[1].problem is not None
    assert rows[1].problem[1].encode()
    assert "\n" not in rows[1].problem[1]


def test_rejected_rows_keep_their_own_id(tmp_path):
    rows = read(write(tmp_path / "a.jsonl", lines([{"text": "x", "id": "q"}, {"text": "", "id": "r"}])))
    assert rows[1].source_id == "r"


def test_bad_txt_and_csv_rows_are_rejected_alone(tmp_path):
    assert problems(read(write(tmp_path / "a.txt", b"one\n\xe9t\xe9\ntwo\n"))) == {1: "not_utf8"}
    content = b'text,id\none,1\n\xe9t\xe9,2\n"a\n\xff",3\nb,4,5\nc\n,7\na\rb,8\ntwo,9\n'
    rows = read(write(tmp_path / "a.csv", content))
    assert problems(rows) == {1: "not_utf8", 2: "not_utf8", 3: "bad_row", 4: "bad_row", 5: "no_text", 6: "bad_row"}
    assert (rows[7].text, rows[7].source_id) == ("two", "9")


def test_parquet_strings_that_are_no_utf8(tmp_path):
    text = pa.array([b"one", b"\xff", b"two"]).cast(pa.binary()).view(pa.string())
    pq.write_table(pa.table({"text": text}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"text": text.view(pa.binary())}), tmp_path / "b.parquet")
    for name in ("a.parquet", "b.parquet"):
        rows = read(tmp_path / name)
        assert problems(rows) == {1: "not_utf8"}
        assert [rows[0].text, rows[2].text] == ["one", "two"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"", "empty"),
        ("a.txt", b"\n \n", "empty"),
        ("a.txt", b"\xff\xfea\x00", "UTF-16"),
        ("a.csv", b"text,id\n", "empty"),
        ("a.jsonl", b"\n", "empty"),
        ("a.parquet", b"PAR1nothing", "no Parquet file"),
        ("a.tsv", b"text\n", r"unknown type \.tsv; known types: \.txt, \.jsonl, \.csv, \.parquet"),
        ("a", b"text\n", "unknown type"),
        ("a.csv", b"prompt,label\na,b\n", r"no column 'text' \(dataset.columns.text\); its columns: prompt, label"),
        ("a.csv", b"text,text\na,b\n", "two columns are called 'text'"),
        ("a.jsonl", b'{"prompt": "a"}\n{"label": "b"}\n', "its columns: prompt, label"),
    ],
)
def test_files_that_are_wrong_as_a_whole(tmp_path, name, content, message):
    with pytest.raises(DatasetError, match=message) as error:
        open_dataset(DatasetConfig(path=write(tmp_path / name, content)))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.txt", "a.parquet"])
def test_renamed_columns_must_exist(tmp_path, name):
    contents = {"a.csv": b"text\na\n", "a.jsonl": b'{"text": "a"}\n', "a.txt": b"a\n"}
    path = tmp_path / name
    pq.write_table(pa.table({"text": ["a"]}), path) if name == "a.parquet" else path.write_bytes(contents[name])
    with pytest.raises(DatasetError, match=r"no column 'gold' \(dataset.columns.answer\); its columns: text"):
        read(path, answer="gold")


def test_missing_file_folder_and_empty_parquet(tmp_path):
    with pytest.raises(DatasetError, match="no such file"):
        read(tmp_path / "a.txt")
    with pytest.raises(DatasetError, match="folder"):
        read(tmp_path)
    with pytest.raises(DatasetError, match="cannot be opened"):
        read("x" * 5000 + ".txt")
    pq.write_table(pa.table({"text": pa.array([], pa.string())}), tmp_path / "a.parquet")
    with pytest.raises(DatasetError, match="empty"):
        read(tmp_path / "a.parquet")


def test_name_and_limit(tmp_path):
    path = write(tmp_path / "my prompts.txt", "a\nb\nc\n")
    dataset = open_dataset(DatasetConfig(path=path), limit=2)
    assert dataset.name == "my prompts"
    assert [row.text for row in dataset.rows()] == ["a", "b"]
    assert [row.text for row in dataset.rows(1, 9)] == ["b"]
    assert open_dataset(DatasetConfig(path=path, name="other")).name == "other"


def test_a_huge_line(tmp_path):
    text = "x" * 3_000_000
    assert read(write(tmp_path / "a.csv", f"text\n{text}\n"))[0].text == text
    assert read(write(tmp_path / "a.txt", text))[0].text == text


def test_skipped_lines_are_not_parsed(tmp_path, monkeypatch):
    path = write(tmp_path / "a.jsonl", lines([{"text": str(i)} for i in range(2000)]))
    dataset = open_dataset(DatasetConfig(path=path))
    parsed = []
    loads = json.loads
    monkeypatch.setattr("flowatlas.readers.json.loads", lambda text: parsed.append(text) or loads(text))
    assert [row.text for row in dataset.rows(1500, 1502)] == ["1500", "1501"]
    assert len(parsed) == 2


def test_hub_dataset_streams_from_a_folder(tmp_path):
    # a folder stands in for the hub's repository: the same library reads both
    pq.write_table(pa.table({"text": [f"t{i}" for i in range(10)], "n": range(10)}), tmp_path / "train.parquet")
    dataset = open_dataset(DatasetConfig(hub=str(tmp_path)))
    assert [row.text for row in dataset.rows(7)] == ["t7", "t8", "t9"]
    assert [row.prompt_id for row in dataset.rows(3, 5)] == [3, 4]
    assert next(dataset.rows()).extra == {"n": 0}
    with pytest.raises(DatasetError, match="no column 'prompt'"):
        open_dataset(DatasetConfig(hub=str(tmp_path), columns=ColumnsConfig(text="prompt")))
    with pytest.raises(DatasetError, match=r"dataset\.split"):
        open_dataset(DatasetConfig(hub=str(tmp_path), split="nope"))


def test_unreachable_hub_dataset_is_one_clear_line():
    hub._reachable.cache_clear()
    with pytest.raises(
        DatasetError, match=r"nobody/nothing: the hub may not be asked \(HF_HUB_OFFLINE is set\)"
    ) as error:
        open_dataset(DatasetConfig(hub="nobody/nothing"))
    assert "\n" not in str(error.value)


good_text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30).filter(str.strip)
records = st.lists(
    st.fixed_dictionaries({"text": good_text, "answer": st.none() | good_text, "note": good_text}),
    min_size=1,
    max_size=20,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(records, st.integers(0, 22), st.integers(0, 22), st.sampled_from([".jsonl", ".csv", ".parquet"]))
def test_rows_survive_each_file_type_and_slices_are_slices(tmp_path, values, start, stop, suffix):
    path = tmp_path / f"a{suffix}"
    if suffix == ".csv":
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, ["text", "answer", "note"], quoting=csv.QUOTE_ALL)
        writer.writeheader()
        writer.writerows(values)
        path.write_bytes(text.getvalue().encode())
    elif suffix == ".jsonl":
        path.write_text(lines(values))
    else:
        pq.write_table(pa.Table.from_pylist(values), path, row_group_size=7)
    dataset = open_dataset(DatasetConfig(path=str(path)))
    rows = list(dataset.rows())
    assert [(r.text, r.answer, r.extra) for r in rows] == [
        (v["text"], v["answer"], {"note": v["note"]}) for v in values
    ]
    assert list(dataset.rows(start, stop)) == rows[start:stop]
    assert list(dataset.rows(start)) == rows[start:]


@pytest.mark.parametrize("suffix", [".txt", ".jsonl", ".csv"])
def test_starting_in_the_middle_of_a_long_file(tmp_path, suffix):
    content = {
        ".txt": "".join(f"p{i}\n\n" for i in range(1000)),
        ".jsonl": "".join(f'{{"text": "p{i}"}}\n\n' for i in range(1000)),
        ".csv": "text,id\n" + "".join(f'"p{i}","a\n{i}"\n' for i in range(1000)),
    }[suffix]
    dataset = open_dataset(DatasetConfig(path=write(tmp_path / f"a{suffix}", content)))
    rows = list(dataset.rows())
    assert len(rows) == 1000
    for start in (0, 255, 256, 257, 511, 768, 999, 1000):  # now by the offsets that the first pass left
        assert list(dataset.rows(start, start + 3)) == rows[start : start + 3]
