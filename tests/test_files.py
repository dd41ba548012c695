"""JSON is readable, hashes are what sha256sum prints, the shipped default is looked for in order."""

import json
import subprocess

import pytest

from workbench import files
from workbench.errors import UsageError


def test_json_is_sorted_readable_and_ends_its_line(tmp_path):
    path = tmp_path / "a.json"
    files.write_json(path, {"b": "ü", "a": [1]})
    assert path.read_text(encoding="utf-8") == '{\n  "a": [\n    1\n  ],\n  "b": "ü"\n}\n'
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(path, {"loss": float("nan")})
    assert json.loads(path.read_text(encoding="utf-8")) == {"a": [1], "b": "ü"}


def test_hash_bytes_separates_its_parts():
    assert files.hash_bytes("ab", "c") != files.hash_bytes("a", "bc")
    assert files.hash_bytes("ab") != files.hash_bytes("ab", "")
    assert files.hash_bytes("é") == files.hash_bytes("é".encode())
    assert len(files.hash_bytes("\ud800")) == 64


def test_hash_file_is_sha256sum(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(bytes(range(256)) * 1000)
    printed = subprocess.run(["sha256sum", path], capture_output=True, text=True, check=True).stdout
    assert printed.split()[0] == files.hash_file(path)


def test_hash_tree_sees_names_and_bytes_but_not_times(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name / "sub").mkdir(parents=True)
        (tmp_path / name / "sub" / "a").write_text("x")
    before = files.hash_tree(tmp_path / "one")
    assert before == files.hash_tree(tmp_path / "two")
    (tmp_path / "two" / "sub" / "a").rename(tmp_path / "two" / "sub" / "b")
    assert before != files.hash_tree(tmp_path / "two")
    with pytest.raises(UsageError, match="not a directory"):
        files.hash_tree(tmp_path / "three")


def test_the_shipped_default_is_looked_for_in_order(tmp_path, monkeypatch):
    package, named = tmp_path / "checkout" / "workbench", tmp_path / "named"
    monkeypatch.setattr(files, "PACKAGE", package)
    monkeypatch.delenv("WORKBENCH_DATA", raising=False)
    with pytest.raises(UsageError) as caught:
        files.shipped("model")
    assert str(tmp_path / "checkout" / "data" / "model") in str(caught.value)
    assert str(package / "_data" / "model") in str(caught.value)

    for root in (package / "_data", package.parent / "data", named):
        (root / "model").mkdir(parents=True)
        if root == named:
            monkeypatch.setenv("WORKBENCH_DATA", str(named))
        assert files.shipped("model") == root / "model"


def test_what_was_not_measured_is_null_in_json(tmp_path):
    report = {"a": float("nan"), "b": [1.0, (float("nan"), 2)], "c": {"d": 0.5}}
    assert files.measured(report) == {"a": None, "b": [1.0, [None, 2]], "c": {"d": 0.5}}
    files.write_json(tmp_path / "r.json", files.measured(report))
    with pytest.raises(ValueError, match="nan"):
        files.write_json(tmp_path / "r.json", report)
