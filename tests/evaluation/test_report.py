"""Runs side by side: differences by hand, and the three formats."""

import csv
import io

import numpy as np
import pytest
from test_results import pairs_result, result, run

from workbench.errors import UsageError
from workbench.evaluation.protocol import resampled
from workbench.evaluation.report import (
    Cell,
    Table,
    as_csv,
    compare,
    differences,
    latex,
    markdown,
    one,
    paired,
    scores,
)

LOW, HIGH = (0.0, 0.5, 1.0, 0.25), (0.25, 0.75, 1.25, 0.5)


def test_a_constant_difference_has_an_interval_of_no_width():
    """Unpaired resampling would give these two scores intervals that overlap almost wholly."""
    found = paired(result(items=HIGH), result(items=LOW))
    assert found is not None
    assert found == pytest.approx((0.25, 0.25, 0.25))
    assert found.clear
    same = paired(result(items=LOW), result(items=LOW))
    assert same == (0.0, 0.0, 0.0)
    assert not same.clear


def test_a_difference_is_drawn_resample_by_resample():
    rng = np.random.default_rng(0)
    ours, theirs = (result(items=rng.random(50)) for _ in range(2))
    found = paired(ours, theirs, seed=4)
    drawn = np.sort(resampled(ours.score, 4) - resampled(theirs.score, 4))
    assert found is not None
    assert found.value == pytest.approx(ours.score.items.mean() - theirs.score.items.mean())
    assert drawn[24] <= found.low <= drawn[25]
    assert drawn[974] <= found.high <= drawn[975]
    assert paired(ours, theirs, seed=5) != found


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(UsageError, match="different data"):
        paired(result(), result(data_hash="other"))
    with pytest.raises(UsageError, match="different data"):
        compare([run(result(), embedder="a"), run(result(data_hash="other"), embedder="b")])
    with pytest.raises(UsageError, match="a has two scores of a"):
        compare([run(result(), embedder="a"), run(result(), embedder="a")])
    with pytest.raises(UsageError, match="no run of 'z'; there are e"):
        differences(compare([run(result())]), "z")
    several = compare([run(result(), fingerprint="1" * 64), run(result(), fingerprint="2" * 64)])
    assert several.embedders == ["e (11111111)", "e (22222222)"]
    together = compare([run(result("a")), run(result("b"))])
    assert (together.embedders, together.tasks) == (["e"], ["a", "b"])


def three():
    return compare(
        [
            run(result("a", LOW), result("safe", LOW, lower=True), embedder="low"),
            run(result("a", HIGH), result("safe", HIGH, lower=True), embedder="high"),
            run(pairs_result(), embedder="odd"),
        ]
    )


def test_scores_with_the_best_in_bold_and_dashes_where_there_is_nothing():
    comparison = three()
    table = scores(comparison)
    assert table.header == ["embedder", "a, hit", "safe, hit ↓", "b, cosine_spearman"]
    low, high, odd = table.rows
    bounds = comparison.results["low", "a"].interval
    assert low[1] == Cell(f"0.438 [{bounds.low:.3f}, {bounds.high:.3f}]", False)
    assert [cell.bold for cell in low] == [False, False, True, False]
    assert [cell.bold for cell in high] == [False, True, False, False]
    assert [cell.text for cell in odd] == ["odd", "–", "–", "0.500 [-1.000, 1.000]"]
    less = differences(comparison, "low")
    assert [row[0].text for row in less.rows] == ["high", "odd"]
    assert less.rows[0][1] == Cell("+0.250 [+0.250, +0.250]", True)
    assert less.rows[1][1] == Cell("–", False)


def test_formats():
    table = Table(["a|b", "x_1 ↓"], [[Cell("50% & {more}"), Cell("–", True)]])
    assert markdown(table).splitlines() == [r"| a\|b | x_1 ↓ |", "|---|--:|", "| 50% & {more} | **–** |"]
    assert latex(table).splitlines() == [
        r"\begin{tabular}{lr}",
        r"\toprule",
        r"a|b & x\_1 $\downarrow$ \\",
        r"\midrule",
        r"50\% \& \{more\} & \textbf{--} \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]
    assert latex(Table(["\\~^#$"], [])).splitlines()[2] == (
        r"\textbackslash{}\textasciitilde{}\textasciicircum{}\#\$ \\"
    )


def test_csv_has_every_digit_and_the_difference():
    comparison = three()
    rows = list(csv.DictReader(io.StringIO(as_csv(comparison, "low"))))
    assert len(rows) == 5
    row = next(row for row in rows if (row["embedder"], row["task"]) == ("high", "safe"))
    bounds = comparison.results["high", "safe"].interval
    assert float(row["score"]) == 0.6875
    assert (float(row["low"]), float(row["high"])) == tuple(bounds)
    assert (row["lower_is_better"], row["n"], row["reference"]) == ("True", "4", "low")
    assert float(row["difference"]) == pytest.approx(0.25)
    assert next(row for row in rows if row["embedder"] == "low")["difference"] == ""
    assert "reference" not in as_csv(comparison).splitlines()[0]


def test_a_single_run_shows_what_was_published():
    table = one(run(result(), pairs_result()))
    assert table.header[-1] == "published"
    assert [row[-1].text for row in table.rows] == ["–", "0.75000"]
    assert [cell.text for cell in one(run(result())).rows[0]][:3] == ["a", "hit", "0.62500"]
    assert len(one(run(result())).header) == 5
