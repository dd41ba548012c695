"""Arithmetic on soft prompts: identities to the last bit, hand-computed turns, and a chain against a slow reference."""

import math

import pytest
import torch

from workbench import decode
from workbench.decoding.arithmetic import average, chain, combine, interpolate, transplant
from workbench.embedders.config import LLM2VecGenConfig
from workbench.embedders.llm2vec_gen import LLM2VecGen
from workbench.errors import UsageError

DRAW = torch.Generator().manual_seed(0)
A, B, C = (torch.randn(4, 8, generator=DRAW) for _ in range(3))
A[0, 0] = -0.0  # a sum that starts at 0 would lose the sign


def same_bytes(a, b):
    return a.numpy().tobytes() == b.numpy().tobytes()


@pytest.mark.parametrize("how", ["linear", "spherical"])
@pytest.mark.parametrize("steps", [2, 3, 7])
def test_the_ends_of_an_interpolation_are_exact(how, steps):
    path = interpolate(A, B, steps, how)
    assert path.shape == (steps, 4, 8)
    assert torch.equal(path[0], A)
    assert torch.equal(path[-1], B)


def test_interpolation_by_hand():
    a, b = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 2.0]])
    assert interpolate(a, b, 3)[1].tolist() == [[1.0, 1.0]]
    thirds = interpolate(a, b, 4, "spherical")
    angles = [math.atan2(y, x) for x, y in thirds[:, 0].tolist()]
    assert angles == pytest.approx([0, math.pi / 6, math.pi / 3, math.pi / 2], abs=1e-6)
    assert thirds.norm(dim=-1).flatten().tolist() == pytest.approx([2.0] * 4, abs=1e-6)


def test_vectors_that_point_the_same_way_are_interpolated_straight():
    path = interpolate(A, 3 * A, 3, "spherical")
    torch.testing.assert_close(path[1], 2 * A)
    assert torch.isfinite(interpolate(A, A, 5, "spherical")).all()


def test_identities_are_byte_equal():
    assert same_bytes(combine([(1.0, A)]), A)
    assert same_bytes(average(A[None]), A)
    assert same_bytes(average(torch.stack([B, B])), B)
    assert same_bytes(transplant(A, B, []), A)
    assert same_bytes(transplant(A, A, range(4)), A)
    assert same_bytes(transplant(A, B, range(4)), B)


def test_sums_and_transplants_by_hand():
    torch.testing.assert_close(combine([(1.0, A), (1.0, B), (-1.0, C)]), A + B - C)
    torch.testing.assert_close(combine([(0.5, A), (0.5, B)]), average(torch.stack([A, B])))
    mixed = transplant(A, B, [1, 3])
    assert torch.equal(mixed[[0, 2]], A[[0, 2]])
    assert torch.equal(mixed[[1, 3]], B[[1, 3]])
    assert same_bytes(A, A.clone()), "the block that was given stays"


@pytest.mark.parametrize("lora_rank", [0, 2])
def test_a_chain_reads_soft_prompts_as_input(tiny_backbone, lora_rank):
    config = LLM2VecGenConfig(n_compression=3, n_thought=1, dimension=6, lora_rank=lora_rank)
    embedder = LLM2VecGen.untrained(tiny_backbone, config, seed=1)
    if lora_rank:
        for up in embedder.module.lora.up.values():
            up.data.normal_(0, 0.1, generator=torch.Generator().manual_seed(1))
    start = embedder.represent(["gold", "the river flows through the city"]).soft_prompts
    found = chain(embedder, start, 2)
    assert torch.equal(found[0], start)
    for step in (0, 1):
        for row in range(2):  # one row, no helper of ours
            inputs = torch.cat([found[step, row], embedder.module.tokens])[None]
            with torch.no_grad(), embedder.module.encoder_side(tiny_backbone):
                states = tiny_backbone.model.base_model(inputs_embeds=inputs).last_hidden_state[0, -3:]
                wanted = embedder.module.reconstruction(states)
            torch.testing.assert_close(found[step + 1, row], wanted, atol=1e-5, rtol=1e-5)
    assert len(decode(embedder, found[2], max_new_tokens=3)) == 2
    assert torch.equal(chain(embedder, start, 0), start[None])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: interpolate(A, B, 1), "at least 2"),
        (lambda: combine([]), "nothing to combine"),
        (lambda: average(A[None][:0]), "nothing to average"),
        (lambda: transplant(A, B, [4]), "no special token 4"),
        (lambda: combine([(1.0, A), (1.0, B[:, :4])]), "different shapes"),
    ],
)
def test_what_cannot_be_computed_is_refused(call, words):
    with pytest.raises(UsageError, match=words):
        call()
