# Comet: make run | make check | make help.  Objects and programs go to build/, nothing else is written.
#   SAN=address | thread   sanitizer builds, in build/address and build/thread
#   CC=clang               any C11 compiler that knows GNU extensions
# SPDX-License-Identifier: MIT

SHELL   := /bin/bash
CC      ?= cc
PYTHON  ?= /usr/bin/python3
BUILD   ?= build$(if $(SAN),/$(SAN))
PREFIX  ?= /usr/local
VERSION := 0.1.0
COMMIT  := $(shell git rev-parse --short HEAD 2>/dev/null || echo unknown)

PACKAGES := libwebsockets libmicrohttpd gnutls hiredis openssl jansson inih libxxhash libcurl
# A clone with nothing installed must still be able to run `make deps`, so a missing package is no error here.
PKG_CFLAGS := $(shell pkg-config --cflags $(PACKAGES) 2>/dev/null)
PKG_LIBS   := $(shell pkg-config --libs $(PACKAGES) 2>/dev/null)

WARN    := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla \
           -Wformat=2 -Wundef
MACHINE := $(shell uname -m)
OPT     ?= -O2
# Sanitizers have checks of their own where _FORTIFY_SOURCE has its, and that needs an optimizer.
FORTIFY := $(if $(SAN)$(findstring -O0,$(OPT)),,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
BRANCHES_x86_64  := -fcf-protection=full
BRANCHES_aarch64 := -mbranch-protection=standard
HARDEN  := -fstack-protector-strong -fstack-clash-protection $(BRANCHES_$(MACHINE)) $(FORTIFY) -fPIE -fno-strict-aliasing
# Two builds of one commit are the same bytes, wherever they are made: no path of this machine gets in.
SAME    := -ffile-prefix-map=$(CURDIR)=.
CPPFLAGS := -I. -D_GNU_SOURCE -DCOMET_VERSION='"$(VERSION)"' -DCOMET_COMMIT='"$(COMMIT)"' $(PKG_CFLAGS) $(CPPFLAGS)
CFLAGS  := -std=gnu11 -g $(OPT) $(WARN) $(HARDEN) $(SAME) -pthread $(CFLAGS)
LDFLAGS := -pie -Wl,--as-needed,-z,relro,-z,now,-z,noexecstack -pthread $(LDFLAGS)
LDLIBS  := $(PKG_LIBS)

ifdef SAN
SAN_FLAGS_address := -fsanitize=address,undefined -fno-sanitize-recover=undefined
SAN_FLAGS_thread  := -fsanitize=thread
SAN_FLAGS_fuzz    := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
# No sanitizer, but a build of its own as well.
SAN_FLAGS_coverage := --coverage -fprofile-update=atomic
SAN_FLAGS := $(SAN_FLAGS_$(SAN))
ifndef SAN_FLAGS
$(error SAN is address or thread, or coverage)
endif
CPPFLAGS += -DLOCK_CHECKS
CFLAGS   += -O1 -fno-omit-frame-pointer $(SAN_FLAGS)
LDFLAGS  += $(SAN_FLAGS)
endif

# Every program links the same archive; its main.c is what differs.
WINGS    := common client comet logic_client logic cli bench
SOURCES  := $(sort $(shell find $(WINGS) -name '*.c'))
HEADERS  := $(sort $(shell find $(WINGS) -name '*.h'))
MAINS    := comet/main.c logic/main.c cli/main.c
HOUSE    := $(filter-out $(MAINS),$(SOURCES))
ARCHIVE  := $(BUILD)/libhouse.a
PROGRAMS := $(if $(wildcard comet/main.c),$(BUILD)/comet) $(if $(wildcard logic/main.c),$(BUILD)/comet-logic) \
            $(if $(wildcard cli/main.c),$(BUILD)/comet-cli)

CLIENT_LIB := $(BUILD)/libcometclient.a

# Unit tests want the lock order checked. The sanitizer builds check it anyway; beside the plain build, which is the one
# to ship, they get a build of their own.
CHECK         := $(if $(SAN),$(BUILD),$(BUILD)/check)
CHECK_ARCHIVE := $(CHECK)/libhouse.a
UNIT_SOURCES  := $(wildcard tests/unit/test_*.c)
UNIT          := $(UNIT_SOURCES:tests/unit/%.c=$(CHECK)/tests/%)
# What the tests share: seam.c, and the fakes that stand in for sockets and for logic.
UNIT_SHARED   := $(patsubst %.c,$(CHECK)/obj/%.o,$(filter-out $(UNIT_SOURCES),$(wildcard tests/unit/*.c)))
# What tests may make fail: tests/unit/seam.h.
SEAMS         := malloc calloc realloc reallocarray strdup clock_now_ns clock_wall_ms pthread_create accept4 recv \
                 sendmsg mmap mmap64 madvise mprotect setsockopt
UNIT_LINK     := $(SEAMS:%=-Wl,--wrap=%) -lcmocka

# What the end-to-end tests preload to make calls fail; sanitizers have their own memory, so for them only other calls fail.
FAIL_LIBRARY := $(BUILD)/libfail.so
FAIL_FLAGS   := $(if $(filter-out coverage,$(SAN)),-DFAIL_NO_MEMORY)

FUZZ_SOURCES := $(wildcard tests/fuzz/fuzz_*.c)
FUZZERS      := $(FUZZ_SOURCES:tests/fuzz/%.c=build/fuzz/%)
FUZZ_SECONDS ?= 30

# How long a whole run may take before it counts as hung: sanitizers are slow.
UNIT_SECONDS := $(if $(SAN),120,60)
E2E_SECONDS  := $(if $(SAN),1500,900)
BROWSER_SECONDS := 600
CHAOS_SECONDS := $(if $(SAN),900,400)
# Load that the end-to-end tests make: sanitizers are ten times as slow, and TSan knows 8,128 threads at most.
E2E_SCALE    := $(if $(SAN),0.1,1)
# Most of these tests wait for a deadline, so several may wait at a time; sanitized programs want the cores.
E2E_WORKERS  ?= $(if $(SAN),2,4)
# A house of three comets is many programs: more of them at a time would only wait for each other.
CHAOS_WORKERS ?= 2
# The sanitizer of threads wants the addresses that it was built for, which some kernels shuffle too far.
STILL := $(if $(filter thread,$(SAN)),$(shell setarch -R true 2>/dev/null && echo setarch -R))
export ASAN_OPTIONS  ?= detect_stack_use_after_return=1:strict_string_checks=1:quarantine_size_mb=32
export UBSAN_OPTIONS ?= print_stacktrace=1
export TSAN_OPTIONS  ?= second_deadlock_stack=1
# Threads that give way at random around locks: common/base/lock.c. Another run gets another seed.
export LOCK_YIELDS   ?= $(if $(filter thread coverage,$(SAN)),$(shell echo $$((RANDOM + 1))))

.PHONY: all run deps check check-layers check-unit check-e2e check-plain check-cluster check-monitoring check-browser chaos soak coverage docs bench fuzz fuzz-run lint format install uninstall deb check-deb check-reproducible clean help \
        $(notdir $(UNIT))
all: $(PROGRAMS) $(CLIENT_LIB)

help:
	@echo 'make run        install what is missing, build, start comet alone; ARGS="-o section.key=value" goes to it'
	@echo 'make            build comet, comet-logic and comet-cli in build/'
	@echo 'make check      all tests; SAN=address or SAN=thread for a sanitizer build'
	@echo 'make check-plain     the end-to-end tests with protocol.baton=off'
	@echo 'make check-cluster   the end-to-end tests with logic behind Redis'
	@echo 'make check-monitoring   of those, what examples/monitoring promises; needs the Debian package prometheus'
	@echo 'make check-browser   the console in Chromium; SCREENSHOTS=folder keeps pictures'
	@echo 'make chaos      what Redis, logics and comets that break do to pushes; needs redis-server'
	@echo 'make test_NAME  one unit test, tests/unit/test_NAME.c'
	@echo 'make soak       good and hostile clients and calls that fail, all at once, for MINUTES=2; SOAK=--cluster: a cluster'
	@echo 'make coverage   which lines the tests run, by file'
	@echo 'make fuzz       each fuzz target for FUZZ_SECONDS=30'
	@echo 'make bench      measure, and write the tables of docs/benchmarks.md'
	@echo 'make lint       clang -Wthread-safety, clang-tidy, cppcheck, format, layers, scripts'
	@echo 'make format     clang-format in place'
	@echo 'make docs       rewrite the tables in docs/ that come from the .def files'
	@echo 'make install    PREFIX=/usr/local DESTDIR=; make uninstall takes it away'
	@echo 'make deb        a Debian package in build/; make check-deb installs it on a clean root (as root, with debootstrap)'
	@echo 'make check-reproducible   two builds of the commit in different folders give the same bytes'
	@echo 'make clean      remove build/'

deps:
	@scripts/install-deps

# The second make sees what `deps` has installed.
run: deps
	@[ -x $(BUILD)/comet ] || echo 'building, which takes less than a minute'
	@$(MAKE) --no-print-directory -s -j$$(nproc) all
	@exec $(BUILD)/comet $(ARGS)

# ---- building

$(BUILD)/comet: $(BUILD)/obj/comet/main.o $(ARCHIVE)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)
$(BUILD)/comet-logic: $(BUILD)/obj/logic/main.o $(ARCHIVE)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)
$(BUILD)/comet-cli: $(BUILD)/obj/cli/main.o $(ARCHIVE)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(ARCHIVE): $(HOUSE:%.c=$(BUILD)/obj/%.o)
	@rm -f $@
	ar rcs $@ $^

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# The page's files, which the assembler puts into this object (logic/console.def); the compiler does not list them.
PAGE := $(wildcard logic/console/*) $(addprefix examples/web/,comet.js chat.html chat.css chat.js)
$(foreach build,$(sort $(BUILD) $(CHECK)),$(build)/obj/logic/api_console.o): $(PAGE)

# libcometclient.a: client/comet_client.h for other programs. One object in which no other name of ours is to be seen, and which
# may go into a shared library, too.
CLIENT_OBJS := $(patsubst %,$(BUILD)/client/%.o,client/comet_client client/client client/backoff common/wire/packet common/base/clock common/base/err common/base/obj)

$(BUILD)/client/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -fPIC -MMD -MP -c -o $@ $<

$(CLIENT_LIB): $(CLIENT_OBJS)
	ld -r -o $(BUILD)/client/all.o $^
	objcopy --wildcard --keep-global-symbol='comet_client_*' $(BUILD)/client/all.o
	@rm -f $@
	ar rcs $@ $(BUILD)/client/all.o

# What shows the commit is built again when there is a new one, and nothing else is.
COMMIT_FILE := $(BUILD)/commit
ifneq ($(COMMIT),$(shell cat $(COMMIT_FILE) 2>/dev/null))
$(shell mkdir -p $(BUILD) && echo $(COMMIT) >$(COMMIT_FILE))
endif
SHOW_COMMIT := $(if $(SOURCES),$(shell grep -l COMET_COMMIT $(SOURCES) $(UNIT_SOURCES)))
$(foreach build,$(sort $(BUILD) $(CHECK)),$(SHOW_COMMIT:%.c=$(build)/obj/%.o)): $(COMMIT_FILE)

# ---- testing

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

$(BUILD)/libfail.so: tests/shim/fail.c tests/shim/fail.def
	@mkdir -p $(@D)
	$(CC) -I. -D_GNU_SOURCE -std=gnu11 -g -O2 $(WARN) $(FAIL_FLAGS) -fPIC -pthread -shared -o $@ $<

check-layers:
	@scripts/check-layers

check-unit: $(UNIT)
	@$(STILL) tests/unit/run $(UNIT_SECONDS) $(UNIT)

# What a run failed is remembered in build/, so that .ci/run can look at it alone: PYTEST_ADDOPTS=--lf.
# -rfEs: of those that were skipped the reason is read, too.
PYTEST = $(PYTHON) -B -m pytest -q -rfEs -o cache_dir=$(abspath $(BUILD))/pytest/$@

define e2e
COMET_BUILD=$(abspath $(BUILD)) COMET_TEST_SCALE=$(E2E_SCALE) timeout -k 10 $(E2E_SECONDS) \
	$(STILL) $(PYTEST) tests/e2e -n $(E2E_WORKERS)
endef

check-e2e: all $(FAIL_LIBRARY)
	@$(e2e)

# The same tests with every message waking its dispatcher: two threads a connection in their pure form.
check-plain: all $(FAIL_LIBRARY)
	@COMET_TEST_SETTINGS=protocol.baton=off $(e2e)

# The same tests against a comet whose logic is behind Redis. Left out: those of comet-cli, of the client libraries, of documents
# and of the package, which know nothing of logic, and one that stops the comet to see how its API ends; tests/chaos has that of
# comet-logic.
check-cluster: all $(FAIL_LIBRARY)
	@COMET_TEST_HOUSE=cluster $(e2e) $(patsubst %,--ignore=%,$(wildcard tests/e2e/test_cli*.py tests/e2e/test_comet_*.py \
			tests/e2e/test_*doc*.py tests/e2e/test_package.py)) \
		--deselect tests/e2e/test_drain.py::test_back_end_that_waits_for_packets_is_answered_and_holds_nothing_up

# Part of check-e2e: examples/monitoring against a real Prometheus.
check-monitoring: $(PROGRAMS)
	@$(subst tests/e2e,tests/e2e/test_monitoring.py,$(e2e))

# The console, by a real browser.
check-browser: $(PROGRAMS)
	@COMET_BUILD=$(abspath $(BUILD)) $(if $(SCREENSHOTS),COMET_TEST_SCREENSHOTS=$(abspath $(SCREENSHOTS))) \
		timeout -k 10 $(BROWSER_SECONDS) $(PYTEST) tests/browser -n 2

# A real redis-server, and everything that can go wrong with it.
chaos: $(PROGRAMS)
	@COMET_BUILD=$(abspath $(BUILD)) COMET_TEST_SCALE=$(E2E_SCALE) timeout -k 10 $(CHAOS_SECONDS) \
		$(STILL) $(PYTEST) tests/chaos -n $(CHAOS_WORKERS)

# The end-to-end tests come last so that what is read last is their summary.
check: check-layers check-unit all $(FAIL_LIBRARY)
	@$(e2e)

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

# Writes the tables of docs/benchmarks.md; takes about four minutes.
bench: all
	tests/bench/run

# ---- fuzzing

build/fuzz/fuzz_%: build/fuzz/obj/tests/fuzz/fuzz_%.o build/fuzz/libhouse.a
	$(CC) $(LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(LDLIBS)

fuzz:
	@$(MAKE) --no-print-directory SAN=fuzz CC=clang fuzz-run

# New inputs go to build/fuzz/found; those that taught something are to be copied to the corpus by hand.
fuzz-run: $(FUZZERS)
	@for f in $(notdir $(FUZZERS)); do \
		mkdir -p build/fuzz/found/$$f; \
		timeout -k 10 $$(($(FUZZ_SECONDS) + 60)) build/fuzz/$$f -max_total_time=$(FUZZ_SECONDS) -timeout=10 \
			-rss_limit_mb=1024 -print_final_stats=1 -artifact_prefix=build/fuzz/$$f- \
			build/fuzz/found/$$f tests/fuzz/corpus/$${f#fuzz_} >build/fuzz/$$f.log 2>&1 </dev/null || \
			{ tail -n 60 build/fuzz/$$f.log; echo "$$f FAILED; the input: build/fuzz/$$f-*"; exit 1; }; \
		echo "$$f: $$(sed -n 's/^stat::number_of_executed_units: *//p' build/fuzz/$$f.log) inputs, no fault"; \
	done

# ---- reading the code

C_FILES  := $(SOURCES) $(HEADERS) $(wildcard tests/unit/*.[ch] tests/fuzz/*.[ch] tests/bench/*.[ch] tests/shim/*.[ch])
SCRIPTS  := $(shell grep -lE '^\#!.*\bbash' scripts/* tests/package/* .ci/run tests/unit/run 2>/dev/null)
READ     := $(filter %.c,$(C_FILES))
TIDY     := $(READ:%=tidy/%)

.PHONY: $(TIDY)
$(TIDY): tidy/%:
	@clang-tidy --quiet $* -- $(CPPFLAGS) -DLOCK_CHECKS -std=gnu11 2>/dev/null

lint: check-layers $(TIDY)
	clang -fsyntax-only -Wthread-safety $(CPPFLAGS) -DLOCK_CHECKS $(CFLAGS) $(READ)
	cppcheck --quiet -j$$(nproc) --enable=warning,portability --std=c11 --error-exitcode=1 --inline-suppr \
		--suppress=missingIncludeSystem -I. -D_GNU_SOURCE -DCOMET_VERSION='""' \
		-DCOMET_COMMIT='""' $(SOURCES)
	clang-format --dry-run -Werror $(C_FILES)
	for s in $(SCRIPTS); do bash -n $$s || exit 1; done
	if command -v shellcheck >/dev/null; then shellcheck $(SCRIPTS); fi

format:
	clang-format -i $(C_FILES)

# ---- installing

# Into the system's own places for PREFIX=/usr, below PREFIX for others.
SYSCONFDIR     ?= $(if $(filter /usr,$(PREFIX)),/etc,$(PREFIX)/etc)
UNITDIR        ?= $(if $(filter /usr,$(PREFIX)),/lib,$(PREFIX)/lib)/systemd/system
COMPLETION_DIR := $(PREFIX)/share/bash-completion/completions
DOC_DIR        := $(PREFIX)/share/doc/comet
MAN_DIR        := $(PREFIX)/share/man
EXAMPLES       := $(shell find examples -type f -not -path 'examples/systemd/*' -not -path '*/node_modules/*' -not -name '*.pyc' 2>/dev/null)
MANUALS        := $(wildcard docs/man/*.[1-9]) $(BUILD)/comet-cli.1
UNITS          := comet.service comet-logic.service
CLIENT_FILES   := include/comet_client.h lib/libcometclient.a lib/pkgconfig/comet-client.pc
INSTALLED      := $(addprefix $(PREFIX)/bin/,$(notdir $(PROGRAMS))) $(addprefix $(PREFIX)/,$(CLIENT_FILES)) $(addprefix $(UNITDIR)/,$(UNITS)) \
                  $(COMPLETION_DIR)/comet-cli $(foreach m,$(notdir $(MANUALS)),$(MAN_DIR)/man$(patsubst .%,%,$(suffix $(m)))/$(m))

$(BUILD)/comet-cli.1: scripts/man-cli docs/man/comet-cli.1.in $(BUILD)/comet-cli
	scripts/man-cli $(BUILD)/comet-cli >$@.$$$$ && mv $@.$$$$ $@

# A configuration that is there stays as it is.
install: all $(BUILD)/comet-cli.1
	install -d $(addprefix $(DESTDIR),$(PREFIX)/bin $(DOC_DIR)/docs $(UNITDIR) $(COMPLETION_DIR) $(SYSCONFDIR)/comet)
	install -m 755 $(PROGRAMS) $(DESTDIR)$(PREFIX)/bin
	install -D -m 644 client/comet_client.h $(DESTDIR)$(PREFIX)/include/comet_client.h
	install -D -m 644 $(CLIENT_LIB) $(DESTDIR)$(PREFIX)/lib/libcometclient.a
	install -d $(DESTDIR)$(PREFIX)/lib/pkgconfig
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(VERSION)|' client/comet-client.pc.in \
		>$(DESTDIR)$(PREFIX)/lib/pkgconfig/comet-client.pc
	for m in $(MANUALS); do install -D -m 644 $$m $(DESTDIR)$(MAN_DIR)/man$${m##*.}/$${m##*/} || exit 1; done
	for u in $(UNITS); do sed -e 's|@BINDIR@|$(PREFIX)/bin|' -e 's|@SYSCONFDIR@|$(SYSCONFDIR)|' examples/systemd/$$u \
		>$(DESTDIR)$(UNITDIR)/$$u && chmod 644 $(DESTDIR)$(UNITDIR)/$$u || exit 1; done
	install -m 644 cli/comet-cli.bash $(DESTDIR)$(COMPLETION_DIR)/comet-cli
	test -e $(DESTDIR)$(SYSCONFDIR)/comet/comet.conf || \
		install -m 640 examples/comet.conf $(DESTDIR)$(SYSCONFDIR)/comet/comet.conf
	install -m 644 LICENSE README.md $(DESTDIR)$(DOC_DIR)
	install -m 644 $(wildcard docs/*.md) $(DESTDIR)$(DOC_DIR)/docs
	for e in $(EXAMPLES); do install -D -m 644 $$e $(DESTDIR)$(DOC_DIR)/$$e || exit 1; done

# The configuration stays.
uninstall:
	rm -f $(addprefix $(DESTDIR),$(INSTALLED))
	rm -rf $(DESTDIR)$(DOC_DIR)

# build/comet_VERSION_ARCHITECTURE.deb
deb: all $(BUILD)/comet-cli.1
	VERSION=$(VERSION) scripts/deb $(BUILD)

# Installs the package on a new Debian 12 of its own, runs it there, and boots it; root, debootstrap, systemd-container, and a
# minute or two.
check-deb: deb
	tests/package/clean-root $(BUILD)/comet_*.deb

# Of the commit that is checked out; two builds' time.
check-reproducible:
	tests/package/reproducible

clean:
	rm -rf build

# So that make does not delete objects it made on the way to a test.
.SECONDARY:

-include $(shell find $(BUILD)/obj $(BUILD)/client $(CHECK)/obj -name '*.d' 2>/dev/null)
