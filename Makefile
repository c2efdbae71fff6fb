# `make help` lists the targets.

PYTHON ?= python3
# More arguments for pytest, for example: make test PYTEST_ARGS="-n 2 -k tile"
PYTEST_ARGS ?=
# And for the benchmark, for example: make bench BENCH_ARGS="--only lstm-1"
BENCH_ARGS ?=

venv := .venv
python := $(venv)/bin/python
pip := $(python) -m pip --disable-pip-version-check --no-input
kernel := $(wildcard runtime/anacc_runtime/kernel/*.c runtime/anacc_runtime/kernel/*.h)

# Of test-neon and test-sanitizers: how many cases are generated, and from which seed.
CASES ?= 300
SEED ?= 1
aarch64 := aarch64-linux-gnu-gcc
sanitize := -g -fsanitize=address,undefined -fno-sanitize-recover=all

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help venv demo bench test test-all test-neon test-sanitizers lint format coverage clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-15s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo 'PYTHON=python3.12 chooses the Python that .venv is made with (3.11 or newer).'
	@echo 'PYTEST_ARGS="-n 2 -k tile" is passed on to pytest.'
	@echo 'BENCH_ARGS="--quick --only lstm-1" is passed on to the benchmark.'

venv: $(venv)/runtime.stamp $(venv)/dev.stamp ## make .venv: anacc, its dependencies and the development tools

demo: $(venv)/runtime.stamp ## install anacc and run models/demo.py
	@$(python) models/demo.py

bench: $(venv)/runtime.stamp ## measure anacc beside other engines, see docs/performance.md
	$(python) -m bench $(BENCH_ARGS)

test: venv lint ## install, then ruff, mypy and all tests but the slow ones
	$(python) -m pytest -m "not slow" --durations=20 $(PYTEST_ARGS)

test-all: venv lint ## the same, with the slow tests
	$(python) -m pytest --durations=20 $(PYTEST_ARGS)

test-neon: ## the C kernel for AArch64, with a cross compiler and an emulator
	@command -v qemu-aarch64 >/dev/null && echo 'int main(void) { return 0; }' | $(aarch64) -x c -o /dev/null - 2>/dev/null || { echo 'make test-neon needs the Debian packages gcc-aarch64-linux-gnu, libc6-dev-arm64-cross and qemu-user.' >&2; exit 1; }
	@$(MAKE) --no-print-directory -j2 -C tests/kernel CC=$(aarch64) LDFLAGS=-static BUILD=$(CURDIR)/build/neon
	qemu-aarch64 build/neon/kernel_test $(CASES) $(SEED)

# Python does not know of the sanitizers, so that their library must be loaded first; -S, lest the
# kernel of the editable installation comes before the one that is installed here.
test-sanitizers: venv ## the C kernel and the tests of the runtime, with GCC's sanitizers
	@$(MAKE) --no-print-directory -j2 -C tests/kernel CC=gcc CFLAGS='-O0 $(sanitize)' BUILD=$(CURDIR)/build/sanitizers/kernel
	build/sanitizers/kernel/kernel_test $(CASES) $(SEED)
	rm -rf build/sanitizers/python
	CC=gcc CFLAGS='$(sanitize)' $(pip) install --quiet --no-deps -C cmake.define.ANACC_OPTIMISATION=-O0 --target build/sanitizers/python .
	ASAN_OPTIONS=detect_leaks=0 LD_PRELOAD=$$(gcc -print-file-name=libasan.so) \
		PYTHONPATH=build/sanitizers/python:$$($(python) -c 'import sysconfig; print(sysconfig.get_path("purelib"))') \
		$(python) -S -m pytest -m "not slow" tests/runtime tests/kernel $(PYTEST_ARGS)

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
	find anacc passes backends runtime bench tests models -name __pycache__ -prune -exec rm -rf {} +

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
