# make round [WORKSPACE=DIR]   steps 0 to 4, both validators and the report on a workspace
# make loop [ROUNDS=3] [TOP=30] [WORKSPACE=DIR]   that many rounds: exact calculations from the top of the list, steps 1 to 4;
#                              at the end both validators and the report
# make quick                   lint, types and the tests that take less than a minute
# make test                    all tests
# make check                   lint, format and types
# make soak [INPUTS=100000] [SEED=0]   every reader with damaged files, every step killed at every call of the system; hours
# make example WORKSPACE=DIR   the example's glasses and exact calculations, made again in DIR
#
# WORKSPACE: without it, this folder if there are minima or pair tables of your own in it, else a copy of the example.
PYTHON ?= python3
ROUNDS ?= 3
TOP ?= 30
INPUTS ?= 100000
SEED ?= 0
RUN = .venv/bin/python
# Tests at a time: one more than cores, as some wait
TESTERS = $(shell echo $$(($$(getconf _NPROCESSORS_ONLN) + 1)))
STEPS = step1_train_dw.py step2_classify_dw.py step3_train_qs.py step4_predict_qs.py
OWN = $(wildcard Configurations/minima/* Configurations/pairs/*)
WORKSPACE ?= $(if $(OWN),.,example-run)

.PHONY: round loop example quick test check soak workspace
.DELETE_ON_ERROR:

round: .venv/installed workspace
	@for step in step0_collect.py step1_train_dw.py step2_classify_dw.py step3_train_qs.py \
	  validate_dw.py validate_qs.py step4_predict_qs.py report.py; do \
	  echo "== $$step"; $(RUN) $$step --workspace "$(WORKSPACE)" || exit; done

loop: .venv/installed workspace
	@for step in step0_collect.py $(STEPS); do \
	  echo "== $$step"; $(RUN) $$step --workspace "$(WORKSPACE)" || exit; done
	@for round in $$(seq $(ROUNDS)); do \
	  echo "== round $$round of $(ROUNDS)"; $(RUN) run_neb.py --top $(TOP) --workspace "$(WORKSPACE)" || exit; \
	  for step in $(STEPS); do echo "== $$step"; $(RUN) $$step --workspace "$(WORKSPACE)" || exit; done; done
	@for step in validate_dw.py validate_qs.py report.py; do \
	  echo "== $$step"; $(RUN) $$step --workspace "$(WORKSPACE)" || exit; done

workspace:
	@if [ "$(WORKSPACE)" = example-run ] && [ ! -d example-run ]; then \
	  cp -R example example-run.part && mv example-run.part example-run; fi
	@echo "workspace: $(WORKSPACE)$(if $(filter example-run,$(WORKSPACE)), (a copy of the example; delete it to begin anew))"

example: .venv/installed
	$(RUN) -m example.make make "$(WORKSPACE)"

quick: check
	$(RUN) -m pytest -n $(TESTERS) --dist worksteal -m "not slow"

test: .venv/installed
	$(RUN) -m pytest -n $(TESTERS) --dist worksteal --durations 10

soak: .venv/installed
	INPUTS=$(INPUTS) $(RUN) -m pytest tests/test_damaged_files.py --hypothesis-seed=$(SEED)
	EVERY=1 $(RUN) -m pytest tests/kills.py

check: .venv/installed
	$(RUN) -m ruff check
	$(RUN) -m ruff format --check
	$(RUN) -m mypy

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check -e ".[dev]"
	touch $@
