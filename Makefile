# Comet: make run | make check | make help.  Objects and programs go to build/, nothing else is written.
#   SAN=address | thread   sanitizer builds, in build/address and build/thread
#   CC=clang               any C11 compiler that knows GNU extensions

SHELL   := /bin/bash
CC      ?= cc
PYTHON  ?= /usr/bin/python3
BUILD   ?= build$(if $(SAN),/$(SAN))
PREFIX  ?= /usr/local
VERSION := 0.1.0
COMMIT  := $(shell git rev-parse --short HEAD 2>/dev/null || echo unknown)

PACKAGES := libwebsockets hiredis openssl jansson inih libxxhash
# A clone with nothing installed must still be able to run `make deps`, so a missing package is no error here.
PKG_CFLAGS := $(shell pkg-config --cflags $(PACKAGES) 2>/dev/null)
PKG_LIBS   := $(shell pkg-config --libs $(PACKAGES) 2>/dev/null)

WARN    := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla \
           -Wformat=2 -Wundef
HARDEN  := -fstack-protector-strong -fPIE -fno-strict-aliasing
OPT     ?= -O2
CPPFLAGS := -I. -D_GNU_SOURCE -DCOMET_VERSION='"$(VERSION)"' -DCOMET_COMMIT='"$(COMMIT)"' $(PKG_CFLAGS) $(CPPFLAGS)
CFLAGS  := -std=gnu11 -g $(OPT) $(WARN) $(HARDEN) -pthread $(CFLAGS)
LDFLAGS := -pie -Wl,-z,relro,-z,now -pthread $(LDFLAGS)
LDLIBS  := $(PKG_LIBS)

ifdef SAN
CPPFLAGS += -DLOCK_CHECKS
OPT      := -O1
CFLAGS   += -fno-omit-frame-pointer
ifeq ($(SAN),address)
CFLAGS   += -fsanitize=address,undefined -fno-sanitize-recover=undefined
LDFLAGS  += -fsanitize=address,undefined
else ifeq ($(SAN),thread)
CFLAGS   += -fsanitize=thread
LDFLAGS  += -fsanitize=thread
else
$(error SAN is address or thread)
endif
endif

# Every program links the same archive; its main.c is what differs.
SOURCES  := $(wildcard common/*.c comet/*.c comet/transport/*.c logic_client/*.c logic/*.c cli/*.c)
MAINS    := comet/main.c logic/main.c cli/main.c
HOUSE    := $(filter-out $(MAINS),$(SOURCES))
OBJECTS  := $(HOUSE:%.c=$(BUILD)/obj/%.o)
ARCHIVE  := $(BUILD)/libhouse.a
PROGRAMS := $(if $(wildcard comet/main.c),$(BUILD)/comet) $(if $(wildcard logic/main.c),$(BUILD)/comet-logic) \
            $(if $(wildcard cli/main.c),$(BUILD)/comet-cli)

UNIT       := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(wildcard tests/unit/test_*.c))
UNIT_SEAM  := $(BUILD)/obj/tests/unit/seam.o
# What tests may make fail: tests/unit/seam.h.
SEAMS      := malloc calloc realloc reallocarray strdup clock_now_ns clock_wall_ms pthread_create accept4 recv sendmsg \
              mmap madvise setsockopt
UNIT_LINK  := $(SEAMS:%=-Wl,--wrap=%) -lcmocka

.PHONY: all run check check-unit check-e2e lint format install uninstall deps clean help
all: $(PROGRAMS)

help:
	@echo 'make run      install what is missing, build, start comet alone'
	@echo 'make check    all tests; SAN=address or SAN=thread for a sanitizer build'
	@echo 'make lint     clang -Wthread-safety, clang-tidy, cppcheck, format, layers'
	@echo 'make format   clang-format in place'
	@echo 'make install  PREFIX=/usr/local DESTDIR='
	@echo 'make clean    remove build/'

deps:
	@scripts/install-deps

$(ARCHIVE): $(OBJECTS)
	@rm -f $@
	ar rcs $@ $^

$(BUILD)/comet: $(BUILD)/obj/comet/main.o $(ARCHIVE)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)
$(BUILD)/comet-logic: $(BUILD)/obj/logic/main.o $(ARCHIVE)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)
$(BUILD)/comet-cli: $(BUILD)/obj/cli/main.o $(ARCHIVE)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/tests/%: $(BUILD)/obj/tests/unit/%.o $(UNIT_SEAM) $(ARCHIVE)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS) $(UNIT_LINK)

# So that make does not delete objects it made on the way to a test.
.SECONDARY:

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
