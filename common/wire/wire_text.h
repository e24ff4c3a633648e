/* wire_text: bytes that may be anything as members of a JSON object: as they are where they are UTF-8, otherwise in base64
 * under the name with "64" behind it. SPDX-License-Identifier: MIT */
#ifndef COMMON_WIRE_WIRE_TEXT_H
#define COMMON_WIRE_WIRE_TEXT_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

/* Set object[name] or object[name64]. 0 or -ENOMEM. */
int wire_text_set(json_t *object, const char *name, const void *bytes, size_t n);
/* Read either. *bytes points into the object, or to memory in *owned that the caller frees; both absent: empty.
 * 0; -EBADMSG; -ENOMEM. */
int wire_text_get(const json_t *object, const char *name, const uint8_t **bytes, size_t *n, void **owned);

#endif
