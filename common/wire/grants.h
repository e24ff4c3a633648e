/* grants: the rooms that a client may enter and the operations that it may accept, as its token or the back end says. Each is a
 * name, or the beginning of names with a * behind it; operations are compared as they are written in decimal. Besides there are passes:
 * rooms that it may enter until an end, as a ticket says. Never changed once made. SPDX-License-Identifier: MIT */
#ifndef COMMON_WIRE_GRANTS_H
#define COMMON_WIRE_GRANTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of rooms, and of operations. */
#define GRANTS_MAX 256
/* Of the longest name, with its zero byte: that of a room. */
#define GRANTS_NAME_BYTES 256

struct grants;

/* From two lists of strings, operations also as numbers. A list that is NULL or null is empty; both are: *out is NULL.
 *   0
 *   -EBADMSG  one is no such list, or has more than GRANTS_MAX, or a name that none can be: *bad_ops says which list
 *   -ENOMEM */
int grants_read(const json_t *rooms, const json_t *ops, struct grants **out, bool *bad_ops);
/* The same from such an object, or from NULL. */
int grants_read_object(const json_t *object, struct grants **out);
/* While it is made: this room as well, for so long from now on; *g may be NULL. Of two passes to
 * a room the longer counts. 0; -ENOBUFS: there are GRANTS_MAX passes; -ENOMEM. */
int grants_add_pass(struct grants **g, const char *room, int64_t left_ms);
/* As such an object: {"rooms":[...],"ops":[...],"passes":{"ROOM":ms left}}, which grants_read_object reads. NULL: no memory. */
json_t *grants_write(const struct grants *g);
/* NULL is nothing to free, and grants nothing below. */
void grants_free(struct grants **g);

/* Until when: GRANTS_FOR_EVER; of a pass its end, also one that has come; 0: not at all. */
#define GRANTS_FOR_EVER INT64_MAX
int64_t grants_room_until(const struct grants *g, const char *room);
bool grants_room(const struct grants *g, const char *room);
bool grants_op(const struct grants *g, int32_t op);
/* Every operation there is? */
bool grants_every_op(const struct grants *g);
/* Those operations that are named, with nothing left open, at most GRANTS_MAX. How many. */
size_t grants_named_ops(const struct grants *g, int32_t ops[GRANTS_MAX]);

#endif
