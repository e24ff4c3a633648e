/* script: what comet and comet-logic have Redis do in one step. Each is a file in cluster/lua/ and a row in script.def, and is run
 * by redis_pipe_run; cluster/schema.md says what they read and write. SPDX-License-Identifier: MIT */
#ifndef CLUSTER_SCRIPT_H
#define CLUSTER_SCRIPT_H

#include "common/redis/redis_pipe.h"

/* script_connect, script_renew, ... */
#define script(name, arguments, repeat) extern const struct redis_script script_##name;
#include "cluster/script.def"
#undef script

#endif
