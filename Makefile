# ctrfast: `make demo` shows the product, `make test` checks it. Both set up what they need under .venv.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/pip --disable-pip-version-check --quiet

.PHONY: setup demo test lint serve bench-train clean

setup: .venv/.ready-dev

.venv/bin/pip:
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14) and "ctrfast needs Python 3.11, 3.12 or 3.13: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv

# The users' set: what runs, without the tools of development.
.venv/.ready: .venv/bin/pip pyproject.toml constraints.txt
	@echo "Installing into .venv (TensorFlow is large; a few minutes at first)"
	$(PIP) install --constraint constraints.txt --editable .
	@touch $@

.venv/.ready-dev: .venv/.ready
	$(PIP) install --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: .venv/.ready
	$(BIN)/python -m service.demo

serve: .venv/.ready
	$(BIN)/ctrfast-service up

lint: .venv/.ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint
	$(BIN)/python -m pytest

bench-train: .venv/.ready
	$(BIN)/python bench/train.py --batch-size 1024 --batch-size 8192 --batch-size 65536

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
