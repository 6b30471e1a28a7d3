# ctrfast: `make demo` shows the product, `make test` checks it. Both set up what they need under .venv.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/pip --disable-pip-version-check --quiet

BENCHES := bench-train bench-prepare bench-input bench-bounded bench-memory bench-scaling bench-allocator bench-rules bench-jobs

.PHONY: setup demo test fuzz lint serve $(BENCHES) clean

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

# Other systems, to be compared with; kept apart from what ctrfast needs.
.venv-peers/.ready: bench/peers/requirements.txt bench/peers/requirements-no-deps.txt
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/pip --disable-pip-version-check --quiet install --requirement $<
	.venv-peers/bin/pip --disable-pip-version-check --quiet install --no-deps --requirement $(word 2,$^)
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

# 10,000 mutated raw files, where the tests take a few hundred.
fuzz: .venv/.ready-dev
	$(BIN)/python -m pytest tests/data/test_raw_fuzz.py --hypothesis-profile=fuzz

# bench/README.md says what each shows; `make bench-train BENCH_OPTIONS='--rounds 3'` and the like.
$(BENCHES): bench-%: .venv/.ready
	$(BIN)/python -m bench.$* $(BENCH_OPTIONS)

bench-train bench-prepare: .venv-peers/.ready

bench-jobs: .venv/.ready-dev

clean:
	rm -rf .venv .venv-peers build/bench .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
