/* http_keys: see http_keys.h. SPDX-License-Identifier: MIT */
#include "common/http/http_keys.h"

#include <errno.h>
#include <openssl/crypto.h>
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
#include "common/http/http_keys_file.h"

struct http_keys {
	unsigned magic;
#define HTTP_KEYS_MAGIC 0x6e195a11
	/* set once */
	bool wanted;
	bool refuses;                   /* everybody, until one is set */
	struct http_keys_entry api_key; /* no name: there is none */
	/* it has locks of its own */
	struct secret api_key_file; /* the hash of api_key is that of its contents, where there is one */
	char *file;
	/* under lock */
	struct lock lock;
	struct http_keys_list list;
	/* reload only: read, and not in use */
	struct http_keys_list next;
};

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

/* ---- from start to end ---- */

static int read_file(const char *name, struct http_keys_list *list)
{
	int rc = http_keys_file_read(name, list);

	for (unsigned i = 0; i < list->n; i++)
		list->entries[i].key.label = label_of(list->entries[i].key.name);
	return rc;
}

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
		rc = http_keys_hash(api_key, keys->api_key.hash) ? 0 : -ENOMEM;
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

static bool has_certificates(const struct http_keys_list *list)
{
	unsigned i = 0;

	while (i < list->n && !list->entries[i].is_certificate)
		i++;
	return i < list->n;
}

int http_keys_of(const struct config *cfg, struct http_keys **out)
{
	int rc = http_keys_new(cfg->http_api_key, cfg->http_keys_file, out);

	if (rc < 0)
		return rc;
	if (cfg->http_client_ca[0] == '\0' && has_certificates(&(*out)->list)) {
		LOG(LOG_ERROR, log_what(EVENT_HTTP_KEYS_WRONG), log_str("file", cfg->http_keys_file),
		    log_str("error", "certificate: needs http.client_ca"));
		http_keys_free(out);
		return -ERR_CONFIG;
	}
	if (cfg->http_api_key_file[0] == '\0') {
		(*out)->refuses = cfg->server_closed && !(*out)->wanted;
		if ((*out)->refuses)
			LOG(LOG_WARN, log_what(EVENT_CALLS_REFUSED));
		return 0;
	}
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
	struct http_keys_list unused = keys->next;

	lock_take(&keys->lock);
	if (use) {
		unused = keys->list;
		keys->list = keys->next;
	}
	lock_drop(&keys->lock);
	keys->next = (struct http_keys_list){0};
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
static bool api_key_now(struct http_keys *keys, struct http_keys_entry *entry)
{
	char text[SECRET_BYTES];
	bool good = true;

	*entry = keys->api_key;
	if (!secret_copy(&keys->api_key_file, text))
		return true;
	good = http_keys_hash(text, entry->hash);
	explicit_bzero(text, sizeof(text));
	return good;
}

static void compare(const struct http_keys_entry *entry, const uint8_t hash[HTTP_KEYS_HASH_BYTES],
		    struct http_key *found)
{
	if (CRYPTO_memcmp(entry->hash, hash, HTTP_KEYS_HASH_BYTES) == 0)
		*found = entry->key;
}

static void look_for(struct http_keys *keys, bool is_certificate, const uint8_t hash[HTTP_KEYS_HASH_BYTES],
		     struct http_key *found)
{
	lock_take(&keys->lock);
	for (unsigned i = 0; i < keys->list.n; i++)
		if (keys->list.entries[i].is_certificate == is_certificate)
			compare(&keys->list.entries[i], hash, found);
	lock_drop(&keys->lock);
}

/* All of them are looked at, also after one fits: how long it takes tells nothing. */
bool http_keys_find(struct http_keys *keys, const char *shown, struct http_key *found)
{
	uint8_t hash[HTTP_KEYS_HASH_BYTES];
	struct http_keys_entry api_key;

	OBJ_CHECK(keys, HTTP_KEYS_MAGIC);
	*found = (struct http_key){.label = LABEL_NO_KEY, .scopes = keys->wanted || keys->refuses ? 0 : HTTP_ALL};
	found->none_is_set = keys->refuses;
	if (!keys->wanted)
		return !keys->refuses;
	if (shown == NULL || !http_keys_hash(shown, hash))
		return false;
	if (keys->api_key.key.name[0] != '\0' && api_key_now(keys, &api_key))
		compare(&api_key, hash, found);
	look_for(keys, false, hash, found);
	return found->name[0] != '\0';
}

bool http_keys_find_certificate(struct http_keys *keys, const char *name, struct http_key *found)
{
	uint8_t hash[HTTP_KEYS_HASH_BYTES];
	struct http_key key = {0};

	OBJ_CHECK(keys, HTTP_KEYS_MAGIC);
	if (!http_keys_hash(name, hash))
		return false;
	look_for(keys, true, hash, &key);
	if (key.name[0] != '\0')
		*found = key;
	return key.name[0] != '\0';
}
