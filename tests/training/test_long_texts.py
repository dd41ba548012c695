"""A text is cut before it is tokenized, and its tokens are those of the whole text."""

import numpy as np
import pytest
from transformers import PreTrainedTokenizerBase

from workbench.decoding.likelihood import text_likelihood
from workbench.embedders.config import LifterConfig, LLM2VecConfig, LLM2VecGenConfig
from workbench.embedders.llm2vec_gen import LLM2VecGen
from workbench.training import batches, lifter_examples, marked, teacher_texts
from workbench.training.config import LLM2VecGenTraining
from workbench.training.corpus import Corpus
from workbench.training.gem_config import GEMTraining
from workbench.training.lifter_config import LifterTraining
from workbench.training.teacher_config import TeacherTraining

SENTENCE = "gold iron and the river that flows through the city. "
LONG = SENTENCE * 2_000  # a hundred thousand characters
CORPUS = Corpus(
    ["q", LONG, "what is gold?"], [LONG, "gold", SENTENCE * 400], np.zeros((3, 4), np.float32), {}
)
LIMIT = 30


@pytest.fixture
def longest(monkeypatch):
    """The length of the longest text that a tokenizer was given."""
    seen = [0]
    call = PreTrainedTokenizerBase.__call__

    def spy(self, text, *rest, **options):
        seen[0] = max([seen[0], *map(len, [text] if isinstance(text, str) else text)])
        return call(self, text, *rest, **options)

    monkeypatch.setattr(PreTrainedTokenizerBase, "__call__", spy)
    return lambda: seen[0]


def whole(backbone, text):
    return backbone.tokenizer.encode(text, add_special_tokens=False)


def check(examples, backbone):
    """The responses are those of tokenizing all and cutting then, and so are the counts."""
    closed = [[*whole(backbone, text), backbone.eos_ids[0]] for text in CORPUS.responses]
    assert examples.responses == [ids[:LIMIT] for ids in closed]
    assert (examples.truncated_queries, examples.truncated_responses) == (1, 2)


def test_llm2vec_gen(tiny_backbone, longest):
    config = LLM2VecGenTraining(max_query_length=LIMIT, max_response_length=LIMIT)
    found = batches.tokenize_examples(tiny_backbone, CORPUS, config, LLM2VecGenConfig(dimension=4))
    assert longest() < 10_000
    check(found, tiny_backbone)


def test_a_lifter(tiny_backbone, longest):
    embedder = LLM2VecGen.untrained(tiny_backbone, LLM2VecGenConfig(n_compression=2, dimension=4))
    config = LifterTraining(max_response_length=LIMIT)
    found = lifter_examples.tokenize_examples(embedder, CORPUS, config, LifterConfig(n_prompts=2))
    assert longest() < 10_000
    check(found, tiny_backbone)


def test_gem(tiny_backbone, longest):
    summaries = [(LONG, SENTENCE * 400), ("gold", "iron")]
    found = marked.tokenize_texts(tiny_backbone, CORPUS, GEMTraining(max_length=LIMIT), 2, summaries)
    assert longest() < 10_000
    eos, opening = tiny_backbone.eos_ids[0], tiny_backbone.answer_opening
    for query, response, text in zip(found.queries, found.responses, CORPUS.responses, strict=True):
        assert response == [*opening, *whole(tiny_backbone, text), eos][: LIMIT - 2 - len(query)]
    assert found.summaries == [
        (whole(tiny_backbone, text)[:14], [*whole(tiny_backbone, told), eos][:14]) for text, told in summaries
    ]
    assert found.truncated == 1


def test_a_teacher(tiny_backbone, longest):
    found = teacher_texts.tokenize_texts(
        tiny_backbone, CORPUS.responses, TeacherTraining(), LLM2VecConfig(max_length=LIMIT)
    )
    assert longest() < 10_000
    assert (len(found.ids), found.truncated) == (2, 1)  # the long ones begin alike


def test_likelihood(tiny_backbone, longest):
    embedder = LLM2VecGen.untrained(tiny_backbone, LLM2VecGenConfig(n_compression=2, dimension=4))
    prompts = embedder.represent(["gold", "iron"]).soft_prompts
    assert prompts is not None
    found = text_likelihood(tiny_backbone, prompts, [LONG, "gold"])
    assert longest() < 10_000
    shorter = tiny_backbone.detokenize([whole(tiny_backbone, SENTENCE * 100)])[0]
    np.testing.assert_array_equal(found, text_likelihood(tiny_backbone, prompts, [shorter, "gold"]))
