# Two commands for a machine with nothing but Python 3.11 or newer and make:
#   make demo    simulates a scan, reconstructs it, writes images and a report to demo/
#   make test    every check that a change must pass
# A third, make test-oracles, compares with what other programs compute.

PYTHON ?= python3
VENV ?= .venv
ORACLES_VENV ?= .venv-oracles
DEMO ?= demo
WORKERS ?= 2

BIN := $(VENV)/bin
PIP = $(@D)/bin/python -m pip --disable-pip-version-check
PINNED := pyproject.toml constraints.txt
ORACLES := tests/oracles/requirements.txt

.PHONY: help demo test test-oracles format clean
.DELETE_ON_ERROR:

help:
	@echo "make demo          install into $(VENV), simulate a scan, reconstruct it: images and a report in $(DEMO)/"
	@echo "make test          install into $(VENV), run every check: ruff, mypy, import-linter, pytest, packaging"
	@echo "make test-oracles  install other programs (some GPL or AGPL) into $(ORACLES_VENV), compare with them: .seq files, echoes"
	@echo "make format        let ruff put the code into shape"
	@echo "make clean         remove the environments, the demo and every cache"
	@echo "Another interpreter: make demo PYTHON=python3.12"

demo: $(VENV)/.installed
	$(BIN)/knerve demo --out $(DEMO)

test: $(VENV)/.installed-for-tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	OMP_NUM_THREADS=1 $(BIN)/pytest -n $(WORKERS) --dist loadgroup --durations=10

test-oracles: $(ORACLES_VENV)/.installed-with-oracles
	@command -v bart >/dev/null || echo "BART is missing and its tests will fail. Install it; on Debian: apt-get install bart" >&2
	ORACLES=required OMP_NUM_THREADS=1 $(ORACLES_VENV)/bin/pytest --durations=5 tests/oracles

format: $(VENV)/.installed-for-tests
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# A stamp, not bin/python: a creation that failed halfway starts anew.
%/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "knerve needs Python 3.11 or newer, but '$(PYTHON) --version' says: $$($(PYTHON) --version 2>&1)." >&2; \
	  echo "Install a newer one and name it, for example: make demo PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(@D)
	$(PIP) install --upgrade pip
	@touch $@

$(VENV)/.installed: $(VENV)/.created $(PINNED)
	$(PIP) install -c constraints.txt -e .
	@touch $@

$(VENV)/.installed-for-tests: $(VENV)/.created $(PINNED)
	$(PIP) install -c constraints.txt -e ".[test]"
	@touch $(VENV)/.installed $@

$(ORACLES_VENV)/.installed-with-oracles: $(ORACLES_VENV)/.created $(PINNED) $(ORACLES)
	$(PIP) install -c constraints.txt -e . pytest
	$(PIP) install --no-deps -r $(ORACLES)
	@touch $@

clean:
	rm -rf $(VENV) $(ORACLES_VENV) $(DEMO) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
