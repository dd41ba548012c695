"""Who stands beside a question: questions of the same words (MiniLM on the query), or of the same answer (ours)?

    python -m analyses.neighbourhoods        # writes data/figures/neighbourhoods.json

All one-hop and two-hop questions of the exam, none of which was trained on. Shares are over those whose answer other
questions have too, so that every one of the K nearest could share it.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from analyses.bootstrap import interval

K = 5
ALIKE = 0.5
"""From this share of common words on (Jaccard), two questions are worded alike."""
COLOURED = 7
"""The most frequent answers have a colour on the map."""


def main(output: Annotated[Path | None, typer.Option(help="The results file.")] = None) -> None:
    """Embed the questions both ways, count what their neighbours share, and map them."""
    from workbench import load_embedder
    from workbench.atlas.projection import umap
    from workbench.fieldguide.exam import read_exam
    from workbench.figures.paper.results import DEFAULT, write_results
    from workbench.files import shipped
    from workbench.training.teachers import load_teacher

    items = [
        item for item in read_exam(shipped("fieldguide", "eval.jsonl")) if item.kind in ("one_hop", "two_hop")
    ]
    queries, answers = [item.query for item in items], [item.accept[0] for item in items]
    counts = Counter(answers)
    asked = np.array([counts[answer] > K for answer in answers])
    spaces = {
        "MiniLM on the query": np.asarray(load_teacher().embed(queries)),
        "LLM2Vec-Gen": np.asarray(load_embedder().encode(queries)),
    }
    words = overlaps(queries)
    shares = {name: shared(vectors, words, answers, asked) for name, vectors in spaces.items()}
    best = [answer for answer, _ in counts.most_common(COLOURED)]
    data = {
        "spaces": list(spaces),
        "maps": [umap(vectors).astype(float).tolist() for vectors in spaces.values()],
        "groups": [best.index(answer) if answer in best else -1 for answer in answers],
        "answers": best,
        "shares": {
            name: {what: interval(rows) for what, rows in found.items()} for name, found in shares.items()
        },
    }
    first, second = shares.values()
    gain = interval(second["same answer"] - first["same answer"])
    wording = interval(second["worded alike, another answer"] - first["worded alike, another answer"])
    numbers = {
        "questions": len(items), "asked": int(asked.sum()), "k": K, "answers": len(counts), "alike": ALIKE,
        **{f"gain_{end}": value for end, value in zip(("mean", "low", "high"), gain, strict=True)},
        **{f"wording_{end}": value for end, value in zip(("mean", "low", "high"), wording, strict=True)},
    }  # fmt: skip
    print(write_results("neighbourhoods", data=data, numbers=numbers, artifacts=[DEFAULT, "fieldguide/eval.jsonl"],
                        output=output))  # fmt: skip


def overlaps(texts: Sequence[str]) -> np.ndarray:
    """The Jaccard similarity of the sets of words of any two texts `[n, n]`."""
    known = {word: place for place, word in enumerate(sorted({w for text in texts for w in _words(text)}))}
    has = np.zeros((len(texts), len(known)), dtype=np.float32)
    for row, text in enumerate(texts):
        has[row, [known[word] for word in _words(text)]] = 1
    both, sizes = has @ has.T, has.sum(1)
    return both / (sizes[:, None] + sizes[None] - both)


def shared(
    vectors: np.ndarray, words: np.ndarray, answers: Sequence[str], asked: np.ndarray
) -> dict[str, np.ndarray]:
    """What each question that counts shares with its K nearest others by cosine: a share of them for each sort."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, -np.inf)
    near = np.argsort(-cosines, axis=1, kind="stable")[:, :K]
    same = np.array(answers)[near] == np.array(answers)[:, None]
    alike = np.take_along_axis(words, near, axis=1) >= ALIKE
    sorts: dict[str, Any] = {
        "same answer": same,
        "worded alike": alike,
        "worded alike, another answer": alike & ~same,
    }
    return {name: found[asked].mean(1) for name, found in sorts.items()}


def _words(text: str) -> set[str]:
    return {word.strip(".,;:!?'\"()") for word in text.lower().split()} - {""}


if __name__ == "__main__":
    typer.run(main)
