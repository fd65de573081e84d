# `make demo` and `make test` each create the virtual environment and install what they need when missing.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# One fixed torch for everybody who compares numbers; give another with `make test TORCH=torch`. Segmenting needs none.
TORCH ?= torch==2.13.0

# Cases and seed of `make fuzz`; the ordinary tests try 200 of seed 0.
COUNT ?= 5000
SEED ?= 1

# The tests with the lowest versions of what pyproject.toml names itself; of torch the fixed one. Old libraries are warned
# of by the new ones that they stand on, which is not for us to mend.
LOWEST := $(VENV)-lowest

.PHONY: demo test fuzz lowest lint format docs package clean

demo: $(VENV)/.installed
	$(BIN)/pancascade segment examples/pancreatic_ct.nii.gz --out demo

test: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

fuzz: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 FUZZ_COUNT=$(COUNT) FUZZ_SEED=$(SEED) $(BIN)/python -m pytest tests/fuzz -q -n 2 --dist worksteal

lowest:
	$(PYTHON) -m venv --clear $(LOWEST)
	$(LOWEST)/bin/pip install --quiet --upgrade pip uv
	$(LOWEST)/bin/pip install --quiet "$(TORCH)"
	$(LOWEST)/bin/uv pip install --quiet --python $(LOWEST)/bin/python --resolution lowest-direct \
		"torch==$$($(LOWEST)/bin/python -W ignore -c 'import torch; print(torch.__version__)')" --editable ".[dev]"
	OMP_NUM_THREADS=1 $(LOWEST)/bin/python -m pytest -n 2 --dist loadfile -W ignore

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check src tests benchmarks examples docs/site .ci
	$(BIN)/ruff format --check src tests benchmarks examples docs/site .ci
	$(BIN)/mypy
	$(BIN)/lint-imports

# The site of the documentation, in build/site; a warning is an error.
docs: $(VENV)/.installed-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --site-dir build/site

# Wheel and sdist, looked into, installed in a fresh environment, and used there.
package: $(VENV)/.installed-dev
	$(BIN)/python .ci/check_package.py $(BIN)/python

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix src tests benchmarks examples docs/site .ci
	$(BIN)/ruff format src tests benchmarks examples docs/site .ci

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip

$(VENV)/.torch: | $(VENV)/bin/python
	$(BIN)/pip install --quiet "$(TORCH)"
	touch $@

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml
	$(BIN)/pip install --quiet --editable .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.torch pyproject.toml
	$(BIN)/pip install --quiet --editable ".[dev]"
	touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) $(LOWEST) build demo
