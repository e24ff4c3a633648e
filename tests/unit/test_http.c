/* Tests of common/http/http over real sockets: what a caller sends, however it comes, is what the handler gets; what is too long,
 * too slow or too much is refused. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/cores.h"
#include "common/base/counters.h"
#include "common/base/json.h"
#include "common/base/park.h"
#include "common/base/thread.h"
#include "common/http/http.h"
#include "tests/unit/seam.h"
#include "tests/unit/until.h"

#define MAX_BODY 1000

static struct http *h;
static struct http_keys *keys;
static struct rate rate;
static const char *api_key = ""; /* everybody may do everything */
static uint16_t port;
static atomic_uint handled, inside;
static atomic_bool hold, keep;   /* handlers of /hold and of /keep stay inside */
static atomic_uint before_other; /* handled when /other came */
static atomic_uint done, done_before;
static atomic_uint nested_before, nested_after; /* handled when /nest looked for others, and then */
static atomic_bool nested_more;                 /* and it might have gone on */
static atomic_bool nested_lacks;                /* and its JSON lacked something before */

/* ---- the server ---- */

static void stay_inside(const atomic_bool *held)
{
	const struct timespec moment = {.tv_nsec = 1000000};

	atomic_fetch_add(&inside, 1);
	while (atomic_load(held))
		(void)nanosleep(&moment, NULL);
}

/* Says what it was asked. */
static void echo(void *arg, const struct http_request *request, struct http_reply *reply)
{
	size_t bytes;
	FILE *out = open_memstream(&reply->body, &bytes);

	assert_ptr_equal(arg, &port);
	if (strcmp(request->path, "/hold") == 0)
		stay_inside(&hold);
	if (strcmp(request->path, "/keep") == 0)
		stay_inside(&keep);
	if (strcmp(request->path, "/nest") == 0) {
		atomic_store(&nested_before, atomic_load(&handled));
		json_watch_on(true);
		atomic_store(&nested_more, park_serve_another());
		atomic_store(&nested_lacks, json_ran_out());
		atomic_store(&nested_after, atomic_load(&handled));
	}
	atomic_fetch_add(&done, strcmp(request->path, "/done") == 0);
	if (strcmp(request->path, "/late") == 0)
		atomic_store(&done_before, atomic_load(&done));
	json_watch();
	if (strcmp(request->path, "/other") == 0)
		atomic_store(&before_other, atomic_load(&handled));
	(void)fprintf(out, "%s %s", request->method, request->path);
	for (size_t i = 0; i < request->n_params; i++)
		(void)fprintf(out, " %s=%s", request->params[i].name, request->params[i].value);
	if (request->bad_params)
		(void)fprintf(out, " bad");
	if (request->has_shown_key)
		(void)fprintf(out, " key=%s", request->key.name);
	(void)fprintf(out, " from=%s body=%zu:%s", request->peer, request->body_bytes, (const char *)request->body);
	(void)fclose(out);
	reply->status = 200;
	reply->content_type = "text/x-echo";
	reply->body_bytes = bytes;
	if (strcmp(request->path, "/extra") == 0) {
		reply->status = 503;
		reply->extra_header = "X-Extra";
		reply->extra_value = "yes";
	}
	if (strcmp(request->path, "/nothing") == 0) {
		free(reply->body);
		*reply = (struct http_reply){.status = 500, .content_type = "text/plain"};
	}
	atomic_fetch_add(&handled, 1);
}

/* Start, and read on stdout where it listens; out gets the lines. */
static int start(const struct http_options *opt, char *out, size_t out_bytes)
{
	int said = memfd_create("stdout", MFD_CLOEXEC), before = dup(STDOUT_FILENO), rc;
	ssize_t n;

	(void)fflush(stdout);
	assert_true(said >= 0 && before >= 0 && dup2(said, STDOUT_FILENO) >= 0);
	rc = http_start(opt, echo, &port, &h);
	(void)fflush(stdout);
	(void)dup2(before, STDOUT_FILENO);
	(void)close(before);
	n = pread(said, out, out_bytes - 1, 0);
	out[n > 0 ? n : 0] = '\0';
	(void)close(said);
	return rc;
}

static int start_with(unsigned callers_max, int64_t timeout_ms)
{
	static const char *const free_paths[] = {"/free", NULL}, *const short_paths[] = {"/other", NULL};
	struct http_options opt = {.bind = "127.0.0.1:0",
				   .max_body = MAX_BODY,
				   .callers_max = callers_max,
				   .timeout_ms = timeout_ms,
				   .idle_ms = 60000,
				   .label = "http",
				   .rate = rate,
				   .short_paths = short_paths,
				   .free_paths = free_paths};
	char line[256];
	int rc;

	assert_int_equal(http_keys_new(api_key, "", &keys), 0);
	opt.keys = keys;
	rc = start(&opt, line, sizeof(line));

	if (rc == 0 && strncmp(line, "listening http 127.0.0.1:", 25) != 0)
		return -1;
	port = (uint16_t)strtoul(line + 25, NULL, 10);
	return rc;
}

static int set_up(void **state)
{
	(void)state;
	atomic_store(&handled, 0);
	atomic_store(&inside, 0);
	atomic_store(&hold, false);
	atomic_store(&keep, false);
	return start_with(64, 20000);
}

static int set_up_hasty(void **state)
{
	(void)state;
	atomic_store(&handled, 0);
	return start_with(64, 200);
}

static int set_up_narrow(void **state)
{
	(void)state;
	atomic_store(&handled, 0);
	return start_with(2, 20000);
}

static int set_up_keyed(void **state)
{
	api_key = "k";
	return set_up(state);
}

/* One call a second, two at once, by a clock that stands. */
static int set_up_rated(void **state)
{
	(void)state;
	seam_clock_set(CLOCK_SEC, 0);
	api_key = "k";
	rate = (struct rate){.per_second = 1, .burst_ns = 2 * CLOCK_SEC};
	return start_with(64, 20000);
}

static int tear_down(void **state)
{
	(void)state;
	seam_reset();
	if (h != NULL)
		http_stop(&h);
	if (keys != NULL)
		http_keys_free(&keys);
	until(thread_reap() == 0);
	rate = (struct rate){0};
	api_key = "";
	return h != NULL;
}

/* ---- a caller ---- */

static int call(void)
{
	const struct timeval patience = {.tv_sec = UNTIL_SECONDS};
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_true(fd >= 0);
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	assert_return_code(connect(fd, (struct sockaddr *)&to, sizeof(to)), errno);
	return fd;
}

static void say_bytes(int fd, const char *bytes, size_t n)
{
	while (n > 0) {
		ssize_t sent = send(fd, bytes, n, MSG_NOSIGNAL);

		assert_return_code(sent, errno);
		bytes += sent;
		n -= (size_t)sent;
	}
}

static void say(int fd, const char *text)
{
	say_bytes(fd, text, strlen(text));
}

struct answer {
	int status;
	char head[1024];
	char body[4096];
};

static void read_whole(int fd, char *to, size_t n)
{
	for (size_t got = 0; got < n;) {
		ssize_t more = recv(fd, to + got, n - got, 0);

		assert_return_code(more, errno);
		assert_true(more > 0);
		got += (size_t)more;
	}
}

/* One reply, and not a byte more. */
static struct answer *hear_reply_to(int fd, bool head_only)
{
	static struct answer a;
	const char *length;
	size_t n = 0;

	memset(&a, 0, sizeof(a));
	while (n < 4 || memcmp(a.head + n - 4, "\r\n\r\n", 4) != 0) {
		assert_true(n + 1 < sizeof(a.head));
		read_whole(fd, a.head + n++, 1);
	}
	assert_memory_equal(a.head, "HTTP/1.1 ", 9);
	a.status = (int)strtol(a.head + 9, NULL, 10);
	length = strcasestr(a.head, "Content-Length: ");
	if (a.status >= 200)
		assert_non_null(length);
	n = length != NULL && !head_only ? strtoul(length + 16, NULL, 10) : 0;
	assert_true(n < sizeof(a.body));
	read_whole(fd, a.body, n);
	return &a;
}

static struct answer *hear(int fd)
{
	return hear_reply_to(fd, false);
}

static void is_closed(int fd)
{
	char byte;

	assert_int_equal(recv(fd, &byte, 1, 0), 0);
	(void)close(fd);
}

/* ---- requests ---- */

static void a_request_arrives_as_it_was_meant(void **state)
{
	struct answer *a;
	int fd = call();

	(void)state;
	say(fd, "POST /a%20b?x=1&y=%41+b&x HTTP/1.1\r\nHost: x\r\nX-Api-Key: secret\r\nContent-Length: 5\r\n\r\nhello");
	a = hear(fd);
	assert_int_equal(a->status, 200);
	assert_string_equal(a->body, "POST /a b x=1 y=A b x= key= from=127.0.0.1 body=5:hello");
	assert_non_null(strstr(a->head, "Content-Type: text/x-echo\r\n"));
	assert_non_null(strstr(a->head, "Cache-Control: no-store\r\n"));
	(void)close(fd);
}

static void keys_come_in_either_header(void **state)
{
	static const char *const headers[] = {"X-Api-Key: k", "x-api-key:k", "Authorization: Bearer k",
					      "authorization: bearer k", "X-Api-Key: k\r\nAuthorization: Bearer other"};
	char request[256];
	int fd = call();

	(void)state;
	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		(void)snprintf(request, sizeof(request), "GET / HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n", headers[i]);
		say(fd, request);
		assert_string_equal(hear(fd)->body, "GET / key=(api_key) from=127.0.0.1 body=0:");
	}
	say(fd, "GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Basic k\r\n\r\n");
	assert_string_equal(hear(fd)->body, "GET / from=127.0.0.1 body=0:");
	(void)close(fd);
}

/* Anybody could fill the memory else: each of http.callers with a body of http.max_body. */
static void of_who_may_do_nothing_no_body_is_kept(void **state)
{
	static const char *const headers[] = {"X: y", "X-Api-Key: wrong", "X-Api-Key: k"};
	static const char *const bodies[] = {"0:", "0:", "2:hi"};
	char request[256];
	int fd = call();

	(void)state;
	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		(void)snprintf(request, sizeof(request),
			       "POST / HTTP/1.1\r\nHost: x\r\n%s\r\nContent-Length: 2\r\n\r\nhi", headers[i]);
		say(fd, request);
		assert_string_equal(strstr(hear(fd)->body, "body=") + 5, bodies[i]);
	}
	(void)close(fd);
}

/* ---- the rate ---- */

static const char WITH_KEY[] = "GET / HTTP/1.1\r\nHost: x\r\nX-Api-Key: k\r\n\r\n";
static const char WITHOUT_KEY[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
static const char FREE[] = "GET /free HTTP/1.1\r\nHost: x\r\nX-Api-Key: k\r\n\r\n";

static int ask(int fd, const char *request, struct answer **a)
{
	say(fd, request);
	*a = hear(fd);
	return (*a)->status;
}

static void more_calls_than_the_rate_are_429_and_say_when_to_come_again(void **state)
{
	int64_t before = counters_read(COUNT_HTTP_REFUSED);
	struct answer *a;
	int fd = call();

	(void)state;
	assert_int_equal(ask(fd, WITH_KEY, &a), 200);
	assert_int_equal(ask(fd, WITH_KEY, &a), 200);
	assert_int_equal(ask(fd, WITH_KEY, &a), 429);
	assert_non_null(strstr(a->head, "Retry-After: 1\r\n"));
	assert_string_equal(a->body,
			    "{\"code\":-429,\"message\":\"more calls than http.rate allows; see Retry-After\"}\n");
	assert_int_equal(counters_read(COUNT_HTTP_REFUSED) - before, 1);
	/* On the same connection, once it is time. */
	seam_clock_advance(CLOCK_SEC);
	assert_int_equal(ask(fd, WITH_KEY, &a), 200);
	assert_int_equal(ask(fd, WITH_KEY, &a), 429);
	(void)close(fd);
}

static void each_key_and_each_address_has_a_rate_of_its_own_and_free_paths_none(void **state)
{
	struct answer *a;
	int fd = call();

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(ask(fd, WITH_KEY, &a), i < 2 ? 200 : 429);
	for (int i = 0; i < 3; i++)
		assert_int_equal(ask(fd, WITHOUT_KEY, &a), i < 2 ? 200 : 429);
	for (int i = 0; i < 9; i++)
		assert_int_equal(ask(fd, FREE, &a), 200);
	(void)close(fd);
}

static void broken_encoding_is_marked(void **state)
{
	int fd = call();

	(void)state;
	say(fd, "GET /a?x=1&y=%4&z=2 HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_string_equal(hear(fd)->body, "GET /a x=1 bad from=127.0.0.1 body=0:");
	say(fd, "GET /%?x=1 HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_string_equal(hear(fd)->body, "GET /% bad from=127.0.0.1 body=0:");
	(void)close(fd);
}

static void a_connection_is_kept_for_many_requests(void **state)
{
	int fd = call();

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		say(fd, "POST /n HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi");
		assert_string_equal(hear(fd)->body, "POST /n from=127.0.0.1 body=2:hi");
	}
	assert_int_equal(atomic_load(&handled), 100);
	say(fd, "GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	assert_string_equal(hear(fd)->body, "GET /last from=127.0.0.1 body=0:");
	is_closed(fd);
}

static void requests_sent_at_once_are_answered_in_order(void **state)
{
	int fd = call();

	(void)state;
	say(fd, "GET /1 HTTP/1.1\r\nHost: x\r\n\r\nPOST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhiGET /3 "
		"HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_string_equal(hear(fd)->body, "GET /1 from=127.0.0.1 body=0:");
	assert_string_equal(hear(fd)->body, "POST /2 from=127.0.0.1 body=2:hi");
	assert_string_equal(hear(fd)->body, "GET /3 from=127.0.0.1 body=0:");
	(void)close(fd);
}

static void a_request_in_single_bytes_is_the_same(void **state)
{
	static const char text[] = "POST /a?b=c HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc";
	int fd = call();

	(void)state;
	for (size_t i = 0; i + 1 < sizeof(text); i++)
		say_bytes(fd, text + i, 1);
	assert_string_equal(hear(fd)->body, "POST /a b=c from=127.0.0.1 body=3:abc");
	(void)close(fd);
}

static void a_body_in_chunks_is_put_together(void **state)
{
	int fd = call();

	(void)state;
	say(fd, "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
	say(fd, "A\r\n0123456789\r\n0\r\n\r\n");
	assert_string_equal(hear(fd)->body, "POST /a from=127.0.0.1 body=13:abc0123456789");
	(void)close(fd);
}

static void head_is_get_without_the_body(void **state)
{
	struct answer *a;
	int fd = call();

	(void)state;
	say(fd, "HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n");
	a = hear_reply_to(fd, true);
	assert_int_equal(a->status, 200);
	assert_non_null(strstr(a->head, "Content-Length: 29\r\n"));
	say(fd, "GET /b HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_string_equal(hear(fd)->body, "GET /b from=127.0.0.1 body=0:");
	(void)close(fd);
}

static void what_the_handler_says_goes_out(void **state)
{
	struct answer *a;
	int fd = call();

	(void)state;
	say(fd, "GET /extra HTTP/1.1\r\nHost: x\r\n\r\n");
	a = hear(fd);
	assert_int_equal(a->status, 503);
	assert_non_null(strstr(a->head, "X-Extra: yes\r\n"));
	say(fd, "GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n");
	a = hear(fd);
	assert_int_equal(a->status, 500);
	assert_string_equal(a->body, "");
	(void)close(fd);
}

static void answers_to_what_came_at_once_go_back_at_once(void **state)
{
	static const char request[] = "POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi";
	char requests[8 * sizeof(request)] = "", answers[8192];
	unsigned n = 0;
	ssize_t got;
	int fd = call();

	(void)state;
	for (unsigned i = 0; i < 8; i++)
		memcpy(requests + i * (sizeof(request) - 1), request, sizeof(request));
	say(fd, requests);
	got = recv(fd, answers, sizeof(answers) - 1, 0);
	assert_true(got > 0);
	answers[got] = '\0';
	for (const char *at = answers; (at = strstr(at, "body=2:hi")) != NULL; at++)
		n++;
	assert_int_equal(n, 8);
	(void)close(fd);
}

static void it_is_told_how_long_a_connection_is_kept(void **state)
{
	struct answer *a;
	int fd = call();

	(void)state;
	say(fd, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	a = hear(fd);
	assert_non_null(strstr(a->head, "Connection: keep-alive\r\nKeep-Alive: timeout=60\r\n"));
	say(fd, "GET / HTTP/1.0\r\n\r\n");
	assert_non_null(strstr(hear(fd)->head, "Connection: close\r\n"));
	is_closed(fd);
}

static void a_url_is_as_good_as_a_path_and_its_host_counts(void **state)
{
	int fd = call();

	(void)state;
	say(fd, "GET http://localhost/a?b=c HTTP/1.1\r\nHost: evil\r\n\r\n");
	assert_string_equal(hear(fd)->body, "GET /a b=c from=127.0.0.1 body=0:");
	(void)close(fd);
}

static void balancers_may_ask_for_options(void **state)
{
	static const char *const targets[] = {"*", "/"};
	struct answer *a;
	char request[64];
	int fd = call();

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		(void)snprintf(request, sizeof(request), "OPTIONS %s HTTP/1.1\r\nHost: x\r\n\r\n", targets[i]);
		say(fd, request);
		a = hear(fd);
		assert_int_equal(a->status, 200);
		assert_non_null(strstr(a->head, "Allow: GET, HEAD, POST, OPTIONS\r\n"));
	}
	assert_int_equal(atomic_load(&handled), 0);
	(void)close(fd);
}

static void who_asks_before_sending_is_told_to_go_on(void **state)
{
	char bytes[64] = "";
	int fd = call();

	(void)state;
	say(fd, "POST /a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
	read_whole(fd, bytes, 25);
	assert_string_equal(bytes, "HTTP/1.1 100 Continue\r\n\r\n");
	say(fd, "hi");
	assert_string_equal(hear(fd)->body, "POST /a from=127.0.0.1 body=2:hi");
	(void)close(fd);
}

static void a_list_may_have_nearly_a_mebibyte(void **state)
{
	static char request[1100000];
	size_t n = 0;
	int fd = call();

	(void)state;
	n += (size_t)snprintf(request, sizeof(request), "GET /free?");
	while (n < 1048000)
		n += (size_t)snprintf(request + n, sizeof(request) - n, "m=%zu&", n);
	(void)snprintf(request + n, sizeof(request) - n, " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	say(fd, request);
	for (ssize_t got = 1; got > 0;)
		got = recv(fd, request, sizeof(request), 0);
	assert_int_equal(atomic_load(&handled), 1);
	(void)close(fd);
}

/* ---- what is refused ---- */

static void a_fault_is_told_in_json_and_is_the_end(void **state)
{
	static const struct {
		const char *request;
		int status;
		const char *words;
	} cases[] = {
		{"nonsense\r\n\r\n", 400, "no HTTP request"},
		{"GET / HTTP/1.1\r\nHost: x\n\r\n", 400, "no HTTP request"},
		{"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501, "chunked"},
		{"GET / HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: 9\r\n\r\n", 415,
		 "Content-Encoding"},
		{"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nx", 400, "chunks"},
		{"GET / HTTP/3.0\r\n\r\n", 505, "HTTP/1.1"},
	};
	char code[64];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct answer *a;
		int fd = call();

		say(fd, cases[i].request);
		a = hear(fd);
		assert_int_equal(a->status, cases[i].status);
		(void)snprintf(code, sizeof(code), "{\"code\":-%d,\"message\":\"", cases[i].status);
		assert_memory_equal(a->body, code, strlen(code));
		assert_non_null(strstr(a->body, cases[i].words));
		assert_non_null(strstr(a->head, "Content-Type: application/json"));
		is_closed(fd);
	}
	assert_int_equal(atomic_load(&handled), 0);
}

static void a_body_of_the_highest_length_is_taken(void **state)
{
	char body[MAX_BODY + 1];
	char head[128];
	int fd = call();

	(void)state;
	memset(body, 'x', MAX_BODY);
	body[MAX_BODY] = '\0';
	(void)snprintf(head, sizeof(head), "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", MAX_BODY);
	say(fd, head);
	say(fd, body);
	assert_int_equal(hear(fd)->status, 200);
	say(fd, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n");
	say(fd, body);
	say(fd, "\r\n0\r\n\r\n");
	assert_int_equal(hear(fd)->status, 200);
	(void)close(fd);
}

static void is_413(int fd)
{
	struct answer *a = hear(fd);

	assert_int_equal(a->status, 413);
	assert_string_equal(a->body, "{\"code\":-413,\"message\":\"the body is longer than http.max_body\"}\n");
	assert_non_null(strcasestr(a->head, "Connection: close\r\n"));
	assert_int_equal(atomic_load(&handled), 0);
}

static void who_asks_before_sending_a_longer_body_is_told_at_once(void **state)
{
	int fd = call();

	(void)state;
	say(fd, "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1001\r\n\r\n");
	is_413(fd);
	is_closed(fd);
	fd = call();
	say(fd, "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 99999999999\r\n\r\n");
	is_413(fd);
	(void)close(fd);
}

/* Most callers send the whole body before they look for an answer. */
static void who_sends_a_longer_body_to_its_end_hears_of_it(void **state)
{
	static char body[4 * 1000 * 1000];
	int fd = call();

	(void)state;
	memset(body, 'x', sizeof(body));
	say(fd, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\n");
	say_bytes(fd, body, sizeof(body));
	is_413(fd);
	(void)close(fd);
}

static void chunks_that_add_up_to_more_are_413(void **state)
{
	char chunk[600];
	int fd = call();

	(void)state;
	memset(chunk, 'x', sizeof(chunk));
	say(fd, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
	for (unsigned i = 0; i < 100; i++) {
		say(fd, "258\r\n");
		say_bytes(fd, chunk, sizeof(chunk));
		say(fd, "\r\n");
	}
	say(fd, "0\r\n\r\n");
	is_413(fd);
	is_closed(fd);
}

static void a_length_given_twice_is_400(void **state)
{
	static const char *const headers[] = {"Content-Length: 5\r\nContent-Length: 5",
					      "Content-Length: 5\r\nTransfer-Encoding: chunked",
					      "Transfer-Encoding: chunked\r\nContent-Length: 5"};
	char request[256];

	(void)state;
	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		int fd = call();

		(void)snprintf(request, sizeof(request), "POST / HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n", headers[i]);
		say(fd, request);
		assert_int_equal(hear(fd)->status, 400);
		(void)close(fd);
	}
	assert_int_equal(atomic_load(&handled), 0);
}

static void what_is_no_http_reaches_no_handler(void **state)
{
	static const char *const texts[] = {"\r\n\r\n\r\n\r\n",
					    "nonsense\r\n\r\n",
					    "GET /\r\n\r\n",
					    "\x16\x03\x01\x02\r\n\r\n",
					    "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
					    "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
					    "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nxx\r\n"};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		char bytes[1024];
		int fd = call();

		say(fd, texts[i]);
		(void)shutdown(fd, SHUT_WR);
		while (recv(fd, bytes, sizeof(bytes), 0) > 0)
			;
		(void)close(fd);
	}
	assert_int_equal(atomic_load(&handled), 0);
}

static void headers_have_a_bound(void **state)
{
	static char text[100000];
	struct answer *a;
	int fd = call();

	(void)state;
	(void)snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: x\r\nX-Long: ");
	memset(text + strlen(text), 'x', 40000);
	(void)send(fd, text, strlen(text), MSG_NOSIGNAL);
	a = hear(fd);
	assert_true(a->status >= 400 && a->status < 500);
	(void)close(fd);
	assert_int_equal(atomic_load(&handled), 0);
}

/* ---- slow ones ---- */

static void a_request_that_does_not_end_is_ended(void **state)
{
	static const char *const beginnings[] = {
		"", "GET", "GET / HTTP/1.1\r\nHost:", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nabc",
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab"};
	int fds[5];

	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		fds[i] = call();
		say(fds[i], beginnings[i]);
	}
	for (unsigned i = 0; i < 5; i++)
		is_closed(fds[i]);
	assert_int_equal(atomic_load(&handled), 0);
}

static void bytes_that_drip_do_not_put_off_the_end(void **state)
{
	int fd = call();

	(void)state;
	say(fd, "GET /");
	until(send(fd, "x", 1, MSG_NOSIGNAL) < 0);
	(void)close(fd);
	assert_int_equal(atomic_load(&handled), 0);
}

static void a_handler_may_take_longer_than_a_caller(void **state)
{
	const struct timespec longer = {.tv_nsec = 400000000};
	int fd;

	(void)state;
	atomic_store(&hold, true);
	atomic_store(&inside, 0);
	fd = call();
	say(fd, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
	until(atomic_load(&inside) == 1);
	(void)nanosleep(&longer, NULL);
	atomic_store(&hold, false);
	assert_int_equal(hear(fd)->status, 200);
	/* And then has its idle time. */
	(void)nanosleep(&longer, NULL);
	say(fd, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_int_equal(hear(fd)->status, 200);
	(void)close(fd);
}

/* ---- many ---- */

#define CALLERS  8
#define REQUESTS 50

static void *ask_often(void *arg)
{
	unsigned *good = arg;
	int fd = call();

	for (unsigned i = 0; i < REQUESTS; i++) {
		static const char request[] = "POST /m HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi";
		char answer[1024];
		ssize_t n;

		if (send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) < 0 ||
		    (n = recv(fd, answer, sizeof(answer) - 1, 0)) <= 0)
			break;
		answer[n] = '\0';
		/* One send is one segment on loopback, and so is one small answer; else it just does not count. */
		while (strstr(answer, "body=2:hi") == NULL && (size_t)n + 1 < sizeof(answer)) {
			ssize_t more = recv(fd, answer + n, sizeof(answer) - 1 - (size_t)n, 0);

			if (more <= 0)
				break;
			n += more;
			answer[n] = '\0';
		}
		*good += strstr(answer, "body=2:hi") != NULL;
	}
	(void)close(fd);
	return NULL;
}

static void many_callers_are_served_at_once(void **state)
{
	pthread_t threads[CALLERS];
	unsigned good[CALLERS] = {0};

	(void)state;
	for (unsigned i = 0; i < CALLERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ask_often, &good[i]), 0);
	for (unsigned i = 0; i < CALLERS; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_int_equal(good[i], REQUESTS);
	}
	assert_int_equal(atomic_load(&handled), CALLERS * REQUESTS);
}

#define AT_ONCE      100
#define A_TURN       40 /* of a kilobyte each: two buffers, and some */
#define MOST_THREADS 64

static unsigned n_threads(void)
{
	return cores() < 2 ? 2 : cores() < MOST_THREADS ? cores() : MOST_THREADS;
}

/* While /nest is inside, another is ready: how many more were handled before it went on. Only one thread is free for both. */
static unsigned handled_within(const char *request)
{
	static const char ready[] = "POST /ready HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx";
	const unsigned others = n_threads() - 1;
	int first = call(), nest = call(), other = call(), kept[MOST_THREADS];

	/* They have been accepted then. */
	say(nest, ready);
	assert_int_equal(hear(nest)->status, 200);
	say(other, ready);
	assert_int_equal(hear(other)->status, 200);
	atomic_store(&inside, 0);
	atomic_store(&hold, true);
	atomic_store(&keep, true);
	for (unsigned i = 0; i < others; i++) {
		kept[i] = call();
		say(kept[i], "GET /keep HTTP/1.1\r\nHost: x\r\n\r\n");
		until(atomic_load(&inside) == i + 1);
	}
	say(first, "POST /hold HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx");
	until(atomic_load(&inside) == others + 1);
	say(nest, "POST /nest HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx");
	say(other, request);
	atomic_store(&hold, false);
	assert_int_equal(hear(first)->status, 200);
	assert_int_equal(hear(nest)->status, 200);
	assert_int_equal(hear(other)->status, 200);
	atomic_store(&keep, false);
	for (unsigned i = 0; i < others; i++) {
		assert_int_equal(hear(kept[i])->status, 200);
		(void)close(kept[i]);
	}
	(void)close(first);
	(void)close(nest);
	(void)close(other);
	return atomic_load(&nested_after) - atomic_load(&nested_before);
}

static void a_push_is_answered_in_the_place_of_anothers_wait(void **state)
{
	(void)state;
	assert_int_equal(handled_within("POST /other HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx"), 1);
	assert_true(atomic_load(&nested_more));
	assert_true(atomic_load(&nested_lacks));
}

static void who_may_wait_long_holds_up_nobody_elses_answer(void **state)
{
	(void)state;
	assert_int_equal(handled_within("GET /other HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
	assert_false(atomic_load(&nested_more));
	assert_int_equal(handled_within("POST /other HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"), 0);
	assert_false(atomic_load(&nested_more));
	assert_int_equal(handled_within("POST /long HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx"), 0);
	assert_false(atomic_load(&nested_more));
}

/* Each thread has one that has sent a lot. */
static void who_sends_many_requests_at_once_has_a_turn_and_not_the_thread(void **state)
{
	static const char hold_on[] = "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n",
			  form[] = "GET /%01000d HTTP/1.1\r\nHost: x\r\n\r\n";
	static char requests[AT_ONCE * 1100];
	int fds[MOST_THREADS], other = call();
	unsigned n = n_threads();
	size_t bytes = sizeof(hold_on) - 1;

	(void)state;
	memcpy(requests, hold_on, sizeof(hold_on));
	for (unsigned i = 0; i < AT_ONCE; i++)
		bytes += (size_t)snprintf(requests + bytes, sizeof(requests) - bytes, form, 0);
	atomic_store(&hold, true);
	for (unsigned i = 0; i < n; i++) {
		fds[i] = call();
		say_bytes(fds[i], requests, bytes);
		until(atomic_load(&inside) == i + 1);
	}
	say(other, "GET /other HTTP/1.1\r\nHost: x\r\n\r\n");
	atomic_store(&hold, false);
	assert_int_equal(hear(other)->status, 200);
	until(atomic_load(&handled) == n * (1 + AT_ONCE) + 1);
	assert_true(atomic_load(&before_other) <= n * A_TURN);
	for (unsigned i = 0; i < n; i++)
		(void)close(fds[i]);
	(void)close(other);
}

static int call_path(const char *path, const char *text, size_t bytes)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), space = 400000;

	(void)snprintf(to.sun_path, sizeof(to.sun_path), "%s", path);
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &space, sizeof(space));
	assert_return_code(connect(fd, (struct sockaddr *)&to, sizeof(to)), errno);
	say_bytes(fd, text, bytes);
	return fd;
}

/* Of this process: a call by a path has two, once it is accepted. */
static unsigned open_files(void)
{
	DIR *all = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(all);
	while (readdir(all) != NULL)
		n++;
	(void)closedir(all);
	return n;
}

/* By a path, where no window keeps the bytes back; they have all come before the other's request. */
static void who_sends_a_body_that_nobody_keeps_has_a_turn_and_not_the_thread(void **state)
{
	static const char head[] = "POST /done HTTP/1.1\r\nHost: x\r\nContent-Length: 150000\r\n\r\n",
			  hold_on[] = "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n",
			  late[] = "GET /late HTTP/1.1\r\nHost: x\r\n\r\n";
	static char text[sizeof(head) - 1 + 150000];
	const unsigned n = n_threads();
	char folder[] = "/tmp/test_http.XXXXXX", bind[64], line[256];
	struct http_options opt = {.bind = bind,
				   .max_body = 1 << 20,
				   .callers_max = 3 * MOST_THREADS,
				   .timeout_ms = 20000,
				   .idle_ms = 60000,
				   .label = "http",
				   .unix_mode = 0600};
	int holds[MOST_THREADS], busy[MOST_THREADS], other, last;
	unsigned files;

	(void)state;
	memset(text, 'x', sizeof(text));
	memcpy(text, head, sizeof(head) - 1);
	assert_non_null(mkdtemp(folder));
	(void)snprintf(bind, sizeof(bind), "unix:%s/s", folder);
	assert_int_equal(http_keys_new("k", "", &keys), 0);
	opt.keys = keys;
	atomic_store(&inside, 0);
	atomic_store(&hold, true);
	assert_int_equal(start(&opt, line, sizeof(line)), 0);
	for (unsigned i = 0; i < n; i++) {
		holds[i] = call_path(bind + 5, hold_on, sizeof(hold_on) - 1);
		until(atomic_load(&inside) == i + 1);
	}
	files = open_files();
	for (unsigned i = 0; i < n; i++)
		busy[i] = call_path(bind + 5, text, sizeof(text));
	other = call_path(bind + 5, late, sizeof(late) - 1);
	/* When this one is accepted, those before it were handed on. */
	last = call_path(bind + 5, hold_on, sizeof(hold_on) - 1);
	until(open_files() == files + 2 * (n + 2));
	atomic_store(&hold, false);
	assert_int_equal(hear(other)->status, 200);
	assert_int_equal(atomic_load(&done_before), 0);
	until(atomic_load(&done) == n);
	for (unsigned i = 0; i < n; i++) {
		(void)close(holds[i]);
		(void)close(busy[i]);
	}
	(void)close(other);
	(void)close(last);
	http_stop(&h);
	(void)rmdir(folder);
}

/* Of one network that has all the places nobody is slow yet: there are some more for a moment. */
static void who_is_one_too_many_is_served_all_the_same(void **state)
{
	int first = call(), second = call(), third, fourth;
	char byte;

	(void)state;
	say(first, "GET /1 HTTP/1.1\r\n");
	say(second, "GET /2 HTTP/1.1\r\n");
	third = call();
	say(third, "GET /3 HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_string_equal(hear(third)->body, "GET /3 from=127.0.0.1 body=0:");
	/* Now that one is between two requests, or will be in a moment, and makes place for others. */
	do {
		fourth = call();
		say(fourth, "GET /4 HTTP/1.1\r\nHost: x\r\n\r\n");
		assert_string_equal(hear(fourth)->body, "GET /4 from=127.0.0.1 body=0:");
		(void)close(fourth);
	} while (recv(third, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN);
	(void)close(third);
	say(second, "Host: x\r\n\r\n");
	assert_string_equal(hear(second)->body, "GET /2 from=127.0.0.1 body=0:");
	(void)close(first);
	(void)close(second);
}

/* ---- start and stop ---- */

static void *stop_it(void *arg)
{
	(void)arg;
	http_stop(&h);
	return NULL;
}

static void stopping_sends_the_reply_of_who_is_inside_and_closes_all(void **state)
{
	int idle = call(), busy = call();
	pthread_t stopper;

	(void)state;
	atomic_store(&hold, true);
	say(idle, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_int_equal(hear(idle)->status, 200);
	say(busy, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
	until(atomic_load(&inside) == 1);
	assert_int_equal(pthread_create(&stopper, NULL, stop_it, NULL), 0);
	atomic_store(&hold, false);
	assert_int_equal(hear(busy)->status, 200);
	is_closed(busy);
	is_closed(idle);
	assert_int_equal(pthread_join(stopper, NULL), 0);
	assert_null(h);
	assert_int_equal(atomic_load(&handled), 2);
}

static void several_addresses_are_listened_on_and_said(void **state)
{
	const struct http_options opt = {.bind = "127.0.0.1:0, 127.0.0.2:0",
					 .max_body = MAX_BODY,
					 .callers_max = 4,
					 .timeout_ms = 20000,
					 .label = "api"};
	char lines[256];
	int fd;

	(void)state;
	assert_int_equal(start(&opt, lines, sizeof(lines)), 0);
	assert_memory_equal(lines, "listening api 127.0.0.1:", 24);
	assert_non_null(strstr(lines, "\nlistening api 127.0.0.2:"));
	port = (uint16_t)strtoul(lines + 24, NULL, 10);
	fd = call();
	say(fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_int_equal(hear(fd)->status, 200);
	(void)close(fd);
}

static void an_address_that_cannot_be_had_is_said(void **state)
{
	static const char *const binds[] = {"127.0.0.1", "127.0.0.1:0,203.0.113.1:0", "256.0.0.1:0",
					    "127.0.0.1:http-not"};
	char lines[256];

	(void)state;
	for (size_t i = 0; i < sizeof(binds) / sizeof(binds[0]); i++) {
		const struct http_options opt = {
			.bind = binds[i], .max_body = MAX_BODY, .callers_max = 4, .timeout_ms = 20000, .label = "api"};

		assert_true(start(&opt, lines, sizeof(lines)) < 0);
		assert_null(h);
	}
}

static void what_fails_at_the_start_leaves_nothing(void **state)
{
	const struct http_options opt = {
		.bind = "127.0.0.1:0", .max_body = MAX_BODY, .callers_max = 4, .timeout_ms = 20000, .label = "api"};
	char lines[256];

	(void)state;
	seam_fail(SEAM_ALLOC, 0, 1, ENOMEM);
	assert_int_equal(start(&opt, lines, sizeof(lines)), -ENOMEM);
	seam_fail(SEAM_PTHREAD_CREATE, 0, 1, EAGAIN);
	assert_int_equal(start(&opt, lines, sizeof(lines)), -EAGAIN);
	seam_fail(SEAM_SETSOCKOPT, 0, 1, EINVAL);
	assert_int_equal(start(&opt, lines, sizeof(lines)), -EINVAL);
	assert_null(h);
}

static void a_request_for_which_there_is_no_memory_is_500_or_ends(void **state)
{
	(void)state;
	for (unsigned after = 0;; after++) {
		char bytes[1024] = "";
		int fd = call();
		ssize_t n;

		/* The caller's own record comes first. */
		say(fd, "GET /warm HTTP/1.1\r\nHost: x\r\n\r\n");
		assert_int_equal(hear(fd)->status, 200);
		seam_reset();
		seam_fail(SEAM_ALLOC, after, 1, ENOMEM);
		say(fd, "POST /a?b=c&d=e&f&g&h&i&j&k&l HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: "
			"2\r\n\r\nhi");
		n = recv(fd, bytes, sizeof(bytes) - 1, 0);
		(void)close(fd);
		if (seam_failed(SEAM_ALLOC) == 0) {
			assert_true(n > 0);
			assert_memory_equal(bytes, "HTTP/1.1 200", 12);
			assert_true(after >= 4);
			break;
		}
		assert_true(n <= 0 || memcmp(bytes, "HTTP/1.1 500", 12) == 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name)        cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define HASTY_CASE(name)  cmocka_unit_test_setup_teardown(name, set_up_hasty, tear_down)
#define KEYED_CASE(name)  cmocka_unit_test_setup_teardown(name, set_up_keyed, tear_down)
#define RATED_CASE(name)  cmocka_unit_test_setup_teardown(name, set_up_rated, tear_down)
#define NARROW_CASE(name) cmocka_unit_test_setup_teardown(name, set_up_narrow, tear_down)
		CASE(a_request_arrives_as_it_was_meant),
		KEYED_CASE(keys_come_in_either_header),
		KEYED_CASE(of_who_may_do_nothing_no_body_is_kept),
		CASE(broken_encoding_is_marked),
		RATED_CASE(more_calls_than_the_rate_are_429_and_say_when_to_come_again),
		RATED_CASE(each_key_and_each_address_has_a_rate_of_its_own_and_free_paths_none),
		CASE(a_connection_is_kept_for_many_requests),
		CASE(requests_sent_at_once_are_answered_in_order),
		CASE(a_request_in_single_bytes_is_the_same),
		CASE(a_body_in_chunks_is_put_together),
		CASE(head_is_get_without_the_body),
		CASE(what_the_handler_says_goes_out),
		CASE(answers_to_what_came_at_once_go_back_at_once),
		CASE(it_is_told_how_long_a_connection_is_kept),
		CASE(a_url_is_as_good_as_a_path_and_its_host_counts),
		CASE(balancers_may_ask_for_options),
		CASE(who_asks_before_sending_is_told_to_go_on),
		CASE(a_list_may_have_nearly_a_mebibyte),
		CASE(a_fault_is_told_in_json_and_is_the_end),
		CASE(a_body_of_the_highest_length_is_taken),
		CASE(who_asks_before_sending_a_longer_body_is_told_at_once),
		CASE(who_sends_a_longer_body_to_its_end_hears_of_it),
		CASE(chunks_that_add_up_to_more_are_413),
		CASE(a_length_given_twice_is_400),
		CASE(what_is_no_http_reaches_no_handler),
		CASE(headers_have_a_bound),
		HASTY_CASE(a_request_that_does_not_end_is_ended),
		HASTY_CASE(bytes_that_drip_do_not_put_off_the_end),
		HASTY_CASE(a_handler_may_take_longer_than_a_caller),
		CASE(many_callers_are_served_at_once),
		CASE(a_push_is_answered_in_the_place_of_anothers_wait),
		CASE(who_may_wait_long_holds_up_nobody_elses_answer),
		CASE(who_sends_many_requests_at_once_has_a_turn_and_not_the_thread),
		cmocka_unit_test_teardown(who_sends_a_body_that_nobody_keeps_has_a_turn_and_not_the_thread, tear_down),
		NARROW_CASE(who_is_one_too_many_is_served_all_the_same),
		CASE(stopping_sends_the_reply_of_who_is_inside_and_closes_all),
		cmocka_unit_test_teardown(several_addresses_are_listened_on_and_said, tear_down),
		cmocka_unit_test_teardown(an_address_that_cannot_be_had_is_said, tear_down),
		cmocka_unit_test_teardown(what_fails_at_the_start_leaves_nothing, tear_down),
		CASE(a_request_for_which_there_is_no_memory_is_500_or_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
