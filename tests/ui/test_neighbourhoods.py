"""The page *Neighbourhoods* with data given to it: sources, the map, selections with undo, clusters, directions."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import HOSTILE
from streamlit.testing.v1 import AppTest
from test_pages import attention, html, reading, refuse

from workbench.atlas.clusters import Centres, gather
from workbench.atlas.directions import Directions
from workbench.atlas.named import Named
from workbench.atlas.points import of_atlas
from workbench.atlas.sample import Sample
from workbench.errors import FingerprintMismatch, UsageError
from workbench.ui.neighbourhoods import Source, focus
from workbench.ui.neighbourhoods import selection as picks
from workbench.ui.neighbourhoods.controls import encircled, picked, take


def source_of(atlas, own=reading, **changes) -> Source:
    """The throw-away atlas as a source whose answers are made up, and need no model."""
    points = of_atlas(atlas)

    def read(row):
        return replace(reading(points.texts[row]), decoded=[atlas.decoded[row]])

    def clusters(method, size):
        labels = np.array([0, 0, 0, 1, 1, 1, 1])
        found = gather(points.embeddings, points.texts, labels)
        vectors = np.stack([one.centroid for one in found])
        return Named(
            found, Centres(vectors, [HOSTILE, "About *metals*."], vectors[::-1]), Sample(np.arange(7), 7)
        )

    def direction(_):
        one, other = np.eye(24, dtype=np.float32)[:2]
        return Directions(one[None], other[None], one[None], one[None])

    def let(where):
        if where != "topic = 'cities'":
            raise UsageError(f"the filter {where!r}: no such thing")
        return [0, 1]

    found = Source(
        "atlas", points, own, read, near=lambda vector, k, where: points.near(vector, k), let=let, clusters=clusters,
        direction=direction, directions=lambda: SimpleNamespace(found=direction(None), sample=Sample(np.arange(2), 7)),
        others=0.1,
    )  # fmt: skip
    return replace(found, **changes)


def no_store(uri):
    raise FingerprintMismatch(f"the store {uri}", "embedder", "one", "another")


def map_page(source, store, hold, corpus):
    from workbench.ui import neighbourhoods

    neighbourhoods.page(neighbourhoods.Sources(lambda: source, store, hold, corpus))


def opened(given, /, *, opens=no_store, hold=None, corpus=None, **query) -> AppTest:
    app = AppTest.from_function(map_page, args=(given, opens, hold, corpus), default_timeout=90)
    app.query_params.update(query)
    return app.run()


def opened_store(store):
    return opened(None, opens=store, source="store", store="my/store")


def spec(app) -> str:
    return app.get("plotly_chart")[0].proto.spec


def press(app, label):
    next(button for button in app.button if button.label == label).click().run()


def test_map_opens_without_embedding_anything(tiny_atlas):
    app = opened(source_of(tiny_atlas, refuse))
    shown = html(app)
    assert not app.error
    assert "Nothing chosen yet" in shown
    assert f"map of {len(tiny_atlas)} texts keeps" in shown
    assert app.get("plotly_chart")


def test_the_map_is_a_figure_once_it_is_opened(tiny_atlas):
    app = opened(source_of(tiny_atlas), text=HOSTILE)
    assert not app.get("download_button")
    app.session_state["print-map"] = True
    app.run()
    assert not app.exception
    assert [one.proto.label for one in app.get("download_button")] == ["PDF", "SVG"]


def test_map_shows_a_chosen_text_with_its_neighbours(tiny_atlas):
    app = opened(source_of(tiny_atlas))
    app.selectbox(key="point").select_index(2).run()
    shown = html(app)
    assert tiny_atlas.texts[2] in shown
    assert "Nearest texts" in shown
    assert shown.count('class="rank"') == len(tiny_atlas) - 1


def test_map_places_the_own_text_and_looks_at_it(tiny_atlas):
    app = opened(source_of(tiny_atlas), text="What is silver?")
    assert app.selectbox(key="point").value == -1
    assert "Your text" in html(app)
    assert "Kyoto is the capital." in html(app)
    assert "your text" in spec(app)


def test_map_escapes_the_texts_of_a_corpus(tiny_atlas):
    app = opened(source_of(tiny_atlas), panel="Clusters", colour="clusters")
    app.selectbox(key="point").select_index(len(tiny_atlas) - 1).run()
    assert "<script" not in html(app) + spec(app)
    sentence = next(button.label for button in app.button if "taken" in button.label)
    assert "\\<script\\>" in sentence
    app.segmented_control(key="panel").set_value("Reading").run() if hasattr(
        app, "segmented_control"
    ) else None
    assert "<script" not in html(app) + spec(app)


def test_errors_are_one_line_and_only_those_of_the_own_text_end_the_page(tiny_atlas):
    assert len(opened(source_of(tiny_atlas, refuse), text="mine").error) == 1
    wrong = opened(source_of(tiny_atlas), where="topic == nothing")
    assert len(wrong.error) == 1
    assert "no such thing" in wrong.error[0].value
    assert wrong.get("plotly_chart"), "the map stays"
    unread = opened(source_of(tiny_atlas, read=refuse), point=tiny_atlas.texts[2])
    assert len(unread.error) == 1
    assert html(unread).count('class="rank"') == len(tiny_atlas) - 1, "its neighbours are shown all the same"


def test_an_empty_source_says_so(tiny_atlas):
    points = of_atlas(tiny_atlas)
    nothing = replace(
        points,
        ids=[],
        texts=[],
        metadata={},
        embeddings=points.embeddings[:0],
        coords=points.coords[:0],
        decoded=None,
    )
    assert "holds no texts" in html(opened(source_of(tiny_atlas, points=nothing)))


def test_a_filter_hides_the_other_points_and_can_be_selected(tiny_atlas):
    app = opened(source_of(tiny_atlas), where="topic = 'cities'")
    assert "The filter lets 2 of 7 through" in html(app)
    assert "instruments" not in spec(app)
    press(app, "Select the 2 texts that fit the filter")
    assert app.query_params["rows"] == "0-1"
    assert app.dataframe[0].value["text"].tolist() == tiny_atlas.texts[:2]


def test_a_selection_is_a_table_in_the_link_and_can_be_undone(tiny_atlas):
    app = opened(source_of(tiny_atlas), panel="Clusters")
    large, small = (button for button in app.button if button.key and button.key.startswith("cluster-"))
    large.click().run()
    assert app.query_params["rows"] == "3-6"
    assert app.dataframe[0].value["text"].tolist() == tiny_atlas.texts[3:]
    next(button for button in app.button if button.key == small.key).click().run()
    assert app.query_params["rows"] == "0-2"
    press(app, "Undo")
    assert app.query_params["rows"] == "3-6"
    press(app, "Undo")
    assert "rows" not in app.query_params
    press(app, "Redo")
    assert app.query_params["rows"] == "3-6"
    press(app, "Select none")
    assert "rows" not in app.query_params
    assert html(app)


def test_a_link_selects_and_a_wrong_one_is_said(tiny_atlas):
    assert "2 selected texts" in [box.label for box in opened(source_of(tiny_atlas), rows="1,4").expander]
    for wrong, said in (("0-99", "row 99"), ("x", "by numbers")):
        app = opened(source_of(tiny_atlas), rows=wrong)
        assert not app.exception
        assert said in app.error[0].value


def test_clusters_are_found_only_where_they_are_asked_for(tiny_atlas):
    quiet = source_of(tiny_atlas, clusters=refuse)
    assert not opened(quiet).error
    assert len(opened(quiet, colour="clusters").error) == 1
    app = opened(source_of(tiny_atlas), panel="Clusters")
    shown = html(app)
    assert "2 clusters" in shown
    assert "4 texts · cosine" in shown
    assert "(others 1.00)" in shown, "each centre's sentence was the other's vector"


def test_directions_are_arrows_on_the_map_and_a_share(tiny_atlas):
    app = opened(source_of(tiny_atlas), panel="Directions", text="mine")
    shown = html(app)
    assert "100%" in shown
    assert "of 2 of 7 texts" in shown
    assert '"arrowhead"' in spec(app)
    assert "Real response" in spec(app)
    bare = opened(source_of(tiny_atlas), panel="Directions")
    assert "100%" in html(bare)
    assert '"arrowhead"' not in spec(bare)


def test_a_store_is_asked_for_opened_and_refused_with_both_sides(tiny_atlas):
    asked = opened(source_of(tiny_atlas), source="store")
    assert "workbench atlas build" in asked.info[0].value
    assert not asked.get("plotly_chart")
    refused = opened_store(no_store)
    assert "its embedder is one, but another is loaded" in refused.error[0].value.replace("\\", "")
    asked_for = []
    found = opened_store(lambda uri: asked_for.append(uri) or source_of(tiny_atlas, says="7 of 9 rows"))
    assert asked_for == ["my/store"]
    assert "7 of 9 rows." in html(found)
    assert found.get("plotly_chart")


def test_a_file_is_brought_embedded_once_and_forgotten(tiny_atlas):
    embedded = []

    def hold(name, data):
        if name.endswith(".txt"):
            raise UsageError(f"{name} is empty")
        return SimpleNamespace(column=None, columns=["a", "b"], name=name)

    def corpus(held, column, progress):
        progress(3, 7)
        embedded.append((held.name, column))
        return lambda drawn: source_of(tiny_atlas, says=f"{drawn} of {held.name}")

    app = opened(source_of(tiny_atlas), hold=hold, corpus=corpus, source="file")
    assert "Nothing chosen yet: bring a file" in html(app)
    app.file_uploader[0].set_value(("wrong.txt", b"", "text/plain")).run()
    assert [error.value for error in app.error] == ["wrong\\.txt is empty"]
    app.file_uploader[0].set_value((f"{HOSTILE}.csv", b"a,b", "text/csv")).run()
    assert not embedded, "the column is asked for first"
    app.selectbox(key="column").set_value("b").run()
    assert embedded == [(f"{HOSTILE}.csv", "b")]
    assert "PCA of &lt;script&gt;" in html(app)
    app.selectbox(key="point").select_index(2).run()
    assert len(embedded) == 1
    assert tiny_atlas.texts[2] in html(app)


def test_a_text_from_a_link_goes_along_to_the_next_page(tiny_atlas):
    def both(page, attend, given):
        from workbench.ui import attention, neighbourhoods

        if page["name"] == "attention":
            attention.page(attend)
        else:
            neighbourhoods.page(neighbourhoods.Sources(lambda: given, attend, attend, attend))

    page = {"name": "attention"}
    app = AppTest.from_function(both, args=(page, attention, source_of(tiny_atlas)), default_timeout=60)
    app.query_params["text"] = "from a link"
    app.run()
    page["name"] = "neighbourhoods"
    del app.query_params["text"]  # as Streamlit does on a change of page
    app.run()
    assert app.text_area(key="text").value == "from a link"
    assert "Kyoto is the capital." in html(app)


def test_equal_texts_are_told_apart_and_words_are_found(tiny_atlas):
    points = replace(of_atlas(tiny_atlas), texts=["Gold ore", "Gold ore", "iron", "Old GOLD", "a", "b", "c"])
    assert focus.labels(points, [0, 1, 2]) == {0: "Gold ore (row 0)", 1: "Gold ore (row 1)", 2: "iron"}
    assert focus.containing(points, "OLD gold") == [0, 1, 3], "both words are in gold"
    assert focus.containing(points, "gold", most=2) == [0, 1]
    assert focus.containing(points, " ") == []


def test_of_many_texts_only_those_with_the_words_are_listed(tiny_atlas, monkeypatch):
    monkeypatch.setattr(focus, "FEW", 3)
    app = opened(source_of(tiny_atlas), find="capital", point="Tell me about gold.")
    box = app.selectbox(key="point")
    listed = [tiny_atlas.texts[row] for row in (0, 1, 2)]
    assert box.options == [*listed, "Tell me about gold."], "what the link names is there too"
    assert box.value == 4
    assert "Nearest texts" in html(app)


@pytest.mark.parametrize(
    ("event", "rows"),
    [
        (None, []),
        ({"selection": {"points": []}}, []),
        ({"selection": {"points": [{"curve_number": 4}]}}, []),
        ({"selection": {"points": [{"customdata": 3}, {"customdata": 5}]}}, [3, 5]),
        ({"selection": {"points": [{"customdata": [7]}]}}, [7]),
        ({"selection": {"points": [{"customdata": -1}]}}, [-1]),
    ],
)
def test_a_selection_names_its_rows(event, rows):
    assert picked(event) == rows


def test_a_lasso_selects_and_a_click_looks(monkeypatch):
    done = []
    monkeypatch.setattr(picks, "choose", lambda key, rows: done.append((key, list(rows))))
    monkeypatch.setattr(focus, "look_at", done.append)
    points = [{"customdata": 3}, {"customdata": -1}, {"customdata": 1}]
    take({"selection": {"points": points, "lasso": [{"x": [0]}], "box": []}}, "a")
    take({"selection": {"points": points, "lasso": [], "box": []}}, "a")
    take({"selection": {"points": [], "lasso": [], "box": []}}, "a")
    assert done == [("a", [3, 1]), 1]
    assert encircled({"selection": {"points": [], "box": [{}]}})


def test_a_history_goes_back_and_forth_and_is_bounded():
    history = picks.History().choose([2, 1, 1]).choose([1, 2]).choose([5])
    assert history.past == ((), (1, 2)), "the same selection again is none"
    assert history.undo().now == (1, 2)
    assert history.undo().redo() == history
    assert history.undo().choose([9]).future == (), "a new selection ends what was undone"
    assert picks.History().undo() == picks.History().redo() == picks.History()
    for row in range(200):
        history = history.choose([row])
    assert len(history.past) == picks.KEPT


@pytest.mark.parametrize("rows", [(), (3,), (0, 1, 2, 3, 7), (1, 3, 5), tuple(range(40))])
def test_a_selection_goes_through_the_link(rows):
    assert picks.unpacked(picks.packed(rows), 40) == rows


def test_only_a_short_selection_is_in_the_link():
    assert picks.packed((0, 1, 2, 3, 7)) == "0-3,7"
    assert picks.in_link(tuple(range(100_000)))
    assert not picks.in_link(tuple(range(0, 1000, 2)))
