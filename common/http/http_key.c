/* http_key: see http_key.h. SPDX-License-Identifier: MIT */
#include "common/http/http_key.h"

#include <stdio.h>
#include <string.h>

#include "common/base/obj.h"
#include "common/base/pattern.h"
#include "common/config/config.h"

static const struct {
	const char *word;
	unsigned scopes;
} known[] = {
#define scope(NAME, word) {word, HTTP_##NAME},
#include "common/http/http_scope.def"
#undef scope
	{"push", HTTP_PUSH},
	{"read", HTTP_READ},
	{"all", HTTP_ALL},
};

unsigned http_scope_of(const char *word)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(known[i].word, word) == 0)
			return known[i].scopes;
	return 0;
}

void http_scopes_words(unsigned scopes, const char *between, char words[HTTP_SCOPES_BYTES])
{
	size_t n = 0;

	words[0] = '\0';
	for (size_t i = 0; scopes != 0; i++) {
		if ((scopes & known[i].scopes) == 0)
			continue;
		n += (size_t)snprintf(words + n, HTTP_SCOPES_BYTES - n, "%s%s", n > 0 ? between : "", known[i].word);
		BUG_UNLESS(n < HTTP_SCOPES_BYTES);
		scopes &= ~known[i].scopes;
	}
}

bool http_key_may_room(const struct http_key *key, const char *room)
{
	const char *rest = key->rooms;
	char pattern[HTTP_KEY_ROOMS_BYTES];

	if (rest[0] == '\0')
		return true;
	while (config_list_next(&rest, pattern, sizeof(pattern)))
		if (pattern_matches(pattern, room))
			return true;
	return false;
}
