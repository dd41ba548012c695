"""Ratios, bars and the page made of results that are written here by hand."""

import json
import xml.etree.ElementTree as ET
from dataclasses import asdict

import pytest

from benchmarks import report, runner
from benchmarks.growth import Curve
from benchmarks.growth_figure import draw
from benchmarks.runner import Bar, Line, MemoryReport, Report
from workbench.errors import UsageError

BARS = [Bar("ours", "theirs", least=1.5)]


def line(name, times, units=10):
    middle = sorted(times)[len(times) // 2]
    return Line(name, middle, min(times), max(times), units / middle, times)


@pytest.fixture
def times():
    lines = [line("ours", [1.0, 2.0, 1.0]), line("theirs", [2.0, 3.0, 4.0])]
    setting = {"texts": 10, "device": "a CPU", "cores": 2, "threads": 2, "torch": "2", "load": 0.1}
    return Report("official_encode", "texts", "theirs", lines, setting, BARS)


def test_a_ratio_is_that_of_the_medians_and_its_range_that_of_the_turns(times):
    assert times.judged() == [
        {"line": "ours", "reference": "theirs", "least": 1.5, "most": None, "met": True}
        | {"ratio": 3.0, "lowest": 1.5, "highest": 4.0}  # 3 s to 1 s; 2 / 1, 3 / 2, 4 / 1
    ]


def test_less_work_in_the_same_time_is_no_faster():
    lines = [line("ours", [1.0], units=1), line("theirs", [1.0], units=2)]
    (found,) = Report("x", "texts", "theirs", lines, {}, BARS).judged()
    assert (found["ratio"], found["lowest"], found["highest"], found["met"]) == (0.5, 0.5, 0.5, False)


def test_memory_is_judged_by_its_share():
    used = {"ours": [60.0, 50.0], "theirs": [100.0, 100.0]}
    found = MemoryReport.of("m", "theirs", used, [Bar("ours", "theirs", most=0.6)])
    (bar,) = found.judged()
    assert (bar["ratio"], bar["lowest"], bar["highest"], bar["met"]) == (0.55, 0.5, 0.6, True)
    assert not Bar("ours", "theirs", most=0.5).met(0.55)


def test_a_bar_asks_for_one_thing():
    for asked in ({}, {"least": 1.0, "most": 1.0}):
        with pytest.raises(ValueError, match="either"):
            Bar("ours", "theirs", **asked)


def saved(found, folder, monkeypatch):
    monkeypatch.setattr(runner, "RESULTS", folder)
    return found.save()


def test_the_page_shows_ratios_spread_bars_machine_and_command(times, tmp_path, monkeypatch):
    saved(times, tmp_path / "results", monkeypatch)
    memory = {"ours": [90.0, 80.0], "theirs": [100.0, 100.0]}
    saved(
        MemoryReport.of("official_memory_32_64", "theirs", memory, [Bar("ours", "theirs", most=0.6)]),
        tmp_path / "results", monkeypatch,
    )  # fmt: skip
    curve = {"work": "encode", "size": "texts", "sizes": [10, 1000], "exponent": 1.15}
    curve["seconds"] = [[0.01], [1.0, 3.0, 2.0]]
    growth = {"curves": [curve], "setting": {"device": "a CPU"}, "command": "python -m benchmarks.growth"}
    page = report.page(report.gather(tmp_path / "results", tmp_path / "none.json"), growth)
    asked, encoding, use, grown = page.split("\n## ")[1:]
    assert "| ours | theirs | 3.00 (1.50 to 4.00) | ≥ 1.5 | met |" in asked
    assert "| ours | theirs | 0.85 (0.80 to 0.90) | ≤ 0.6 | **missed** |" in asked
    assert "| ours | 10 | 3.00 | 1 s | 1 s | 2 s | 3 |" in encoding
    assert "texts 10." in encoding
    assert "on device a CPU; cores 2; threads 2" in encoding
    assert f"`{runner.command()}`" in encoding
    assert "| ours | 85 | 0.85 | 80 | 90 | 2 |\n" in use
    assert "| encode | texts | 10: 10 ms | 1,000: 2 s | 1.15 |" in grown


def test_memory_is_also_shown_with_what_was_held_before():
    setting = {"held before, ours, MB": 15, "held before, theirs, MB": 100}
    result = {
        "megabytes": {"theirs": [90.0, 110.0], "ours": [85.0]},
        "reference": "theirs",
        "setting": setting,
    }
    shown = report.section("official_memory_32_64", result)
    assert "| processes | with the loaded model |\n|---|--:|--:|--:|--:|--:|--:|\n" in shown
    assert "| theirs | 100 | 1.00 | 90 | 110 | 2 | 200 (1.00) |" in shown
    assert "| ours | 85 | 0.85 | 85 | 85 | 1 | 100 (0.50) |" in shown


def test_new_results_take_the_place_of_kept_ones(tmp_path):
    kept = tmp_path / "kept.json"
    kept.write_text(json.dumps({"store": {"from": "before"}, "latent": {"from": "before"}}))
    (tmp_path / "results").mkdir()
    (tmp_path / "results/store.json").write_text(json.dumps({"from": "now"}))
    found = report.gather(tmp_path / "results", kept)
    assert found == {"store": {"from": "now"}, "latent": {"from": "before"}}
    with pytest.raises(UsageError, match="no results in"):
        report.gather(tmp_path / "nothing", tmp_path / "nothing.json")


def test_the_exponent_is_the_slope_on_logarithmic_axes():
    sizes = [1, 10, 100, 1000]
    quadratic = Curve("w", "s", sizes, [[2.0 * size**2] for size in sizes])
    overhead = Curve("w", "s", sizes, [[5.0], [5.0], [100.0], [1000.0]])
    assert quadratic.exponent() == pytest.approx(2.0)
    assert overhead.exponent() == pytest.approx(1.0)  # the lower half, where a fixed cost rules, is left out
    with pytest.raises(ValueError, match="2 sizes but times of 1"):
        Curve("w", "s", [1, 2], [[1.0]])


def test_the_figure_is_drawn_from_results_alone_and_the_same_again():
    curves = [
        {"work": f"work {number}", "size": "texts", "sizes": [1, 10, 100], "seconds": [[0.1, 0.2], [1.0], [9.0]]}
        for number in range(5)
    ]  # fmt: skip
    drawn = draw(curves)
    shown = {"".join(part.itertext()).strip() for part in ET.fromstring(drawn).findall(".//{*}text")}
    assert {"work 0", "work 4", "texts", "seconds", "100"} <= shown
    assert draw(curves) == drawn


def test_a_variant_stands_beside_the_benchmark_that_it_is_one_of(times):
    one = json.loads(json.dumps(asdict(times)))
    one |= {"ratios": {"ours": 3.0, "theirs": 1.0}, "judged": times.judged()}
    names = ("plain_encode", "official_encode_gpu_bfloat16", "official_encode", "official_encode_gpu")
    found = dict.fromkeys(names, one)
    headings = [text[3:] for text in report.page(found).splitlines() if text.startswith("## ")]
    beside = "Encoding, beside the official package"
    assert headings[1:] == [
        f"{beside} (GPU, bfloat16)", beside, f"{beside} (GPU)", "Encoding, beside a bare forward pass",
    ]  # fmt: skip
