"""The main table: a run that is kept is not measured again, and claims are judged by their intervals."""

import numpy as np
import pytest

from analyses import main_table
from workbench.evaluation.jobs import Job
from workbench.evaluation.protocol import Score, interval
from workbench.evaluation.report import compare
from workbench.evaluation.results import Result, Run
from workbench.evaluation.sources import Source


class Named:
    """An embedder that is its name."""

    def __init__(self, name):
        self.name, self.prompts = name, {}

    def fingerprint(self):
        return self.name * 8

    def prompt_named(self, name):
        raise KeyError(name)

    def encode(self, texts, **_):
        return np.full((len(texts), 1), float(len(self.name)))

    encode_query = encode_document = encode


def job(measured, data_hash="1" * 64):
    def measure(reader):
        measured.append(reader.source.name)
        items = np.array([reader.encode(["a"])[0, 0] / 100, 0.5])
        return Score("t", "retrieval", "hit", items.mean(), {"hit": items.mean()}, 2, items)

    return Job("t", "retrieval", measure, data_hash)


def test_a_row_is_measured_once_until_something_changes(tmp_path, monkeypatch):
    embedder = Named("x")
    monkeypatch.setattr(main_table, "RESULTS", tmp_path)
    monkeypatch.setattr(main_table, "source_of", lambda row, answers, seed: Source("other", "mean", embedder))
    seen = []
    first = main_table.measured("mean pool", [job(seen)], 8, 0)
    again = main_table.measured("mean pool", [job(seen)], 8, 0)
    assert seen == ["mean pool"]
    assert again.to_dict() == first.to_dict()
    main_table.measured("mean pool", [job(seen, "2" * 64)], 8, 0)
    main_table.measured("mean pool", [job(seen)], 8, 1)
    assert len(seen) == 3
    embedder.name = "xyz"
    assert main_table.measured("mean pool", [job(seen)], 8, 0).main_score == pytest.approx((0.03 + 0.5) / 2)
    assert len(seen) == 4


def test_a_shipped_run_is_taken_where_nothing_changed_and_left_alone(tmp_path, monkeypatch):
    embedder = Named("x")
    monkeypatch.setattr(main_table, "RESULTS", tmp_path / "kept")
    monkeypatch.setattr(main_table, "SHIPPED", tmp_path / "shipped")
    monkeypatch.setattr(main_table, "source_of", lambda row, answers, seed: Source("other", "mean", embedder))
    seen = []
    run = main_table.measured("mean pool", [job(seen)], 8, 0)
    main_table.ship([run])
    shipped = tmp_path / "shipped" / "mean-pool.parquet"
    before = shipped.stat().st_ino
    for kept in (tmp_path / "kept").iterdir():
        kept.unlink()
    again = main_table.measured("mean pool", [job(seen)], 8, 0)
    main_table.ship([again])
    assert seen == ["mean pool"]
    assert shipped.stat().st_ino == before
    main_table.measured("mean pool", [job(seen)], 8, 0, fresh=True)
    assert len(seen) == 2


def test_tasks_stand_in_the_papers_categories():
    assert main_table.category("two hops", "retrieval") == "reasoning"
    assert main_table.category("one hop", "retrieval") == "retrieval"
    assert main_table.category("shared facts", "sts") == "similarity"
    assert main_table.category("answer or wording", "pair-classification") == "pair classification"


def scored(task, row, items, lower=False):
    values = np.array(items)
    mean = float(values.mean())
    score = Score(task, "p", "m", mean, {"m": mean}, len(values), values, details={"lower_is_better": lower})
    result = Result(score, interval(score), "hash", {}, {}, {}, 0.0)
    return Run(row, row, "c", 0, "2026", {}, [result])


@pytest.mark.parametrize(("ours", "theirs", "lower", "said"), [
    ([1, 1, 0.9], [0, 0.1, 0], False, "held"),
    ([0, 0.1, 0], [1, 1, 0.9], False, "did not hold"),
    ([0, 0.1, 0], [1, 1, 0.9], True, "held"),
    ([0, 1, 0.5], [1, 0, 0.5], False, "cannot be told"),
])  # fmt: skip
def test_claims_are_judged_by_the_interval_of_the_difference(ours, theirs, lower, said):
    runs = [scored("t", "A", ours, lower), scored("t", "B", theirs, lower)]
    row = main_table.verdict(compare(runs), main_table.Claim("better", "A", "B", "t"))
    assert row.startswith("| better | t | A – B |")
    assert row.endswith(f"| {said} |")
    missing = main_table.verdict(compare(runs), main_table.Claim("better", "A", "C", "t"))
    assert missing.endswith("| – | not measured |")


def test_every_claim_is_of_a_row_and_a_task_that_there_are():
    from workbench.evaluation.suites import fieldguide

    tasks = {job.task for job in fieldguide(limit=20)}
    for claim in main_table.CLAIMS:
        assert {claim.ours, claim.other} <= set(main_table.EMBEDDERS)
        assert claim.task in tasks


def test_the_page_says_how_it_was_made(tmp_path):
    comparison = compare([scored("t", "A", [0.5, 1.0])])
    text = main_table.page(comparison, 20, 2)
    assert "`python -m analyses.main_table --answers 2 --limit 20`" in text
    assert "| A | **0.750 [0.500, 1.000]** |" in text
