/* standard_files: descriptors 0 to 2, which a shell (`>&-`) or a supervisor may leave closed. SPDX-License-Identifier: MIT */
#ifndef COMMON_BASE_STANDARD_FILES_H
#define COMMON_BASE_STANDARD_FILES_H

/* Those that are closed become /dev/null. To be called before any other file is opened: a socket that got number 2 would get the
 * log, and its client would read it. 0 or -errno. */
int standard_files_open(void);

#endif
