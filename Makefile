SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PROJECTS := client/pyproject.toml serving/pyproject.toml training/pyproject.toml
INSTALLED := $(VENV)/.installed

# what `demo` takes
ONCE ?=
DEMO_FLAGS ?=

# what `train`, `evaluate` and `export` take
DATA ?=
WEIGHTS ?=
PRESET ?= droids
RUN ?= runs/droids
MODEL ?= models/droids

.PHONY: help setup demo train evaluate export data-named test check wire clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(INSTALLED) ## make .venv with everything in it

$(INSTALLED): constraints.txt requirements-dev.txt $(PROJECTS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	  || { echo "Sightline needs Python 3.11 or newer; found: $$($(PYTHON) --version 2>&1). Name one with make PYTHON=..." >&2; exit 1; }
	@echo "Setting up $(VENV) with $$($(PYTHON) --version) (about 600 MB to fetch, most of it TensorFlow) ..."
	@$(PYTHON) -m venv $(VENV) \
	  || { echo "$(PYTHON) has no venv module; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
	  -e client -e 'serving[model-server,tracing]' -e training -r requirements-dev.txt
	@touch $@

demo: $(INSTALLED) ## draw droids, train, serve and ask: the whole chain (ONCE=1 ends after the answer)
	@$(BIN)/python demo.py $(if $(ONCE),--once) $(DEMO_FLAGS)

train: data-named $(INSTALLED) ## train on your pictures: DATA=folder [WEIGHTS=file] [PRESET=droids] [RUN=runs/droids]
	@$(BIN)/sightline-train fit --data "$(DATA)" --out "$(RUN)" --preset "$(PRESET)" \
	  $(if $(WEIGHTS),--weights "$(WEIGHTS)") $(if $(wildcard $(RUN)/run.json),--resume)

evaluate: data-named $(INSTALLED) ## measure the run on pictures that it was not trained on: DATA=folder [RUN=runs/droids]
	@$(BIN)/sightline-train evaluate "$(RUN)" --data "$(DATA)" --report "$(RUN)/report"

export: data-named $(INSTALLED) ## write the run's next version: DATA=folder [RUN=runs/droids] [MODEL=models/droids]
	@$(BIN)/sightline-train export "$(RUN)" "$(MODEL)" --data "$(DATA)" --next

data-named:
	@test -n "$(DATA)" || { echo "Name the folder of labelled pictures: make $(MAKECMDGOALS) DATA=folder" >&2; exit 2; }

test: $(INSTALLED) ## run all tests but the slow ones
	@$(BIN)/python -m pytest -m "not slow"

check: $(INSTALLED) ## lint, format, types, import arrows
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

# The generator is older than the runtime on purpose: code made by it runs on protobuf 6.31 and newer.
wire: ## make the protobuf code anew
	@$(PYTHON) -m venv --clear build/wire && build/wire/bin/pip install --quiet grpcio-tools==1.75.1 setuptools
	@build/wire/bin/python -m grpc_tools.protoc -I client --python_out=client --pyi_out=client \
	  client/sightline/wire/serving.proto
	@build/wire/bin/python -m grpc_tools.protoc -I serving --python_out=serving --pyi_out=serving \
	  serving/sightline_serving/model_server/wire/serving_config.proto

-include bench/targets.mk docker/targets.mk k8s/targets.mk

clean: ## remove .venv, caches and what the demo made
	@rm -rf $(VENV) build .mypy_cache .pytest_cache .ruff_cache
