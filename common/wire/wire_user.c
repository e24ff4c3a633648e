/* wire_user: see wire_user.h. SPDX-License-Identifier: MIT */
#include "common/wire/wire_user.h"

#include <errno.h>

int wire_user_set(json_t *object, const struct user *user)
{
	if (user->name == NULL)
		return 0;
	return json_object_set_new(object, "user", json_string(user->name)) < 0 ? -ENOMEM : 0;
}

bool wire_user_get(const json_t *object, struct user *out)
{
	const json_t *mid = json_object_get(object, "mid"), *name = json_object_get(object, "user");

	*out = (struct user){.mid = json_integer_value(mid)};
	if (mid != NULL && !json_is_integer(mid))
		return false;
	return name == NULL ||
	       (json_is_string(name) && user_read(json_string_value(name), json_string_length(name), out));
}
