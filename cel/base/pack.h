/* SPDX-License-Identifier: Apache-2.0 */
/* pack.h - values and strings copied into one exact allocation.
 *
 * What lives long and is counted by the thousand (frozen records, interned field sets) is one piece
 * of memory: structures first, bytes behind them, no slack. The caller counts everything, allocates
 * once, then packs the same things in any order.
 *
 *   struct kr_pack p = {0};
 *   kr_pack_count_val(&p, v); kr_pack_count_str(&p, s);
 *   mem = kr_alloc(head + kr_pack_bytes(&p));
 *   kr_pack_begin(&p, mem + head);            head is a multiple of 8
 *   v2 = kr_pack_val(&p, v); s2 = kr_pack_str(&p, s);
 */
#ifndef KR_PACK_H
#define KR_PACK_H

#include "cel/base/val.h"

/* Zero is a valid start for counting. */
struct kr_pack {
    size_t structs_bytes; /* counted: items, pairs and what the caller adds (multiples of 8) */
    size_t text_bytes;    /* counted: bytes of strings */

    char *structs, *text; /* where the next one goes */
    char *structs_end, *text_end;
};

/* Values as JSON has them (kinds up to KR_MAP); asserts on others. */
void kr_pack_count_val(struct kr_pack *p, kr_val v);
void kr_pack_count_str(struct kr_pack *p, kr_str s);
/* Bytes that the caller fills himself. */
static inline void kr_pack_count_bytes(struct kr_pack *p, size_t n)
{
    p->text_bytes += n;
}
static inline void kr_pack_count_structs(struct kr_pack *p, size_t bytes)
{
    p->structs_bytes += (bytes + 7) & ~(size_t)7;
}
static inline size_t kr_pack_bytes(const struct kr_pack *p)
{
    return p->structs_bytes + p->text_bytes;
}
/* mem has kr_pack_bytes and is aligned to 8. */
void kr_pack_begin(struct kr_pack *p, void *mem);
kr_val kr_pack_val(struct kr_pack *p, kr_val v);
kr_str kr_pack_str(struct kr_pack *p, kr_str s);
char *kr_pack_room(struct kr_pack *p, size_t n); /* for n bytes; zeroed if mem is */
void *kr_pack_structs(struct kr_pack *p, size_t bytes);

#endif
