# Two commands set everything up: `make run` and `make test`. Both are safe to repeat, and quick the second time.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help shape tree run test check format lock loop soak torture pipeline promote mlflow bench

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

# A stamp a set of requirements: installed again only when its pins change.
$(VENV)/.app: requirements.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet -r requirements.txt
	touch $@

$(VENV)/.dev: requirements-dev.txt requirements-train.txt requirements.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet -r requirements-dev.txt
	touch $(VENV)/.app $@

run: $(VENV)/.app  ## start the app on port 7860 with the embedded model
	$(BIN)/python app.py

test: $(VENV)/.dev  ## run the tests
	$(BIN)/python -m pytest -n 2 --dist loadfile

check: $(VENV)/.dev  ## lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

soak: $(VENV)/.dev  ## 100,000 mixed requests to the running app: nothing may grow, fail or be left
	$(BIN)/python -m benchmarks.endurance.soak

torture: $(VENV)/.dev  ## try to lose feedback: 1,000 faults, 10,000 rows
	$(BIN)/python -m benchmarks.endurance.torture

shape: $(VENV)/.dev  ## the layout in numbers; fails where it outgrows its limits
	$(BIN)/python -m scripts.shape

tree: $(VENV)/.dev  ## renew docs/settings.md and docs/tree.md from the code
	$(BIN)/python -m scripts.docs

bench: $(VENV)/.dev  ## speed and size beside the peers, into benchmarks/RESULTS.md; one of them: make bench BENCH=serving
	$(BIN)/python -m benchmarks $(BENCH)

loop: $(VENV)/.dev  ## the whole loop against a hub on this machine, narrated
	$(BIN)/python -m demo $(LOOP)

pipeline: $(VENV)/.dev  ## data to model folder, by the stages of dvc.yaml that have changed
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/dvc repro

RUN ?= runs/pipeline/release
promote: $(VENV)/.dev  ## check a run and copy it to model/: make promote RUN=runs/mine
	$(BIN)/python -m train promote $(RUN)

# MLflow's UI wants other versions of packages than the app, so it has an environment of its own; its version is that
# of the library that keeps the record.
$(VENV)/mlflow/.done: requirements-train.txt | $(VENV)/bin/python
	$(PYTHON) -m venv $(VENV)/mlflow
	$(VENV)/mlflow/bin/python -m pip install --quiet $$(sed -n 's/^mlflow-skinny==/mlflow==/p' requirements-train.txt)
	touch $@

mlflow: $(VENV)/mlflow/.done  ## the record of all training runs, on http://localhost:5000
	mkdir -p runs
	MLFLOW_DISABLE_TELEMETRY=true $(VENV)/mlflow/bin/mlflow ui \
		--backend-store-uri "$${MLFLOW_TRACKING_URI:-sqlite:///runs/mlflow.db}"

format: $(VENV)/.dev  ## put the code into its format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Each file holds what its predecessor lacks. Without CUDA packages, which belong to one build of torch and come with
# it, and without the `+cpu` of another build.
COMPILE := $(BIN)/pip-compile --quiet --strip-extras --no-header --no-annotate --no-emit-options --output-file -
PORTABLE := sed -E '/^([^a-z-]|$$|nvidia-|cuda-|triton)/d; s/\+cpu$$//'

lock: | $(VENV)/bin/python  ## renew requirements*.txt from pyproject.toml
	$(BIN)/python -m pip install --quiet pip-tools
	$(COMPILE) pyproject.toml > requirements.tmp
	mv requirements.tmp requirements.txt
	(echo "-r requirements.txt"; $(COMPILE) --extra train -c requirements.txt pyproject.toml \
		| $(PORTABLE) | grep -vxFf requirements.txt) > requirements.tmp
	mv requirements.tmp requirements-train.txt
	(echo "-r requirements-train.txt"; $(COMPILE) --extra train --extra dev -c requirements.txt -c requirements-train.txt \
		pyproject.toml | $(PORTABLE) | grep -vxFf requirements.txt -f requirements-train.txt) > requirements.tmp
	mv requirements.tmp requirements-dev.txt
