"""Packing: losses and gradients of packed rows equal those of padded ones, and no text reads another."""

from dataclasses import replace

import pytest
import torch

from workbench.embedders.config import LLM2VecGenConfig
from workbench.embedders.llm2vec_gen import LLM2VecGen
from workbench.training import packing
from workbench.training.batches import PackedBatch, tokenize_examples
from workbench.training.config import LLM2VecGenTraining
from workbench.training.corpus import Corpus
from workbench.training.llm2vec_gen import train
from workbench.training.llm2vec_gen_step import TrainingStep
from workbench.training.packing import fill_rows, pack, read_packed

QUERIES = [
    "What is the capital of Japan?",
    "gold",
    "Tell me about the moon, and about the many rivers of France.",
    "",
    "Is it true?",
]
RESPONSES = ["It is Tokyo.", "Gold is a metal with the symbol Au.", "The moon is a moon.", "Yes.", ""]
RECIPE = LLM2VecGenTraining(
    lr=1e-2, warmup_steps=2, batch_size=4, epochs=2, logging_steps=1, lora_rank=2, packing="on"
)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def corpus(fake_teacher):
    return Corpus(QUERIES, RESPONSES, fake_teacher.embed(RESPONSES), {})


def losses_and_gradients(embedder, step, batch):
    embedder.module.zero_grad()
    losses = step(**batch)
    losses.total.backward()
    return losses, {name: weight.grad.clone() for name, weight in embedder.module.named_parameters()}


@pytest.mark.parametrize("family", ["llama", "qwen3", "gemma2", "gpt2", "gpt_neox"])
def test_packed_losses_and_gradients_equal_padded_ones(make_tiny, corpus, family):
    backbone = make_tiny(family)
    shape = LLM2VecGenConfig(n_compression=3, n_thought=1, dimension=24, lora_rank=2)
    embedder = LLM2VecGen.untrained(backbone, shape)
    for up in embedder.module.lora.up.values():
        torch.nn.init.normal_(up, std=0.1, generator=torch.Generator().manual_seed(1))
    step = TrainingStep(embedder, RECIPE)
    examples = tokenize_examples(backbone, corpus, RECIPE, shape)
    rows = [0, 1, 2, 3, 4]
    padded, expected = losses_and_gradients(embedder, step, examples.batch(rows))
    batch = examples.packed(rows, specials=4, soft_prompts=3)
    assert len(batch["query_ids"]) < len(rows)
    assert len(batch["response_ids"]) < len(rows)
    packed, found = losses_and_gradients(embedder, step, batch)
    assert packed.align.item() == pytest.approx(padded.align.item(), rel=1e-5)
    assert packed.recon.item() == pytest.approx(padded.recon.item(), rel=1e-5)
    for name, gradient in expected.items():
        scale = gradient.abs().max()
        torch.testing.assert_close(found[name] / scale, gradient / scale, atol=1e-5, rtol=0)


def test_a_row_by_hand(monkeypatch):
    monkeypatch.setattr(packing, "SPARE", 1.25)
    monkeypatch.setattr(packing, "WIDTHS", 1)
    packed = pack([[5, 6], [7], [8, 9, 10]], 1, vectors="behind", device=CPU)
    assert packed.ids.shape == (2, 5)  # the longest takes 4 places, a quarter more is 5
    assert packed.places.tolist() == [[7], [9], [3]]
    assert packed.ids.tolist() == [[8, 9, 10, 0, 0], [5, 6, 0, 7, 0]]
    assert packed.positions.tolist() == [[0, 1, 2, 3, 0], [0, 1, 2, 0, 1]]
    assert packed.mask[1].int().tolist() == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [1, 1, 1, 0, 0],
        [0, 0, 0, 1, 0],
        [0, 0, 0, 1, 1],
    ]
    before = pack([[5, 6], [7], [8, 9, 10]], 1, vectors="before", device=CPU)
    assert before.ids.tolist() == [[0, 8, 9, 10, 0], [0, 5, 6, 0, 7]]
    assert before.places.tolist() == [[5], [8], [0]]


def test_every_text_has_one_row_and_no_row_is_too_full():
    lengths = [int(size) for size in torch.randint(1, 40, (200,), generator=torch.Generator().manual_seed(0))]
    rows = fill_rows(lengths, 48)
    assert sorted(text for row in rows for text in row) == list(range(200))
    assert max(sum(lengths[text] for text in row) for row in rows) <= 48
    assert len(rows) <= 1.05 * sum(lengths) / 48 + 1


def test_a_text_reads_nothing_of_its_neighbours(tiny_backbone):
    texts = [[5, 6, 7], [8, 9], [10]]
    vectors = torch.randn(3, 2, tiny_backbone.hidden_size, generator=torch.Generator().manual_seed(0))
    packed = pack(texts, 2, vectors="behind", device=CPU)
    before = read_packed(tiny_backbone, packed, vectors).flatten(0, 1)[packed.places]
    other = pack([[5, 6, 7], [11, 12], [10]], 2, vectors="behind", device=CPU)
    after = read_packed(tiny_backbone, other, vectors).flatten(0, 1)[other.places]
    assert torch.equal(before[[0, 2]], after[[0, 2]])
    assert not torch.allclose(before[1], after[1])


def test_a_packed_training_runs_to_its_end(tiny_backbone, corpus, tmp_path):
    shape = LLM2VecGenConfig(n_compression=3, teacher="fake-teacher")
    packed = train(tiny_backbone, corpus, RECIPE, shape, output=tmp_path / "packed")
    again = train(tiny_backbone, corpus, RECIPE, shape, output=tmp_path / "again")
    assert packed.fingerprint() == again.fingerprint()
    padded = train(tiny_backbone, corpus, replace(RECIPE, packing="off"), shape, output=tmp_path / "padded")
    assert packed.fingerprint() != padded.fingerprint()


def test_labels_stand_where_they_are_predicted(tiny_backbone, corpus):
    shape = LLM2VecGenConfig(n_compression=2, dimension=24, lora_rank=2)
    examples = tokenize_examples(tiny_backbone, corpus, RECIPE, shape)
    batch = PackedBatch(**examples.packed([0, 1, 2], specials=2, soft_prompts=2))
    flat = batch.labels.flatten().tolist()
    for row, (*_, last) in enumerate(batch.response_places.tolist()):
        wanted = examples.responses[row]
        assert flat[last : last + len(wanted)] == wanted
    assert sum(label >= 0 for label in flat) == sum(len(ids) for ids in examples.responses[:3])
