/* http_client: see http_client.h. SPDX-License-Identifier: MIT */
#include "cli/http_client.h"

#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_MAX (64u << 20)

struct http_client {
	CURL *curl;
	struct curl_slist *headers;
	char *base; /* with its scheme */
	char *body; /* of the last answer; malloc'ed, grows */
	size_t body_bytes, body_cap;
	char words[CURL_ERROR_SIZE];
};

static int keep_header(struct http_client *h, const char *line)
{
	struct curl_slist *longer = curl_slist_append(h->headers, line);

	if (longer == NULL)
		return -ENOMEM;
	h->headers = longer;
	return 0;
}

static int keep_headers(struct http_client *h, const char *api_key, bool tell)
{
	char *line;
	int rc = keep_header(h, "Content-Type: application/octet-stream");

	/* Without this a body over 1 KiB would first wait for a "100 Continue". */
	if (rc == 0)
		rc = keep_header(h, "Expect:");
	if (rc == 0 && tell)
		rc = keep_header(h, "Comet-Tell: 1");
	if (rc < 0 || api_key == NULL)
		return rc;
	if (asprintf(&line, "X-Api-Key: %s", api_key) < 0)
		return -ENOMEM;
	rc = keep_header(h, line);
	free(line);
	return rc;
}

/* curl hands us a piece of the answer; taking fewer bytes than offered ends the call. */
static size_t take_piece(char *piece, size_t one, size_t n, void *arg)
{
	struct http_client *h = arg;
	size_t want = h->body_bytes + n + 1;

	(void)one; /* always 1 */
	if (want > ANSWER_MAX)
		return 0;
	if (want > h->body_cap) {
		size_t cap = want > 2 * h->body_cap ? want : 2 * h->body_cap;
		char *body = realloc(h->body, cap);

		if (body == NULL)
			return 0;
		h->body = body;
		h->body_cap = cap;
	}
	memcpy(h->body + h->body_bytes, piece, n);
	h->body_bytes += n;
	h->body[h->body_bytes] = '\0';
	return n;
}

static bool set_options(struct http_client *h, const struct http_client_options *opt)
{
	return curl_easy_setopt(h->curl, CURLOPT_HTTPHEADER, h->headers) == CURLE_OK &&
	       curl_easy_setopt(h->curl, CURLOPT_WRITEFUNCTION, take_piece) == CURLE_OK &&
	       curl_easy_setopt(h->curl, CURLOPT_WRITEDATA, h) == CURLE_OK &&
	       curl_easy_setopt(h->curl, CURLOPT_ERRORBUFFER, h->words) == CURLE_OK &&
	       curl_easy_setopt(h->curl, CURLOPT_TIMEOUT_MS, opt->timeout_ms) == CURLE_OK &&
	       curl_easy_setopt(h->curl, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
	       /* Where the user points is where we go: no proxy of the environment comes between. */
	       curl_easy_setopt(h->curl, CURLOPT_NOPROXY, "*") == CURLE_OK &&
	       curl_easy_setopt(h->curl, CURLOPT_SSL_VERIFYPEER, opt->insecure ? 0L : 1L) == CURLE_OK &&
	       curl_easy_setopt(h->curl, CURLOPT_SSL_VERIFYHOST, opt->insecure ? 0L : 2L) == CURLE_OK &&
	       (!opt->deletes || curl_easy_setopt(h->curl, CURLOPT_CUSTOMREQUEST, "DELETE") == CURLE_OK) &&
	       (opt->ca_file == NULL || curl_easy_setopt(h->curl, CURLOPT_CAINFO, opt->ca_file) == CURLE_OK) &&
	       /* curl would use SIGALRM for its timeouts, which no thread of ours expects. */
	       curl_easy_setopt(h->curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK;
}

static bool set_certificate(struct http_client *h, const struct http_client_options *opt)
{
	return opt->cert_file == NULL ||
	       (curl_easy_setopt(h->curl, CURLOPT_SSLCERT, opt->cert_file) == CURLE_OK &&
		curl_easy_setopt(h->curl, CURLOPT_SSLKEY, opt->key_file != NULL ? opt->key_file : opt->cert_file) ==
			CURLE_OK &&
		/* Otherwise OpenSSL would ask for one on the terminal. */
		curl_easy_setopt(h->curl, CURLOPT_KEYPASSWD, "") == CURLE_OK);
}

static void start_curl(void)
{
	curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* Without its scheme it is http://. malloc'ed; NULL without memory. */
static char *whole_base(const char *base)
{
	char *whole;

	if (asprintf(&whole, "%s%s", strstr(base, "://") != NULL ? "" : "http://", base) < 0)
		return NULL; /* asprintf leaves it undefined */
	return whole;
}

bool http_client_takes(const char *base)
{
	CURLU *url = curl_url();
	char *whole = whole_base(base), *scheme = NULL;
	/* Without memory the call itself will say so. */
	bool takes = url == NULL || whole == NULL;

	if (!takes && curl_url_set(url, CURLUPART_URL, whole, 0) == CURLUE_OK &&
	    curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK)
		takes = strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0;
	curl_free(scheme);
	curl_url_cleanup(url);
	free(whole);
	return takes;
}

int http_client_new(const struct http_client_options *opt, struct http_client **out)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct http_client *h;
	int rc = -ENOMEM;

	pthread_once(&once, start_curl);
	if ((h = calloc(1, sizeof(*h))) == NULL)
		return -ENOMEM;
	if ((h->base = whole_base(opt->base)) == NULL)
		goto free_client;
	if ((h->curl = curl_easy_init()) == NULL || (rc = keep_headers(h, opt->api_key, opt->tell)) < 0)
		goto free_client;
	rc = -ENOMEM;
	if (!set_options(h, opt) || !set_certificate(h, opt))
		goto free_client;
	*out = h;
	return 0;

free_client:
	http_client_free(&h);
	return rc;
}

void http_client_free(struct http_client **h)
{
	if (*h == NULL)
		return;
	curl_easy_cleanup((*h)->curl);
	curl_slist_free_all((*h)->headers);
	free((*h)->base);
	free((*h)->body);
	free(*h);
	*h = NULL;
}

/* Our code for one of curl's. */
static int error_of(CURLcode code)
{
	switch (code) {
	case CURLE_OK:
		return 0;
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_CONNECT:
	case CURLE_URL_MALFORMAT:
	case CURLE_UNSUPPORTED_PROTOCOL:
		return -ENOTCONN;
	case CURLE_OPERATION_TIMEDOUT:
		return -ETIMEDOUT;
	case CURLE_OUT_OF_MEMORY:
		return -ENOMEM;
	default:
		return -EIO;
	}
}

/* What may be wrong where curl's words name only what it saw. */
static const char *guess(CURLcode code, bool is_tls)
{
	switch (code) {
	case CURLE_COULDNT_CONNECT:
		return "; is comet running? --http names another address";
	case CURLE_GOT_NOTHING:
	case CURLE_RECV_ERROR:
	case CURLE_SEND_ERROR:
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_UNSUPPORTED_PROTOCOL:
		return is_tls ? "" : "; is it the port of the HTTP API? For TLS it begins with https://";
	case CURLE_SSL_CONNECT_ERROR:
		return "; is TLS spoken at that port? Without TLS it is http://";
	case CURLE_PEER_FAILED_VERIFICATION:
		return "; --cacert FILE names whom to trust";
	default:
		return "";
	}
}

/* The method with its body. POSTFIELDS makes it a POST, HTTPGET takes that back. */
static CURLcode set_body(struct http_client *h, const void *body, size_t body_bytes)
{
	CURLcode code;

	if (body == NULL)
		return curl_easy_setopt(h->curl, CURLOPT_HTTPGET, 1L);
	code = curl_easy_setopt(h->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body_bytes);
	return code == CURLE_OK ? curl_easy_setopt(h->curl, CURLOPT_POSTFIELDS, body) : code;
}

int http_client_call(struct http_client *h, const char *path_and_query, const void *body, size_t body_bytes,
		     struct http_answer *answer)
{
	char *url;
	CURLcode code;
	int rc;

	*answer = (struct http_answer){.body = ""};
	h->words[0] = '\0';
	h->body_bytes = 0;
	if (asprintf(&url, "%s%s", h->base, path_and_query) < 0) {
		snprintf(answer->words, sizeof(answer->words), "out of memory");
		return -ENOMEM;
	}
	code = curl_easy_setopt(h->curl, CURLOPT_URL, url);
	if (code == CURLE_OK)
		code = set_body(h, body, body_bytes);
	if (code == CURLE_OK)
		code = curl_easy_perform(h->curl);
	free(url);

	rc = error_of(code);
	if (rc < 0) {
		snprintf(answer->words, sizeof(answer->words), "%s%s",
			 h->words[0] != '\0' ? h->words : curl_easy_strerror(code),
			 guess(code, strncmp(h->base, "https", 5) == 0));
		return rc;
	}
	curl_easy_getinfo(h->curl, CURLINFO_RESPONSE_CODE, &answer->status);
	if (h->body_bytes > 0) {
		answer->body = h->body;
		answer->body_bytes = h->body_bytes;
	}
	return 0;
}
