/* Fuzzes PROXY headers: any bytes in a row. More bytes behind a header never change what it says, fewer never make one.
 * SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "comet/door/proxy.h"
#include "common/base/obj.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

/* A copy of exactly that size, so that the sanitizer sees a read beyond it. */
static int parse(const uint8_t *data, size_t bytes, struct sockaddr_storage *client, size_t *header_bytes)
{
	uint8_t *exact = malloc(bytes + (bytes == 0));
	int rc;

	if (bytes > 0)
		memcpy(exact, data, bytes);
	rc = proxy_parse(exact, bytes, client, header_bytes);
	free(exact);
	return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct sockaddr_storage client, again;
	size_t header_bytes, again_bytes;
	int rc = parse(data, bytes, &client, &header_bytes);

	BUG_UNLESS(rc == 0 || rc == -EAGAIN || rc == -EBADMSG);
	if (rc == 0) {
		BUG_UNLESS(header_bytes > 0 && header_bytes <= bytes && header_bytes <= PROXY_HEADER_BYTES);
		BUG_UNLESS(parse(data, header_bytes, &again, &again_bytes) == 0);
		BUG_UNLESS(again_bytes == header_bytes && memcmp(&client, &again, sizeof(client)) == 0);
		BUG_UNLESS(parse(data, header_bytes - 1, &again, &again_bytes) == -EAGAIN);
	}
	/* Who may yet become a header is no longer than one. */
	BUG_UNLESS(rc != -EAGAIN || bytes < PROXY_HEADER_BYTES);
	return 0;
}
