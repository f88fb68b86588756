# Two commands: `make demo` shows the product, `make test` proves it.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
MODEL  := qwen2.5-coder-1.5b
RUN    ?= runs/demo-$(shell date +%Y%m%d-%H%M%S)

.PHONY: demo test check clean

demo: $(VENV)/.demo
	$(BIN)/tutelage models pull $(MODEL)
	$(BIN)/tutelage coach airline --rounds 2 --dialogues 4 --validation 2 --states 2 --exchanges 3 \
		--pairs 8 --refinements 1 --run $(RUN)

test: $(VENV)/.test check
	$(BIN)/pytest

# pyright does not follow the mapping of folders to packages: it resolves imports in a built copy.
check: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pip install -q --no-deps --upgrade --target build/types .
	$(BIN)/pyright --pythonpath $(BIN)/python

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "tutelage needs Python 3.11 or later; name one: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install -q -c constraints.txt -e .
	touch $@

$(VENV)/.test: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info
