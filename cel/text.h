/* SPDX-License-Identifier: Apache-2.0 */
/* text.h - text formats that values are read from: dates, durations, base64, integers.
 *
 * The functions return false on what is no such text; those that have a message for it give Go's.
 */
#ifndef CEL_TEXT_H
#define CEL_TEXT_H

#include "cel/base/mem.h"

/* RFC 3339 with an offset, or the same without any, which means UTC; upper-case T and Z. */
bool cel__parse_date_time(kr_str s, int64_t *seconds, uint32_t *nanos, int16_t *zone);
/* What time.Parse says of s: layout "2006-01-02T15:04:05" or "2006-01-02"; empty: nothing. */
kr_str cel__date_error(struct kr_arena *a, kr_str s, bool with_time);
/* CEL's timestamp(string). Returns NULL, or cel-go's error text, which lives in a. */
const char *cel__parse_timestamp(struct kr_arena *a, kr_str s, int64_t *seconds, uint32_t *nanos,
                                 int16_t *zone);
/* Go's duration syntax, else every "12 days" in the text summed (go-openapi strfmt). */
bool cel__parse_loose_duration(kr_str s, int64_t *nanos);
/* Go's base64 decoder; *bad gets the offset that its error names. */
bool cel__base64_decode(struct kr_arena *a, kr_str s, bool url, bool padded, kr_str *out,
                        size_t *bad);
/* strconv.ParseInt / ParseUint, base 10. */
bool cel__parse_int(kr_str s, int64_t *out);
bool cel__parse_uint(kr_str s, uint64_t *out);
/* strconv.ParseFloat with underscores between digits, as CEL's double(string) takes it. */
bool cel__parse_double(kr_str s, double *out);

#endif
