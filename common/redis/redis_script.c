/* redis_script: see redis_script.h. SPDX-License-Identifier: MIT */
#include "common/redis/redis_script.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/obj.h"

void redis_script_hash(const struct redis_script *script, char hash[REDIS_SCRIPT_BYTES])
{
	unsigned char bytes[SHA_DIGEST_LENGTH];

	(void)SHA1((const unsigned char *)script->text, (size_t)(script->end - script->text), bytes);
	for (size_t i = 0; i < sizeof(bytes); i++)
		(void)snprintf(hash + 2 * i, 3, "%02x", bytes[i]);
}

static struct redis_script_known *entry_of(struct redis_scripts *s, const struct redis_script *script)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->all[i].script == script)
			return &s->all[i];
	BUG_UNLESS(s->n < REDIS_SCRIPTS_MAX);
	s->all[s->n] = (struct redis_script_known){.script = script};
	redis_script_hash(script, s->all[s->n].hash);
	return &s->all[s->n++];
}

void redis_scripts_forget(struct redis_scripts *s, const struct redis_script *script)
{
	for (size_t i = 0; i < s->n; i++)
		if (script == NULL || s->all[i].script == script)
			s->all[i].known = false;
}

int redis_scripts_append(struct redis_scripts *s, struct redis *redis, const struct redis_script *script,
			 const char *arguments, size_t bytes)
{
	struct redis_script_known *entry = entry_of(s, script);
	const char *word = entry->known ? "EVALSHA" : "EVAL", *what = entry->known ? entry->hash : script->text;
	size_t what_bytes = entry->known ? strlen(entry->hash) : (size_t)(script->end - script->text);
	char head[64], keys[sizeof(s->key) + 32], *rest;
	int rc, head_bytes, keys_bytes;

	/* "*2\r\n..." has two, and the word, the script, the number of keys and the key come to them. */
	head_bytes = snprintf(head, sizeof(head), "*%ld\r\n$%zu\r\n%s\r\n$%zu\r\n",
			      4 + strtol(arguments + 1, &rest, 10), strlen(word), word, what_bytes);
	keys_bytes = snprintf(keys, sizeof(keys), "\r\n$1\r\n1\r\n$%zu\r\n%s\r\n", strlen(s->key.text), s->key.text);
	rest += strlen("\r\n");
	entry->known = true;
	if ((rc = redis_append(redis, head, (size_t)head_bytes)) < 0 ||
	    (rc = redis_append(redis, what, what_bytes)) < 0 ||
	    (rc = redis_append(redis, keys, (size_t)keys_bytes)) < 0)
		return rc;
	return redis_append(redis, rest, (size_t)(arguments + bytes - rest));
}
