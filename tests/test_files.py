"""Files are whole or absent, hashes are what sha256sum prints, the shipped default is looked for in order."""

import json
import subprocess

import pytest

from workbench import files
from workbench.errors import UsageError


def left_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_only_whole(tmp_path):
    target = tmp_path / "deep" / "a.npy"
    with files.atomic_path(target) as temporary:
        temporary.write_text("new")
        assert not target.exists()
        assert temporary.parent == target.parent
        assert temporary.suffix == ".npy"
    assert target.read_text() == "new"
    assert left_in(target.parent) == ["a.npy"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path, error):
    target = tmp_path / "a.txt"
    target.write_text("old")

    def write_half():
        with files.atomic_path(target) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        write_half()
    assert target.read_text() == "old"
    assert left_in(tmp_path) == ["a.txt"]


def test_a_directory_replaces_an_old_one_whole(tmp_path):
    target = tmp_path / "model"
    target.mkdir()
    (target / "stale").write_text("old")
    with files.atomic_path(target) as temporary:
        temporary.mkdir()
        (temporary / "fresh").write_text("new")
        assert left_in(target) == ["stale"]
    assert left_in(target) == ["fresh"]
    assert left_in(tmp_path) == ["model"]


def test_an_error_leaves_the_old_directory(tmp_path):
    target = tmp_path / "model"
    target.mkdir()
    (target / "kept").write_text("old")

    def write_half():
        with files.atomic_path(target) as temporary:
            temporary.mkdir()
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        write_half()
    assert left_in(target) == ["kept"]
    assert left_in(tmp_path) == ["model"]


def test_a_rename_that_fails_brings_the_old_directory_back(tmp_path, monkeypatch):
    target = tmp_path / "model"
    target.mkdir()
    (target / "kept").write_text("old")
    path_type = type(target)
    rename = path_type.rename

    def failing(self, to):
        if ".partial" in self.name:
            raise OSError(28, "No space left on device")
        return rename(self, to)

    monkeypatch.setattr(path_type, "rename", failing)
    with pytest.raises(OSError, match="No space"), files.atomic_path(target) as temporary:
        temporary.mkdir()
    assert left_in(target) == ["kept"]
    assert left_in(tmp_path) == ["model"]


def test_writing_nothing_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), files.atomic_path(tmp_path / "a"):
        pass


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


def test_what_is_written_is_as_readable_as_any_new_file(tmp_path):
    (tmp_path / "plain").write_text("x")
    with files.atomic_path(tmp_path / "closed") as temporary:
        temporary.write_text("x")
        temporary.chmod(0o600)
    with files.atomic_path(tmp_path / "folder") as temporary:
        temporary.mkdir()
        (temporary / "closed").write_text("x")
        (temporary / "closed").chmod(0o600)
    usual = (tmp_path / "plain").stat().st_mode
    assert (tmp_path / "closed").stat().st_mode == (tmp_path / "folder" / "closed").stat().st_mode == usual


def test_what_was_not_measured_is_null_in_json(tmp_path):
    report = {"a": float("nan"), "b": [1.0, (float("nan"), 2)], "c": {"d": 0.5}}
    assert files.measured(report) == {"a": None, "b": [1.0, [None, 2]], "c": {"d": 0.5}}
    files.write_json(tmp_path / "r.json", files.measured(report))
    with pytest.raises(ValueError, match="nan"):
        files.write_json(tmp_path / "r.json", report)
