/* config_redis: see config_redis.h. Runs while a program starts. SPDX-License-Identifier: MIT */
#include "common/config/config_redis.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/err.h"
#include "common/config/redis_address.h"

#define PREFIX_BYTES_MAX 64
#define ADDRESS_BYTES    2048

static int complain(FILE *errors, const char *words)
{
	(void)fprintf(errors, "%s\n", words);
	return -ERR_CONFIG;
}

/* A colon would make two clusters of prefixes such as a and a:push one; brackets and stars mean more than themselves in an ACL. */
static int check_prefix(const struct config *cfg, FILE *errors)
{
	static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	size_t bytes = strlen(cfg->redis_prefix);

	if (bytes == 0 || bytes > PREFIX_BYTES_MAX || strspn(cfg->redis_prefix, good) != bytes)
		return complain(errors,
				"redis.prefix must be 1 to 64 letters, digits, . _ or -, such as comet or staging");
	return 0;
}

static int check_lease(const struct config *cfg, FILE *errors)
{
	if (cfg->redis_forget < cfg->redis_lease)
		return complain(errors, "redis.forget must be at least redis.lease, or comets would be taken for dead "
					"that are only late");
	return 0;
}

/* The part of an address that anybody may see. A password may have a comma, so that an item of a list can be a part of one. */
static const char *seen_of(const char *item, const char *whole)
{
	const char *at = strrchr(item, '@');

	return at != NULL ? at + 1 : strchr(whole, '@') != NULL ? "***" : item;
}

static int say(FILE *errors, const char *setting, const char *seen, const char *fault)
{
	(void)fprintf(errors, "%s: %.80s%s%s\n", setting, seen, seen[0] != '\0' ? " " : "", fault);
	return -ERR_CONFIG;
}

static bool differ(const char *a, const char *b)
{
	return a[0] != '\0' && b[0] != '\0' && strcmp(a, b) != 0;
}

static int check_addr(const struct config *cfg, FILE *errors)
{
	const char *text = cfg->redis_addr, *fault;
	struct redis_address a;

	if (text[0] == '\0' && cfg->redis_sentinels[0] != '\0')
		return 0; /* they name the master */
	if ((fault = redis_address_parse(text, &a)) != NULL)
		return say(errors, "redis.addr", seen_of(text, text), fault);
	if (differ(a.user, cfg->redis_user) || differ(a.password, cfg->redis_password) ||
	    (a.db >= 0 && cfg->redis_db != 0 && a.db != cfg->redis_db))
		return say(errors, "redis.addr", seen_of(text, text),
			   "has another user, password or database than redis.user, redis.password and redis.db");
	return 0;
}

static int check_sentinel(const struct config *cfg, const char *item, struct redis_address *first, FILE *errors)
{
	const char *seen = seen_of(item, cfg->redis_sentinels), *fault;
	struct redis_address a;

	if ((fault = redis_address_parse(item, &a)) != NULL)
		return say(errors, "redis.sentinels", seen, fault);
	if (!a.has_port)
		return say(errors, "redis.sentinels", seen, "has no port; Sentinels mostly have 26379");
	if (a.db >= 0)
		return say(errors, "redis.sentinels", seen, "has a database; that stands in redis.db");
	if (first->place[0] == '\0')
		*first = a;
	if (strcmp(a.user, first->user) != 0 || strcmp(a.password, first->password) != 0 ||
	    differ(a.user, cfg->redis_sentinel_user) || differ(a.password, cfg->redis_sentinel_password))
		return say(errors, "redis.sentinels", seen,
			   "has another user or password than the first, or than redis.sentinel_user and "
			   "redis.sentinel_password; all Sentinels have the same");
	return 0;
}

static int check_sentinels(const struct config *cfg, FILE *errors)
{
	const char *list = cfg->redis_sentinels;
	struct redis_address first = {.db = -1};
	char item[ADDRESS_BYTES];
	int rc = 0;

	if (list[0] != '\0' && config_list_count(list) == 0)
		return complain(errors, "redis.sentinels names no Sentinel; leave it empty for none");
	while (config_list_next(&list, item, sizeof(item)))
		if (check_sentinel(cfg, item, &first, errors) < 0)
			rc = -ERR_CONFIG;
	return rc;
}

static bool both(const char *a, const char *b)
{
	return a[0] != '\0' && b[0] != '\0';
}

static int check_files(const struct config *cfg, FILE *errors)
{
	const bool addr_has = strchr(cfg->redis_addr, '@') != NULL,
		   sentinels_have = strchr(cfg->redis_sentinels, '@') != NULL;

	if (both(cfg->redis_password, cfg->redis_password_file) || (addr_has && cfg->redis_password_file[0] != '\0'))
		return complain(errors,
				"redis.password_file takes the place of a password in redis.password or redis.addr; "
				"set one of them");
	if (both(cfg->redis_sentinel_password, cfg->redis_sentinel_password_file) ||
	    (sentinels_have && cfg->redis_sentinel_password_file[0] != '\0'))
		return complain(errors, "redis.sentinel_password_file takes the place of a password in "
					"redis.sentinel_password or redis.sentinels; set one of them");
	return 0;
}

int config_redis_check(const struct config *cfg, FILE *errors)
{
	bool good = check_prefix(cfg, errors) == 0;

	good &= check_addr(cfg, errors) == 0;
	good &= check_sentinels(cfg, errors) == 0;
	good &= check_files(cfg, errors) == 0;
	good &= check_lease(cfg, errors) == 0;
	return good ? 0 : -ERR_CONFIG;
}

/* ---- after it ---- */

static int replace(char **field, const char *text)
{
	char *copy = strdup(text);

	if (copy == NULL)
		return -ENOMEM;
	free(*field);
	*field = copy;
	return 0;
}

/* Where the setting does not have it already. */
static int take_over(char **field, const char *text)
{
	return text[0] != '\0' && (*field)[0] == '\0' ? replace(field, text) : 0;
}

static int settle_addr(struct config *cfg)
{
	struct redis_address a;
	int rc;

	if (redis_address_parse(cfg->redis_addr, &a) != NULL)
		return 0; /* empty, and not used */
	if (a.db >= 0)
		cfg->redis_db = a.db;
	if ((rc = take_over(&cfg->redis_user, a.user)) < 0 || (rc = take_over(&cfg->redis_password, a.password)) < 0)
		return rc;
	return replace(&cfg->redis_addr, a.place);
}

static int settle_sentinels(struct config *cfg)
{
	const char *list = cfg->redis_sentinels;
	char item[ADDRESS_BYTES], *plain = calloc(1, strlen(list) + 8 * config_list_count(list) + 1), *end = plain;
	struct redis_address a;
	int rc = 0;

	if (plain == NULL)
		return -ENOMEM;
	while (rc == 0 && config_list_next(&list, item, sizeof(item)) && redis_address_parse(item, &a) == NULL) {
		if ((rc = take_over(&cfg->redis_sentinel_user, a.user)) == 0)
			rc = take_over(&cfg->redis_sentinel_password, a.password);
		end = stpcpy(stpcpy(end, end != plain ? "," : ""), a.place);
	}
	if (rc == 0)
		rc = replace(&cfg->redis_sentinels, plain);
	free(plain);
	return rc;
}

int config_redis_settle(struct config *cfg)
{
	int rc = settle_addr(cfg);

	return rc < 0 ? rc : settle_sentinels(cfg);
}
