/* version: the only file that is compiled again for each commit; the Makefile gives it both words.
 * SPDX-License-Identifier: MIT */
#include "common/base/version.h"

const char version_text[] = COMET_VERSION;
const char version_commit[] = COMET_COMMIT;
