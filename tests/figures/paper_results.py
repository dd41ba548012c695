"""Small made-up results, one for each paper figure: what its `draw` and its caption need, and no more."""

from functools import partial

import numpy as np
from comparison_results import COMPARISONS


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


def neighbourhoods():
    shares = {
        "same answer": [0.5, 0.4, 0.6],
        "worded alike": [0.3, 0.2, 0.4],
        "worded alike, another answer": [0, 0, 0],
    }
    return results(
        "neighbourhoods",
        {
            "spaces": ["MiniLM on the query", "LLM2Vec-Gen"],
            "maps": [[[0.0, 0.0], [1.0, 1.0], [0.5, 2.0]], [[2.0, 0.0], [1.0, 1.0], [0.5, 2.0]]],
            "groups": [0, 1, -1],
            "answers": ["<Europe>", "$right$"],
            "shares": {"MiniLM on the query": shares, "LLM2Vec-Gen": shares},
        },
        {"questions": 3, "asked": 2, "k": 5, "answers": 3, "gain_mean": 0.1, "gain_low": 0.0, "gain_high": 0.2,
         "wording_mean": -0.1, "wording_low": -0.2, "wording_high": 0.0},
    )  # fmt: skip


def lens_table(**more):
    return {"text": "What is <b>$x$</b>, and a question that goes on and on?", "response": "It is.",
            "labels": ["◆1", "◆2"], **more}  # fmt: skip


def logit_lens():
    table = lens_table(tokens=[["␣is", "␣Nairobi"], ["<|end|>", "$"]], sorts=[[0, 1], [-1, 2]])
    bounds = [0.3, 0.2, 0.4]
    numbers = {f"{name}_{end}": 0.3 for name in ("query", "response", "novel", "control", "gain")
               for end in ("mean", "low", "high")}  # fmt: skip
    return results(
        "logit_lens",
        {"tables": [table, table], "layers": [0, 1], "sorts": ["in the query", "in the response alone", "in neither"],
         "shares": [[bounds] * 3] * 2, "control": [bounds] * 2},
        {"k": 2, "tokens": 2, "layer": 1, "texts": "a $b", "queries": 3, **numbers},
    )  # fmt: skip


def latent_lens():
    snippets = ["The «capital» of <b>France</b> is $5.", f"…{'a' * 70} «long» {'b' * 70}…"]
    table = lens_table(snippets=snippets, cosines=[0.5, -0.25])
    bounds = [0.3, 0.2, 0.4]
    return results(
        "latent_lens",
        {"tables": [table, table], "layers": [1, 2],
         "shares": {"the query's answer": [bounds] * 2, "another query's answer": [bounds] * 2}},
        {"texts": "a", "layer": 2, "contexts": 9, "passages": 3, "queries": 3, "choosing": 3, "tokens": 2,
         "excluded": "0 and 1", "own_mean": 0.3, "own_low": 0.2, "own_high": 0.4,
         "other_mean": 0.1, "other_low": 0.0, "other_high": 0.2},
    )  # fmt: skip


def attribution():
    return results(
        "attribution",
        {"labels": ["◆1", "◆2"], "tokens": ["$This", "␣is", "<|end|>"], "values": [[3.0, 0.0, -0.5], [0.1, 0.0, 0.0]],
         "predicted": [3.0, 0.0, -0.5, 0.004], "real": [2.0, 0.1, 0.5, 12.0]},
        {"text": "a", "decoded": "b", "queries": 2, "effects": 6, "shown": 4, "correlation": 0.5, "low": 0.1,
         "high": 0.9, "control": 0.0, "control_low": -0.1, "control_high": 0.1},
    )  # fmt: skip


def decode_trust():
    shares = {"high": 0.5, "doubtful": 0.25, "off the manifold": 0.25}
    return results(
        "decode_trust",
        {"values": {"score": {"true pairs": [3.0, 4.0, 5.0], "shuffled pairs": [0.0, -1.0, 3.5]}},
         "auroc": {"score": [0.9, 0.8, 1.0], "likelihood gap": [0.7, 0.6, 0.8]}, "threshold": 1.5,
         "levels": {"true pairs": shares, "random, same mean and variance of each dimension": shares}},
        {"queries": 3, "auroc_mean": 0.9, "auroc_low": 0.8, "auroc_high": 1.0, "high_true": 50.0,
         "high_shuffled": 50.0},
    )  # fmt: skip


def interpolation():
    step = {"cosine": 0.9, "null": 0.1, "score": 4.0, "level": "high"}
    return results(
        "interpolation",
        {"steps": [
            {**step, "share": 0.0, "text": "The <b>price</b> is $5."},
            {**step, "share": 0.5, "text": "", "level": "doubtful", "score": -1.0},
            {**step, "share": 1.0, "text": "A text that is long. " * 12, "level": "off the manifold"},
        ], "threshold": 1.1},
        {"start": "a", "end": "b", "steps": 3, "between": 1, "high": 0},
    )  # fmt: skip


SYNTHETIC = {
    "gem_mask": gem_mask,
    "neighbourhoods": neighbourhoods,
    "logit_lens": logit_lens,
    "latent_lens": latent_lens,
    "attribution": attribution,
    "decode_trust": decode_trust,
    "interpolation": interpolation,
    **{one.__name__: partial(one, results) for one in COMPARISONS},
}
"""A function for each figure of the registry."""
