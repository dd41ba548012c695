# The commands of everyday work; each is one line that can be typed by hand.
.PHONY: check lint test bench fieldguide app

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

fieldguide:  ## the default backbone again, from its seed
	workbench fieldguide build --output data/fieldguide

app:
	streamlit run app.py
