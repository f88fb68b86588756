# Two commands: `make demo` shows the product, `make test` proves it.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
MODEL  := qwen2.5-coder-1.5b
RUN    ?= runs/demo-$(shell date +%Y%m%d-%H%M%S)

# Two more than the cores of a small machine: half of the time goes into waiting for screens.
JOBS   ?= 4

# Side by side; what needs weights or measures time comes after them, alone.
SIDE_BY_SIDE := -n $(JOBS) --dist worksteal

# Bytecode is kept, whatever the machine says: tests start hundreds of processes.
export PYTHONDONTWRITEBYTECODE :=

LOWEST := .venv-lowest

# What touches others' APIs, one file for each. Left out is what would only prove the same once more:
# files on our own logic, on the embedded model, and examples and commands that start many processes.
LOWEST_TESTS := $(addprefix tests/,$(addsuffix .py,environments/test_chats tui/test_watch \
	$(addprefix agents/test_,app_student chat_models coached tool_use tools tracing) \
	$(addprefix graphs/test_,baselines map) $(addprefix surface/test_,exports serve studio)))

# Of these, what takes longest and calls nothing that the others do not.
LOWEST_QUICK := not (keys_move or every_view or themes or filter_and_order or long_run or cursor_stays or \
	keys_and_mouse or filtered_and_ordered or saved_as_a_picture or firm_has_gone or \
	being_stopped or cut_off or replayed or arms_are_not_mixed)

.PHONY: demo test test-lowest check constraints-lowest clean

demo: $(VENV)/.demo
	$(BIN)/tutelage models pull $(MODEL)
	$(BIN)/tutelage coach airline --rounds 2 --dialogues 2 --validation 2 --topics 1 --states 1 --exchanges 2 \
		--pairs 6 --refinements 0 --run $(RUN)

test: $(VENV)/.test check
	$(BIN)/pytest $(SIDE_BY_SIDE) -m "not alone and not weights"
	$(BIN)/pytest -m "alone or weights"

# The other end of the ranges in pyproject: the lowest releases of what we name there.
test-lowest: $(LOWEST)/.test
	$(LOWEST)/bin/pytest $(SIDE_BY_SIDE) -m "not alone and not weights" -k "$(LOWEST_QUICK)" $(LOWEST_TESTS)

constraints-lowest: $(VENV)/.test
	$(BIN)/uv pip compile -q --resolution lowest-direct --python-version 3.11 --extra dev --no-header \
		--no-annotate --no-emit-index-url --no-emit-find-links --output-file constraints-lowest.txt pyproject.toml

# pyright does not follow the mapping of folders to packages: it resolves imports in a built copy.
check: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(call install,--no-deps --upgrade --target build/types .)
	$(BIN)/pyright --pythonpath $(BIN)/python

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "tutelage needs Python 3.11 or later; name one: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install -q -c constraints.txt -e .
	touch $@

# uv takes ten seconds where pip takes two minutes; pip, whose mirrors uv does not know, where uv fails.
install = $(BIN)/uv pip install -q --python $(VENV) $(1) || $(BIN)/python -m pip install -q $(1)

$(VENV)/.test: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install -q -c constraints.txt uv
	$(call install,-c constraints.txt -e '.[dev]')
	touch $@

$(LOWEST)/.test: $(VENV)/.test constraints-lowest.txt
	$(PYTHON) -m venv $(LOWEST)
	$(BIN)/uv pip install -q --python $(LOWEST)/bin/python -c constraints-lowest.txt -e '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) $(LOWEST) build *.egg-info
