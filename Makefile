# ctrfast: `make demo` shows the product, `make test` checks it. Both set up what they need under .venv.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/pip --disable-pip-version-check --quiet

BENCHES := bench-train bench-prepare bench-input bench-bounded bench-memory bench-scaling bench-allocator bench-rules \
	bench-better-rule bench-gpu bench-jobs bench-pages bench-serve bench-swap bench-soak bench-cluster bench-scale-model bench-zoo \
	bench-zoo-auc bench-student

.PHONY: setup demo test fuzz hot-swap image-steps kill-matrix lint networks-page parity screenshots serve $(BENCHES) clean

setup: .venv/.ready-dev

.venv/bin/pip:
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14) and "ctrfast needs Python 3.11, 3.12 or 3.13: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv

# The users' set: what runs, without the tools of development.
.venv/.ready: .venv/bin/pip pyproject.toml constraints.txt
	@echo "Installing into .venv (TensorFlow is large; a few minutes at first)"
	$(PIP) install --constraint constraints.txt --editable .
	@touch $@

# The same and those tools, in one call of pip; a browser comes beside it.
.venv/.ready-dev: .venv/bin/pip pyproject.toml constraints.txt
	@echo "Installing into .venv (TensorFlow is large; a few minutes at first)"
	if [ "$$(id -u)" = 0 ] && ! command -v chromium; then \
		(apt-get update --quiet && apt-get install --yes --quiet --no-install-recommends chromium) & \
	fi; \
	$(PIP) install --constraint constraints.txt --editable '.[dev]'; status=$$?; wait; exit $$status
	command -v chromium || $(BIN)/playwright install chromium
	@touch .venv/.ready $@

# Other systems, to be compared with; kept apart from what ctrfast needs.
.venv-peers/.ready: bench/peers/requirements.txt bench/peers/requirements-no-deps.txt
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/pip --disable-pip-version-check --quiet install --requirement $<
	.venv-peers/bin/pip --disable-pip-version-check --quiet install --no-deps --requirement $(word 2,$^)
	@touch $@

# Those that serve, in environments of their own: they ask for different versions of the same packages. One that this
# Python cannot have is left out, and the results say so.
SERVE_PEERS := $(foreach name,ray mlserver bentoml,.venv-serve-$(name)/.ready)
$(SERVE_PEERS): .venv-serve-%/.ready: bench/peers/requirements-serve-%.txt
	$(PYTHON) -m venv .venv-serve-$*
	.venv-serve-$*/bin/pip --disable-pip-version-check --quiet install --requirement $< && \
		touch $@ || echo "bench-serve leaves out what $< names: it could not be installed."

demo: .venv/.ready
	$(BIN)/python -m service.demo

serve: .venv/.ready
	$(BIN)/ctrfast-service up

lint: .venv/.ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --num-workers 2
	$(BIN)/lint-imports

# One process more than CI has cores: services, clusters and browsers are waited for.
test: lint
	$(BIN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder

# 10,000 mutated raw files, where the tests take a few hundred; new examples for all other properties.
fuzz: .venv/.ready-dev
	$(BIN)/python -m pytest tests -m hypothesis --hypothesis-profile=new-examples --numprocesses 2 --dist loadfile
	$(BIN)/python -m pytest tests/data/test_raw_fuzz.py --hypothesis-profile=fuzz --timeout 3600

# Each part of the service killed at each moment of a job, five times on both databases; about an hour.
kill-matrix: .venv/.ready-dev
	$(BIN)/python -m tests.service.kill_matrix $(KILL_OPTIONS)

# An alias that moves every two seconds for a minute, under load: no request may fail or meet two versions.
hot-swap: .venv/.ready-dev
	HOT_SWAP_SECONDS=60 $(BIN)/python -m pytest tests/service/test_hot_swap.py

# The golden files of other systems' networks, made anew: tests/golden/parity.
parity: .venv-peers/.ready build/fuxictr/.ready
	.venv-peers/bin/python -m bench.parity

# Networks that FuxiCTR's users copy from its repository: its package has their parts alone.
build/fuxictr/.ready:
	rm -rf build/fuxictr
	git clone --quiet --filter=blob:none --no-checkout https://github.com/reczoo/FuxiCTR build/fuxictr
	git -C build/fuxictr checkout --quiet b0bdfa163aedd9e2e433235520c1a8d42a6dbb66 -- \
		$(addprefix model_zoo/,MaskNet AFM AutoInt DLRM FwFM)
	git -C build/fuxictr checkout --quiet 7b98a49fb6ef1fedb99dea9fa17b2935c3baa508 -- model_zoo/GDCN
	git -C build/fuxictr checkout --quiet 45c36dbc31a994966a798b0c660ae53e308a9df0 -- model_zoo/EulerNet
	git -C build/fuxictr checkout --quiet 44649adc058d2a5390bf4a419c60d52d7a2d2d31 -- model_zoo/DCNv3
	@touch $@

# The same for bench-zoo, which measures the others where they cannot be had, and says so.
.PHONY: fuxictr-files
fuxictr-files:
	@$(MAKE) --no-print-directory build/fuxictr/.ready || \
		echo "bench-zoo leaves out FuxiCTR's networks that are files of its repository: there is no checkout."

# docs/networks, from docstrings, the golden files and bench/results.
networks-page: .venv/.ready
	$(BIN)/python -m bench.networks_page

# What the Dockerfile installs, in a clean environment: where no engine is at hand to build the image.
image-steps:
	rm -rf build/image
	$(PYTHON) -m venv build/image
	eval build/image/bin/pip --disable-pip-version-check --quiet install \
		"$$(sed -n 's/^RUN .*pip install //p' Dockerfile)"
	build/image/bin/ctrfast --version
	build/image/bin/ctrfast-service --help
	build/image/bin/python -c 'import boto3, psycopg; print("boto3", boto3.__version__, "psycopg", psycopg.__version__)'

# The README's pictures of the dashboard.
screenshots: .venv/.ready-dev
	$(BIN)/python -m docs.screenshots

# bench/README.md says what each shows; `make bench-train BENCH_OPTIONS='--rounds 3'` and the like.
$(BENCHES): bench-%: .venv/.ready
	$(BIN)/python -m bench.$(subst -,_,$*) $(BENCH_OPTIONS)

bench-train bench-gpu bench-prepare bench-zoo: .venv-peers/.ready
bench-zoo: fuxictr-files
bench-serve: $(SERVE_PEERS)

bench-jobs bench-pages bench-cluster: .venv/.ready-dev

clean:
	rm -rf .venv .venv-peers .venv-serve-* build/bench .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
