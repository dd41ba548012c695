"""The same seed gives the same bytes on several threads: no gradient adds up in the order in which threads come."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from workbench.embedders.config import GEMConfig, LLM2VecGenConfig
from workbench.embedders.gem import GEM
from workbench.embedders.llm2vec_gen import LLM2VecGen
from workbench.training.batches import Examples
from workbench.training.config import LLM2VecGenTraining
from workbench.training.corpus import Corpus
from workbench.training.gem import GEMStep
from workbench.training.gem_config import GEMTraining
from workbench.training.llm2vec_gen_step import TrainingStep
from workbench.training.marked import Step, tokenize_texts

QUERIES = ["What is the capital of France?", "Tell me about gold.", "A lion eats", "Who painted it?"]
RESPONSES = ["Paris.", "Gold is a metal.", "It eats meat.", "I can't help."]


class Racing(TorchDispatchMode):
    """How many places are added to more than once by `index_put`, which a CPU's threads do as they come."""

    def __init__(self):
        super().__init__()
        self.calls, self.places = 0, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.calls += 1
        accumulates = len(args) > 3 and args[3]
        if "index_put" in func._schema.name and accumulates:
            given = [index for index in args[1] if index is not None]
            given = [
                part
                for index in given
                for part in (index.nonzero().T if index.dtype == torch.bool else [index])
            ]
            indices = torch.broadcast_tensors(*given)
            found = torch.stack([index.flatten() for index in indices])
            self.places += found.shape[1] - torch.unique(found, dim=1).shape[1]
        return func(*args, **(kwargs or {}))


def test_the_check_sees_a_race():
    table, index = torch.zeros(2, 3, requires_grad=True), torch.tensor([0, 1, 1, 1])
    with Racing() as seen:
        table[index].sum().backward()
    assert seen.places == 2
    with Racing() as seen:
        torch.nn.functional.embedding(index, table).sum().backward()
    assert (seen.places, seen.calls > 0) == (0, True)


def gem(backbone, number):
    config = GEMTraining(p=0.3, share_soft_prompt=0.5, batch_size=4, alpha=0.5, alpha_start=4)
    texts = tokenize_texts(backbone, Corpus(QUERIES, RESPONSES), config, 2, [])
    embedder = GEM.untrained(backbone, GEMConfig(n_special=2, lora_rank=2))
    return GEMStep(embedder), texts.make(Step(number, [0, 1, 2, 3]))


def llm2vec_gen(backbone, packed):
    config = LLM2VecGenConfig(n_compression=3, dimension=8, lora_rank=2)
    step = TrainingStep(LLM2VecGen.untrained(backbone, config), LLM2VecGenTraining())
    queries, responses = (
        backbone.tokenizer(texts, add_special_tokens=False)["input_ids"] for texts in (QUERIES, RESPONSES)
    )
    examples = Examples(backbone, queries, responses, torch.randn(4, 8), 0, 0)
    rows = [0, 1, 2, 3]
    return step, examples.packed(rows, specials=3, soft_prompts=3) if packed else examples.batch(rows)


METHODS = {
    "gem": lambda backbone: gem(backbone, 0),
    "gem with pairs": lambda backbone: gem(backbone, 6),
    "llm2vec-gen": lambda backbone: llm2vec_gen(backbone, False),
    "llm2vec-gen, packed": lambda backbone: llm2vec_gen(backbone, True),
}


@pytest.mark.parametrize("method", METHODS)
def test_a_training_step_adds_up_in_one_order(tiny_backbone, method):
    step, batch = METHODS[method](tiny_backbone)
    with Racing() as seen:
        step(**batch).total.backward()
    assert seen.calls > 100
    assert seen.places == 0
