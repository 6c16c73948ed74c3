# Every target makes its own virtual environment in .venv; nothing but a Python 3.10-3.13 and make is needed beforehand.
.DELETE_ON_ERROR:
.PHONY: demo test fuzz lint bench bench-kernels bench-operations clean

# The first of these that starts, is of a supported version and can make virtual environments (pyenv leaves shims that do not start).
PYTHON ?= $(shell for p in python3.12 python3.11 python3.13 python3.10 python3 python; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info[:2] < (3, 14))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
RUN := $(VENV)/bin/python
ARGS ?=
# Interpreters that have peers to be measured (make bench), and an instruction set to be tested instead of the machine's own: avx2, sse2.
PEERS ?=
TARGET ?=
FUZZ ?= 10

demo: $(VENV)/.core
	$(RUN) -m graphflow demo $(ARGS)

test: $(VENV)/.test
	GRAPHFLOW_TARGET="$(TARGET)" $(RUN) -m pytest -m "not slow" $(ARGS)

# The property tests with FUZZ times as many cases, drawn anew each time.
fuzz: $(VENV)/.test
	FUZZ="$(FUZZ)" GRAPHFLOW_TARGET="$(TARGET)" $(RUN) -m pytest -m hypothesis $(ARGS)

lint: $(VENV)/.lint $(VENV)/.test
	$(RUN) -m ruff check .
	$(RUN) -m mypy
	$(RUN) -m pytest -q tests/test_layering.py

bench: $(VENV)/.core
	PEERS="$(PEERS)" $(RUN) -m benchmarks.run $(ARGS)

bench-kernels: $(VENV)/.core
	PEERS="$(PEERS)" OPENBLAS_NUM_THREADS=1 $(RUN) -m benchmarks.kernels $(ARGS)

bench-operations: $(VENV)/.core
	PEERS="$(PEERS)" $(RUN) -m benchmarks.operations $(ARGS)

clean:
	rm -rf $(VENV) build *.egg-info graphflow-dump .pytest_cache .mypy_cache .ruff_cache

$(RUN):
	@test -n "$(PYTHON)" || { echo "graphflow needs Python 3.10 to 3.13 with the venv module; none was found. Say where: make PYTHON=/path/to/python3" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.core: $(RUN) setup.cfg pyproject.toml
	$(RUN) -m pip install -q --disable-pip-version-check -e .
	@touch $@

$(VENV)/.test: $(VENV)/.core
	$(RUN) -m pip install -q --disable-pip-version-check -e '.[test]'
	@touch $@

$(VENV)/.lint: $(VENV)/.core
	$(RUN) -m pip install -q --disable-pip-version-check -e '.[lint]'
	@touch $@
