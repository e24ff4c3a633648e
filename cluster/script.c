/* script: see script.h. SPDX-License-Identifier: MIT */
#include "cluster/script.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdarg.h>
#include <stdlib.h>

#include "common/base/obj.h"
#include "common/redis/redis_words.h"

/* The assembler puts the files into the read-only data; their paths are seen from where make runs. The Makefile lists these
 * files too, since the compiler does not tell it of them. */
#define PLAIN     ""
#define MORE      ".incbin \"cluster/lua/more.lua\"\n"
#define BANS      MORE ".incbin \"cluster/lua/old_bans.lua\"\n"
#define WHERE     ".incbin \"cluster/lua/where.lua\"\n"
#define TRIM      ".incbin \"cluster/lua/trim.lua\"\n"
#define STREAM    ".incbin \"cluster/lua/stream.lua\"\n"
#define FAN_OUT   TRIM ".incbin \"cluster/lua/fan_out.lua\"\n"
#define TELL      ".incbin \"cluster/lua/tell.lua\"\n"
#define TELL_ROOM ".incbin \"cluster/lua/tell_room.lua\"\n"
#define NUMBER    STREAM ".incbin \"cluster/lua/number.lua\"\n"
#define row(name, arguments, repeat, definitions, of_many)                                                             \
	__asm__(".pushsection .rodata\n"                                                                               \
		".globl lua_" #name ", lua_" #name "_end\n"                                                            \
		".hidden lua_" #name ", lua_" #name "_end\n"                                                           \
		"lua_" #name ":\n"                                                                                     \
		".incbin \"cluster/lua/prelude.lua\"\n" definitions ".incbin \"cluster/lua/" #name ".lua\"\n"          \
		"lua_" #name "_end:\n"                                                                                 \
		".popsection\n");                                                                                      \
	extern const char lua_##name[], lua_##name##_end[];                                                            \
	const struct redis_script script_##name = {#name, lua_##name, lua_##name##_end, arguments, repeat, of_many};
#define script(name, arguments, repeat, definitions)         row(name, arguments, repeat, definitions, false)
#define script_of_many(name, arguments, repeat, definitions) row(name, arguments, repeat, definitions, true)
#include "cluster/script.def"
#undef script

/* ---- running them ---- */

/* "*3..." has three arguments. Takes command over. */
static int begin(struct redis_pipe *p, const struct redis_script *script, int64_t deadline_ns, struct redis_call **out,
		 char *command, int bytes)
{
	long n = bytes > 0 ? strtol(command + 1, NULL, 10) : 0;

	BUG_UNLESS(bytes < 0 || (script->arguments < 0 ? n >= -script->arguments : n == script->arguments));
	return redis_pipe_begin_script(p, script, deadline_ns, out, command, bytes);
}

int script_beginv(struct redis_pipe *p, const struct redis_script *script, int64_t deadline_ns, struct redis_call **out,
		  int argc, const char **argv, const size_t *bytes)
{
	char *command = NULL;
	int n = redis_words(argc, argv, bytes, &command);

	return begin(p, script, deadline_ns, out, command, n);
}

int script_runv(struct redis_pipe *p, const struct redis_script *script, int64_t deadline_ns, struct redisReply **reply,
		int argc, const char **argv)
{
	struct redis_call *call;
	int rc;

	/* The next try brings a script that Redis has forgotten; the deadline ends the loop at the latest. */
	do {
		if ((rc = script_beginv(p, script, deadline_ns, &call, argc, argv, NULL)) == 0)
			rc = redis_pipe_end(p, call, reply);
	} while (rc == -ENOEXEC);
	return rc;
}

int script_run(struct redis_pipe *p, const struct redis_script *script, int64_t deadline_ns, struct redisReply **reply,
	       const char *format, ...)
{
	struct redis_call *call;
	va_list args;
	int n, rc;

	do {
		char *command = NULL;

		va_start(args, format);
		n = redisvFormatCommand(&command, format, args);
		va_end(args);
		if ((rc = begin(p, script, deadline_ns, &call, command, n)) == 0)
			rc = redis_pipe_end(p, call, reply);
	} while (rc == -ENOEXEC);
	return rc;
}
