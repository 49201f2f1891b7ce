/* SPDX-License-Identifier: Apache-2.0 */
/* projection.h - which parts of the objects of one type are kept.
 *
 * For each type the union of all read paths in use is a trie; each distinct path is a numbered leaf
 * (numbers count from 0 and are never reused while the projection lives). A path that lies below
 * another has a leaf of its own. Adding a path that was not there widens the projection: the type
 * must be listed again, for what it names was dropped so far.
 *
 * A path is a list of member names; list items are not selected (a read cut at an index reads the
 * whole list). The empty path is the whole object. metadata.managedFields are left out
 * unless a path names them. Where a path meets a list or a scalar before its end, that value is
 * kept as it is and is what the leaf's digest sees.
 */
#ifndef KUBE_PROJECTION_H
#define KUBE_PROJECTION_H

#include "cel/base/bits.h"
#include "cel/base/rec.h"

enum { KUBE_PROJECTION_LEAVES_MAX = 4096 };

struct kube_projection;

struct kube_projection *kube_projection_new(void);
void kube_projection_free(struct kube_projection *p);
/* Adds a path (idempotent) and holds it once more; copies names. *leaf gets its number. Returns 0,
 * 1 when the projection became wider, KR_E_LIMIT. */
KR_MUST int kube_projection_add(struct kube_projection *p, const kr_str *names, uint32_t n,
                                uint32_t *leaf, struct kr_err *err);
/* Lets go of a path; the projection narrows silently (records built later no longer hold it). */
void kube_projection_drop(struct kube_projection *p, uint32_t leaf);
/* Records built from now on have a plain root: for types of which there are few, or whose roots are looked
 * at for as long as the record is held. */
void kube_projection_keep_plain(struct kube_projection *p);
/* Does a path name metadata.managedFields or something in there? If not, records do without. */
bool kube_projection_names_managed_fields(const struct kube_projection *p);
uint32_t kube_projection_leaves_n(const struct kube_projection *p); /* highest number + 1 */
/* The names of a leaf's path; borrowed. *n gets how many. */
const kr_str *kube_projection_path(const struct kube_projection *p, uint32_t leaf, uint32_t *n);

/* Builds the frozen record of one parsed object. manager: whose ownership is kept
 * ("kro.run/applyset"), or empty. Returns a reference; KR_E_INPUT when the object has no name or no
 * resourceVersion. */
KR_MUST int kube_project(const struct kube_projection *p, kr_gvr gvr, kr_val object, kr_str manager,
                         struct kr_fieldset_pool *pool, struct kr_arena *scratch,
                         struct kr_rec **out, struct kr_err *err);

/* The same in two steps, for most objects that come are as they were. The view has all that kube_diff looks
 * at; its strings and root are those of object, its digests live in scratch, and it holds a reference to
 * its owned set, which the caller drops, or gives to kube_freeze together with the view. */
KR_MUST int kube_view(const struct kube_projection *p, kr_gvr gvr, kr_val object, kr_str manager,
                      struct kr_fieldset_pool *pool, struct kr_arena *scratch, struct kr_view *out,
                      struct kr_err *err);
struct kr_rec *kube_freeze(const struct kube_projection *p, const struct kr_view *view,
                           struct kr_arena *scratch); /* returns a reference */

/* What changed from old to now (either may be NULL: absent), as bits: leaves first, then the three
 * that every type has. bits is initialised here and lives in a. Returns false when nothing did. */
enum {
    KUBE_BIT_EXISTS,
    KUBE_BIT_IDENTITY,
    KUBE_BIT_OWNED,
    KUBE_BITS_FIXED
}; /* at 0, 1, 2; leaf i at i + KUBE_BITS_FIXED */
bool kube_diff(const struct kr_rec *old, const struct kr_rec *now, struct kr_arena *a,
               struct kr_bits *bits);
/* The same of an object that was and is there, and is not kept yet. */
bool kube_diff_view(const struct kr_rec *old, const struct kr_view *now, struct kr_arena *a,
                    struct kr_bits *bits);

#endif
