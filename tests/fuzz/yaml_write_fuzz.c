/* SPDX-License-Identifier: Apache-2.0 */
/* yaml_write_fuzz.c - what the YAML writer writes reads back as an equal value. The input is JSON. */
#include "cel/base/yaml_write.h"

#include "cel/base/json.h"
#include "cel/base/yaml.h"

#include "cel/base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { TEXT_MAX = 4 * 1024 * 1024 };

/* Equal, or numbers of one text: a double without a fraction reads back as the integer that its digits
 * are. */
static bool same(kr_val x, kr_val y)
{
    KR_AUTO(kr_arena) a = {0};

    if (x.kind != y.kind || (x.kind != KR_LIST && x.kind != KR_MAP))
        return kr_equal(x, y) || kr_str_eq(kr_json_str(&a, x), kr_json_str(&a, y));
    for (uint32_t i = 0; i < x.n && x.n == y.n; i++) {
        if (x.kind == KR_LIST
                ? !same(x.list[i], y.list[i])
                : !kr_equal(x.map[i].key, y.map[i].key) || !same(x.map[i].val, y.map[i].val))
            return false;
    }
    return x.n == y.n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    KR_AUTO(kr_arena) a = {0};
    KR_AUTO(kr_buf) b = KR_BUF(TEXT_MAX);
    struct kr_err err = KR_ERR_NONE;
    kr_val v, docs;
    int rc;

    if (n > 16 * 1024 || kr_json_parse(&a, (kr_str){(const char *)data, n}, &v, NULL) < 0)
        return 0;
    rc = kr_yaml_write(&b, v, &err);
    KR_ASSERT(rc == 0 || rc == KR_E_LIMIT || rc == KR_E_INPUT);
    if (rc < 0 || b.full)
        return 0;
    rc = kr_yaml_parse(&a, kr_buf_view(&b), &docs, &err);
    KR_ASSERT(rc == 0 && docs.n == 1);
    KR_ASSERT(same(kr_item(docs, 0), v));
    return 0;
}
