# Needs make, pip and a Python of 3.11 or later; everything else goes into .venv.
#   make train ARGS="--epochs 3"     trains, with these options of `jitnet train`
#   make test                        the whole suite, in three modes
#   make check | cover | bench       lint and types | coverage | benchmarks
#   make clean                       removes .venv and every cache; keeps data and runs

.DELETE_ON_ERROR:
.PHONY: train test check cover bench clean

ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
# Two processes share the suite, file by file: most of a test compiles or waits, on one core.
PYTEST := $(BIN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder
# Compiled once, ahead of both.
COMPILE := $(BIN)/python -c 'from jitnet.engine.loop import load_loop; load_loop()'
CANDIDATES := $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))

train: $(VENV)/.stamp-train
	$(BIN)/jitnet train $(ARGS)

# jitnet keeps one folder of compiled code for each of these modes, here inside the environment.
test cover: export JITNET_CACHE := $(CURDIR)/$(VENV)/kernels
# Hundreds of processes are started: byte code is kept for them, also where the environment keeps none.
test cover: export PYTHONDONTWRITEBYTECODE :=

test: $(VENV)/.stamp-test
	$(COMPILE)
	$(PYTEST) $(ARGS)
	NUMBA_DISABLE_JIT=1 $(PYTEST) -m small $(ARGS)
	NUMBA_BOUNDSCHECK=1 $(COMPILE)
	NUMBA_BOUNDSCHECK=1 $(PYTEST) -m small $(ARGS)

check: $(VENV)/.stamp-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Compiled loops are invisible to the tracer, so the lines inside them are counted in a run without the compiler.
cover: $(VENV)/.stamp-test
	$(COMPILE)
	$(PYTEST) --cov --cov-report= $(ARGS)
	NUMBA_DISABLE_JIT=1 \
		$(PYTEST) -m small --cov --cov-append --cov-report=term --cov-report=html $(ARGS)

bench: $(VENV)/.stamp-bench
	$(BIN)/python benchmarks/peers.py $(ARGS)

clean:
	rm -rf $(VENV) build dist htmlcov .coverage .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A Python whose venv module lacks ensurepip (Debian without python3-venv) gets pip from that Python's pip.
$(BIN)/python:
	@python=$$(for p in $(CANDIDATES); do $$p -c '$(NEW_ENOUGH)' 2>/dev/null && echo $$p && break; done); \
	if [ -z "$$python" ]; then echo "jitnet needs Python 3.11 or later; found none of: $(CANDIDATES)" >&2; exit 1; fi; \
	rm -rf $(VENV); \
	$$python -m venv $(VENV) >/dev/null 2>&1 || { rm -rf $(VENV); \
		$$python -m venv --without-pip $(VENV) && $$python -m pip -q --python $@ install pip; } \
	|| { rm -rf $(VENV); exit 1; }

# A stamp is written last: an install that fails leaves none, and the next make starts it again.
$(VENV)/.stamp-%: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --disable-pip-version-check -q -e '.[$(EXTRAS_$*)]'
	@touch $@ $(IMPLIES_$*)
EXTRAS_train := images
EXTRAS_test := test
EXTRAS_bench := bench
IMPLIES_test := $(VENV)/.stamp-train
