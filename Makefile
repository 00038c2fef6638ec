# Needs Python 3.11 or newer and make; everything else goes into .venv.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# LOCK=requirements.lock installs just the files that are listed there, with their hashes, as continuous integration does.
LOCK ?=
TOOLS := .tools/bin
comma := ,

.PHONY: quickstart test test-lowest lint docs reference notebooks bench install dist lock audit licences clean

quickstart: $(VENV)/.base
	$(BIN)/aftune quickstart

test: install lint
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadgroup

# The lowest versions that pyproject.toml allows of what it names, and a part of the tests. torch is that of constraints.txt, which
# has a build without CUDA; LOWEST_TORCH=.venv-lowest/lowest.txt takes the lowest too.
LOWEST := .venv-lowest
LOWEST_TORCH ?= constraints.txt
LOWEST_EXTRAS := math,peft,openai,hub
LOWEST_TESTS := tests/api tests/answers/test_equality.py tests/cli/test_begin.py tests/evaluation tests/losses \
  tests/models/test_adapters.py tests/models/test_loading.py tests/prompts tests/recipe tests/records tests/reporting/run \
  tests/sampling/transformers tests/tasks/test_jsonl.py tests/training/test_trainer.py

test-lowest: $(LOWEST)/.installed
	OMP_NUM_THREADS=1 $(LOWEST)/bin/pytest -n 2 --dist loadgroup $(LOWEST_TESTS)

$(LOWEST)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/pip install --quiet uv
	$(LOWEST)/bin/uv pip compile --quiet --no-deps --resolution lowest --no-header --no-annotate \
	  $(foreach extra,$(subst $(comma), ,$(LOWEST_EXTRAS)),--extra $(extra)) --output-file $(LOWEST)/lowest.txt pyproject.toml
	sed '/^torch==/d' $(LOWEST)/lowest.txt > $(LOWEST)/without-torch.txt
	$(LOWEST)/bin/pip install --quiet --constraint $(LOWEST_TORCH) torch
	$(LOWEST)/bin/pip install --quiet --constraint $(LOWEST)/without-torch.txt --editable '.[$(LOWEST_EXTRAS)]' \
	  'pytest>=9,<9.2' 'pytest-xdist>=3.6' 'hypothesis>=6.120'
	touch $@

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

# aftune and what it cannot do without; `install` adds all extras that tests and docs need.
$(VENV)/.base: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	@echo "Installing torch into $(VENV)"
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	@echo "Installing aftune and its libraries"
	$(BIN)/pip install --quiet --constraint constraints.txt --editable .
	touch $@

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt requirements.lock
	$(PYTHON) -m venv $(VENV)
	@echo "Installing torch into $(VENV)"
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	@echo "Installing aftune and what tests and docs need"
ifeq ($(LOCK),)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
else
	$(BIN)/pip install --quiet --no-deps --require-hashes --requirement $(LOCK)
	$(BIN)/pip install --quiet --no-deps --editable .
endif
	touch $@

# The source distribution, and the wheel that is made of it.
dist: $(TOOLS)
	$(TOOLS)/python -m build --outdir dist

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
	$(TOOLS)/pip install --quiet build pip-tools pip-audit pip-licenses

clean:
	rm -rf $(VENV) $(LOWEST) .tools build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
