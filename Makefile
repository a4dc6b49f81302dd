# plumbline: `make help` lists the targets.
# make ends with 2 when a recipe fails, whatever its exit code: see docs/orchestration.md.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3.11
VENV := .venv
READY := $(VENV)/.ready
EXTRAS := --extra dev --extra s3 --extra postgres --python-version 3.11 --no-header --no-annotate
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
# uv does not read pip's settings: hand on where local wheels lie (a CPU build of torch, say).
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help env repro serve flow ui deploy deploy-down stack stack-down test lint bench soak lock clean sample

help: ## this list (`plumbline --help` lists the commands of the program)
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

env: $(READY) ## the environment in .venv, every package as pinned

$(READY): requirements.lock requirements-cuda.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) not found: install Python 3.11, or name it: make PYTHON=…" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check uv==$$(sed -n 's/^uv==//p' requirements.lock)
	$(VENV)/bin/uv pip install --quiet --python $(VENV)/bin/python --compile-bytecode -r requirements.lock -c requirements-cuda.lock
	$(VENV)/bin/uv pip install --quiet --python $(VENV)/bin/python --no-deps --no-build-isolation -e .
	@touch $@

data: | $(READY)
	dvc pull --quiet data.dvc

repro: $(READY) | data ## run what has changed of the graph, then show the results
	@plumbline repro

serve: $(READY) ## the champion behind REST; ARGS="--port 8001" and others
	@plumbline serve $(ARGS)

flow: $(READY) ## the same as one Prefect flow run; ARGS="evaluate --force" for a part
	@python -m pipelines.dev_servers flow $(ARGS)

ui: $(READY) ## MLflow and Prefect in the browser, on 127.0.0.1
	@python -m pipelines.dev_servers ui

deploy: $(READY) ## Prefect server, worker and weekly training (prefect.yaml), on 127.0.0.1
	@python -m pipelines.dev_servers deploy

deploy-down: $(READY) ## end what deploy and ui started
	@python -m pipelines.dev_servers deploy-down

stack: $(READY) ## PostgreSQL, object store, MLflow, Prefect, worker and service, on 127.0.0.1
	uv pip install --quiet --python python -r requirements-stack.lock -c requirements.lock
	@python -m pipelines.stack

stack-down: deploy-down ## end what stack started

test: $(READY) | data ## every test that needs no GPU, after lint
	$(MAKE) --no-print-directory lint
	pytest -q -n 2 --dist loadfile --no-loadscope-reorder --max-worker-restart 0

lint: $(READY) ## ruff, mypy, import contracts, declared dependencies
	ruff check .
	ruff format --check .
	mypy
	lint-imports
	deptry src pipelines
	deptry tests benchmarks --ignore DEP002,DEP004

soak: $(READY) | data ## the random tests (kills, fuzz, simulations) in full numbers; long
	pytest -q -m soak
	pytest -q tests/unit tests/contract tests/behaviour --hypothesis-profile random

bench: $(READY) | data ## every published figure beside its peers, into docs/benchmarks.md
	uv pip install --quiet --python python -r requirements-bench.lock -c requirements.lock
	python -m benchmarks

sample: $(READY) | data ## for maintainers: dvc.lock and the outputs that `dvc pull` brings
	plumbline repro
	dvc push --remote sample
	dvc gc --workspace --all-experiments --cloud --remote sample --force
	git add --force dvc.lock infra/dvc-remote

clean: ## delete what the graph made (not the data, not the environment)
	rm -rf artifacts reports .plumbline mlflow

lock: ## renew the requirements locks from pyproject.toml
	rm -f requirements.lock
	uv pip compile -q pyproject.toml $(EXTRAS) -o requirements.lock
	sed -i 's/^\(torch==[0-9.]*\)+cpu/\1/' requirements.lock
	env -u UV_FIND_LINKS uv pip compile -q pyproject.toml $(EXTRAS) -c requirements.lock -o .cuda.lock
	grep -vxFf requirements.lock .cuda.lock > requirements-cuda.lock; rm .cuda.lock
	uv pip compile -q pyproject.toml --extra bench $(EXTRAS) -c requirements.lock -o .bench.lock
	sed -i 's/^\(torch==[0-9.]*\)+cpu/\1/' .bench.lock
	grep -vxFf requirements.lock .bench.lock > requirements-bench.lock; rm .bench.lock
	uv pip compile -q pyproject.toml --extra stack $(EXTRAS) -c requirements.lock -o .stack.lock
	sed -i 's/^\(torch==[0-9.]*\)+cpu/\1/' .stack.lock
	cat requirements.lock requirements-cuda.lock | grep -vxFf - .stack.lock > requirements-stack.lock; rm .stack.lock
