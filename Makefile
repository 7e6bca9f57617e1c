# Everything sets itself up: it needs Python 3.11 or newer, make and a package index, nothing else.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
STAMP = $(VENV)/.installed
WORKERS ?= auto

.PHONY: help demo test test-slow prove fuzz lint bench clean

help:
	@echo "make demo       map AlexNet for Eyeriss, prove each layer optimal, execute it, compare with ONNX Runtime"
	@echo "make test       linters, types and the test suite"
	@echo "make test-slow  the tests marked slow"
	@echo "make prove      random mappings against the executor, until you stop it or it finds a difference"
	@echo "make fuzz       mutated inputs of every kind, until you stop it; each must be read or refused in one line"
	@echo "make bench      the benchmarks behind docs/benchmarks.md"
	@echo "make clean      remove the virtual environment and caches"

demo: $(STAMP)
	$(BIN)/mapper compile survey/alexnet --arch eyeriss_v1 --verify -o build/alexnet

test: lint
	$(BIN)/python -m pytest -n $(WORKERS) -m "not slow"

test-slow: $(STAMP)
	$(BIN)/python -m pytest -n $(WORKERS) -m slow

prove: $(STAMP)
	$(BIN)/python tests/prove.py

fuzz: $(STAMP)
	$(BIN)/python tests/fuzz.py

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(STAMP)
	$(BIN)/python -m benchmarks

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[test]"
	@touch $@

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
