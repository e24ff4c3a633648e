/* config: the settings of the operator. INI file (inih), environment over it, flags over both; config.def is the table.
 * Unknown keys and bad values are errors that name the file and line (or the flag, or the variable), the key, and the
 * nearest known key. SPDX-License-Identifier: MIT */
#ifndef COMMON_CONFIG_CONFIG_H
#define COMMON_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct config {
	const char *file; /* of -c; NULL: there is none */
	uint64_t flagged
		[4]; /* the rows that -o has set, which a file that is read again does not change: config_reload.h */
#define live_str(section, key, def, help)               char *_Atomic section##_##key;
#define live_int(section, key, def, min, max, help)     _Atomic int64_t section##_##key;
#define live_size(section, key, def, min, max, help)    _Atomic int64_t section##_##key;
#define live_time(section, key, def, min, max, help)    _Atomic int64_t section##_##key;
#define live_enum(section, key, def, names, help)       _Atomic int section##_##key;
#define setting_str(section, key, def, help)            char *section##_##key;
#define setting_secret(section, key, def, help)         char *section##_##key;
#define setting_int(section, key, def, min, max, help)  int64_t section##_##key;
#define setting_size(section, key, def, min, max, help) int64_t section##_##key;
#define setting_time(section, key, def, min, max, help) int64_t section##_##key; /* milliseconds */
#define setting_bool(section, key, def, help)           bool section##_##key;
#define setting_enum(section, key, def, names, help)    int section##_##key;
#include "common/config/config.def"
#undef live_str
#undef live_int
#undef live_size
#undef live_time
#undef live_enum
#undef setting_str
#undef setting_secret
#undef setting_int
#undef setting_size
#undef setting_time
#undef setting_bool
#undef setting_enum
};

/* The values of the setting_enum rows, in the order of their names. (log.level and log.format: common/base/log.h.) */
enum config_slow_consumer { CONFIG_SLOW_DISCONNECT, CONFIG_SLOW_DROP };
enum config_logic_mode { CONFIG_LOGIC_EMBEDDED, CONFIG_LOGIC_REDIS };
enum config_http_audit { CONFIG_AUDIT_OFF, CONFIG_AUDIT_CHANGES, CONFIG_AUDIT_PUSHES };
enum config_auth_rooms { CONFIG_ROOMS_OPEN, CONFIG_ROOMS_TOKEN, CONFIG_ROOMS_WEBHOOK };
enum config_auth_ops { CONFIG_OPS_OPEN, CONFIG_OPS_TOKEN };
enum config_per_user_ends { CONFIG_PER_USER_NEWEST, CONFIG_PER_USER_OLDEST };
enum config_client_user {
	CONFIG_USER_OF_TOKEN,
	CONFIG_USER_OF_CN,
	CONFIG_USER_OF_DNS,
	CONFIG_USER_OF_URI,
	CONFIG_USER_OF_EMAIL
};
enum config_auth_mode { CONFIG_AUTH_OPEN, CONFIG_AUTH_JWT, CONFIG_AUTH_WEBHOOK };

/* server.unix_mode, as chmod(2) takes it. */
static inline unsigned config_unix_mode(const struct config *cfg)
{
	static const unsigned modes[] = {0600, 0660, 0666};

	return modes[cfg->server_unix_mode];
}

/* All defaults. 0 or -ENOMEM (fini is then not needed, and does no harm). */
int config_init(struct config *cfg);
void config_fini(struct config *cfg);

/* Each takes over what it finds, and on an error writes one line to `errors` for each fault, goes on to find the others, and
 * returns -ERR_CONFIG; a setting of an older release (retired.def) is no fault and gets a line of warning; -ENOMEM; or -errno
 * where the file cannot be read (one line written too).
 *   config_file    an INI file; a setting that stands in it twice is an error, too
 *   config_env     COMET_SECTION_KEY of the environment; an unknown COMET_... variable is an error, too, but for
 *                  COMET_API_KEY (comet-cli's), COMET_BUILD and COMET_TEST_... (the tests') and those that
 *                  Kubernetes makes of service names
 *   config_flag    "section.key=value" */
int config_file(struct config *cfg, const char *path, FILE *errors);
int config_env(struct config *cfg, char *const *environment, FILE *errors);
int config_flag(struct config *cfg, const char *assignment, FILE *errors);

/* The rules between settings, such as open authentication on a wide address without
 * auth.allow_open. is_logic: for comet-logic, which says who clients are whatever logic.mode is. 0, or -ERR_CONFIG with lines in
 * errors that say what to set. */
int config_check(const struct config *cfg, bool is_logic, FILE *errors);

/* What stands in `said`, a line at a time: faults as events, to each of which `each` listens if it is not NULL, and warnings where
 * `with_warnings`. */
void config_log_said(const char *said, bool with_warnings, void (*each)(const char *fault));

/* The same settings again, from the file, the environment, and as -o said before; `before` is what config_start has read. On a cfg with
 * its defaults. Its answers, with all faults in errors. */
int config_again(struct config *cfg, const struct config *before, bool is_logic, FILE *errors);

/* The effective configuration as an INI file that config_file takes; secrets are written as ***. */
void config_print(const struct config *cfg, FILE *out);
/* The same table with help and defaults, as Markdown: docs/configuration.md's core. */
void config_print_markdown(FILE *out);
/* The same for docs/man/comet.conf.5. */
void config_print_man(FILE *out);

/* The differences between the programs. */
struct config_program {
	const char *name, *summary;
	bool is_logic;
	/* Each reads files as a start would; the last is NULL. 0, or negative and it has said why. */
	int (*tries[8])(const struct config *cfg);
};

/* Program start for comet and comet-logic, on a cfg with its defaults: handles -c FILE, -o section.key=value (repeated),
 * -t, -h/--help, --version in the order file, environment, flags, then config_check. Every fault of all of them is
 * printed before it gives up; -t reads the files that a start would read, too. The caller calls config_fini in any case.
 *   0 go on; 1 done, exit 0 (-t, -h, --version); negative: wrong, printed, exit 2 */
int config_start(struct config *cfg, int argc, char **argv, const struct config_program *program);

/* The value of a comma separated list at *rest, trimmed, copied to item; false at the end. Items longer than item_bytes
 * are cut. Start with *rest = the list. */
bool config_list_next(const char **rest, char *item, unsigned item_bytes);
/* How many values such a list has. */
unsigned config_list_count(const char *list);

/* Is every client to be refused, because nothing says who may come in (server.closed)? */
static inline bool config_refuses_clients(const struct config *cfg)
{
	return cfg->server_closed && cfg->auth_mode == CONFIG_AUTH_OPEN && !cfg->auth_allow_open;
}

/* Has a comet an address where TLS is spoken? */
static inline bool config_speaks_tls(const struct config *cfg)
{
	return cfg->tcp_tls_bind[0] != '\0' || cfg->websocket_tls_bind[0] != '\0' || cfg->http_tls_bind[0] != '\0';
}

/* Is a client that is only believed not to come in? */
static inline bool config_needs_proof(const struct config *cfg)
{
	return cfg->auth_mode != CONFIG_AUTH_OPEN || config_refuses_clients(cfg);
}

#endif
