# Two commands for a machine with nothing but Python 3.11 or newer and make:
#   make demo    simulates a scan, reconstructs it, writes images and a report to demo/
#   make test    every check that a change must pass

PYTHON ?= python3
VENV ?= .venv
DEMO ?= demo
WORKERS ?= 2

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
PINNED := pyproject.toml constraints.txt

.PHONY: help demo test format clean
.DELETE_ON_ERROR:

help:
	@echo "make demo     install into $(VENV), simulate a scan, reconstruct it: images and a report in $(DEMO)/"
	@echo "make test     install into $(VENV), run every check: ruff, mypy, import-linter, pytest, packaging"
	@echo "make format   let ruff put the code into shape"
	@echo "make clean    remove the environment, the demo and every cache"
	@echo "Another interpreter: make demo PYTHON=python3.12"

demo: $(VENV)/.installed
	$(BIN)/knerve demo --out $(DEMO)

test: $(VENV)/.installed-for-tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	OMP_NUM_THREADS=1 $(BIN)/pytest -n $(WORKERS) --dist loadgroup --durations=10

format: $(VENV)/.installed-for-tests
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# A stamp, not bin/python: a creation that failed halfway starts anew.
$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "knerve needs Python 3.11 or newer, but '$(PYTHON) --version' says: $$($(PYTHON) --version 2>&1)." >&2; \
	  echo "Install a newer one and name it, for example: make demo PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --upgrade pip
	@touch $@

$(VENV)/.installed: $(VENV)/.created $(PINNED)
	$(PIP) install -c constraints.txt -e .
	@touch $@

$(VENV)/.installed-for-tests: $(VENV)/.created $(PINNED)
	$(PIP) install -c constraints.txt -e ".[test]"
	@touch $(VENV)/.installed $@

clean:
	rm -rf $(VENV) $(DEMO) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
