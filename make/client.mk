# libcometclient: client/comet_client.h for other programs, as an archive and as a shared library. One object in which no other
# name of ours is to be seen, for both.
# SPDX-License-Identifier: MIT

# Raised by a change that programs which are linked with it could not bear; COMET_CLIENT_0 in the map and the Debian package
# libcometclient0 go along (tests/e2e/test_comet_c.py).
CLIENT_SO  := $(BUILD)/libcometclient.so.0
CLIENT_LIB := $(BUILD)/libcometclient.a
CLIENT_ALL := $(BUILD)/client/all.o
CLIENT_MAP := client/comet_client.map
CLIENT_OBJS := $(patsubst %,$(BUILD)/client/%.o,client/comet_client client/client client/client_link client/client_tcp client/backoff common/wire/packet common/base/clock common/base/err common/base/obj)

$(BUILD)/client/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -fPIC -MMD -MP -c -o $@ $<

$(CLIENT_ALL): $(CLIENT_OBJS)
	ld -r -o $@ $^
	objcopy --wildcard --keep-global-symbol='comet_client_*' $@

$(CLIENT_LIB): $(CLIENT_ALL)
	@rm -f $@
	ar rcs $@ $^

# clang gives the names of a sanitizer to programs only.
$(CLIENT_SO): $(CLIENT_ALL) $(CLIENT_MAP)
	$(CC) -shared -Wl,-soname,$(@F) -Wl,--version-script=$(CLIENT_MAP) $(if $(SAN),,-Wl,-z,defs) $(filter-out -pie,$(LDFLAGS)) -o $@ $< $(LDLIBS)
