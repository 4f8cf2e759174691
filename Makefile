# mooring: everything that a developer types. `make` alone explains.

.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
# Where an ordinary user's PATH doesn't look, and nft, dnsmasq and conntrack are.
export PATH := $(PATH):/usr/sbin:/sbin

demo: NAME = floating-ip
setup_of_late-allocation = lab
setup_of_openstack = clients
bench: NAME = associate

python := .venv/bin/python
mooring := .venv/bin/mooring
# Own namespaces and an own /run, by the product's own launcher: nothing of this machine is touched, root or not.
sandbox := $(mooring) sandbox --
pytest := $(sandbox) $(python) -m pytest -o faulthandler_exit_on_timeout=true

# Tests mostly wait, for kernels and for each other, so some groups of folders run beside all others, each in a sandbox of its own.
comma := ,
define run_tests # MARKERS,GROUPS: the folders of each with commas between them
@$(if $(TESTS),$(pytest) -m '$(1)' $(TESTS),mkdir -p build; rm -f build/beside.*.log; beside=(); failed=0; \
	$(foreach group,$(2),$(pytest) -m '$(1)' $(subst $(comma), ,$(group)) > build/beside.$${#beside[@]}.log 2>&1 & beside+=($$!);) \
	$(pytest) -m '$(1)' $(addprefix --ignore=,$(subst $(comma), ,$(2))) tests || failed=$$?; \
	for each in "$${beside[@]}"; do wait $$each || failed=$$?; done; cat build/beside.*.log; exit $$failed)
endef

.PHONY: help run demo test test-slow check format bench bless lock clean setup setup-run setup-clients setup-lab setup-bench setup-test setup-slow

help: ## this list
	@echo 'mooring: type one of these; each installs what it needs first, says what, and is quick the second time'
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo '  NAME=...     which demo or benchmark (make demo NAME=late-allocation, make bench NAME=associate)'
	@echo '  ONCE=1       run the demo, say whether all held, and end; SHORT=1 tells the short version (late-allocation)'
	@echo '  TESTS=...    which tests, as pytest takes them (make test TESTS="tests/compile -k nat")'

run: demo ## a small cloud with a floating IP that answers, to play with; the same as `make demo`

demo: setup-$(or $(setup_of_$(NAME)),run) ## the story NAME, told with real packets; stays until Ctrl-C, or ends with ONCE=1
	@exec $(mooring) demo $(NAME) $(if $(ONCE),--once) $(if $(SHORT),--short)

test: beside = tests/backends,tests/bench,tests/cli,tests/guests,tests/lab,tests/main tests/clients,tests/journeys,tests/simulation
test: check ## all checks, then all tests but the slow ones
	$(call run_tests,not slow,$(beside))

test-slow: setup-slow ## the slow tests
	$(call run_tests,slow,tests/guests$(comma)tests/vm)

check: setup-test ## format, lint, types and import order; runs nothing of mooring
	.venv/bin/ruff format --check
	.venv/bin/ruff check
	.venv/bin/mypy
	node_modules/.bin/pyright --warnings
	.venv/bin/lint-imports --no-cache

format: setup-test ## rewrite the code in the project's format, and mend what ruff can mend
	.venv/bin/ruff format
	.venv/bin/ruff check --fix

bench: setup-$(if $(filter control filters,$(NAME)),bench,run) ## the benchmark NAME; prints a table and writes build/bench/NAME.json
	@mkdir -p build/bench
	$(sandbox) $(python) -m bench.$(subst -,_,$(NAME))

bless: setup-test ## rewrite the golden files with what the code now says; then read the diff
	$(pytest) --bless -m 'not slow' $(TESTS)

lock: ## requirements/ and package-lock.json anew from pyproject.toml and package.json
	scripts/lock

clean: ## remove all that `make` made
	rm -rf .venv build node_modules .hypothesis .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

setup: setup-test ## install what is needed, without running anything

setup-run:
	@scripts/setup run

setup-clients:
	@scripts/setup clients

setup-lab:
	@scripts/setup lab

setup-bench:
	@scripts/setup bench

setup-test:
	@scripts/setup test

setup-slow:
	@scripts/setup slow
