"""The package as a whole: instant to import, lazy in what it exports, every folder explained."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

import workbench

ROOT = Path(workbench.__file__).parent
HEAVY = {"torch", "transformers", "streamlit", "umap", "sentence_transformers", "numpy", "pandas", "pyarrow"}


def imported_by(code):
    script = f"import sys\n{code}\nprint(*sys.modules)"
    printed = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout
    return set(printed.splitlines()[-1].split())


def test_neither_the_package_nor_the_help_imports_anything_heavy():
    assert not HEAVY & imported_by("import workbench")
    assert not HEAVY & imported_by("from workbench.cli import main\nmain(['train', 'llm2vec-gen', '--help'])")


def test_help_takes_less_than_half_a_second_of_computing():
    """Processor time, since a busy machine says nothing about us."""
    times = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "workbench", "--help"], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(times) < 0.5


def test_public_names_come_from_their_modules():
    from workbench.backbone import Backbone
    from workbench.embedders.artifact import load_embedder

    assert workbench.Backbone is Backbone
    assert workbench.load_embedder is load_embedder
    assert set(workbench.__all__) <= set(dir(workbench))
    for name in workbench.__all__:
        assert getattr(workbench, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        workbench.nothing  # noqa: B018


def test_every_folder_says_in_one_sentence_what_it_is():
    for folder in {path.parent for path in ROOT.rglob("*.py")}:
        first = (folder / "__init__.py").read_text(encoding="utf-8").split('"""')
        assert first[0] == "", folder
        assert first[1].endswith("."), folder
        assert "\n" not in first[1], folder
