/* stack: the small stacks of connection threads, cut from slabs of address space. Nothing is reserved that is not
 * touched, the guard below each stack costs no mapping of its own where the kernel has MADV_GUARD_INSTALL, and huge pages
 * are kept away. Any thread. SPDX-License-Identifier: MIT */
#ifndef COMMON_BASE_STACK_H
#define COMMON_BASE_STACK_H

#include <stdbool.h>

/* Sanitizers' frames are several times as large, and ThreadSanitizer keeps close to a megabyte of its own on each. */
#if defined(__has_feature)
#define STACK_HAS(x) __has_feature(x)
#else
#define STACK_HAS(x) 0
#endif
#if defined(__SANITIZE_THREAD__) || STACK_HAS(thread_sanitizer)
#define STACK_SCALE 32
#elif defined(__SANITIZE_ADDRESS__) || STACK_HAS(address_sanitizer)
#define STACK_SCALE 8
#else
#define STACK_SCALE 1
#endif

#define STACK_GUARD_BYTES 4096
#define STACK_OWNER_BYTES 64
#define STACK_BYTES       (65536 * STACK_SCALE - STACK_GUARD_BYTES)

/* The descriptor lies outside of the stack, so that a free stack need not keep a single page. */
struct stack {
	char *base;         /* lowest of STACK_BYTES bytes; below it is the guard */
	struct stack *next; /* the pool's */
	/* For the stack's user: a record on the stack itself would cost part of its first page. */
	_Alignas(16) char owner[STACK_OWNER_BYTES];
};

/* A stack, or NULL without memory. Its content is anything: the zeros of new memory, or the rest of its last thread. */
struct stack *stack_get(void);

/* Give it back; nobody runs on it any more. A few are kept as they are for the next thread, the pages of all others go
 * back to the kernel. */
void stack_put(struct stack *s);

/* Does a guard cost a memory map of its own here (kernels before 6.13)? Any time. */
bool stack_guard_is_map(void);

/* Give all address space back to the kernel. A stack that is still in use then is a BUG. */
void stack_fini(void);

#endif
