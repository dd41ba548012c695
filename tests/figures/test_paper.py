"""Paper figures: every one draws from small results, in print sizes, and refuses others in one line."""

import copy
from itertools import combinations

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.text import Text
from paper_results import SYNTHETIC

from workbench.errors import UsageError, WorkbenchError
from workbench.figures.paper import intervals, style
from workbench.figures.paper.export import as_bytes
from workbench.figures.paper.figure import PaperFigure
from workbench.figures.paper.needs import Many, Maybe, Named
from workbench.figures.paper.registry import FIGURES, figure_named
from workbench.figures.paper.results import read_results
from workbench.files import write_json

WIDTHS = [style.VENUES["acl"].column, style.VENUES["acl"].page, style.VENUES["neurips"].page]
NAMES = [figure.name for figure in FIGURES]


@pytest.fixture
def drawn_texts(monkeypatch):
    """Every text with letters that a canvas really draws, in order: ticks beyond an axis's end are never drawn."""
    found, draw = [], Text.draw

    def noted(text, renderer, *args, **options):
        if text.get_visible() and text.get_text().strip():
            found.append(text)
        return draw(text, renderer, *args, **options)

    monkeypatch.setattr(Text, "draw", noted)
    return found


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_every_figure_draws_within_its_page_in_letters_that_can_be_read(name, width, drawn_texts):
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    drawn = figure_named(name).drawn(SYNTHETIC[name](), width)
    assert drawn.get_figwidth() == width
    FigureCanvasAgg(drawn).draw()
    page = drawn.bbox
    assert drawn_texts
    for text in drawn_texts:
        assert text.get_fontsize() >= style.SMALLEST, text
        box = text.get_window_extent()
        assert box.x0 >= -1, (text, box)
        assert box.x1 <= page.x1 + 1, (text, box)
        assert box.y0 >= -1, (text, box)
        assert box.y1 <= page.y1 + 1, (text, box)
    boxes = {text: text.get_window_extent() for text in drawn_texts}
    for one, other in combinations(boxes, 2):
        across = min(boxes[one].x1, boxes[other].x1) - max(boxes[one].x0, boxes[other].x0)
        up = min(boxes[one].y1, boxes[other].y1) - max(boxes[one].y0, boxes[other].y0)
        assert across < 1 or up < 1.5, (one, other)
    for axes in drawn.axes:
        if (legend := axes.get_legend()) is not None:
            box, room = legend.get_window_extent(), axes.bbox
            below = box.y1 <= room.y0  # where it hides nothing
            assert below or box.x0 >= room.x0, (axes.get_title("left"), box, room)


def test_a_reference_shows_on_a_grid_of_the_same_height():
    axes = style.sheet(3.0, 2.0).subplots()
    axes.grid(visible=True, axis="y")
    intervals.reference(axes, 0.5)
    intervals.upright(axes, [0, 1], [{"value": 0.5, "low": 0.4, "high": 0.6}] * 2, colour="black")
    reference, joined, _ = axes.lines
    assert axes.yaxis.get_zorder() < reference.get_zorder() < joined.get_zorder()


@pytest.mark.parametrize("name", NAMES)
def test_captions_hold_their_numbers(name):
    figure, results = figure_named(name), SYNTHETIC[name]()
    said = figure.said(results)
    assert said.endswith((".", ")"))
    assert "{" not in said.replace(str(results["numbers"].get("text")), "")


@pytest.mark.parametrize("name", NAMES)
def test_results_that_lack_something_are_refused_in_one_line(name):
    figure = figure_named(name)
    figure.check(SYNTHETIC[name]())
    for part in ("data", "numbers"):
        for key in SYNTHETIC[name]()[part]:
            lacking = copy.deepcopy(SYNTHETIC[name]())
            del lacking[part][key]
            with pytest.raises(WorkbenchError) as told:
                figure.check(lacking)
            assert f"lack {part}.{key}: `{figure.command}` measures them anew" in str(told.value)


def needed(need, value):
    """Of a value only what is declared as needed."""
    match need:
        case dict():
            return {key: needed(part, value[key]) for key, part in need.items()}
        case Many():
            return [needed(need.of, one) for one in value]
        case Named():
            return {name: needed(need.of, one) for name, one in value.items()}
        case Maybe():
            return None if value is None else needed(need.of, value)
    return value


@pytest.mark.parametrize("name", NAMES)
def test_what_is_declared_is_all_that_is_drawn(name):
    figure, results = figure_named(name), SYNTHETIC[name]()
    results["data"] = needed(figure.needs, results["data"])
    figure.drawn(results, WIDTHS[0])
    figure.tabled(results)


@pytest.mark.parametrize("name", NAMES)
def test_values_of_another_kind_are_refused_in_one_line(name):
    figure = figure_named(name)
    for key in figure.needs:
        results = SYNTHETIC[name]()
        results["data"][key] = "nothing"
        with pytest.raises(
            WorkbenchError, match=rf"^the results of {name} do not fit \(data.{key} is 'nothing', not"
        ):
            figure.check(results)


def test_a_mistake_in_a_drawing_is_no_fault_of_the_results():
    def draw(results, width):
        return results["data"]["rows"][0]["scroe"]

    figure = PaperFigure("a", "A", "{n} rows.", "make a", draw, {"rows": Many({"score": float})})
    results = {"data": {"rows": [{"score": 1.0}]}, "numbers": {"n": 1}}
    figure.check(results)
    with pytest.raises(KeyError, match="scroe"):
        figure.drawn(results, 3.03)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_results_give_the_same_bytes(name):
    figure, results = figure_named(name), SYNTHETIC[name]()
    for kind in ("pdf", "svg"):
        first, second = (as_bytes(figure.drawn(results, WIDTHS[0]), kind) for _ in range(2))
        assert first == second, kind


def test_names_titles_and_commands_are_one_of_a_kind():
    for part in ("name", "title", "command"):
        values = [getattr(figure, part) for figure in FIGURES]
        assert len(set(values)) == len(values)
    assert set(SYNTHETIC) == set(NAMES)


def test_a_name_may_have_dashes_and_an_unknown_one_lists_all():
    assert figure_named("gem-mask").name == "gem_mask"
    with pytest.raises(UsageError, match=r"no figure mona_lisa: there are gem_mask"):
        figure_named("mona_lisa")


def test_results_are_read_with_one_clear_line(tmp_path):
    path = tmp_path / "gem_mask.json"
    with pytest.raises(UsageError, match=r"no results at .*`python -m analyses\.gem_mask` measures them"):
        figure_named("gem_mask").results(path)
    path.write_text("[")
    with pytest.raises(WorkbenchError, match="not valid JSON"):
        read_results(path)
    write_json(path, [1])
    with pytest.raises(WorkbenchError, match="it is no object"):
        read_results(path)
    write_json(path, {"figure": "gem_mask", "data": {}})
    with pytest.raises(WorkbenchError, match="it lacks command, artifacts, libraries, numbers"):
        read_results(path)
    write_json(path, {**SYNTHETIC["gem_mask"](), "figure": "other"})
    with pytest.raises(WorkbenchError, match="of the figure other, not of gem_mask"):
        figure_named("gem_mask").results(path)
    write_json(path, SYNTHETIC["gem_mask"]())
    assert figure_named("gem_mask").results(path) == SYNTHETIC["gem_mask"]()


def test_malformed_data_is_refused_as_it_is_read(tmp_path):
    results = SYNTHETIC["gem_mask"]()
    results["data"]["applied"][2] = [1.0]
    write_json(tmp_path / "gem_mask.json", results)
    line = (
        r"the results of gem_mask do not fit \(data.applied\[2\] has 1 values, not 7 values\): "
        r"`python -m analyses.gem_mask` measures them anew"
    )
    with pytest.raises(WorkbenchError, match=line):
        figure_named("gem_mask").results(tmp_path / "gem_mask.json")


def test_a_number_of_the_caption_is_a_number_where_it_has_a_format():
    results = SYNTHETIC["gem_mask"]()
    results["numbers"]["leak"] = None
    with pytest.raises(WorkbenchError, match=r"do not fit \(numbers.leak is None, not a number\)"):
        figure_named("gem_mask").check(results)


def test_the_style_is_undone_behind_it():
    before = dict(mpl.rcParams)
    with style.applied():
        assert mpl.rcParams["pdf.fonttype"] == 42
    assert dict(mpl.rcParams) == before


def test_cells_are_paths_of_one_shade_each_and_nothing_is_not_drawn():
    figure = style.sheet(2.0, 2.0)
    axes = figure.subplots()
    style.cells(axes, np.array([[0.0, 1.0, 1.0], [0.5, np.nan, 0.0]]), top=1.0)
    # Two shades are left: 1.0 twice, 0.5 once; five points a cell.
    assert sorted(len(patch.get_path().vertices) for patch in axes.patches) == [5, 10]
    style.cells(axes, np.array([[-1.0, 0.0, 2.0]]), top=2.0, around_zero=True)
    assert len(axes.patches) == 4
