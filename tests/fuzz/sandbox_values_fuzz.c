/* SPDX-License-Identifier: Apache-2.0 */
/* sandbox_values_fuzz.c - patches and server-side apply on whatever JSON there is: [old, next, patch].
 *
 * Beside not crashing: what an apply gives is given again by the same apply, and sets do not grow
 * members out of nothing.
 */
#include "cel/base/json.h"
#include "kube/sandbox/manage.h"
#include "kube/sandbox/patch.h"

#include "cel/base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void apply_twice(struct kr_arena *a, kr_val old, kr_val applied)
{
    struct sandbox_writer w = {.manager = KR_S("m"),
                               .api_version = KR_S("v1"),
                               .time = KR_V_STR("2026-01-01T00:00:00Z"),
                               .force = true};
    struct kr_err err = KR_ERR_NONE;
    kr_val once, twice, causes;
    int status;

    if (old.kind != KR_MAP || applied.kind != KR_MAP ||
        sandbox_manage_apply(a, &w, old, applied, &once, &status, &causes, &err) < 0)
        return;
    if (kr_at(once, "metadata.managedFields").n == 0)
        return; /* of nothing applied to what nobody manages; the next apply finds an owner for all */
    w.time = KR_V_STR("2026-01-01T00:00:01Z");
    if (sandbox_manage_apply(a, &w, once, applied, &twice, &status, &causes, &err) == 0)
        KR_ASSERT(sandbox_manage_same(kr_at(once, "metadata.managedFields"),
                                      kr_at(twice, "metadata.managedFields")));
    sandbox_manage_update(a, &w, once, old);
}

static void sets(struct kr_arena *a, kr_val x, kr_val y)
{
    if (sandbox_fields_check(x, NULL) < 0 || sandbox_fields_check(y, NULL) < 0)
        return;
    KR_ASSERT(sandbox_fields_none(sandbox_fields_both(a, sandbox_fields_without(a, x, y), y)));
    KR_ASSERT(sandbox_fields_none(sandbox_fields_without(a, x, sandbox_fields_union(a, x, y))));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    KR_AUTO(kr_arena) a = {0};
    struct kr_err err = KR_ERR_NONE;
    kr_val v, old, next, out;

    if (n > 64 * 1024 || kr_json_parse(&a, (kr_str){(const char *)data, n}, &v, NULL) < 0)
        return 0;
    old = kr_item(v, 0);
    next = kr_item(v, 1);
    (void)sandbox_patch_json(&a, old, kr_item(v, 2), &out, &err);
    if (old.kind == KR_MAP && next.kind == KR_MAP) {
        if (sandbox_patch_merge(&a, old, next, &out, &err) < 0 ||
            sandbox_patch_strategic(&a, kr_map_sorted(NULL, 0), KR_S(""), old, next, &out, &err) <
                0)
            err.code = 0;
    }
    apply_twice(&a, old, next);
    sets(&a, old, next);
    return 0;
}
