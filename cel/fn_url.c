/* SPDX-License-Identifier: Apache-2.0 */
/* fn_url.c - Kubernetes' URLs: Go's net/url for absolute URIs and absolute paths.
 *
 * Source: k8s.io/apiserver pkg/cel/library/urls.go; Go 1.26 net/url; reference section 13.3.
 */
#include "cel/functions.h"

#include "cel/netaddr.h"

#include "cel/base/banned.h"

struct url {
    struct kr_opaque head;
    kr_str scheme, user, host, opaque, path, query, fragment;
    bool force_query, omit_host;
    kr_str escaped_path;
    struct kr_arena *a; /* where it lives */
};

enum mode { PATH, HOST, ZONE, USER, QUERY };

static const struct url *of(kr_val v)
{
    return (const struct url *)(const void *)v.obj;
}

/* --- escaping --------------------------------------------------------------------------------- */

/* Bytes that stand as they are: in every part of a URL, in a host with its port, in an encoded path. */
enum { ANYWHERE = 1, IN_HOST = 2, IN_PATH = 4, ALL_OF_THEM = 7 };

/* clang-format off */
static const uint8_t classes[256] = {
    ['0' ... '9'] = ALL_OF_THEM, ['A' ... 'Z'] = ALL_OF_THEM, ['a' ... 'z'] = ALL_OF_THEM,
    ['-'] = ALL_OF_THEM, ['_'] = ALL_OF_THEM, ['.'] = ALL_OF_THEM, ['~'] = ALL_OF_THEM,
    [':'] = IN_HOST | IN_PATH, ['!'] = IN_PATH, ['$'] = IN_PATH, ['&'] = IN_PATH, ['\''] = IN_PATH,
    ['('] = IN_PATH, [')'] = IN_PATH, ['*'] = IN_PATH, ['+'] = IN_PATH, [','] = IN_PATH,
    [';'] = IN_PATH, ['='] = IN_PATH, ['@'] = IN_PATH, ['['] = IN_PATH, [']'] = IN_PATH,
    ['%'] = IN_PATH, ['/'] = IN_PATH,
};
/* clang-format on */

static bool alnum(char c)
{
    return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z');
}

static bool one_of(char c, const char *set)
{
    return c && strchr(set, c);
}

static bool all_of(kr_str s, uint8_t class)
{
    for (size_t i = 0; i < s.n; i++) {
        if (!(classes[(uint8_t)s.s[i]] & class))
            return false;
    }
    return true;
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if ((c | 32) >= 'a' && (c | 32) <= 'f')
        return (c | 32) - 'a' + 10;
    return -1;
}

static bool should_escape(char c, enum mode mode)
{
    bool host = mode == HOST || mode == ZONE;

    if (classes[(uint8_t)c] & ANYWHERE)
        return false;
    switch (c) {
    case '!':
    case '\'':
    case '(':
    case ')':
    case '*':
    case '[':
    case ']':
    case '<':
    case '>':
    case '"':
        return !host;
    case '$':
    case '&':
    case '+':
    case ',':
    case ';':
    case '=':
        return !host && mode != PATH && mode != USER;
    case ':':
        return !host && mode != PATH;
    case '/':
    case '@':
        return mode != PATH;
    }
    return true;
}

static kr_str bad_escape(struct kr_arena *a, kr_str s)
{
    return kr_fmt(a, "invalid URL escape " KR_FMT, KR_ARG(cel__quote_go(a, kr_str_sub(s, 0, 3))));
}

/* Is the escape at s[i] one that may stand there? */
static bool escape_allowed(kr_str s, size_t i, enum mode mode)
{
    bool percent = s.s[i + 1] == '2' && s.s[i + 2] == '5';
    char v = (char)(hex(s.s[i + 1]) << 4 | hex(s.s[i + 2]));

    if (mode == HOST && hex(s.s[i + 1]) < 8 && !percent)
        return false;
    return mode != ZONE || percent || v == ' ' || !should_escape(v, HOST);
}

/* Returns an empty string and *out, or what is wrong. */
static kr_str unescape(struct kr_arena *a, kr_str s, enum mode mode, kr_str *out)
{
    char *buf;
    size_t n = 0;

    if (mode == PATH || mode == USER ? kr_str_chr(s, '%') < 0 : all_of(s, IN_HOST)) {
        *out = s;
        return (kr_str){0};
    }
    buf = kr_arena_bytes(a, s.n);
    for (size_t i = 0; i < s.n; i++) {
        char c = s.s[i];

        if (c == '%') {
            if (i + 2 >= s.n || hex(s.s[i + 1]) < 0 || hex(s.s[i + 2]) < 0 ||
                !escape_allowed(s, i, mode))
                return bad_escape(a, kr_str_sub(s, i, s.n));
            buf[n++] = (char)(hex(s.s[i + 1]) << 4 | hex(s.s[i + 2]));
            i += 2;
            continue;
        }
        if ((mode == HOST || mode == ZONE) && (uint8_t)c < 0x80 && should_escape(c, mode))
            return kr_fmt(a, "invalid character " KR_FMT " in host name",
                          KR_ARG(cel__quote_go(a, kr_str_sub(s, i, i + 1))));
        buf[n++] = mode == QUERY && c == '+' ? ' ' : c;
    }
    *out = (kr_str){buf, n};
    return (kr_str){0};
}

static kr_str escape(struct kr_arena *a, kr_str s, enum mode mode)
{
    static const char digits[] = "0123456789ABCDEF";
    char *buf;
    size_t n = 0;

    while (n < s.n && !should_escape(s.s[n], mode))
        n++;
    if (n == s.n)
        return s;
    buf = kr_arena_bytes(a, 3 * s.n);
    n = 0;
    for (size_t i = 0; i < s.n; i++) {
        uint8_t c = (uint8_t)s.s[i];

        if (!should_escape(s.s[i], mode)) {
            buf[n++] = s.s[i];
            continue;
        }
        buf[n++] = '%';
        buf[n++] = digits[c >> 4];
        buf[n++] = digits[c & 15];
    }
    return (kr_str){buf, n};
}

/* --- the authority ---------------------------------------------------------------------------- */

static bool optional_port(kr_str s)
{
    if (!s.n)
        return true;
    if (s.s[0] != ':')
        return false;
    for (size_t i = 1; i < s.n; i++) {
        if (s.s[i] < '0' || s.s[i] > '9')
            return false;
    }
    return true;
}

static kr_str bad_port(struct kr_arena *a, kr_str port)
{
    return kr_fmt(a, "invalid port " KR_FMT " after host", KR_ARG(cel__quote_go(a, port)));
}

/* "[address]:port" */
static kr_str bracket_host(struct kr_arena *a, kr_str host, kr_str *out)
{
    ptrdiff_t close = kr_str_rchr(host, ']');
    struct cel__addr addr;
    kr_str inner;
    kr_str port;
    kr_str name;
    kr_str zone = {0};
    kr_str bad;
    ptrdiff_t at;

    if (close < 0)
        return KR_S("missing ']' in host");
    port = kr_str_sub(host, (size_t)close + 1, host.n);
    if (!optional_port(port))
        return bad_port(a, port);
    inner = kr_str_sub(host, 1, (size_t)close);
    at = kr_str_find(inner, KR_S("%25"));
    bad = unescape(a, at < 0 ? inner : kr_str_sub(inner, 0, (size_t)at), HOST, &name);
    if (!bad.n && at >= 0)
        bad = unescape(a, kr_str_sub(inner, (size_t)at, inner.n), ZONE, &zone);
    if (bad.n)
        return bad;
    name = kr_fmt(a, KR_FMT KR_FMT, KR_ARG(name), KR_ARG(zone));
    bad = cel__addr_parse(a, name, &addr);
    if (bad.n)
        return kr_fmt(a, "invalid host: " KR_FMT, KR_ARG(bad));
    if (addr.is4)
        return KR_S("invalid IP-literal");
    *out = kr_fmt(a, "[" KR_FMT "]" KR_FMT, KR_ARG(name), KR_ARG(port));
    return (kr_str){0};
}

static kr_str parse_host(struct kr_arena *a, kr_str scheme, kr_str host, kr_str *out)
{
    ptrdiff_t bracket = kr_str_rchr(host, '[');
    ptrdiff_t colon;

    if (bracket > 0)
        return KR_S("invalid IP-literal");
    if (bracket == 0)
        return bracket_host(a, host, out);
    colon = kr_str_is(scheme, "http") || kr_str_is(scheme, "https") ? kr_str_chr(host, ':')
                                                                    : kr_str_rchr(host, ':');
    if (colon >= 0 && !optional_port(kr_str_sub(host, (size_t)colon, host.n)))
        return bad_port(a, kr_str_sub(host, (size_t)colon, host.n));
    return unescape(a, host, HOST, out);
}

static kr_str parse_authority(struct kr_arena *a, struct url *u, kr_str authority)
{
    ptrdiff_t at = kr_str_rchr(authority, '@');
    kr_str user = kr_str_sub(authority, 0, at < 0 ? 0 : (size_t)at);
    kr_str ignored;
    kr_str bad =
        parse_host(a, u->scheme, kr_str_sub(authority, (size_t)(at + 1), authority.n), &u->host);

    if (bad.n || at < 0)
        return bad;
    for (size_t i = 0; i < user.n; i++) {
        if (!alnum(user.s[i]) && !one_of(user.s[i], "-._:~!$&'()*+,;=%@"))
            return KR_S("net/url: invalid userinfo");
    }
    u->user = kr_fmt(a, KR_FMT "@", KR_ARG(user));
    return unescape(a, user, USER, &ignored);
}

/* --- the whole -------------------------------------------------------------------------------- */

/* s in lower case: itself, or a copy. */
static kr_str lower(struct kr_arena *a, kr_str s)
{
    char *copy;
    size_t n = 0;

    while (n < s.n && !(s.s[n] >= 'A' && s.s[n] <= 'Z'))
        n++;
    if (n == s.n)
        return s;
    copy = kr_arena_bytes(a, s.n);
    for (size_t i = 0; i < s.n; i++)
        copy[i] = s.s[i] >= 'A' && s.s[i] <= 'Z' ? (char)(s.s[i] | 32) : s.s[i];
    return (kr_str){copy, s.n};
}

/* Splits "scheme:" off; what is wrong, or an empty string. */
static kr_str split_scheme(struct kr_arena *a, kr_str raw, kr_str *scheme, kr_str *rest)
{
    *scheme = (kr_str){0};
    *rest = raw;
    for (size_t i = 0; i < raw.n; i++) {
        char c = raw.s[i];

        if ((c | 32) >= 'a' && (c | 32) <= 'z')
            continue;
        if ((c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.') {
            if (i == 0)
                return (kr_str){0};
            continue;
        }
        if (c != ':')
            return (kr_str){0};
        if (i == 0)
            return KR_S("missing protocol scheme");
        *scheme = lower(a, kr_str_sub(raw, 0, i));
        *rest = kr_str_sub(raw, i + 1, raw.n);
        return (kr_str){0};
    }
    return (kr_str){0};
}

static kr_str set_path(struct kr_arena *a, struct url *u, kr_str raw)
{
    kr_str bad = unescape(a, raw, PATH, &u->path);

    if (!bad.n)
        u->escaped_path = all_of(raw, IN_PATH) ? raw : escape(a, u->path, PATH);
    return bad;
}

static void split_query(struct url *u, kr_str *rest)
{
    ptrdiff_t q = kr_str_chr(*rest, '?');

    if (q < 0)
        return;
    u->force_query = (size_t)q + 1 == rest->n;
    u->query = kr_str_sub(*rest, (size_t)q + 1, rest->n);
    *rest = kr_str_sub(*rest, 0, (size_t)q);
}

static bool has_control(kr_str s)
{
    const uint64_t ones = ~UINT64_C(0) / 255;
    size_t i = 0;

    for (; i + 8 <= s.n; i += 8) {
        uint64_t x;
        uint64_t del;

        memcpy(&x, s.s + i, 8);
        del = x ^ (ones * 0x7f);
        if ((((x - ones * 0x20) & ~x) | ((del - ones) & ~del)) & (ones * 0x80))
            return true;
    }
    for (; i < s.n; i++) {
        if ((uint8_t)s.s[i] < 0x20 || s.s[i] == 0x7f)
            return true;
    }
    return false;
}

/* Go's url.parse; `request`: as ParseRequestURI. */
static kr_str parse(struct kr_arena *a, kr_str raw, bool request, struct url *u)
{
    kr_str rest;
    kr_str bad;

    if (has_control(raw))
        return KR_S("net/url: invalid control character in URL");
    if (!raw.n && request)
        return KR_S("empty url");
    if (kr_str_is(raw, "*")) {
        u->path = u->escaped_path = raw;
        return (kr_str){0};
    }
    bad = split_scheme(a, raw, &u->scheme, &rest);
    if (bad.n)
        return bad;
    split_query(u, &rest);
    if (!kr_str_starts(rest, KR_S("/"))) {
        if (!u->scheme.n)
            return KR_S("invalid URI for request");
        u->opaque = rest;
        return (kr_str){0};
    }
    if ((u->scheme.n || (!request && !kr_str_starts(rest, KR_S("///")))) &&
        kr_str_starts(rest, KR_S("//"))) {
        kr_str authority = kr_str_sub(rest, 2, rest.n);
        ptrdiff_t slash = kr_str_chr(authority, '/');

        rest = slash < 0 ? (kr_str){0} : kr_str_sub(authority, (size_t)slash, authority.n);
        if (slash >= 0)
            authority = kr_str_sub(authority, 0, (size_t)slash);
        bad = parse_authority(a, u, authority);
        if (bad.n)
            return bad;
    } else if (u->scheme.n) {
        u->omit_host = true;
    }
    return set_path(a, u, rest);
}

/* Go's URL.String, up to the spelling of user and fragment. */
static kr_str text_of(struct kr_arena *a, const struct url *u)
{
    KR_AUTO(kr_buf) b = KR_BUF_IN(a, CEL__TEXT_MAX);

    if (u->scheme.n)
        kr_buf_fmt(&b, KR_FMT ":", KR_ARG(u->scheme));
    if (u->opaque.n) {
        kr_buf_str(&b, u->opaque);
    } else {
        if ((u->scheme.n || u->host.n || u->user.n) && !u->omit_host &&
            (u->host.n || u->path.n || u->user.n))
            kr_buf_str(&b, KR_S("//"));
        kr_buf_str(&b, u->user);
        kr_buf_str(&b, escape(a, u->host, HOST));
        kr_buf_str(&b, u->escaped_path);
    }
    if (u->query.n || u->force_query)
        kr_buf_fmt(&b, "?" KR_FMT, KR_ARG(u->query));
    if (u->fragment.n)
        kr_buf_fmt(&b, "#" KR_FMT, KR_ARG(u->fragment));
    return kr_buf_view(&b);
}

static bool url_equal(const struct kr_opaque *x, const struct kr_opaque *y)
{
    const struct url *u = (const struct url *)(const void *)x;
    const struct url *v = (const struct url *)(const void *)y;

    return kr_str_eq(text_of(u->a, u), text_of(v->a, v));
}

static uint64_t url_bytes(const struct kr_opaque *x)
{
    const struct url *u = (const struct url *)(const void *)x;

    return u->scheme.n + u->user.n + u->host.n + u->opaque.n + u->path.n + u->query.n +
           u->fragment.n;
}

const struct kr_opaque_type cel__url_type = {
    .name = "kubernetes.URL", .equal = url_equal, .bytes = url_bytes};

static int parse_url(struct cel__vm *vm, kr_str s, struct url *u)
{
    kr_str named = s;
    kr_str bad = parse(vm->a, s, true, u);
    ptrdiff_t hash = kr_str_chr(s, '#');
    kr_str ignored;

    if (!bad.n && (hash >= 0 || !u->scheme.n)) { /* else the other way to parse is the same */
        kr_str whole = hash < 0 ? s : kr_str_sub(s, 0, (size_t)hash);

        *u = (struct url){.omit_host = false};
        named = whole;
        bad = parse(vm->a, whole, false, u);
        if (!bad.n && hash >= 0) {
            named = s;
            u->fragment = kr_str_sub(s, (size_t)hash + 1, s.n);
            bad = unescape(vm->a, u->fragment, PATH, &ignored);
        }
    }
    if (bad.n)
        return cel__raise(
            vm, "URL parse error during conversion from string: parse " KR_FMT ": " KR_FMT,
            KR_ARG(cel__quote_go(vm->a, named)), KR_ARG(bad));
    u->head.type = &cel__url_type;
    u->a = vm->a;
    return 0;
}

int fn_url(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    struct url *u = kr_new(vm->a, struct url);

    KR_TRY(parse_url(vm, kr_text(args[0]), u));
    *out = (kr_val){.kind = KR_OPAQUE, .obj = &u->head};
    return 0;
}

int fn_is_url(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    struct url u = {.omit_host = false};

    *out = kr_bool(parse(vm->a, kr_text(args[0]), true, &u).n == 0);
    return 0;
}

kr_str cel__url_error(struct kr_arena *a, kr_str s)
{
    struct url u = {.omit_host = false};
    kr_str bad = parse(a, s, true, &u);

    return bad.n ? kr_fmt(a, "parse " KR_FMT ": " KR_FMT, KR_ARG(cel__quote_go(a, s)), KR_ARG(bad))
                 : bad;
}

/* --- parts ------------------------------------------------------------------------------------ */

static int give(kr_val *out, kr_str s)
{
    *out = kr_string(s);
    return 0;
}

int fn_url_scheme(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    return give(out, of(args[0])->scheme);
}

int fn_url_host(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    return give(out, of(args[0])->host);
}

static void split_port(kr_str host, kr_str *name, kr_str *port)
{
    ptrdiff_t colon = kr_str_rchr(host, ':');

    *name = host;
    *port = KR_S("");
    if (colon >= 0 && optional_port(kr_str_sub(host, (size_t)colon, host.n))) {
        *name = kr_str_sub(host, 0, (size_t)colon);
        *port = kr_str_sub(host, (size_t)colon + 1, host.n);
    }
    if (name->n >= 2 && name->s[0] == '[' && name->s[name->n - 1] == ']')
        *name = kr_str_sub(*name, 1, name->n - 1);
}

int fn_url_hostname(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    kr_str name;
    kr_str port;

    split_port(of(args[0])->host, &name, &port);
    return give(out, name);
}

int fn_url_port(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    kr_str name;
    kr_str port;

    split_port(of(args[0])->host, &name, &port);
    return give(out, port);
}

int fn_url_escaped_path(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    return give(out, of(args[0])->escaped_path);
}

/* One "key=value"; false: it is dropped. */
static bool query_pair(struct kr_arena *a, kr_str pair, kr_str *key, kr_str *val)
{
    ptrdiff_t eq = kr_str_chr(pair, '=');
    kr_str k = eq < 0 ? pair : kr_str_sub(pair, 0, (size_t)eq);
    kr_str v = eq < 0 ? (kr_str){0} : kr_str_sub(pair, (size_t)eq + 1, pair.n);

    if (!pair.n || kr_str_chr(pair, ';') >= 0)
        return false;
    return !unescape(a, k, QUERY, key).n && !unescape(a, v, QUERY, val).n;
}

int fn_url_query(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    kr_str rest = of(args[0])->query;
    struct kr_mapb b = KR_MAPB(vm->a);
    struct kr_pair *pairs;
    uint32_t pairs_n = 0;
    kr_val map;

    pairs = kr_new_n(vm->a, struct kr_pair, rest.n + 1);
    while (rest.n) {
        kr_str key;
        kr_str val;

        if (query_pair(vm->a, kr_str_cut(&rest, '&'), &key, &val))
            pairs[pairs_n++] = (struct kr_pair){kr_string(key), kr_string(val)};
    }
    KR_TRY(cel__charge(vm, (uint64_t)pairs_n * 8));
    for (uint32_t i = 0; i < pairs_n; i++)
        kr_mapb_put(&b, kr_text(pairs[i].key), KR_V_NULL);
    map = kr_mapb_done(&b);
    for (uint32_t k = 0; k < map.n; k++) {
        struct kr_listb values = KR_LISTB(vm->a);

        KR_TRY(cel__charge(vm, pairs_n));
        for (uint32_t i = 0; i < pairs_n; i++) {
            if (kr_is_str(pairs[i].key, kr_text(map.map[k].key)))
                kr_listb_add(&values, pairs[i].val);
        }
        ((struct kr_pair *)(uintptr_t)map.map)[k].val = kr_listb_done(&values);
    }
    *out = map;
    return 0;
}
