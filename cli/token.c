/* token: the command line of `comet-cli token`: makes a JWT for auth.mode = jwt, and shows what is in one. It checks with the house's own
 * reader, so that it says what a comet would. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/api_call.h"
#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/jwt_make.h"
#include "cli/printer.h"
#include "common/base/clock.h"
#include "common/base/err.h"
#include "common/base/small_file.h"
#include "logic/base64url.h"
#include "logic/jwt.h"

#define KEY_FILE_MAX 65536
#define TOKEN_MAX    65536
#define ACCEPTS_MAX  256

struct token {
	json_t *claims;
	const char *key_file; /* for HS256 its secret */
	const char *kid;
	int64_t expires_ns;
	enum jwt_alg alg;
	bool json;
};

enum {
	OPT_SECRET = 256,
	OPT_VERIFY,
	OPT_MID,
	OPT_USER,
	OPT_KEY,
	OPT_ROOM,
	OPT_ACCEPTS,
	OPT_EXPIRES,
	OPT_AUDIENCE,
	OPT_ISSUER,
	OPT_KID,
	OPT_CLAIM,
	OPT_JSON,
};

static const struct cli_option options[] = {
	{"secret-file", 0, OPT_SECRET, "FILE", COMMAND_FILES,
	 "the secret, as in auth.jwt_keys=HS256:FILE: make signs with it, show checks with it"},
	{"verify", 0, OPT_VERIFY, "ALG:FILE", NULL,
	 "show: check with this key, as in auth.jwt_keys: RS256, RS384, RS512, ES256, ES384 or EdDSA and a public key, "
	 "PEM"},
	{"mid", 0, OPT_MID, "N", NULL, "make: the user"},
	{"user", 0, OPT_USER, "NAME", NULL, "make: the user by name (the claim sub)"},
	{"key", 0, OPT_KEY, "KEY", NULL, "make: the name of the connection"},
	{"room", 0, OPT_ROOM, "TYPE://ID", NULL, "make: the room to start in"},
	{"accepts", 0, OPT_ACCEPTS, "OPS", NULL, "make: operations that are wanted, with commas"},
	{"expires", 0, OPT_EXPIRES, "TIME", NULL, "make: it is good for this time: 10, 5m, 1h (1h)"},
	{"audience", 0, OPT_AUDIENCE, "TEXT", NULL, "make: what auth.jwt_audience asks for"},
	{"issuer", 0, OPT_ISSUER, "TEXT", NULL, "make: what auth.jwt_issuer asks for"},
	{"kid", 0, OPT_KID, "NAME", NULL, "make: the name of the secret, as in auth.jwt_keys=NAME=HS256:FILE"},
	{"claim", 0, OPT_CLAIM, "NAME=VALUE", NULL,
	 "make: another claim; a value that is JSON is taken as such, anything else as a string"},
	{"json", 0, OPT_JSON, NULL, NULL, "show: one line of JSON: header, claims, and whether the signature is good"},
	{NULL, 0, 0, NULL, NULL, NULL},
};

static const struct cli_form forms[] = {
	{"make --secret-file FILE [options]", "print a token that is signed with HS256"},
	{"show [options] TOKEN", "what is in a token; - reads it from stdin"},
	{NULL, NULL},
};

/* ---- options ---- */

/* A member of the claims; false without memory. value is taken over. */
static bool set(struct token *t, const char *name, json_t *value)
{
	if (json_object_set_new(t->claims, name, value) == 0)
		return true;
	fprintf(stderr, "comet-cli token: %s is not text in UTF-8\n", name);
	return false;
}

static bool take_accepts(struct token *t)
{
	int32_t ops[ACCEPTS_MAX];
	json_t *list = json_array();
	size_t n;

	if (!argument_numbers("--accepts", optarg, ops, ACCEPTS_MAX, &n)) {
		json_decref(list);
		return false;
	}
	for (size_t i = 0; i < n; i++)
		(void)json_array_append_new(list, json_integer(ops[i]));
	return set(t, "accepts", list);
}

static bool take_claim(struct token *t)
{
	const char *equals = strchr(optarg, '=');
	char name[128];
	json_t *value;

	if (equals == NULL || equals == optarg || (size_t)(equals - optarg) >= sizeof(name)) {
		fprintf(stderr, "comet-cli: --claim takes NAME=VALUE, not \"%s\"\n", optarg);
		return false;
	}
	(void)snprintf(name, sizeof(name), "%.*s", (int)(equals - optarg), optarg);
	value = json_loads(equals + 1, JSON_DECODE_ANY, NULL);
	return set(t, name, value != NULL ? value : json_string(equals + 1));
}

static bool take_mid(struct token *t)
{
	int64_t mid;

	return argument_i64("--mid", optarg, INT64_MIN, INT64_MAX, &mid) && set(t, "mid", json_integer(mid));
}

static bool take_option(void *arg, int option)
{
	struct token *t = arg;
	const char *colon;

	switch (option) {
	case OPT_SECRET:
		t->alg = JWT_HS256;
		t->key_file = optarg;
		return true;
	case OPT_VERIFY:
		colon = strchr(optarg, ':');
		if (colon == NULL || !jwt_alg_find(optarg, (size_t)(colon - optarg), &t->alg)) {
			fprintf(stderr, "comet-cli: --verify takes ALGORITHM:FILE, such as RS256:key.pem, not \"%s\"\n",
				optarg);
			return false;
		}
		t->key_file = colon + 1;
		return true;
	case OPT_MID:
		return take_mid(t);
	case OPT_USER:
		return set(t, "sub", json_string(optarg));
	case OPT_KEY:
		return set(t, "key", json_string(optarg));
	case OPT_ROOM:
		return set(t, "room_id", json_string(optarg));
	case OPT_ACCEPTS:
		return take_accepts(t);
	case OPT_EXPIRES:
		return argument_time("--expires", optarg, &t->expires_ns);
	case OPT_AUDIENCE:
		return set(t, "aud", json_string(optarg));
	case OPT_ISSUER:
		return set(t, "iss", json_string(optarg));
	case OPT_KID:
		t->kid = optarg;
		return true;
	case OPT_CLAIM:
		return take_claim(t);
	default:
		t->json = true;
		return true;
	}
}

/* ---- files ---- */

/* EXIT_OK and *n bytes, or EXIT_USAGE, which was said. */
static int read_file(const char *path, void *bytes, size_t space, size_t *n)
{
	int rc = small_file_read(path, bytes, space, n, NULL);

	if (rc == 0 && *n < space)
		return EXIT_OK;
	if (rc == 0)
		rc = -EFBIG; /* as the server has it */
	fprintf(stderr, "comet-cli: %s: %s\n", path, err_text(rc));
	return EXIT_USAGE;
}

/* ---- make ---- */

static int make(struct token *t)
{
	char secret[KEY_FILE_MAX], *token;
	const time_t now = time(NULL);
	size_t n;
	int code;

	if (t->key_file == NULL)
		return argument_wrong("token", "make signs with a secret: --secret-file FILE");
	if ((code = read_file(t->key_file, secret, sizeof(secret), &n)) != EXIT_OK)
		return code;
	if (json_object_get(t->claims, "iat") == NULL)
		(void)json_object_set_new(t->claims, "iat", json_integer(now));
	if (json_object_get(t->claims, "exp") == NULL)
		(void)json_object_set_new(t->claims, "exp", json_integer(now + t->expires_ns / CLOCK_SEC));
	if (jwt_make(t->claims, t->kid, secret, jwt_secret_bytes(secret, n), &token) < 0) {
		fprintf(stderr, "comet-cli: out of memory\n");
		return EXIT_REFUSED;
	}
	puts(token);
	free(token);
	return api_printed();
}

/* ---- show ---- */

/* A part of a token as JSON; NULL: it is none. */
static json_t *read_part(const char *text, size_t n)
{
	uint8_t *bytes = NULL;
	json_t *part = NULL;
	size_t n_bytes;

	if (base64url_decode(text, n, &bytes, &n_bytes) == 0)
		part = json_loadb((const char *)bytes, n_bytes, JSON_REJECT_DUPLICATES, NULL);
	free(bytes);
	return part;
}

/* EXIT_OK and *verdict, or another code, which was said. */
static int check(const char *file, enum jwt_alg alg, const char *kid, const char *token, const char **verdict)
{
	static const char *const words[] = {
#define cause(NAME, name, words) [AUTH_##NAME] = (words),
#include "logic/auth_cause.def"
#undef cause
	};
	uint8_t bytes[KEY_FILE_MAX];
	struct jwt_keys *keys = NULL;
	struct jwt_refusal why = {0};
	const char *fault = "";
	struct jwt_token read;
	size_t n = 0;
	int rc, code = read_file(file, bytes, sizeof(bytes), &n);

	if (code != EXIT_OK)
		return code;
	if ((rc = jwt_keys_new(&keys)) == 0)
		rc = jwt_keys_add(keys, kid != NULL ? kid : "", alg, bytes, n, &fault);
	if (rc == -ERR_CONFIG) {
		fprintf(stderr, "comet-cli: %s %s\n", file, fault);
		code = EXIT_USAGE;
	}
	if (rc == 0 && (rc = jwt_read(&(struct jwt_sets){keys, NULL}, token, strlen(token), &read, &why)) == 0)
		jwt_token_fini(&read);
	*verdict = rc == 0 ? "good" : rc == -ERR_REFUSED ? words[why.cause] : "out of memory";
	if (keys != NULL)
		jwt_keys_unref(&keys);
	return code;
}

/* "in 59 min", of a time in seconds. */
static void print_away(int64_t seconds)
{
	const int64_t away = seconds < 0 ? -seconds : seconds;
	const char *unit = away < 120 ? "s" : away < 7200 ? "min" : away < 172800 ? "h" : "days";
	const int64_t n = away < 120 ? away : away < 7200 ? away / 60 : away < 172800 ? away / 3600 : away / 86400;

	if (seconds >= 0)
		printf("in %lld %s", (long long)n, unit);
	else
		printf("%lld %s ago", (long long)n, unit);
}

static void print_words(const json_t *claims, const char *verdict)
{
	const json_t *exp = json_object_get(claims, "exp");
	const double left = json_number_value(exp) - (double)time(NULL);

	if (!json_is_number(exp)) {
		printf("expires: never, which auth.require_exp refuses\n");
	} else {
		printf(left >= 0 ? "expires: " : "expired: ");
		print_away(left > 1e15 ? (int64_t)1e15 : left < -1e15 ? (int64_t)-1e15 : (int64_t)left);
		putchar('\n');
	}
	printf("signature: %s\n", verdict != NULL ? verdict : "not checked; --secret-file or --verify gives the key");
}

static void print_part(const char *name, const json_t *part)
{
	printf("%s: ", name);
	(void)printer_value(stdout, part, JSON_INDENT(2));
	putchar('\n');
}

static int show(const struct token *t, const char *token)
{
	const char *dot = strchr(token, '.'), *end = dot != NULL ? strchr(dot + 1, '.') : NULL, *verdict = NULL;
	json_t *header = end != NULL ? read_part(token, (size_t)(dot - token)) : NULL;
	json_t *claims = end != NULL ? read_part(dot + 1, (size_t)(end - dot - 1)) : NULL;
	int code = EXIT_OK;

	if (!json_is_object(header) || !json_is_object(claims)) {
		fprintf(stderr,
			"comet-cli: this is no JWT: header.claims.signature, the first two JSON in base64url\n");
		code = EXIT_REFUSED;
	} else if (t->key_file != NULL) {
		code = check(t->key_file, t->alg, json_string_value(json_object_get(header, "kid")), token, &verdict);
	}
	if (code == EXIT_OK && t->json) {
		json_t *all = json_pack("{s:O,s:O,s:s*}", "header", header, "claims", claims, "signature", verdict);

		code = api_print_json(all);
		json_decref(all);
	} else if (code == EXIT_OK) {
		print_part("header", header);
		print_part("claims", claims);
		print_words(claims, verdict);
		code = api_printed();
	}
	json_decref(header);
	json_decref(claims);
	if (code == EXIT_OK && verdict != NULL && strcmp(verdict, "good") != 0)
		code = EXIT_REFUSED;
	return code;
}

static int show_argument(const struct token *t, const char *word)
{
	char text[TOKEN_MAX];
	size_t n;

	if (strcmp(word, "-") != 0)
		return show(t, word);
	n = fread(text, 1, sizeof(text) - 1, stdin);
	text[n] = '\0';
	text[strcspn(text, " \r\n")] = '\0';
	return show(t, text);
}

static int run(int argc, char **argv)
{
	struct token t = {.claims = json_object(), .expires_ns = 3600 * CLOCK_SEC, .alg = JWT_HS256};
	int code = command_read(&command_token, argc, argv, take_option, &t);

	argc -= optind;
	argv += optind;
	if (code >= 0)
		;
	else if (argc == 1 && strcmp(argv[0], "make") == 0)
		code = make(&t);
	else if (argc == 2 && strcmp(argv[0], "show") == 0)
		code = show_argument(&t, argv[1]);
	else
		code = argument_wrong("token", "what? make, or show TOKEN");
	json_decref(t.claims);
	return code;
}

const struct cli_command command_token = {
	.name = "token",
	.summary = "make and inspect tokens (JWT) for auth.mode = jwt",
	.forms = forms,
	.targets = "make show",
	.options = {options},
	.notes = "It talks to no server. show says what a server with that key would say of the signature; whether it "
		 "is in time, and "
		 "for this audience, is the server's to judge.",
	.exits = "Exit code: 0 done; 1 it is no token, or its signature is not good; 2 wrong command line, or a file "
		 "that cannot be "
		 "used.",
	.examples = "  head -c 32 /dev/urandom | base64 >token.secret\n"
		    "  comet-cli token make --secret-file token.secret --mid 123\n"
		    "  comet-cli token make --secret-file token.secret --mid 123 |\n"
		    "      comet-cli token show --secret-file token.secret -\n",
	.run = run,
};
