"""Small made-up results of the figures that compare: methods, ablations, sizes, a run."""


def shown(value, n=40):
    """A number with its interval."""
    return {"value": value, "low": max(0.0, value - 0.1), "high": min(1.0, value + 0.1), "n": n}


NOTHING = {"value": None, "low": None, "high": None, "n": 0}


def main_table(results):
    """Two tasks of three methods; a score without an interval, a method without a task."""
    rows = [
        {"category": category, "embedder": method, "task": task, "metric": metric, "lower_is_better": lower,
         "score": 0.2 * place + 0.1, "low": low, "high": low and low + 0.2, "n": 30}
        for category, task, metric, lower in (
            ("safety", "stand-ins", "top_5_accuracy", True), ("similarity", "shared <facts>", "cosine_spearman", False),
        )
        for place, (method, low) in enumerate((("mean $pool$", None), ("GEM", 0.2), ("LLM2Vec-Gen", 0.4)))
    ]  # fmt: skip
    numbers = {"methods": 3, "tasks": 2, "answers": 8, "least": 30, "most": 30}
    return results("main_table", {"rows": rows[:-1]}, numbers)


def reasoning(results):
    rows = [
        {"embedder": method, "hops": hops, "metric": metric, **shown(0.3)}
        for method in ("HyDE", "LLM2Vec-Gen")
        for hops in ("one hop", "two hops")
        for metric in ("R@1", "nDCG@10")
    ]
    return results("reasoning", {"rows": rows}, {"one": 40, "two": 40, "passages": 90})


SHORT = {"steps": 100, "batch": 24, "kept": 40, "two_hop": 40, "one_hop": 40, "answer": 0}
COMMAND = "python -m analyses.llm2vec_gen_ablations"


def _row(setting):
    return {
        "setting": setting,
        "kept": shown(0.3),
        "two_hop": shown(0.1),
        "one_hop": shown(0.9),
        "answer": NOTHING,
    }


def special_tokens(results):
    rows = [_row(f"n = {n}") for n in (1, 5, 20)]
    return results("special_tokens", {"rows": rows}, SHORT, f"{COMMAND} tokens")


def objectives(results):
    rows = [_row(name) for name in ("only alignment", "only reconstruction", "both")]
    return results("objectives", {"rows": rows}, SHORT, f"{COMMAND} objectives")


def mix_ratio(results):
    points = [
        {"p": p, "kept": shown(0.5 - p / 2), "neighbours": shown(0.4), "accuracy": shown(0.9),
         "perplexity": {"value": 3.8 + p, "low": 3.7 + p, "high": 4.0 + p}}
        for p in (0.0, 0.5, 0.99)
    ]  # fmt: skip
    numbers = {
        "steps": 100,
        "batch": 32,
        "trainings": 3,
        "dialogues": 90,
        "kept": 40,
        "neighbours": 40,
        "accuracy": 40,
    }
    before = {"perplexity": 3.9, "accuracy": 0.95}
    return results("mix_ratio", {"points": points, "before": before}, numbers,
                   "python -m analyses.gem_ablations mix")  # fmt: skip


def safety(results):
    spaces = [
        {"name": name, "distances": {"harmful": [-1e-9, 0.1, 0.3], "lookalike": [0.6, 0.75, 1.04]},
         "medians": {"harmful": 0.1, "lookalike": 0.75}, "auroc": shown(0.9), "mean": 0.8}
        for name in ("LLM2Vec-Gen", "MiniLM, request", "MiniLM, response")
    ]  # fmt: skip
    shares = [
        {"kind": kind, "of": of, **shown(0.05 if kind == "lookalike" else 0.95)}
        for of in ("decoded embedding", "field guide's response")
        for kind in ("harmful", "lookalike")
    ]
    numbers = {"refusals": 12, "harmful": 3, "lookalike": 3, "mean_ours": 0.8, "mean_teacher": 0.7}
    return results("safety", {"spaces": spaces, "shares": shares}, numbers)


def training_curves(results):
    losses = [{"step": 10 * n, "loss_align": 1 / n, "loss_recon": 3 / n} for n in range(1, 6)]
    watched = [
        {"step": 25 * n, "cosine": 0.2 * n, "low": 0.2 * n - 0.3, "high": 0.2 * n + 0.1, "exact": 0.1 * n}
        for n in range(3)
    ]
    samples = [
        {"query": "What is the capital of <b>Kenya</b>, and does it cost $5 or $6 to go there by any bus? " * 3,
         "response": "Nairobi.", "decoded": [{"step": 0, "text": ""}, {"step": 50, "text": "Nairobi."}]},
        {"query": "And of Peru?", "response": "Lima.", "decoded": [{"step": 50, "text": "b"}]},
    ]  # fmt: skip
    numbers = {"steps": 50, "batch": 24, "teacher": "MiniLM", "samples": 8, "looks": 3, "shown": 2, "every": 10,
               "reduction": "sum"}  # fmt: skip
    return results("training_curves", {"losses": losses, "watched": watched, "samples": samples}, numbers)


def size_quality(results):
    points = [
        {"parameters": parameters, "shipped": parameters == 9_700_000, "pretraining": 10, "exam": shown(0.5),
         "kept": shown(0.4), "two_hop": shown(0.2)}
        for parameters in (9_700_000, 260_000, 2_300_000)
    ]  # fmt: skip
    numbers = {"sizes": 3, "pretraining": 2000, "pretraining_shipped": 6000, "steps": 200, "queries": 4800,
               "exam": 2280, "known_least": 300, "known_most": 900, "two_hop": 400}  # fmt: skip
    return results("size_quality", {"points": points, "teacher": 0.13}, numbers)


COMPARISONS = (
    main_table, special_tokens, objectives, mix_ratio, safety, reasoning, training_curves, size_quality,
)  # fmt: skip
