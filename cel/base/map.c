/* SPDX-License-Identifier: Apache-2.0 */
/* map.c - the hash map that remembers the order of insertion.
 *
 *   index    [ 2 | 0 | G | 1 | 0 | ... ]   open addressing: entry number + 1; 0 free; GONE removed
 *   entries  [ e0 | e1 | hole | e3 ... used ) cap
 *
 * Entries stand in the order of their numbers (seq). Holes go when the array is full: if at least a
 * quarter are holes, the entries move together, else the array doubles. A step remembers the seq
 * of the next entry and finds it again by position or, after a move, by binary search.
 */
#include "cel/base/map.h"

#include "cel/base/banned.h"

enum { FIRST_CAP = 8 };
#define GONE UINT32_MAX

void kr_map_fini(struct kr_map *m)
{
    for (uint32_t i = 0; i < m->used && !m->borrows; i++)
        kr_free(m->entries[i].key);
    kr_free(m->entries);
    kr_free(m->index);
    *m = (struct kr_map){0};
}

/* The index slot that holds key, or NULL. */
static uint32_t *slot_of(const struct kr_map *m, kr_str key, uint64_t hash)
{
    if (m->n == 0)
        return NULL;
    for (uint32_t i = (uint32_t)hash & (m->index_cap - 1); m->index[i] != 0;
         i = (i + 1) & (m->index_cap - 1)) {
        const struct kr_map_entry *e;

        if (m->index[i] == GONE)
            continue;
        e = &m->entries[m->index[i] - 1];
        if (e->hash == (uint32_t)hash && kr_str_eq(kr_map_key(e), key))
            return &m->index[i];
    }
    return NULL;
}

static void index_add(struct kr_map *m, uint32_t number)
{
    uint32_t i = m->entries[number].hash & (m->index_cap - 1);

    while (m->index[i] != 0)
        i = (i + 1) & (m->index_cap - 1);
    m->index[i] = number + 1;
}

/* Makes place for one more entry: closes the holes or grows, then builds the index anew. */
static void rebuild(struct kr_map *m)
{
    uint32_t used = 0;

    for (uint32_t i = 0; i < m->used; i++) {
        if (m->entries[i].key)
            m->entries[used++] = m->entries[i];
    }
    m->used = used;
    if (m->used >= m->cap - m->cap / 4) {
        KR_ASSERT(m->cap <= UINT32_MAX / 8);
        m->cap = m->cap ? m->cap * 2 : FIRST_CAP;
        m->entries = kr_realloc(m->entries, sizeof(*m->entries) * m->cap);
        kr_free(m->index);
        m->index_cap = m->cap * 2;
        m->index = kr_alloc(sizeof(*m->index) * m->index_cap);
    } else {
        memset(m->index, 0, sizeof(*m->index) * m->index_cap);
    }
    for (uint32_t i = 0; i < m->used; i++)
        index_add(m, i);
}

void *kr_map_get(const struct kr_map *m, kr_str key)
{
    uint32_t *slot = slot_of(m, key, kr_str_hash(key));

    return slot ? m->entries[*slot - 1].val : NULL;
}

static char *key_kept(const struct kr_map *m, kr_str key)
{
    KR_ASSERT(!m->borrows || key.s);
    return m->borrows ? (char *)(uintptr_t)key.s : kr_cstrdup(key);
}

void *kr_map_put(struct kr_map *m, kr_str key, void *val)
{
    uint64_t hash = kr_str_hash(key);
    uint32_t *slot = slot_of(m, key, hash);

    KR_ASSERT(val != NULL);
    KR_ASSERT(key.n < UINT32_MAX);
    if (slot) {
        struct kr_map_entry *e = &m->entries[*slot - 1];
        void *old = e->val;

        e->val = val;
        if (m->borrows)
            e->key = key_kept(m, key);
        return old;
    }
    if (m->used == m->cap)
        rebuild(m);
    m->entries[m->used] = (struct kr_map_entry){.key = key_kept(m, key),
                                                .key_n = (uint32_t)key.n,
                                                .hash = (uint32_t)hash,
                                                .seq = m->seq++,
                                                .val = val};
    index_add(m, m->used++);
    m->n++;
    return NULL;
}

void *kr_map_del(struct kr_map *m, kr_str key)
{
    uint32_t *slot = slot_of(m, key, kr_str_hash(key));
    struct kr_map_entry *e;

    if (!slot)
        return NULL;
    e = &m->entries[*slot - 1];
    *slot = GONE;
    if (!m->borrows)
        kr_free(e->key);
    e->key = NULL;
    m->n--;
    return e->val;
}

/* The first position whose seq is at or above seq. */
static uint32_t position_of(const struct kr_map *m, uint64_t seq)
{
    uint32_t low = 0, high = m->used;

    if (m->used == 0 || seq <= m->entries[0].seq)
        return 0;
    if (seq - m->entries[0].seq < m->used &&
        m->entries[seq - m->entries[0].seq].seq == seq) /* nothing between them was closed */
        return (uint32_t)(seq - m->entries[0].seq);
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;

        if (m->entries[mid].seq < seq)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

struct kr_map_entry *kr_map_next(const struct kr_map *m, uint64_t *at)
{
    for (uint32_t i = position_of(m, *at); i < m->used; i++) {
        if (m->entries[i].key) {
            *at = m->entries[i].seq + 1;
            return &m->entries[i];
        }
    }
    return NULL;
}
