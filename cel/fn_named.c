/* SPDX-License-Identifier: Apache-2.0 */
/* fn_named.c - Kubernetes' named formats, which kro does not enable: format.dns1123Label() and the
 * others, and validate(), which says what is wrong with a text.
 *
 * Texts are Kubernetes'. The patterns they print are matched by hand here: each is a chain of
 * labels.
 *
 * Source: k8s.io/apiserver pkg/cel/library/format.go; k8s.io/apimachinery pkg/util/validation,
 * pkg/api/validate/content; k8s.io/kube-openapi pkg/validation/strfmt.
 */
#include "cel/functions.h"

#include "cel/text.h"

#include "cel/base/banned.h"

#define LABEL_FMT "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
#define KEY_FMT "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"

enum { LABEL_MAX = 63, SUBDOMAIN_MAX = 253 }; /* bytes */

struct named {
    struct kr_opaque head;
    const char *name;
    bool prefix; /* the beginning of such a name: may end in a dash */
    void (*validate)(struct cel__vm *vm, kr_str s, struct kr_listb *wrong);
};

static void say(struct kr_listb *wrong, const char *part, const char *text)
{
    kr_listb_add(wrong, kr_string(kr_fmt(wrong->a, "%s%s", part, text)));
}

static void say_too_long(struct kr_listb *wrong, const char *part, int max)
{
    kr_listb_add(wrong, kr_string(kr_fmt(wrong->a, "%smust be no more than %d bytes", part, max)));
}

/* --- names ------------------------------------------------------------------------------------ */

static bool lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool alnum(char c)
{
    return lower((char)(c | 32)) || digit(c);
}

/* LABEL_FMT */
static bool is_label(kr_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.s[i];

        if (!lower(c) && !digit(c) && (c != '-' || i == 0 || i + 1 == s.n))
            return false;
    }
    return s.n > 0;
}

static bool is_subdomain(kr_str s)
{
    do {
        if (!is_label(kr_str_cut(&s, '.')))
            return false;
    } while (s.s);
    return true;
}

/* KEY_FMT */
static bool is_key(kr_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.s[i];
        bool inside = i > 0 && i + 1 < s.n;

        if (!alnum(c) && (!inside || (c != '-' && c != '_' && c != '.')))
            return false;
    }
    return s.n > 0;
}

static void dns_label(struct cel__vm *vm, kr_str s, struct kr_listb *wrong)
{
    if (s.n > LABEL_MAX)
        say_too_long(wrong, "", LABEL_MAX);
    if (is_label(s))
        return;
    say(wrong, "",
        is_subdomain(s)
            ? "must not contain dots"
            : "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or "
              "'-', and must start and end with an alphanumeric character (e.g. 'my-name',  or "
              "'123-abc', regex used for validation is '" LABEL_FMT "')");
}

static void subdomain_part(kr_str s, const char *part, struct kr_listb *wrong)
{
    if (s.n > SUBDOMAIN_MAX)
        say_too_long(wrong, part, SUBDOMAIN_MAX);
    if (!is_subdomain(s))
        say(wrong, part,
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, "
            "'-' or '.', and must start and end with an alphanumeric character (e.g. "
            "'example.com', regex used for validation is '" LABEL_FMT "(\\." LABEL_FMT ")*')");
}

static void dns_subdomain(struct cel__vm *vm, kr_str s, struct kr_listb *wrong)
{
    subdomain_part(s, "", wrong);
}

static void dns1035_label(struct cel__vm *vm, kr_str s, struct kr_listb *wrong)
{
    if (s.n > LABEL_MAX)
        say_too_long(wrong, "", LABEL_MAX);
    if (!is_label(s) || digit(s.s[0]))
        say(wrong, "",
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start "
            "with an alphabetic character, and end with an alphanumeric character (e.g. "
            "'my-name',  or 'abc-123', regex used for validation is "
            "'[a-z]([-a-z0-9]*[a-z0-9])?')");
}

#define KEY_WRONG                                                                                  \
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "    \
    "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for "         \
    "validation is '" KEY_FMT "')"

static void qualified_name(struct cel__vm *vm, kr_str s, struct kr_listb *wrong)
{
    kr_str name = s;
    kr_str prefix = kr_str_cut(&name, '/');

    if (!name.s) {
        name = prefix;
    } else if (kr_str_chr(name, '/') >= 0) {
        say(wrong, "a valid label key ",
            KEY_WRONG " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')");
        return;
    } else if (!prefix.n) {
        say(wrong, "prefix part ", "must be non-empty");
    } else {
        subdomain_part(prefix, "prefix part ", wrong);
    }
    if (!name.n)
        say(wrong, "name part ", "must be non-empty");
    else if (name.n > LABEL_MAX)
        say_too_long(wrong, "name part ", LABEL_MAX);
    if (!is_key(name))
        say(wrong, "name part ", KEY_WRONG);
}

static void label_value(struct cel__vm *vm, kr_str s, struct kr_listb *wrong)
{
    if (s.n > LABEL_MAX)
        say_too_long(wrong, "", LABEL_MAX);
    if (s.n && !is_key(s))
        say(wrong, "",
            "a valid label must be an empty string or consist of alphanumeric characters, '-', "
            "'_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  "
            "or 'my_value',  or '12345', regex used for validation is '(" KEY_FMT ")?')");
}

/* --- formats of schemas ----------------------------------------------------------------------- */

static void uri(struct cel__vm *vm, kr_str s, struct kr_listb *wrong)
{
    kr_str bad = cel__url_error(vm->a, s);

    if (bad.n)
        kr_listb_add(wrong, kr_string(bad));
}

/* 8-4-4-4-12 hexadecimal digits; each dash may be left out. */
static bool is_uuid(kr_str s)
{
    static const uint8_t groups[] = {8, 4, 4, 4, 12};
    size_t at = 0;

    for (size_t g = 0; g < KR_N(groups); g++) {
        if (g > 0 && at < s.n && s.s[at] == '-')
            at++;
        for (size_t i = 0; i < groups[g]; i++, at++) {
            if (at >= s.n || !(digit(s.s[at]) || ((s.s[at] | 32) >= 'a' && (s.s[at] | 32) <= 'f')))
                return false;
        }
    }
    return at == s.n;
}

static void uuid(struct cel__vm *vm, kr_str s, struct kr_listb *wrong)
{
    if (!is_uuid(s))
        say(wrong, "", "does not match the UUID format");
}

static void byte(struct cel__vm *vm, kr_str s, struct kr_listb *wrong)
{
    size_t pad = kr_str_ends(s, KR_S("==")) ? 2 : kr_str_ends(s, KR_S("="));
    bool ok = s.n > 0 && s.n % 4 == 0;

    for (size_t i = 0; ok && i < s.n - pad; i++)
        ok = alnum(s.s[i]) || s.s[i] == '+' || s.s[i] == '/';
    if (!ok)
        say(wrong, "", "invalid base64");
}

static bool is_date(struct cel__vm *vm, kr_str s)
{
    return cel__date_error(vm->a, s, false).n == 0;
}

static void date(struct cel__vm *vm, kr_str s, struct kr_listb *wrong)
{
    if (!is_date(vm, s))
        say(wrong, "", "invalid date");
}

/* Two digits at *s that are at most max; moves behind them and, when it is given, behind the mark. */
static bool two_digits(kr_str *s, int max, char mark)
{
    bool ok = s->n >= 2 && digit(s->s[0]) && digit(s->s[1]) &&
              (s->s[0] - '0') * 10 + s->s[1] - '0' <= max &&
              (!mark || (s->n > 2 && s->s[2] == mark));

    *s = kr_str_sub(*s, mark ? 3 : 2, s->n);
    return ok;
}

/* hh:mm:ss, a mark and digits of a fraction or nothing, z or an offset. */
static bool is_time(kr_str s)
{
    if (!two_digits(&s, 23, ':') || !two_digits(&s, 59, ':') || !two_digits(&s, 59, 0))
        return false;
    if (s.n > 1 && digit(s.s[1]) &&
        !(s.n == 6 && (s.s[0] == '+' || s.s[0] == '-') && s.s[3] == ':')) {
        size_t n = 1;

        while (n < s.n && digit(s.s[n]))
            n++;
        s = kr_str_sub(s, n, s.n);
    }
    if (s.n == 1)
        return (s.s[0] | 32) == 'z';
    if (s.n != 6 || (s.s[0] != '+' && s.s[0] != '-'))
        return false;
    s = kr_str_sub(s, 1, s.n);
    return two_digits(&s, 99, ':') && two_digits(&s, 99, 0);
}

static void datetime(struct cel__vm *vm, kr_str s, struct kr_listb *wrong)
{
    ptrdiff_t t = kr_str_chr(s, 'T') >= 0 ? kr_str_chr(s, 'T') : kr_str_chr(s, 't');
    kr_str time = t < 0 ? (kr_str){0} : kr_str_sub(s, (size_t)t + 1, s.n);

    if (t < 0 || !is_date(vm, kr_str_sub(s, 0, (size_t)t)) || !is_time(time))
        say(wrong, "", "invalid datetime");
}

/* --- the table -------------------------------------------------------------------------------- */

static bool named_equal(const struct kr_opaque *x, const struct kr_opaque *y)
{
    return x == y;
}

const struct kr_opaque_type cel__named_type = {.name = "kubernetes.NamedFormat",
                                               .equal = named_equal};

static const struct named formats[] = {
    {{&cel__named_type}, "dns1123Label", false, dns_label},
    {{&cel__named_type}, "dns1123Subdomain", false, dns_subdomain},
    {{&cel__named_type}, "dns1035Label", false, dns1035_label},
    {{&cel__named_type}, "qualifiedName", false, qualified_name},
    {{&cel__named_type}, "dns1123LabelPrefix", true, dns_label},
    {{&cel__named_type}, "dns1123SubdomainPrefix", true, dns_subdomain},
    {{&cel__named_type}, "dns1035LabelPrefix", true, dns1035_label},
    {{&cel__named_type}, "labelValue", false, label_value},
    {{&cel__named_type}, "uri", false, uri},
    {{&cel__named_type}, "uuid", false, uuid},
    {{&cel__named_type}, "byte", false, byte},
    {{&cel__named_type}, "date", false, date},
    {{&cel__named_type}, "datetime", false, datetime},
};

static const struct named *by_name(kr_str name)
{
    for (size_t i = 0; i < KR_N(formats); i++) {
        if (kr_str_eq(name, kr_str_c(formats[i].name)))
            return &formats[i];
    }
    return NULL;
}

static kr_val named_val(const struct named *f)
{
    return (kr_val){.kind = KR_OPAQUE, .obj = &f->head};
}

/* format.NAME() */
int fn_format_constant(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    kr_str name = vm->call->name;
    const struct named *f = by_name(kr_str_sub(name, sizeof("format.") - 1, name.n));

    KR_ASSERT(f != NULL);
    *out = named_val(f);
    return 0;
}

int fn_format_named(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    const struct named *f = by_name(kr_text(args[0]));

    *out = f ? cel__opt_of(vm->a, named_val(f)) : CEL__OPT_NONE;
    return 0;
}

int fn_format_validate(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    const struct named *f = (const struct named *)(const void *)args[0].obj;
    struct kr_listb wrong = KR_LISTB(vm->a);
    kr_str s = kr_text(args[1]);

    /* As Kubernetes does it: the dash and what stands before it become one letter. */
    if (f->prefix && s.n > 1 && kr_str_ends(s, KR_S("-")))
        s = kr_fmt(vm->a, KR_FMT "a", KR_ARG(kr_str_sub(s, 0, s.n - 2)));
    f->validate(vm, s, &wrong);
    *out = wrong.n ? cel__opt_of(vm->a, kr_listb_done(&wrong)) : CEL__OPT_NONE;
    return 0;
}
