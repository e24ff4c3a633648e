# Installing, and the Debian package.
# SPDX-License-Identifier: MIT

.PHONY: install uninstall deb check-deb check-reproducible

# Into the system's own places for PREFIX=/usr, below PREFIX for others.
SYSCONFDIR     ?= $(if $(filter /usr,$(PREFIX)),/etc,$(PREFIX)/etc)
UNITDIR        ?= $(if $(filter /usr,$(PREFIX)),/lib,$(PREFIX)/lib)/systemd/system
LIBDIR         ?= $(PREFIX)/lib
# The user, which systemd-sysusers makes, and what the kernel is told at each boot; 10: before the files of administrators.
SYSUSERS       := $(PREFIX)/lib/sysusers.d/comet.conf
SYSCTL         := $(PREFIX)/lib/sysctl.d/10-comet.conf
# Each shell's completion of comet-cli; Debian has a folder of its own for zsh.
BASH_COMPLETION := $(PREFIX)/share/bash-completion/completions/comet-cli
ZSH_COMPLETION  := $(PREFIX)/share/zsh/$(if $(filter /usr,$(PREFIX)),vendor-completions,site-functions)/_comet-cli
FISH_COMPLETION := $(PREFIX)/share/fish/vendor_completions.d/comet-cli.fish
# Scripts that are worth having on a machine without the source.
TOOLS          := tune-host cluster
DOC_DIR        := $(PREFIX)/share/doc/comet
MAN_DIR        := $(PREFIX)/share/man
EXAMPLES       := $(shell find examples -type f -not -path 'examples/systemd/*' -not -path '*/node_modules/*' -not -name '*.pyc' 2>/dev/null)
MANUALS        := $(wildcard docs/man/*.[1-9]) $(BUILD)/comet-cli.1
UNITS          := comet.service comet-logic.service
CLIENT_HEADERS := client/comet_client.h client/comet_client_ws.h
CLIENT_CONFIGS := comet-client.pc comet-client-ws.pc
CLIENT_FILES   := $(addprefix $(PREFIX)/include/,$(notdir $(CLIENT_HEADERS))) \
                  $(addprefix $(LIBDIR)/,$(notdir $(CLIENT_LIB) $(CLIENT_SO) $(CLIENT_SO:.0=)) $(CLIENT_CONFIGS:%=pkgconfig/%))
INSTALLED      := $(addprefix $(PREFIX)/bin/,$(notdir $(PROGRAMS))) $(CLIENT_FILES) $(addprefix $(UNITDIR)/,$(UNITS)) $(SYSUSERS) $(SYSCTL) \
                  $(BASH_COMPLETION) $(ZSH_COMPLETION) $(FISH_COMPLETION) $(TOOLS:%=$(PREFIX)/share/comet/%) $(foreach m,$(notdir $(MANUALS)),$(MAN_DIR)/man$(patsubst .%,%,$(suffix $(m)))/$(m))

$(BUILD)/comet-cli.1: scripts/man-cli docs/man/comet-cli.1.in $(BUILD)/comet-cli
	scripts/man-cli $(BUILD)/comet-cli >$@.$$$$ && mv $@.$$$$ $@

# Into the system itself, and by root: programs find the library where the linker has looked.
TELL_LINKER := @[ -n "$(DESTDIR)" ] || [ "$$(id -u)" != 0 ] || PATH=$$PATH:/usr/sbin:/sbin ldconfig

# A configuration that is there stays as it is.
install: all $(BUILD)/comet-cli.1
	install -d $(addprefix $(DESTDIR),$(PREFIX)/bin $(DOC_DIR)/docs $(UNITDIR) $(SYSCONFDIR)/comet)
	install -m 755 $(PROGRAMS) $(DESTDIR)$(PREFIX)/bin
	install -d $(DESTDIR)$(PREFIX)/include $(DESTDIR)$(LIBDIR)/pkgconfig
	install -m 644 $(CLIENT_HEADERS) $(DESTDIR)$(PREFIX)/include
	install -m 644 $(CLIENT_LIB) $(CLIENT_SO) $(DESTDIR)$(LIBDIR)
	for l in $(notdir $(CLIENT_SO)); do ln -sf $$l $(DESTDIR)$(LIBDIR)/$${l%.0} || exit 1; done
	for c in $(CLIENT_CONFIGS); do sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' -e 's|@VERSION@|$(VERSION)|' \
		client/$$c.in >$(DESTDIR)$(LIBDIR)/pkgconfig/$$c || exit 1; done
	for m in $(MANUALS); do install -D -m 644 $$m $(DESTDIR)$(MAN_DIR)/man$${m##*.}/$${m##*/} || exit 1; done
	for u in $(UNITS); do sed -e 's|@BINDIR@|$(PREFIX)/bin|' -e 's|@SYSCONFDIR@|$(SYSCONFDIR)|' examples/systemd/$$u \
		>$(DESTDIR)$(UNITDIR)/$$u && chmod 644 $(DESTDIR)$(UNITDIR)/$$u || exit 1; done
	install -D -m 644 examples/systemd/sysusers.conf $(DESTDIR)$(SYSUSERS)
	install -D -m 644 examples/systemd/sysctl.conf $(DESTDIR)$(SYSCTL)
	install -D -m 644 cli/comet-cli.bash $(DESTDIR)$(BASH_COMPLETION)
	install -D -m 644 cli/comet-cli.zsh $(DESTDIR)$(ZSH_COMPLETION)
	install -D -m 644 cli/comet-cli.fish $(DESTDIR)$(FISH_COMPLETION)
	for t in $(TOOLS); do install -D -m 755 scripts/$$t $(DESTDIR)$(PREFIX)/share/comet/$$t || exit 1; done
	test -e $(DESTDIR)$(SYSCONFDIR)/comet/comet.conf || \
		install -m 640 examples/comet.conf $(DESTDIR)$(SYSCONFDIR)/comet/comet.conf
	install -m 644 LICENSE $(wildcard *.md) $(DESTDIR)$(DOC_DIR)
	install -m 644 $(wildcard docs/*.md) $(DESTDIR)$(DOC_DIR)/docs
	for e in $(EXAMPLES); do test -x $$e && m=755 || m=644; install -D -m $$m $$e $(DESTDIR)$(DOC_DIR)/$$e || exit 1; done
	$(TELL_LINKER)

# The configuration stays.
uninstall:
	rm -f $(addprefix $(DESTDIR),$(INSTALLED))
	rm -rf $(DESTDIR)$(DOC_DIR)
	$(TELL_LINKER)

# build/comet_VERSION_ARCHITECTURE.deb, and those of the client library.
deb: all $(BUILD)/comet-cli.1
	VERSION=$(VERSION) COMMIT=$(COMMIT) scripts/deb $(BUILD)

# The project has no mail address; comet.conf may hold keys.
LINTIAN_KNOWS := bogus-mail-host,bogus-mail-host-in-debian-changelog,root-in-contact,non-standard-file-perm

# Installs the packages on a new Debian 12 of its own, runs them there, and boots it; root, debootstrap, systemd-container,
# lintian, and a minute or two.
check-deb: deb
	lintian --allow-root --fail-on error,warning --suppress-tags $(LINTIAN_KNOWS) $(BUILD)/*.deb
	tests/package/clean-root $(BUILD)/*.deb

# Of the commit that is checked out; two builds' time. REPRODUCIBLE=--here: the build in build/ is one of them.
check-reproducible:
	tests/package/reproducible $(REPRODUCIBLE)
