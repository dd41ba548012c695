"""Checkpoints of the official LLM2Vec-Gen release (github.com/McGill-NLP/llm2vec-gen), read as ordinary embedders.

A checkpoint is a folder: `encoder/` is a peft adapter with the special tokens' input rows (and a LoRA where one was
trained), `reconstruction_mlp` and `alignment_mlp` are pickled linear layers, `run_config.yml` names the base model and
the special tokens, `encoder_decoder_config.json` says how many of them are read out, and the tokenizer is the base
model's with the special tokens added. The prompt is the raw text, then the special tokens.
The format has no fingerprint; what the checkpoint holds of its base model takes its place (`_check_backbone`).
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from workbench.backbone import Backbone
from workbench.embedders.config import LLM2VecGenConfig
from workbench.embedders.llm2vec_gen import LLM2VecGen
from workbench.embedders.official_files import (
    Adapter,
    read_adapter,
    read_json,
    read_projection,
    read_tokenizer,
    read_yaml,
)
from workbench.errors import FingerprintMismatch, WorkbenchError
from workbench.files import hash_bytes
from workbench.hub import HubAccess

RUN, ENCODING, SHAPE = "run_config.yml", "encoder_decoder_config.json", "encoder/config.json"
TOKENIZER, TOKENIZER_CONFIG = "tokenizer.json", "tokenizer_config.json"
RECONSTRUCTION, ALIGNMENT = "reconstruction_mlp", "alignment_mlp"
FILES = [RUN, ENCODING, TOKENIZER, TOKENIZER_CONFIG, RECONSTRUCTION, ALIGNMENT, "encoder/*"]
"""What is read of a checkpoint, as patterns for a hub download."""
SHAPE_KEYS = (
    "model_type",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
)
PROBES = ["Is Montréal in Canada? Say yes, or no!\n\n\tIn 1984: 东京, αβγ, 3.14 + x_2", "  two  spaces\r\n"]
"""Texts that both tokenizers must read alike; equal vocabularies alone may split a text differently."""


def is_checkpoint(folder: Path) -> bool:
    """Whether a folder is in the official format, whole or damaged; an artifact of ours beside it comes first."""
    parts = (RUN, ENCODING, RECONSTRUCTION, ALIGNMENT, "encoder")
    return not (folder / "model.safetensors").exists() and any((folder / part).exists() for part in parts)


@dataclass(frozen=True)
class Run:
    """What `run_config.yml` and `encoder_decoder_config.json` say, as far as embedding needs it."""

    base: str | None
    """The base model: a folder, relative to the checkpoint or beside it, or a hub id."""
    revision: str | None
    """The base model's revision on the hub."""
    tokens: list[str]
    """The special tokens in the order of the prompt; those before the last `n_compression` are thought tokens."""
    n_compression: int
    max_input_length: int
    """Most tokens of a prompt, special tokens included."""
    teacher: str
    without: frozenset[str]
    """The projections that the training was told to do without."""

    def __post_init__(self) -> None:
        if not 1 <= self.n_compression <= len(self.tokens):
            raise WorkbenchError(
                f"{self.n_compression} special tokens are to be read out, but {RUN} names {len(self.tokens)}"
            )
        if self.max_input_length <= len(self.tokens):
            raise WorkbenchError(
                f"max_input_length {self.max_input_length} leaves no room before {len(self.tokens)} special tokens"
            )

    @classmethod
    def read(cls, folder: Path) -> "Run":
        """The settings of a checkpoint; WorkbenchError where they are missing, damaged or ask for what we lack."""
        values = read_yaml(folder / RUN)
        own = read_json(folder / ENCODING) if (folder / ENCODING).exists() else {}
        if own.get("save_decoder"):
            raise WorkbenchError(
                f"{folder} decodes with a model of its own; only the base model can decode here"
            )
        mode = own.get("encoding_mode", values.get("encoding_mode", "last_10_tokens"))
        counted = re.fullmatch(r"last_(\d+)_tokens", str(mode))
        if counted is None:
            raise WorkbenchError(f"{folder}: encoding_mode must be last_N_tokens, not {mode!r}")
        tokens, length = values.get("special_tokens"), values.get("max_input_length", 512)
        if not isinstance(tokens, list) or not all(isinstance(token, str) and token for token in tokens):
            raise WorkbenchError(f"{folder / RUN}: special_tokens must be a list of names, not {tokens!r}")
        if type(length) is not int:
            raise WorkbenchError(f"{folder / RUN}: max_input_length must be a number, not {length!r}")
        teachers = [_name(values, f"pretrained_teacher_path{end}") for end in ("_2", "")]
        revision = _name(values, "model_revision")
        return cls(
            base=_name(values, "model_name_or_path"),
            revision=None if revision == "main" else revision,
            tokens=tokens,
            n_compression=int(counted[1]),
            max_input_length=length,
            teacher=next(filter(None, teachers), "unknown"),
            without=frozenset(
                name for name in (RECONSTRUCTION, ALIGNMENT) if values.get(f"add_{name}") is False
            ),
        )


def load_checkpoint(
    folder: Path,
    *,
    backbone: Backbone | str | None = None,
    device: str = "auto",
    dtype: str = "auto",
    trust_remote_code: bool = False,
    hub: HubAccess | None = None,
) -> LLM2VecGen:
    """The embedder of an official checkpoint, on the base model that it names or on `backbone` (loaded, id or path).

    Raises WorkbenchError for parts that are missing, damaged, unsafe to read or beyond this package,
    FingerprintMismatch where the backbone is not the base model, UsageError where there is no base model.
    """
    run = Run.read(folder)
    tokenizer = read_tokenizer(folder / TOKENIZER)
    adapter = read_adapter(folder / "encoder", _ids(tokenizer, run, folder))
    size = adapter.tokens.shape[1]
    weight, bias = read_projection(folder / RECONSTRUCTION, size if RECONSTRUCTION in run.without else None)
    align, offset = read_projection(folder / ALIGNMENT, size if ALIGNMENT in run.without else None)
    shape = read_json(folder / SHAPE)
    if not isinstance(backbone, Backbone):
        name = backbone or _base(run, folder)
        on_the_hub = not backbone and not Path(name).is_dir()
        backbone = Backbone.load(
            name,
            device=device,
            dtype=dtype,
            revision=run.revision if on_the_hub else None,
            trust_remote_code=trust_remote_code,
            **(hub or HubAccess())._asdict(),
        )
    _check_backbone(backbone, shape, tokenizer, adapter, folder)
    config = LLM2VecGenConfig(
        n_compression=run.n_compression,
        n_thought=len(run.tokens) - run.n_compression,
        template="raw",
        max_length=run.max_input_length - len(run.tokens),
        teacher=run.teacher,
        dimension=len(align),
        lora_rank=adapter.rank,
        lora_alpha=adapter.alpha,
    )
    trained = {"tokens": adapter.tokens, "reconstruction.weight": weight, "reconstruction.bias": bias}
    trained |= {"alignment.weight": align, "alignment.bias": offset}
    prefix = backbone.model.base_model_prefix
    trained |= {_lora_name(name, prefix): update for name, update in adapter.lora.items()}
    return _filled(LLM2VecGen.untrained(backbone, config), trained, folder)


def _name(values: dict[str, Any], key: str) -> str | None:
    """A name of the run's settings, which are Python values written out: no name is the word None."""
    value = values.get(key)
    return value if isinstance(value, str) and value not in ("", "None") else None


def _base(run: Run, folder: Path) -> str:
    """The base model: a folder in the checkpoint or beside it, else the path or hub id as it is written."""
    if run.base is None:
        raise WorkbenchError(f"{folder / RUN} names no base model; give one as the backbone")
    for place in (folder / run.base, folder.absolute().parent / run.base):
        if (place / "config.json").is_file():
            return str(place.resolve())
    return run.base


def _ids(tokenizer: Any, run: Run, folder: Path) -> list[int]:
    """The ids of the special tokens; WorkbenchError where the checkpoint's tokenizer has others."""
    settings = read_json(folder / TOKENIZER_CONFIG) if (folder / TOKENIZER_CONFIG).exists() else {}
    listed = settings.get("additional_special_tokens") or run.tokens
    listed = listed if isinstance(listed, list) else [listed]
    names = [token.get("content") if isinstance(token, dict) else token for token in listed]
    known = [tokenizer.token_to_id(token) for token in run.tokens]
    ids = [token for token in known if token is not None]
    if names != run.tokens or len(set(ids)) < len(run.tokens):
        raise WorkbenchError(f"{folder}: the special tokens of {RUN} are not those of its tokenizer")
    return ids


def _check_backbone(
    backbone: Backbone, shape: dict[str, Any], tokenizer: Any, adapter: Adapter, folder: Path
) -> None:
    """Refuse a backbone whose shape, tokenizer or input embeddings are not those that the checkpoint holds."""
    config = backbone.model.config.get_text_config().to_dict()
    for key in SHAPE_KEYS:
        saved, loaded = shape.get(key), config.get(key)
        if saved is not None and loaded is not None and saved != loaded:
            raise FingerprintMismatch(str(folder), key, str(saved), str(loaded))
    special = set(adapter.ids)
    words = [(word, token) for word, token in tokenizer.get_vocab().items() if token not in special]
    ours = sorted(words), [tokenizer.encode(text).ids for text in PROBES]
    theirs = sorted(backbone.tokenizer.get_vocab().items()), backbone.tokenizer(PROBES)["input_ids"]
    if ours != theirs:
        raise FingerprintMismatch(str(folder), "tokenizer", hash_bytes(repr(ours)), hash_bytes(repr(theirs)))
    table = backbone.model.get_input_embeddings()
    if type(table) is not torch.nn.Embedding:  # Gemma's multiplies what it looks up
        raise WorkbenchError(f"{folder}: special tokens for {type(table).__name__} cannot be read here")
    for matrix in adapter.vocabulary:
        _check_rows(matrix, table.weight, special, folder)


def _check_rows(saved: Tensor, loaded: Tensor, special: set[int], folder: Path) -> None:
    """Refuse where a row of the input embeddings `[v, d]` differs, special tokens aside, beyond a change of dtype."""
    count = min(len(saved), len(loaded))
    if saved.shape[1:] != loaded.shape[1:]:
        raise FingerprintMismatch(str(folder), "input embedding", str(saved.shape[1:]), str(loaded.shape[1:]))
    for start in range(0, count, 8192):
        ours, theirs = saved[start : min(start + 8192, count)], loaded[start : min(start + 8192, count)].cpu()
        apart = [(ours.to(kind) != theirs.to(kind)).any(dim=1) for kind in (ours.dtype, theirs.dtype)]
        for row in torch.nonzero(apart[0] & apart[1]).flatten().tolist():
            if start + row not in special:
                sides = [hash_bytes(side[row].float().numpy().tobytes()) for side in (ours, theirs)]
                raise FingerprintMismatch(
                    str(folder), f"embedding of token {start + row}", sides[0], sides[1]
                )


def _lora_name(name: str, prefix: str) -> str:
    """`layers.0.mlp.up_proj.lora_A.weight` as our module calls it."""
    layer, _, which = name.removesuffix(".weight").rpartition(".")
    side, key = "down" if which == "lora_A" else "up", f"{prefix}.{layer}".replace(".", "/")
    return f"lora.{side}.{key}"


def _filled(embedder: LLM2VecGen, trained: dict[str, Tensor], folder: Path) -> LLM2VecGen:
    """The embedder with the checkpoint's tensors; layers that its LoRA leaves out get no update."""
    state = embedder.module.state_dict()
    state = {name: torch.zeros_like(t) if name.startswith("lora.") else t for name, t in state.items()}
    for name, tensor in trained.items():
        expected = tuple(state[name].shape) if name in state else None
        if expected != tuple(tensor.shape):
            raise WorkbenchError(
                f"{folder}: {name} is {tuple(tensor.shape)}, where the base model has {expected or 'none'}"
            )
        state[name] = tensor
    embedder.module.load_state_dict(state)
    return embedder
