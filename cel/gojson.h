/* SPDX-License-Identifier: Apache-2.0 */
/* gojson.h - JSON as Go's encoding/json reads it into an interface{}. */
#ifndef CEL_GOJSON_H
#define CEL_GOJSON_H

#include "cel/base/err.h"
#include "cel/base/val.h"

enum { CEL__GOJSON_DEPTH_MAX = 1000 };

/* Reads text: every number becomes a double, a lone surrogate U+FFFD, the last of equal keys wins.
 * Errors have Go's texts. *out lives in a and borrows from text. */
KR_MUST int cel__gojson_parse(struct kr_arena *a, kr_str text, kr_val *out, struct kr_err *err);

#endif
