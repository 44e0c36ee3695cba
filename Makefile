# make check: style, types, layers.  make test: the quick tests.  make test-all: all of them, with coverage.  make fix: style.
PYTHON ?= .venv/bin/python

.PHONY: check fix test test-all

check:
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m ruff check .
	$(PYTHON) -m mypy
	$(dir $(PYTHON))lint-imports

fix:
	$(PYTHON) -m ruff format .
	$(PYTHON) -m ruff check --fix .

test:
	$(PYTHON) -m pytest -n 2

test-all:
	$(PYTHON) -m pytest -n 2 -m "slow or not slow" --cov --cov-report=term --cov-fail-under=90
