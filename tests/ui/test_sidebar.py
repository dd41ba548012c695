"""The sidebar: the chosen embedder, another one by path, what is said where it does not fit, and memory."""

import json
import shutil

import pytest
from streamlit.testing.v1 import AppTest

from workbench.errors import UsageError
from workbench.ui import loaders


def sidebar_page():
    import streamlit as st

    from workbench.ui import loaders, sidebar, state

    with state.problems("choose another"):
        choice = sidebar.choose()
        st.text(f"{choice.name} {choice.is_default} {choice.source.path}")
        st.text(str(loaders.loaded(choice.source).embedder.dimension))


def opened(**query):
    app = AppTest.from_function(sidebar_page, default_timeout=90)
    app.query_params.update(query)
    return app.run()


@pytest.fixture
def other(use_shipped, tmp_path):
    """Another embedder: the shipped one in a folder of its own, under a name that is no HTML."""
    folder = tmp_path / "<b>other"
    shutil.copytree(use_shipped / "embedders" / "llm2vec-gen", folder)
    return folder


def test_the_default_is_chosen_and_named(use_shipped):
    app = opened()
    assert not app.exception
    assert app.radio(key="embedder").options == ["LLM2Vec-Gen"]
    assert app.text[0].value.startswith("LLM2Vec-Gen True")
    assert app.text[1].value == "24"
    facts = app.sidebar.get("html")[0].proto.body
    assert "24 dimensions" in facts
    assert loaders.source().fingerprint[:8] in facts


def test_a_link_opens_another_embedder(other):
    app = opened(embedder=str(other))
    assert not app.exception
    assert not app.error
    assert app.radio(key="embedder").value == str(other)
    assert app.text[0].value == f"{other.name} False {other}"
    assert "<b>" not in app.sidebar.get("html")[0].proto.body


def test_a_typed_folder_is_opened_and_the_shipped_one_stays_a_click_away(other):
    app = opened()
    app.text_input(key="another embedder").input(str(other))
    app.button(key="FormSubmitter:open another-Open").click().run()
    assert app.radio(key="embedder").value == str(other)
    assert str(other) in app.query_params["embedder"]
    assert app.text[0].value.startswith(f"{other.name} False")
    app.radio(key="embedder").set_value("LLM2Vec-Gen").run()
    assert app.text[0].value.startswith("LLM2Vec-Gen True")
    assert len(app.radio(key="embedder").options) == 2, "it stays open"
    assert "embedder" not in app.query_params


def test_a_name_from_a_link_stays_text(use_shipped):
    """Markdown in a label could fetch an image from elsewhere."""
    app = opened(embedder="![x](http://elsewhere/x.png)")
    assert app.radio(key="embedder").options[1] == "\\!\\[x\\]\\(http\\://elsewhere/x\\.png\\)"
    assert len(app.error) == 1
    assert "![" not in app.error[0].value


def test_a_folder_that_is_no_embedder_is_one_line_and_can_be_closed(use_shipped, tmp_path):
    app = opened(embedder=str(tmp_path))
    assert len(app.error) == 1
    assert "is no embedder" in app.error[0].value
    assert not app.exception
    app.button(key="close").click().run()
    assert not app.error
    assert app.text[0].value.startswith("LLM2Vec-Gen True")


def test_another_backbone_is_refused_with_both_sides(other, make_tiny, tmp_path):
    backbone = tmp_path / "backbone"
    tiny = make_tiny("llama", seed=5)
    tiny.model.save_pretrained(backbone)
    tiny.tokenizer.save_pretrained(backbone)
    app = opened(embedder=str(other), backbone=str(backbone))
    assert len(app.error) == 1
    assert "does not fit" in app.error[0].value
    saved = json.loads((other / "config.json").read_text())["fingerprint"]
    assert any(print_[:12] in app.error[0].value for print_ in saved.values() if print_)
    app.text_input(key="backbone").set_value("").run()
    assert not app.error, "its own backbone fits"


def test_what_is_opened_goes_along_to_the_next_page(other):
    def page(seen):
        import streamlit as st

        from workbench.ui import sidebar

        if seen["page"]:
            st.text(sidebar.choose().name)

    seen = {"page": "a page"}
    app = AppTest.from_function(page, args=(seen,), default_timeout=90)
    app.query_params["embedder"] = str(other)
    app.run()
    seen["page"] = ""
    app.run()  # as between two pages, Streamlit forgets the widget and its part of the URL
    app.query_params.clear()
    seen["page"] = "the next page"
    app.run()
    assert app.text[0].value == other.name
    assert app.radio(key="embedder").value == str(other)


def test_models_are_loaded_once_and_unloaded(other):
    mine = loaders.source(other)
    first = loaders.loaded(mine)
    assert loaders.loaded(loaders.source(other)) is first
    assert loaders.in_memory(mine)
    loaders.unload(mine)
    assert not loaders.in_memory(mine)
    assert loaders.loaded(mine) is not first


def test_the_collection_after_every_run_leaves_a_model_out_which_still_goes_when_unloaded(other):
    import gc
    import weakref

    mine = loaders.source(other)
    gone = weakref.ref(loaders.loaded(mine).embedder)
    assert gc.get_freeze_count() > 100_000  # torch and transformers among it
    loaders.unload(mine)
    assert gone() is None


def test_two_models_are_kept_at_most(other, tmp_path):
    import gc

    sources = [loaders.source(), loaders.source(other), loaders.source(other, dtype="bfloat16")]
    for at in sources:
        loaders.loaded(at)
    gc.collect()
    assert [loaders.in_memory(at) for at in sources] == [False, True, True]


def test_the_key_changes_with_the_artifact_the_backbone_and_the_dtype(other):
    before = loaders.source(other)
    assert before != loaders.source(other, dtype="bfloat16")
    assert before != loaders.source(other, backbone="fieldguide")
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**config, "weights": "0" * 64}))
    assert loaders.source(other) != before


def test_a_hub_id_out_of_reach_is_one_line(use_shipped):
    with pytest.raises(UsageError, match=r"no embedder at someone/something.*hf download someone/something"):
        loaders.source("someone/something")


def test_the_unload_button_frees_what_is_looked_at(use_shipped):
    app = opened()
    app.run()  # the button stands once the model is in memory
    before = loaders.loaded(loaders.source())
    app.button(key="unload").click().run()
    assert loaders.loaded(loaders.source()) is not before
