/* obj: faults of ours stop the program, and say where. A fault that a peer, the kernel, Redis or an operator can cause is never
 * a BUG; it is a return code. SPDX-License-Identifier: MIT */
#ifndef COMMON_BASE_OBJ_H
#define COMMON_BASE_OBJ_H

/* Stop the program unless x holds. On in release builds too: only for what cannot happen unless we are wrong. */
#define BUG_UNLESS(x)                                                                                                  \
	do {                                                                                                           \
		if (__builtin_expect(!(x), 0))                                                                         \
			obj_bug(#x, __FILE__, __LINE__, __func__);                                                     \
	} while (0)

/* For a struct that arrives through a void *, a callback or another thread. Its first field is `unsigned magic`,
 * set in init and zeroed in fini. */
#define OBJ_CHECK(p, MAGIC) BUG_UNLESS((p) != NULL && (p)->magic == (MAGIC))

/* The struct of which `ptr` is the member `member`. */
#define OBJ_OF(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

/* Last words on stderr, then abort. */
_Noreturn void obj_bug(const char *what, const char *file, int line, const char *function);

#endif
