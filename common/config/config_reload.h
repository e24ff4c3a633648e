/* config_reload: the settings as a part of a reload: all sources are read again, and the live rows of config.def take their new values.
 * Whoever reads a setting of struct config where it is needed has the new one from then on; who has made something else of it takes part
 * by prepare and settle. Strings that were replaced stay until the program ends, since somebody may be reading them: a reload that changes
 * one is an operator's act. SPDX-License-Identifier: MIT */
#ifndef COMMON_CONFIG_CONFIG_RELOAD_H
#define COMMON_CONFIG_CONFIG_RELOAD_H

#include "common/base/reload.h"
#include "common/config/config.h"

struct config_past;

struct config_reload {
	/* set once */
	struct config *cfg; /* in use */
	bool is_logic;
	/* Make all of these settings that may fail. 0; negative: logged, and nothing is kept. */
	int (*prepare)(void *arg, const struct config *next);
	/* They are in cfg now, or come to nothing: forget what was made. */
	void (*settle)(void *arg, bool use);
	void *arg; /* of both */
	/* the reloading thread's */
	struct config_past *next, *past;
};

/* Without a file there is nothing to read again. */
struct reload_part config_reload_part(struct config_reload *r);
/* Nobody reads settings any more. Before config_fini. */
void config_reload_fini(struct config_reload *r);

#endif
