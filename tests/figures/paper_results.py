"""Small made-up results, one for each paper figure: what its `draw` and its caption need, and no more."""

import numpy as np


def results(name, data, numbers, command=None):
    """A results file's content."""
    return {
        "figure": name,
        "command": command or f"python -m analyses.{name}",
        "artifacts": {},
        "libraries": {},
        "numbers": numbers,
        "data": data,
    }


def gem_mask():
    t = 7
    declared = np.tril(np.ones((t, t)))
    return results(
        "gem_mask",
        {
            "tokens": ["<b>", "$x$", "◆1", "◆2", "The", "␣end", "."],
            "special": [0, 0, 1, 1, 0, 0, 0],
            "declared": declared.astype(int).tolist(),
            "applied": (declared / declared.sum(1, keepdims=True)).tolist(),
        },
        {"text": "a $b_c$", "layers": 2, "heads": 4, "prefix": 2, "special": 2, "suffix": 3, "leak": 0.0,
         "gradient": 0.0, "through": 1.5},
    )  # fmt: skip


SYNTHETIC = {"gem_mask": gem_mask}
"""A function for each figure of the registry."""
