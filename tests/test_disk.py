"""Files are whole or absent, together where they belong together; an error of the disk says where."""

import errno

import numpy as np
import pytest

from workbench import disk
from workbench.errors import WorkbenchError


def left_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_only_whole(tmp_path):
    target = tmp_path / "deep" / "a.npy"
    with disk.atomic_path(target) as temporary:
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
        with disk.atomic_path(target) as temporary:
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
    with disk.atomic_path(target) as temporary:
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
        with disk.atomic_path(target) as temporary:
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
    with pytest.raises(OSError, match="No space"), disk.atomic_path(target) as temporary:
        temporary.mkdir()
    assert left_in(target) == ["kept"]
    assert left_in(tmp_path) == ["model"]


def test_writing_nothing_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), disk.atomic_path(tmp_path / "a"):
        pass


def test_what_is_written_is_as_readable_as_any_new_file(tmp_path):
    (tmp_path / "plain").write_text("x")
    with disk.atomic_path(tmp_path / "closed") as temporary:
        temporary.write_text("x")
        temporary.chmod(0o600)
    with disk.atomic_path(tmp_path / "folder") as temporary:
        temporary.mkdir()
        (temporary / "closed").write_text("x")
        (temporary / "closed").chmod(0o600)
    usual = (tmp_path / "plain").stat().st_mode
    assert (tmp_path / "closed").stat().st_mode == (tmp_path / "folder" / "closed").stat().st_mode == usual


def test_folders_that_were_made_for_nothing_are_gone_again(tmp_path):
    (tmp_path / "there").mkdir()

    def fail_in(folder):
        with disk.atomic_path(folder / "a.txt") as temporary:
            temporary.write_text("half")
            raise ValueError("stop")

    for folder in (tmp_path / "there", tmp_path / "new" / "deep"):
        with pytest.raises(ValueError, match="stop"):
            fail_in(folder)
    assert left_in(tmp_path) == ["there"]


def test_files_that_belong_together_are_replaced_together_or_not_at_all(tmp_path):
    targets = [tmp_path / "o" / name for name in ("a.pdf", "a.json")]

    def write(words, count):
        with disk.atomic_paths(targets) as temporaries:
            for temporary in temporaries[:count]:
                temporary.write_text(words)
            assert not any(target.is_file() and target.read_text() == words for target in targets)

    with pytest.raises(FileNotFoundError, match=r"/o/a\.json'"):
        write("first", 1)
    assert left_in(tmp_path) == []
    write("first", 2)
    with pytest.raises(FileNotFoundError):
        write("second", 1)
    assert [target.read_text() for target in targets] == ["first", "first"]
    write("second", 2)
    assert [target.read_text() for target in targets] == ["second", "second"]
    assert left_in(tmp_path / "o") == ["a.json", "a.pdf"]


def raise_of(error):
    def write(temporary):
        raise error

    return write


def open_in_a_folder_that_is_gone(temporary):
    temporary.mkdir()
    (temporary / "gone" / "b").write_text("x")


@pytest.mark.parametrize(
    ("write", "named"),
    [
        (raise_of(OSError(errno.ENOSPC, "No space left on device")), "a.npy"),
        (raise_of(OSError(errno.ENOSPC, "No space left on device", "/elsewhere")), "/elsewhere"),
        (raise_of(BrokenPipeError(errno.EPIPE, "Broken pipe")), None),
        (open_in_a_folder_that_is_gone, "a.npy/gone/b"),
    ],
)
def test_an_error_of_the_disk_names_what_was_to_be_written(tmp_path, write, named):
    with pytest.raises(OSError) as caught, disk.atomic_path(tmp_path / "a.npy") as temporary:  # noqa: PT011
        write(temporary)
    assert caught.value.filename == (None if named is None else str(tmp_path / named))
    assert left_in(tmp_path) == []


def test_what_numpy_says_of_a_full_disk_is_told_with_its_place(tmp_path):
    def write():
        with disk.atomic_path(tmp_path / "a.npy") as temporary:
            temporary.symlink_to("/dev/full")
            np.zeros(10**6).tofile(temporary)

    with pytest.raises(
        WorkbenchError, match=r"a\.npy cannot be written \(is the disk full\?\): \d+ requested and"
    ):
        write()
    assert left_in(tmp_path) == []


def test_a_full_disk_under_files_that_belong_together_names_their_folder(tmp_path):
    targets = [tmp_path / "o" / name for name in ("a.pdf", "a.json")]
    with pytest.raises(OSError, match="No space") as caught, disk.atomic_paths(targets):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.filename == str(tmp_path / "o")
