"""The app as the router opens it, on a throw-away default in the place of the shipped one."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

ROOT = Path(__file__).parents[2]


def test_the_router_is_short_and_opens_the_first_page(use_shipped):
    source = (ROOT / "app.py").read_text()
    assert len(source.splitlines()) <= 16
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=90).run()
    assert not app.exception
    assert not app.error
    assert app.title[0].value == "Overview"
    assert not app.info


@pytest.mark.parametrize(
    ("page", "title"), [("neighbourhoods", "Neighbourhoods"), ("attention_masks", "Attention masks")]
)
def test_every_page_works_on_the_default(use_shipped, page, title):
    def script(name):
        from workbench.ui import pages

        getattr(pages, name)()

    app = AppTest.from_function(script, args=(page,), default_timeout=90)
    app.query_params["text"] = "Tell me about gold."
    app.run()
    assert not app.exception
    assert not app.error
    assert app.title[0].value == title
    assert app.get("plotly_chart")


def test_pages_without_a_map_work_on_the_default(use_shipped):
    def script():
        from workbench.ui import pages

        pages.decoded_contents()

    app = AppTest.from_function(script, default_timeout=90)
    app.query_params.update(text="Tell me about gold.", walk="true", to="What is the capital of France?")
    app.query_params["causes"] = "true"
    app.run()
    assert not app.exception
    assert not app.error
    assert len(app.get("plotly_chart")) == 1
    assert app.button_group(key="replaced").value == "nothing"
    shown = "".join(element.proto.body for element in app.get("html"))
    assert "Round trip" in shown
    assert "decoded texts of other queries" in shown
    assert shown.count('class="step"') == 7


def test_without_a_default_the_app_says_what_to_do(tmp_path, monkeypatch):
    from workbench import files

    monkeypatch.setattr(files, "PACKAGE", tmp_path / "nowhere" / "workbench")
    monkeypatch.delenv("WORKBENCH_DATA", raising=False)
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).run()
    assert not app.exception
    assert "is not there" in app.error[0].value
    assert "make fieldguide" in app.info[0].value


def test_an_atlas_of_another_embedder_is_refused(use_shipped, tmp_path, monkeypatch, tiny_atlas):
    import dataclasses
    import shutil

    import streamlit as st

    from workbench.atlas import prebuilt

    root = tmp_path / "data"
    shutil.copytree(use_shipped, root)
    facts = dataclasses.replace(tiny_atlas.facts, embedder="0" * 64)
    prebuilt.save(dataclasses.replace(tiny_atlas, facts=facts), root / "atlas" / "default.parquet")
    monkeypatch.setenv("WORKBENCH_DATA", str(root))
    st.cache_resource.clear()

    def script():
        from workbench.ui import pages

        pages.decoded_contents()

    app = AppTest.from_function(script, default_timeout=90).run()
    assert "does not fit" in app.error[0].value


def test_the_map_opens_without_torch(use_shipped):
    import subprocess
    import sys

    code = (
        "import sys; from workbench.ui import attention, compare, decoded, loaders, neighbourhoods, overview, pages;"
        "from workbench.ui import evaluation, figures, lenses, training;"
        "loaders.atlas();"
        "heavy = {'torch', 'transformers', 'umap', 'sklearn'} & set(sys.modules); sys.exit(', '.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
