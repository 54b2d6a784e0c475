# `make` lists the targets. Everything runs in .venv, which `make install` (and `make test`) creates.
.DEFAULT_GOAL := help
.PHONY: help install test test-long test-pythons check lint audit advisories sbom format bench peer chaos hostile-viewers plots lock screenshots
SHELL := /bin/bash

PYTHON ?= python3
PY := .venv/bin/python
UV ?= uv
export PYTHONPATH := src

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: ## create .venv with the packages of both engines and the tests, and download the jars
	@python=$(PYTHON); if [ -x $(PY) ]; then python=$(PY); fi; $$python -m ventes.install --engine spark
	@$(MAKE) --no-print-directory .venv/.dev

.venv/.dev: requirements/dev.txt
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/dev.txt
	@touch $@

test: install ## run the tests, in two processes (ARGS="tests/unit -k verdict" selects some, in one)
ifeq ($(strip $(ARGS)),)
	$(PY) -m pytest -n 2 --dist worksteal
else
	$(PY) -m pytest $(ARGS)
endif

test-long: install ## run the tests that take minutes each, which make test does not run
	$(PY) -m pytest -m long $(ARGS)

test-pythons: install ## run the unit tests under Python 3.10 to 3.13, one after the other (ARGS="3.12 --there"; ARGS="--help")
	PYTHONPATH=src:. $(PY) -m harness.pythons $(ARGS)

check: lint audit ## all of lint, and audit

lint: install ## check style, types, imports between rooms, dead code; changes no file
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/vulture

audit: install ## ask OSV, or the copy, for known vulnerabilities of every wheel and jar; fails where neither answers
	@PYTHONPATH=src:. $(PY) -m supply_chain.audit

advisories: install ## fetch the copy of OSV's advisories, for audits without a network
	@PYTHONPATH=src:. $(PY) -m supply_chain.advisories

sbom: install ## write sbom.cdx.json: every wheel and jar with its hashes (CycloneDX)
	PYTHONPATH=src:. $(PY) -m supply_chain.sbom sbom.cdx.json

format: install ## fix style and imports with ruff
	.venv/bin/ruff check --fix
	.venv/bin/ruff format

bench: install ## measure both engines and the textbook job in one run (ARGS="--help")
	$(PY) bench/compare.py $(ARGS)

peer: install bench/.peer/.done ## measure Pathway beside the embedded engine, in an environment of its own (ARGS="--help")
	$(PY) bench/peer.py $(ARGS)

bench/.peer/.done: requirements/peer.txt
	$(PY) -m venv bench/.peer
	bench/.peer/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/peer.txt
	@touch $@

chaos: install ## inject random faults under load, repeatable by seed (ARGS="--seed 1 --minutes 5"; ARGS="--help")
	PYTHONPATH=src:. $(PY) -m harness.chaos $(ARGS)

hostile-viewers: install ## measure 45 viewers of the page beside 5 hostile ones (ARGS="--help")
	PYTHONPATH=src:. $(PY) -m harness.hostile_viewers $(ARGS)

plots: install ## draw the benchmark results (bench/results) as pictures in docs/bench
	$(PY) bench/plot.py $(ARGS)

screenshots: install ## make the pictures in docs/screenshots, from a separate pipeline
	$(PY) docs/screenshots/make.py $(ARGS)

lock: ## write requirements/*.txt from *.in, exact and hashed, for every Python from 3.10 on (needs uv)
	@command -v $(UV) >/dev/null || { echo "make lock needs uv: https://docs.astral.sh/uv/ (or UV=/path/to/uv)" >&2; exit 1; }
	@cd requirements && for name in base spark dev java peer; do \
	  $(UV) pip compile --quiet --universal --python-version 3.10 --fork-strategy fewest --generate-hashes \
	    --no-annotate --no-header --no-emit-index-url $$name.in -o $$name.txt || exit 1; done
