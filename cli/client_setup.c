/* client_setup: see client_setup.h. SPDX-License-Identifier: MIT */
#include "cli/client_setup.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/context.h"
#include "client/client_tls.h"
#include "common/base/err.h"

enum {
	OPT_HOST = 1024,
	OPT_PORT,
	OPT_CACERT,
	OPT_INSECURE,
	OPT_CERT,
	OPT_CERT_KEY,
	OPT_MID,
	OPT_USER,
	OPT_KEY,
	OPT_ROOM,
	OPT_ACCEPTS,
	OPT_TOKEN,
	OPT_V1,
};

const struct cli_option client_setup_options[] = {
	{"host", 0, OPT_HOST, "HOST", NULL, "comet's host, or host:port (COMET_HOST, or else 127.0.0.1)"},
	{"port", 0, OPT_PORT, "PORT", NULL, "its port for TCP clients (3101)"},
	{"cacert", 0, OPT_CACERT, "FILE", COMMAND_FILES,
	 "with tls:// and wss://: certificates to trust, PEM; without it those of the system"},
	{"insecure", 0, OPT_INSECURE, NULL, NULL, "with tls:// and wss://: any certificate will do"},
	{"cert", 0, OPT_CERT, "FILE", COMMAND_FILES, "with tls:// and wss://: our own certificate, PEM"},
	{"cert-key", 0, OPT_CERT_KEY, "FILE", COMMAND_FILES, "its key, PEM; without it the file of --cert has that"},
	{"mid", 0, OPT_MID, "N", NULL, "our user id; 0 is nobody (0)"},
	{"user", 0, OPT_USER, "NAME", NULL, "our user by name, in place of --mid"},
	{"key", 0, OPT_KEY, "KEY", NULL, "the name of this connection; without it the server makes one"},
	{"room", 0, OPT_ROOM, "TYPE://ID", NULL, "our room"},
	{"accepts", 0, OPT_ACCEPTS, "OPS", NULL,
	 "operations we want, with commas (1000); pushes to a room come anyway"},
	{"token", 0, OPT_TOKEN, "TEXT", NULL, "send this token as it is, instead of one made from the options above"},
	{"v1", 0, OPT_V1, NULL, NULL,
	 "speak the first version of the protocol: the token is --mid, all pushes come as op 5"},
	{NULL, 0, 0, NULL, NULL, NULL},
};

void client_setup_init(struct client_setup *s)
{
	*s = (struct client_setup){
		.to = {.cancel_fd = -1},
		.identity = {.dialect = DIALECT_V2, .platform = "cli", .n_accepts = 1},
		.accepts = {1000},
	};
	s->identity.accepts = s->accepts;
}

void client_setup_fini(struct client_setup *s)
{
	free(s->made_token);
}

/* One of the options that say where to. */
static bool take_place(struct client_setup *s, int option)
{
	int64_t port;

	switch (option) {
	case OPT_HOST:
		s->host = optarg;
		s->has_place = true;
		return true;
	case OPT_PORT:
		s->to.port = optarg;
		s->has_place = true;
		return argument_i64("--port", optarg, 1, 65535, &port);
	case OPT_CACERT:
		s->to.ca_file = optarg;
		return true;
	case OPT_CERT:
		s->to.cert_file = optarg;
		return true;
	case OPT_CERT_KEY:
		s->to.key_file = optarg;
		return true;
	default:
		s->to.insecure = true;
		return true;
	}
}

/* One of the options that say as whom. */
static bool take_identity(struct client_setup *s, int option)
{
	switch (option) {
	case OPT_MID:
		s->said = "--mid";
		return argument_i64("--mid", optarg, INT64_MIN, INT64_MAX, &s->identity.mid);
	case OPT_USER:
		s->said = "--user";
		s->identity.user = optarg;
		return true;
	case OPT_KEY:
		s->said = "--key";
		s->identity.key = optarg;
		return true;
	case OPT_ROOM:
		s->identity.room = optarg;
		return true;
	default:
		s->said = "--accepts";
		return argument_numbers("--accepts", optarg, s->accepts, CLIENT_ACCEPTS_MAX, &s->identity.n_accepts);
	}
}

bool client_setup_take(struct client_setup *s, int option)
{
	static char *token;

	switch (option) {
	case OPT_HOST:
	case OPT_PORT:
	case OPT_CACERT:
	case OPT_INSECURE:
	case OPT_CERT:
	case OPT_CERT_KEY:
		return take_place(s, option);
	case OPT_MID:
	case OPT_USER:
	case OPT_KEY:
	case OPT_ROOM:
	case OPT_ACCEPTS:
		return take_identity(s, option);
	case OPT_TOKEN:
		s->token = argument_secret(optarg, &token);
		return true;
	case OPT_V1:
		s->identity.dialect = DIALECT_V1;
		return true;
	case CONTEXT_OPT:
		context_choose(optarg);
		return true;
	default:
		return false;
	}
}

/* A file that cannot be used is seen before anybody is called. */
static int check_certificates(const struct client_options *to, const char *command)
{
	struct client_options look = *to;
	char why[CLIENT_WORDS_BYTES];

	look.why = why;
	return client_tls_check(&look) == -ERR_TLS ? argument_wrong(command, "%s", why) : -1;
}

/* That of --host, COMET_HOST or the context: a URL, or host[:port]. False: it is neither. */
static bool take_host(struct client_setup *s, const char *host)
{
	if (strstr(host, "://") != NULL) {
		if (client_url_parse(host, &s->url) < 0)
			return false;
		client_url_aim(&s->url, &s->to);
		return true;
	}
	if (address_parse(host, &s->place) < 0 || s->place.host[0] == '\0')
		return false;
	s->to.host = s->place.host;
	if (s->place.port[0] != '\0')
		s->to.port = s->place.port;
	return true;
}

/* --host and --port, of which one at most says the port. */
static int settle_host(struct client_setup *s, const char *command)
{
	const char *port = s->to.port;

	s->to.port = NULL;
	if (!take_host(s, s->host))
		return argument_wrong(command, "\"%s\", of --host, is neither host:port nor a URL", s->host);
	if (port != NULL && s->to.port != NULL)
		return argument_wrong(command, "--host %s says the port: leave --port out", s->host);
	if (port != NULL)
		s->to.port = port;
	return -1;
}

static int settle_place(struct client_setup *s, const char *command, const char *url)
{
	const char *host = context_get(CONTEXT_HOST, "COMET_HOST");
	int code;

	if (url != NULL && client_url_parse(url, &s->url) < 0)
		return argument_wrong(
			command, "what is \"%s\"? A URL is ws://HOST:PORT/sub, or begins with wss://, tcp:// or tls://",
			url);
	if (url != NULL && s->has_place)
		return argument_wrong(command, "the URL says host and port: leave --host and --port out");
	if (url != NULL)
		client_url_aim(&s->url, &s->to);
	else if (!s->has_place && host != NULL && !take_host(s, host))
		return argument_wrong(command, "\"%s\", of COMET_HOST or the context, is neither host:port nor a URL",
				      host);
	else if (s->host != NULL && (code = settle_host(s, command)) >= 0)
		return code;
	if (s->to.host == NULL)
		s->to.host = "127.0.0.1";
	if (s->to.port == NULL)
		s->to.port = "3101";
	return -1;
}

static int settle_certificates(struct client_setup *s, const char *command, bool is_its_server)
{
	struct client_options *to = &s->to;

	if (!to->tls && (to->ca_file != NULL || to->insecure || to->cert_file != NULL))
		return argument_wrong(command, "--cacert, --insecure and --cert are for a URL with wss:// or tls://");
	if (to->cert_file == NULL && to->key_file != NULL)
		return argument_wrong(command, "--cert-key goes with --cert");
	if (to->tls && to->ca_file == NULL)
		to->ca_file = context_get(CONTEXT_CACERT, NULL);
	if (to->tls && to->cert_file == NULL && is_its_server) {
		to->cert_file = context_get(CONTEXT_CERT, NULL);
		to->key_file = context_get(CONTEXT_CERT_KEY, NULL);
	}
	return to->tls ? check_certificates(to, command) : -1;
}

int client_setup_settle(struct client_setup *s, const char *command, const char *url)
{
	const struct client_identity *who = &s->identity;
	const bool is_its_server = url == NULL && !s->has_place && context_rules("COMET_HOST");
	int code, rc;

	if (!context_read())
		return EXIT_USAGE;
	if ((code = settle_place(s, command, url)) >= 0 || (code = settle_certificates(s, command, is_its_server)) >= 0)
		return code;
	if (s->token == NULL && is_its_server && who->mid == 0 && who->user == NULL && who->key == NULL &&
	    who->room == NULL && context_get(CONTEXT_TOKEN_FILE, NULL) != NULL) {
		if (!context_read_line(CONTEXT_TOKEN_FILE, s->token_text, sizeof(s->token_text)))
			return EXIT_USAGE;
		s->token = s->token_text;
	}
	if (s->token != NULL && (s->said != NULL || who->room != NULL))
		return argument_wrong(
			command,
			"a token is sent as it is, and %s would not be heard; where auth.mode is jwt, "
			"--token '{\"token\":\"...\",\"room_id\":\"live://1\",\"accepts\":[1000]}' says more",
			s->said != NULL ? s->said : "--room");
	if (s->token != NULL)
		return -1;
	if (who->user != NULL && (who->mid != 0 || who->dialect == DIALECT_V1))
		return argument_wrong(command, "--user goes neither with --mid nor with --v1");
	if ((rc = client_token(who, &s->made_token)) < 0)
		return argument_wrong(command, "no token comes of --key and --room: %s", err_text(rc));
	s->token = s->made_token;
	return -1;
}

void client_setup_name(const struct client_setup *s, char *text, size_t text_bytes)
{
	const struct client_identity *who = &s->identity;
	char user[160], key[160] = "with a key of the server's";

	if (who->user != NULL)
		(void)snprintf(user, sizeof(user), "%.128s", who->user);
	else
		(void)snprintf(user, sizeof(user), "%lld", (long long)who->mid);
	if (who->key != NULL)
		(void)snprintf(key, sizeof(key), "key %.128s", who->key);
	if (s->made_token == NULL)
		(void)snprintf(text, text_bytes, "by the given token");
	else
		(void)snprintf(text, text_bytes, "as user %s, %s", user, key);
}
