/* SPDX-License-Identifier: Apache-2.0 */
/* place.h - where in an object a walk is.
 *
 * A walk down an object keeps its way on the stack, a link a level, and writes it as text only where it has
 * something to say: most walks find nothing.
 *
 * Source: encoding/json and k8s.io/apimachinery field.Path ("spec.containers[0].image").
 */
#ifndef SANDBOX_PLACE_H
#define SANDBOX_PLACE_H

#include "cel/base/mem.h"

struct sandbox_place {
    const struct sandbox_place *up; /* NULL: this is the root, whose text is "" */
    bool is_item;
    kr_str name;    /* of a member */
    uint32_t index; /* of an item of a list */
};

#define SANDBOX_ROOT ((const struct sandbox_place *)NULL)
#define SANDBOX_MEMBER(above, member)                                                              \
    (&(const struct sandbox_place){.up = (above), .name = (member)})
#define SANDBOX_ITEM(above, i)                                                                     \
    (&(const struct sandbox_place){.up = (above), .is_item = true, .index = (i)})

/* The text; lives in a. */
kr_str sandbox_place_text(struct kr_arena *a, const struct sandbox_place *at);

#endif
