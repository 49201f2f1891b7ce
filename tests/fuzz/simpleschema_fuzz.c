/* SPDX-License-Identifier: Apache-2.0 */
/* simpleschema_fuzz.c - marker texts as they are, and documents {spec, types} in YAML. */
#include "graph/internal.h"

#include "cel/base/yaml.h"

#include "cel/base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void apply(struct kr_arena *a, kr_str text)
{
    static const char *const types[] = {"string",  "integer", "number",
                                        "boolean", "array",   "object"};
    const struct graph_marker *markers;
    uint32_t n;

    if (graph__markers(a, text, &markers, &n, NULL) < 0)
        return;
    for (size_t i = 0; i < KR_N(types); i++) {
        kr_val schema =
            kr_with_key(a, kr_map_sorted(NULL, 0), KR_S("type"), kr_string(kr_str_c(types[i])));
        bool required = false;
        struct kr_err err = KR_ERR_NONE;
        int rc = graph__markers_apply(a, markers, n, &schema, &required, &err);

        KR_ASSERT(rc == 0 || err.n > 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    KR_AUTO(kr_arena) a = {0};
    kr_str s = {(const char *)data, size}, type;
    kr_val docs, schema;

    if (size > 4096)
        return 0;
    apply(&a, s);
    (void)!graph__type_text(&a, s, &type, NULL);
    if (kr_yaml_parse(&a, s, &docs, NULL) < 0)
        return 0;
    KR_LIST_EACH (doc, docs) {
        struct graph_diags d = {.a = &a};
        const struct cel_schema *read;

        schema = graph__simpleschema(kr_get(*doc, KR_S("spec")), kr_get(*doc, KR_S("types")), &d);
        for (uint32_t i = 0; i < d.n; i++)
            KR_ASSERT(d.items[i].path.n && d.items[i].message.n);
        if (d.errors_n)
            continue;
        KR_ASSERT(kr_is_str(kr_get(schema, KR_S("type")), KR_S("object")));
        (void)!cel_schema_read(&a, schema, &read, NULL);
    }
    return 0;
}
