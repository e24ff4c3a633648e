/* version: which source this program was built from. scripts/version has the rules.
 * SPDX-License-Identifier: MIT */
#ifndef COMMON_BASE_VERSION_H
#define COMMON_BASE_VERSION_H

extern const char version_text[];   /* 0.2.0, or of a commit on the way to it 0.2.0~git20261130033152.46cc43b */
extern const char version_commit[]; /* 46cc43b, or unknown */

#endif
