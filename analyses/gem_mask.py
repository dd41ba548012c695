"""The attention mask that the shipped GEM declares, beside the attention it applies, on one fixed sentence.

python -m analyses.gem_mask        # writes data/figures/gem_mask.json
"""

from pathlib import Path
from typing import Annotated

import typer

TEXT = "What is the capital of Kenya?"
"""Chosen once, before any figure was looked at: the app's own first example."""


def main(output: Annotated[Path | None, typer.Option(help="The results file.")] = None) -> None:
    """Measure the attention in every layer and head, and write the mean beside the mask."""
    from workbench import load_embedder
    from workbench.figures.paper.results import GEM, write_results
    from workbench.files import shipped
    from workbench.lenses.attention import special_attention

    found = special_attention(load_embedder(shipped(*GEM.split("/"))), TEXT)
    assert found.audit is not None  # GEM has a suffix
    numbers = {
        "text": TEXT, "layers": found.layers, "heads": found.heads, "prefix": int(found.is_prefix.sum()),
        "special": int(found.is_special.sum()), "suffix": int(found.is_suffix.sum()), "leak": found.leak,
        "gradient": max(found.audit.gradient), "through": found.audit.through,
    }  # fmt: skip
    data = {
        "tokens": found.tokens,
        "special": found.is_special.tolist(),
        "declared": found.declared.astype(int).tolist(),
        "applied": found.weights_of().astype(float).tolist(),
    }
    print(write_results("gem_mask", data=data, numbers=numbers, artifacts=[GEM], output=output))


if __name__ == "__main__":
    typer.run(main)
