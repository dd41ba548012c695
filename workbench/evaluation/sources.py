"""An embedder by its name: ours, an official checkpoint, a sentence-transformers model, a baseline, a teacher."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from workbench.errors import UsageError
from workbench.evaluation.asked import Sampling
from workbench.files import hash_bytes, shipped

if TYPE_CHECKING:
    from workbench.backbone import Backbone
    from workbench.embedders.base import Embedder
    from workbench.training.teachers import SentenceTransformerTeacher

BASELINES = {"mean": "mean-pool", "last": "last-token", "echo": "echo", "hyde": "hyde"}
"""The baselines on any backbone, by their prefix."""
FORMS = (
    "an embedder's folder or hub id (ours, or an official checkpoint), st:PATH_OR_ID (sentence-transformers), "
    "mean:BACKBONE, last:BACKBONE, echo:BACKBONE, hyde:BACKBONE (the field guide if none is named), or teacher:PATH "
    "(of `workbench train teacher`)"
)
"""What an embedder may be called."""
OURS = "artifact"
"""The form of a name without a prefix."""


@runtime_checkable
class Encoder(Protocol):
    """What every source has in common: the call conventions of sentence-transformers."""

    prompts: dict[str, str]

    @property
    def encode(self) -> Callable[..., Any]: ...

    @property
    def encode_query(self) -> Callable[..., Any]: ...

    @property
    def encode_document(self) -> Callable[..., Any]: ...

    def fingerprint(self) -> str:
        """Hash of all that decides the vectors."""
        ...

    def prompt_named(self, name: str) -> str:
        """The prompt of that name; UsageError that shows which there are where there is none such."""
        ...


class Name(NamedTuple):
    """A name taken apart: its form (a prefix, or "artifact") and what stands behind it."""

    form: str
    rest: str | None


@dataclass(frozen=True)
class Source:
    """An embedder under the name it was asked for."""

    name: str
    form: str
    embedder: Encoder

    @property
    def generative(self) -> bool:
        """Whether it was made for instructions: one of ours, that is, or an official checkpoint."""
        return self.form == OURS

    def fingerprint(self) -> str:
        """Hash of all that decides the vectors."""
        return self.embedder.fingerprint()

    @contextmanager
    def language_model(self) -> Iterator[Backbone]:
        """The source's language model, without anything that is for embedding; UsageError where it has none."""
        model = getattr(self.embedder, "language_model", None)
        if model is None:
            raise UsageError(f"{self.name} has no language model: name an embedder of ours, or mean:BACKBONE")
        with model() as backbone:
            yield backbone


def parse(name: str | None) -> Name:
    """A name taken apart, without loading anything; None is the shipped embedder.

    Raises UsageError that lists the forms for a name that is none of them, or a folder that is not there.
    """
    if name is None:
        return Name(OURS, None)
    prefix, colon, rest = name.partition(":")
    if Path(name).expanduser().is_dir() or not colon:
        _check_place(name, name)
        return Name(OURS, str(Path(name).expanduser()) if name.startswith("~") else name)
    if prefix in BASELINES:
        return Name(prefix, rest or "fieldguide")
    if prefix not in ("st", "teacher"):
        raise UsageError(f"no embedder is called {name!r}: it is {FORMS}")
    if prefix == "st" and not rest:
        raise UsageError("st: needs a sentence-transformers folder or id behind it")
    if prefix == "teacher" and rest and not Path(rest).expanduser().is_dir():
        raise UsageError(
            f"no teacher at {rest!r}: teacher: needs a folder that `workbench train teacher` wrote"
        )
    if rest:
        _check_place(rest, name)
    return Name(prefix, str(Path(rest).expanduser()) if rest.startswith("~") else rest or None)


def _check_place(place: str, name: str) -> None:
    """Refuses what looks like a path and is not there; what looks like a hub id is for the hub to refuse."""
    path = Path(place).expanduser()
    if not place.strip():
        raise UsageError(f"no embedder is called {name!r}: it is {FORMS}")
    if not path.exists() and (place.count("/") != 1 or place.startswith((".", "/", "~"))):
        raise UsageError(f"no embedder at {place!r}: it is {FORMS}")


def open_source(
    name: str | None = None,
    *,
    backbone: Backbone | str | None = None,
    sampling: Sampling | None = None,
    seed: int = 0,
    device: str = "auto",
    dtype: str = "auto",
    trust_remote_code: bool = False,
) -> Source:
    """Loads the embedder of that name; the shipped one for None. Names are listed in `FORMS`.

    `backbone` takes the place of the one that an artifact or a teacher names, or, loaded, of the one that a baseline
    names; `sampling` and `seed` are for HyDE. Raises UsageError for a wrong name or an option that the form does not
    have, and what its loader raises.
    """
    form, rest = parse(name)
    sampling = sampling or Sampling()
    if form != "hyde" and sampling != Sampling():
        raise UsageError("answers and max_new_tokens belong to hyde:BACKBONE")
    if form == "st":
        if backbone is not None or trust_remote_code:
            raise UsageError("a sentence-transformers model has no backbone, and none of its own code is run")
        return Source(str(name), form, sentence_model(str(rest), device, dtype))
    if form in BASELINES and isinstance(backbone, str):
        raise UsageError(f"{form}: names its backbone itself, behind the colon")
    options = {"device": device, "dtype": dtype, "trust_remote_code": trust_remote_code}
    if form == OURS:
        from workbench.embedders.artifact import load_embedder

        return Source(name or "default", form, load_embedder(rest, backbone=backbone, **options))
    if form == "teacher":
        return Source(str(name), form, _teacher(rest, backbone, options))
    return Source(str(name), form, _baseline(form, str(rest), backbone, sampling, seed, options))


def _baseline(
    form: str,
    id: str,
    backbone: Backbone | str | None,
    sampling: Sampling,
    seed: int,
    options: dict[str, Any],
) -> Embedder:
    from workbench.backbone import Backbone
    from workbench.embedders.baselines import HyDE, HyDEConfig, load_baseline
    from workbench.training.teachers import load_teacher

    model = backbone if isinstance(backbone, Backbone) else Backbone.load(id, **options)
    if form != "hyde":
        return load_baseline(BASELINES[form], model)
    return HyDE(model, load_teacher(), HyDEConfig(**sampling.to_dict(), seed=seed))


def _teacher(path: str | None, backbone: Backbone | str | None, options: dict[str, Any]) -> Embedder:
    """A teacher that was trained on a backbone; the shipped one without a path."""
    from workbench.backbone import Backbone
    from workbench.embedders.artifact import Manifest, backbone_at
    from workbench.training import llm2vec

    folder = Path(path) if path else shipped("teachers", "llm2vec")
    if not isinstance(backbone, Backbone):
        named = backbone or backbone_at(Manifest.read(folder).backbone, folder)
        backbone = Backbone.load(named, **options)
    return llm2vec.load(folder, backbone)


def sentence_model(id: str, device: str, dtype: str) -> SentenceModel:
    """A sentence-transformers model by its id or folder; UsageError where it is one of our artifacts."""
    from workbench.backbone.load import pick_device, pick_dtype
    from workbench.training import llm2vec
    from workbench.training.teachers import MEAN_POOL, SentenceTransformerTeacher, load_teacher

    if id == MEAN_POOL or llm2vec.is_saved(Path(id)):
        raise UsageError(
            f"{id} is no sentence-transformers model: name it without st:, or with teacher: or mean:"
        )
    target = pick_device(device)
    kind = None if dtype == "auto" else pick_dtype(dtype, target)
    teacher = load_teacher(id)
    assert isinstance(teacher, SentenceTransformerTeacher)
    teacher.model.to(device=target, dtype=kind)
    return SentenceModel(teacher)


class SentenceModel:
    """A sentence-transformers model as it stands: instructions and pooling are its own configuration's."""

    def __init__(self, teacher: SentenceTransformerTeacher) -> None:
        self.teacher, self.model = teacher, teacher.model
        self.prompts: dict[str, str] = dict(self.model.prompts)

    def fingerprint(self) -> str:
        """Hash of weights, modules, length limit, dtype and prompts."""
        settings = [self.prompts, self.model.default_prompt_name, str(self.model.dtype)]
        return hash_bytes("st", self.teacher.fingerprint(), json.dumps(settings, sort_keys=True))

    def encode(self, texts: Sequence[str], **options: Any) -> np.ndarray:
        """The model's own `encode`: behind its default prompt, if it names one."""
        return self.model.encode(list(texts), **{"show_progress_bar": False, **options})

    def encode_query(self, texts: Sequence[str], **options: Any) -> np.ndarray:
        """The model's own `encode_query`: behind its query prompt, if it has one."""
        return self.model.encode_query(list(texts), **{"show_progress_bar": False, **options})

    def encode_document(self, texts: Sequence[str], **options: Any) -> np.ndarray:
        """The model's own `encode_document`: behind its document prompt, if it has one."""
        return self.model.encode_document(list(texts), **{"show_progress_bar": False, **options})

    def prompt_named(self, name: str) -> str:
        """The model's prompt of that name; UsageError that shows which it has where there is none such."""
        if name not in self.prompts:
            known = ", ".join(sorted(self.prompts)) or "none"
            raise UsageError(f"no prompt named {name!r}; the model has {known}")
        return self.prompts[name]
