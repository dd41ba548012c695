"""The closed form of the alignment: scikit-learn's ridge, better than where it started, and nothing else moves."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from workbench.embedders.artifact import Manifest, load_embedder, save
from workbench.embedders.config import LLM2VecGenConfig
from workbench.embedders.llm2vec_gen import LLM2VecGen
from workbench.errors import UsageError, WorkbenchError
from workbench.training import alignment
from workbench.training.alignment import PENALTIES, RidgeSums, realign
from workbench.training.corpus import Corpus

QUERIES = [f"What is number {n} of {thing}?" for thing in ("gold", "Japan", "rivers") for n in range(20)]
RESPONSES = [f"Number {len(query) % 7} is in {query.split()[-1]}" for query in QUERIES]


@pytest.fixture(scope="module")
def corpus(fake_teacher):
    return Corpus(QUERIES, RESPONSES, fake_teacher.embed(RESPONSES), {})


@pytest.fixture(params=[False, True], ids=["one W_a", "one for each token"])
def trained(request, tiny_backbone, tmp_path):
    config = LLM2VecGenConfig(n_compression=3, dimension=12, align_each=request.param, teacher="another")
    embedder = LLM2VecGen.untrained(tiny_backbone, config, seed=3)
    save(embedder, tmp_path / "trained", metrics={"loss": 1.0}, seeds={"training": 3}, training={"steps": 5})
    return embedder, Manifest.read(tmp_path / "trained")


@pytest.mark.parametrize("columns", [1, 4, 1024])
def test_sums_of_pieces_give_scikit_learns_ridge_of_the_whole(columns, monkeypatch):
    monkeypatch.setattr(alignment, "COLUMNS_AT_ONCE", columns)
    draw = np.random.default_rng(0)
    x = draw.normal(100, 1, (50, 6)).astype(
        np.float32
    )  # a mean far from 0, where float32 sums would lose digits
    y = (x @ draw.normal(size=(6, 2)) + draw.normal(size=(50, 2))).astype(np.float32)
    sums = RidgeSums()
    for rows in (slice(0, 7), slice(7, 30), slice(30, 50)):
        sums.add(torch.tensor(x[rows]), torch.tensor(y[rows]))
    variance = ((x.astype(float) - x.mean(0, dtype=float)) ** 2).sum(0).mean()
    reference = Ridge(alpha=0.3 * variance).fit(x.astype(float), y.astype(float))
    weight, bias = sums.solve(0.3)
    np.testing.assert_allclose(weight, reference.coef_, atol=1e-5)
    np.testing.assert_allclose(bias, reference.intercept_, atol=1e-3)


def test_the_fit_is_the_ridge_and_the_soft_prompts_stay(trained, corpus, tmp_path):
    embedder, manifest = trained
    before = embedder.represent(QUERIES)
    aligned = realign(embedder, corpus, teacher="fake-teacher", output=tmp_path / "aligned", trained=manifest)
    after = aligned.represent(QUERIES)
    assert torch.equal(after.soft_prompts, before.soft_prompts)
    assert after.embedding.shape == (60, 24)
    x = aligned.module.pool(before.soft_prompts).double().numpy()
    record = Manifest.read(tmp_path / "aligned")
    penalty = record.training["aligned_penalty"]
    assert penalty in PENALTIES
    variance = ((x - x.mean(0)) ** 2).sum(0).mean()
    reference = Ridge(alpha=penalty * variance).fit(x, np.asarray(corpus.targets, dtype=float))
    np.testing.assert_allclose(after.embedding, reference.predict(x), atol=2e-3)


def test_the_recorded_cosine_is_of_queries_that_the_fit_has_not_seen(trained, corpus, tmp_path):
    embedder, manifest = trained
    realign(embedder, corpus, teacher="fake-teacher", output=tmp_path / "aligned", trained=manifest)
    x = embedder.module.pool(embedder.represent(QUERIES).soft_prompts).double().numpy()
    y = np.asarray(corpus.targets, dtype=float)
    held_out = np.arange(60) % 10 == 9
    cosines = []
    for penalty in PENALTIES:
        variance = ((x[~held_out] - x[~held_out].mean(0)) ** 2).sum(0).mean()
        found = Ridge(alpha=penalty * variance).fit(x[~held_out], y[~held_out]).predict(x[held_out])
        lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(y[held_out], axis=1)
        cosines.append(((found * y[held_out]).sum(1) / lengths).mean())
    record = Manifest.read(tmp_path / "aligned")
    assert record.metrics["alignment_cosine_of_held_out_queries"] == pytest.approx(max(cosines), abs=2e-3)
    assert record.training["aligned_penalty"] == PENALTIES[int(np.argmax(cosines))]


def test_the_artifact_loads_and_says_what_it_was(trained, corpus, tmp_path):
    embedder, manifest = trained
    aligned = realign(embedder, corpus, teacher="fake-teacher", output=tmp_path / "aligned", trained=manifest)
    loaded = load_embedder(tmp_path / "aligned", backbone=embedder.backbone)
    np.testing.assert_array_equal(loaded.encode(QUERIES[:4]), aligned.encode(QUERIES[:4]))
    record = Manifest.read(tmp_path / "aligned")
    assert record.config["teacher"] == "fake-teacher"
    assert record.training["steps"] == 5
    assert record.training["aligned_queries"] == 60
    assert record.seeds == {"training": 3}
    assert record.data_hash == corpus.hash()


def test_what_cannot_be_fitted_is_refused(trained, corpus, tmp_path):
    embedder, manifest = trained
    options = {"teacher": "fake-teacher", "output": tmp_path / "no", "trained": manifest}
    with pytest.raises(UsageError, match="needs the teacher's vectors"):
        realign(embedder, Corpus(QUERIES, RESPONSES), **options)
    few = Corpus(QUERIES[:19], RESPONSES[:19], corpus.targets[:19])
    with pytest.raises(WorkbenchError, match="at least 20 queries, not 19"):
        realign(embedder, few, **options)
    assert not (tmp_path / "no").exists()


def test_inputs_that_are_all_the_same_are_refused():
    sums = RidgeSums()
    sums.add(torch.ones(30, 4), torch.randn(30, 2, generator=torch.Generator().manual_seed(0)))
    with pytest.raises(WorkbenchError, match="are the same"):
        sums.solve(1e-2)


def test_queries_read_in_bfloat16_give_nearly_the_same_fit(trained, corpus, tmp_path):
    embedder, manifest = trained
    exact, rounded = (
        realign(
            embedder, corpus, teacher="fake-teacher", output=tmp_path / str(bf16), trained=manifest, bf16=bf16
        ).encode(QUERIES)
        for bf16 in (False, True)
    )
    assert not np.array_equal(exact, rounded)
    cosine = (exact * rounded).sum(1) / (np.linalg.norm(exact, axis=1) * np.linalg.norm(rounded, axis=1))
    assert cosine.min() > 0.98
