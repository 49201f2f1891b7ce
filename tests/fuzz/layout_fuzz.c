/* SPDX-License-Identifier: Apache-2.0 */
/* layout_fuzz.c - `kroc fmt` on any text: what it gives has the same values, and is not changed again. */
#include "cli/layout.h"

#include "cel/base/val.h"
#include "cel/base/yaml.h"

#include "cel/base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    KR_AUTO(kr_arena) a = {0};
    struct kr_err err = KR_ERR_NONE;
    kr_str text = {(const char *)data, n}, out, again;
    kr_val before, after;
    int rc;

    if (n > 4 * 1024)
        return 0;
    rc = cli_layout(&a, text, &out, &err);
    if (rc < 0) {
        KR_ASSERT(err.code == rc && err.n > 0);
        return 0;
    }
    rc = kr_yaml_parse(&a, text, &before, &err);
    KR_ASSERT(rc == 0);
    rc = kr_yaml_parse(&a, out, &after, &err);
    KR_ASSERT(rc == 0 && kr_equal(before, after));
    rc = cli_layout(&a, out, &again, &err);
    KR_ASSERT(rc == 0 && kr_str_eq(out, again));
    return 0;
}
