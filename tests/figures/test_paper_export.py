"""Exported figures: fonts inside, text that can be selected, files beside each other."""

import base64
import re
import subprocess
from io import BytesIO

import pytest
from fontTools.ttLib import TTFont
from paper_results import SYNTHETIC

from workbench.errors import UsageError
from workbench.figures.paper import gallery, registry, table
from workbench.figures.paper.export import as_bytes, write_figure
from workbench.figures.paper.registry import figure_named
from workbench.figures.paper.results import is_stale, read_results, rounded, write_results


@pytest.fixture(scope="module")
def drawn():
    return figure_named("gem_mask").drawn(SYNTHETIC["gem_mask"](), 6.3)


def test_an_svg_holds_text_and_the_letters_of_its_font(drawn):
    svg = as_bytes(drawn, "svg").decode()
    texts = re.findall(r"<text [^>]*>([^<]*)</text>", svg)
    assert "(a) declared mask" in texts
    assert "$x$" in texts  # no mathematics is read into a user's text
    assert "&lt;b&gt;" in texts
    [data] = re.findall(r"font-family: 'DejaVu Sans'; [^}]*base64,([A-Za-z0-9+/=]+)\)", svg)
    font = TTFont(BytesIO(base64.b64decode(data)))
    letters = {chr(code) for code in font.getBestCmap()}
    assert set("declared◆␣$") <= letters
    assert "Q" not in letters
    assert "date" not in re.sub("base64,[^)]*", "", svg)


def test_a_pdf_holds_its_fonts_and_text(drawn, tmp_path):
    pdf = as_bytes(drawn, "pdf")
    assert b"CreationDate" not in pdf
    assert b"/FontFile2" in pdf
    assert b"/Type3" not in pdf
    path = tmp_path / "a.pdf"
    path.write_bytes(pdf)
    try:
        said = subprocess.run(
            ["pdftotext", str(path), "-"], capture_output=True, text=True, check=True
        ).stdout
    except FileNotFoundError:
        return  # poppler is not everywhere; the font with its map to text is there in any case
    assert {"declared", "applied", "suffix", "$x$"} <= set(said.split())


def test_another_kind_is_refused(drawn):
    with pytest.raises(UsageError, match="pdf, svg, png, not bmp"):
        as_bytes(drawn, "bmp")


def test_a_figure_is_written_with_its_data_and_table(tmp_path, monkeypatch):
    results = SYNTHETIC["gem_mask"]()
    made = table.Table(["a_b", "n"], [["50 % & <i>", "−1"]])
    figure = registry.PaperFigure(
        "gem_mask", "t", "{text}", "python -m x", figure_named("gem_mask").draw, {}, lambda _: made
    )
    written = write_figure(figure, results, tmp_path / "new", 3.03)
    assert [path.suffix for path in written] == [".pdf", ".svg", ".tex", ".md", ".json"]
    assert read_results(tmp_path / "new" / "gem_mask.json", "gem_mask") == results
    assert (tmp_path / "new" / "gem_mask.tex").read_text() == (
        "\\begin{tabular}{lr}\n\\toprule\na\\_b & n \\\\\n\\midrule\n50 \\% \\& <i> & $-$1 \\\\\n"
        "\\bottomrule\n\\end{tabular}\n"
    )
    assert (tmp_path / "new" / "gem_mask.md").read_text() == (
        "| a\\_b | n |\n| --- | --: |\n| 50 % & &lt;i&gt; | −1 |\n"
    )
    before = {path: path.read_bytes() for path in written}
    write_figure(figure, results, tmp_path / "new", 3.03)
    assert {path: path.read_bytes() for path in written} == before


def test_results_are_stale_once_what_they_were_measured_on_changes(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path))
    folder = tmp_path / "embedders" / "gem"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"1")
    path = write_results(
        "gem_mask", data={"a": float("nan")}, numbers={"x": 0.12345678}, artifacts=["embedders/gem"]
    )
    assert path == tmp_path / "figures" / "gem_mask.json"
    found = read_results(path)
    assert found["data"] == {"a": None}
    assert found["numbers"] == {"x": 0.123457}
    assert not is_stale(found)
    (folder / "README.md").write_text("a card is no weight")
    assert not is_stale(found)
    (folder / "model.safetensors").write_bytes(b"2")
    assert is_stale(found)
    (folder / "config.json").unlink()
    (folder / "model.safetensors").unlink()
    (folder / "README.md").unlink()
    folder.rmdir()
    assert is_stale(found)


def test_numbers_keep_six_digits():
    assert rounded({"a": [1 / 3, (2e9 / 3, 5, True, None, "x")]}) == {
        "a": [0.333333, [666667000.0, 5, True, None, "x"]]
    }


def test_the_gallery_shows_every_figure_with_its_command_and_leaves_texts_alone(tmp_path):
    page = tmp_path / "docs" / "figures.md"
    results = SYNTHETIC["gem_mask"]()
    results["numbers"]["text"] = "<script> *a* [b](c)"
    gallery.write_gallery(page, [(figure_named("gem_mask"), results)])
    text = page.read_text()
    assert "../data/figures/gem_mask.svg" in text
    assert "python -m analyses.gem_mask" in text
    assert "\\<script\\> \\*a\\* \\[b\\](c)" in text
