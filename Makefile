# Everything happens in an environment of its own; python3 (3.11 or later), a C compiler and make
# are all that has to be there.

PYTHON  ?= python3
PROFILE ?= ci
VENV    := .venv
BIN     := $(VENV)/bin
STAMP   := $(VENV)/.installed
SOURCES := pyproject.toml $(wildcard impl/*.pyx impl/*.pxd impl/*.h) \
           $(wildcard conformance/trap/*.pyx conformance/trap/*.[ch])

.PHONY: check test test-all lint types prove edits conform vectors bench docs docs-check doors kept fmt clean

check: $(STAMP)        ## the main job: prove, conform and bench on this machine's memory map
	$(BIN)/svsm-conformance --profile $(PROFILE)

test: $(STAMP) lint types docs-check    ## lint, types, generated docs and the tests
	$(BIN)/python -m pytest --numprocesses auto -m "not slow"

test-all: $(STAMP) lint types docs-check    ## the same, and the tests that take minutes
	$(BIN)/python -m pytest --numprocesses auto

$(STAMP): $(SOURCES)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

prove: $(STAMP)        ## the proof matrix with all three solvers
	$(BIN)/svsm-conformance prove --profile ci

edits: $(STAMP)        ## single edits to the rules, and which of them the proofs notice
	$(BIN)/svsm-conformance prove --profile quick --edits

conform: $(STAMP)      ## make conform DEVICE=module:Class
	$(BIN)/svsm-conformance conform --profile ci $(if $(DEVICE),--device $(DEVICE))

vectors: $(STAMP)      ## the vectors, into ./vectors
	$(BIN)/svsm-conformance vectors fill vectors

bench: $(STAMP)        ## pytest-benchmark suites
	$(BIN)/python -m pytest benchmarks --benchmark-enable --benchmark-only

docs: $(STAMP)         ## the rules' pages, generated
	$(BIN)/python -m conformance.docs docs/rules
	$(BIN)/python -m conformance.schema conformance/schemas

docs-check: $(STAMP)
	$(BIN)/python -m conformance.docs --check docs/rules
	$(BIN)/python -m conformance.schema --check conformance/schemas

doors: $(STAMP)        ## the ways to each case that are kept in conformance/data
	$(BIN)/python -m conformance.door_file
	$(BIN)/python -m conformance.protocol.doors

kept: $(STAMP)         ## values and premises that shorten proofs, in spec/prove; ten minutes
	$(BIN)/python -m spec.prove.kept_file

fmt: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
