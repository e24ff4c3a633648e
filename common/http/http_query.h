/* http_query: percent-encoded parameters, as pure functions. SPDX-License-Identifier: MIT */
#ifndef COMMON_HTTP_HTTP_QUERY_H
#define COMMON_HTTP_HTTP_QUERY_H

#include <stddef.h>

struct http_param;

/* Decode "a=1&b=2" where it stands, and add what it holds to the array *params of *n, which grows (free it) and points into it. '+'
 * is a space; an empty piece is skipped; a name without '=' has an empty value.
 *   0        all of it was decoded
 *   -EINVAL  broken percent-encoding, or %00: the pieces before it were added
 *   -ENOMEM  likewise */
int http_params_decode(char *query, struct http_param **params, size_t *n);

/* Decode the percent-encoding of a path in place; '+' stays. 0, or -EINVAL as above: the path is then left as it was. */
int http_path_decode(char *path);

#endif
