"""Kills commands at random points and runs them again: `python tests/killed.py FOLDER POINTS SEED COMMAND ...`.

torch is imported once; every run is a fork of this process that ends with SIGKILL or on its own. A point is a share of
the processor time that the whole run took, so that it is the same point on a busy machine. A line of JSON a command:
where the kills came, how many runs they really cut, and whether every rerun ended with the bytes (for a store: with
the rows) of the whole run.
"""

import json
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import conftest
import torch

torch.set_num_threads(1)
LONGEST = 240.0
"""Seconds after which a run counts as hanging and is killed."""


def prepared(folder):
    """A tiny model, an embedder on it, and a corpus."""
    from workbench.backbone import Backbone
    from workbench.embedders.artifact import save
    from workbench.embedders.config import LLM2VecGenConfig
    from workbench.embedders.llm2vec_gen import LLM2VecGen

    model, embedder, corpus = folder / "model", folder / "embedder", folder / "corpus.jsonl"
    conftest._saved(model, "llama")
    config = LLM2VecGenConfig(n_compression=3, dimension=24, max_length=48)
    save(LLM2VecGen.untrained(Backbone.load(str(model)), config), embedder)
    rows = [{"query": f"What is number {n}?", "response": f"Number {n} is {n * n}."} for n in range(96)]
    corpus.write_text("".join(json.dumps(row) + "\n" for row in rows))
    queries = folder / "queries.txt"
    queries.write_text("".join(f"Tell me about {n}\n" for n in range(96)))
    return {"model": model, "embedder": embedder, "corpus": corpus, "queries": queries}


def command(name, given, place):
    """The command line that writes into `place`."""
    training = ["--output", place / "out", "--backbone", given["model"], "--batch-size", 8, "--epochs", 2]
    training += ["--save-steps", 4, "--logging-steps", 2, "--warmup-steps", 2]
    embedding = ["--embedder", given["embedder"]]
    return {
        "respond": ["respond", "--backbone", given["model"], "--queries", given["queries"], "--batch-size", 2,
                    "--max-new-tokens", 8, "--output", place / "out.jsonl"],
        "train": ["train", "llm2vec-gen", *training, "--queries", given["corpus"], "--teacher", "mean-pool"],
        "gem": ["train", "gem", *training, "--texts", given["corpus"], "--alpha-start", 6],
        "embed": ["embed", *embedding, "--input", given["queries"], "--output", place / "out.npy"],
        "build": ["atlas", "build", *embedding, "--input", given["corpus"], "--store", place / "out"],
    }[name]  # fmt: skip


def fork(arguments, cache):
    """The command in a process of its own, in small parts, so that there is something to resume."""
    cache.parent.mkdir(exist_ok=True)
    child = os.fork()
    if child:
        return child
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(os.open(cache.with_suffix(".said"), os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
    os.environ["WORKBENCH_CACHE"] = str(cache)
    from workbench.atlas import build
    from workbench.cli import embed, main

    build.CHUNK, build.PART, embed.PART = 16, 8, 16
    os._exit(main([str(part) for part in arguments]))


def contents(place, name):
    """What a command made, so that two can be compared; of a store its rows, read in a fork: Lance starts threads."""
    if name == "build":
        read = place.with_suffix(".rows")
        if not (child := os.fork()):
            import lancedb

            table = lancedb.connect(str(place / "out")).open_table("rows").to_arrow()
            read.write_text("\n".join(sorted(json.dumps(row, default=str) for row in table.to_pylist())))
            os._exit(0)
        os.waitpid(child, 0)
        return read.read_text()
    paths = sorted(
        path
        for path in place.rglob("*")
        if path.is_file() and "cache" not in path.parts and path.name != "cache.said"
    )
    return {str(path.relative_to(place)): path.read_bytes() for path in paths}


def whole_run(name, given, place):
    """Runs to the end; returns the seconds of processor time that it took."""
    child, begun = fork(command(name, given, place), place / "cache"), time.monotonic()
    while not (waited := os.wait4(child, os.WNOHANG))[0]:
        time.sleep(0.01)
        if time.monotonic() - begun > LONGEST:
            os.kill(child, signal.SIGKILL)
    _, status, used = waited
    said = (place / "cache.said").read_text()
    assert os.waitstatus_to_exitcode(status) == 0, f"{name} failed: {said[-2000:]}"
    return used.ru_utime + used.ru_stime


def killed_run(name, given, place, after):
    """Kills a run once it has used so many seconds of processor time; whether it was cut."""
    child = fork(command(name, given, place), place / "cache")
    clock = Path(f"/proc/{child}/stat")
    begun = time.monotonic()
    while time.monotonic() - begun < LONGEST / 4:
        state, *fields = clock.read_text().rpartition(")")[2].split()
        if state == "Z" or sum(map(int, fields[10:12])) / os.sysconf("SC_CLK_TCK") >= after:
            break
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def same(one, other, name):
    """Whether two results are equal; of a log, all but the times."""
    if name not in ("train", "gem"):
        return one == other
    return {path: _timeless(path, data) for path, data in one.items()} == {
        path: _timeless(path, data) for path, data in other.items()
    }


def _timeless(path, data):
    if not path.endswith("log.jsonl"):
        return data
    rows = [json.loads(line) for line in data.splitlines()]
    return [
        {key: value for key, value in row.items() if "runtime" not in key and "second" not in key}
        for row in rows
    ]


def report(name, given, folder, points, chance):
    whole_run(name, given, folder / "warm-up")
    took = whole_run(name, given, folder / "whole")
    wanted, cut, equal, at = contents(folder / "whole", name), 0, True, []
    for point in range(points):
        place = folder / f"killed-{point}"
        at.append(round(chance.uniform(0.05, 0.95), 3))
        cut += killed_run(name, given, place, at[-1] * took)
        whole_run(name, given, place)
        if not same(contents(place, name), wanted, name):
            equal = False
            print(f"{name}: after a kill at {at[-1]} the result differs, see {place}", file=sys.stderr)
            continue
        shutil.rmtree(place)
    print(
        json.dumps({"command": name, "seconds": round(took, 2), "kills": at, "cut": cut, "equal": equal}),
        flush=True,
    )


def main(folder, points, seed, *names):
    """Reports on every command."""
    given, chance = prepared(Path(folder)), random.Random(int(seed))
    for name in names:
        (place := Path(folder) / name).mkdir()
        report(name, given, place, int(points), chance)


if __name__ == "__main__":
    main(*sys.argv[1:])
