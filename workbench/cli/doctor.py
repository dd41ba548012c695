"""`workbench doctor`: a table of checks, from library versions to a decoded embedding; exit code 1 if one fails."""

import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from workbench.cli import options
from workbench.errors import WorkbenchError
from workbench.files import shipped

if TYPE_CHECKING:
    from workbench.backbone import Backbone
    from workbench.embedders.base import Embedder

LIBRARIES = (
    "torch",
    "transformers",
    "accelerate",
    "sentence-transformers",
    "streamlit",
    "plotly",
    "umap-learn",
)
PROBES = [
    "What is the capital of France?",
    "How?",
    "Tell me in a few words about a lion that plays the guitar.",
]
NEW_TOKENS = 12
COPIED = 500_000_000
"""Parameters of the largest model that is compared with its TransformerLens bridge unasked: 2 GB more memory."""
Result = TypeVar("Result")


@dataclass(frozen=True)
class Check:
    """A check that was made: what, whether it passed, and what was seen."""

    name: str
    passed: bool
    seen: str


def doctor(
    backbone: Annotated[
        str | None, typer.Option("--backbone", help="fieldguide, a folder, or a hub id.")
    ] = None,
    embedder: options.EmbedderPath = None,
    device: options.Device = "auto",
    dtype: options.Dtype = "auto",
    revision: options.Revision = None,
    trust_remote_code: options.TrustRemoteCode = False,
    bridge: Annotated[
        bool | None,
        typer.Option(
            "--bridge/--no-bridge",
            help="Compare with TransformerLens on a float32 copy of the model; by default for small ones.",
        ),
    ] = None,
) -> int:
    """Check the installation, a backbone and an embedder; with --backbone alone, only the backbone."""

    def load_backbone() -> "Backbone":
        from workbench.backbone import Backbone

        name = backbone or "fieldguide"
        return Backbone.load(
            name, device=device, dtype=dtype, revision=revision, trust_remote_code=trust_remote_code
        )

    def load_own(loaded: "Backbone | None") -> "Embedder":
        from workbench.embedders.artifact import load_embedder

        given = loaded if backbone else None
        return load_embedder(
            embedder, backbone=given, device=device, dtype=dtype, trust_remote_code=trust_remote_code
        )

    failed = 0
    for check in checks(load_backbone, None if backbone and not embedder else load_own, bridge):
        print(f"{'ok  ' if check.passed else 'FAIL'}  {check.name:22}  {check.seen}", flush=True)
        failed += not check.passed
    print(f"{failed} of the checks failed" if failed else "all well")
    return 1 if failed else 0


def checks(
    load_backbone: Callable[[], "Backbone"],
    load_own: "Callable[[Backbone | None], Embedder] | None",
    bridge: bool | None = None,
) -> Iterator[Check]:
    """Every check in turn; what depends on a failed load is left out. `bridge` None checks that of small models."""
    yield Check("python", sys.version_info >= (3, 11), platform.python_version())
    yield from map(_library, LIBRARIES)
    if load_own is not None:
        yield _try("shipped data", lambda: str(shipped()))[0]
    check, loaded = _try("backbone loads", load_backbone)
    yield check if loaded is None else Check("backbone loads", True, _described(loaded))
    if loaded is not None:
        yield _try("batch equals single", lambda: _batch_equals_single(loaded))[0]
        yield _try("head equals model", lambda: _head_equals_model(loaded))[0]
        yield _try("bottleneck mask holds", lambda: _bottleneck_holds(loaded))[0]
        if bridge is not False:
            yield _try("bridge equals model", lambda: _bridge_equals_model(loaded, bridge))[0]
    if load_own is None:
        return
    check, own = _try("embedder fits", lambda: load_own(loaded))
    yield check if own is None else Check("embedder fits", True, f"{own.method}, dimension {own.dimension}")
    if own is not None:
        yield _try("embedding decodes", lambda: _decodes(own))[0]


def _library(name: str) -> Check:
    try:
        return Check(name, True, version(name))
    except PackageNotFoundError:
        return Check(name, False, "not installed")


def _try(name: str, work: Callable[[], Result]) -> tuple[Check, Result | None]:
    """Runs a check; whatever goes wrong is what it has seen."""
    try:
        result = work()
    except (WorkbenchError, OSError, ValueError, RuntimeError, ImportError) as error:
        return Check(name, False, " ".join(str(error).split())), None
    return Check(name, True, str(result)), result


def _described(backbone: "Backbone") -> str:
    size = sum(parameter.numel() for parameter in backbone.model.parameters())
    return f"{backbone.id}: {size / 1e6:.1f} M parameters, {backbone.dtype} on {backbone.device}"


def _batch_equals_single(backbone: "Backbone") -> str:
    """Greedy answers of a batch are those of single runs."""
    ids = backbone.tokenize(PROBES).ids
    together = backbone.generate(ids, max_new_tokens=NEW_TOKENS)
    alone = [backbone.generate([row], max_new_tokens=NEW_TOKENS)[0] for row in ids]
    if together != alone:
        rows = [row for row, (a, b) in enumerate(zip(together, alone, strict=True)) if a != b]
        raise WorkbenchError(f"answers {rows} of {len(ids)} change with their batch")
    return f"{len(ids)} answers, token by token"


def _head_equals_model(backbone: "Backbone") -> str:
    """Our hidden states and head give the logits that the model itself gives."""
    import torch

    batch = backbone.pad(backbone.tokenize(PROBES).ids)
    with torch.inference_mode():
        hidden = backbone.hidden(backbone.embed(batch.ids), mask=batch.mask, positions=batch.positions)
        ours = backbone.logits(hidden.last)[batch.mask].float()
        output = backbone.model(
            input_ids=batch.ids, attention_mask=batch.mask.long(), position_ids=batch.positions
        )
        theirs = output.logits[batch.mask].float()
    gap = float((ours - theirs).abs().max() / theirs.abs().max())
    if not gap <= (1e-4 if backbone.dtype == torch.float32 else 2e-2):
        raise WorkbenchError(f"logits differ by {gap:.1e} of the largest")
    return f"largest difference {gap:.0e} of the largest logit"


def _bottleneck_holds(backbone: "Backbone") -> str:
    """GEM's suffix learns of the prefix through the special tokens alone."""
    from workbench.leakage import audit_backbone

    audit = audit_backbone(backbone)
    audit.require()
    return audit.summary()


def _bridge_equals_model(backbone: "Backbone", asked: bool | None) -> str:
    """The TransformerLens bridge gives the logits that the model itself gives, in float32.

    Unless `asked`, a large model (the check copies it) or an unknown family is told, and no failure: lenses read both.
    """
    from workbench.lenses.bridge import NoBridge, parity

    size = sum(parameter.numel() for parameter in backbone.model.parameters())
    if not asked and size > COPIED:
        return f"not compared, {size / 1e9:.1f} B parameters would be copied in float32; --bridge does"
    try:
        report = parity(backbone)
    except NoBridge as error:
        if asked:
            raise
        return f"nothing to compare with: {error}"
    report.require()
    return report.summary()


def _decodes(embedder: "Embedder") -> str:
    """An embedding is finite and reads as text."""
    from workbench.decoding.trust import read

    text = read(embedder, PROBES[:1], max_new_tokens=32).decoded[0]
    if not text.strip():
        raise WorkbenchError(f"{PROBES[0]!r} decodes to nothing")
    return f"{PROBES[0]} -> {text}"
