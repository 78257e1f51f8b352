# Every target is one line that calls a door. On a bare machine with python3 and make, the first
# target brings uv into .tools/ and everything else from uv.lock into .venv/.
SHELL := /bin/sh
UV := $(shell command -v uv 2>/dev/null || echo .tools/bin/uv)
RUN := $(UV) run --frozen --no-progress
PHASE ?= current

.DEFAULT_GOAL := help
.PHONY: help up down status gate budgets test lint fmt

help: ## what the targets do
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up: $(UV) ## start the platform in the foreground (PHASE=current); Ctrl-C stops it
	@$(RUN) python -m infra.local up --phase $(PHASE)

down: $(UV) ## stop the platform; data stays in .local/
	@$(RUN) python -m infra.local down

status: $(UV) ## each server with its pid, port, url and state
	@$(RUN) python -m infra.local status

gate: $(UV) ## judge a phase under load on this machine (PHASE=current): PASS, FAIL, INVALID or INCONCLUSIVE
	@$(RUN) python -m loadtests run --phase $(PHASE)

budgets: $(UV) ## instructions, statements, buffers and bytes of a request against loadtests/budgets (needs valgrind)
	@$(RUN) python -m loadtests budgets

test: lint ## lint, types, laws, the gate's own test and every test, on real servers
	@$(RUN) python -m loadtests selftest
	@$(RUN) python -m pytest -n 2

lint: $(UV) ## ruff, mypy strict, import laws
	@$(RUN) ruff check . && $(RUN) ruff format --check . && $(RUN) mypy && $(RUN) lint-imports --no-cache

fmt: $(UV) ## format and mend what ruff can mend
	@$(RUN) ruff format . && $(RUN) ruff check --fix .

.tools/bin/uv:
	@sh tools/get-uv
