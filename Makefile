# make round [WORKSPACE=DIR]   steps 0 to 4 and both validators on a workspace (default: this folder)
# make loop [ROUNDS=3] [TOP=30] [WORKSPACE=DIR]   that many rounds: exact calculations from the top of the list, steps 1 to 4
# make example WORKSPACE=DIR   the glasses that ship and their exact calculations, made again in DIR
# make test                    the tests
PYTHON ?= python3
WORKSPACE ?= .
ROUNDS ?= 3
TOP ?= 30
RUN = .venv/bin/python
STEPS = step1_train_dw.py step2_classify_dw.py step3_train_qs.py step4_predict_qs.py

.PHONY: round loop example test check
.DELETE_ON_ERROR:

round: .venv/installed
	for step in step0_collect.py step1_train_dw.py step2_classify_dw.py step3_train_qs.py \
	  validate_dw.py validate_qs.py step4_predict_qs.py; do \
	  $(RUN) $$step --workspace "$(WORKSPACE)" || exit; done

loop: .venv/installed
	for step in step0_collect.py $(STEPS); do $(RUN) $$step --workspace "$(WORKSPACE)" || exit; done
	for round in $$(seq $(ROUNDS)); do \
	  $(RUN) run_neb.py --top $(TOP) --workspace "$(WORKSPACE)" || exit; \
	  for step in $(STEPS); do $(RUN) $$step --workspace "$(WORKSPACE)" || exit; done; done

example: .venv/installed
	$(RUN) -m benchmarks.example make "$(WORKSPACE)"

test: .venv/installed
	$(RUN) -m pytest

check: .venv/installed
	$(RUN) -m ruff check
	$(RUN) -m ruff format --check
	$(RUN) -m mypy

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check -e ".[dev]"
	touch $@
