"""Tiny random models and a fake teacher: every test runs without a download, seeded, in fp32, on one thread.

`workbench` is imported inside the fixtures only, so that a test of plain files does not wait for torch.
"""

import hashlib
import os
import re

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np
import pytest
import torch

torch.set_num_threads(1)


def pytest_collection_modifyitems(items):
    """Begins with the longest test: the other processes do the rest meanwhile."""
    items.sort(key=lambda item: item.get_closest_marker("longest") is None)


SENTENCES = [
    "The capital of France is Paris.",
    "What is the capital of Japan? The capital of Japan is Tokyo.",
    "A lion is an animal that eats meat.",
    "Which instrument has six strings? The guitar has six strings.",
    "Tell me about gold. Gold is a metal with the symbol Au.",
    "I am happy because my best friend came to visit me.",
    "I can't help with breaking into accounts.",
    "Summarize the following passage: The river flows through the city.",
    "Generate text that best answers this question: Who painted the picture?",
    "Numbers such as 0 1 2 3 4 5 6 7 8 9, signs such as ! ? ; : ( ), and words.",
]
CHAT_TEMPLATE = (
    "{% for message in messages %}{% if message['role'] == 'assistant' %}<|assistant|>{{ message['content'] }}<|end|>"
    "{% else %}<|user|>{{ message['content'] }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
SHAPE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 512}
GATED = {**SHAPE, "num_key_value_heads": 2, "intermediate_size": 64}


def make_tokenizer(chat: bool = True):
    """A byte-level BPE of 400 entries; with `chat`, a chat template, a pad token and the EOS `<|end|>`."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # pyright: ignore[reportAttributeAccessIssue]
    bpe.decoder = decoders.ByteLevel()  # pyright: ignore[reportAttributeAccessIssue]
    special = ["<|pad|>", "<|user|>", "<|assistant|>", "<|end|>"] if chat else ["<|endoftext|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=special,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    bpe.train_from_iterator(SENTENCES, trainer)
    if not chat:
        return PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="<|endoftext|>", model_max_length=512)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        eos_token="<|end|>",
        pad_token="<|pad|>",
        additional_special_tokens=["<|user|>", "<|assistant|>"],
        model_max_length=512,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def make_model(family: str, vocab_size: int, seed: int = 0, **changes):
    """A random model of one of the families below, weights spread wide enough that outputs differ."""
    import transformers as hf

    builders = {
        "llama": (hf.LlamaConfig, hf.LlamaForCausalLM, GATED),
        "qwen2": (hf.Qwen2Config, hf.Qwen2ForCausalLM, GATED),
        "mistral": (hf.MistralConfig, hf.MistralForCausalLM, {**GATED, "head_dim": 8}),
        "gpt_neox": (hf.GPTNeoXConfig, hf.GPTNeoXForCausalLM, {**SHAPE, "intermediate_size": 64}),
        "qwen3": (hf.Qwen3Config, hf.Qwen3ForCausalLM, {**GATED, "head_dim": 8}),
        "gemma2": (hf.Gemma2Config, hf.Gemma2ForCausalLM, {**GATED, "head_dim": 8, "sliding_window": 64}),
        "gemma3": (
            hf.Gemma3TextConfig,
            hf.Gemma3ForCausalLM,
            {**GATED, "head_dim": 8, "sliding_window": 64},
        ),
        "phi": (hf.PhiConfig, hf.PhiForCausalLM, {**SHAPE, "intermediate_size": 64}),
        "phi3": (hf.Phi3Config, hf.Phi3ForCausalLM, GATED),
        "olmo": (hf.OlmoConfig, hf.OlmoForCausalLM, GATED),
        "olmo2": (hf.Olmo2Config, hf.Olmo2ForCausalLM, GATED),
        "gpt2": (
            hf.GPT2Config,
            hf.GPT2LMHeadModel,
            {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 512},
        ),
    }
    config_class, model_class, shape = builders[family]
    config = config_class(**{**shape, "vocab_size": vocab_size, "initializer_range": 0.2, **changes})
    torch.manual_seed(seed)
    return model_class(config).to(torch.float32).eval()


def make_pair(family: str = "llama", seed: int = 0, **changes):
    """A tiny model with the tokenizer that belongs to it; GPT-2 comes without chat template and pad token."""
    chat = family != "gpt2"
    tokenizer = make_tokenizer(chat)
    pad = tokenizer.pad_token_id if chat else None
    ids = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": pad, "bos_token_id": None}
    return make_model(family, len(tokenizer), seed, **{**ids, **changes}), tokenizer


@pytest.fixture(scope="session")
def make_tiny():
    """Factory: `make_tiny("gemma2")` is a tiny random Backbone of that family."""
    from workbench.backbone import Backbone

    def make(family: str = "llama", seed: int = 0, **changes):
        model, tokenizer = make_pair(family, seed, **changes)
        return Backbone.wrap(model, tokenizer, id=f"tiny-{family}")

    return make


@pytest.fixture(scope="session")
def tiny_backbone(make_tiny):
    """A tiny random Llama backbone with a chat template."""
    return make_tiny("llama")


def _saved(folder, family: str):
    model, tokenizer = make_pair(family)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def save_tiny(tmp_path):
    """Factory: `save_tiny("gpt2")` is the folder of a tiny random model of that family with its tokenizer."""
    return lambda family: _saved(tmp_path / f"model-{family}", family)


@pytest.fixture(scope="session")
def tiny_backbone_dir(tmp_path_factory):
    """The model and tokenizer of `tiny_backbone`, saved with save_pretrained."""
    return _saved(tmp_path_factory.mktemp("tiny-llama"), "llama")


@pytest.fixture(scope="session")
def tiny_gpt2_dir(tmp_path_factory):
    """A saved GPT-2 without a chat template and without a pad token."""
    return _saved(tmp_path_factory.mktemp("tiny-gpt2"), "gpt2")


@pytest.fixture(scope="session")
def slow_bottleneck():
    """The reference of the bottleneck mask: `slow_bottleneck(special, padding, see_each_other)`."""

    def build(special, padding, see_each_other=False):
        """DESIGN.md's sentence in three nested loops."""
        rows, length = special.shape
        mask = torch.zeros(rows, length, length, dtype=torch.bool)
        for b in range(rows):
            marks = [t for t in range(length) if special[b, t] and padding[b, t]]
            first = marks[0] if marks else length
            for i in range(length):
                for j in range(i + 1):
                    if i == j:
                        mask[b, i, j] = True
                    elif padding[b, i] and padding[b, j]:
                        if i in marks:
                            mask[b, i, j] = j < first or (see_each_other and j in marks)
                        elif i > first:
                            mask[b, i, j] = j >= first
                        else:
                            mask[b, i, j] = True
        return mask

    return build


class FakeTeacher:
    """A bag of hashed words, L2-normalised: deterministic on every machine, 24 dimensions."""

    id = "fake-teacher"
    dimension = 24

    def fingerprint(self) -> str:
        return "fake-teacher-24"

    def embed(self, texts: list[str], batch_size: int = 64) -> np.ndarray:
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for row, text in enumerate(texts):
            for word in re.findall(r"\w+", text.lower()):
                digest = hashlib.sha256(word.encode()).digest()
                vectors[row, digest[0] % self.dimension] += 1.0 if digest[1] % 2 else -1.0
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors / np.maximum(norms, 1e-12)


@pytest.fixture(scope="session")
def fake_teacher():
    """A deterministic teacher that satisfies the Teacher protocol."""
    return FakeTeacher()
