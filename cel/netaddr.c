/* SPDX-License-Identifier: Apache-2.0 */
/* netaddr.c - Go's net/netip: strict reading with its messages, and the canonical text.
 *
 * Source: Go net/netip; RFC 4291, RFC 5952.
 */
#include "cel/netaddr.h"

#include "cel/internal.h"

#include "cel/text.h"

#include "cel/base/banned.h"

static kr_str wrong(struct kr_arena *a, kr_str in, const char *what, kr_str at)
{
    kr_str q = cel__quote_go(a, in);

    if (!at.n)
        return kr_fmt(a, "ParseAddr(" KR_FMT "): %s", KR_ARG(q), what);
    return kr_fmt(a, "ParseAddr(" KR_FMT "): %s (at " KR_FMT ")", KR_ARG(q), what,
                  KR_ARG(cel__quote_go(a, at)));
}

/* Four octets out of s, which is a part of `in`. */
static kr_str parse_four(struct kr_arena *a, kr_str in, kr_str s, uint8_t *out)
{
    uint32_t val = 0;
    uint32_t digits = 0;
    uint32_t pos = 0;

    for (size_t i = 0; i < s.n; i++) {
        char c = s.s[i];

        if (c >= '0' && c <= '9') {
            if (digits == 1 && val == 0)
                return wrong(a, in, "IPv4 field has octet with leading zero", (kr_str){0});
            val = val * 10 + (uint32_t)(c - '0');
            digits++;
            if (val > 255)
                return wrong(a, in, "IPv4 field has value >255", (kr_str){0});
        } else if (c != '.') {
            return wrong(a, in, "unexpected character", kr_str_sub(s, i, s.n));
        } else if (i == 0 || i == s.n - 1 || s.s[i - 1] == '.') {
            return wrong(a, in, "IPv4 field must have at least one digit", kr_str_sub(s, i, s.n));
        } else if (pos == 3) {
            return wrong(a, in, "IPv4 address too long", (kr_str){0});
        } else {
            out[pos++] = (uint8_t)val;
            val = digits = 0;
        }
    }
    if (pos < 3)
        return wrong(a, in, "IPv4 address too short", (kr_str){0});
    out[3] = (uint8_t)val;
    return (kr_str){0};
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if ((c | 32) >= 'a' && (c | 32) <= 'f')
        return (c | 32) - 'a' + 10;
    return -1;
}

/* The state of reading an IPv6 address: what is left, bytes made, where :: stood. */
struct six {
    struct kr_arena *a;
    kr_str in, s;
    uint8_t ip[16];
    uint32_t i;
    int32_t ellipsis;
};

/* One hexadecimal group at the start of s. */
static kr_str six_group(struct six *x, size_t *len, uint32_t *value)
{
    uint32_t acc = 0;
    size_t off = 0;

    for (; off < x->s.n && hex(x->s.s[off]) >= 0; off++) {
        acc = acc << 4 | (uint32_t)hex(x->s.s[off]);
        if (off > 3)
            return wrong(x->a, x->in, "each group must have 4 or less digits", x->s);
    }
    if (!off)
        return wrong(x->a, x->in, "each colon-separated field must have at least one digit", x->s);
    *len = off;
    *value = acc;
    return (kr_str){0};
}

static kr_str six_embedded(struct six *x)
{
    kr_str bad;

    if (x->ellipsis < 0 && x->i != 12)
        return wrong(x->a, x->in,
                     "embedded IPv4 address must replace the final 2 fields of the address", x->s);
    if (x->i + 4 > 16)
        return wrong(x->a, x->in,
                     "too many hex fields to fit an embedded IPv4 at the end of the address", x->s);
    bad = parse_four(x->a, x->in, x->s, x->ip + x->i);
    x->s = (kr_str){0};
    x->i += 4;
    return bad;
}

/* The colon behind a group, and :: . */
static kr_str six_colon(struct six *x)
{
    if (x->s.s[0] != ':')
        return wrong(x->a, x->in, "unexpected character, want colon", x->s);
    if (x->s.n == 1)
        return wrong(x->a, x->in, "colon must be followed by more characters", x->s);
    x->s = kr_str_sub(x->s, 1, x->s.n);
    if (x->s.s[0] != ':')
        return (kr_str){0};
    if (x->ellipsis >= 0)
        return wrong(x->a, x->in, "multiple :: in address", x->s);
    x->ellipsis = (int32_t)x->i;
    x->s = kr_str_sub(x->s, 1, x->s.n);
    return (kr_str){0};
}

static kr_str six_groups(struct six *x)
{
    while (x->i < 16 && x->s.n) {
        size_t len = 0;
        uint32_t value = 0;
        kr_str bad = six_group(x, &len, &value);

        if (bad.n)
            return bad;
        if (len < x->s.n && x->s.s[len] == '.')
            return six_embedded(x);
        x->ip[x->i++] = (uint8_t)(value >> 8);
        x->ip[x->i++] = (uint8_t)value;
        x->s = kr_str_sub(x->s, len, x->s.n);
        if (!x->s.n)
            break;
        bad = six_colon(x);
        if (bad.n)
            return bad;
    }
    return (kr_str){0};
}

static kr_str six_finish(struct six *x)
{
    uint32_t gap = 16 - x->i;

    if (x->s.n)
        return wrong(x->a, x->in, "trailing garbage after address", x->s);
    if (x->i < 16) {
        if (x->ellipsis < 0)
            return wrong(x->a, x->in, "address string too short", (kr_str){0});
        memmove(x->ip + x->ellipsis + gap, x->ip + x->ellipsis, x->i - (uint32_t)x->ellipsis);
        memset(x->ip + x->ellipsis, 0, gap);
    } else if (x->ellipsis >= 0) {
        return wrong(x->a, x->in, "the :: must expand to at least one field of zeros", (kr_str){0});
    }
    return (kr_str){0};
}

static kr_str parse_six(struct kr_arena *a, kr_str in, struct cel__addr *out)
{
    struct six x = {.a = a, .in = in, .s = in, .ellipsis = -1};
    ptrdiff_t percent = kr_str_chr(in, '%');
    kr_str bad;

    if (percent >= 0) {
        if ((size_t)percent + 1 == in.n)
            return wrong(a, in, "zone must be a non-empty string", (kr_str){0});
        out->zone = true;
        x.s = kr_str_sub(in, 0, (size_t)percent);
    }
    if (kr_str_starts(x.s, KR_S("::"))) {
        x.ellipsis = 0;
        x.s = kr_str_sub(x.s, 2, x.s.n);
    } else if (!x.s.n) {
        return wrong(a, in, "each colon-separated field must have at least one digit", x.s);
    }
    bad = six_groups(&x);
    if (!bad.n)
        bad = six_finish(&x);
    memcpy(out->b, x.ip, sizeof(x.ip));
    return bad;
}

kr_str cel__addr_parse(struct kr_arena *a, kr_str s, struct cel__addr *out)
{
    *out = (struct cel__addr){.is4 = false};
    for (size_t i = 0; i < s.n; i++) {
        if (s.s[i] == '.') {
            out->is4 = true;
            return parse_four(a, s, s, out->b);
        }
        if (s.s[i] == ':')
            return parse_six(a, s, out);
        if (s.s[i] == '%')
            return wrong(a, s, "missing IPv6 address", (kr_str){0});
    }
    return wrong(a, s, "unable to parse IP", (kr_str){0});
}

static kr_str wrong_prefix(struct kr_arena *a, kr_str in, kr_str what)
{
    return kr_fmt(a, "netip.ParsePrefix(" KR_FMT "): " KR_FMT, KR_ARG(cel__quote_go(a, in)),
                  KR_ARG(what));
}

kr_str cel__prefix_parse(struct kr_arena *a, kr_str s, struct cel__prefix *out)
{
    ptrdiff_t slash = kr_str_rchr(s, '/');
    kr_str bits;
    kr_str bad;
    int64_t n;

    if (slash < 0)
        return wrong_prefix(a, s, KR_S("no '/'"));
    bad = cel__addr_parse(a, kr_str_sub(s, 0, (size_t)slash), &out->addr);
    if (bad.n)
        return wrong_prefix(a, s, bad);
    if (out->addr.zone)
        return wrong_prefix(a, s, KR_S("IPv6 zones cannot be present in a prefix"));
    bits = kr_str_sub(s, (size_t)slash + 1, s.n);
    if ((bits.n > 1 && (bits.s[0] < '1' || bits.s[0] > '9')) || !cel__parse_int(bits, &n))
        return wrong_prefix(
            a, s, kr_fmt(a, "bad bits after slash: " KR_FMT, KR_ARG(cel__quote_go(a, bits))));
    if (n < 0 || n > (out->addr.is4 ? 32 : 128))
        return wrong_prefix(a, s, KR_S("prefix length out of range"));
    out->bits = (uint32_t)n;
    return (kr_str){0};
}

bool cel__addr_is_mapped(const struct cel__addr *x)
{
    static const uint8_t head[12] = {[10] = 0xff, [11] = 0xff};

    return !x->is4 && memcmp(x->b, head, sizeof(head)) == 0;
}

/* The longest run of zero groups, at least two; the first of equals. */
static void zero_run(const uint8_t *b, uint32_t *from, uint32_t *to)
{
    *from = *to = 16;
    for (uint32_t i = 0; i < 16; i += 2) {
        uint32_t k = i;

        while (k < 16 && !b[k] && !b[k + 1])
            k += 2;
        if (k - i >= 4 && k - i > *to - *from) {
            *from = i;
            *to = k;
        }
    }
}

kr_str cel__addr_text(struct kr_arena *a, const struct cel__addr *x)
{
    KR_AUTO(kr_buf) b = KR_BUF_IN(a, 64);
    uint32_t from;
    uint32_t to;

    if (x->is4)
        return kr_fmt(a, "%u.%u.%u.%u", x->b[0], x->b[1], x->b[2], x->b[3]);
    zero_run(x->b, &from, &to);
    for (uint32_t i = 0; i < 16; i += 2) {
        if (i == from) {
            kr_buf_str(&b, KR_S("::"));
            i = to;
            if (i >= 16)
                break;
        } else if (i > 0) {
            kr_buf_chr(&b, ':');
        }
        kr_buf_fmt(&b, "%x", x->b[i] << 8 | x->b[i + 1]);
    }
    return kr_buf_view(&b);
}

struct cel__prefix cel__prefix_masked(const struct cel__prefix *p)
{
    struct cel__prefix m = *p;
    uint32_t n = p->addr.is4 ? 4 : 16;

    for (uint32_t i = 0; i < n; i++) {
        uint32_t keep = p->bits > 8 * i ? p->bits - 8 * i : 0;

        if (keep < 8)
            m.addr.b[i] &= (uint8_t)(0xff00 >> keep);
    }
    return m;
}
