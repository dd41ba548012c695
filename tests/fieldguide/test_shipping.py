"""The list of shipped files: complete, true, and made by commands that exist."""

import pytest

from workbench.errors import WorkbenchError
from workbench.fieldguide.corpus import Tables, exam_items
from workbench.fieldguide.shipping import atlas_texts, command_for, group_of, write_manifest
from workbench.files import hash_file, shipped


def test_the_manifest_names_every_file_with_its_hash(tmp_path):
    (tmp_path / "fieldguide").mkdir()
    (tmp_path / "fieldguide" / "eval.jsonl").write_text("{}\n")
    write_manifest(tmp_path)
    text = (tmp_path / "README.md").read_text()
    assert f"| fieldguide/eval.jsonl | 3 | `{hash_file(tmp_path / 'fieldguide' / 'eval.jsonl')}`" in text
    assert "workbench fieldguide build" in text


def test_a_file_that_no_command_makes_is_refused(tmp_path):
    (tmp_path / "mystery.bin").write_bytes(b"?")
    with pytest.raises(WorkbenchError, match=r"mystery\.bin"):
        write_manifest(tmp_path)


def test_more_special_commands_come_first():
    assert command_for("fieldguide/corpus.jsonl").startswith("workbench respond")
    assert command_for("fieldguide/model/config.json").startswith("workbench fieldguide build")


def test_the_shipped_list_is_true():
    data = shipped("README.md").parent
    rows = [
        line.split("|")[1:4]
        for line in (data / "README.md").read_text().splitlines()
        if "`" in line and "|" in line
    ]
    assert len(rows) > 8
    for name, size, digest in rows:
        path = data / name.strip()
        assert (path.stat().st_size, hash_file(path)) == (int(size), digest.strip(" `")), name


def test_the_atlas_has_few_groups_and_every_kind():
    items = exam_items(Tables.load(), seed=0)
    texts, rows = atlas_texts(items)
    assert 300 <= len(texts) == len(rows)
    assert {row["topic"] for row in rows} == {
        group_of(item)
        for item in items
        if item.kind not in ("smalltalk", "clue", "about", "summarize", "repeat")
    }
    assert len({row["topic"] for row in rows}) <= 8
    assert "other" not in {row["topic"] for row in rows}
