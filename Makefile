# Two commands set everything up: `make run` and `make test`. Both are safe to repeat, and quick the second time.
VENV ?= .venv
BIN := $(VENV)/bin
# The environment's own Python if it is new enough, else the first one on the PATH that is.
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for each in $(BIN)/python python3 python3.13 python3.12 python3.11; do \
	"$$each" -c '$(NEW_ENOUGH)' 2>/dev/null && { echo $$each; break; }; done || true)
PYTHON_VERSION := $(shell "$(or $(PYTHON),python3)" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)

.DEFAULT_GOAL := help
.PHONY: help shape tree run test test-quick check format lock loop soak torture hostile pipeline promote mlflow bench wheel sbom

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

# Made anew when the version of Python has changed.
PYTHON_STAMP := $(VENV)/.python-$(or $(PYTHON_VERSION),missing)
$(PYTHON_STAMP):
	@"$(or $(PYTHON),python3)" -c '$(NEW_ENOUGH)' 2>/dev/null || { \
		echo "Python 3.11 or newer is needed; $(or $(PYTHON),python3) is $(or $(PYTHON_VERSION),missing)." \
			"Install it, then name it: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 2; }
	@if [ "$$($(BIN)/python -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" != "$(PYTHON_VERSION)" ]; \
	then "$(PYTHON)" -m venv --clear $(VENV) && $(BIN)/python -m pip install --quiet --upgrade pip; fi
	@touch $@

# A stamp for each set of requirements: installed again only when its pins change, or the environment is made anew.
$(VENV)/.app: requirements.txt $(PYTHON_STAMP)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.txt
	touch $@

$(VENV)/.dev: requirements-dev.txt requirements-train.txt requirements.txt $(PYTHON_STAMP)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.txt
	$(BIN)/python -m pip install --quiet -r requirements-dev.txt
	touch $(VENV)/.app $@

run: $(VENV)/.app  ## start the app on port 7860 with the embedded model
	$(BIN)/python app.py

test: $(VENV)/.dev  ## run the tests
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-quick: $(VENV)/.dev  ## run the tests that need neither torch nor a browser nor much time
	$(BIN)/python -m pytest -n 2 --dist loadfile -m 'not slow and not browser and not train' --ignore tests/train --ignore tests/demo

check: $(VENV)/.dev  ## lint, format, types, layers and dependencies
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/deptry .

soak: $(VENV)/.dev  ## 100,000 mixed requests to the running app: nothing may grow, fail or be left
	$(BIN)/python -m benchmarks.endurance.soak

torture: $(VENV)/.dev  ## try to lose feedback: 1,000 faults, 10,000 rows, 40 power cuts
	$(BIN)/python -m benchmarks.endurance.torture

shape: $(VENV)/.dev  ## the layout in numbers; fails where it outgrows its limits
	$(BIN)/python -m scripts.shape

tree: $(VENV)/.dev  ## renew docs/settings.md and docs/tree.md from the code
	$(BIN)/python -m scripts.docs

hostile: $(VENV)/.dev  ## attack the running app: hostile files, slow servers, floods; fails above the goals
	$(BIN)/python -m benchmarks.endurance.hostile $(HOSTILE)

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
$(VENV)/mlflow/.done: requirements-train.txt $(PYTHON_STAMP)
	$(BIN)/python -m venv $(VENV)/mlflow
	$(VENV)/mlflow/bin/python -m pip install --quiet $$(sed -nE 's/^mlflow-skinny(==[^ ]+).*/mlflow\1/p' requirements-train.txt)
	touch $@

mlflow: $(VENV)/mlflow/.done  ## the record of all training runs, on http://localhost:5000
	mkdir -p runs
	MLFLOW_DISABLE_TELEMETRY=true $(VENV)/mlflow/bin/mlflow ui \
		--backend-store-uri "$${MLFLOW_TRACKING_URI:-sqlite:///runs/mlflow.db}"

format: $(VENV)/.dev  ## put the code into its format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: $(VENV)/.app  ## renew requirements*.txt from pyproject.toml; newest versions: make lock LOCK=--upgrade
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/python -m scripts.lock $(LOCK)

wheel: $(VENV)/.dev  ## build the wheel into dist/
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

sbom: | $(PYTHON_STAMP)  ## list what the app consists of (CycloneDX) in dist/sbom.json
	$(BIN)/python -m venv $(VENV)/sbom
	$(VENV)/sbom/bin/python -m pip install --quiet cyclonedx-bom
	mkdir -p dist
	$(VENV)/sbom/bin/cyclonedx-py requirements requirements.txt --pyproject pyproject.toml \
		--output-format JSON --output-file dist/sbom.json
