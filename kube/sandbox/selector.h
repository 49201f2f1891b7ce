/* SPDX-License-Identifier: Apache-2.0 */
/* selector.h - label and field selectors: what they say, and what is wrong with them in the server's words.
 *
 *   labels   key   !key   key=v   key==v   key!=v   key in (a,b)   key notin (a,b)   key>1   key<1
 *   fields   path=v   path==v   path!=v
 *
 * Source: apimachinery pkg/labels, pkg/fields.
 */
#ifndef SANDBOX_SELECTOR_H
#define SANDBOX_SELECTOR_H

#include "cel/base/err.h"
#include "cel/base/val.h"

enum {
    SANDBOX_REQUIREMENTS_MAX = 1000, /* of a selector */
    SANDBOX_VALUES_MAX = 1000,       /* of a requirement */
};

enum sandbox_selector_op {
    SANDBOX_HAS,
    SANDBOX_HAS_NOT,
    SANDBOX_IN,
    SANDBOX_NOT_IN,
    SANDBOX_GREATER,
    SANDBOX_LESS
};

struct sandbox_requirement {
    kr_str key;
    enum sandbox_selector_op op;
    kr_str *values;
    uint32_t values_n;
};

struct sandbox_selector {
    struct sandbox_requirement *list;
    uint32_t n;
};

/* Reads text into a, which it copies it to. NULL: err says why not. */
struct sandbox_selector *sandbox_selector_labels(struct kr_arena *a, kr_str text,
                                                 struct kr_err *err);
struct sandbox_selector *sandbox_selector_fields(struct kr_arena *a, kr_str text,
                                                 struct kr_err *err);
/* Does a label of that value (KR_NONE: there is none) meet it? */
bool sandbox_requirement_met(const struct sandbox_requirement *r, kr_val value);

#endif
