/* tls_memory: see tls_memory.h. SPDX-License-Identifier: MIT */
#include "common/tls/tls_memory.h"

#include <errno.h>
#include <openssl/err.h>

bool tls_lacked_memory(void)
{
	const unsigned long first = ERR_peek_error();
	const int why = ERR_GET_REASON(first);

	/* Without memory it cannot even note why it failed. */
	return first == 0 || why == (ERR_GET_LIB(first) == ERR_LIB_SYS ? ENOMEM : ERR_R_MALLOC_FAILURE);
}
