"""The backbone: one frozen, decoder-only language model with its tokenizer, and what every method asks of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from workbench.backbone import identity
from workbench.backbone.caching import cache_argument
from workbench.backbone.head import head_of
from workbench.backbone.kernels import attention_kernel, needs_mask
from workbench.backbone.load import FIELDGUIDE, load
from workbench.backbone.padding import PaddedBatch, pad
from workbench.backbone.prompts import Prompts, Template, Tokenized, eos_ids
from workbench.backbone.quantization import Quantization
from workbench.backbone.writing import Writing
from workbench.errors import WorkbenchError
from workbench.hub import HubAccess
from workbench.masks import causal_mask, to_additive


class HiddenStates(NamedTuple):
    """Last hidden states after the final norm, and the keys and values of everything read so far."""

    last: Float[Tensor, "b t d"]
    cache: Any


class Backbone(Writing):
    """A frozen LM in eval mode. `eos_ids[0]` is the token that closes an answer; all of them stop generation."""

    def __init__(
        self, model: Any, tokenizer: Any, id: str, revision: str | None, folder: Path | None
    ) -> None:
        self.model = model.eval().requires_grad_(False)
        self.tokenizer, self.id, self.revision, self._folder = tokenizer, id, revision, folder
        self.sharded = False  # whether its blocks are spread over processes (sharding.py)
        self._prompts = Prompts(tokenizer, id)
        config = model.config.get_text_config()
        self.hidden_size: int = model.get_input_embeddings().weight.shape[1]
        self.vocab_size: int = config.vocab_size
        self.max_length: int = getattr(config, "max_position_embeddings", None) or 2**31
        self.eos_ids: tuple[int, ...] = eos_ids(self._prompts, model, id)
        filler = tokenizer.pad_token_id
        self.pad_id: int = self.eos_ids[0] if filler is None else filler

    @classmethod
    def load(
        cls,
        id_or_path: str = FIELDGUIDE,
        *,
        device: str = "auto",
        dtype: str | torch.dtype = "auto",
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
        trust_remote_code: bool = False,
        quantization: Quantization | None = None,
    ) -> Backbone:
        """Load the shipped field guide, a folder written by `save_pretrained`, or a decoder-only hub model.

        `device` "auto" takes a GPU if there is one; `dtype` "auto" is bfloat16 on a GPU that has it, else float32.
        `quantization` "nf4" loads the blocks in 4 bits (bitsandbytes, on a GPU; docs/scale.md).
        The other options are `from_pretrained`'s; see `HubAccess`.
        Raises `UsageError` for a name that leads nowhere, `WorkbenchError` for damaged or missing weights.
        """
        hub = HubAccess(token, cache_dir, local_files_only)
        found = load(str(id_or_path), device, dtype, revision, trust_remote_code, hub, quantization)
        return cls(found.model, found.tokenizer, str(id_or_path), found.revision, found.folder)

    @classmethod
    def wrap(cls, model: Any, tokenizer: Any, id: str = "in-memory") -> Backbone:
        """A backbone around a model in memory, which is frozen and set to eval where it is."""
        return cls(model, tokenizer, id, None, None)

    @property
    def device(self) -> torch.device:
        """Where the weights are, now."""
        return self.model.get_input_embeddings().weight.device

    @property
    def dtype(self) -> torch.dtype:
        """The type of the weights."""
        return self.model.get_input_embeddings().weight.dtype

    def fingerprint(self) -> dict[str, str]:
        """What ties an artifact to this backbone: `backbone`, `revision`, and hashes of `config`, `weights`,
        `tokenizer`, `template`. Local weights are hashed as they lie on the disk, so device and dtype play no part;
        a hub model is its revision."""
        return dict(self._fingerprint)

    @cached_property
    def _fingerprint(self) -> dict[str, str]:
        if self._folder is not None:
            weights = identity.folder_hash(self._folder)
        else:
            weights = f"hub:{self.revision}" if self.revision else identity.module_hash(self.model)
        return {
            "backbone": self.id,
            "revision": self.revision or "",
            "config": identity.config_hash(self.model.config),
            "weights": weights,
            "tokenizer": identity.tokenizer_hash(self.tokenizer),
            "template": identity.template_hash(self.tokenizer),
        }

    def tokenize(
        self,
        texts: list[str],
        *,
        template: Template = "chat",
        max_length: int = 512,
        instruction: str | None = None,
    ) -> Tokenized:
        """Token ids in the template, at most `max_length` (and the model's window) each; see `Prompts.tokenize`."""
        return self._prompts.tokenize(texts, template, min(max_length, self.max_length), instruction)

    def first_ids(self, texts: list[str], most: int) -> list[list[int]]:
        """At most `most` token ids of each text, nothing added; see `Prompts.first_ids`."""
        return self._prompts.first_ids(texts, most)

    @property
    def answer_opening(self) -> list[int]:
        """The ids between a user's text and the answer in the chat template; empty where there is no template."""
        return self._prompts.answer_opening

    def detokenize(self, ids: list[list[int]]) -> list[str]:
        """Texts of the ids, special tokens left out."""
        return self._prompts.detokenize(ids)

    def pad(self, ids: list[list[int]], side: Literal["left", "right"] = "left") -> PaddedBatch:
        """One batch on the backbone's device, padded on one side; positions of padding are 0."""
        return pad(ids, side, self.pad_id, self.device)

    def embed(self, ids: Int[Tensor, "b t"]) -> Float[Tensor, "b t d"]:
        """Input embeddings of token ids."""
        return self.model.get_input_embeddings()(ids.to(self.device))

    def hidden(
        self,
        inputs_embeds: Float[Tensor, "b t d"],
        *,
        mask: Bool[Tensor, "b s"] | Bool[Tensor, "b t s"] | None = None,
        positions: Int[Tensor, "b t"] | None = None,
        cache: Any = None,
        use_cache: bool = False,
    ) -> HiddenStates:
        """Run the model behind what `cache` holds; `mask` covers cache and input (s = cached + t), True = real.

        Causal, or with a mask `[b, t, s]` as that says, True = may attend. Without mask and positions all is real and
        counted from 0, which a GPU need not be asked. A cache that is passed in is extended in place. Gradients reach
        `inputs_embeds` and the cache.
        """
        length = inputs_embeds.shape[1]
        if mask is None and cache is None and needs_mask(self):
            mask = causal_mask(torch.ones(1, length, dtype=torch.bool))
        mask = None if mask is None else mask.to(self.device)
        with attention_kernel(self.device, length if mask is None else mask.shape[-1]):
            output = self.model.base_model(
                inputs_embeds=inputs_embeds.to(self.device, self.dtype),
                attention_mask=mask if mask is None or mask.ndim == 2 else to_additive(mask, self.dtype),
                position_ids=None if positions is None else positions.to(self.device),
                use_cache=use_cache or cache is not None,
                return_dict=True,
                **{self._cache_argument: cache},
            )
        kept = getattr(output, self._cache_argument) if use_cache else cache
        return HiddenStates(output.last_hidden_state, kept)

    @cached_property
    def _cache_argument(self) -> str:
        return cache_argument(self.model)

    @cached_property
    def layers(self) -> list[torch.nn.Module]:
        """The blocks of the model, from the first to the last."""
        count = self.model.config.get_text_config().num_hidden_layers
        for module in self.model.base_model.modules():
            if isinstance(module, torch.nn.ModuleList) and len(module) == count:
                return list(module)
        raise WorkbenchError(f"{self.id}: no list of {count} blocks was found in {type(self.model).__name__}")

    def logits(self, hidden: Float[Tensor, "*b d"]) -> Float[Tensor, "*b v"]:
        """Next-token logits of last hidden states: the model's own head, with its scaling and soft capping."""
        rows = hidden.to(self.device, self.dtype).reshape(1, -1, hidden.shape[-1])
        logits = self._head(inputs_embeds=rows, use_cache=False, return_dict=True).logits
        return logits.reshape(*hidden.shape[:-1], -1)

    @cached_property
    def _head(self) -> Any:
        return head_of(self.model)

    @contextmanager
    def eager_attention(self) -> Iterator[None]:
        """Eager attention inside the block, which can return its weights; undone on leaving, on errors too."""
        before = self.model.config._attn_implementation
        self.model.set_attn_implementation("eager")
        try:
            yield
        finally:
            self.model.set_attn_implementation(before)
