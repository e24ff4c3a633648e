/* beds: see beds.h. SPDX-License-Identifier: MIT */
#include "comet/beds.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/lock.h"

int beds_new(struct beds **out)
{
	struct beds *beds;

	if (*out != NULL)
		return 0;
	if ((beds = malloc(sizeof(*beds))) == NULL)
		return -ENOMEM;
	lock_cond_init(&beds->wake);
	lock_cond_init(&beds->space);
	*out = beds;
	return 0;
}

void beds_free(struct beds **reference)
{
	struct beds *beds = *reference;

	if (beds == NULL)
		return;
	(void)pthread_cond_destroy(&beds->wake);
	(void)pthread_cond_destroy(&beds->space);
	free(beds);
	*reference = NULL;
}
