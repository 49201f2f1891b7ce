/* SPDX-License-Identifier: Apache-2.0 */
/* zone.h - the offset of a named time zone at an instant, from the system's tzdata. */
#ifndef CEL_ZONE_H
#define CEL_ZONE_H

#include "cel/base/mem.h"

enum { CEL__ZONE_FILE_MAX = 8 * 1024 }; /* the largest in tzdata has 4 KiB */

/* Seconds east of UTC in zone `name` ("Europe/Paris") at `seconds` since the epoch. False: no such
 * zone. The zone's file is read into a, each time: no state is kept. */
bool cel__zone_offset(struct kr_arena *a, kr_str name, int64_t seconds, int32_t *offset);

#endif
