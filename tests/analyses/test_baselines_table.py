"""The table of baselines: one row for each embedder, and a page that says how it was made."""

import numpy as np

from analyses import baselines


class Constant:
    """An embedder that tells nothing apart."""

    def encode_query(self, texts):
        return np.ones((len(texts), 3))

    encode_document = encode_query


def test_the_table_is_printed_and_written_where_it_is_asked_for(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(baselines, "embedders", lambda answers: {"constant": Constant()})
    monkeypatch.setattr(baselines, "DOCS", tmp_path / "docs.md")
    baselines.main(limit=5, answers=8, output=None)
    (row,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| constant |")]
    assert row.startswith("| constant | 0.000 | 0.000 |"), "equal passages give a constant embedder no credit"
    assert not (tmp_path / "docs.md").exists(), "a quick look leaves the page alone"
    baselines.main(limit=None, answers=8, output=None)
    page = (tmp_path / "docs.md").read_text()
    assert row.split("|")[2] in page
    assert "`python -m analyses.baselines`" in page


def test_a_page_names_the_options_it_was_made_with():
    assert "`python -m analyses.baselines --answers 2 --limit 7`" in baselines.page("| |", 7, 2)
