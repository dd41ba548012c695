# The commands of everyday work; each is one line that can be typed by hand.
.PHONY: check lint test bench fieldguide embedder app

check: lint test  ## what a change must pass

lint:
	ruff check .
	ruff format --check .
	pyright
	lint-imports

test:
	pytest

bench:  ## speed and memory, as ratios
	python -m benchmarks

fieldguide:  ## the shipped default again, all of it, from its seed: at most an hour on 2 cores
	workbench fieldguide build --output data/fieldguide
	workbench respond --queries data/fieldguide/queries.jsonl --output data/fieldguide/corpus.jsonl --max-new-tokens 64
	rm -rf data/embedders/llm2vec-gen
	$(MAKE) embedder
	workbench fieldguide evaluate --output data/fieldguide/report.json
	workbench fieldguide atlas --output data/atlas/default.parquet
	workbench fieldguide manifest

embedder:  ## the shipped embedder again, from the cached responses
	workbench train llm2vec-gen --queries data/fieldguide/corpus.jsonl --output data/embedders/llm2vec-gen \
		--lr 2e-3 --batch-size 32 --epochs 2 --align-reduction sum --bf16 on

app:
	streamlit run app.py
