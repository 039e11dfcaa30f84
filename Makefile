# Two commands on a fresh machine: `make demo` and `make test`. Needs Python 3.11+ and make, nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --report $(VENV)/report.json
# What was installed has to be a file that constraints-hashed.txt knows; HASHES=no leaves that out.
HASHES ?= yes
CHECKED := $(if $(filter no,$(HASHES)),true,$(BIN)/python .ci/hashes.py check $(VENV)/report.json)
# Tests run in so many processes, those of a file in one.
WORKERS ?= 2
PYTEST := $(BIN)/pytest --numprocesses $(WORKERS) --dist loadfile
.PHONY: vendor demo test test-rest test-all check docs bench rehearse torture install dev full clean

install: $(VENV)/installed
dev: $(VENV)/installed-dev
full: $(VENV)/installed-full

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Polyseme needs Python 3.11 or newer; say which with make PYTHON=python3.12 …")'
	$(PYTHON) -m venv $(VENV)

# The constraints name torch's exact version: an unconstrained one would pull 3 GB of CUDA packages.
$(VENV)/installed: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "Installing into $(VENV) (a few minutes the first time) …"
	$(PIP) --editable .
	@$(CHECKED)
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(PIP) --editable '.[dev]'
	@$(CHECKED)
	@touch $@

$(VENV)/installed-docs: $(VENV)/installed
	$(PIP) --editable '.[docs]'
	@$(CHECKED)
	@touch $@

# Every extra, so that no test is skipped for want of one.
$(VENV)/installed-full: $(VENV)/installed-dev
	$(PIP) --editable '.[dev,all,parity,browser,docs]'
	@$(CHECKED)
	@touch $@

demo: install
	$(BIN)/python examples/demo.py

# A quarter of an hour on two free cores, and nothing but `.[dev]` installed. Left out, by their marks in pyproject.toml: what
# takes long, boots standing servers, starts clusters, or breaks writers hundreds of times. The output counts them.
test: dev
	$(PYTEST) -m "not (slow or server or servers or cluster or torture)"

# Every test, with every extra. PostgreSQL's and MariaDB's are skipped, and say so, where these are not installed.
test-all: full
	$(PYTEST)

# What `make test` leaves out, or skips for want of an extra: both together are every test, once.
test-rest: full
	$(PYTEST) -m "slow or server or servers or cluster or torture or extra"

check: dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python .ci/audit.py

# The documentation as a site in `site/`, made anew: a link or an anchor that leads nowhere is an error, and all of them are
# shown. Nothing is fetched, neither here nor by the pages.
docs: $(VENV)/installed-docs
	rm -rf site
	$(BIN)/sphinx-build --builder html --fresh-env --fail-on-warning --quiet --conf-dir docs/site --doctree-dir build/site . site
	@echo "The site is in site/: open site/index.html"

# fastembed asks for huggingface-hub<2, which transformers 5 excludes; it runs with 2. What else it needs is in `bench`.
bench: install
	$(PIP) --editable '.[bench]'
	$(PIP) --no-deps fastembed
	$(BIN)/python -m benchmarks.throughput
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.peers --json benchmarks/results/peers.json

# The way to a GPU without one, in the oldest versions that pyproject.toml allows and the CUDA build of torch: about 6 GB,
# fetched once into this folder. First without the packages that a bare GPU machine lacks, then with the wheels carried.
REHEARSAL ?= $(HOME)/.cache/polyseme-gpu-rehearsal
OLDEST := torch==2.11.0 transformers==5.17.0 tokenizers==0.23.2 safetensors==0.8.0
BARE := PYTHONPATH=tests/benchmarks/bare_machine:. $(REHEARSAL)/bin/python
rehearse:
	test -x $(REHEARSAL)/bin/python || $(PYTHON) -m venv $(REHEARSAL)
	$(REHEARSAL)/bin/pip install --quiet $(OLDEST) sentence-transformers==6.0.1 numpy pyarrow pytest hypothesis \
		orjson sqlalchemy filelock zstandard charset-normalizer threadpoolctl pytz duckdb==2.0.0
	$(BARE) -m benchmarks.gpu --device cpu --tiny --seconds 5
	$(REHEARSAL)/bin/python -m benchmarks.gpu --device cpu --tiny --seconds 5 --parts mixed pipeline training
	$(REHEARSAL)/bin/python -m pytest -W default -p no:cacheprovider tests/benchmarks/test_gpu_*.py \
		tests/tasks/model/test_on_cuda.py tests/tasks/model/test_attention.py tests/tasks/model/test_devices.py \
		tests/tasks/training/test_corpus_processes.py

# About an hour on two free cores: the figures of docs/reliability.md.
torture: dev
	$(BIN)/python -m tests.torture.harness kill --count 320
	$(BIN)/python -m tests.torture.harness commit --count 0
	$(BIN)/python -m tests.torture.harness power --count 320
	$(BIN)/python -m tests.torture.harness full --count 0
	$(BIN)/python -m tests.torture.damage --count 150
	$(BIN)/python -m tests.torture.crowd --writers 4 --commits 100
	$(BIN)/python -m tests.torture.reuse --count 60
	$(BIN)/python -m tests.torture.reuse_crowd --writers 3 --commits 20
	$(BIN)/python -m tests.torture.interrupts --count 30
	$(BIN)/python -m tests.torture.week --runs 1000
	$(BIN)/python -m tests.hostile.fuzz --seconds 600    # ten minutes in all: names, catalogs, events and readers

clean:
	rm -rf $(VENV) demo-lake build site *.egg-info

# What the explorer's pages load that others wrote, bundled anew from npm, with its licences. Needs Node; the result is in git.
vendor:
	cd flows/explorer/vendor && npm install --no-package-lock --no-audit --no-fund --ignore-scripts && node build.mjs
