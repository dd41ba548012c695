"""A run on disk: every figure comes back, and a file that is no run is refused."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from workbench.errors import UsageError, WorkbenchError
from workbench.evaluation.protocol import Interval, Score, interval
from workbench.evaluation.results import LIBRARIES, Result, Run, read_run, write_run
from workbench.libraries import versions


def result(task="a", items=(0.0, 1.0, 1.0, 0.5), lower=False, data_hash="hash"):
    values = np.array(items)
    mean = float(values.mean())
    score = Score(task, "retrieval", "hit", mean, {"hit": mean, "other": float("nan")}, len(values), values,
                  details={"lower_is_better": True, "é": 1} if lower else {"query_ids": ["q"]})  # fmt: skip
    told = {"text": None, "query": "q"}
    return Result(score, interval(score), data_hash, {"data": "x.tsv"}, {"limit": None}, told, 1.5)


def pairs_result():
    rows = np.array([[0.1, 1.0], [0.4, 2.0], [0.3, 3.0]])
    score = Score("b", "sts", "cosine_spearman", 0.5, {"cosine_spearman": 0.5}, 3, pairs=rows)
    return Result(score, Interval(-1.0, 1.0), "hash", {}, {}, {}, 0.1, published=0.75)


def run(*results, embedder="e", fingerprint="f" * 64, suite=None):
    return Run(
        embedder,
        fingerprint,
        "workbench evaluate --task x",
        7,
        "2026-01-01",
        versions(LIBRARIES),
        list(results),
        suite,
    )


def test_a_run_comes_back_from_its_file(tmp_path):
    made = run(result(lower=True), pairs_result(), suite="fieldguide")
    write_run(made, tmp_path / "r.parquet")
    back = read_run(tmp_path / "r.parquet")
    for one, other in zip(made.results, back.results, strict=True):
        for name in ("task", "protocol", "main_metric", "main_score", "n", "details"):
            assert getattr(one.score, name) == getattr(other.score, name)
        np.testing.assert_equal(one.score.metrics, other.score.metrics)
        np.testing.assert_array_equal(one.score.rows, other.score.rows)
        assert replace(one, score=other.score) == other
        assert interval(other.score, 3) == interval(one.score, 3)
    assert replace(made, results=back.results) == back
    write_run(made, tmp_path / "again.parquet")
    assert (tmp_path / "again.parquet").read_bytes() == (tmp_path / "r.parquet").read_bytes()


def test_a_run_is_an_ordinary_table_with_what_repeats_it(tmp_path):
    write_run(run(result(), pairs_result()), tmp_path / "r.parquet")
    table = pd.read_parquet(tmp_path / "r.parquet")
    assert list(table.task) == ["a", "b"]
    assert list(table.main_score) == [0.625, 0.5]
    assert set(table.command) == {"workbench evaluate --task x"}
    assert set(table.seed) == {7}
    assert list(table["items"][0]) == [0.0, 1.0, 1.0, 0.5]
    assert json.loads(table.files[0]) == {"data": "x.tsv"}
    assert json.loads(table.instructions[0]) == {"text": None, "query": "q"}
    assert json.loads(table.libraries[0])["torch"].startswith("2.")
    assert table.published[1] == 0.75


def test_the_main_score_of_a_run():
    assert run(result()).main_score == 0.625
    assert run(result(), result("b", lower=True)).main_score == pytest.approx((0.625 + 1 - 0.625) / 2)
    shown = run(result()).to_dict()
    assert (shown["main_score"], shown["task"], shown["embedder"], shown["n"]) == (0.625, "a", "e", 4)
    assert shown["interval"] == list(interval(result().score))
    json.dumps(shown, allow_nan=False)
    shown = run(result(), pairs_result(), suite="parity").to_dict()
    assert (shown["suite"], [task["task"] for task in shown["tasks"]]) == ("parity", ["a", "b"])
    assert shown["main_score"] == pytest.approx((0.625 + 0.5) / 2)
    json.dumps(shown, allow_nan=False)


def test_files_that_are_no_run(tmp_path):
    with pytest.raises(UsageError, match="no such file"):
        read_run(tmp_path / "r.parquet")
    (tmp_path / "r.parquet").write_text("hello")
    with pytest.raises(WorkbenchError, match="not a parquet file"):
        read_run(tmp_path / "r.parquet")
    pq.write_table(pa.table({"a": [1]}), tmp_path / "r.parquet")
    with pytest.raises(UsageError, match="is no run"):
        read_run(tmp_path / "r.parquet")
    write_run(run(result()), tmp_path / "r.parquet")
    table = pq.read_table(tmp_path / "r.parquet")
    other = table.replace_schema_metadata({"workbench.evaluation": "2"})
    pq.write_table(other, tmp_path / "other.parquet")
    with pytest.raises(WorkbenchError, match="schema 2"):
        read_run(tmp_path / "other.parquet")
    place = table.schema.get_field_index("main_score")
    changed = table.set_column(place, "main_score", pa.array([0.9]))
    pq.write_table(changed, tmp_path / "changed.parquet")
    with pytest.raises(WorkbenchError, match="damaged"):
        read_run(tmp_path / "changed.parquet")
    pq.write_table(table.slice(0, 0), tmp_path / "empty.parquet")
    with pytest.raises(WorkbenchError, match="holds no result"):
        read_run(tmp_path / "empty.parquet")
