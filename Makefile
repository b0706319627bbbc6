# make demo         a cluster on this machine, the example jobs, everything taken down again
# make test         all that CI runs: lint and every test; installs what it needs (as root)
# make test-vm      the tests of cgroup v2, in a virtual machine; part of make test
# make test-quick   the tests of a working day: no daemons, under a minute
# make lint         format, lint and types
# make torch        PyTorch in $(VENV)-torch, for the tests of --launch that are skipped without it; large
# make bench        the benchmarks, one after the other; bench.compare_slurm, which installs Slurm, is not among them
# make clean        remove what these targets made

VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PACKAGES := sluice controller/sluicectld nodeagent/sluiced plugins/sluice_plugins cli/sluice_cli \
	migrations/sluice_migrations
NATIVE := $(wildcard controller/sluicectld/scheduler/native/*.c nodeagent/sluiced/native/*.c)
BENCHES := throughput_emulated array queue startup idle priority topology offer
export VENV

.PHONY: venv demo test test-vm test-quick torch lint bench clean
.DEFAULT_GOAL := venv

venv: $(INSTALLED)

$(INSTALLED): pyproject.toml hatch_build.py tools/venv.sh $(NATIVE)
	tools/venv.sh $(VENV)
	touch $@

demo: $(INSTALLED)
	tools/demo.sh

test: lint
	tools/postgresql.sh
	tools/mpi.sh
	tools/openmpi5.sh $(VENV)-openmpi5
	tools/vm.sh
	tools/x11.sh
	tools/sshd.sh
	$(BIN)/pytest -q

test-vm: $(INSTALLED)
	tools/vm.sh
	$(BIN)/pytest -q tests/vm

torch:
	tools/torch.sh $(VENV)-torch

test-quick: $(INSTALLED)
	$(BIN)/pytest -q -m "not system and not slow"

lint: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy $(PACKAGES)

bench: $(INSTALLED)
	@for name in $(BENCHES); do $(BIN)/python -m bench.$$name || exit 1; done

clean:
	if [ -x $(BIN)/sluice ] && [ -e .demo/cluster/setup.json ]; then \
		$(BIN)/sluice down --dir .demo/cluster --force; fi
	rm -rf .demo .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage build dist $(VENV) $(VENV)-torch $(VENV)-openmpi5
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
