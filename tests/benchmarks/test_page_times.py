"""The app's times beside those asked for: the browser's part is left out, its times are written here by hand."""

from argparse import Namespace
from dataclasses import asdict

import pytest

from benchmarks import pages, report
from benchmarks.pages import CHANGE, DECODE, PAINT


@pytest.fixture
def measured(monkeypatch):
    monkeypatch.setattr(pages, "map_bytes", lambda count: 72 * count)
    times = {PAINT: [4.0, 6.0, 5.0], CHANGE: [0.5, 2.0, 0.25], DECODE: [1.5, 2.0], "to Figures": [0.5]}
    return pages.report(times, Namespace(rounds=3))


def test_medians_are_judged_by_what_was_asked(measured):
    found = {
        bar["line"]: (bar["ratio"], bar["lowest"], bar["highest"], bar["met"]) for bar in measured.judged()
    }
    assert found[PAINT] == pytest.approx((1.0, 5 / 6, 1.25, True))  # 5 s asked; 4 to 6 s
    assert found[CHANGE] == pytest.approx((2.0, 0.5, 4.0, True))  # 1 s asked; 0.25 to 2 s
    assert found[DECODE] == pytest.approx((1 / 1.75, 0.5, 1 / 1.5, False))


def test_they_fit_the_page_of_all_benchmarks(measured):
    ratios = {line.name: measured.ratio(line) for line in measured.lines}
    kept = asdict(measured) | {
        "ratios": ratios,
        "judged": measured.judged(),
        "command": "python -m benchmarks.pages",
    }
    written = report.page({"pages": kept})
    assert "| page change | asked of page change | 2.00 (0.50 to 4.00) | ≥ 1 | met |" in written
    assert "**missed**" in written
    assert "a map of 50,000 points 3.6 MB" in written


def test_a_map_of_more_texts_weighs_more():
    assert 0 < pages.map_bytes(100) < pages.map_bytes(1000) < 1_000_000
