/* SPDX-License-Identifier: Apache-2.0 */
/* place.c - the text of a place. */
#include "kube/sandbox/place.h"

#include "cel/base/banned.h"

kr_str sandbox_place_text(struct kr_arena *a, const struct sandbox_place *at)
{
    kr_str up;

    if (at == SANDBOX_ROOT)
        return KR_S("");
    up = sandbox_place_text(a, at->up);
    if (at->is_item)
        return kr_fmt(a, KR_FMT "[%u]", KR_ARG(up), at->index);
    return up.n ? kr_dotted(a, up, at->name) : kr_strdup(a, at->name);
}
