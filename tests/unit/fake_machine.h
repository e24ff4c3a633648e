/* fake_machine: the files in which a kernel tells its limits, as a test says; what it does not say is not there. One at a
 * time. SPDX-License-Identifier: MIT */
#ifndef TESTS_UNIT_FAKE_MACHINE_H
#define TESTS_UNIT_FAKE_MACHINE_H

/* From here to fini common/base/machine reads this one, which has no files yet. */
void fake_machine_init(void);
void fake_machine_fini(void);

/* A file ("/proc/loadavg") with this text, and the folders above it. */
void fake_machine_has(const char *path, const char *text);

#endif
