/* SPDX-License-Identifier: Apache-2.0 */
/* fn_net.c - Kubernetes' IP addresses and CIDR ranges.
 *
 * Source: k8s.io/apiserver pkg/cel/library/{ip,cidr}.go; reference section 13.5.
 */
#include "cel/functions.h"

#include "cel/netaddr.h"

#include "cel/base/banned.h"

struct ip {
    struct kr_opaque head;
    struct cel__addr addr;
};

struct cidr {
    struct kr_opaque head;
    struct cel__prefix prefix;
};

static const struct cel__addr *addr_of(kr_val v)
{
    return &((const struct ip *)(const void *)v.obj)->addr;
}

static const struct cel__prefix *prefix_of(kr_val v)
{
    return &((const struct cidr *)(const void *)v.obj)->prefix;
}

static bool same_addr(const struct cel__addr *x, const struct cel__addr *y)
{
    return x->is4 == y->is4 && memcmp(x->b, y->b, x->is4 ? 4 : 16) == 0;
}

static bool ip_equal(const struct kr_opaque *x, const struct kr_opaque *y)
{
    return same_addr(&((const struct ip *)(const void *)x)->addr,
                     &((const struct ip *)(const void *)y)->addr);
}

static bool cidr_equal(const struct kr_opaque *x, const struct kr_opaque *y)
{
    const struct cidr *a = (const struct cidr *)(const void *)x;
    const struct cidr *b = (const struct cidr *)(const void *)y;

    return a->prefix.bits == b->prefix.bits && same_addr(&a->prefix.addr, &b->prefix.addr);
}

const struct kr_opaque_type cel__ip_type = {.name = "net.IP", .equal = ip_equal};
const struct kr_opaque_type cel__cidr_type = {.name = "net.CIDR", .equal = cidr_equal};

static int give_ip(struct cel__vm *vm, const struct cel__addr *addr, kr_val *out)
{
    struct ip *ip = kr_new(vm->a, struct ip);

    ip->head.type = &cel__ip_type;
    ip->addr = *addr;
    *out = (kr_val){.kind = KR_OPAQUE, .obj = &ip->head};
    return 0;
}

static int give_cidr(struct cel__vm *vm, const struct cel__prefix *prefix, kr_val *out)
{
    struct cidr *c = kr_new(vm->a, struct cidr);

    c->head.type = &cel__cidr_type;
    c->prefix = *prefix;
    *out = (kr_val){.kind = KR_OPAQUE, .obj = &c->head};
    return 0;
}

/* --- addresses -------------------------------------------------------------------------------- */

static int parse_ip(struct cel__vm *vm, kr_str s, struct cel__addr *out)
{
    kr_str bad = cel__addr_parse(vm->a, s, out);
    kr_str q = cel__quote_go(vm->a, s);

    if (bad.n)
        return cel__raise(
            vm, "IP Address " KR_FMT " parse error during conversion from string: " KR_FMT,
            KR_ARG(q), KR_ARG(bad));
    if (out->zone)
        return cel__raise(vm, "IP address " KR_FMT " with zone value is not allowed", KR_ARG(q));
    if (!cel__addr_is_mapped(out))
        return 0;
    if (!vm->p->spec || kr_str_chr(s, '.') >= 0)
        return cel__raise(vm, "IPv4-mapped IPv6 address " KR_FMT " is not allowed", KR_ARG(q));
    memmove(out->b, out->b + 12, 4);
    out->is4 = true;
    return 0;
}

int fn_ip(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    struct cel__addr addr;

    KR_TRY(parse_ip(vm, kr_text(args[0]), &addr));
    return give_ip(vm, &addr, out);
}

int fn_is_ip(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    struct cel__addr addr;

    *out = kr_bool(parse_ip(vm, kr_text(args[0]), &addr) == 0);
    return 0;
}

int fn_ip_is_canonical(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    struct cel__addr addr;

    KR_TRY(parse_ip(vm, kr_text(args[0]), &addr));
    *out = kr_bool(kr_str_eq(cel__addr_text(vm->a, &addr), kr_text(args[0])));
    return 0;
}

int fn_ip_family(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    *out = kr_int(addr_of(args[0])->is4 ? 4 : 6);
    return 0;
}

int fn_ip_string(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    *out = kr_string(cel__addr_text(vm->a, addr_of(args[0])));
    return 0;
}

static bool all_zero(const uint8_t *b, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (b[i])
            return false;
    }
    return true;
}

static bool unspecified(const struct cel__addr *x)
{
    return all_zero(x->b, x->is4 ? 4 : 16);
}

static bool loopback(const struct cel__addr *x)
{
    return x->is4 ? x->b[0] == 127 : all_zero(x->b, 15) && x->b[15] == 1;
}

static bool multicast(const struct cel__addr *x)
{
    return x->is4 ? (x->b[0] & 0xf0) == 0xe0 : x->b[0] == 0xff;
}

static bool link_local_multicast(const struct cel__addr *x)
{
    if (x->is4)
        return x->b[0] == 224 && x->b[1] == 0 && x->b[2] == 0;
    return x->b[0] == 0xff && (x->b[1] & 0x0f) == 2;
}

static bool link_local_unicast(const struct cel__addr *x)
{
    if (x->is4)
        return x->b[0] == 169 && x->b[1] == 254;
    return x->b[0] == 0xfe && (x->b[1] & 0xc0) == 0x80;
}

static bool global_unicast(const struct cel__addr *x)
{
    bool broadcast = x->is4 && (x->b[0] & x->b[1] & x->b[2] & x->b[3]) == 0xff;

    return !broadcast && !unspecified(x) && !loopback(x) && !multicast(x) && !link_local_unicast(x);
}

#define IP_TEST(name)                                                                              \
    int fn_ip_is_##name(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)           \
    {                                                                                              \
        *out = kr_bool(name(addr_of(args[0])));                                                    \
        return 0;                                                                                  \
    }

IP_TEST(unspecified)
IP_TEST(loopback)
IP_TEST(link_local_multicast)
IP_TEST(link_local_unicast)
IP_TEST(global_unicast)

/* --- ranges ----------------------------------------------------------------------------------- */

#define CIDR_ERROR "network address parse error during conversion from string: "

static int parse_cidr(struct cel__vm *vm, kr_str s, struct cel__prefix *out)
{
    kr_str bad = cel__prefix_parse(vm->a, s, out);

    if (bad.n)
        return cel__raise(vm, CIDR_ERROR CIDR_ERROR KR_FMT, KR_ARG(bad));
    if (cel__addr_is_mapped(&out->addr))
        return cel__raise(vm, CIDR_ERROR "IPv4-mapped IPv6 address " KR_FMT " is not allowed",
                          KR_ARG(cel__quote_go(vm->a, s)));
    return 0;
}

int fn_cidr(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    struct cel__prefix p;

    KR_TRY(parse_cidr(vm, kr_text(args[0]), &p));
    return give_cidr(vm, &p, out);
}

int fn_is_cidr(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    struct cel__prefix p;

    *out = kr_bool(parse_cidr(vm, kr_text(args[0]), &p) == 0);
    return 0;
}

int fn_cidr_ip(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    return give_ip(vm, &prefix_of(args[0])->addr, out);
}

int fn_cidr_string(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    const struct cel__prefix *p = prefix_of(args[0]);

    *out = kr_string(kr_fmt(vm->a, KR_FMT "/%u", KR_ARG(cel__addr_text(vm->a, &p->addr)), p->bits));
    return 0;
}

static bool contains(const struct cel__prefix *p, const struct cel__addr *x)
{
    struct cel__prefix other = {.addr = *x, .bits = p->bits};
    struct cel__prefix mine = cel__prefix_masked(p);

    if (p->addr.is4 != x->is4)
        return false;
    other = cel__prefix_masked(&other);
    return same_addr(&mine.addr, &other.addr);
}

int fn_cidr_contains_ip(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    struct cel__addr addr;

    if (args[1].kind == KR_STRING) {
        if (parse_ip(vm, kr_text(args[1]), &addr) < 0)
            return cel__no_overload(vm);
    } else {
        addr = *addr_of(args[1]);
    }
    *out = kr_bool(contains(prefix_of(args[0]), &addr));
    return 0;
}

int fn_cidr_contains_cidr(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    const struct cel__prefix *p = prefix_of(args[0]);
    struct cel__prefix other;

    if (args[1].kind == KR_STRING)
        KR_TRY(parse_cidr(vm, kr_text(args[1]), &other));
    else
        other = *prefix_of(args[1]);
    *out = kr_bool(p->bits <= other.bits && contains(p, &other.addr));
    return 0;
}

int fn_cidr_prefix_length(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    *out = kr_int(prefix_of(args[0])->bits);
    return 0;
}

int fn_cidr_masked(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out)
{
    struct cel__prefix m = cel__prefix_masked(prefix_of(args[0]));

    return give_cidr(vm, &m, out);
}
