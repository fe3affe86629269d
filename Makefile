# One vocabulary for people, hooks and CI. `make` alone prints it.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= $(shell command -v python3.11 || command -v python3)
DATASET ?= movielens-100k
PORT ?= 3000
UNTIL ?= now
WINDOW ?= auto
export DATASET UNTIL WINDOW
ifdef BENCH
export BENCH
endif
ifdef SPLIT
export SPLIT
endif
ifdef BENCH_DATA
export BENCH_DATA
endif
ifdef SETTINGS
export SETTINGS
endif
ifdef START_FROM
export START_FROM
endif
ifdef SOURCE
export SOURCE
endif
serve monitor: export PORT := $(PORT)
ifdef FAULT
export FAULT
endif
ifdef USERS
export USERS
endif
# A data set of one's own gets a folder of its own; BUILD= names another.
ifneq ($(DATASET),movielens-100k)
BUILD ?= build/$(notdir $(basename $(DATASET)))
endif
ifdef BUILD
export BUILD
endif
ifdef STORE_URL
export STORE_URL
endif

BIN := .venv/bin
RUN := $(BIN)/python -m
step = printf '\n— %s\n' $(1) && $(RUN) monitoring timed $(1) --
READY := .venv/.ready

.PHONY: help demo test check format bench data apply materialize train evaluate promote serve canary rollback drift \
	skew monitor erase recommend-batch

help: ## print this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-15s %s\n", $$1, $$2}'
	@printf '\n  DATASET=  a built-in data set (movielens-100k, the default) or the path of a dataset.yaml\n'
	@printf '  BUILD=    where generated things go (default build/)\n'
	@printf '  ENGINE=   data: duckdb (default) or spark\n'
	@printf '  OFFLINE_STORE= asof (default) or spark; ONLINE_STORE= sqlite (default) or redis, which is at REDIS_URL=\n'
	@printf '  UNTIL=    materialize: ISO 8601 with a zone, now, or held-out\n'
	@printf '  WINDOW=   train: champion, challenger, auto, or ISO 8601 with a zone\n'
	@printf '  SETTINGS= train: a JSON file of settings, as "python -m training search" writes one\n'
	@printf '  START_FROM= train: a version or alias whose towers go on with the days since\n'
	@printf '  SOURCE=   train: stores (default), or log: the ranker learns from what was served and logged\n'
	@printf '  BENCH=    bench: pit_join, transforms, stream, training, serving, quality, faults, canary, monitoring (default all but the last four)\n'
	@printf '  SPLIT=    bench quality: validation (default) or test; BENCH_DATA= is the folder of benchmark data\n'
	@printf '  SOURCE=   drift: log, window (the newest events, replayed) or auto\n'
	@printf '  PORT=     serve, monitor: the port on 127.0.0.1 (default 3000)\n'
	@printf '  FAULT=    canary: slow, errors, worse or nodata, each of the ends; USERS=replay asks with real events\n'
	@printf '  DEPLOYER= promote, rollback: local (default) or kubernetes\n'
	@printf '  USER=     erase: the id of the person, on the command line ($$ is written $$$$)\n'

# Everything is installed from the lock, and compiled there, so that no command pays for it at its start.
$(READY): requirements.lock pyproject.toml
	@echo "installing into .venv from requirements.lock (a few minutes, once)"
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(v != (3, 11) and f"Python 3.11 is needed; got {v[0]}.{v[1]}: make PYTHON=/path/to/python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check --requirement requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(READY)

# XGBoost's threads else burn a core while they wait, which slows whatever else runs and counts as work.
demo train: export OMP_WAIT_POLICY ?= passive

demo: $(READY) ## the whole loop on real data: events, features, models, canary, promotion, drift
	@$(call step,data) $(RUN) feature_repo data
	@$(call step,apply) $(RUN) feature_repo apply
	@$(call step,materialize) $(RUN) feature_repo materialize --until held-out
	@$(call step,train) $(RUN) training train --window champion
	@$(call step,challenger) $(RUN) training train --window challenger
	@$(call step,evaluate) $(RUN) training evaluate
	@$(call step,drift) $(RUN) monitoring drift
	@$(call step,canary) $(RUN) k8s canary
	@$(call step,promote) $(RUN) k8s promote
	@$(call step,serve) $(RUN) serving probe --version $$($(RUN) training fetch)
	@$(RUN) monitoring index
	@$(RUN) monitoring summary

# A file's tests share what they set up, so files are dealt out to the cores, and not tests.
test: $(READY) ## all tests, the fast ones first
	@$(BIN)/pytest --numprocesses auto --dist loadfile

check: $(READY) ## lint, types, layers
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(RUN) k8s lint

format: $(READY) ## put every file into the project's format
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

data: $(READY) ## fetch and clean the events, build the feature tables
	@$(RUN) feature_repo data

apply: $(READY) ## register the feature definitions
	@$(RUN) feature_repo apply

materialize: $(READY) ## fill the online store, publish the item snapshot
	@$(RUN) feature_repo materialize

train: $(READY) ## train and register a version
	@$(RUN) training train

evaluate: $(READY) ## replay held-out time with champion and challenger
	@$(RUN) training evaluate

promote: $(READY) ## decide on the challenger by the policy, serve it, move the alias
	@$(RUN) k8s promote

rollback: $(READY) ## undo the last move: serve the previous champion again
	@$(RUN) k8s rollback

serve: $(READY) ## serve the champion on 127.0.0.1:$(PORT)
	@SERVE_PAGE=$${SERVE_PAGE:-true} exec $(RUN) k8s serve

recommend-batch: $(READY) ## write slates for all users, as the champion would answer them
	@version=$$($(RUN) training fetch) && exec $(RUN) serving batch --version $$version

canary: $(READY) ## release the challenger step by step beside the champion
	@$(RUN) k8s canary

drift: $(READY) ## compare what is recommended now with the champion's reference
	@$(RUN) monitoring drift

skew: $(READY) ## compare what was served with point-in-time retrieval, value by value
	@$(RUN) monitoring skew

monitor: $(READY) ## start a local Prometheus over the service, with our alerts
	@exec $(RUN) monitoring monitor

bench: $(READY) ## benchmarks side by side, into build/bench.json
	@PYTHONPATH=tests $(RUN) bench

# Every shell sets USER, so only the one on the command line counts; and MLflow would write it into a run.
ifeq ($(origin USER),command line)
erase: $(READY) ## remove a person from every store, and prove it; USER= is the id
	@env -u USER $(RUN) training erase --user="$$USER"
else
erase:
	@echo "make erase needs the id of the person: make erase USER=..." >&2; exit 2
endif
