/* SPDX-License-Identifier: Apache-2.0 */
/* map.h - a hash map from owned byte strings to pointers, insertion-ordered, for long-lived tables.
 *
 * A map that borrows keeps no copies of its keys: where a value has its key in itself, thousands of entries
 * need no second one.
 *
 * Iteration is in insertion order (removal keeps the order of the rest), so traces are
 * deterministic. Zero is a valid empty map. Values are not owned.
 */
#ifndef KR_MAPTAB_H
#define KR_MAPTAB_H

#include "cel/base/mem.h"

struct kr_map_entry {
    char *key; /* owned, NUL-terminated, unless the map borrows; NULL marks a removed entry */
    uint32_t key_n;
    uint32_t hash; /* the low half */
    uint64_t seq;  /* number of the put that made it: how steps find their place again */
    void *val;
};

struct kr_map {
    uint32_t n; /* live entries */
    bool
        borrows; /* set before the first put: a key stays valid and as it is until its entry is removed, or
                   * put again with another copy of it */

    struct kr_map_entry *entries;
    uint32_t used, cap;
    uint32_t *index;
    uint32_t index_cap;
    uint64_t seq;
};

void kr_map_fini(struct kr_map *m);
void *kr_map_get(const struct kr_map *m, kr_str key); /* NULL when absent */
void *kr_map_put(struct kr_map *m, kr_str key,
                 void *val); /* returns the replaced value or NULL; val is not NULL */
void *kr_map_del(struct kr_map *m, kr_str key); /* returns the removed value or NULL */
/* Steps through the entries: start with *at = 0; NULL at the end. Deleting the entry just returned
 * is legal; putting new ones while stepping is legal too (they come later). The entry returned is
 * valid until the next put. */
struct kr_map_entry *kr_map_next(const struct kr_map *m, uint64_t *at);
#define kr_map_each(entry, m)                                                                      \
    for (uint64_t at_##entry = 0, once_##entry = 1; once_##entry; once_##entry = 0)                \
        for (struct kr_map_entry * entry; (entry = kr_map_next((m), &at_##entry)) != NULL;)
static inline kr_str kr_map_key(const struct kr_map_entry *e)
{
    return (kr_str){e->key, e->key_n};
}

#endif
