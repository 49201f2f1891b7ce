/* SPDX-License-Identifier: Apache-2.0 */
/* fn_regex.c - Kubernetes' find and findAll; cel-go's regex.*, which kro does not enable.
 *
 * Source: k8s.io/apiserver pkg/cel/library/regex.go; cel-go ext/regex.go; Go regexp (which empty
 * matches count).
 */
#include "cel/functions.h"

#include "cel/base/utf8.h"
#include "cel/regex.h"

#include "cel/base/banned.h"

int fn_find(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    KR_AUTO(cel__regex_use) u = {0};
    size_t from;
    size_t to;

    KR_TRY(cel__regex_get(vm, args[1], "Illegal regex: ", &u));
    KR_TRY(cel__regex_pay(vm, u.re, args[0].n));
    if (cel__regex_find(u.re, args[0].s, args[0].n, 0, &from, &to))
        *out = kr_string(kr_str_sub(kr_text(args[0]), from, to));
    else
        *out = KR_V_STR("");
    return 0;
}

/* A walk over all matches, as Go's FindAll makes it. */
struct matches {
    struct cel__vm *vm;
    const struct cel__regex *re;
    kr_str s;
    int groups_n; /* spans wanted */
    size_t at;
    size_t before; /* end of the match before */
    struct cel__span span[CEL__REGEX_GROUPS_MAX];
};

/* 1: a match in m->span; 0: no more; negative: over the limit. */
static int next_match(struct matches *m)
{
    while (m->at <= m->s.n) {
        size_t at = m->at;
        size_t from;
        size_t to;
        uint32_t len = 1;
        bool counts;

        KR_TRY(cel__charge(m->vm, 1 + cel__look(m->s.n - at) *
                                          (1 + cel__regex_size(m->re) / CEL__REGEX_AGAIN)));
        if (at == 0)
            KR_TRY(cel__regex_pay(m->vm, m->re, m->s.n));
        if (!cel__regex_groups(m->re, m->s.s, m->s.n, at, m->span, m->groups_n))
            break;
        from = m->span[0].from;
        to = m->span[0].to;
        counts = to > from || from != m->before;
        m->before = to;
        if (to < m->s.n)
            kr_utf8_decode(m->s.s + to, m->s.n - to, &len);
        m->at = to > at ? to : to + len; /* an empty match moves on by one code point */
        if (to == from && m->at == to)
            m->at = to + len;
        if (counts)
            return 1;
    }
    m->at = m->s.n + 1;
    return 0;
}

int fn_find_all(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    struct kr_listb b = KR_LISTB(vm->a);
    struct matches m = {.vm = vm, .s = kr_text(args[0]), .groups_n = 1, .before = SIZE_MAX};
    KR_AUTO(cel__regex_use) u = {0};
    int64_t left = n > 2 && args[2].i >= 0 ? args[2].i : INT64_MAX;

    KR_TRY(cel__regex_get(vm, args[1], "Illegal regex: ", &u));
    m.re = u.re;
    for (; left > 0; left--) {
        int rc = next_match(&m);

        KR_TRY(rc);
        if (!rc)
            break;
        kr_listb_add(&b, kr_string(kr_str_sub(m.s, m.span[0].from, m.span[0].to)));
    }
    *out = kr_listb_done(&b);
    return 0;
}

int cel_regex_check(kr_str pattern, struct kr_err *err)
{
    char wrong[CEL__REGEX_ERR_MAX];
    struct cel__regex *re = cel__regex_new(pattern.s ? pattern.s : "", pattern.n, wrong);

    if (!re)
        return kr_fail(err, KR_E_INPUT, "%s", wrong);
    cel__regex_free(re);
    return 0;
}

bool cel_regex_matches(kr_str pattern, kr_str text)
{
    char wrong[CEL__REGEX_ERR_MAX];
    struct cel__regex *re = cel__regex_new(pattern.s ? pattern.s : "", pattern.n, wrong);
    bool found = re && cel__regex_find(re, text.s ? text.s : "", text.n, 0, NULL, NULL);

    cel__regex_free(re);
    return found;
}

/* --- regex.* ---------------------------------------------------------------------------------- */

/* A pattern with at most one group, which then is what is wanted. */
static int one_group(struct cel__vm *vm, kr_val text, kr_val pattern, struct cel__regex_use *u,
                     struct matches *m)
{
    *m = (struct matches){.vm = vm, .s = kr_text(text), .before = SIZE_MAX};
    KR_TRY(cel__regex_get(vm, pattern, "", u));
    m->re = u->re;
    if (cel__regex_groups_n(m->re) > 1)
        return cel__raise(vm, "regular expression has more than one capturing group: " KR_FMT,
                          KR_ARG(cel__quote_go(vm->a, kr_text(pattern))));
    m->groups_n = 1 + cel__regex_groups_n(m->re);
    return 0;
}

/* The text of a group; empty when it took no part. */
static kr_str group(const struct matches *m, int i)
{
    return m->span[i].from <= m->span[i].to ? kr_str_sub(m->s, m->span[i].from, m->span[i].to)
                                            : (kr_str){0};
}

int fn_regex_extract(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    KR_AUTO(cel__regex_use) u = {0};
    struct matches m;
    kr_str got;
    int rc;

    KR_TRY(one_group(vm, args[0], args[1], &u, &m));
    rc = next_match(&m);
    KR_TRY(rc);
    got = rc ? group(&m, m.groups_n - 1) : (kr_str){0};
    *out = !rc || (m.groups_n > 1 && !got.n) ? CEL__OPT_NONE : cel__opt_of(vm->a, kr_string(got));
    return 0;
}

int fn_regex_extract_all(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    struct kr_listb b = KR_LISTB(vm->a);
    KR_AUTO(cel__regex_use) u = {0};
    struct matches m;
    int rc;

    KR_TRY(one_group(vm, args[0], args[1], &u, &m));
    while ((rc = next_match(&m)) > 0) {
        kr_str got = group(&m, m.groups_n - 1);

        if (m.groups_n == 1 || got.n)
            kr_listb_add(&b, kr_string(got));
    }
    *out = kr_listb_done(&b);
    return rc;
}

/* Appends the replacement of one match: \1 to \9 are groups, \\ is a backslash. */
static int add_replacement(struct kr_buf *b, const struct matches *m, kr_str with)
{
    for (size_t i = 0; i < with.n; i++) {
        int g;

        if (with.s[i] != '\\') {
            kr_buf_chr(b, with.s[i]);
            continue;
        }
        if (++i == with.n)
            return cel__raise(m->vm,
                              "invalid replacement string: '" KR_FMT "' \\ not allowed at end",
                              KR_ARG(with));
        if (with.s[i] == '\\') {
            kr_buf_chr(b, '\\');
            continue;
        }
        g = with.s[i] - '0';
        if (g < 0 || g > 9)
            return cel__raise(m->vm,
                              "invalid replacement string: '" KR_FMT
                              "' \\ must be followed by a digit or \\",
                              KR_ARG(with));
        if (g >= m->groups_n)
            return cel__raise(
                m->vm, "replacement string references group %d but regex has only %d group(s)", g,
                cel__regex_groups_n(m->re));
        kr_buf_str(b, group(m, g));
    }
    return 0;
}

int fn_regex_replace(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    struct kr_buf b = KR_BUF_IN(vm->a, CEL__TEXT_MAX);
    struct matches m = {.vm = vm, .s = kr_text(args[0]), .before = SIZE_MAX};
    int64_t left = n > 3 && args[3].i >= 0 ? args[3].i : INT64_MAX;
    KR_AUTO(cel__regex_use) u = {0};
    size_t done = 0;

    *out = args[0];
    if (left == 0)
        return 0;
    KR_TRY(cel__regex_get(vm, args[1], "", &u));
    m.re = u.re;
    m.groups_n = 1 + cel__regex_groups_n(m.re);
    if (m.groups_n > CEL__REGEX_GROUPS_MAX)
        m.groups_n = CEL__REGEX_GROUPS_MAX;
    for (; left > 0; left--) {
        int rc = next_match(&m);

        KR_TRY(rc);
        if (!rc)
            break;
        kr_buf_str(&b, kr_str_sub(m.s, done, m.span[0].from));
        KR_TRY(add_replacement(&b, &m, kr_text(args[2])));
        KR_TRY(cel__charge(vm, 1 + args[2].n / 16));
        done = m.span[0].to;
    }
    kr_buf_str(&b, kr_str_sub(m.s, done, m.s.n));
    if (b.full)
        return cel__over_limit(vm);
    *out = kr_string(kr_buf_view(&b));
    return 0;
}
