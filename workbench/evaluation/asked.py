"""What a user may ask of an evaluation (no heavy imports: the command line reads its flags from here)."""

from dataclasses import dataclass
from typing import Any

from workbench.config import Config
from workbench.errors import UsageError


@dataclass(frozen=True)
class TaskFiles(Config):
    """The files of a task, by role: .jsonl, .csv, .tsv (gzipped or not) or .parquet."""

    data: str | None = None
    """The task's file (pairs, test texts, questions, BRIGHT's examples, harmful queries), or the folder of a suite."""
    train: str | None = None
    """Training texts of classification, or solved examples of multiple choice."""
    corpus: str | None = None
    """Documents to find; for safety, the harmless ones among them."""
    queries: str | None = None
    """Queries of retrieval or reranking."""
    qrels: str | None = None
    """Which document answers which query: columns query-id, corpus-id, score."""
    candidates: str | None = None
    """Documents that each query is to rerank: columns query-id, corpus-ids."""

    def given(self) -> dict[str, str]:
        """The files that were named, by role."""
        return {role: path for role, path in self.to_dict().items() if path is not None}


@dataclass(frozen=True)
class TaskSettings(Config):
    """The settings of single protocols; each belongs to one of them."""

    samples_per_label: int | None = None
    """Classification: training texts of each label; 8 where not given."""
    fast: bool = False
    """Clustering: ten draws of a single set (mteb's tasks with .v2) instead of each set whole."""
    max_texts: int | None = None
    """Clustering with --fast: embed a sample of so many texts (2048 in most of mteb's tasks)."""
    ignore_identical_ids: bool = False
    """Retrieval: no query finds the document of its own id (ArguAna and others)."""
    long: bool = False
    """Reasoning: the documents are whole (gold_ids_long)."""
    shots: int | None = None
    """Multiple choice: solved examples before each question; 0 where not given."""
    max_length: int | None = None
    """Perplexity: most tokens of a text; 512 where not given."""
    column: str | None = None
    """Perplexity: the column with the texts; else text, query, question, prompt, instruction."""

    def __post_init__(self) -> None:
        least = {"samples_per_label": 1, "max_texts": 2, "shots": 0, "max_length": 2}
        for name, number in least.items():
            value = getattr(self, name)
            if value is not None and value < number:
                raise UsageError(f"{name} must be at least {number}, not {value}")
        if self.max_texts is not None and not self.fast:
            raise UsageError("max_texts belongs to --fast")

    def given(self) -> dict[str, Any]:
        """The settings that were asked for, by name."""
        return {
            name: value for name, value in self.to_dict().items() if value is not None and value is not False
        }


@dataclass(frozen=True)
class Prompting(Config):
    """What is to stand before the texts; where nothing is asked, it is left to the embedder."""

    prompt: str | None = None
    """What stands before every text, or before queries alone where a task has documents; "" is nothing anywhere."""
    prompt_name: str | None = None
    """The embedder's instruction of a task (STS12, SciFact), or of a side (query, document)."""

    def __post_init__(self) -> None:
        if self.prompt is not None and self.prompt_name is not None:
            raise UsageError("give either --prompt or --prompt-name")


@dataclass(frozen=True)
class Sampling(Config):
    """How hyde: answers; other embedders sample nothing."""

    answers: int = 8
    """hyde: sampled answers of each query."""
    max_new_tokens: int = 512
    """hyde: longest answer, in tokens."""

    def __post_init__(self) -> None:
        for name in ("answers", "max_new_tokens"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1, not {getattr(self, name)}")
