"""What the papers claim of the methods, and which of it held in runs that lie side by side."""

from __future__ import annotations

from typing import Literal, NamedTuple

from workbench.evaluation.report import Comparison, Difference

TEACHER, HYDE, ECHO, MEAN = "MiniLM, the teacher", "HyDE", "Echo", "mean pool"
OWN, GEM = "LLM2Vec-Gen", "GEM"
Said = Literal["held", "did not hold", "cannot be told", "not measured"]


class Claim(NamedTuple):
    """What a paper says of one embedder beside another, on what task it is tried here."""

    text: str
    ours: str
    other: str
    task: str


class Verdict(NamedTuple):
    """How a claim fared; there is no difference where a score is missing or keeps nothing to resample."""

    claim: Claim
    difference: Difference | None
    said: Said


CLAIMS = (
    Claim("LLM2Vec-Gen: better than its teacher at similarity", OWN, TEACHER, "shared facts"),
    Claim("LLM2Vec-Gen: better than its teacher at clustering", OWN, TEACHER, "same answer"),
    Claim("LLM2Vec-Gen: better than its teacher at classification", OWN, TEACHER, "topic"),
    Claim("LLM2Vec-Gen: better than its teacher at classification", OWN, TEACHER, "emotion"),
    Claim("LLM2Vec-Gen: better than its teacher at pair classification", OWN, TEACHER, "answer or wording"),
    Claim("LLM2Vec-Gen: better than its teacher at reranking", OWN, TEACHER, "similar passages"),
    Claim("LLM2Vec-Gen: better than its teacher at retrieval", OWN, TEACHER, "one hop"),
    Claim("LLM2Vec-Gen: brings reasoning into retrieval", OWN, TEACHER, "two hops"),
    Claim("LLM2Vec-Gen: safer than its teacher in retrieval", OWN, TEACHER, "stand-ins"),
    Claim("LLM2Vec-Gen: better than HyDE, in one pass", OWN, HYDE, "two hops"),
    Claim("GEM: embeds better than the model that it fine-tunes", GEM, MEAN, "shared facts"),
    Claim("GEM: embeds better than the model that it fine-tunes", GEM, MEAN, "one hop"),
    Claim("GEM: embeds better than Echo", GEM, ECHO, "one hop"),
)
UNTESTED = """Not tried here, for lack of size: the papers' own benchmarks (MTEB, BRIGHT and AdvBench-IR on backbones
of 0.6 to 8 billion parameters), and how the gains grow with the backbone. What GEM keeps of the language model is in
the README."""


def judge(comparison: Comparison, claim: Claim) -> Verdict:
    """Whether a claim held: the difference's paired interval must be wholly on the claim's side of 0."""
    known = {name for name, task in comparison.results if task == claim.task}
    if not {claim.ours, claim.other} <= known:
        return Verdict(claim, None, "not measured")
    found = comparison.difference(claim.ours, claim.other, claim.task)
    if found is None or not found.clear:
        return Verdict(claim, found, "cannot be told")
    lower = comparison.results[claim.ours, claim.task].lower_is_better
    better = found.high < 0 if lower else found.low > 0
    return Verdict(claim, found, "held" if better else "did not hold")
