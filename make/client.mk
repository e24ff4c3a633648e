# libcometclient.a: client/comet_client.h for other programs. One object in which no other name of ours is to be seen, and which
# may go into a shared library, too.
# SPDX-License-Identifier: MIT

CLIENT_LIB := $(BUILD)/libcometclient.a
CLIENT_OBJS := $(patsubst %,$(BUILD)/client/%.o,client/comet_client client/client client/backoff common/wire/packet common/base/clock common/base/err common/base/obj)

$(BUILD)/client/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -fPIC -MMD -MP -c -o $@ $<

$(CLIENT_LIB): $(CLIENT_OBJS)
	ld -r -o $(BUILD)/client/all.o $^
	objcopy --wildcard --keep-global-symbol='comet_client_*' $(BUILD)/client/all.o
	@rm -f $@
	ar rcs $@ $(BUILD)/client/all.o
