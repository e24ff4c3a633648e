/* backoff: see backoff.h. Pure. SPDX-License-Identifier: MIT */
#include "client/backoff.h"

int64_t backoff_delay_ms(unsigned attempt, uint32_t random)
{
	double delay_ms = BACKOFF_BASE_MS;
	double swing = 2.0 * random / UINT32_MAX - 1.0; /* -1 to 1 */

	for (unsigned i = 1; i < attempt && delay_ms < BACKOFF_MAX_MS; i++)
		delay_ms *= BACKOFF_FACTOR;
	if (delay_ms > BACKOFF_MAX_MS)
		delay_ms = BACKOFF_MAX_MS;
	return (int64_t)(delay_ms * (1.0 + BACKOFF_JITTER * swing));
}
