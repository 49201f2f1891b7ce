/* SPDX-License-Identifier: Apache-2.0 */
/* keyset.c - linear probing; a removal shifts back what follows, so that there are no tombstones. */
#include "kube/keyset.h"

#include "cel/base/mem.h"

#include "cel/base/banned.h"

enum { CAP_MIN = 16 };

static uint64_t stored(uint64_t hash)
{
    return hash ? hash : 1; /* 0 marks a free slot */
}

void kube_keyset_fini(struct kube_keyset *s)
{
    kr_free(s->slots);
    *s = (struct kube_keyset){0};
}

/* Where hash is, or the free slot where it would be. The set has a free slot. */
static uint32_t place(const struct kube_keyset *s, uint64_t hash)
{
    uint32_t i = (uint32_t)hash & (s->cap - 1);

    while (s->slots[i] && s->slots[i] != hash)
        i = (i + 1) & (s->cap - 1);
    return i;
}

static void resize(struct kube_keyset *s, uint32_t cap)
{
    struct kube_keyset bigger = {.slots = kr_alloc(cap * sizeof(uint64_t)), .n = s->n, .cap = cap};

    for (uint32_t i = 0; i < s->cap; i++) {
        if (s->slots[i])
            bigger.slots[place(&bigger, s->slots[i])] = s->slots[i];
    }
    kr_free(s->slots);
    *s = bigger;
}

void kube_keyset_add(struct kube_keyset *s, uint64_t hash)
{
    uint32_t at;

    hash = stored(hash);
    if ((uint64_t)(s->n + 1) * 4 > (uint64_t)s->cap * 3)
        resize(s, s->cap ? s->cap * 2 : CAP_MIN);
    at = place(s, hash);
    s->n += s->slots[at] == 0;
    s->slots[at] = hash;
}

void kube_keyset_del(struct kube_keyset *s, uint64_t hash)
{
    uint32_t hole, i, mask = s->cap - 1;

    if (!kube_keyset_has(s, hash))
        return;
    hole = place(s, stored(hash));
    s->n--;
    for (i = (hole + 1) & mask; s->slots[i]; i = (i + 1) & mask) {
        uint32_t home = (uint32_t)s->slots[i] & mask;

        if (((i - home) & mask) < ((i - hole) & mask))
            continue; /* its home lies behind the hole */
        s->slots[hole] = s->slots[i];
        hole = i;
    }
    s->slots[hole] = 0;
}

bool kube_keyset_has(const struct kube_keyset *s, uint64_t hash)
{
    hash = stored(hash);
    return s->n && s->slots[place(s, hash)] == hash;
}
