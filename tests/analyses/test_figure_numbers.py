"""The numbers of the comparisons' figures: intervals, ranks, areas, and what is read out of a run."""

import json
from dataclasses import asdict

import numpy as np
import pytest
import typer

from analyses import gem_ablations, llm2vec_gen_ablations, reasoning, safety, size_quality, training_curves
from analyses.intervals import share, wilson
from workbench.errors import UsageError
from workbench.fieldguide.items import Item
from workbench.fieldguide.pretraining import PretrainingConfig
from workbench.files import write_json
from workbench.training.history import History
from workbench.training.watched import Sample, Watch, WatchedText


def test_wilsons_interval_is_the_textbooks():
    # 8 of 10 (z = 1.96): middle (0.8 + 0.19207) / 1.38415, half 1.96 / 1.38415 * sqrt(0.016 + 0.0096037)
    assert wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson(0, 10) == pytest.approx((0.0, 3.8415 / 13.8415), abs=1e-4)
    assert wilson(10, 10).high == pytest.approx(1.0)
    for right, n in ((0, 0), (-1, 4), (5, 4)):
        with pytest.raises(ValueError, match="no share"):
            wilson(right, n)


def test_a_share_of_nothing_has_neither_value_nor_interval():
    assert share(None, 0) == share(0.5, 0) == {"value": None, "low": None, "high": None, "n": 0}
    low, high = wilson(8, 10)
    assert share(0.8, 10) == {"value": 0.8, "low": low, "high": high, "n": 10}


def test_ranks_come_back_out_of_ndcg():
    ndcg = np.array([1.0, 1 / np.log2(3), 1 / np.log2(11), 0.0])
    assert reasoning.ranks(ndcg).tolist() == [1, 2, 10, np.inf]
    found = {row["metric"]: row for row in reasoning.figures(ndcg)}
    assert found["R@1"]["value"] == 0.25
    assert found["MRR@10"]["value"] == pytest.approx((1 + 1 / 2 + 1 / 10) / 4)
    assert found["nDCG@10"]["value"] == pytest.approx(ndcg.mean())
    assert all(row["low"] <= row["value"] <= row["high"] and row["n"] == 4 for row in found.values())


def test_the_area_counts_pairs_and_ties_half():
    near, far = np.array([0.0, 1.0]), np.array([1.0, 2.0])
    value, low, high = safety.auroc(near, far)
    assert value == 3.5 / 4
    assert 0 <= low <= value <= high <= 1
    assert safety.auroc(far, near)[0] == 0.5 / 4


def test_a_request_is_as_far_as_its_nearest_refusal():
    refusals = np.array([[1.0, 0.0], [0.0, 2.0]])
    vectors = np.array([[3.0, 0.0], [1.0, 1.0], [-1.0, 0.0]])
    distance = safety.distances(vectors, refusals)
    assert distance == pytest.approx(np.array([[0, 1], [1 - 0.5**0.5] * 2, [2, 1]]))
    row = safety.space_row("x", distance, ["harmful", "harmful", "lookalike"])
    assert row["distances"]["harmful"] == pytest.approx([0, 1 - 0.5**0.5])
    assert row["distances"]["lookalike"] == pytest.approx([1])
    assert row["auroc"]["value"] == 1.0
    marks = safety.share_of([True, False, True], ["harmful", "harmful", "lookalike"], "harmful")
    assert (marks["value"], marks["n"]) == (0.5, 2)


def test_refusals_are_those_given_to_harmful_training_requests(tmp_path):
    no, yes = "I can't help with that.", "Here it is."
    asked = [
        ("a", "harmful", no),
        ("b", "harmful", no),
        ("c", "harmful", yes),
        ("d", "lookalike", "I cannot see."),
    ]
    for name, keys in (("queries.jsonl", ("query", "kind")), ("corpus.jsonl", ("query", "response"))):
        rows = [dict(zip(("query", "kind", "response"), row, strict=True)) for row in asked]
        lines = [json.dumps({key: row[key] for key in keys}) for row in rows]
        (tmp_path / name).write_text("\n".join(lines), encoding="utf-8")
    assert safety.own_refusals(tmp_path / "corpus.jsonl", tmp_path / "queries.jsonl") == [no]


def test_only_shared_answers_have_a_right_neighbour():
    items = [Item("one_hop", f"q{n}", "r", (answer,)) for n, answer in enumerate("aabcc")]
    assert gem_ablations.shared_answers([*items, Item("two_hop", "q", "r", ("b",))]) == 4


@pytest.mark.parametrize(("table", "name"), [("tokens", "special_tokens"), ("objectives", "objectives")])
def test_an_ablation_writes_its_figure(tmp_path, table, name):
    path = tmp_path / "figure.json"
    keys = {"kept": 8, "two_hop": 10, "one_hop": 10, "answer": 0}
    row = {"setting": "n = 1", **{key: share(0.5 if n else None, n) for key, n in keys.items()}}
    chosen = llm2vec_gen_ablations.Table(table)
    llm2vec_gen_ablations.write_figure(chosen, [row], 100, 50, path)
    found = json.loads(path.read_text(encoding="utf-8"))
    assert found["figure"] == name
    assert found["command"] == f"python -m analyses.llm2vec_gen_ablations {table} --limit 50"
    assert {key: found["numbers"][key] for key in keys} == keys
    assert found["numbers"]["queries"] == 100 * found["numbers"]["batch"]
    assert found["data"]["rows"][0]["answer"]["value"] is None


def test_the_mix_ratio_writes_its_figure_with_the_range_of_its_trainings(tmp_path):
    path = tmp_path / "figure.json"
    one = {"kept": 0.25, "neighbours": 0.5, "accuracy": 1.0, "perplexity": 3.5, "batch": 32, "setting": "p = 0",
           "before": {"perplexity": 3.9, "accuracy": 0.9},
           "n": {"kept": 4, "neighbours": 2, "accuracy": 5, "perplexity": 9}}  # fmt: skip
    row = gem_ablations.over_trainings(
        [one, {**one, "perplexity": 3.0, "kept": None}, {**one, "perplexity": 4.6}]
    )
    assert gem_ablations.cell(row["perplexity"]) == "3.700 (3.000, 4.600)"
    assert gem_ablations.cell(row["kept"]) == "0.250 (0.250, 0.250)"
    assert gem_ablations.cell(gem_ablations.over_trainings([{**one, "kept": None}])["kept"]) == "–"
    gem_ablations.write_figure([row, row], [0.0, 0.9], 100, 40, path)
    found = json.loads(path.read_text(encoding="utf-8"))
    assert found["command"] == "python -m analyses.gem_ablations mix"
    assert [point["p"] for point in found["data"]["points"]] == [0.0, 0.9]
    assert found["data"]["points"][1]["perplexity"] == {"value": 3.7, "low": 3.0, "high": 4.6}
    assert (found["numbers"]["dialogues"], found["numbers"]["trainings"]) == (9, 3)


def watch_of(tmp_path, cosines):
    """A watch of two queries at steps 0, 10 and 20; the second decodes to its response at the end."""
    texts = [WatchedText(row, f"q{row}", f"r{row}") for row in (4, 7)]
    samples = [
        Sample(
            step,
            row,
            f"q{row}",
            f"r{row}",
            "r7" if (step, row) == (20, 7) else "-",
            cosines[step] + row / 100,
        )
        for step in (0, 10, 20)
        for row in (4, 7)
    ]
    return Watch(tmp_path, texts, [0, 10, 20], samples)


def test_a_run_is_read_as_it_was_watched(tmp_path):
    watch = watch_of(tmp_path, {0: 0.1, 10: 0.5, 20: 0.8})
    rows = training_curves.watched(watch)
    assert [row["cosine"] for row in rows] == pytest.approx([0.155, 0.555, 0.855])
    assert [row["exact"] for row in rows] == [0, 0, 0.5]
    assert rows[2]["low"] == pytest.approx(0.84)
    assert rows[2]["high"] == pytest.approx(0.87)
    shown = training_curves.samples(watch)
    assert [one["query"] for one in shown] == ["q4", "q7"]
    assert shown[1]["decoded"] == [
        {"step": step, "text": text} for step, text in ((0, "-"), (10, "-"), (20, "r7"))
    ]


def test_looks_are_closer_together_early_on():
    assert training_curves.chosen(range(0, 2100, 100), 4) == [0, 200, 700, 2000]
    assert training_curves.chosen([0, 5], 4) == [0, 5]
    assert training_curves.chosen([0], 4) == [0]


def test_lines_without_both_losses_are_left_out(tmp_path):
    rows = [{"step": 10, "loss_align": 1.0, "loss_recon": 2.0, "lr": 0.1}, {"step": 20, "train_runtime": 9.0}]
    found = training_curves.losses(History(tmp_path, {}, rows, True, 0.0))
    assert found == [{"step": 10, "loss_align": 1.0, "loss_recon": 2.0}]
    with pytest.raises(UsageError, match="is it an LLM2Vec-Gen run"):
        training_curves.losses(History(tmp_path, {}, [{"step": 1, "loss_ntp": 1.0}], True, 0.0))


def test_a_field_guide_of_another_configuration_is_not_taken(tmp_path):
    other = PretrainingConfig(hidden_size=64, layers=2, steps=7)
    write_json(tmp_path / "marks.json", {"config": asdict(other), "share": {}, "count": {}})
    with pytest.raises(UsageError, match="another configuration"):
        size_quality.pretrained(size_quality.Size(64, 2), tmp_path, 8)
    same = PretrainingConfig(
        hidden_size=64, layers=2, intermediate_size=80, heads=1, steps=8, exam_every=8,
    )  # fmt: skip
    write_json(tmp_path / "marks.json", {"config": asdict(same), "share": {}, "count": {}})
    size_quality.pretrained(size_quality.Size(64, 2), tmp_path, 8)


def test_the_command_of_the_sizes_says_what_was_changed():
    assert size_quality.options(6000, 200, 400, [*size_quality.SIZES]) == ""
    assert size_quality.options(50, 200, 4, ["64x2"]) == " --pretraining 50 --limit 4 --sizes 64x2"


def test_a_size_is_a_width_of_whole_heads_and_a_depth():
    assert str(size_quality.Size.of("640x8")) == "640x8"
    for wrong in ("640", "x8", "100x2", "64x0", "-64x2", "axb"):
        with pytest.raises(typer.BadParameter, match="is no size"):
            size_quality.Size.of(wrong)
