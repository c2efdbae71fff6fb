# `make help` lists the targets.

PYTHON ?= python3
# More arguments for pytest, for example: make test PYTEST_ARGS="-n 2 -k tile"
PYTEST_ARGS ?=

venv := .venv
python := $(venv)/bin/python
pip := $(python) -m pip --disable-pip-version-check --no-input
kernel := $(wildcard runtime/anacc_runtime/kernel/*.c runtime/anacc_runtime/kernel/*.h)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help venv demo test test-all lint format coverage clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo 'PYTHON=python3.12 chooses the Python that .venv is made with (3.11 or newer).'
	@echo 'PYTEST_ARGS="-n 2 -k tile" is passed on to pytest.'

venv: $(venv)/runtime.stamp $(venv)/dev.stamp ## make .venv: anacc, its dependencies and the development tools

demo: $(venv)/runtime.stamp ## install anacc and run models/demo.py
	@$(python) models/demo.py

test: venv lint ## install, then ruff, mypy and all tests but the slow ones
	$(python) -m pytest -m "not slow" --durations=20 $(PYTEST_ARGS)

test-all: venv lint ## the same, with the slow tests
	$(python) -m pytest --durations=20 $(PYTEST_ARGS)

lint: venv ## ruff and mypy
	$(python) -m ruff check .
	$(python) -m ruff format --check .
	$(python) -m mypy

format: venv ## let ruff sort imports and format the code
	$(python) -m ruff check --select I --fix .
	$(python) -m ruff format .

coverage: venv ## all tests but the slow ones, and the lines that they do not reach
	$(python) -m pytest -m "not slow" --cov --cov-report=term-missing $(PYTEST_ARGS)

clean: ## remove .venv, build results and caches
	rm -rf $(venv) build dist htmlcov .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find anacc passes backends runtime tests models -name __pycache__ -prune -exec rm -rf {} +

# Dependency groups need pip 25.1.
$(venv)/pip.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo 'anacc needs Python 3.11 or newer, which `$(PYTHON)` is not: name one with `make PYTHON=python3.12`.' >&2; exit 1; }
	$(PYTHON) -m venv $(venv)
	$(pip) install --quiet 'pip>=25.1'
	@touch $@

# Editable, so that edited Python and TOML files count at once and coverage and tracebacks name the
# files of the checkout. The kernel is compiled here: this stamp builds it again when a C file changes.
$(venv)/runtime.stamp: pyproject.toml CMakeLists.txt $(kernel) | $(venv)/pip.stamp
	$(pip) install --quiet --editable .
	@touch $@

$(venv)/dev.stamp: pyproject.toml | $(venv)/runtime.stamp
	$(pip) install --quiet --group dev
	@touch $@
