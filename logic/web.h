/* web: calls of libcurl that take nothing from their surroundings. SPDX-License-Identifier: MIT */
#ifndef LOGIC_WEB_H
#define LOGIC_WEB_H

#include <curl/curl.h>

/* A handle for this address: http and https only, no redirect, no proxy of the environment, no signal, certificates verified, with the
 * authorities of ca_file and no others, or, where it is empty, with the system's. NULL: no memory. The caller's, to be ended by
 * curl_easy_cleanup; curl_global_init comes before. */
CURL *web_handle(const char *url, const char *ca_file);

/* Why a call of this address failed, for an operator; `words` is its CURLOPT_ERRORBUFFER, and may be what is returned. */
const char *web_fault(CURLcode code, const char *url, char words[CURL_ERROR_SIZE]);

#endif
