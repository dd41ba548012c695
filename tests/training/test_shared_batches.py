"""What each of several processes reads of a batch: together the whole, each text once, and nothing counts twice."""

import torch
from shared_recipes import QUERIES, RECIPES, corpus

from workbench.embedders.config import LLM2VecGenConfig
from workbench.objectives import IGNORED
from workbench.processes import Processes
from workbench.training.batches import tokenize_examples
from workbench.training.marked import Step, tokenize_texts

TWO = [Processes(0, 2), Processes(1, 2)]


def texts_of(ids, real):
    return sorted(tuple(row[mask].tolist()) for row, mask in zip(ids, real, strict=True))


def test_the_parts_of_a_batch_are_the_batch(tiny_backbone):
    examples = tokenize_examples(tiny_backbone, corpus(), RECIPES["lora"], LLM2VecGenConfig(n_compression=3))
    rows = [3, 8, 1, 20, 6]
    whole, parts = examples.batch(rows), [examples.batch(rows, processes) for processes in TWO]
    assert [len(part["targets"]) for part in parts] == [3, 2]
    for ids, mask in (("query_ids", "query_mask"),):
        together = [text for part in parts for text in texts_of(part[ids], part[mask])]
        assert sorted(together) == texts_of(whole[ids], whole[mask])
    counted = [int((part["labels"] != IGNORED).sum()) for part in [whole, *parts]]
    assert counted[0] == counted[1] + counted[2]
    assert torch.equal(parts[1]["targets"], examples.targets[[8, 20]])
    packed = [examples.packed(rows, processes, specials=3, soft_prompts=3) for processes in TWO]
    assert [int((part["labels"] != IGNORED).sum()) for part in packed] == counted[1:]


def test_an_idle_process_reads_a_text_that_counts_nothing(tiny_backbone):
    examples = tokenize_examples(tiny_backbone, corpus(), RECIPES["lora"], LLM2VecGenConfig(n_compression=3))
    for idle in (examples.batch([5], TWO[1]), examples.packed([5], TWO[1], specials=3, soft_prompts=3)):
        assert len(idle["targets"]) == 1
        assert bool((idle["labels"] == IGNORED).all())


def test_everything_of_gem_is_drawn_for_the_whole_batch(tiny_backbone):
    config = RECIPES["gem"]
    texts = tokenize_texts(tiny_backbone, corpus(), config, 2, [])
    step = Step(7, list(range(7)))
    whole, parts = texts.make(step), [texts.make(step, processes) for processes in TWO]
    assert len(QUERIES) > 7
    assert whole["special"].any()
    for ids, real in (("ids", "padding"), ("pair_ids", "pair_padding")):
        together = [text for part in parts for text in texts_of(part[ids], part[real])]
        assert sorted(together) == texts_of(whole[ids], whole[real])
    assert [len(part["pair_ids"]) for part in parts] == [8, 6], "anchors, then their positives"
    assert sum(int((part["labels"] != IGNORED).sum()) for part in parts) == int(
        (whole["labels"] != IGNORED).sum()
    )
    idle = texts.make(Step(7, [4]), TWO[1])
    assert bool((idle["labels"] == IGNORED).all())
    assert not idle["pair_special"].any()
