# The client libraries for other programs, each as an archive and as a shared library: one object in which no name is to be seen
# but those of its headers, for both.
#   libcometclient      client/comet_client.h, and nothing but jansson beneath
#   libcometclient-ws   that and client/comet_client_ws.h, on libwebsockets and OpenSSL
# SPDX-License-Identifier: MIT

# Raised by a change that programs which are linked with it could not bear; the versions in the maps and the names of the Debian
# packages libcometclient0 and libcometclient-ws0 go along (tests/e2e/test_comet_c.py).
CLIENT_SO   := $(BUILD)/libcometclient.so.0 $(BUILD)/libcometclient-ws.so.0
CLIENT_LIB  := $(BUILD)/libcometclient.a $(BUILD)/libcometclient-ws.a
CLIENT_OBJS := $(patsubst %,$(BUILD)/client/%.o,client/comet_client client/client client/client_link client/client_tcp client/client_room client/client_rooms client/client_list client/client_answers client/client_said client/comet_client_rooms client/comet_client_keeper client/backlog client/backoff common/wire/packet common/base/clock common/base/err common/base/obj common/base/utf8)
CLIENT_WS_OBJS := $(CLIENT_OBJS) $(patsubst %,$(BUILD)/client/client/%.o,comet_client_ws client_url client_ws client_ws_context client_tls inbox sigpipe)

$(BUILD)/client/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -fPIC -MMD -MP -c -o $@ $<

$(BUILD)/client/libcometclient.o: $(CLIENT_OBJS)
$(BUILD)/client/libcometclient-ws.o: $(CLIENT_WS_OBJS)
$(BUILD)/client/libcometclient.o $(BUILD)/client/libcometclient-ws.o:
	ld -r -o $@ $^
	objcopy --wildcard --keep-global-symbol='comet_client_*' $@

$(CLIENT_LIB): $(BUILD)/%.a: $(BUILD)/client/%.o
	@rm -f $@
	ar rcs $@ $<

$(BUILD)/libcometclient.so.0: client/comet_client.map
$(BUILD)/libcometclient-ws.so.0: client/comet_client_ws.map
# clang gives the names of a sanitizer to programs only.
$(CLIENT_SO): $(BUILD)/%.so.0: $(BUILD)/client/%.o
	$(CC) -shared -Wl,-soname,$(@F) -Wl,--version-script=$(filter %.map,$^) $(if $(SAN),,-Wl,-z,defs) $(filter-out -pie -no-pie -static-libubsan,$(LDFLAGS)) -o $@ $< $(LDLIBS)

# What pkg-config takes from a clone, by PKG_CONFIG_PATH=build. It prefers a file of such a name to an installed one.
CLONE_CONFIGS := $(BUILD)/comet-client-uninstalled.pc $(BUILD)/comet-client-ws-uninstalled.pc
$(CLONE_CONFIGS): $(BUILD)/%-uninstalled.pc: client/%.pc.in
	@mkdir -p $(@D)
	@{ grep -e ^Name -e ^Desc $<; echo 'Version: $(VERSION)'; sed -n 's/^Requires.private/Requires/p' $<; echo 'Cflags: -I$(CURDIR)/client'; \
		echo "Libs: $(abspath $(BUILD))/lib$(subst comet-client,cometclient,$*).a $$(sed -n 's/^Libs.private: //p' $<)"; } >$@.$$$$ && mv $@.$$$$ $@
