PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready
EXTRAS := dev,docs,dashboard,gguf,hub,mlflow,trackio,wandb

.PHONY: demo test test-slow test-wheel check docs bench bench-gpu faults optunahub clean

demo: $(READY)
	$(BIN)/nas search runs/recipes/demo.toml

test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder

test-slow: $(READY)
	$(BIN)/python -m pytest -q -m slow

test-wheel: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -m slow tests/wheel

check: $(READY)
	$(BIN)/ruff format --check -q .
	$(BIN)/ruff check -q .
	$(BIN)/pyright
	$(BIN)/python -m pytest -q tests/test_layering.py

docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 -m slow tests/docs -k "not all_blocks"

bench: $(READY)
	$(BIN)/python tests/benchmarks/scheduling.py
	$(BIN)/python tests/benchmarks/search_quality.py
	$(BIN)/nas bench kernels
	$(BIN)/nas bench mixers

bench-gpu: $(READY)
	$(BIN)/python -m tests.benchmarks.gpu

faults: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python tests/benchmarks/faults.py

optunahub: $(READY)
	$(BIN)/python -m policies.hub build/optunahub

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -e ".[$(EXTRAS)]"
	touch $(READY)

clean:
	rm -rf .venv .site runs/demo
