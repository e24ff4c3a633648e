/* http_keys_file: see http_keys_file.h. SPDX-License-Identifier: MIT */
#include "common/http/http_keys_file.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/err.h"
#include "common/base/log.h"
#include "common/base/small_file.h"
#include "common/config/config.h"

#define KEYS_MAX   1000
#define LINE_BYTES 1024

bool http_keys_hash(const char *text, uint8_t hash[HTTP_KEYS_HASH_BYTES])
{
	unsigned bytes;

	return EVP_Digest(text, strlen(text), hash, &bytes, EVP_sha256(), NULL) == 1 && bytes == HTTP_KEYS_HASH_BYTES;
}

/* ---- a line ---- */

/* Where we are in it, for complaints. */
struct source {
	const char *file;
	unsigned line;
};

static int complain(const struct source *src, const char *what)
{
	LOG(LOG_ERROR, log_what(EVENT_HTTP_KEYS_WRONG), log_str("file", src->file), log_i64("line", src->line),
	    log_str("error", what));
	return -ERR_CONFIG;
}

static int read_name(const struct source *src, const char *word, struct http_keys_entry *entry)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";

	if (word[strspn(word, allowed)] != '\0' || strlen(word) >= HTTP_KEY_NAME_BYTES)
		return complain(src, "a name has up to 63 letters, digits, dots, dashes and underlines");
	(void)snprintf(entry->key.name, sizeof(entry->key.name), "%s", word);
	return 0;
}

static int read_scopes(const struct source *src, char *words, struct http_keys_entry *entry)
{
	char *word;

	while ((word = strsep(&words, ",")) != NULL) {
		unsigned scopes = http_scope_of(word);

		if (scopes == 0)
			return complain(
				src, "this is no scope; docs/http-api.md has them, and they have commas and no spaces");
		entry->key.scopes |= scopes;
	}
	return 0;
}

static int read_hash(const struct source *src, const char *hex, struct http_keys_entry *entry)
{
	size_t bytes;

	if (strlen(hex) != 2 * HTTP_KEYS_HASH_BYTES ||
	    OPENSSL_hexstr2buf_ex(entry->hash, HTTP_KEYS_HASH_BYTES, &bytes, hex, '\0') != 1 ||
	    bytes != HTTP_KEYS_HASH_BYTES)
		return complain(src, "sha256: is followed by 64 hexadecimal digits");
	return 0;
}

static int read_key(const struct source *src, const char *word, struct http_keys_entry *entry)
{
	static const char hashed[] = "sha256:", certificate[] = "certificate:";

	if (strncmp(word, hashed, sizeof(hashed) - 1) == 0)
		return read_hash(src, word + sizeof(hashed) - 1, entry);
	if (strncmp(word, certificate, sizeof(certificate) - 1) == 0) {
		entry->is_certificate = true;
		word += sizeof(certificate) - 1;
		if (word[0] == '\0')
			return complain(src, "certificate: is followed by a name in the caller's certificate");
	}
	for (const char *p = word; *p != '\0'; p++)
		if (*p <= ' ' || *p > '~')
			return complain(src, "a key is made of ASCII characters; give others as sha256:");
	return http_keys_hash(word, entry->hash) ? 0 : -ENOMEM;
}

/* Two names for one key, or two keys of one name, are a slip of the pen. */
static int look_for_twins(const struct source *src, const struct http_keys_list *list,
			  const struct http_keys_entry *entry)
{
	for (unsigned i = 0; i < list->n; i++) {
		if (strcmp(list->entries[i].key.name, entry->key.name) == 0)
			return complain(src, "this name stands there before");
		if (list->entries[i].is_certificate == entry->is_certificate &&
		    memcmp(list->entries[i].hash, entry->hash, HTTP_KEYS_HASH_BYTES) == 0)
			return complain(src, "this key stands there before, under another name");
	}
	return 0;
}

static int add(struct http_keys_list *list, const struct http_keys_entry *entry)
{
	struct http_keys_entry *more = reallocarray(list->entries, list->n + 1, sizeof(*more));

	if (more == NULL)
		return -ENOMEM;
	list->entries = more;
	list->entries[list->n++] = *entry;
	return 0;
}

/* ---- what may stand behind a key ---- */

/* Its bounds would be none where it may push to users, or to everybody. */
static int read_rooms(const struct source *src, const char *value, struct http_keys_entry *entry)
{
	char pattern[HTTP_KEY_ROOMS_BYTES];
	const char *rest = value;

	if (strlen(value) >= sizeof(entry->key.rooms))
		return complain(src, "rooms= has at most 255 bytes");
	if (!config_list_next(&rest, pattern, sizeof(pattern)))
		return complain(src, "rooms= is followed by rooms with commas, such as live://*");
	if ((entry->key.scopes & ~(unsigned)HTTP_BY_ROOM) != 0)
		return complain(src,
				"rooms= bounds push:rooms, online and stream; such a key may have metrics besides, "
				"and no other scope");
	(void)snprintf(entry->key.rooms, sizeof(entry->key.rooms), "%s", value);
	return 0;
}

static int read_rate(const struct source *src, const char *value, struct http_keys_entry *entry)
{
	char *end;
	long rate = strtol(value, &end, 10);

	if (value[0] < '0' || value[0] > '9' || *end != '\0' || rate < 1 || rate > 1000000)
		return complain(src, "rate= is calls a second, from 1 to 1000000");
	entry->key.rate = (int)rate;
	return 0;
}

static int read_until(const struct source *src, const char *value, struct http_keys_entry *entry)
{
	struct tm tm = {0};
	char time[32], again[32];

	(void)snprintf(time, sizeof(time), "%s%s", value, strchr(value, 'T') == NULL ? "T00:00:00Z" : "");
	/* Written again it is the same: no February 30, and nothing behind it. */
	if (strptime(time, "%Y-%m-%dT%H:%M:%SZ", &tm) == NULL || (entry->key.until_s = timegm(&tm)) <= 0 ||
	    strftime(again, sizeof(again), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0 || strcmp(again, time) != 0)
		return complain(src, "until= is a day, as 2027-01-31, or a time, as 2027-01-31T12:00:00Z, in UTC");
	return 0;
}

static int read_option(const struct source *src, const char *word, struct http_keys_entry *entry)
{
	static const struct {
		const char *name;
		int (*read)(const struct source *src, const char *value, struct http_keys_entry *entry);
	} options[] = {{"rooms=", read_rooms}, {"rate=", read_rate}, {"until=", read_until}};

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		const size_t n = strlen(options[i].name);

		if (strncmp(word, options[i].name, n) == 0)
			return options[i].read(src, word + n, entry);
	}
	return complain(src, "behind a key may stand rooms=, rate= and until=, and nothing else");
}

/* ---- a whole line ---- */

#define WORDS_MAX 6

static int read_words(const struct source *src, char *const *words, unsigned n, struct http_keys_entry *entry)
{
	int rc;

	if (n < 3)
		return complain(src, "a line is a name, its scopes and its key");
	if ((rc = read_name(src, words[0], entry)) < 0 || (rc = read_scopes(src, words[1], entry)) < 0)
		return rc;
	rc = read_key(src, words[2], entry);
	for (unsigned i = 3; rc == 0 && i < n; i++)
		rc = read_option(src, words[i], entry);
	return rc;
}

/* An empty line, a comment, or an entry. */
static int read_line(const struct source *src, char *line, struct http_keys_list *list)
{
	static const char blank[] = " \t\r\n";
	struct http_keys_entry entry = {0};
	char *rest = line, *words[WORDS_MAX], *word;
	unsigned n = 0;
	int rc;

	if (line[strspn(line, blank)] == '#')
		return 0;
	while ((word = strsep(&rest, blank)) != NULL) {
		if (word[0] == '\0')
			continue;
		if (n == WORDS_MAX)
			return complain(src, "more than a name, its scopes, its key, rooms=, rate= and until=");
		words[n++] = word;
	}
	if (n == 0)
		return 0;
	if (list->n == KEYS_MAX)
		return complain(src, "more than 1000 keys");
	if ((rc = read_words(src, words, n, &entry)) < 0 || (rc = look_for_twins(src, list, &entry)) < 0)
		return rc;
	return add(list, &entry);
}

/* All lines, so that every fault is told. */
static int read_lines(FILE *file, struct source *src, struct http_keys_list *list)
{
	char line[LINE_BYTES];
	int rc = 0;

	while (rc != -ENOMEM && fgets(line, sizeof(line), file) != NULL) {
		int more;

		src->line++;
		if (strlen(line) + 1 == sizeof(line) || (strchr(line, '\n') == NULL && !feof(file))) {
			rc = complain(src, "the line is too long, or has a zero byte in it");
			break;
		}
		more = read_line(src, line, list);
		rc = rc == 0 || more == -ENOMEM ? more : rc;
	}
	OPENSSL_cleanse(line, sizeof(line));
	if (rc == 0 && ferror(file))
		rc = -EIO;
	if (rc == 0 && list->n == 0)
		rc = complain(src, "there is no key in it");
	return rc;
}

int http_keys_file_read(const char *name, struct http_keys_list *list)
{
	struct source src = {.file = name};
	FILE *file = fopen(name, "re");
	int rc;

	*list = (struct http_keys_list){0};
	if (file == NULL) {
		rc = -errno;
		LOG(LOG_ERROR, log_what(EVENT_HTTP_KEYS_UNREADABLE), log_str("file", name),
		    log_str("error", err_text(rc)));
		return rc;
	}
	if (small_file_is_open(fileno(file)))
		LOG(LOG_WARN, log_what(EVENT_HTTP_KEYS_OPEN), log_str("file", name));
	rc = read_lines(file, &src, list);
	(void)fclose(file);
	if (rc < 0) {
		free(list->entries);
		*list = (struct http_keys_list){0};
	}
	return rc;
}
