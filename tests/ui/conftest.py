"""A throw-away shipped default, made from the tiny backbone, and its data for pages that are given theirs."""

import json
import shutil

import pytest

HOSTILE = "<script>document.title = 'taken'</script> & <b>bold</b>"
TEXTS = {
    "What is the capital of France?": ("cities", "one_hop"),
    "What is the capital of Japan?": ("cities", "one_hop"),
    "Which continent is the country whose capital is Paris on?": ("countries", "two_hop"),
    "Which instrument has six strings?": ("instruments", "one_hop"),
    "Tell me about gold.": ("substances", "about"),
    "How does the writer feel? My best friend came to visit me.": ("emotions", "emotion"),
    HOSTILE: ("<i>harm</i>", "harmful"),
}


@pytest.fixture(scope="session")
def shipped_default(tmp_path_factory, tiny_backbone_dir):
    """A folder laid out as `data/`: fieldguide/{model, queries.jsonl}, embedders/llm2vec-gen, atlas/default.parquet.

    The embedder names its backbone "fieldguide", as the shipped one does, so WORKBENCH_DATA must point here.
    """
    from workbench.atlas import prebuilt
    from workbench.backbone import Backbone
    from workbench.embedders.artifact import save
    from workbench.embedders.config import LLM2VecGenConfig
    from workbench.embedders.llm2vec_gen import LLM2VecGen

    root = tmp_path_factory.mktemp("data")
    shutil.copytree(tiny_backbone_dir, root / "fieldguide" / "model")
    queries = [{"query": f"Tell me about number {number}."} for number in range(16)]
    lines = "".join(json.dumps(row) + "\n" for row in queries)
    (root / "fieldguide" / "queries.jsonl").write_text(lines, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_DATA", str(root))
        embedder = LLM2VecGen.untrained(
            Backbone.load("fieldguide"), LLM2VecGenConfig(n_compression=4, dimension=24)
        )
        save(embedder, root / "embedders" / "llm2vec-gen")
        rows = [{"topic": topic, "kind": kind} for topic, kind in TEXTS.values()]
        prebuilt.build(embedder, list(TEXTS), rows, output=root / "atlas" / "default.parquet")
    return root


@pytest.fixture
def use_shipped(shipped_default, monkeypatch, tmp_path):
    """The throw-away default in place of the shipped one, with empty caches."""
    import streamlit as st

    monkeypatch.setenv("WORKBENCH_DATA", str(shipped_default))
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))
    st.cache_data.clear()
    st.cache_resource.clear()
    return shipped_default


@pytest.fixture(scope="session")
def tiny_atlas(shipped_default):
    """The atlas of the throw-away default."""
    from workbench.atlas.prebuilt import load

    return load(shipped_default / "atlas" / "default.parquet")
