"""A run of the command line in this process: its exit code, what it printed, what it said."""

from typing import NamedTuple

import pytest


class Ran(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The single line that a failed command leaves on stderr, behind its notes."""
        assert self.err.endswith("\n")
        return self.err.splitlines()[-1]


@pytest.fixture
def cli(capsys, tmp_path, monkeypatch):
    """`cli("embed", "--text", "a")` runs the command with caches in the test's folder."""
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))

    def run(*arguments: object) -> Ran:
        from workbench.cli import main

        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        return Ran(code, *capsys.readouterr())

    return run


@pytest.fixture(scope="session")
def corpus_file(tmp_path_factory):
    """Twelve queries with responses, as `workbench respond` writes them."""
    import json

    path = tmp_path_factory.mktemp("corpus") / "corpus.jsonl"
    rows = [{"query": f"What is number {n}?", "response": f"Number {n} is {n}."} for n in range(12)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="session")
def tiny_embedder_dir(tmp_path_factory, tiny_backbone_dir):
    """A saved, untrained embedder of dimension 24 on the tiny backbone."""
    from workbench.backbone import Backbone
    from workbench.embedders.artifact import save
    from workbench.embedders.config import LLM2VecGenConfig
    from workbench.embedders.llm2vec_gen import LLM2VecGen

    backbone = Backbone.load(str(tiny_backbone_dir))
    config = LLM2VecGenConfig(n_compression=3, dimension=24, max_length=48)
    folder = tmp_path_factory.mktemp("embedder") / "tiny"
    save(LLM2VecGen.untrained(backbone, config), folder)
    return folder
