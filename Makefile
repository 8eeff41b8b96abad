# Everything is installed into .venv in this folder; nothing else is touched.
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
export PREFECT_HOME ?= $(CURDIR)/.cache/prefect
export PREFECT_SERVER_ANALYTICS_ENABLED := false
export DO_NOT_TRACK := 1

.PHONY: demo test fuzz test-kubernetes chaos lint docs benchmarks lock samples clean

# The locks are complete; without --no-deps, older pips look for other versions of what is named with an extra.
$(VENV)/.demo: requirements.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	mkdir -p $(PREFECT_HOME)
	touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.demo
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements-dev.txt
	touch $@

demo: $(VENV)/.demo  ## install, and run the main job
	LUME_HOME=$(CURDIR)/demo $(BIN)/lume-services run lume_services/examples/quad_scan/quad_scan.yaml

test: $(VENV)/.dev  ## install, and run all tests
	$(BIN)/python -m pytest -n 2  # the backends in one process, the rest in the other; see conftest.py

fuzz: export LUME_FUZZ ?= 60000
fuzz: $(VENV)/.dev  ## mutate what is read, and look that only errors of ours come of it
	$(BIN)/python -m pytest -n 2 tests/fuzz

# Where `../shared/tools/kubernetes-build ../infra/kubernetes` puts the programs of a cluster.
test-kubernetes: export LUME_TEST_KUBERNETES_BIN ?= $(abspath ../infra/kubernetes/bin)
test-kubernetes: export LUME_TEST_REQUIRE_SERVICES := 1
test-kubernetes: $(VENV)/.dev  ## the tests of backends on a real Kubernetes cluster, started here; as root
	$(BIN)/python -m pytest tests/contract/backends -k "cluster or table or (swap_matrix and local)"

chaos: CHAOS_SECONDS ?= 900
chaos: $(VENV)/.dev  ## kill a server, workers and jobs at random, for 15 minutes; figures, and whether promises were kept
	$(BIN)/python tests/chaos --seconds $(CHAOS_SECONDS) $(if $(CHAOS_SEED),--seed $(CHAOS_SEED))

lint: $(VENV)/.dev  ## formatting, lint, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/.dev  ## build the documentation into site/
	$(BIN)/mkdocs build --strict

benchmarks: $(VENV)/.dev  ## print ratios against the raw libraries
	for file in benchmarks/*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

samples: $(VENV)/.demo  ## make the samples in config/ and the table in the docs anew
	$(BIN)/lume-services config env --format env > config/local.env
	$(BIN)/lume-services config env --format yaml > config/lume-services.yaml
	$(BIN)/lume-services config env --format markdown > docs/reference/variables.md

EXTRAS := $(addprefix --extra ,server parquet mongodb)

lock:  ## make the hashed locks anew; needs uv
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--quiet pyproject.toml $(EXTRAS) -o requirements.txt
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--quiet -c requirements.txt pyproject.toml $(EXTRAS) --extra docker --extra kubernetes --group dev -o requirements-dev.txt

clean:
	rm -rf $(VENV) .cache demo site
