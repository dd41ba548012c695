"""The wrapper under a real `mteb.evaluate`: scores against our own arithmetic, and an instruction for every task."""

import mteb
import numpy as np
import pytest
from datasets import Dataset, DatasetDict
from mteb.abstasks import AbsTaskRetrieval, AbsTaskSTS
from mteb.abstasks.task_metadata import TaskMetadata
from mteb.models import EncoderProtocol
from mteb.models.abs_encoder import get_prompt
from mteb.types import PromptType
from scipy.stats import spearmanr

from workbench.embedders.artifact import save
from workbench.embedders.config import LLM2VecGenConfig
from workbench.embedders.instructions import BRIGHT, PROMPTS, QUERIES, TEXTS, bright_task
from workbench.embedders.llm2vec_gen import LLM2VecGen
from workbench.errors import UsageError
from workbench.evaluation.mteb import MtebEmbedder
from workbench.evaluation.retrieval import ranks

PAIRS = [
    ("The capital of France is Paris.", "Paris is the capital of France.", 5.0),
    ("A lion eats meat.", "The guitar has six strings.", 0.5),
    ("I am happy today.", "Today I am glad.", 4.0),
    ("Gold is a metal.", "The symbol of gold is Au.", 3.0),
    ("The river flows.", "Who painted the picture?", 1.0),
]
PASSAGES = ["Paris is in France.", "A guitar has six strings.", "Gold has the symbol Au.", "Lions eat meat."]
QUESTIONS = {"What has six strings?": 1, "What do lions eat?": 3, "Where is Paris?": 0}
RETRIEVAL = ("Retrieval", "Reranking", "InstructionRetrieval")


def metadata(name, kind, score, **more):
    settings = {
        "name": name, "dataset": {"path": "in/memory", "revision": "1"}, "description": name, "reference": None,
        "type": kind, "category": "t2t", "modalities": ["text"], "eval_splits": ["test"], "eval_langs": ["eng-Latn"],
        "main_score": score, "date": None, "domains": None, "task_subtypes": None, "license": None,
        "annotations_creators": None, "dialect": None, "sample_creation": None, "bibtex_citation": None,
    }  # fmt: skip
    return TaskMetadata(**{**settings, **more})


class TinySTS(AbsTaskSTS):
    metadata = metadata("WorkbenchTinySTS", "STS", "cosine_spearman")

    def load_data(self, **_):
        first, second, scores = zip(*PAIRS, strict=True)
        rows = {"sentence1": list(first), "sentence2": list(second), "score": list(scores)}
        self.dataset, self.data_loaded = DatasetDict(test=Dataset.from_dict(rows)), True


class TinyRetrieval(AbsTaskRetrieval):
    metadata = metadata("WorkbenchTinyRetrieval", "Retrieval", "ndcg_at_10")

    def load_data(self, **_):
        corpus = [{"id": f"p{n}", "text": text, "title": ""} for n, text in enumerate(PASSAGES)]
        queries = [{"id": f"q{n}", "text": text} for n, text in enumerate(QUESTIONS)]
        right = {f"q{n}": {f"p{passage}": 1} for n, passage in enumerate(QUESTIONS.values())}
        split = {"corpus": Dataset.from_list(corpus), "queries": Dataset.from_list(queries)}
        self.dataset = {"default": {"test": {**split, "relevant_docs": right, "top_ranked": None}}}
        self.data_loaded = True


class Recorded(LLM2VecGen):
    """Keeps what it was asked for."""

    calls: list

    def encode(self, texts, **options):
        self.calls.append((list(texts), options["prompt"]))
        return super().encode(texts, **options)


@pytest.fixture
def embedder(make_tiny):
    made = Recorded.untrained(make_tiny("llama"), LLM2VecGenConfig(dimension=16, n_compression=3), seed=1)
    made.calls = []
    return made


def evaluated(model, task, **options):
    result = mteb.evaluate(model, task, **{"cache": None, "show_progress_bar": False, **options})
    return result.task_results[0].scores["test"][0]


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_sts_has_the_score_of_our_own_arithmetic(embedder):
    scores = evaluated(MtebEmbedder(embedder), TinySTS())
    prompt = PROMPTS["STS"]
    assert {asked for _, asked in embedder.calls} == {prompt}
    first, second = (
        unit(LLM2VecGen.encode(embedder, [pair[side] for pair in PAIRS], prompt=prompt)) for side in (0, 1)
    )
    expected = spearmanr((first * second).sum(axis=1), [pair[2] for pair in PAIRS]).statistic
    assert scores["cosine_spearman"] == pytest.approx(expected, abs=1e-6)
    assert scores["main_score"] == scores["cosine_spearman"]


def test_retrieval_reads_queries_and_documents_behind_their_own_instructions(embedder):
    embedder.prompts["WorkbenchTinyRetrieval-query"] = "Answer this question:"
    scores = evaluated(MtebEmbedder(embedder), TinyRetrieval())
    asked = {prompt: sorted(texts) for texts, prompt in embedder.calls}
    assert asked == {"Answer this question:": sorted(QUESTIONS), PROMPTS["document"]: sorted(PASSAGES)}
    queries = LLM2VecGen.encode(embedder, list(QUESTIONS), prompt="Answer this question:")
    passages = LLM2VecGen.encode(embedder, PASSAGES, prompt=PROMPTS["document"])
    rank = ranks(queries, passages, np.array(list(QUESTIONS.values())))
    # One right passage a query: its discounted gain is 1 / log2(rank + 1), the ideal one 1.
    assert scores["ndcg_at_10"] == pytest.approx((1 / np.log2(rank + 1)).mean(), abs=1e-5)
    assert scores["recall_at_1"] == pytest.approx((rank == 1).mean(), abs=1e-5)


def test_results_are_filed_under_what_decides_them(embedder, tmp_path):
    cache = mteb.ResultCache(tmp_path)
    first = evaluated(MtebEmbedder(embedder), TinySTS(), cache=cache)
    calls = len(embedder.calls)
    again = evaluated(MtebEmbedder(embedder), TinySTS(), cache=cache)
    assert again["main_score"] == pytest.approx(first["main_score"], abs=1e-6)
    assert len(embedder.calls) == calls, "the same embedder is not asked again"
    embedder.prompts["STS"] = "Other words:"
    evaluated(MtebEmbedder(embedder), TinySTS(), cache=cache)
    assert embedder.calls[-1][1] == "Other words:"


def test_options_reach_encode(embedder):
    wrapped = MtebEmbedder(embedder)
    options = {"task_metadata": TinySTS.metadata, "hf_split": "test", "hf_subset": "default"}
    batches = [{"text": PASSAGES[:3]}, {"text": PASSAGES[3:]}]
    vectors = wrapped.encode(batches, **options, precision="int8", truncate_dim=4, batch_size=1)
    assert (vectors.dtype, vectors.shape) == (np.int8, (4, 4))
    floats = wrapped.encode(batches, **options)
    np.testing.assert_array_equal(
        floats, LLM2VecGen.encode(embedder, PASSAGES, prompt=wrapped.instruction(TinySTS.metadata))
    )
    others = np.roll(floats, 1, axis=0)
    every = wrapped.similarity(floats, others)
    np.testing.assert_allclose(every, unit(floats) @ unit(others).T, atol=1e-6)
    np.testing.assert_allclose(wrapped.similarity_pairwise(floats, others), np.diagonal(every), atol=1e-6)


@pytest.mark.filterwarnings("ignore")  # mteb's own: old names of methods, and AdvBench-IR is no task of its
def test_mteb_gets_the_same_score_from_the_artifact_in_sentence_transformers(tiny_backbone_dir, tmp_path):
    from sentence_transformers import SentenceTransformer

    from workbench.backbone import Backbone

    config = LLM2VecGenConfig(dimension=16, n_compression=3)
    made = LLM2VecGen.untrained(Backbone.load(str(tiny_backbone_dir), device="cpu"), config, seed=1)
    model = SentenceTransformer(str(save(made, tmp_path / "e")), trust_remote_code=True, device="cpu")
    for task in (TinySTS, TinyRetrieval):
        ours, theirs = evaluated(MtebEmbedder(made), task()), evaluated(model, task())
        assert theirs["main_score"] == pytest.approx(ours["main_score"], abs=1e-6)


def test_all_tasks_of_mteb_english_have_an_instruction_of_their_own(embedder):
    tasks = [task.metadata for task in mteb.get_benchmark("MTEB(eng, v2)").tasks]
    assert len(tasks) == 41
    wrapped = MtebEmbedder(embedder)
    for task in tasks:
        if task.type in RETRIEVAL:
            assert wrapped.instruction(task, "default", PromptType.query) == QUERIES[task.name]
            assert wrapped.instruction(task, "default", PromptType.document) == PROMPTS["document"]
        else:
            assert wrapped.instruction(task) == TEXTS[task.name]
        for side in (PromptType.query, PromptType.document, None):
            if (
                side or task.type not in RETRIEVAL
            ):  # mteb finds the same by itself, so it does in an artifact too
                assert get_prompt(PROMPTS, task, side) == wrapped.instruction(task, "default", side)


def test_advbench_and_bright_have_theirs(embedder):
    wrapped = MtebEmbedder(embedder)
    advbench = metadata("AdvBench-IR", "Retrieval", "accuracy")
    assert wrapped.instruction(advbench, "default", PromptType.query) == QUERIES["AdvBench-IR"]
    assert wrapped.instruction(advbench, "default", PromptType.document) == PROMPTS["document"]
    new = [task.metadata for task in mteb.get_benchmark("BRIGHT(v1.1)").tasks]
    short = {task.name for task in new if "Long" not in task.name}
    assert short == {bright_task(split) for split in BRIGHT}
    for task in new:
        assert f"{task.name}-query" in PROMPTS
    for name in ("BRIGHT", "BRIGHT (long)"):
        (task,) = mteb.get_benchmark(name).tasks
        splits = set(task.metadata.eval_langs)
        assert splits <= set(BRIGHT)
        asked = {split: wrapped.instruction(task.metadata, split, PromptType.query) for split in splits}
        assert asked == {split: BRIGHT[split][1] for split in splits}
        assert wrapped.instruction(task.metadata, "pony", PromptType.document) == PROMPTS["document"]
    assert splits | {"leetcode", "aops", "theoremqa_theorems", "theoremqa_questions"} == set(BRIGHT)


def test_the_papers_wordings_are_whole():
    assert PROMPTS["SCIDOCS-query"] == (
        "Generate an abstract of a scientific paper in a passage that could be cited by this paper. "
        "Just output the abstract text, no other text or description:"
    )
    assert PROMPTS["BrightPonyLongRetrieval-query"] == (
        "Given a pony question, generate relevant passages that help answer the question:"
    )
    assert all(prompt == " ".join(prompt.split()) and prompt.endswith(":") for prompt in PROMPTS.values())


def test_other_tasks_have_the_instruction_of_their_type_or_are_refused(embedder):
    wrapped = MtebEmbedder(embedder)
    other = metadata("WorkbenchOther", "Clustering", "v_measure")
    assert wrapped.instruction(other) == PROMPTS["Clustering"]
    scifact = mteb.get_task("NanoSciFactRetrieval").metadata
    assert wrapped.instruction(scifact, "default", PromptType.query) == PROMPTS["Retrieval-query"]
    strange = metadata("WorkbenchStrange", "ZeroShotClassification", "accuracy")
    with pytest.raises(UsageError, match="ZeroShotClassification"):
        wrapped.instruction(strange)


def test_the_encoder_is_one_and_has_a_name(embedder):
    wrapped = MtebEmbedder(embedder)
    assert isinstance(wrapped, EncoderProtocol)
    meta = wrapped.mteb_model_meta
    assert (meta.name, meta.embed_dim) == ("workbench/llm2vec-gen-tiny-llama", 16)
    backbone = sum(weight.numel() for weight in embedder.backbone.model.parameters())
    trained = 3 * 32 + (32 * 32 + 32) + (16 * 32 + 16)  # tokens, W_r and b_r, W_a and b_a
    assert meta.n_parameters == backbone + trained
    assert MtebEmbedder(embedder, "me/mine").mteb_model_meta.name == "me/mine"
    with pytest.raises(UsageError, match="organization/model"):
        MtebEmbedder(embedder, "mine")
