# Comet: make run | make check | make help.  Objects and programs go to build/, nothing else is written.
#   SAN=address | thread   sanitizer builds, in build/address and build/thread
#   CC=clang               any C11 compiler that knows GNU extensions
# SPDX-License-Identifier: MIT

SHELL   := /bin/bash
CC      ?= cc
PYTHON  ?= /usr/bin/python3
BUILD   ?= build$(if $(SAN),/$(SAN))
PREFIX  ?= /usr/local
# Both words of scripts/version; SOURCE_VERSION gives them where the source has come without its history.
SAYS    := $(or $(SOURCE_VERSION),$(shell scripts/version))
VERSION := $(word 1,$(SAYS))
COMMIT  := $(word 2,$(SAYS))

PACKAGES := libwebsockets hiredis openssl jansson inih libcurl zlib
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
CPPFLAGS := -I. -D_GNU_SOURCE $(PKG_CFLAGS) $(CPPFLAGS)
# A sanitizer names functions and lines; who wants variables, too, in a debugger: CFLAGS=-g in the environment.
CFLAGS  := -std=gnu11 $(if $(SAN),-g1,-g) $(OPT) $(WARN) $(HARDEN) $(SAME) -pthread $(CFLAGS)
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
# A test starts a program, and what a start costs is paid some thousand times: at its end zeros of a second library are looked at for
# leaks, and a program that may lie anywhere has all tables of its variables written first. clang has no such library.
ifeq ($(SAN),address)
LDFLAGS  := $(LDFLAGS:-pie=-no-pie) $(if $(findstring clang,$(CC)),,-static-libubsan)
endif
endif

# Every program links the same archive; its main.c is what differs.
WINGS    := common cluster client comet logic_client logic cli bench
SOURCES  := $(sort $(shell find $(WINGS) -name '*.c'))
HEADERS  := $(sort $(shell find $(WINGS) -name '*.h'))
MAINS    := comet/main.c logic/main.c cli/main.c
HOUSE    := $(filter-out $(MAINS) $(if $(filter fuzz,$(SAN)),cli/% bench/%),$(SOURCES))
ARCHIVE  := $(BUILD)/libhouse.a
PROGRAMS := $(if $(wildcard comet/main.c),$(BUILD)/comet) $(if $(wildcard logic/main.c),$(BUILD)/comet-logic) \
            $(if $(wildcard cli/main.c),$(BUILD)/comet-cli)

# Unit tests want the lock order checked. The sanitizer builds check it anyway; beside the plain build, which is the one
# to ship, they get a build of their own.
CHECK    := $(if $(SAN),$(BUILD),$(BUILD)/check)

.DEFAULT_GOAL := all
include make/client.mk make/check.mk make/install.mk

.PHONY: all run deps clean help
all: $(PROGRAMS) $(CLIENT_LIB) $(CLIENT_SO) $(CLONE_CONFIGS)

help:
	@echo 'make run        install what is missing, build, start comet alone; ARGS="-o section.key=value" goes to it'
	@echo 'make            build comet, comet-logic and comet-cli in build/'
	@echo 'make check      installs what is missing, all tests; SAN=address or SAN=thread for a sanitizer build'
	@echo 'make check-all  every build with every test over every way; hours, for nights'
	@echo 'make check-threads   the end-to-end tests with protocol.park=off'
	@echo 'make check-plain     the end-to-end tests with protocol.baton=off'
	@echo 'make check-deflate   those over WebSocket with compression'
	@echo 'make check-cluster   the end-to-end tests with logic behind Redis'
	@echo 'make check-monitoring   of those, what examples/monitoring promises; needs the Debian package prometheus'
	@echo 'make check-browser   the console in Chromium; SCREENSHOTS=folder keeps pictures'
	@echo 'make check-web   libraries of npm that reconnect by themselves; needs npm'
	@echo 'make chaos      what Redis, logics and comets that break do to pushes; needs redis-server'
	@echo 'make test_NAME  one unit test, tests/unit/test_NAME.c'
	@echo 'make soak       good and hostile clients and calls that fail, all at once, for MINUTES=2; SOAK=--cluster: a cluster'
	@echo 'make coverage   which lines the tests run, by file'
	@echo 'make fuzz       each fuzz target for FUZZ_SECONDS=30'
	@echo 'make fuzz-network   the program itself, over WebSocket, for FUZZ_SECONDS=30; with SAN=address it finds most'
	@echo 'make bench      measure, and write the tables of docs/benchmarks.md'
	@echo 'make bench-rivals   the part of it beside mosquitto, NATS and nchan, those of them that are installed'
	@echo 'make bench-million   a million connections, or CONNECTIONS=N, both ends on this machine'
	@echo 'make lint       clang -Wthread-safety, clang-tidy, cppcheck, format, layers, scripts'
	@echo 'make format     clang-format in place'
	@echo 'make docs       rewrite the tables in docs/ that come from the .def files'
	@echo 'make install    PREFIX=/usr/local DESTDIR=; make uninstall takes it away'
	@echo 'make deb        the Debian packages in build/; make check-deb installs them on a clean root (as root, with debootstrap)'
	@echo 'make check-clean   make check on a Debian 12 that has nothing but make, gcc and git (as root, with debootstrap)'
	@echo 'make check-breaks   each patch of tests/breaks breaks the house, and a test has to find it'
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

# The same of the schemas of bodies and answers.
$(foreach build,$(sort $(BUILD) $(CHECK)),$(build)/obj/logic/api_openapi.o): logic/api_schemas.json

# The same of what runs inside Redis (cluster/script.def).
$(foreach build,$(sort $(BUILD) $(CHECK)),$(build)/obj/cluster/script.o): $(wildcard cluster/lua/*.lua)

# One file is compiled again when there is a new commit, and no other is.
VERSION_FILE  := $(BUILD)/version
VERSION_FLAGS := -DCOMET_VERSION='"$(VERSION)"' -DCOMET_COMMIT='"$(COMMIT)"'
ifneq ($(SAYS),$(shell cat $(VERSION_FILE) 2>/dev/null))
$(shell mkdir -p $(BUILD) && echo '$(SAYS)' >$(VERSION_FILE))
endif
VERSION_OBJS  := $(foreach build,$(sort $(BUILD) $(CHECK)),$(build)/obj/common/base/version.o)
$(VERSION_OBJS): $(VERSION_FILE)
$(VERSION_OBJS): CPPFLAGS += $(VERSION_FLAGS)

clean:
	rm -rf build

# So that make does not delete objects it made on the way to a test.
.SECONDARY:

-include $(shell find $(BUILD)/obj $(BUILD)/client $(CHECK)/obj -name '*.d' 2>/dev/null)
