"""The page *Compare* with data given to it: linked selection, both readings, the steps of a run, what goes wrong."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import HOSTILE
from streamlit.testing.v1 import AppTest
from test_pages import html, reading

from workbench.atlas.compared_texts import ComparedTexts, of_atlas
from workbench.atlas.comparison import approach, compare, maps
from workbench.errors import UsageError, WorkbenchError
from workbench.ui.compare import Decoded, Opened, Side, Watched


def vectors(seed, n=7, d=24):
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


def side(name, seed, d=24, own=True):
    def read(text):
        vector = vectors(seed, 1, d)
        found = reading(text, decoded=f"{name} says Kyoto.")
        return replace(found, embeddings=vector, decoded_embeddings=vector)

    return Side(
        name, f"{name} {seed}", vectors(seed, d=d), own=read if own else None,
        decoded=lambda row: Decoded(f"{name} reads {row} {HOSTILE}", f"answer {row}", 0.5, "its decoded text"),
    )  # fmt: skip


def opened_with(known, /, **changes) -> Opened:
    def either(name, texts, progress):
        progress(3, 7)
        return side(name or "LLM2Vec-Gen", 1 if name else 0, 32 if name else 24)

    return replace(
        Opened(
            "LLM2Vec-Gen", ["GEM"], lambda: of_atlas(known), refuse, refuse, either,
            compared=lambda a, b: compare(a.vectors, b.vectors, k=3),
            maps=lambda a, b, drawn: maps([a.vectors, b.vectors]), runs=[], watch=refuse,
        ),
        **changes,
    )  # fmt: skip


def watched(texts, steps=(0, 100, 200)):
    sets = [vectors(9) * step + vectors(3) for step in (1, 2, 300)]

    def at(step):
        number = steps.index(step)
        said = None if step == 0 else Decoded(f"decoded at {step}", "", None, "")
        return Side(
            f"Step {step}", f"run {step}", sets[number], decoded=lambda row: said if row == 1 else None
        )

    return Watched(
        texts, list(steps), at, lambda: approach(sets, sets[-1], k=3), lambda: maps([sets[-1], *sets])[1:]
    )


def refuse(*_):
    raise WorkbenchError("the file *is* <b>gone</b>")


def compare_page(given):
    from workbench.ui import compare

    compare.page(given)


def opened(given, **query) -> AppTest:
    app = AppTest.from_function(compare_page, args=(given,), default_timeout=90)
    app.query_params.update(query)
    return app.run()


def spec(app) -> str:
    return app.get("plotly_chart")[-1].proto.spec


def plain(spec: str) -> str:
    return spec.replace("\\u003c", "<").replace("\\u003e", ">").replace("\\u002f", "/")


def press(app, label):
    next(button for button in app.button if button.label == label).click().run()


def test_the_page_compares_the_sidebar_s_embedder_with_another(tiny_atlas):
    app = opened(opened_with(tiny_atlas))
    assert not app.error
    shown = html(app)
    found = compare(vectors(0), vectors(1, d=32), k=3)
    for value in (f"{found.overlap.mean:.0%}", f"{found.cka.value:.2f}", f"{found.residual.value:.2f}"):
        assert f'<div class="wb-value">{value}' in shown
    assert "Unrelated spaces share 50%" in shown, "3 of 6 others"
    assert f"{found.cka.shuffled:.2f} for texts paired at random" in shown
    assert "Nothing chosen yet" in shown
    assert "<b>GEM</b>" in plain(spec(app))
    assert "<script" not in shown + spec(app)


def test_a_text_looked_at_is_read_on_both_sides_with_its_neighbours(tiny_atlas):
    app = opened(opened_with(tiny_atlas))
    app.selectbox(key="point").select_index(2).run()
    shown = html(app)
    assert "LLM2Vec-Gen decodes it to" in shown
    assert "GEM decodes it to" in shown
    assert 'class="decoded"' in shown, "what only one of them says is marked"
    assert "Cosine with its decoded text: 0.50" in shown
    assert shown.count('class="rank"') == 6, "3 neighbours on each side"
    found = compare(vectors(0), vectors(1, d=32), k=3).overlap
    both = len(set(found.left[2]) & set(found.right[2]))
    assert f"{both} of 3 neighbours are on both sides" in shown
    assert shown.count("✓ on both sides") == 2 * both
    assert "<script" not in shown


def test_a_click_on_either_map_looks_at_the_text_and_a_lasso_selects_it_on_both(tiny_atlas):
    app = opened(opened_with(tiny_atlas), point=tiny_atlas.texts[4])
    assert tiny_atlas.texts[4] in html(app)
    key = f"compared {of_atlas(tiny_atlas).key}"
    event = {
        "selection": {"points": [{"customdata": 5}, {"customdata": 1}], "lasso": [{"x": [0]}], "box": []}
    }

    def choose(given, event, key):
        import streamlit as st

        from workbench.ui import compare
        from workbench.ui.neighbourhoods.controls import take

        if st.session_state.pop("lasso", False):
            take(event, key)
        compare.page(given)

    app = AppTest.from_function(choose, args=(opened_with(tiny_atlas), event, key), default_timeout=90)
    app.session_state["lasso"] = True
    app.run()
    assert not app.exception
    assert app.query_params["rows"] == "1,5"
    frame = app.dataframe[0].value
    assert frame["text"].tolist() == [tiny_atlas.texts[1], tiny_atlas.texts[5]]
    found = compare(vectors(0), vectors(1, d=32), k=3).overlap
    assert frame["nearest, left"][0] == " | ".join(tiny_atlas.texts[row] for row in found.left[1])
    assert frame["shared neighbours"].tolist() == found.per_text[[1, 5]].tolist()
    assert spec(app).count('"selectedpoints"') >= 2 * len({*tiny_atlas.topics}), "on both maps"
    press(app, "Undo")
    assert "rows" not in app.query_params
    press(app, "Redo")
    assert "rows" in app.query_params
    press(app, "Select none")
    assert "rows" not in app.query_params


def test_the_texts_that_differ_most_can_be_looked_at(tiny_atlas):
    app = opened(opened_with(tiny_atlas))
    found = compare(vectors(0), vectors(1, d=32), k=3).overlap
    row = int(found.least(1)[0])
    listed = [button for button in app.button if button.key and button.key.startswith("differ-")]
    assert listed[0].key == f"differ-{row}"
    assert f"{round(found.per_text[row] * 3)} of 3 neighbours shared" in html(app)
    listed[0].click().run()
    assert app.selectbox(key="point").value == row


def test_a_text_of_one_s_own_stands_on_both_maps(tiny_atlas):
    app = opened(opened_with(tiny_atlas), text="What is silver?")
    shown = html(app)
    assert "What is silver?" in shown
    assert "<mark" in shown
    assert plain(spec(app)).count("<b>your text</b>") == 2


def test_the_whole_is_a_table(tiny_atlas):
    app = opened(opened_with(tiny_atlas))
    app.session_state["table-compare"] = True
    app.run()
    frame = app.dataframe[-1].value
    assert list(frame) == [
        "text", "topic", "kind", "shared neighbours", "x, left", "y, left", "x, right", "y, right"
    ]  # fmt: skip
    laid = maps([vectors(0), vectors(1, d=32)])
    np.testing.assert_allclose(frame["y, right"], laid[1].coords[:, 1], atol=1e-6)


def test_both_maps_and_the_run_s_curve_are_figures(tiny_atlas):
    texts = of_atlas(tiny_atlas)
    given = opened_with(tiny_atlas, runs=["run"], watch=lambda _: watched(texts))
    app = opened(given, compare="a training run")
    assert not app.get("download_button")
    app.session_state["print-two-maps"] = app.session_state["print-approach"] = True
    app.run()
    assert not app.exception
    assert [one.proto.label for one in app.get("download_button")] == ["PDF", "SVG"] * 2
    assert not app.code, "no command makes these very maps"


def test_colours_of_other_texts_do_not_stay(tiny_atlas):
    app = opened(opened_with(tiny_atlas), shade="shared neighbours")
    assert '"colorbar"' in spec(app)
    assert not app.error
    plain = ComparedTexts(tiny_atlas.texts, {}, "")
    assert not opened(opened_with(tiny_atlas, atlas=lambda: plain)).error


@pytest.mark.parametrize("part", ["atlas", "side", "compared", "maps"])
def test_what_cannot_be_opened_is_one_line(tiny_atlas, part):
    app = opened(opened_with(tiny_atlas, **{part: refuse}))
    assert not app.exception
    assert [error.value for error in app.error] == ["the file \\*is\\* \\<b\\>gone\\</b\\>"]


def test_where_nothing_can_be_chosen_it_says_so(tiny_atlas):
    app = opened(opened_with(tiny_atlas, others=[]))
    assert "Nothing to compare with yet" in html(app)
    named = []

    def either(name, texts, progress):
        named.append(name)
        return side(name or "LLM2Vec-Gen", 0)

    app = opened(opened_with(tiny_atlas, others=[], side=either), **{"with": "my/embedder"})
    assert named == ["", "my/embedder"]
    assert not app.error


def test_a_reading_that_fails_leaves_the_maps(tiny_atlas):
    def either(name, texts, progress):
        return replace(side(name or "a", 0), decoded=refuse, own=refuse)

    app = opened(opened_with(tiny_atlas, side=either), text="mine", point=tiny_atlas.texts[2])
    assert not app.exception
    assert app.error
    assert app.get("plotly_chart")


def test_a_file_is_brought_and_only_its_texts_are_compared(tiny_atlas):
    asked = []

    def hold(name, data):
        if data == b"":
            raise UsageError(f"{name} is empty")
        return SimpleNamespace(column=None, columns=["a", "b"], name=name)

    def texts(held, column):
        asked.append(column)
        return ComparedTexts(tiny_atlas.texts, {"group": list("abcabca")}, f"7 of the 9 rows of {held.name}")

    app = opened(opened_with(tiny_atlas, hold=hold, texts=texts), texts="file")
    assert "bring a file" in html(app)
    assert not app.get("plotly_chart")
    app.file_uploader[0].set_value((f"{HOSTILE}.csv", b"a,b", "text/csv")).run()
    assert not asked, "the column is asked for first"
    app.selectbox(key="texts-column").set_value("b").run()
    assert asked == ["b"]
    assert "7 of the 9 rows of &lt;script&gt;" in html(app)
    app.selectbox(key="point").select_index(2).run()
    assert asked == ["b"], "it is read once"
    app.file_uploader[0].set_value(("none.csv", b"", "text/csv")).run()
    assert "none" in app.error[0].value


def test_a_run_s_steps_stand_beside_its_last_one(tiny_atlas):
    given = opened_with(tiny_atlas, runs=["runs/mine"], watch=lambda folder: watched(of_atlas(tiny_atlas)))
    app = opened(given, compare="a training run")
    assert not app.error
    assert app.select_slider(key="at_step").value == "0"
    assert app.select_slider(key="beside_step").value == "200"
    assert "Step 0" in spec(app)
    assert "Step 200" in spec(app)
    app.select_slider(key="at_step").set_value("100").run()
    assert "Step 100" in spec(app)
    app.session_state["table-approach"] = True
    app.run()
    frame = app.dataframe[0].value
    assert frame["step"].tolist() == [0, 100, 200]
    assert frame["overlap"].tolist()[-1] == 1
    assert frame["residual"].tolist()[-1] == pytest.approx(0, abs=1e-5)
    assert not [box for box in app.text_area if box.key == "text"], "no text can be read any more"


def test_what_was_decoded_at_both_steps_is_shown_where_it_was(tiny_atlas):
    given = opened_with(tiny_atlas, runs=["runs/mine"], watch=lambda folder: watched(of_atlas(tiny_atlas)))
    app = opened(given, compare="a training run", point=tiny_atlas.texts[1])
    shown = html(app)
    assert "decoded at 200" in shown
    assert shown.count("Not decoded") == 1
    assert "Not decoded" in html(opened(given, compare="a training run", point=tiny_atlas.texts[2]))


def test_a_run_that_was_not_watched_or_only_once_says_so(tiny_atlas):
    assert "No watched run yet" in html(opened(opened_with(tiny_atlas), compare="a training run"))
    gone = opened(opened_with(tiny_atlas), compare="a training run", run="runs/gone")
    assert len(gone.error) == 1
    assert "--watch-every" in gone.info[0].value
    once = opened_with(tiny_atlas, watch=lambda folder: watched(of_atlas(tiny_atlas), steps=(0,)))
    app = opened(once, compare="a training run", run="runs/mine")
    assert "looked at once so far, at step 0" in html(app)
    assert not app.get("plotly_chart")


def test_the_steps_of_another_run_do_not_stay(tiny_atlas):
    runs = {"a": watched(of_atlas(tiny_atlas)), "b": watched(of_atlas(tiny_atlas), steps=(0, 5, 7))}
    app = opened(opened_with(tiny_atlas, runs=list(runs), watch=runs.get), compare="a training run")
    app.select_slider(key="at_step").set_value("100").run()
    app.selectbox(key="run").set_value("b").run()
    assert not app.exception
    assert app.select_slider(key="at_step").value == "0"
