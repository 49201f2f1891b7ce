/* SPDX-License-Identifier: Apache-2.0 */
/* num.h - numbers as Go prints and reads them. */
#ifndef KR_NUM_H
#define KR_NUM_H

#include "cel/base/str.h"

enum { KR_NUM_TEXT_MAX = 32 }; /* bytes that any text below needs, with its NUL */

/* Shortest text that reads back equal. Return the bytes written (without NUL). */
size_t
kr_num_json(double d,
            char out[KR_NUM_TEXT_MAX]); /* encoding/json: 'f', 'e' below 1e-6 and from 1e21 */
size_t kr_num_g(
    double d,
    char out
        [KR_NUM_TEXT_MAX]); /* strconv 'g', -1: what CEL's string(double) gives; NaN, +Inf, -Inf */
size_t kr_num_i64(int64_t i, char out[KR_NUM_TEXT_MAX]);
size_t kr_num_u64(uint64_t u, char out[KR_NUM_TEXT_MAX]);

/* strconv.ParseFloat(s, 64) on the whole string: decimal and hex floats, inf, infinity, nan in any
 * case, underscores between digits. false: not a number, or out of range. */
bool kr_num_parse_double(kr_str s, double *out);

#endif
