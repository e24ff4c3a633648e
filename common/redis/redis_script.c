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

/* "*2\r\n..." has two. */
static long count_of(const struct redis_arguments *call, const char **first)
{
	char *end;
	const long n = strtol(call->command + 1, &end, 10);

	*first = end + strlen("\r\n");
	return n;
}

static int append_arguments(struct redis *redis, const struct redis_arguments *call, bool of_many)
{
	const char *first;
	const long n = count_of(call, &first);
	char number[24], text[48];
	int rc = 0;

	if (of_many) {
		const int digits = snprintf(number, sizeof(number), "%ld", n);
		const int bytes = snprintf(text, sizeof(text), "$%d\r\n%s\r\n", digits, number);

		rc = redis_append(redis, text, (size_t)bytes);
	}
	return rc < 0 ? rc : redis_append(redis, first, (size_t)(call->command + call->bytes - first));
}

int redis_scripts_append(struct redis_scripts *s, struct redis *redis, const struct redis_script *script,
			 const struct redis_arguments *calls, size_t n)
{
	struct redis_script_known *entry = entry_of(s, script);
	const char *word = entry->known ? "EVALSHA" : "EVAL", *what = entry->known ? entry->hash : script->text, *first;
	size_t what_bytes = entry->known ? strlen(entry->hash) : (size_t)(script->end - script->text);
	long words = 4; /* the word, the script, the number of keys and the key */
	char head[64], keys[sizeof(s->key) + 32];
	int rc, head_bytes, keys_bytes;

	for (size_t i = 0; i < n; i++)
		words += count_of(&calls[i], &first) + script->of_many;
	head_bytes =
		snprintf(head, sizeof(head), "*%ld\r\n$%zu\r\n%s\r\n$%zu\r\n", words, strlen(word), word, what_bytes);
	keys_bytes = snprintf(keys, sizeof(keys), "\r\n$1\r\n1\r\n$%zu\r\n%s\r\n", strlen(s->key.text), s->key.text);
	entry->known = true;
	if ((rc = redis_append(redis, head, (size_t)head_bytes)) < 0 ||
	    (rc = redis_append(redis, what, what_bytes)) < 0 ||
	    (rc = redis_append(redis, keys, (size_t)keys_bytes)) < 0)
		return rc;
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = append_arguments(redis, &calls[i], script->of_many);
	return rc;
}
