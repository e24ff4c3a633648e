/* wire_user: a user as members of a JSON object: "mid", and "user" where it has a name. SPDX-License-Identifier: MIT */
#ifndef COMMON_WIRE_WIRE_USER_H
#define COMMON_WIRE_WIRE_USER_H

#include <jansson.h>
#include <stdbool.h>

#include "common/wire/user.h"

/* Set "user" where the user has a name; "mid" is the caller's. 0 or -ENOMEM. */
int wire_user_set(json_t *object, const struct user *user);
/* From both; absent: nobody. A name is the object's. False: they are no user. */
bool wire_user_get(const json_t *object, struct user *out);

#endif
