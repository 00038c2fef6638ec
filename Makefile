# Needs Python 3.11 or newer and make; everything else goes into .venv.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# LOCK=requirements.lock installs just the files that are listed there, with their hashes, as continuous integration does.
LOCK ?=
TOOLS := .tools/bin

.PHONY: quickstart test lint docs reference notebooks bench install lock audit licences clean

quickstart: install
	$(BIN)/aftune quickstart

test: install lint
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadgroup

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The documentation as a site, in build/site; fails at a broken link, anchor or page that no menu has.
docs: install
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# The pages of docs/reference that follow from the code: every key of a recipe, every command, every recipe of aftune's.
reference: install
	$(BIN)/python scripts/make_reference.py

# The tutorials, run, with what they print.
notebooks: install
	$(BIN)/python scripts/run_notebooks.py

bench: install
	$(BIN)/python benchmarks/guard.py

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt requirements.lock
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt torch
ifeq ($(LOCK),)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
else
	$(BIN)/pip install --quiet --no-deps --require-hashes --requirement $(LOCK)
	$(BIN)/pip install --quiet --no-deps --editable .
endif
	touch $@

# Exact versions and hashes of everything in the extra dev, from the ranges of pyproject.toml and the versions of constraints.txt.
lock: $(TOOLS)
	$(TOOLS)/pip-compile --quiet --generate-hashes --extra dev --constraint constraints.txt --unsafe-package torch \
	  --unsafe-package aftune --strip-extras --no-header --no-emit-index-url --no-emit-find-links --no-annotate --upgrade \
	  --output-file requirements.lock pyproject.toml
	sed -i '/^# \(WARNING\|The following packages\|pinned when\|satisfied by\|aftune\|torch\)/d' requirements.lock

# Known vulnerabilities of what the lock names; asks the package index, so not a part of the tests.
audit: $(TOOLS)
	$(TOOLS)/pip-audit --require-hashes --disable-pip --requirement requirements.lock

# The table of licences in docs/licences.md.
licences: $(TOOLS) install
	$(TOOLS)/pip-licenses --python=$(BIN)/python --format=markdown --with-urls --ignore-packages aftune > docs/licences.md

$(TOOLS):
	$(PYTHON) -m venv .tools
	$(TOOLS)/pip install --quiet pip-tools pip-audit pip-licenses

clean:
	rm -rf $(VENV) .tools build .pytest_cache .mypy_cache .ruff_cache .hypothesis
