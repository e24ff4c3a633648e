# Everything that looks for faults: tests, fuzzers, and reading the code.
# SPDX-License-Identifier: MIT

CHECK_ARCHIVE := $(CHECK)/libhouse.a
UNIT_SOURCES  := $(wildcard tests/unit/test_*.c)
# UNITS=threads: those in which threads meet, for a short pass under their sanitizer.
UNITS_threads := thread|worker|until\.h|stage\.h|park\.h|crew|round\.h|_redis
UNIT_CHOSEN   := $(if $(UNITS),$(shell grep -lE '$(UNITS_$(UNITS))' $(UNIT_SOURCES)),$(UNIT_SOURCES))
UNIT          := $(UNIT_CHOSEN:tests/unit/%.c=$(CHECK)/tests/%)
# What the tests share: seam.c, and the fakes that stand in for sockets and for logic.
UNIT_SHARED   := $(patsubst %.c,$(CHECK)/obj/%.o,$(filter-out $(UNIT_SOURCES),$(wildcard tests/unit/*.c)))
# What tests may make fail: tests/unit/seam.h.
SEAMS         := malloc calloc realloc reallocarray strdup clock_now_ns clock_wall_ms pthread_create accept4 recv \
                 sendmsg mmap mmap64 madvise mprotect setsockopt epoll_wait epoll_ctl
# It is the house that is tested: what surrounds it is to be built quickly.
UNIT_LINK     := $(SEAMS:%=-Wl,--wrap=%) -lcmocka $(if $(shell command -v ld.gold),-fuse-ld=gold)
$(CHECK)/obj/tests/unit/%.o: CFLAGS += -O0 -U_FORTIFY_SOURCE -Wno-restrict

# What the end-to-end tests preload to make calls fail; sanitizers have their own memory, so for them only other calls fail.
FAIL_LIBRARY := $(BUILD)/libfail.so
# Redis's time of day, which a test moves; redis-server has no sanitizer.
CLOCK_LIBRARY := $(BUILD)/libclock.so
FAIL_FLAGS   := $(if $(filter-out coverage,$(SAN)),-DFAIL_NO_MEMORY)

FUZZ_SOURCES := $(wildcard tests/fuzz/fuzz_*.c)
FUZZERS      := $(FUZZ_SOURCES:tests/fuzz/%.c=build/fuzz/%)
FUZZ_RUNS    := $(FUZZERS:build/fuzz/%=run/%)
FUZZ_SECONDS ?= 30

# How long a whole run may take before it counts as hung: sanitizers are slow.
UNIT_SECONDS := $(if $(SAN),120,60)
E2E_SECONDS  := $(if $(SAN),1500,900)
BROWSER_SECONDS := 600
CHAOS_SECONDS := $(if $(SAN),1800,900)
# Load that the end-to-end tests make: sanitizers are ten times as slow, and TSan knows 8,128 threads at most. A short pass leaves
# what is counted in thousands to that of the release build.
E2E_SCALE    := $(if $(SAN),0.1,$(if $(filter blocking dispatch logic,$(PART)),0.2,1))
# Most of these tests wait for a deadline, so several may wait at a time; the sanitizer of threads wants the cores.
CORES        := $(shell nproc)
E2E_WORKERS  ?= $(shell echo $$(($(CORES) * $(if $(filter thread,$(SAN)),2,3))))
# A house of three comets is many programs, but they mostly wait for what was broken.
CHAOS_WORKERS ?= $(shell echo $$((2 * $(CORES))))
# The sanitizer of threads wants the addresses that it was built for, which some kernels shuffle too far.
STILL := $(if $(filter thread,$(SAN)),$(shell setarch -R true 2>/dev/null && echo setarch -R))
export ASAN_OPTIONS  ?= detect_stack_use_after_return=1:strict_string_checks=1:quarantine_size_mb=32
export UBSAN_OPTIONS ?= print_stacktrace=1
export TSAN_OPTIONS  ?= second_deadlock_stack=1
# Threads that give way at random around locks: common/base/lock.c. Another run gets another seed.
export LOCK_YIELDS   ?= $(if $(filter thread coverage,$(SAN)),$(shell echo $$((RANDOM + 1))))

.PHONY: check check-deps check-here check-all check-breaks check-clean check-layers check-unit check-e2e check-plain check-deflate \
        check-cluster check-monitoring check-browser check-web chaos soak coverage docs bench bench-rivals bench-million build-programs build-unit fuzz fuzz-network \
        fuzz-run $(FUZZ_RUNS) lint format $(notdir $(UNIT))

ifneq ($(CHECK),$(BUILD))
$(CHECK_ARCHIVE): $(HOUSE:%.c=$(CHECK)/obj/%.o)
	@rm -f $@
	ar rcs $@ $^

$(CHECK)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -DLOCK_CHECKS $(CFLAGS) -MMD -MP -c -o $@ $<
endif

$(CHECK)/tests/%: $(CHECK)/obj/tests/unit/%.o $(UNIT_SHARED) $(CHECK_ARCHIVE)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS) $(UNIT_LINK)

$(CLOCK_LIBRARY): tests/shim/clock.c
	@mkdir -p $(@D)
	$(CC) -D_GNU_SOURCE -std=gnu11 -g -O2 $(WARN) -fPIC -shared -o $@ $<

$(BUILD)/libfail.so: tests/shim/fail.c tests/shim/fail.def
	@mkdir -p $(@D)
	$(CC) -I. -D_GNU_SOURCE -std=gnu11 -g -O2 $(WARN) $(FAIL_FLAGS) -fPIC -pthread -shared -o $@ $<

check-layers:
	@scripts/check-layers

check-unit: $(UNIT)
	@$(STILL) tests/unit/run $(UNIT_SECONDS) $(UNIT)

# What Python makes of the tests it keeps in build/, for all builds: to make it costs as much as to look for a test in all files.
KEEPS  := env -u PYTHONDONTWRITEBYTECODE PYTHONPYCACHEPREFIX=$(abspath build)/pycache
# What a run failed is remembered in build/, so that .ci/run can look at it alone: PYTEST_ADDOPTS=--lf.
# -rfEs: of those that were skipped the reason is read, too.
PYTEST = $(KEEPS) $(PYTHON) -m pytest -q -rfEs -o cache_dir=$(abspath $(BUILD))/pytest/$@ -o empty_parameter_set_mark=fail_at_collect

define e2e
COMET_BUILD=$(abspath $(BUILD)) COMET_TEST_SCALE=$(E2E_SCALE) timeout -k 10 $(E2E_SECONDS) \
	$(STILL) $(PYTEST) tests/e2e -n $(E2E_WORKERS) $(if $(PART),--part=$(PART))
endef

# What the end-to-end tests run, and the unit tests: for who wants them built before he tests.
build-programs: all $(FAIL_LIBRARY) $(BUILD)/tests/million_load $(BUILD)/tests/herd_load $(BUILD)/tests/rival_load $(BUILD)/tests/floor
build-unit: $(UNIT)

# PART=threads and the like: a short pass, tests/e2e/parts.py.
check-e2e: build-programs
	@$(e2e)

# The same tests with two threads a connection, which are there for its whole life,
.PHONY: check-threads
check-threads: build-programs
	@COMET_TEST_SETTINGS=protocol.park=off $(e2e)

# and with every message waking its dispatcher, too: the model in its pure form.
check-plain: build-programs
	@COMET_TEST_SETTINGS=protocol.baton=off $(e2e)

# The same tests with every WebSocket client compressing, and the comet, too.
check-deflate: build-programs
	@COMET_TEST_SETTINGS=websocket.deflate=yes $(e2e) -k "ws or websocket or deflate or hostile or cli"

# The same tests against a comet whose logic is behind Redis. Left out: those of comet-cli, of the client libraries, of documents
# and of the package, which know nothing of logic, and one that stops the comet to see how its API ends; tests/chaos has that of
# comet-logic.
check-cluster: build-programs
	@COMET_TEST_HOUSE=cluster $(e2e) $(patsubst %,--ignore=%,$(wildcard tests/e2e/test_cli*.py tests/e2e/test_comet_*.py \
			tests/e2e/test_*doc*.py tests/e2e/test_package.py)) \
		--deselect tests/e2e/test_drain.py::test_back_end_that_waits_for_packets_is_answered_and_holds_nothing_up

# Part of check-e2e: examples/monitoring against a real Prometheus.
check-monitoring: $(PROGRAMS)
	@$(subst tests/e2e,tests/e2e/test_monitoring.py,$(e2e))

# The console by a real browser, and a page's own WebSocket; with npm axe looks at it, too.
AXE := build/axe/node_modules/axe-core/axe.min.js

$(AXE):
	mkdir -p build/axe && npm install --silent --no-save --no-audit --no-fund --prefix build/axe axe-core@4.14.1

check-browser: $(PROGRAMS) $(if $(shell command -v npm),$(AXE))
	@COMET_BUILD=$(abspath $(BUILD)) $(if $(wildcard $(AXE)),COMET_TEST_AXE=$(abspath $(AXE))) $(if $(SCREENSHOTS),COMET_TEST_SCREENSHOTS=$(abspath $(SCREENSHOTS))) \
		timeout -k 10 $(BROWSER_SECONDS) $(PYTEST) tests/browser -n 2

# Libraries of npm that know nothing of comet. npm is no package that the rest needs: without it they are left out.
check-web: $(PROGRAMS)
	@command -v npm >/dev/null || { echo 'check-web: left out, since there is no npm'; exit 0; }; \
	mkdir -p build/web && npm install --silent --no-save --no-audit --no-fund --prefix build/web sockette@2.0.6 rxjs@7.8.2 \
		@apidevtools/swagger-parser@10.1.1 && \
		COMET_BUILD=$(abspath $(BUILD)) COMET_TEST_MODULES=$(abspath build/web) timeout -k 10 120 $(PYTEST) tests/web -n 2

# A real redis-server, and everything that can go wrong with it.
chaos: $(PROGRAMS) $(CLOCK_LIBRARY) $(BUILD)/tests/herd_load
	@COMET_BUILD=$(abspath $(BUILD)) COMET_TEST_SCALE=$(E2E_SCALE) timeout -k 10 $(CHAOS_SECONDS) \
		$(STILL) $(PYTEST) tests/chaos -n $(CHAOS_WORKERS)

check-deps:
	@scripts/install-deps --check

# The second make sees what `check-deps` has installed.
check: check-deps
	@$(MAKE) --no-print-directory $(if $(findstring -j,$(MAKEFLAGS)),,-j$(CORES)) check-here

# The end-to-end tests come last so that what is read last is their summary.
check-here: check-layers check-unit build-programs
	@$(e2e)

# Every build with every test over every way and in every setting: hours, for nights. .ci/run is the short of it.
check-all:
	@.ci/run --all

# Whether the tests find what is broken on purpose.
check-breaks:
	tests/breaks/run

# `make check` on a Debian 12 that has nothing but make, gcc and git; as root, with debootstrap.
check-clean:
	tests/package/clean-check

$(notdir $(UNIT)): test_%: $(CHECK)/tests/test_%
	timeout -k 5 $(UNIT_SECONDS) $(STILL) $<

# All at once for some minutes, with clients that behave and clients that do not: tests/soak/run --help.
MINUTES ?= 2
soak: $(PROGRAMS) $(FAIL_LIBRARY)
	@COMET_BUILD=$(abspath $(BUILD)) COMET_TEST_SCALE=$(E2E_SCALE) $(STILL) $(PYTHON) -B tests/soak/run --minutes $(MINUTES) $(SOAK)

# Not every way that a test is run over, nor every test in a cluster: those would run the same lines.
coverage:
	@find build/coverage -name '*.gcda' -delete 2>/dev/null; true
	@PYTEST_ADDOPTS="-k 'not tcp-v1 and not wss-v1'" $(MAKE) --no-print-directory SAN=coverage check
	@! command -v redis-server >/dev/null || \
		PYTEST_ADDOPTS="-k 'test_api or faults_cluster or test_metrics or tcp-v2 and (push or room or kick or ops or drain)'" $(MAKE) --no-print-directory SAN=coverage check-cluster
	@tests/coverage/run $(COVERAGE) build/coverage

docs: $(CHECK)/tests/test_docs
	$< --write

# Writes the tables of docs/benchmarks.md; takes about twelve minutes, of which eight are those beside other servers.
RIVALS := $(BUILD)/tests/rival_load $(BUILD)/tests/floor
$(BUILD)/tests/rival_load: tests/bench/rival_load.c tests/bench/rival_wire.c tests/bench/rival_wire.h $(ARCHIVE)
$(BUILD)/tests/floor: tests/bench/floor.c tests/bench/load.h $(ARCHIVE)
$(BUILD)/tests/million_load: tests/bench/million_load.c tests/bench/load.h $(ARCHIVE)
$(BUILD)/tests/herd_load: tests/bench/herd_load.c tests/bench/load.h $(ARCHIVE)
$(RIVALS) $(BUILD)/tests/million_load $(BUILD)/tests/herd_load:
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $(filter-out %.h,$^) $(LDLIBS)

bench: all $(RIVALS)
	tests/bench/run
	@BENCH_WRITE=1 COMET_BUILD=$(abspath $(BUILD)) $(PYTHON) -B tests/bench/rivals

# Those beside other servers alone.
bench-rivals: all $(RIVALS)
	@BENCH_WRITE=1 COMET_BUILD=$(abspath $(BUILD)) $(PYTHON) -B tests/bench/rivals

# A million connections, or CONNECTIONS=N; root may raise the limits of the machine that it needs, and they are put back.
bench-million: all $(BUILD)/tests/million_load
	@COMET_BUILD=$(abspath $(BUILD)) $(PYTHON) -B tests/bench/million

# ---- fuzzing

build/fuzz/fuzz_%: build/fuzz/obj/tests/fuzz/fuzz_%.o build/fuzz/libhouse.a
	$(CC) $(LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(LDLIBS)

# Bytes that nobody wrote, to the program itself. COMET_TEST_FUZZ_SEED=N: the same ones again.
fuzz-network: build-programs
	@COMET_TEST_FUZZ_SECONDS=$(FUZZ_SECONDS) COMET_BUILD=$(abspath $(BUILD)) timeout -k 10 $$((3 * $(FUZZ_SECONDS) + 120)) \
		$(STILL) $(PYTEST) tests/e2e/test_fuzz.py -n 2

fuzz:
	@$(MAKE) --no-print-directory SAN=fuzz CC=clang fuzz-run

# New inputs go to build/fuzz/found; those that taught something are to be copied to the corpus by hand. With -j several run at a
# time, each for its time.
fuzz-run: $(FUZZ_RUNS)
$(FUZZ_RUNS): run/%: build/fuzz/%
	@mkdir -p build/fuzz/found/$*
	@timeout -k 10 $$(($(FUZZ_SECONDS) + 60)) build/fuzz/$* -max_total_time=$(FUZZ_SECONDS) -timeout=10 \
		-rss_limit_mb=1024 -print_final_stats=1 -artifact_prefix=build/fuzz/$*- \
		build/fuzz/found/$* tests/fuzz/corpus/$(*:fuzz_%=%) >build/fuzz/$*.log 2>&1 </dev/null || \
		{ status=$$?; tail -n 60 build/fuzz/$*.log; echo "$* FAILED with $$status; the input: build/fuzz/$*-*"; exit 1; }
	@echo "$*: $$(sed -n 's/^stat::number_of_executed_units: *//p' build/fuzz/$*.log) inputs, no fault"

# ---- reading the code

C_FILES  := $(SOURCES) $(HEADERS) $(wildcard tests/unit/*.[ch] tests/fuzz/*.[ch] tests/bench/*.[ch] tests/shim/*.[ch])
SCRIPTS  := $(shell grep -lE '^\#!.*\bbash' scripts/* tests/package/* tests/*/run .ci/run 2>/dev/null)
READ     := $(filter %.c,$(C_FILES))
TIDY     := $(READ:%=tidy/%)

# Tests run under sanitizers, which see what the analyzer could only guess at. TIDY_NODES: so many states of a function it looks at;
# with a tenth of what is usual it takes a quarter of the time.
TIDY_NODES ?= 225000
TIDY_ARGS  := -Xclang -analyzer-config -Xclang max-nodes=$(TIDY_NODES)
.PHONY: $(TIDY)
$(TIDY): tidy/%:
	@clang-tidy --quiet $(if $(filter tests/%,$*),'--checks=-clang-analyzer-*',$(TIDY_ARGS:%=--extra-arg=%)) $* -- $(CPPFLAGS) $(VERSION_FLAGS) -DLOCK_CHECKS -std=gnu11 $(WARN) -Wthread-safety 2>/dev/null

# clang-tidy says what clang itself has to say, too: the order and use of locks.
lint: check-layers $(TIDY)
	cppcheck --quiet -j$$(nproc) --enable=warning,portability --std=c11 --error-exitcode=1 --inline-suppr \
		--suppress=missingIncludeSystem -I. -D_GNU_SOURCE $(VERSION_FLAGS) $(SOURCES)
	clang-format --dry-run -Werror $(C_FILES)
	for s in $(SCRIPTS); do bash -n $$s || exit 1; done
	if command -v shellcheck >/dev/null; then shellcheck $(SCRIPTS); fi

format:
	clang-format -i $(C_FILES)
