/* script: see script.h. SPDX-License-Identifier: MIT */
#include "cluster/script.h"

/* The assembler puts the files into the read-only data; their paths are seen from where make runs. The Makefile lists these
 * files too, since the compiler does not tell it of them. */
#define script(name, arguments, repeat)                                                                                \
	__asm__(".pushsection .rodata\n"                                                                               \
		".globl lua_" #name ", lua_" #name "_end\n"                                                            \
		".hidden lua_" #name ", lua_" #name "_end\n"                                                           \
		"lua_" #name ":\n"                                                                                     \
		".incbin \"cluster/lua/prelude.lua\"\n"                                                                \
		".incbin \"cluster/lua/" #name ".lua\"\n"                                                              \
		"lua_" #name "_end:\n"                                                                                 \
		".popsection\n");                                                                                      \
	extern const char lua_##name[], lua_##name##_end[];                                                            \
	const struct redis_script script_##name = {#name, lua_##name, lua_##name##_end, arguments, repeat};
#include "cluster/script.def"
#undef script
