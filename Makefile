# make round [WORKSPACE=DIR]   steps 0 to 4 and both validators on a workspace (default: this folder)
# make test                    the tests
PYTHON ?= python3
WORKSPACE ?= .
RUN = .venv/bin/python

.PHONY: round test check
.DELETE_ON_ERROR:

round: .venv/installed
	$(RUN) step0_collect.py --workspace "$(WORKSPACE)"
	$(RUN) step1_train_dw.py --workspace "$(WORKSPACE)"
	$(RUN) step2_classify_dw.py --workspace "$(WORKSPACE)"
	$(RUN) step3_train_qs.py --workspace "$(WORKSPACE)"
	$(RUN) step4_predict_qs.py --workspace "$(WORKSPACE)"
	$(RUN) validate_dw.py --workspace "$(WORKSPACE)"
	$(RUN) validate_qs.py --workspace "$(WORKSPACE)"

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
