"""`workbench atlas map` and `workbench atlas clusters`: what they print, write and keep, and what they refuse."""

import csv
import json

import numpy as np
import pytest

from workbench.atlas.neighbours import preserved
from workbench.atlas.store import open_store
from workbench.backbone import Backbone
from workbench.cli.atlas_map import OTHERS, coloured
from workbench.decoding.badge import Judge
from workbench.decoding.decode import decode
from workbench.decoding.lift import read_vectors
from workbench.decoding.media import ThroughLifter
from workbench.decoding.reference import calibrate
from workbench.decoding.trust import cosines
from workbench.embedders.artifact import load_embedder, save
from workbench.embedders.config import GEMConfig, LifterConfig
from workbench.embedders.gem import GEM
from workbench.embedders.lifter import Lifter
from workbench.embedders.lifter_artifact import load_lifter, save_lifter

TEXTS = [f"What is number {n}?" if n % 3 else f"A lion eats <b>meat {n}</b>." for n in range(12)]


def write(path):
    rows = [{"query": text, "kind": "ab"[n % 4 == 0], "id": f"q{n}"} for n, text in enumerate(TEXTS)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def store(tmp_path_factory, tiny_embedder_dir):
    from workbench.cli import main

    folder = tmp_path_factory.mktemp("atlas")
    command = ["atlas", "build", "--embedder", tiny_embedder_dir, "--input", write(folder / "a.jsonl"),
               "--store", folder / "store", "--prompt-name", "document"]  # fmt: skip
    assert main([str(part) for part in command]) == 0
    return folder / "store"


@pytest.fixture(scope="module")
def lifter_dir(tmp_path_factory, tiny_embedder_dir):
    embedder = load_embedder(tiny_embedder_dir)
    lifter = Lifter(LifterConfig(dimension=24, n_prompts=3, size=32, width=16))
    encoding = embedder.represent(TEXTS)
    lifter.start(encoding.embedding, encoding.soft_prompts)
    return save_lifter(lifter, embedder, tmp_path_factory.mktemp("lifter") / "l")


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """A file that references of trust are made of."""
    path = tmp_path_factory.mktemp("known") / "known.txt"
    path.write_text("".join(f"Tell me about number {n}.\n" for n in range(18)))
    return path


def lines(ran):
    assert ran.code == 0, ran.err
    return [json.loads(line) for line in ran.out.splitlines()]


def test_a_map_is_printed_beside_its_chance_kept_and_not_made_again(cli, store):
    command = ("atlas", "map", "--store", store, "--method", "pca", "--rows", 5, "--by", "kind")
    ran = cli(*command)
    opened = open_store(str(store))
    kept = preserved(opened.vectors().embeddings, opened.coordinates().points)
    assert ran.out.splitlines() == [
        "PCA of 12 rows, seed 0",
        f"keeps {kept.mean:.3f} of the 10 nearest neighbours (chance 0.909)",
        "showing 5 of 12",
    ]
    assert ran.err == "workbench: the store has no map yet: making one\n"
    again = cli(*command)
    assert (again.code, again.out, again.err) == (0, ran.out, "")
    other = cli(*command, "--seed", 3)
    assert other.err == "workbench: the store's map was made with seed 0, not seed 3: making it again\n"
    [info] = lines(cli("atlas", "info", "--store", store, "--json"))
    assert (info["coordinates"]["seed"], info["coordinates"]["projection"]) == (3, "PCA")


def test_the_places_and_the_page_of_a_map(cli, store, tmp_path):
    command = ("atlas", "map", "--store", store, "--method", "pca", "--by", "kind")
    assert cli(*command, "--output", tmp_path / "map.csv").code == 0
    with open(tmp_path / "map.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["id"], row["kind"], row["text"]) for row in rows] == [
        (f"q{n}", "ab"[n % 4 == 0], text) for n, text in enumerate(TEXTS)
    ]
    points = open_store(str(store)).coordinates().points
    np.testing.assert_allclose([[float(row["x"]), float(row["y"])] for row in rows], points, atol=1e-6)

    for name in ("one.svg", "again.svg", "map.pdf"):
        assert cli(*command, "--output", tmp_path / name).code == 0
    svg = (tmp_path / "one.svg").read_text(encoding="utf-8")
    assert "showing 12 of 12, coloured by kind" in svg
    assert (tmp_path / "again.svg").read_text(encoding="utf-8") == svg
    assert (tmp_path / "map.pdf").read_bytes().startswith(b"%PDF")

    ran = cli(*command, "--rows", 4, "--output", tmp_path / "map.html")
    assert ran.out.splitlines()[-1] == "showing 4 of 12"
    assert f"4 rows in {tmp_path / 'map.html'}" in ran.error
    page = (tmp_path / "map.html").read_text(encoding="utf-8")
    drawn = page[page.rindex("Plotly.newPlot") :]
    for said in ("showing 4 of 12, coloured by kind", "nearest neighbours (chance 0.909)"):
        assert said in drawn
    assert "<b>meat" not in drawn, "texts are escaped"
    assert 'src="http' not in page, "nothing is fetched"


def test_more_groups_than_colours_are_told_apart_as_far_as_colours_go(capsys):
    groups = ["a", "a", "b", "b", "c", "d"]
    assert coloured(groups, 4) == groups
    assert coloured(groups, 3) == ["a", "a", "b", "b", OTHERS, OTHERS]
    assert "2 of 4 groups have a colour of their own" in capsys.readouterr().err


def test_a_cluster_says_what_its_mean_soft_prompts_decode_to(cli, store, tiny_embedder_dir, tmp_path, texts):
    command = ("atlas", "clusters", "--store", store, "--embedder", tiny_embedder_dir, "--method", "kmeans",
               "--size", 3, "--max-new-tokens", 6, "--terms", 2, "--reference", texts)  # fmt: skip
    ran = cli(*command, "--json")
    rows = lines(ran)
    assert "showing 3 of 3 clusters; 0 of 12 rows are in none" in ran.err
    assert sorted(id for row in rows for id in row["ids"]) == sorted(f"q{n}" for n in range(12))
    assert [row["size"] for row in rows] == sorted((len(row["ids"]) for row in rows), reverse=True)
    embedder, opened = load_embedder(tiny_embedder_dir), open_store(str(store))
    means = np.stack([opened.soft_prompts(row["ids"]).mean(axis=0) for row in rows])
    said = decode(embedder, means, max_new_tokens=6)
    assert [row["decoded"] for row in rows] == said
    centres = np.stack([opened.embeddings(row["ids"]).mean(axis=0) for row in rows])
    table = cosines(centres, embedder.encode_document(said))
    for number, row in enumerate(rows):
        assert row["cosine"] == pytest.approx(table[number, number], abs=1e-3)
        assert row["others"] == pytest.approx(np.delete(table[number], number).mean(), abs=1e-3)
        assert row["near"] == [TEXTS[int(id[1:])] for id in row["ids"][:3]]
        assert 1 <= len(row["terms"]) <= 2
    judge = Judge(embedder, calibrate(embedder, texts.read_text().splitlines()))
    for row, badge in zip(rows, judge.badges(means, said), strict=True):
        assert row["level"] == badge.level
        assert row["gap"] == pytest.approx(badge.gap, abs=1e-3)
    ran = cli(*command, "--limit", 1)
    assert "showing 1 of 3 clusters" in ran.err
    assert ran.out.splitlines()[:2] == [
        f"cluster 1: {rows[0]['size']} rows",
        f"decoded   {said[0]}".splitlines()[0],
    ]
    assert "other clusters' sentences" not in ran.out, "there is no other to compare with"
    assert f"  gap {rows[0]['gap']:+.2f}  {rows[0]['level']}\n" in ran.out
    assert cli(*command, "--output", tmp_path / "c.jsonl").code == 0
    assert [json.loads(line) for line in (tmp_path / "c.jsonl").read_text().splitlines()] == rows


def test_a_cluster_of_one_row_says_what_the_row_says(cli, store, tiny_embedder_dir, texts):
    command = ("--store", store, "--embedder", tiny_embedder_dir, "--max-new-tokens", 5, "--json")
    rows = lines(cli("atlas", "clusters", *command, "--method", "kmeans", "--size", 12, "--reference", texts))
    hits = lines(cli("atlas", "search", *command, "--row", "q3", "--top", 12, "--decode"))
    assert len(rows) == 12
    decoded = {hit["id"]: hit["decoded"] for hit in hits}
    assert all(row["decoded"] == decoded[row["ids"][0]] for row in rows if row["ids"] != ["q3"])


def test_a_centre_is_read_through_a_lifter(cli, store, tiny_embedder_dir, lifter_dir, texts):
    command = ("atlas", "clusters", "--store", store, "--embedder", tiny_embedder_dir, "--method", "kmeans",
               "--size", 2, "--max-new-tokens", 6, "--json", "--read", "lifter", "--lifter", lifter_dir)  # fmt: skip
    rows = lines(cli(*command, "--reference", texts))
    embedder, opened = load_embedder(tiny_embedder_dir), open_store(str(store))
    centres = np.stack([opened.embeddings(row["ids"]).mean(axis=0) for row in rows])
    lifted = read_vectors(embedder, load_lifter(embedder, lifter_dir), centres, max_new_tokens=6)
    assert [row["decoded"] for row in rows] == lifted.decoded
    np.testing.assert_allclose([row["cosine"] for row in rows], lifted.round_trip, atol=1e-3)
    assert np.mean([row["others"] for row in rows]) == pytest.approx(lifted.shuffled, abs=1e-3)
    medium = ThroughLifter(embedder, load_lifter(embedder, lifter_dir))
    judge = Judge(medium, calibrate(medium, texts.read_text().splitlines()))
    wanted = judge.badges(centres, lifted.decoded)
    assert [row["level"] for row in rows] == [badge.level for badge in wanted]
    assert [row["gap"] for row in rows] == pytest.approx([badge.gap for badge in wanted], abs=1e-3)


def test_no_cluster_and_a_sample_are_said(cli, store, tiny_embedder_dir, texts):
    command = ("atlas", "clusters", "--store", store, "--embedder", tiny_embedder_dir, "--reference", texts)
    ran = cli(*command, "--size", 12)
    assert (ran.code, ran.out) == (0, "")
    assert "no cluster was found; a smaller --size, or --method kmeans" in ran.error
    ran = cli(*command, "--method", "kmeans", "--size", 1, "--rows", 6, "--by", "kind", "--max-new-tokens", 2)
    assert "showing 6 of 12 rows, which are what was clustered" in ran.err
    assert ran.out.startswith("cluster 1: 6 rows\n")


def test_a_store_without_soft_prompts_is_mapped_and_its_clusters_need_a_lifter(
    cli, tmp_path, tiny_backbone_dir
):
    gem = save(GEM.untrained(Backbone.load(str(tiny_backbone_dir)), GEMConfig(n_special=2)), tmp_path / "gem")
    source, place = write(tmp_path / "a.jsonl"), ("--store", tmp_path / "s")
    assert cli("atlas", "build", "--embedder", gem, "--input", source, *place).code == 0
    assert cli("atlas", "map", *place, "--method", "pca").code == 0
    ran = cli("atlas", "clusters", *place, "--embedder", gem)
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert "keeps no soft prompts (method gem), so its centres are read by --read lifter" in ran.error


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("map", "--by", "colour"), 2, "has no metadata column 'colour'; it has kind"),
        (("map", "--rows", 2), 2, "rows must be at least 3"),
        (("map", "--rows", 3, "--by", "id"), 2, "has no metadata column 'id'"),
        (("map", "--seed", -1), 2, "a seed must be from 0"),
        (("map", "--method", "tsne"), 2, "--method"),
        (("map", "--output", "map.bmp"), 2, "must end in .html or .pdf or .svg or .png or .csv"),
        (("map", "--store", "nowhere"), 2, "no store at nowhere"),
        (("clusters", "--store", "nowhere"), 2, "no store at nowhere"),
        (("clusters", "--size", 13), 2, "a smallest cluster of 13 does not fit 12 rows"),
        (("clusters", "--size", 13, "--method", "kmeans"), 2, "k-means cannot make 13 clusters of 12 rows"),
        (("clusters", "--by", "colour"), 2, "has no metadata column 'colour'"),
        (("clusters", "--read", "lifter", "--lifter", "nowhere"), 2, "no lifter at nowhere"),
        (("clusters", "--lifter", "l"), 2, "--lifter belongs to --read lifter"),
        (("clusters", "--output", "c.csv"), 2, "must end in .jsonl"),
        (("clusters", "--terms", 0), 2, "--terms"),
    ],
)
def test_bad_input_is_one_line_and_makes_nothing(
    cli, store, tiny_embedder_dir, arguments, code, message, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    before = open_store(str(store)).coordinates()
    command = ("atlas", arguments[0], "--store", store, *arguments[1:])
    if arguments[0] == "clusters":
        command += ("--embedder", tiny_embedder_dir)
    ran = cli(*command)
    assert (ran.code, ran.out) == (code, "")
    assert ran.err.count("\n") == 1
    assert message in ran.error
    assert [path.name for path in tmp_path.iterdir()] in ([], ["cache"])
    after = open_store(str(store)).coordinates()
    assert (after and after.facts) == (before and before.facts)


def test_another_embedder_and_no_shipped_lifter_are_one_line(
    cli, store, tmp_path, tiny_embedder_dir, monkeypatch
):
    command = ("atlas", "clusters", "--store", store)
    other = load_embedder(tiny_embedder_dir)
    other.module.tokens.data += 1
    ran = cli(*command, "--embedder", save(other, tmp_path / "other"))
    assert (ran.code, ran.out, ran.err.count("\n")) == (1, "", 1)
    assert "does not fit: its embedder is" in ran.error
    monkeypatch.setattr("workbench.embedders.lifter_artifact.shipped", _nothing)
    ran = cli(*command, "--embedder", tiny_embedder_dir, "--read", "lifter")
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert "the shipped lifters/llm2vec-gen is not there" in ran.error


def _nothing(*parts):
    from workbench.errors import UsageError

    raise UsageError(f"the shipped {'/'.join(parts)} is not there")
