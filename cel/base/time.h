/* SPDX-License-Identifier: Apache-2.0 */
/* time.h - civil dates, RFC 3339, and Go durations. No clock: time arrives as an argument. */
#ifndef KR_TIME_H
#define KR_TIME_H

#include "cel/base/mem.h"

enum { KR_TIME_TEXT_MAX = 48 };

struct kr_civil {
    int32_t year;
    uint8_t month, day, hour, minute, second; /* month and day from 1 */
    uint32_t nanos;
    uint8_t weekday;  /* 0: Sunday */
    uint16_t yearday; /* 0: 1 January */
};

void kr_civil_of(int64_t seconds, uint32_t nanos,
                 struct kr_civil *out); /* UTC, proleptic Gregorian */
int64_t kr_civil_seconds(const struct kr_civil *c);

/* RFC 3339 with optional fraction and offset, as Go's time.Parse(time.RFC3339, ..) reads it. */
bool kr_time_parse(kr_str s, int64_t *seconds, uint32_t *nanos);
/* The same, and the offset that was written, in minutes east of UTC. */
bool kr_time_parse_zone(kr_str s, int64_t *seconds, uint32_t *nanos, int16_t *zone_minutes);
/* As time.RFC3339Nano in UTC ("2006-01-02T15:04:05.5Z"; no fraction when nanos is 0). */
size_t kr_time_text(int64_t seconds, uint32_t nanos, char out[KR_TIME_TEXT_MAX]);
/* The same as seen zone_minutes east of UTC ("...T15:04:05+05:30"; 0 prints Z). */
size_t kr_time_text_zone(int64_t seconds, uint32_t nanos, int16_t zone_minutes,
                         char out[KR_TIME_TEXT_MAX]);

/* Go's time.ParseDuration ("1h30m", "-1.5s", "0"); nanoseconds; false on syntax or overflow. */
bool kr_duration_parse(kr_str s, int64_t *nanos);
/* Go's Duration.String ("1h0m0s", "1.5s", "0s"). */
size_t kr_duration_text(int64_t nanos, char out[KR_TIME_TEXT_MAX]);

#endif
