# The words that people and CI use. `make` alone lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help

UV_VERSION := 0.13.9
UV := $(shell command -v uv 2>/dev/null || echo .tools/uv/bin/uv)
RUN := $(UV) run --locked --no-sync
# The machine's own Python is used: nothing is downloaded but packages.
export UV_PYTHON_DOWNLOADS := never

.PHONY: help install demo up test lint format types contracts check docs check-coherence bench-cache bench-read bench-servers clean

help: ## List the commands
	@grep -hE '^[a-z%-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

.tools/uv/bin/uv:
	@echo "Installing uv $(UV_VERSION) into .tools/ …"
	@python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore \
		--target .tools/uv uv==$(UV_VERSION) 2>.tools-error.log \
		|| { cat .tools-error.log; rm -f .tools-error.log; exit 1; }
	@rm -f .tools-error.log

.venv/.installed: pyproject.toml uv.lock $(if $(findstring .tools,$(UV)),.tools/uv/bin/uv)
	@$(UV) sync --quiet --locked --compile-bytecode --python "$$(command -v python3)"
	@touch $@

install: .venv/.installed ## Install everything that is needed, locked, into .venv/

demo: install ## Play the main job on the embedded default and show its result
	@.venv/bin/balance-cache demo --with-parent

up: install ## Start everything on free ports, with Flower, until Ctrl-C
	@.venv/bin/balance-cache up --with-parent

# Each process has servers of its own; a file stays in one process. Much of the time is waiting for
# programs that a test has started, so two share even a small machine well.
AT_ONCE ?= 2
test: install ## Run the whole test suite (AT_ONCE=2 processes)
	@$(RUN) pytest --numprocesses $(AT_ONCE) --dist loadfile --no-loadscope-reorder

lint: install ## Formatting and lint rules
	@$(RUN) ruff format --check .
	@$(RUN) ruff check .

format: install ## Format the code
	@$(RUN) ruff format .
	@$(RUN) ruff check --fix .

types: install ## Strict type check
	@$(RUN) mypy

contracts: install ## Who may import whom
	@$(RUN) lint-imports --no-cache

check: lint types contracts test ## All that CI checks

N ?= 100000
check-coherence: install ## Search for a wrong balance in N random interleavings (N=1000000 SEED=7)
	@$(RUN) python -m tests.coherence --count $(N) $(if $(SEED),--seed $(SEED)) \
		$(if $(AGAIN),--run '$(AGAIN)')

bench-cache: install ## Measure the cache beside raw MGET, cashews and aiocache
	@$(UV) run --locked --group bench python -m benchmarks.cache
	@$(RUN) python -m benchmarks.read_report

check-kills: install ## Kill, restart and pause everything while users go on (N=100 SEED=7 BROKER=rabbitmq)
	@$(RUN) python -m tests.storms.kills --count $(if $(filter command line,$(origin N)),$(N),100) \
		$(if $(SEED),--seed $(SEED)) $(if $(BROKER),--broker $(BROKER))

bench-read: install ## Measure the read path beside static bytes, raw Redis, cashews and fastapi-cache
	@$(UV) run --locked --group bench python -m benchmarks.read

bench-servers: install ## Measure servers, frameworks and clients of Redis beside each other
	@$(UV) run --locked --group bench python -m benchmarks.servers

bench-%: install ## Measure one thing, for example `make bench-provider`
	@$(RUN) python -m benchmarks.$*
	@$(RUN) python -m benchmarks.read_report

docs: install ## Write the documents that are made from the program and from what was measured
	@$(RUN) python -m config.reference > docs/configuration.md
	@$(RUN) python -m telemetry.reference > docs/metrics.md
	@$(RUN) python -m benchmarks.read_report

clean: ## Remove what the commands above installed
	rm -rf .venv .tools .mypy_cache .ruff_cache .pytest_cache .hypothesis
