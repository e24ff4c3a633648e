/* http_keys: see http_keys.h. SPDX-License-Identifier: MIT */
#include "common/http/http_keys.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/counters.h"
#include "common/base/err.h"
#include "common/base/lock.h"
#include "common/base/log.h"
#include "common/base/obj.h"
#include "common/base/secret.h"
#include "common/base/small_file.h"

#define HASH_BYTES 32
#define KEYS_MAX   1000
#define LINE_BYTES 1024

struct entry {
	struct http_key key;
	uint8_t hash[HASH_BYTES];
};

struct list {
	struct entry *entries;
	unsigned n;
};

struct http_keys {
	unsigned magic;
#define HTTP_KEYS_MAGIC 0x6e195a11
	/* set once */
	bool wanted;
	struct entry api_key; /* no name: there is none */
	/* it has locks of its own */
	struct secret api_key_file; /* the hash of api_key is that of its contents, where there is one */
	char *file;
	/* under lock */
	struct lock lock;
	struct list list;
	/* reload only: read, and not in use */
	struct list next;
};

static bool hash_of(const char *text, uint8_t hash[HASH_BYTES])
{
	unsigned bytes;

	return EVP_Digest(text, strlen(text), hash, &bytes, EVP_sha256(), NULL) == 1 && bytes == HASH_BYTES;
}

/* ---- names in the metrics ---- */

/* A name keeps its place, also when its key is gone: its calls have been counted. Those for whom there is no place left are
 * counted together. Places are never taken back, so /metrics reads them without a lock. */
enum { LABEL_NO_KEY, LABEL_OTHERS, LABEL_API_KEY, LABEL_FIRST };

/* No name in a file has parentheses. */
static const char *labels[COUNTER_LABELS_MAX] = {"(none)", "(others)", "(api_key)"};
COUNTER_LABELS(HTTP_CALLS, labels, COUNTER_LABELS_MAX);

static char label_names[COUNTER_LABELS_MAX][HTTP_KEY_NAME_BYTES];
static struct lock labels_lock = LOCK_STATIC(LOCK_POOL);
static unsigned n_labels = LABEL_FIRST; /* under labels_lock */

static unsigned label_of(const char *name)
{
	unsigned i;

	lock_take(&labels_lock);
	for (i = LABEL_FIRST; i < n_labels && strcmp(label_names[i], name) != 0; i++)
		;
	if (i == COUNTER_LABELS_MAX) {
		i = LABEL_OTHERS;
	} else if (i == n_labels) {
		(void)snprintf(label_names[i], sizeof(label_names[i]), "%s", name);
		__atomic_store_n(&labels[i], label_names[i], __ATOMIC_RELEASE);
		n_labels++;
	}
	lock_drop(&labels_lock);
	return i;
}

/* ---- the file ---- */

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

static int read_name(const struct source *src, const char *word, struct entry *entry)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";

	if (word[strspn(word, allowed)] != '\0' || strlen(word) >= HTTP_KEY_NAME_BYTES)
		return complain(src, "a name has up to 63 letters, digits, dots, dashes and underlines");
	(void)snprintf(entry->key.name, sizeof(entry->key.name), "%s", word);
	return 0;
}

static int read_scopes(const struct source *src, char *words, struct entry *entry)
{
	static const struct {
		const char *word;
		unsigned scope;
	} known[] = {{"push", HTTP_PUSH}, {"kick", HTTP_KICK}, {"read", HTTP_READ}, {"all", HTTP_ALL}};
	const size_t n = sizeof(known) / sizeof(known[0]);
	char *word;

	while ((word = strsep(&words, ",")) != NULL) {
		size_t i = 0;

		while (i < n && strcmp(word, known[i].word) != 0)
			i++;
		if (i == n)
			return complain(src, "scopes are push, kick, read or all, with commas and no spaces");
		entry->key.scopes |= known[i].scope;
	}
	return 0;
}

static int read_hash(const struct source *src, const char *hex, struct entry *entry)
{
	size_t bytes;

	if (strlen(hex) != 2 * HASH_BYTES || OPENSSL_hexstr2buf_ex(entry->hash, HASH_BYTES, &bytes, hex, '\0') != 1 ||
	    bytes != HASH_BYTES)
		return complain(src, "sha256: is followed by 64 hexadecimal digits");
	return 0;
}

static int read_key(const struct source *src, const char *word, struct entry *entry)
{
	static const char hashed[] = "sha256:";

	if (strncmp(word, hashed, sizeof(hashed) - 1) == 0)
		return read_hash(src, word + sizeof(hashed) - 1, entry);
	for (const char *p = word; *p != '\0'; p++)
		if (*p <= ' ' || *p > '~')
			return complain(src, "a key is made of ASCII characters; give others as sha256:");
	return hash_of(word, entry->hash) ? 0 : -ENOMEM;
}

/* Two names for one key, or two keys of one name, are a slip of the pen. */
static int look_for_twins(const struct source *src, const struct list *list, const struct entry *entry)
{
	for (unsigned i = 0; i < list->n; i++) {
		if (strcmp(list->entries[i].key.name, entry->key.name) == 0)
			return complain(src, "this name stands there before");
		if (memcmp(list->entries[i].hash, entry->hash, HASH_BYTES) == 0)
			return complain(src, "this key stands there before, under another name");
	}
	return 0;
}

static int add(struct list *list, const struct entry *entry)
{
	struct entry *more = reallocarray(list->entries, list->n + 1, sizeof(*more));

	if (more == NULL)
		return -ENOMEM;
	list->entries = more;
	list->entries[list->n++] = *entry;
	return 0;
}

/* "name scopes key", an empty line, or a comment. */
static int read_line(const struct source *src, char *line, struct list *list)
{
	static const char blank[] = " \t\r\n";
	struct entry entry = {0};
	char *rest = line, *words[3], *word;
	unsigned n = 0;
	int rc;

	if (line[strspn(line, blank)] == '#')
		return 0;
	while ((word = strsep(&rest, blank)) != NULL) {
		if (word[0] == '\0')
			continue;
		if (n == 3)
			return complain(src, "more than a name, its scopes and its key");
		words[n++] = word;
	}
	if (n == 0)
		return 0;
	if (n < 3)
		return complain(src, "a line is a name, its scopes and its key");
	if (list->n == KEYS_MAX)
		return complain(src, "more than 1000 keys");
	if ((rc = read_name(src, words[0], &entry)) < 0 || (rc = read_scopes(src, words[1], &entry)) < 0 ||
	    (rc = read_key(src, words[2], &entry)) < 0 || (rc = look_for_twins(src, list, &entry)) < 0)
		return rc;
	return add(list, &entry);
}

/* All lines, so that every fault is told. */
static int read_lines(FILE *file, struct source *src, struct list *list)
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

static int read_file(const char *name, struct list *list)
{
	struct source src = {.file = name};
	FILE *file = fopen(name, "re");
	int rc;

	*list = (struct list){0};
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
		*list = (struct list){0};
		return rc;
	}
	for (unsigned i = 0; i < list->n; i++)
		list->entries[i].key.label = label_of(list->entries[i].key.name);
	return 0;
}

/* ---- from start to end ---- */

static const struct http_key the_api_key = {.name = "(api_key)", .scopes = HTTP_ALL, .label = LABEL_API_KEY};

int http_keys_new(const char *api_key, const char *file, struct http_keys **out)
{
	struct http_keys *keys = calloc(1, sizeof(*keys));
	int rc = 0;

	if (keys == NULL)
		return -ENOMEM;
	keys->magic = HTTP_KEYS_MAGIC;
	lock_init(&keys->lock, LOCK_POOL);
	keys->api_key_file = (struct secret){.setting = "http.api_key_file", .file = ""};
	lock_init(&keys->api_key_file.lock, LOCK_POOL);
	keys->wanted = api_key[0] != '\0' || file[0] != '\0';
	if (api_key[0] != '\0') {
		keys->api_key.key = the_api_key;
		rc = hash_of(api_key, keys->api_key.hash) ? 0 : -ENOMEM;
	}
	if (rc == 0 && file[0] != '\0')
		rc = (keys->file = strdup(file)) != NULL ? read_file(file, &keys->list) : -ENOMEM;
	if (rc < 0) {
		http_keys_free(&keys);
		return rc;
	}
	*out = keys;
	return 0;
}

int http_keys_of(const struct config *cfg, struct http_keys **out)
{
	int rc = http_keys_new(cfg->http_api_key, cfg->http_keys_file, out);

	if (rc < 0 || cfg->http_api_key_file[0] == '\0')
		return rc;
	if ((rc = secret_start(&(*out)->api_key_file, cfg->http_api_key_file)) < 0) {
		http_keys_free(out);
		return rc;
	}
	(*out)->wanted = true;
	(*out)->api_key.key = the_api_key;
	return 0;
}

void http_keys_free(struct http_keys **reference)
{
	struct http_keys *keys = *reference;

	OBJ_CHECK(keys, HTTP_KEYS_MAGIC);
	free(keys->list.entries);
	free(keys->file);
	lock_fini(&keys->api_key_file.lock);
	explicit_bzero(&keys->api_key_file, sizeof(keys->api_key_file));
	lock_fini(&keys->lock);
	keys->magic = 0;
	free(keys);
	*reference = NULL;
}

static int read_again(void *self)
{
	struct http_keys *keys = self;

	OBJ_CHECK(keys, HTTP_KEYS_MAGIC);
	return read_file(keys->file, &keys->next);
}

static void settle(void *self, bool use)
{
	struct http_keys *keys = self;
	struct list unused = keys->next;

	lock_take(&keys->lock);
	if (use) {
		unused = keys->list;
		keys->list = keys->next;
	}
	lock_drop(&keys->lock);
	keys->next = (struct list){0};
	free(unused.entries);
}

struct reload_part http_keys_reload(struct http_keys *keys)
{
	return (struct reload_part){"API keys", read_again, settle, keys != NULL && keys->file != NULL ? keys : NULL};
}

struct reload_part http_keys_reload_api_key(struct http_keys *keys)
{
	return keys != NULL ? secret_reload(&keys->api_key_file) : (struct reload_part){0};
}

/* False: it cannot be told. */
static bool api_key_now(struct http_keys *keys, struct entry *entry)
{
	char text[SECRET_BYTES];
	bool good = true;

	*entry = keys->api_key;
	if (!secret_copy(&keys->api_key_file, text))
		return true;
	good = hash_of(text, entry->hash);
	explicit_bzero(text, sizeof(text));
	return good;
}

static void compare(const struct entry *entry, const uint8_t hash[HASH_BYTES], struct http_key *found)
{
	if (CRYPTO_memcmp(entry->hash, hash, HASH_BYTES) == 0)
		*found = entry->key;
}

/* All of them are looked at, also after one fits: how long it takes tells nothing. */
bool http_keys_find(struct http_keys *keys, const char *shown, struct http_key *found)
{
	uint8_t hash[HASH_BYTES];
	struct entry api_key;

	OBJ_CHECK(keys, HTTP_KEYS_MAGIC);
	*found = (struct http_key){.label = LABEL_NO_KEY, .scopes = keys->wanted ? 0 : HTTP_ALL};
	if (!keys->wanted)
		return true;
	if (shown == NULL || !hash_of(shown, hash))
		return false;
	if (keys->api_key.key.name[0] != '\0' && api_key_now(keys, &api_key))
		compare(&api_key, hash, found);
	lock_take(&keys->lock);
	for (unsigned i = 0; i < keys->list.n; i++)
		compare(&keys->list.entries[i], hash, found);
	lock_drop(&keys->lock);
	return found->name[0] != '\0';
}
