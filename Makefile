# Two commands do everything on a fresh machine: `make demo` and `make test`. `make help` lists the rest.
# What they need and do not find (Python packages, npm packages, a browser and Slurm for the tests) they install.

PYTHON ?= python3
PORT ?= 8000
SERVE ?= 1
RUN := data/runs/demo
SITE := data/site

VENV := .venv
BIN := $(VENV)/bin
TOOLS := $(VENV)/tools
SOURCES := pipeline tests hatch_build.py

.DEFAULT_GOAL := help
.PHONY: help setup explorer wheel demo demo-model test test-python test-explorer lint format bench bench-stats bench-vocab measure measure-large screenshots audit pins browser slurm clean

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: $(VENV)/.done explorer/node_modules/.done ## the Python environment and the npm packages

# All but torch by the hashes of requirements.lock; which build of torch is to be had differs by machine (CONTRIBUTING.md).
# What another Python than 3.11 needs besides, the last line adds.
$(VENV)/.done: pyproject.toml constraints.txt requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
		{ echo "Python 3.11 to 3.13 is needed; give one with: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	@echo "installing the Python environment"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --no-deps --require-hashes --requirement requirements.lock
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-build-isolation --editable '.[dev]'
	@touch $@

explorer/node_modules/.done: explorer/package.json explorer/package-lock.json
	@command -v npm >/dev/null || { echo "Node.js 20 or newer with npm is needed (https://nodejs.org)"; exit 1; }
	@echo "installing the npm packages"
	@cd explorer && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

explorer: explorer/dist/index.html ## the built explorer

explorer/dist/index.html: explorer/node_modules/.done explorer/index.html explorer/vite.config.js $(shell find explorer/src -type f 2>/dev/null)
	@cd explorer && npm run --silent build

wheel: $(VENV)/.done explorer/dist/index.html ## dist/*.whl: the package with the explorer and the demo inside, for machines without Node.js
	@$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

demo: $(VENV)/.done explorer/dist/index.html ## run the demo end to end and serve it (SERVE=0 stops before, PORT=8000)
	@$(BIN)/flowatlas run model=demo dataset=demo run.dir=$(RUN) run.progress=true \
		vocab.store=true knockouts.store=true knockouts.sample=0.1
	@$(BIN)/flowatlas site $(RUN) --out $(SITE) --title 'flowatlas demo'
	@if [ '$(SERVE)' = 0 ]; then echo 'see it: $(BIN)/flowatlas serve $(SITE)'; \
		else $(BIN)/flowatlas serve $(SITE) --port $(PORT); fi

demo-model: $(VENV)/.done ## train the demo model again from its seed (about 20 minutes on one core)
	@$(BIN)/python -m demo.train --out data/models/demo

test: lint test-explorer test-python ## everything: linters, types, Python, JavaScript, browser

test-explorer: explorer/node_modules/.done
	@cd explorer && npm run --silent check && npm test --silent

# One process more than cores: tests wait for browsers and for processes of their own.
test-python: $(VENV)/.done explorer/dist/index.html browser slurm
	@$(BIN)/python -m pytest --numprocesses $$($(BIN)/python -c 'import os; print(1 + (os.cpu_count() or 1))') --dist loadfile

lint: $(VENV)/.done ## ruff and pyright
	@$(BIN)/ruff check $(SOURCES) && $(BIN)/ruff format --check $(SOURCES) && $(BIN)/pyright

format: $(VENV)/.done ## let ruff write the code
	@$(BIN)/ruff check --fix $(SOURCES); $(BIN)/ruff format $(SOURCES)

bench: $(VENV)/.done ## speed as a multiple of the bare forward pass, growth, memory, bytes per prompt
	@$(BIN)/python tests/measure_speed.py

bench-stats: $(VENV)/.done ## seconds and memory of the statistics over 10 million edges
	@PYTHONPATH=tests $(BIN)/python tests/measure_stats.py

bench-vocab: $(VENV)/.done ## seconds and memory of the vocabulary atlas of 36,864 neurons and 50,257 tokens
	@PYTHONPATH=tests $(BIN)/python tests/measure_vocab.py

measure: $(VENV)/.done explorer/dist/index.html browser ## what the page costs: first paint, bytes, clicks, frames; written into docs/explorer.md
	@$(BIN)/python tests/e2e/measure.py

measure-large: $(VENV)/.done explorer/dist/index.html browser ## a site of 100,000 prompts: what its pages fetch and take; written into docs/publishing.md
	@$(BIN)/python tests/e2e/measure_large.py

screenshots: $(VENV)/.done explorer/dist/index.html browser ## the pictures of README and docs/explorer.md
	@$(BIN)/python tests/e2e/screenshots.py

# Two online databases are asked. What could not be asked is said, and is a failure: nothing is then known of it.
audit: setup $(TOOLS)/.done ## known vulnerabilities of the pinned packages (needs a network)
	@$(BIN)/python tests/audit_packages.py $(TOOLS)/bin/pip-audit

pins: $(VENV)/.done $(TOOLS)/.done ## constraints.txt, from what is installed, and requirements.lock, with the hashes of the index
	@$(BIN)/python tests/pins.py $(TOOLS)/bin/uv

# In an environment of their own: they must not change the versions of what is tested.
$(TOOLS)/.done: Makefile $(VENV)/.done
	@$(BIN)/python -m venv $(TOOLS)
	@$(TOOLS)/bin/python -m pip install --quiet pip-audit==2.10.1 uv==0.13.9
	@touch $@

# Chromium and Firefox for the browser tests: those that are there, else Debian's where we may install them. Chromium is
# needed; without Firefox its few tests are left out, which is said.
browser:
	@there() { for name; do command -v $$name >/dev/null && return; done; return 1; }; wanted=; \
	there chromium chromium-browser google-chrome || wanted='chromium fonts-dejavu-core fonts-noto-color-emoji'; \
	there firefox-esr firefox || wanted="$$wanted firefox-esr"; \
	if test -n "$$wanted" && command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
		echo "installing $$wanted"; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$wanted >/dev/null; \
	fi; \
	there firefox-esr firefox || echo "THERE IS NO FIREFOX: its tests are left out (Debian: apt-get install firefox-esr)"; \
	there chromium chromium-browser google-chrome || \
		{ echo "the browser tests need Chromium: install it (Debian: apt-get install chromium fonts-noto-color-emoji)"; exit 1; }

# Slurm for the test that submits to a real one: the one that is there, else Debian's where we may install it. The test
# starts a cluster of its own, in a folder of its own. Where there is none to be had: make test FLOWATLAS_NO_SLURM=1
slurm:
	@export PATH="$$PATH:/usr/sbin"; test -n "$$FLOWATLAS_NO_SLURM" || { command -v slurmctld && command -v slurmd && command -v sbatch && command -v munged; } >/dev/null || { \
		if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
			echo "installing Slurm"; \
			apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
				slurmctld slurmd slurm-client munge >/dev/null; \
		else \
			echo "the cluster test needs Slurm: install it (Debian: apt-get install slurmctld slurmd slurm-client munge)," \
				"or leave the test out with FLOWATLAS_NO_SLURM=1"; exit 1; \
		fi; }

clean: ## remove everything that make made
	rm -rf $(VENV) explorer/node_modules explorer/dist dist $(RUN) $(SITE)
	find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +
