"""Every reader of results, on damaged ones: it reads them or refuses them in our words."""

import json
from contextlib import suppress
from io import BytesIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fuzzing import bounded, damaged, lines, other_json, read_or_refused
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save

from workbench.atlas import prebuilt
from workbench.atlas.layout import facts_in
from workbench.cli.embed import Part, read_part, write_part
from workbench.errors import WorkbenchError
from workbench.evaluation import results
from workbench.figures.paper.results import is_stale, read_results, results_bytes
from workbench.lenses.attention_flow import AttentionFlow
from workbench.lenses.attribution_map import AttributionMap
from workbench.lenses.patching import PatchReading
from workbench.lenses.reading import LensReading
from workbench.lenses.verification import Verification
from workbench.lenses.words import Words
from workbench.training.watched import cut_watch, read_watch


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzzed")


def test_runs_of_an_evaluation(folder):
    row = dict.fromkeys(results.TEXTS, "x") | {name: json.dumps({"a": 1.0}) for name in results.JSON}
    row |= {
        "suite": None,
        "main_score": 0.5,
        "low": 0.1,
        "high": 0.9,
        "seconds": 1.0,
        "published": None,
        "n": 3,
    }
    row |= {"seed": 0, "lower_is_better": False, "items": [1.0, 0.0], "pairs": None, "main_metric": "a"}
    schema = results._schema().with_metadata({"workbench.evaluation": "1"})

    def written(row):
        whole = BytesIO()
        pq.write_table(pa.Table.from_pylist([row], schema=schema), whole)
        return whole.getvalue()

    pieces = st.sampled_from(["metrics", "details", "files", "settings", "instructions", "libraries"])
    odd = st.tuples(pieces, other_json({"a": 1.0})).map(
        lambda pair: written(row | {pair[0]: pair[1].decode("utf-8", "ignore")})
    )
    none = st.sampled_from(sorted(row)).map(lambda name: written(row | {name: None}))
    read_or_refused(folder / "run.parquet", written(row), results.read_run)

    @bounded
    @given(damaged(written(row)) | odd | none)
    def check(data):
        read_or_refused(folder / "run.parquet", data, results.read_run)

    check()


def test_an_atlas(folder):
    facts = {"embedder": "e", "method": "m", "backbone": "b", "projection": "PCA", "seed": 0, "preserved": 0.5,
             "chance": 0.1, "neighbours": 10, "shuffled": 0.1, "schema_version": 1, "soft_prompts": [1, 2]}  # fmt: skip
    row = dict.fromkeys(prebuilt._COLUMNS, "x") | {"x": 1.0, "y": 2.0, "round_trip": 0.5}

    def written(header):
        lists = {"embedding": [1.0, 2.0], "decoded_embedding": [1.0, 2.0], "soft_prompts": [1.0, 2.0]}
        fixed = pa.list_(pa.float16(), 2)
        columns = {name: pa.array([value]) for name, value in row.items()}
        columns |= {name: pa.array([np.array(value, np.float16)], fixed) for name, value in lists.items()}
        whole = BytesIO()
        pq.write_table(pa.table(columns).replace_schema_metadata({b"workbench": header}), whole)
        return whole.getvalue()

    sound = written(json.dumps(facts).encode())
    (folder / "atlas.parquet").write_bytes(sound)
    assert len(prebuilt.load(folder / "atlas.parquet")) == 1

    @bounded
    @given(damaged(sound) | other_json(facts).map(written))
    def check(data):
        read_or_refused(folder / "atlas.parquet", data, prebuilt.load)

    check()


@bounded
@given(
    other_json(
        {
            "schema_version": 1,
            "method": "m",
            "embedder": "e",
            "backbone": {"weights": "w"},
            "dimension": 3,
            "soft_prompts": [2, 2],
            "instruction": None,
            "source": "s",
            "source_hash": "h",
            "reading": {},
        }
    )
)
def test_facts_of_a_store(said):
    with suppress(WorkbenchError):
        facts_in(pa.schema([], metadata={b"workbench": said}), "x")


FIRST = np.arange(4, dtype=np.float32).reshape(2, 2)
HALVES = np.full((1, 2, 1, 2), 0.5, np.float32)
LENSES = {
    "reading": LensReading("logit", "gold", (1,), ["s1"], [[["a", "b"]]], np.ones((1, 1, 2), np.int64),
                           np.array([[[2.0, 1.0]]], np.float32), np.zeros((1, 1, 2), bool), "logit"),
    "map": AttributionMap("gold", "a b", "words", ["x", "y"], ["a", "b"], [1, 2], FIRST, FIRST[0], FIRST[1],
                          "ablation", "zero"),
    "patch": PatchReading("x", "y", "◆1", None, "a", "b", "a", ["t"], ["u", "v"], FIRST[:, :1], FIRST),
    "flow": AttentionFlow("gold", ["a", "◆1"], ["◆1"], Words(["gold"], np.array([0, -1])), HALVES, HALVES[0, 0],
                          "eager", 0.0, False),
    "verification": Verification("gradient", "ablation", ["gold"], np.array([0, 0]), ["◆1", "◆2"], ["a", "a"], FIRST[0],
                                 FIRST[1], 0.5, (0.1, 0.9), 0.0, (-0.1, 0.1)),
}  # fmt: skip


@pytest.mark.parametrize("name", LENSES)
def test_results_of_lenses(folder, name):
    made = LENSES[name]
    path = made.save(folder / f"{name}.parquet")
    sound, table = path.read_bytes(), pq.read_table(path)
    [key] = [key for key in table.schema.metadata if key.startswith(b"workbench")]
    columns = st.sampled_from(table.column_names)

    def written(table, **metadata):
        whole = BytesIO()
        pq.write_table(table.replace_schema_metadata({**table.schema.metadata, **metadata}), whole)
        return whole.getvalue()

    def headed(said):
        return written(table.replace_schema_metadata({**table.schema.metadata, key: said}))

    def of_pandas(said):
        return written(table.replace_schema_metadata({**table.schema.metadata, b"pandas": said}))

    lacking = columns.map(lambda column: written(table.drop_columns([column])))
    fewer = st.integers(0, len(table) - 1).map(lambda rows: written(table.slice(0, rows)))
    texts = columns.map(
        lambda column: written(
            table.set_column(table.column_names.index(column), column, pa.array(["x"] * len(table)))
        )
    )
    heads, frames = (json.loads(table.schema.metadata[at]) for at in (key, b"pandas"))

    @bounded
    @given(
        damaged(sound)
        | other_json(heads).map(headed)
        | other_json(frames).map(of_pandas)
        | lacking
        | fewer
        | texts
    )
    def check(data):
        read_or_refused(path, data, type(made).load)

    check()


RESULTS = {"figure": "f", "command": "c", "artifacts": {"embedders/gem": "0"}, "libraries": {"torch": "2"},
           "numbers": {"n": 1.5}, "data": {"texts": ["a"], "values": [[1.0, 2.0]]}}  # fmt: skip


@bounded
@given(damaged(json.dumps(RESULTS).encode()) | other_json(RESULTS))
def test_results_of_a_figure(folder, data):
    def read(path):
        found = read_results(path, "f")
        is_stale(found)
        assert json.loads(results_bytes(found)) == found

    read_or_refused(folder / "figure.json", data, read)


WATCHED = {"row": 0, "query": "q", "response": "r", "kind": "k"}
SAMPLE = {"step": 2, "row": 0, "query": "q", "response": "r", "decoded": "d", "cosine": 0.5}
VECTORS = save({"embedding": np.ones((1, 3), np.float16)})
WATCH = {
    "texts.jsonl": (lines(WATCHED), other_json(WATCHED)),
    "samples.jsonl": (lines(SAMPLE), other_json(SAMPLE)),
    "vectors-000002.safetensors": (VECTORS, st.just(save({"embedding": np.ones(3, np.int8)}))),
}


@pytest.mark.parametrize("name", WATCH)
def test_what_was_watched(tmp_path_factory, name):
    folder = tmp_path_factory.mktemp("run")
    (folder / "watch").mkdir()
    for file, (whole, _) in WATCH.items():
        (folder / "watch" / file).write_bytes(whole)

    def read(path):
        assert read_watch(folder).vectors(2).shape == (1, 3)
        cut_watch(folder, after=2)

    @bounded
    @given(damaged(WATCH[name][0]) | WATCH[name][1])
    def check(data):
        read_or_refused(folder / "watch" / name, data, read)

    check()


def test_the_kept_parts_of_vectors(folder):
    path = folder / "part.npz"
    write_part(Part(np.ones((2, 3), np.float32), 1), path)

    def saved(**arrays):
        whole = BytesIO()
        np.savez(whole, **arrays)
        return whole.getvalue()

    odd = st.sampled_from(
        [np.ones((2, 3)).astype("U1"), np.ones(2), np.float32(1), np.ones((2, 3), bool), np.zeros((0, 3))]
    )
    either = st.tuples(st.sampled_from(["vectors", "truncated"]), odd)
    sound = {"vectors": np.ones((2, 3), np.float32), "truncated": 1}

    @bounded
    @given(damaged(path.read_bytes()) | either.map(lambda pair: saved(**{**sound, pair[0]: pair[1]})))
    def check(data):
        def read(path):
            part = read_part(path, 2)
            assert part.vectors.shape == (2, 3)
            assert part.vectors.dtype.kind == "f"

        read_or_refused(path, data, read)

    check()
