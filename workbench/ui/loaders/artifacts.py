"""What an artifact says of itself, and what was measured of the shipped ones: read without loading a model."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import streamlit as st

from workbench.errors import UsageError, WorkbenchError
from workbench.files import shipped
from workbench.ui.loaders.embedders import Source

REPORTS = {"llm2vec-gen": "fieldguide/report.json", "gem": "fieldguide/gem_report.json"}
REFERENCES = {"llm2vec-gen": "trust/default.json", "gem": "trust/gem.json"}


@dataclass(frozen=True)
class Facts:
    """What `config.json` says of an embedder."""

    method: str
    backbone: str
    revision: str = ""
    special_tokens: int | None = None
    thought_tokens: int = 0
    dimension: int | None = None
    teacher: str = ""
    texts: int | None = None
    """How many queries (GEM: texts) it was trained on."""
    hashes: dict[str, str] = field(default_factory=dict)
    """The parts of the fingerprint, whole."""
    libraries: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Measured:
    """What was measured of a shipped embedder, and by which command."""

    method: str
    report: dict[str, Any]
    command: str
    reference: dict[str, Any] | None = None
    """What its badges are measured against."""
    reference_command: str = ""


def facts(at: Source) -> Facts:
    """What the artifact says. Raises WorkbenchError where its config.json cannot be read."""
    return _facts(at)


def measured(at: Source) -> Measured | None:
    """The report that ships for this embedder; None for one that does not ship, or without a report."""
    from workbench.fieldguide.shipping import command_for

    method = Path(at.path).name
    if at.backbone or method not in REPORTS or Path(at.path) != _shipped(f"embedders/{method}"):
        return None
    report = _json(REPORTS[method])
    if report is None:
        return None
    known, name = _json(REFERENCES[method]), REFERENCES[method]
    return Measured(method, report, command_for(REPORTS[method]), known, command_for(name))


@st.cache_data(show_spinner=False, max_entries=20)
def _facts(source: Source) -> Facts:
    path = Path(source.path) / "config.json"
    if not path.is_file():
        return Facts("llm2vec-gen", "named in run_config.yml", hashes={"checkpoint": source.fingerprint})
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        config, prints, training = said["config"], said["fingerprint"], said.get("training", {})
        parts = ("weights", "config", "tokenizer", "template")
        hashes = {f"backbone {part}": prints[part] for part in parts if prints.get(part)}
        return Facts(
            method=said["method"],
            backbone=source.backbone or said["backbone"],
            revision=prints.get("revision") or "",
            special_tokens=config.get("n_compression", config.get("n_special")),
            thought_tokens=config.get("n_thought", 0),
            dimension=said.get("dimension"),
            teacher=config.get("teacher", ""),
            texts=training.get("queries", training.get("texts")),
            hashes={"embedder weights": said["weights"], **hashes},
            libraries=said.get("libraries", {}),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise WorkbenchError(f"{path} is no embedder configuration: {error!r}") from error


def _shipped(name: str) -> Path | None:
    try:
        return shipped(*name.split("/"))
    except UsageError:
        return None


def _json(name: str) -> dict[str, Any] | None:
    path = _shipped(name)
    if path is None:
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise WorkbenchError(f"{path} is damaged: {error}") from error
