# The commands of everyday work; each is one line that can be typed by hand.
# Trainings resume in runs/, and what lies there finished is not trained again: `rm -rf runs` starts anew.
.PHONY: check lint test bench fieldguide embedder gem teacher lifter figures app audit

check: lint test  ## what a change must pass

lint:
	ruff check .
	ruff format --check .
	pyright
	lint-imports

test:
	pytest

audit:  ## dependencies: versions, licences, origins, and known vulnerabilities where pip-audit is installed
	python .ci/audit.py

bench:  ## speed and memory, as ratios
	python -m benchmarks

fieldguide:  ## the shipped default again, all of it, from its seed: at most an hour on 2 cores
	workbench fieldguide build --output data/fieldguide
	workbench respond --queries data/fieldguide/queries.jsonl --output data/fieldguide/corpus.jsonl --max-new-tokens 64
	$(MAKE) embedder
	workbench fieldguide evaluate --output data/fieldguide/report.json
	workbench fieldguide atlas --output data/atlas/default.parquet
	rm -rf data/trust && workbench fieldguide trust --keep data/trust/default.json
	workbench fieldguide manifest

embedder:  ## the shipped embedder again, from the cached responses
	workbench train llm2vec-gen --queries data/fieldguide/corpus.jsonl --output runs/llm2vec-gen \
		--lr 1.5e-3 --projection-lr-scale 0.2 --align-start ridge --align-reduction sum --align-each \
		--lora-rank 16 --lora-alpha 32 --batch-size 24 --packing on --dtype bfloat16 --bf16 on --logging-steps 50 \
		--watch-every 100
	rm -rf data/runs/llm2vec-gen && mkdir -p data/runs/llm2vec-gen
	cp -r runs/llm2vec-gen/run.json runs/llm2vec-gen/log.jsonl runs/llm2vec-gen/watch data/runs/llm2vec-gen
	workbench train align --embedder runs/llm2vec-gen --queries data/fieldguide/corpus.jsonl \
		--dtype bfloat16 --bf16 on --output data/embedders/llm2vec-gen

GEM = workbench train gem --texts data/fieldguide/corpus.jsonl --batch-size 32 --epochs 2 --lr 6e-4 --warmup-steps 50 \
	--lora-rank 64 --lora-alpha 128 --layer 2 --share-insertion 0.15 --share-reconstruction 0 --share-soft-prompt 0.85 \
	--dtype bfloat16 --bf16 on

gem:  ## the shipped GEM embedder again, its control without special tokens, and what both show
	$(GEM) --p 0.15 --prefix-dropout 0.3 --alpha 0.5 --alpha-start 2850 --contrastive-lr 6e-4 --output runs/gem
	$(GEM) --p 1 --alpha 0 --output runs/gem-control
	rm -rf data/embedders/gem && cp -r runs/gem data/embedders/gem
	workbench fieldguide evaluate --embedder data/embedders/gem --control runs/gem-control \
		--output data/fieldguide/gem_report.json
	workbench fieldguide trust --embedder data/embedders/gem --keep data/trust/gem.json

teacher:  ## the shipped LLM2Vec-style teacher again
	workbench train teacher --texts data/fieldguide/corpus.jsonl --lr 1e-3 --mntp-steps 200 --simcse-lr 5e-4 \
		--simcse-steps 100 --simcse-batch-size 64 --warmup-steps 20 --dtype bfloat16 --bf16 on \
		--output runs/teacher
	rm -rf data/teachers/llm2vec && mkdir -p data/teachers && cp -r runs/teacher data/teachers/llm2vec

lifter:  ## the shipped lifter again, and what it reads
	workbench train lifter --queries data/fieldguide/corpus.jsonl --dtype bfloat16 --bf16 on --logging-steps 50 \
		--output runs/lifter
	rm -rf data/lifters/llm2vec-gen && mkdir -p data/lifters && cp -r runs/lifter data/lifters/llm2vec-gen
	workbench fieldguide lifter --output data/fieldguide/lifter_report.json
	workbench fieldguide trust --read lifter --keep data/trust/llm2vec-gen-lifter.json

figures:  ## every figure of the paper: measures what is missing or stale, then draws all and the gallery
	python -m analyses.figures

app:
	streamlit run app.py
