/* SPDX-License-Identifier: Apache-2.0 */
/* keyset.h - a set of 64-bit hashes: objects that are there and not kept.
 *
 * 11 to 21 bytes an object (open addressing, between three eighths and three quarters full). Two objects with one hash count as one; whoever acts on a hit asks the server first.
 */
#ifndef KUBE_KEYSET_H
#define KUBE_KEYSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kube_keyset { /* zero is a valid empty set */
    uint64_t *slots; /* 0: free */
    uint32_t n, cap;
};

void kube_keyset_fini(struct kube_keyset *s); /* leaves it empty */
void kube_keyset_add(struct kube_keyset *s, uint64_t hash);
void kube_keyset_del(struct kube_keyset *s, uint64_t hash);
bool kube_keyset_has(const struct kube_keyset *s, uint64_t hash);

#endif
