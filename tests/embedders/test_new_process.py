"""The shipped embedders, saved again and loaded in a process of their own: the same vectors and the same words."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from workbench import decode, load_embedder
from workbench.embedders.artifact import save
from workbench.files import shipped

READ = """
import json, sys
import numpy as np
import torch
from workbench import decode, load_embedder
torch.set_num_threads(1)
texts = json.load(open(sys.argv[2]))
embedder = load_embedder(sys.argv[1], device="cpu")
encoding = embedder.represent(texts)
readable = encoding.soft_prompts if encoding.special_cache is None else encoding.special_cache
np.save(sys.argv[3], encoding.embedding.numpy())
json.dump(decode(embedder, readable, max_new_tokens=48), open(sys.argv[4], "w"))
"""


@pytest.mark.slow
@pytest.mark.parametrize("method", ["llm2vec-gen", "gem"])
def test_a_hundred_texts_are_read_alike_in_another_process(tmp_path, method):
    lines = (shipped("fieldguide") / "eval.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [json.loads(line)["query"] for line in lines[:: len(lines) // 100]][:100]
    embedder = load_embedder(shipped("embedders", method), device="cpu")
    save(embedder, tmp_path / "saved")
    (tmp_path / "texts.json").write_text(json.dumps(texts))
    command = [sys.executable, "-c", READ]
    command += [str(tmp_path / name) for name in ("saved", "texts.json", "vectors.npy", "said.json")]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[2], timeout=600)

    encoding = embedder.represent(texts)
    readable = encoding.soft_prompts if encoding.special_cache is None else encoding.special_cache
    assert len(texts) == 100
    np.testing.assert_array_equal(np.load(tmp_path / "vectors.npy"), encoding.embedding.numpy())
    said = decode(embedder, readable, max_new_tokens=48)
    assert json.loads((tmp_path / "said.json").read_text()) == said
    assert len(set(said)) > 50, "the texts are told apart"
