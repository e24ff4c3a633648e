/* script: the scripts that Redis runs for comet and comet-logic, each in one step. A script is a file in cluster/lua/ and a row in
 * script.def; cluster/schema.md lists the keys that they read and write. Any thread. SPDX-License-Identifier: MIT */
#ifndef CLUSTER_SCRIPT_H
#define CLUSTER_SCRIPT_H

#include "common/redis/redis_pipe.h"

/* script_connect, script_renew, ... */
#define script(name, arguments, repeat, definitions) extern const struct redis_script script_##name;
#include "cluster/script.def"
#undef script

/* Run a script with these arguments, of which there are as many as script.def says, and wait for its reply: as redis_pipe_call,
 * with the same errors. `format` is redisFormatCommand's, "" for none. */
int script_run(struct redis_pipe *p, const struct redis_script *script, int64_t deadline_ns, struct redisReply **reply,
	       const char *format, ...);
int script_runv(struct redis_pipe *p, const struct redis_script *script, int64_t deadline_ns, struct redisReply **reply,
		int argc, const char **argv);
/* The first half of a run, as redis_pipe_beginv; redis_pipe_end is the second, and may say -ENOEXEC: see redis_pipe_begin_script. */
int script_beginv(struct redis_pipe *p, const struct redis_script *script, int64_t deadline_ns, struct redis_call **out,
		  int argc, const char **argv, const size_t *bytes);

#endif
