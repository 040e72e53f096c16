"""Records as CSV: what a spreadsheet and a program read back."""

from __future__ import annotations

import csv
import io
import re

import pytest

from studio.reading.records import to_csv


def read(table: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(table.decode("utf-8-sig"), newline="")))


def test_nested_values_get_columns_of_their_own() -> None:
    rows = [
        {"index": 0, "top": "cat", "labels": [{"label": "cat", "p": 0.75}, {"label": "dog", "p": 0.25}], "ok": True},
        {"index": 1, "error": "gone", "where": {"box": [1, 2]}, "score": None},
    ]
    first, second = read(to_csv(rows))
    assert first["labels.1.label"] == "cat"
    assert float(first["labels.2.p"]) == 0.25
    assert (first["ok"], first["error"]) == ("true", "")
    assert (second["error"], second["where.box.2"], second["score"], second["top"]) == ("gone", "2", "", "")
    assert list(first)[:2] == ["index", "top"]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\r=1", "\n=1", "＝1+1", "  =1"])
def test_no_cell_and_no_column_is_a_formula(text: str) -> None:
    (row,) = read(to_csv([{"answer": text, text: "x"}]))
    assert row["answer"].startswith("'")
    assert row["answer"].replace("'", "") == text
    assert {name.replace("'", "") for name in row if name.startswith("'")} == {text}


@pytest.mark.parametrize("name", ["x;=1+1.png", "x;-2.png", "a\n=1+1", "a|=1", "a\t@x", 'a";=1', "x; =1", ";;=1;+1"])
def test_no_cell_is_a_formula_where_cells_are_split_at_something_else(name: str) -> None:
    """Excel in Germany splits a line at each semicolon that no quote at the start of a cell protects."""
    text = to_csv([{"index": 0, "name": name, "also": name}]).decode("utf-8-sig")
    for part in re.split(r"[;|\t\r\n]", text):
        assert not part.strip().startswith(("=", "+", "-", "@")), text
    (row,) = read(text.encode("utf-8-sig"))
    assert row["name"].replace("'", "") == name


def test_excel_sees_that_it_is_utf_8() -> None:
    assert to_csv([{"name": "Мир é.png"}]).startswith(b"\xef\xbb\xbf")


def test_numbers_stay_numbers_and_text_stays_text() -> None:
    answer = 'A "red", round\napple – =1'
    (row,) = read(to_csv([{"cosine": -0.125, "answer": answer}]))
    assert float(row["cosine"]) == -0.125
    assert row["answer"] == answer


def test_pictures_do_not_belong_in_a_table() -> None:
    (row,) = read(to_csv([{"name": "a.png", "heat": {"cat": "data:image/png;base64,AAAA"}}]))
    assert row == {"name": "a.png"}


def test_no_records_are_an_empty_table() -> None:
    assert read(to_csv([])) == []
