/* SPDX-License-Identifier: Apache-2.0 */
/* version.h - what was built: stamped by CMake into the build folder (version.c.in).
 *
 * The date is the commit's (or SOURCE_DATE_EPOCH's, where that is set), so equal sources give equal
 * programs.
 */
#ifndef REACTOR_VERSION_H
#define REACTOR_VERSION_H

extern const char
    *const reactor_version; /* "v1.2.3" at a tag, else "0.1.0+abcdef0123"; "-dirty" behind it */
extern const char *const reactor_commit; /* full hash, or "unknown" outside of a git tree */
extern const char *const reactor_date;   /* RFC 3339 UTC, or "unknown" */

#endif
