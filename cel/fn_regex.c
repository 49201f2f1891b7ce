/* SPDX-License-Identifier: Apache-2.0 */
/* fn_regex.c - Kubernetes' find and findAll.
 *
 * Source: k8s.io/apiserver pkg/cel/library/regex.go; Go regexp (which empty matches count).
 */
#include "cel/functions.h"

#include "cel/base/utf8.h"
#include "cel/regex.h"

#include "cel/base/banned.h"

int fn_find(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    const struct cel__regex *re;
    size_t from;
    size_t to;

    KR_TRY(cel__regex_get(vm, args[1], "Illegal regex: ", &re));
    if (cel__regex_find(re, args[0].s, args[0].n, 0, &from, &to))
        *out = kr_string(kr_str_sub(kr_text(args[0]), from, to));
    else
        *out = KR_V_STR("");
    return 0;
}

int fn_find_all(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    struct kr_listb b = KR_LISTB(vm->a);
    const struct cel__regex *re;
    kr_str s = kr_text(args[0]);
    int64_t left = n > 2 && args[2].i >= 0 ? args[2].i : INT64_MAX;
    size_t before = SIZE_MAX; /* end of the match before */

    KR_TRY(cel__regex_get(vm, args[1], "Illegal regex: ", &re));
    for (size_t at = 0; left > 0 && at <= s.n;) {
        size_t from;
        size_t to;
        uint32_t len = 1;

        KR_TRY(cel__charge(vm, 1 + (s.n - at) / 64));
        if (!cel__regex_find(re, s.s, s.n, at, &from, &to))
            break;
        if (to > from || from != before) {
            kr_listb_add(&b, kr_string(kr_str_sub(s, from, to)));
            left--;
        }
        before = to;
        if (to < s.n)
            kr_utf8_decode(s.s + to, s.n - to, &len);
        at = to > at ? to : to + len; /* an empty match moves on by one code point */
        if (to == from && at == to)
            at = to + len;
    }
    *out = kr_listb_done(&b);
    return 0;
}
