"""What the model says along the way from one text's soft prompts to another's, with its badge at every step.

python -m analyses.interpolation        # writes data/figures/interpolation.json
"""

from pathlib import Path
from typing import Annotated

import typer

FROM, TO = "What is the capital of Kenya?", "What is gold?"
"""Chosen once, before any figure was looked at: two questions of the README."""
STEPS = 9


def main(output: Annotated[Path | None, typer.Option(help="The results file.")] = None) -> None:
    """Walk, decode, and judge every step."""
    from workbench import decode, load_embedder
    from workbench.decoding.arithmetic import interpolate
    from workbench.decoding.badge import Judge
    from workbench.decoding.reference import load_reference
    from workbench.figures.paper.results import DEFAULT, write_results
    from workbench.files import cache_folder

    embedder = load_embedder()
    judge = Judge(embedder, load_reference(embedder, cache_dir=cache_folder()))
    soft_prompts = embedder.represent([FROM, TO]).soft_prompts
    assert soft_prompts is not None  # LLM2Vec-Gen has them
    path = interpolate(soft_prompts[0], soft_prompts[1], STEPS)
    said = decode(embedder, path)
    badges = judge.badges(path, said)
    steps = [
        {"share": step / (STEPS - 1), "text": text, **badge.to_dict()}
        for step, (text, badge) in enumerate(zip(said, badges, strict=True))
    ]
    numbers = {
        "start": FROM, "end": TO, "steps": STEPS, "between": STEPS - 2, "threshold": judge.reference.threshold,
        "high": sum(badge.level == "high" for badge in badges[1:-1]),
    }  # fmt: skip
    data = {"steps": steps, "threshold": judge.reference.threshold}
    print(write_results("interpolation", data=data, numbers=numbers, artifacts=[DEFAULT, "trust/default.json"],
                        output=output))  # fmt: skip


if __name__ == "__main__":
    typer.run(main)
