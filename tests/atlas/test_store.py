"""A store holds what was made of its texts, whatever happens while it is written, and only for its own embedder."""

import json
import random
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pyarrow as pa
import pytest
import stores
from stores import SIZE, built, contents, facts_of, failing_after, make, numbers, whole, write_rows

from workbench.atlas import build as building
from workbench.atlas.entries import source_of
from workbench.atlas.layout import connect
from workbench.atlas.store import Made, create_store, embedder_hash, open_store
from workbench.decoding.decode import decode
from workbench.embedders.config import GEMConfig, LLM2VecGenConfig
from workbench.embedders.gem import GEM
from workbench.embedders.llm2vec_gen import LLM2VecGen
from workbench.errors import FingerprintMismatch, UsageError, WorkbenchError


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(building, "CHUNK", 16)
    monkeypatch.setattr(building, "PART", 5)


@pytest.fixture(scope="module")
def embedder(tiny_backbone):
    return LLM2VecGen.untrained(tiny_backbone, LLM2VecGenConfig(n_compression=3, dimension=24))


def process(*arguments, **options):
    command = [sys.executable, stores.__file__, *map(str, arguments)]
    options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "text": True} | options
    return subprocess.Popen(command, **options)


def test_a_store_gives_back_what_was_made_of_every_row(tmp_path):
    ticks = []
    done, said = built(
        tmp_path / "s", write_rows(tmp_path / "a.jsonl", 50), progress=lambda *at: ticks.append(at)
    )
    assert (done.rows, done.added, done.left_out, said) == (50, 50, {}, [])
    rows = contents(tmp_path / "s")
    assert [row["text"] for row in rows] == [f"text {n}" for n in range(50)]
    assert all(map(whole, rows))
    assert ticks[0] == (5, 50)
    assert ticks[-1] == (50, 50)
    store = open_store(str(tmp_path / "s"))
    assert store.metadata == ["year", "topic"]
    some = [rows[n]["id"] for n in (7, 3)]
    np.testing.assert_array_equal(store.embeddings(some), make(["text 7", "text 3"]).embedding)
    soft_prompts = make(["text 7", "text 3"]).soft_prompts.astype(np.float16).astype(np.float32)
    np.testing.assert_array_equal(store.soft_prompts(some), soft_prompts)
    vectors = store.vectors(after=39)
    np.testing.assert_array_equal(vectors.positions, np.arange(40, 50))
    np.testing.assert_array_equal(vectors.embeddings[0], numbers("text 40", SIZE))
    with pytest.raises(UsageError, match=r"has no row .it's"):
        store.embeddings(["it's"])


def test_a_failed_build_goes_on_and_ends_as_if_it_had_not_failed(tmp_path):
    path = write_rows(tmp_path / "a.jsonl", 70)
    with pytest.raises(KeyboardInterrupt):
        built(tmp_path / "s", path, make=failing_after(9))
    assert len(contents(tmp_path / "s")) == 32
    assert open_store(str(tmp_path / "s")).outcome() is None
    done, _ = built(tmp_path / "s", path)
    assert (done.rows, done.added) == (70, 38)
    assert open_store(str(tmp_path / "s")).outcome() == {"left_out": {}}
    built(tmp_path / "whole", path)
    assert contents(tmp_path / "s") == contents(tmp_path / "whole")
    done, _ = built(tmp_path / "s", path, make=lambda texts: pytest.fail("embedded again"))
    assert (done.rows, done.added) == (70, 0)


def test_killed_three_times_the_next_run_ends_with_the_rows_of_an_uninterrupted_build(tmp_path):
    path, counts, chance = write_rows(tmp_path / "a.jsonl", 300), [], random.Random()
    for _ in range(3):
        running = process("build", path, tmp_path / "s", stdin=subprocess.PIPE)
        running.stdin.write("go on\n" * chance.randint(2, 6))  # of 19 steps: it waits for more, it cannot end
        running.stdin.flush()
        said = running.stdout.readline()
        while (line := running.stdout.readline()) != said:  # said twice: made, and stored
            said = line
        assert said.startswith("written")
        time.sleep(chance.random() * 0.1)
        running.send_signal(signal.SIGKILL)
        assert running.wait() == -signal.SIGKILL
        counts.append(len(contents(tmp_path / "s")))
    assert 0 < counts[0] <= counts[1] <= counts[2] < 300
    assert all(count % 16 == 0 for count in counts)
    assert process("build", path, tmp_path / "s").wait() == 0
    built(tmp_path / "whole", path)
    assert contents(tmp_path / "s") == contents(tmp_path / "whole")
    assert len({row["id"] for row in contents(tmp_path / "s")}) == 300


def test_two_readers_see_whole_rows_while_one_writer_writes(tmp_path):
    path = write_rows(tmp_path / "a.jsonl", 150)
    with pytest.raises(KeyboardInterrupt):
        built(tmp_path / "s", path, make=failing_after(4))
    readers = [process("read", tmp_path / "s", tmp_path / "done") for _ in range(2)]
    seen, stored = [[0], [0]], []

    def wait(*_):
        """Goes on once both readers have seen all rows that are stored."""
        stored.append(len(open_store(str(tmp_path / "s"))))
        for reader, counts in zip(readers, seen, strict=True):
            while counts[-1] < stored[-1]:
                counts.append(int(reader.stdout.readline()))

    try:
        built(tmp_path / "s", path, progress=wait)
    finally:
        (tmp_path / "done").touch()  # the readers end, whatever happened here
    for reader, counts in zip(readers, seen, strict=True):
        printed, _ = reader.communicate()
        assert reader.returncode == 0
        counts += map(int, printed.split())
        assert counts == sorted(counts)
        assert set(counts) == {0, *stored}
    assert sorted(set(stored)) == [*range(16, 150, 16), 150]


def test_two_builds_at_once_write_no_row_twice(tmp_path):
    path, errors = write_rows(tmp_path / "a.jsonl", 100), []
    with pytest.raises(KeyboardInterrupt):
        built(tmp_path / "s", path, make=failing_after(4))

    def run():
        try:
            built(tmp_path / "s", path)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert [row["text"] for row in contents(tmp_path / "s")] == [f"text {n}" for n in range(100)]


def test_in_a_new_process_the_rows_decode_to_the_same_text(tmp_path, tiny_backbone_dir):
    from workbench.backbone import Backbone
    from workbench.embedders.artifact import save

    backbone = Backbone.load(str(tiny_backbone_dir))
    embedder = LLM2VecGen.untrained(backbone, LLM2VecGenConfig(n_compression=3, dimension=24))
    save(embedder, tmp_path / "embedder")
    source = source_of(write_rows(tmp_path / "a.jsonl", 100))
    facts = building.facts_of(embedder, source, None)
    assert facts.soft_prompts == [3, 32]
    building.build(str(tmp_path / "s"), source, facts, building.make_with(embedder, None, 32))
    texts = [f"text {n}" for n in range(100)]
    soft_prompts = embedder.represent(texts).soft_prompts.half().float()
    wanted = decode(embedder, soft_prompts, max_new_tokens=6)
    script = """if True:
        import json, sys
        from workbench import decode, load_embedder
        from workbench.atlas.store import open_store
        embedder = load_embedder(sys.argv[2])
        store = open_store(sys.argv[1], embedder)
        ids = {row["text"]: row["id"] for batch in store.scan(["id", "text"]) for row in batch.to_pylist()}
        soft_prompts = store.soft_prompts([ids[f"text {n}"] for n in range(100)])
        print(json.dumps(decode(embedder, soft_prompts, max_new_tokens=6)))
    """
    command = [sys.executable, "-c", script, str(tmp_path / "s"), str(tmp_path / "embedder")]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert json.loads(printed) == wanted
    assert len(set(wanted)) > 20


def test_another_embedder_is_refused_and_both_are_named(tmp_path, embedder, tiny_backbone, make_tiny):
    source = source_of(write_rows(tmp_path / "a.jsonl", 3))
    building.build(
        str(tmp_path / "s"),
        source,
        building.facts_of(embedder, source, None),
        building.make_with(embedder, None, 2),
    )
    store = open_store(str(tmp_path / "s"), embedder)
    np.testing.assert_allclose(
        store.embeddings([row["id"] for row in contents(tmp_path / "s")]),
        embedder.encode(["text 0", "text 1", "text 2"]), atol=1e-5,
    )  # fmt: skip
    config = embedder.config
    other_weights = LLM2VecGen.untrained(tiny_backbone, config, seed=1)
    shorter = LLM2VecGen(
        tiny_backbone, embedder.module, LLM2VecGenConfig(n_compression=3, dimension=24, max_length=9)
    )
    for other in (other_weights, shorter):
        with pytest.raises(FingerprintMismatch, match="its embedder is") as raised:
            open_store(str(tmp_path / "s"), other)
        assert embedder_hash(embedder)[:12] in str(raised.value)
        assert embedder_hash(other)[:12] in str(raised.value)
    with pytest.raises(FingerprintMismatch, match="its weights is"):
        open_store(str(tmp_path / "s"), LLM2VecGen.untrained(make_tiny("llama", seed=5), config))
    with pytest.raises(FingerprintMismatch):
        building.build(
            str(tmp_path / "s"), source, building.facts_of(other_weights, source, None),
            building.make_with(other_weights, None, 2),
        )  # fmt: skip


def test_a_method_without_soft_prompts_is_searched_but_not_decoded(tmp_path, tiny_backbone):
    gem = GEM.untrained(tiny_backbone, GEMConfig(n_special=2))
    source = source_of(write_rows(tmp_path / "a.jsonl", 3))
    facts = building.facts_of(gem, source, "Say it again:")
    building.build(str(tmp_path / "s"), source, facts, building.make_with(gem, "Say it again:", 2))
    [first, *_] = contents(tmp_path / "s")
    assert "soft_prompts" not in first
    wanted = gem.encode(["text 0"], prompt="Say it again:")[0]
    np.testing.assert_allclose(first["embedding"], wanted, atol=1e-5)
    with pytest.raises(WorkbenchError, match="gem has none"):
        open_store(str(tmp_path / "s")).soft_prompts([first["id"]])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"limit": 2}, "limit None, not 2"),
        ({"id_column": "topic"}, "id column None, not 'topic'"),
        ({"metadata": ["year"]}, r"metadata \['year', 'topic'\], not \['year'\]"),
        ({"facts": {"instruction": "Do:"}}, "instruction None, not 'Do:'"),
    ],
)
def test_a_rerun_with_other_settings_is_refused(tmp_path, changes, message):
    path = write_rows(tmp_path / "a.jsonl", 4)
    built(tmp_path / "s", path)
    with pytest.raises(UsageError, match=f"was built with {message}"):
        built(tmp_path / "s", path, **changes)
    path.write_text(path.read_text() + '{"text": "text 9"}\n')
    with pytest.raises(UsageError, match=r"was built from a.jsonl \(\w{12}\.\.\.\), not from a.jsonl"):
        built(tmp_path / "s", path)
    assert len(contents(tmp_path / "s")) == 4


def test_what_a_killed_build_left_of_making_a_table_is_no_store_and_no_obstacle(tmp_path):
    path = write_rows(tmp_path / "a.jsonl", 3)
    for table in ("rows", "outcome", "coordinates"):
        (tmp_path / "s" / f"{table}.lance" / "data").mkdir(parents=True)
        (tmp_path / "s" / f"{table}.lance" / "data" / "half.lance").write_text("half")
    with pytest.raises(UsageError, match="no store at"):
        open_store(str(tmp_path / "s"))
    with pytest.raises(KeyboardInterrupt):
        built(tmp_path / "s", path, make=failing_after(0))
    assert open_store(str(tmp_path / "s")).outcome() is None
    assert open_store(str(tmp_path / "s")).coordinates() is None
    built(tmp_path / "s", path)
    assert [row["text"] for row in contents(tmp_path / "s")] == ["text 0", "text 1", "text 2"]
    assert open_store(str(tmp_path / "s")).outcome() == {"left_out": {}}


def test_what_is_no_store_is_refused_and_left_as_it_was(tmp_path):
    with pytest.raises(UsageError, match="no store at"):
        open_store(str(tmp_path / "nothing"))
    assert list(tmp_path.iterdir()) == []
    connect(str(tmp_path / "other")).create_table("rows", pa.table({"text": ["a"]}))
    with pytest.raises(WorkbenchError, match="is not a store of this program"):
        open_store(str(tmp_path / "other"))
    source = source_of(write_rows(tmp_path / "a.jsonl", 2))
    create_store(str(tmp_path / "future"), facts_of(source, schema_version=9), {})
    with pytest.raises(WorkbenchError, match="schema version 9, this program 1"):
        open_store(str(tmp_path / "future"))
    with pytest.raises(UsageError, match="already exists"):
        create_store(str(tmp_path / "future"), facts_of(source), {})
    with pytest.raises(UsageError, match="no store can be at nonsense://a"):
        open_store("nonsense://a")


def test_soft_prompts_that_float16_cannot_hold_are_refused_and_nothing_is_written(tmp_path):
    def large(texts):
        made = make(texts)
        return Made(made.embedding, made.soft_prompts * 1e6)

    with pytest.raises(WorkbenchError, match="larger than float16 can hold"):
        built(tmp_path / "s", write_rows(tmp_path / "a.jsonl", 3), make=large)
    assert contents(tmp_path / "s") == []


def test_a_map_is_kept_whole_and_replaced_whole(tmp_path):
    built(tmp_path / "s", write_rows(tmp_path / "a.jsonl", 3))
    store, ids = open_store(str(tmp_path / "s")), [row["id"] for row in contents(tmp_path / "s")]
    assert store.coordinates() is None
    store.write_coordinates(ids, np.zeros((3, 2)), {"projection": "UMAP"})
    store.write_coordinates(ids[1:], np.array([[1.0, 2.0], [3.0, 4.0]]), {"projection": "PCA", "seed": 1})
    kept = open_store(str(tmp_path / "s")).coordinates()
    assert (kept.ids, kept.points.tolist()) == (ids[1:], [[1.0, 2.0], [3.0, 4.0]])
    assert kept.facts == {"projection": "PCA", "seed": 1}


def test_a_damaged_store_is_one_line_without_places_in_the_code_of_others(tmp_path):
    built(tmp_path / "s", write_rows(tmp_path / "a.jsonl", 50))
    for file in (tmp_path / "s").rglob("*.lance"):
        if file.is_file():
            file.write_bytes(file.read_bytes()[:-50])
    with pytest.raises(WorkbenchError) as refused:
        contents(tmp_path / "s")
    said = str(refused.value)
    assert said.startswith(str(tmp_path / "s"))
    assert "\n" not in said
    assert ".rs" not in said
