# Everything runs from .venv, which any target makes when it is missing or out of date.
#   make demo [ARGS="--kills 50 --seed 3"]
#   make test [ARGS="-k supervision"]
# PYTHON picks the interpreter of a new environment, VENV its place:
#   make test PYTHON=python3.13 VENV=.venv-3.13

VENV ?= .venv
BIN := $(VENV)/bin
SOURCES := $(wildcard actorkit tests examples)

# The stamp's name is a digest of what was installed and where, so a second run costs nothing
# and a changed pin is noticed whatever the clock says.
STAMP := $(VENV)/.installed-$(firstword $(shell { pwd; cat pyproject.toml constraints.txt; } | cksum))

.DEFAULT_GOAL := help
.PHONY: help demo test lint types soak bench fmt clean venv

help:
	@sed -n 's/^\([a-z]*\): .*## /  make \1\t/p' Makefile

demo: $(STAMP) ## a crew of agents at work while they are killed at random
	@$(BIN)/actorkit demo $(ARGS)

test: $(STAMP) ## every quick test
	@$(BIN)/python -m pytest $(ARGS)

lint: $(STAMP) ## style, dead code, formatting
	@$(BIN)/ruff check --quiet $(SOURCES)
	@$(BIN)/ruff format --check $(SOURCES)

types: $(STAMP) ## mypy --strict and basedpyright over package, tests and examples
	@$(BIN)/mypy $(SOURCES)
	@$(BIN)/basedpyright --pythonpath $(BIN)/python

soak: $(STAMP) ## the tests that take minutes on purpose
	@$(BIN)/python -m pytest -m soak --timeout 3600 $(ARGS)

bench: $(STAMP) ## the benchmarks [ARGS="--vs erlang,pykka --json"]
	@$(BIN)/python -m tests.benchmarks $(ARGS)

fmt: $(STAMP) ## format, and fix what can be fixed
	@$(BIN)/ruff check --fix --quiet $(SOURCES)
	@$(BIN)/ruff format --quiet $(SOURCES)

clean: ## forget the environment and every cache
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage build dist
	find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +

venv: $(STAMP) ## only the environment

# Version managers leave launchers on PATH that fail when run, so every candidate is tried.
define choose_python
for python in $(or $(PYTHON),python3.11 python3.12 python3.13 python3.14 python3 python); do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
	chosen=$$python; \
	"$$python" -c 'import ensurepip, venv' 2>/dev/null && break; \
	chosen=; no_venv=$$python; \
done; \
if [ -z "$$chosen" ] && [ -n "$$no_venv" ]; then \
	echo "make: $$no_venv cannot make virtual environments; install the Debian package python3-venv" >&2; exit 1; \
elif [ -z "$$chosen" ]; then \
	echo "make: no $(or $(PYTHON),python) >= 3.11 that runs was found; install one, or name it: make PYTHON=/path/to/python3" >&2; exit 1; \
fi
endef

# An environment that was copied or whose interpreter is gone is made anew; any other is brought up to date.
$(STAMP):
	@set -e; \
	if ! $(BIN)/python -c '' 2>/dev/null || ! grep -qF "$(CURDIR)/" $(BIN)/pip 2>/dev/null; then \
		$(choose_python); \
		echo "make: creating $(VENV) with $$chosen"; \
		"$$chosen" -m venv --clear $(VENV); \
	fi
	@echo "make: installing into $(VENV)"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt hatchling editables
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt \
		--no-build-isolation -e '.[dev]'
	@rm -f $(VENV)/.installed-*
	@touch $@
