"""A view as a figure: drawn once it is opened, with the command that makes the same file."""

from streamlit.testing.v1 import AppTest

COMMAND = "workbench lens grid --figure lens.pdf -- 'a $b'"


def page(command):
    import streamlit as st
    from matplotlib.figure import Figure

    from workbench.ui import prints

    def make():
        st.session_state["made"] = st.session_state.get("made", 0) + 1
        return Figure(figsize=(1, 1))

    prints.figure_of(make, "lens", command)


def asked():
    import streamlit as st

    from workbench.ui import commands

    st.code(commands.lens_command("grid", st.query_params["text"], "a.pdf", "--probes", "my probes"))


def test_a_figure_is_drawn_only_once_it_is_opened():
    app = AppTest.from_function(page, args=(COMMAND,), default_timeout=60).run()
    assert "made" not in app.session_state
    assert not app.code
    app.session_state["print-lens"] = True
    app.run()
    assert not app.exception
    assert app.session_state["made"] == 2, "once for each kind of file"
    assert app.code[0].value == COMMAND


def test_the_command_quotes_the_text_and_names_the_embedder(use_shipped):
    app = AppTest.from_function(asked, default_timeout=60)
    app.query_params.update({"text": "-x'; rm $HOME", "embedder": "my/em bedder", "backbone": "b"})
    app.run()
    assert not app.exception
    assert app.code[0].value == (
        "workbench lens grid --probes 'my probes' --embedder 'my/em bedder' --backbone b --figure a.pdf "
        "-- '-x'\"'\"'; rm $HOME'"
    )
    app.query_params.update({"text": "gold", "embedder": "LLM2Vec-Gen"})
    app.run()
    folder = use_shipped / "embedders" / "llm2vec-gen"
    assert f"--embedder {folder} " in app.code[0].value
