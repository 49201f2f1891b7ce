/* SPDX-License-Identifier: Apache-2.0 */
/* netaddr.h - IP addresses and prefixes as Go's net/netip reads and prints them. */
#ifndef CEL_NETADDR_H
#define CEL_NETADDR_H

#include "cel/base/mem.h"

struct cel__addr {
    bool is4;
    bool zone;     /* was written with a zone */
    uint8_t b[16]; /* an IPv4 address in the first four bytes */
};

struct cel__prefix {
    struct cel__addr addr;
    uint32_t bits;
};

/* Return an empty string, or Go's error text, which lives in a. */
kr_str cel__addr_parse(struct kr_arena *a, kr_str s, struct cel__addr *out);
kr_str cel__prefix_parse(struct kr_arena *a, kr_str s, struct cel__prefix *out);
bool cel__addr_is_mapped(const struct cel__addr *x); /* ::ffff:1.2.3.4 */
kr_str cel__addr_text(struct kr_arena *a, const struct cel__addr *x);
struct cel__prefix cel__prefix_masked(const struct cel__prefix *p);

#endif
