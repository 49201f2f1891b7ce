/* SPDX-License-Identifier: Apache-2.0 */
/* yaml_fuzz.c - the YAML reader. What it accepts has a JSON form, within the limits of both. */
#include "cel/base/yaml.h"

#include "cel/base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Bytes that writing may take: aliases share memory that the text cannot. */
enum { TEXT_MAX = 1024 * 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    KR_AUTO(kr_arena) a = {0};
    KR_AUTO(kr_buf) b = KR_BUF(TEXT_MAX);
    struct kr_err err = KR_ERR_NONE;
    uint32_t *lines;
    kr_val docs;
    int rc = kr_yaml_parse_lines(&a, (kr_str){(const char *)data, n}, &docs, &lines, &err);

    if (rc < 0) {
        KR_ASSERT(err.code == rc && err.n > 0);
        return 0;
    }
    for (uint32_t i = 0; i < docs.n; i++) {
        KR_ASSERT(lines[i] > 0);
        kr_buf_reset(&b);
        rc = kr_json_write(&b, docs.list[i], 0, &err);
        KR_ASSERT(rc == 0 || rc == KR_E_LIMIT);
    }
    return 0;
}
