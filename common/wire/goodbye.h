/* goodbye: the code by which op 6 says why a connection ends. SPDX-License-Identifier: MIT */
#ifndef COMMON_WIRE_GOODBYE_H
#define COMMON_WIRE_GOODBYE_H

enum goodbye_code {
	GOODBYE_UNSAID = 0, /* nothing was said, or a body without a code */
#define goodbye(NAME, code, then, happened, advice) GOODBYE_##NAME = (code),
#include "common/wire/goodbye.def"
#undef goodbye
};

#endif
