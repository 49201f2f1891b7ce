/* SPDX-License-Identifier: Apache-2.0 */
/* fieldset_fuzz.c - any fieldsV1 with any live and desired object: three JSON documents in a row.
 */
#include "cel/base/fieldset.h"

#include "cel/base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

struct input {
    struct kr_arena a;
    kr_val docs[3];
    uint32_t n;
};

static int on_doc(void *arg, struct kr_arena *a, kr_val v, struct kr_err *err)
{
    struct input *in = arg;

    if (in->n < KR_N(in->docs))
        in->docs[in->n++] = kr_copy(&in->a, v);
    return 0;
}

static kr_val same(void *arg, struct kr_arena *a, const kr_str *path, uint32_t n, kr_val v)
{
    return v;
}

static void run(struct input *in)
{
    const struct kr_fieldset_rules rules = {
        .normal = same, .builtin = true, .status_dropped = true};
    struct kr_fieldset_pool *pool = kr_fieldset_pool_new();
    const struct kr_fieldset *set, *plain;
    uint64_t live, desired;
    struct kr_err err = KR_ERR_NONE;

    if (kr_fieldset_observe(pool, in->docs[0], in->docs[1], &set, &live, &err) == 0) {
        KR_ASSERT(kr_fieldset_intern(pool, in->docs[0], &plain, &err) == 0);
        KR_ASSERT(kr_fieldset_digest_live(plain, in->docs[1]) == live);
        (void)kr_fieldset_digest_desired(set, in->docs[2], &rules, &in->a, &desired);
        (void)kr_fieldset_digest_desired(plain, in->docs[2], NULL, &in->a, &desired);
        kr_fieldset_drop(plain);
        kr_fieldset_drop(set);
    }
    kr_fieldset_pool_free(pool);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct input in = {0};
    struct kr_json_opts opts = {.on_doc = on_doc, .arg = &in};
    struct kr_json *j = kr_json_new(&opts);
    struct kr_err err = KR_ERR_NONE;

    if (kr_json_feed(j, (const char *)bytes, n, &err) == 0)
        (void)!kr_json_end(j, &err);
    kr_json_free(j);
    run(&in);
    kr_arena_fini(&in.a);
    return 0;
}
