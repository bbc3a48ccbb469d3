# make run   everything on this machine, with a simulated city
# make test  every test, browser tests too
# make help  the rest

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
PACKAGES := analysis city dashboard ingest layouts markaz sim
# `make run MARKAZ_SIMULATE=0` waits for a real city.
MARKAZ_SIMULATE ?= 1
PYTEST_ARGS ?=
BENCH_ARGS ?=
# BENCH_INGEST_ARGS=--quick for a try-out of a minute.
BENCH_INGEST_ARGS ?=
# BENCH_DETECTORS_ARGS= for whole weeks: a quarter of an hour.
BENCH_DETECTORS_ARGS ?= --quick
# BENCH_HISTORY_ARGS= for the whole day, BENCH_ANALYSTS_ARGS= for 300 and 2,000 vehicles beside it: a quarter of an hour each.
BENCH_HISTORY_ARGS ?= --quick --without-postgres
BENCH_REPLAY_ARGS ?= --hours 2 --starts 5
BENCH_ANALYSTS_ARGS ?= --vehicles 300 --hours 2 --rounds 1

# What is installed is known by the content of what was asked for, and by the place: scripts hold absolute paths.
key = $(shell { pwd; cat $(1) pyproject.toml; } | cksum | tr ' ' -)
RUN_STAMP := $(VENV)/.run-$(call key,requirements.lock)
TEST_STAMP := $(VENV)/.test-$(call key,requirements.lock requirements-test.lock)
SPARK_STAMP := $(VENV)/.spark-$(call key,requirements-spark.lock)
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input --quiet

.PHONY: help run test check fmt bench lock clean install install-test browser

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# exec: the supervisor takes the recipe's place, so that make's signals reach it.
run: $(RUN_STAMP) ## start everything here, fed by the simulator; Ctrl-C stops it
	@MARKAZ_SIMULATE=$(MARKAZ_SIMULATE) exec $(BIN)/markaz up

test: $(TEST_STAMP) $(SPARK_STAMP) browser ## every test; PYTEST_ARGS="-k fuel" for some
	@exec $(BIN)/python -m pytest $(PYTEST_ARGS)

check: $(TEST_STAMP) ## formatting, lint, types, architecture
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fmt: $(TEST_STAMP) ## format and repair what can be repaired
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(TEST_STAMP) browser ## measure; results in bench/results/
	@$(BIN)/python bench/stages.py && $(BIN)/python bench/ingest.py $(BENCH_INGEST_ARGS) && \
	  $(BIN)/python bench/detectors.py $(BENCH_DETECTORS_ARGS) && $(BIN)/python bench/alarms.py && \
	  $(BIN)/python bench/history.py $(BENCH_HISTORY_ARGS) && $(BIN)/python bench/replay.py $(BENCH_REPLAY_ARGS) && \
	  $(BIN)/python bench/analysts.py $(BENCH_ANALYSTS_ARGS) && \
	  exec $(BIN)/python bench/live.py $(BENCH_ARGS)

install: $(RUN_STAMP) ## what `make run` needs, without starting it

install-test: $(TEST_STAMP) $(SPARK_STAMP) ## what `make test` needs

browser:
	@.ci/system-packages

lock: ## resolve the dependencies anew, with hashes
	@command -v uv >/dev/null || { python3 -m venv var/uv && var/uv/bin/pip install --quiet uv; }
	@PATH="$$PATH:$(CURDIR)/var/uv/bin"; compile() { \
	  uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --upgrade --quiet \
	    --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" "$$@"; }; \
	compile --output-file requirements.lock && \
	compile --extra test --extra bench --constraints requirements.lock --output-file requirements-test.lock && \
	mkdir -p var && compile --extra spark --constraints requirements-test.lock --output-file var/spark.lock && \
	awk '/^#/ && !body; /^[A-Za-z0-9]/ { body = 1; wanted = /^(pyspark|py4j)==/ } wanted' var/spark.lock >requirements-spark.lock

clean: ## remove what was built and installed; var/ with the city's data stays
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find $(PACKAGES) tests -name __pycache__ -type d -prune -exec rm -rf {} +

# An interrupted start may have left half a virtual environment: it is made anew then.
define make_venv
	@python='$(PYTHON)'; \
	if [ -z "$$python" ]; then \
	  for try in python3 python3.13 python3.12 python3.11 python; do \
	    if $$try -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$$try; break; fi; \
	  done; \
	fi; \
	if [ -z "$$python" ]; then echo 'make: Markaz needs Python 3.11 or newer: install it, or say PYTHON=/path/to/python3' >&2; exit 1; fi; \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "make: $$python is $$($$python --version 2>&1): Markaz needs Python 3.11 or newer" >&2; exit 1; }; \
	if ! $(BIN)/python -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	  echo 'Creating $(VENV) …'; \
	  $$python -m venv --clear $(VENV) || { \
	    echo 'make: the venv module failed: on Debian and Ubuntu install python3-venv' >&2; exit 1; }; \
	fi
endef

# The dependencies by hash, then the checkout itself in place: nothing is built, nothing more is fetched.
define install_lock
	@echo 'Installing $(1) …'
	@$(PIP) install --require-hashes --only-binary :all: --requirement $(1)
	@$(PIP) install --no-deps --no-build-isolation --no-index --editable .
	@rm -f $(VENV)/.run-* $(VENV)/.test-*
endef

$(RUN_STAMP): requirements.lock pyproject.toml
	$(make_venv)
	$(call install_lock,requirements.lock)
	@touch $@

# The test lock holds all of the other one: `make run` has nothing left to install.
$(TEST_STAMP): requirements.lock requirements-test.lock pyproject.toml
	$(make_venv)
	$(call install_lock,requirements-test.lock)
	@touch $(RUN_STAMP) $@

# Spark comes as a source of 456 MB and nothing else: it is packed here, with what the test lock has brought. Where it
# cannot be had, the tests that compare the engines are skipped, and the next `make test` tries again.
$(SPARK_STAMP): requirements-spark.lock | $(TEST_STAMP)
	@echo 'Installing requirements-spark.lock …'
	@if $(PIP) install --no-deps --no-build-isolation --use-pep517 --require-hashes --requirement requirements-spark.lock; \
	  then touch $@; else echo 'make: Spark is not installed: the tests on it will be skipped' >&2; fi
