/* auth_plain: a token as most clients write it, read where it lies. It is one flat object of the members of docs/protocol.md, section 4, in
 * that spelling and each once; its strings are ASCII without escapes, its numbers are short. That takes a fifth of the time of a whole reader,
 * which was a third of all that we do ourselves for a connect. What is not as plain is for that reader (auth_read_whole), and what both
 * can read they read alike: the tests of auth hold them to it. Pure functions. SPDX-License-Identifier: MIT */
#ifndef LOGIC_AUTH_PLAIN_H
#define LOGIC_AUTH_PLAIN_H

#include <stdbool.h>

#include "logic/auth_identity.h"

/* *who is zero. 0: it is a token of version 2, and *is_plain; or it is not plain, and *who is untouched. -ENOMEM: as auth_read_whole
 * leaves it. */
int auth_plain_read(const struct auth_request *request, struct auth_identity *who, bool *is_plain);

#endif
