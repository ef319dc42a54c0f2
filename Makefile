# Set up, run, test and check streamfan. `make` alone lists what there is.

# The interpreter that .venv is made with; the newest suitable one unless given.
PYTHON ?=
# Passed on to the program that a target runs: make test ARGS="-k fan -x"
ARGS ?=
# How many processes run the tests, most of which wait; 0 for none but the first.
JOBS ?= 4

CANDIDATES := $(or $(PYTHON),python3.13 python3.12 python3.11 python3)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet install --constraint constraints.txt
READY := .venv/.stamp
# The tests of a file stay together, with the servers that they share; in this order the short ones come last.
PYTEST = $(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help demo setup test lint types layers docs guarantees plugins build clean python redis node tmux chromium nats

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(READY) ## one generation, live, to the terminal, a file, Redis and a webhook
	@$(BIN)/python examples/demo.py $(ARGS)

setup: $(READY) ## make .venv with everything in it

test: redis node tmux chromium $(READY) ## run the tests
	@$(PYTEST) $(ARGS)

lint: $(READY) ## style and formatting of the code, form of the changelog
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/towncrier build --draft --version next >/dev/null

types: $(READY) ## mypy, strict
	@$(BIN)/mypy

layers: $(READY) ## who may import whom
	@$(BIN)/lint-imports --no-logo

docs: $(READY) ## the pages that are made: of guarantees, sinks, and the command line
	@$(BIN)/python -m tests.support.guarantees
	@$(BIN)/python -m tests.support.reference

guarantees: redis $(READY) ## whether every test of a guarantee fails where nothing goes wrong
	@$(PYTEST) --quiet --without-faults -r f $(ARGS)

plugins: nats $(READY) ## each plugin as a stranger has it: wheels, an environment of its own, its tests
	@$(BIN)/python -m tests.support.plugins $(ARGS)

build: $(READY) ## the source distribution, and the wheel made from it, in dist/
	@$(BIN)/python -m build --no-isolation

clean: ## remove .venv and everything that can be made again
	rm -rf .venv .plugins build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# torch is a step of its own so that the long wait has a name.
$(READY): pyproject.toml constraints.txt
	@python=$$($(FIND_PYTHON)) || exit 1; \
	if ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
		echo "==> .venv with $$("$$python" --version)"; \
		"$$python" -m venv --clear .venv || exit 1; \
	fi
	@$(PIP) --upgrade pip
	@echo "==> torch (the first time this takes minutes)"
	@$(PIP) torch
	@echo "==> streamfan[all] and its tools"
	@$(PIP) --editable '.[all]' --group dev
	@touch $@
	@echo "==> .venv is ready; to use it at a shell: . .venv/bin/activate"

redis: # says which package has what the tests start, before minutes are spent on set-up
	@command -v redis-server >/dev/null || \
		{ echo "redis-server is missing, which the tests start. Try: apt-get install redis-server" >&2; exit 1; }

node: # the same for the example in JavaScript; npm fetches the client that it needs
	@command -v node >/dev/null && command -v npm >/dev/null || \
		{ echo "node or npm is missing, which the tests start. Try: apt-get install nodejs npm" >&2; exit 1; }

tmux: # the terminal that tests of the command line look at
	@command -v tmux >/dev/null || { echo "tmux is missing, which the tests start. Try: apt-get install tmux" >&2; exit 1; }

chromium: # the browser that looks at an example
	@command -v chromium >/dev/null || \
		{ echo "chromium is missing, which the tests start. Try: apt-get install chromium" >&2; exit 1; }

nats: # the server of a plugin; Debian keeps it where a user's PATH does not look
	@PATH="$$PATH:/usr/sbin" command -v nats-server >/dev/null || \
		{ echo "nats-server is missing, which a plugin's tests start. Try: apt-get install nats-server" >&2; exit 1; }

python: # prints the interpreter that set-up would use, or what to install
	@$(FIND_PYTHON)

# Each candidate is run, not only looked for: pyenv has a shim for every version, also for those that are switched off.
# Debian and Ubuntu package venv apart from Python.
define FIND_PYTHON
novenv=; \
for python in $(CANDIDATES); do \
	version=$$("$$python" -c 'import sys; print("%d.%d" % sys.version_info[:2]); sys.exit(sys.version_info < (3, 11))' \
		2>/dev/null) || continue; \
	if "$$python" -c 'import ensurepip, venv' 2>/dev/null; then command -v "$$python"; exit 0; fi; \
	novenv=$${novenv:-$$version}; \
done; \
if [ -n "$$novenv" ]; then \
	echo "Python $$novenv has no venv module. Try: apt-get install python$$novenv-venv" >&2; \
else \
	echo "No Python 3.11 or newer among: $(CANDIDATES)." \
		"Try: apt-get install python3 python3-venv, or make PYTHON=/path/to/python3.11" >&2; \
fi; \
exit 1
endef
