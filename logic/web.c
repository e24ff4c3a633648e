/* web: see web.h. SPDX-License-Identifier: MIT */
#include "logic/web.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/base/version.h"

/* With a file its authorities and no others: a libcurl that was built with a folder of the system's would believe those, too. */
static bool choose_authorities(CURL *curl, const char *ca_file)
{
	return ca_file[0] == '\0' || (curl_easy_setopt(curl, CURLOPT_CAINFO, ca_file) == CURLE_OK &&
				      curl_easy_setopt(curl, CURLOPT_CAPATH, NULL) == CURLE_OK);
}

CURL *web_handle(const char *url, const char *ca_file)
{
	CURL *curl = curl_easy_init();
	char agent[128];
	bool good;

	if (curl == NULL)
		return NULL;
	(void)snprintf(agent, sizeof(agent), "comet/%s", version_text);
	good = curl_easy_setopt(curl, CURLOPT_URL, url) == CURLE_OK &&
	       curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
	       curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
	       curl_easy_setopt(curl, CURLOPT_NOPROXY, "*") == CURLE_OK &&
	       curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
	       curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK &&
	       curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK &&
	       curl_easy_setopt(curl, CURLOPT_USERAGENT, agent) == CURLE_OK &&
	       /* The system caches names. A cache here would let a name seem found while no name server answers. */
	       curl_easy_setopt(curl, CURLOPT_DNS_CACHE_TIMEOUT, 0L) == CURLE_OK &&
	       /* Without this the end of a call would wait for a name server that does not answer. */
	       curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L) == CURLE_OK && choose_authorities(curl, ca_file);
	if (good)
		return curl;
	curl_easy_cleanup(curl);
	return NULL;
}

const char *web_fault(CURLcode code, const char *url, char words[CURL_ERROR_SIZE])
{
	size_t n = strlen(words);

	/* What answers as no HTTP does is HTTP/0.9 to curl. */
	if (code == CURLE_UNSUPPORTED_PROTOCOL)
		return "HTTP is not spoken at that port; for TLS the address begins with https://";
	if (code == CURLE_SSL_CONNECT_ERROR && strstr(words, "wrong version number") != NULL)
		return "TLS is not spoken at that port; without TLS the address begins with http://";
	if (n == 0)
		return curl_easy_strerror(code);
	if ((code == CURLE_GOT_NOTHING || code == CURLE_RECV_ERROR) && strncmp(url, "http://", 7) == 0)
		(void)snprintf(words + n, CURL_ERROR_SIZE - n,
			       "; if that port speaks TLS, the address begins with https://");
	return words;
}
