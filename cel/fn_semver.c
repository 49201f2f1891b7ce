/* SPDX-License-Identifier: Apache-2.0 */
/* fn_semver.c - Kubernetes' semantic versions.
 *
 * Source: k8s.io/apiserver pkg/cel/library/semver.go; github.com/blang/semver/v4; SemVer 2.0.
 */
#include "cel/functions.h"

#include "cel/text.h"

#include "cel/base/banned.h"

struct semver {
    struct kr_opaque head;
    uint64_t part[3];
    kr_str pre; /* behind the '-'; empty: a release */
};

static const struct semver *of(kr_val v)
{
    return (const struct semver *)(const void *)v.obj;
}

static bool all_digits(kr_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.s[i] < '0' || s.s[i] > '9')
            return false;
    }
    return true;
}

static bool identifier(kr_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.s[i];

        if (!((c | 32) >= 'a' && (c | 32) <= 'z') && !(c >= '0' && c <= '9') && c != '-')
            return false;
    }
    return true;
}

/* --- precedence ------------------------------------------------------------------------------- */

static int compare_pre_part(kr_str x, kr_str y)
{
    bool nx = all_digits(x);
    bool ny = all_digits(y);
    int c;

    if (nx != ny)
        return nx ? -1 : 1;
    if (nx && x.n != y.n)
        return x.n < y.n ? -1 : 1;
    c = kr_str_cmp(x, y);
    return c < 0 ? -1 : c > 0;
}

static int compare_pre(kr_str x, kr_str y)
{
    if (!x.n || !y.n)
        return (int)(x.n == 0) - (int)(y.n == 0);
    while (x.s && y.s) {
        int c = compare_pre_part(kr_str_cut(&x, '.'), kr_str_cut(&y, '.'));

        if (c)
            return c;
    }
    return (int)(x.s != NULL) - (int)(y.s != NULL);
}

static int compare(const struct semver *x, const struct semver *y)
{
    for (int i = 0; i < 3; i++) {
        if (x->part[i] != y->part[i])
            return x->part[i] < y->part[i] ? -1 : 1;
    }
    return compare_pre(x->pre, y->pre);
}

static bool equal(const struct kr_opaque *x, const struct kr_opaque *y)
{
    return compare((const struct semver *)(const void *)x,
                   (const struct semver *)(const void *)y) == 0;
}

static uint64_t bytes(const struct kr_opaque *x)
{
    return ((const struct semver *)(const void *)x)->pre.n;
}

const struct kr_opaque_type cel__semver_type = {
    .name = "kubernetes.Semver", .equal = equal, .bytes = bytes};

/* --- reading ---------------------------------------------------------------------------------- */

static int parse_number(struct cel__vm *vm, const char *name, kr_str s, uint64_t *out)
{
    if (!all_digits(s))
        return cel__raise(vm, "Invalid character(s) found in %s number " KR_FMT, name,
                          KR_ARG(cel__quote_go(vm->a, s)));
    if (s.n > 1 && s.s[0] == '0')
        return cel__raise(vm, "%c%s number must not contain leading zeroes " KR_FMT, name[0] ^ 32,
                          name + 1, KR_ARG(cel__quote_go(vm->a, s)));
    if (!s.n)
        return cel__raise(vm, "strconv.ParseUint: parsing \"\": invalid syntax");
    if (!cel__parse_uint(s, out))
        return cel__raise(vm, "strconv.ParseUint: parsing " KR_FMT ": value out of range",
                          KR_ARG(cel__quote_go(vm->a, s)));
    return 0;
}

static int check_pre(struct cel__vm *vm, kr_str pre)
{
    kr_str rest = pre;

    while (rest.s) {
        kr_str part = kr_str_cut(&rest, '.');
        uint64_t u;

        if (!part.n)
            return cel__raise(vm, "Prerelease is empty");
        if (all_digits(part) && part.n > 1 && part.s[0] == '0')
            return cel__raise(vm,
                              "Numeric PreRelease version must not contain leading zeroes " KR_FMT,
                              KR_ARG(cel__quote_go(vm->a, part)));
        if (all_digits(part) && !cel__parse_uint(part, &u))
            return cel__raise(vm, "strconv.ParseUint: parsing " KR_FMT ": value out of range",
                              KR_ARG(cel__quote_go(vm->a, part)));
        if (!identifier(part))
            return cel__raise(vm, "Invalid character(s) found in prerelease " KR_FMT,
                              KR_ARG(cel__quote_go(vm->a, part)));
    }
    return 0;
}

static int check_build(struct cel__vm *vm, kr_str build)
{
    kr_str rest = build;

    while (rest.s) {
        kr_str part = kr_str_cut(&rest, '.');

        if (!part.n)
            return cel__raise(vm, "Build meta data is empty");
        if (!identifier(part))
            return cel__raise(vm, "Invalid character(s) found in build meta data " KR_FMT,
                              KR_ARG(cel__quote_go(vm->a, part)));
    }
    return 0;
}

/* What stands behind the first mark, which goes from *s with it; a NULL string: no mark. */
static kr_str cut_tail(kr_str *s, char mark)
{
    kr_str tail = *s;

    *s = kr_str_cut(&tail, mark);
    return tail;
}

static int parse(struct cel__vm *vm, kr_str s, struct semver *v)
{
    kr_str parts[3];
    kr_str pre;
    kr_str build;

    v->head.type = &cel__semver_type;
    if (!s.n)
        return cel__raise(vm, "Version string empty");
    parts[0] = kr_str_cut(&s, '.');
    parts[1] = s.s ? kr_str_cut(&s, '.') : (kr_str){0};
    if (!s.s)
        return cel__raise(vm, "No Major.Minor.Patch elements found");
    parts[2] = s;
    build = cut_tail(&parts[2], '+');
    pre = cut_tail(&parts[2], '-');
    KR_TRY(parse_number(vm, "major", parts[0], &v->part[0]));
    KR_TRY(parse_number(vm, "minor", parts[1], &v->part[1]));
    KR_TRY(parse_number(vm, "patch", parts[2], &v->part[2]));
    KR_TRY(check_pre(vm, pre));
    KR_TRY(check_build(vm, build));
    v->pre = pre;
    return 0;
}

/* --- functions -------------------------------------------------------------------------------- */

int fn_semver(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    struct semver *v = kr_new(vm->a, struct semver);

    KR_TRY(parse(vm, kr_text(args[0]), v));
    *out = (kr_val){.kind = KR_OPAQUE, .obj = &v->head};
    return 0;
}

int fn_is_semver(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    struct semver v = {0};

    *out = kr_bool(parse(vm, kr_text(args[0]), &v) == 0);
    return 0;
}

static int give_part(const kr_val *args, int i, kr_val *out)
{
    *out = kr_int((int64_t)of(args[0])->part[i]);
    return 0;
}

int fn_semver_major(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    return give_part(args, 0, out);
}

int fn_semver_minor(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    return give_part(args, 1, out);
}

int fn_semver_patch(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    return give_part(args, 2, out);
}

int fn_semver_compare(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    *out = kr_int(compare(of(args[0]), of(args[1])));
    return 0;
}

int fn_semver_less(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    *out = kr_bool(compare(of(args[0]), of(args[1])) < 0);
    return 0;
}

int fn_semver_greater(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    *out = kr_bool(compare(of(args[0]), of(args[1])) > 0);
    return 0;
}
