/* SPDX-License-Identifier: Apache-2.0 */
/* fieldset.h - the fields one manager owns (managedFields' fieldsV1) and the ownership digest.
 *
 * With server-side apply the server records which fields our manager owns; fieldsV1 also says how
 * lists merge: k:{"name":"web"} for list maps, v:"x" for sets, no children for atomic values.
 *
 *   live object  + set -> digest of the live values at the set's fields   (when it is parsed)
 *   desired value + set -> in sync or not, by the same walk               (after each evaluation)
 *
 * In sync means: desired has no field outside the set, lacks none inside it, and its values give
 * the same digest. Then nothing is sent. "Not provably equal" is "not in sync": one apply that
 * changes nothing, never a missed one.
 *
 * What the walk knows (seen on kube-apiserver 1.36): list-map keys carry the server's defaults, so
 * an item that lacks a key field matches the key with the default; stringData of a Secret stays in
 * the set while the live value is base64 under data; quantities and durations come back in normal
 * form, so a hook normalises desired leaves by schema.
 *
 * A field that is ours but absent from the live object was written as null or as a zero value that
 * the server leaves out (false, 0, "", {}, []). Which fields these are is part of the set when it
 * comes from kr_fieldset_observe, so that such a wish is in sync and every other one is not.
 *
 * The order of our items within a list takes part in the digest: it is part of the wish.
 *
 * Sets are immutable and interned: thousands of children share one.
 *
 * Source: KEP 555, sigs.k8s.io/structured-merge-diff fieldpath serialisation.
 */
#ifndef KR_FIELDSET_H
#define KR_FIELDSET_H

#include "cel/base/err.h"
#include "cel/base/val.h"

enum {
    KR_FIELDSET_DEPTH_MAX = 64,
    KR_FIELDSET_NODES_MAX = 100 * 1000,
    KR_FIELDSET_KEYS_MAX = 8, /* key fields of one list map; Kubernetes has at most 3 */
};

struct kr_fieldset;

/* A pool interns sets; it outlives them. Zero-cost to share between all stores of a process. */
struct kr_fieldset_pool;
struct kr_fieldset_pool *kr_fieldset_pool_new(void);
void kr_fieldset_pool_free(
    struct kr_fieldset_pool *pool); /* accepts NULL; every set is dropped by then */
uint32_t kr_fieldset_pool_n(const struct kr_fieldset_pool *pool);

/* Reads fieldsV1 (a map) into a set. Returns a counted reference in *out. KR_E_INPUT on a key that
 * is none of f: k: v: i: or "."; KR_E_LIMIT. */
KR_MUST int kr_fieldset_intern(struct kr_fieldset_pool *pool, kr_val fields_v1,
                               const struct kr_fieldset **out, struct kr_err *err);
/* The same, and the digest of live's values at the set's fields; the set also says which of its
 * fields live lacks. This is what a record keeps. */
KR_MUST int kr_fieldset_observe(struct kr_fieldset_pool *pool, kr_val fields_v1, kr_val live,
                                const struct kr_fieldset **out, uint64_t *digest,
                                struct kr_err *err);
const struct kr_fieldset *kr_fieldset_hold(const struct kr_fieldset *set);
void kr_fieldset_drop(const struct kr_fieldset *set); /* accepts NULL */

/* The managedFields entry of manager with operation Apply and no subresource: its fieldsV1, or
 * KR_NONE. */
kr_val kr_fieldset_of_manager(kr_val object, kr_str manager);

/* The fieldsV1 that the set was made of. Borrowed from it. */
kr_val kr_fieldset_fields(const struct kr_fieldset *set);
/* Did somebody take a field of `was` that `now` (NULL: empty) has no more? Then *field is the first
 * one, "spec.replicas", and *manager who has it according to object's managedFields, or, where
 * nobody has it, who wrote last; may be empty. ours is passed over. Texts live in a. */
bool kr_fieldset_taken(const struct kr_fieldset *was, const struct kr_fieldset *now, kr_val object,
                       kr_str ours, struct kr_arena *a, kr_str *manager, kr_str *field);

/* Digest of the live values at the set's fields; the same as kr_fieldset_observe gives. Fields that
 * are absent take part as absent. The label kro.run/kro-version is passed over: a difference in it
 * alone never causes a write. */
uint64_t kr_fieldset_digest_live(const struct kr_fieldset *set, kr_val object);

/* Called for each desired leaf and atomic value with its path from the root (member names and "[]"
 * for list items); returns the value in the server's normal form (v itself in most cases). */
typedef kr_val kr_normal_fn(void *arg, struct kr_arena *a, const kr_str *path, uint32_t n,
                            kr_val v);
/* The server's default of key field `key` of the list map at path, or KR_NONE. */
typedef kr_val kr_key_default_fn(void *arg, const kr_str *path, uint32_t n, kr_str key);
/* Whether the list at path is known to merge by key or as a set: only of such a list an empty wish
 * leaves no field behind. */
typedef bool kr_granular_list_fn(void *arg, const kr_str *path, uint32_t n);

struct kr_fieldset_rules {
    kr_normal_fn *normal;           /* NULL: values as they are */
    kr_key_default_fn *key_default; /* NULL: only protocol=TCP of ports, which needs no schema */
    kr_granular_list_fn *granular;  /* NULL: no list is known to be */
    bool
        builtin; /* a type of the API server's own: the defaults inside its atomic values are known */
    bool status_dropped; /* the kind has a status subresource: an applied status is ignored */
    void *arg;
};

/* true: desired and set have the same fields; then *digest is comparable with
 * kr_fieldset_digest_live. false: they differ, or a field that live lacks has a value here; *digest is
 * 0. What the server never records (apiVersion, kind, metadata.name, namespace, uid, ...) is passed
 * over, as are members of kind KR_NONE and KR_OMIT. rules may be NULL. a is scratch. */
bool kr_fieldset_digest_desired(const struct kr_fieldset *set, kr_val desired,
                                const struct kr_fieldset_rules *rules, struct kr_arena *a,
                                uint64_t *digest);

#endif
