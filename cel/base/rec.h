/* SPDX-License-Identifier: Apache-2.0 */
/* rec.h - the frozen record of one observed object: what is kept of it, and nothing else.
 *
 * kube/store builds records from parsed objects through a projection; graph reads them as values.
 * A record is one allocation, immutable (but for kr_rec_renew), counted. Its root is a sparse copy of the
 * object that holds apiVersion, kind and the leaves that some expression reads; all else was dropped. Name,
 * uid, version and the like stand in the record itself; they are in root only where an expression reads them.
 *
 * A fleet has tens of thousands of records, of which a turn looks at a few. So root is kept as a row of bytes
 * (flat.h) and unfolded when it is looked at; what was unfolded goes with kr_rec_rest, which the turn calls
 * where nobody looks at a root any more.
 */
#ifndef KR_REC_H
#define KR_REC_H

#include "cel/base/fieldset.h"
#include "cel/base/ref.h"
#include "cel/base/val.h"

enum {
    KR_REC_VERSION_ROOM =
        2, /* digits by which a version may grow before kr_rec_renew does not fit: a cluster
                              * writes a hundred times as much before that */
    KR_REC_TEXT_MAX = 4096, /* bytes of a name, a namespace, a uid, a version */
};

/* An object as it came: what a record is made from, and compared with. Strings and root are borrowed. */
struct kr_view {
    bool terminating; /* metadata.deletionTimestamp is set */
    bool plain; /* root is kept as values: it may be looked at for as long as the record is held */
    uint16_t leaves_n; /* digests at leaf[] */
    kr_ref ref;        /* gvr, namespace, name */
    kr_str uid;
    kr_str version;     /* metadata.resourceVersion */
    uint64_t version_u; /* the same as a number; 0 when it is not a decimal integer */
    int64_t generation;
    /* IDENTITY: whose child it is; empty strings where a label is missing */
    kr_str part_of;     /* label applyset.kubernetes.io/part-of */
    kr_str instance_id; /* label kro.run/instance-id */
    kr_str node_id;     /* label kro.run/node-id */
    int32_t item;       /* label kro.run/collection-index; -1 without */
    int32_t order;      /* annotation internal.kro.run/apply-order; 0 without or malformed */
    /* OWNED */
    const struct kr_fieldset *owned; /* counted; NULL: our manager applied nothing to it */
    uint64_t owned_digest;           /* of the live values at owned */
    kr_val root;
    const uint64_t *leaf; /* digest of each projection leaf's value; 0: absent */
};

/* The same, kept. What is not a field here is asked for below. */
struct kr_rec {
    uint32_t refs; /* references; see kr_rec_hold */
    bool terminating, plain;
    uint16_t leaves_n;
    int32_t item, order;
    uint64_t version_u;
    int64_t generation;
    const struct kr_fieldset *owned; /* counted, or NULL */
    uint64_t owned_digest;

    const kr_val *type; /* group, version, resource, node_id: counted, for all of that type */
    const kr_val
        *owner; /* part_of, instance_id: counted, for all children of an instance; NULL: empty */
    uint32_t root_n; /* bytes */
    uint16_t shares_n, namespace_n, name_n, uid_n, version_n, version_room;
    uint64_t leaf[]; /* leaves_n; behind them what rec.c draws */
};

struct kr_rec *kr_rec_hold(struct kr_rec *r); /* returns r; accepts NULL */
void kr_rec_drop(struct kr_rec *r);           /* accepts NULL */

/* Builds a record: copies everything reachable from *view (strings, root, leaf digests) into one
 * allocation; takes over the reference view->owned. No string of it but the labels' is longer than
 * KR_REC_TEXT_MAX. Returns a reference. */
struct kr_rec *kr_rec_freeze(const struct kr_view *view);
/* The object has a newer version in which nothing that the record keeps has changed but the version and
 * the generation: writes them into r, wherever it is held. false: they do not fit, r is as it was. */
bool kr_rec_renew(struct kr_rec *r, const struct kr_view *now);
/* The record as a view, but without its root. The reference owned stays the record's. */
void kr_rec_view(const struct kr_rec *r, struct kr_view *out);

/* The sparse object. Valid until kr_rec_rest, and as long as the record is held; when it is plain that alone
 * counts. */
kr_val kr_rec_root(const struct kr_rec *r);
/* Nobody looks at what kr_rec_root has returned so far. Cheap where nothing was. */
void kr_rec_rest(void);

/* Bytes of the allocation, for metrics. */
size_t kr_rec_bytes(const struct kr_rec *r);

/* --- texts; they stand in the record, or are shared, and stay as long as it ------------------- */

static inline const char *kr_rec__texts(const struct kr_rec *r)
{
    return (const char *)(r->leaf + r->leaves_n + r->shares_n) + r->root_n;
}
static inline kr_str kr_rec_version(const struct kr_rec *r)
{
    return (kr_str){kr_rec__texts(r), r->version_n};
}
static inline kr_str kr_rec_uid(const struct kr_rec *r)
{
    return (kr_str){kr_rec__texts(r) + r->version_room, r->uid_n};
}
/* "namespace/name", "/name" without. */
static inline kr_str kr_rec_key(const struct kr_rec *r)
{
    return (kr_str){kr_rec__texts(r) + r->version_room + r->uid_n,
                    (size_t)r->namespace_n + 1 + r->name_n};
}
static inline kr_str kr_rec_namespace(const struct kr_rec *r)
{
    return (kr_str){kr_rec_key(r).s, r->namespace_n};
}
static inline kr_str kr_rec_name(const struct kr_rec *r)
{
    return (kr_str){kr_rec_key(r).s + r->namespace_n + 1, r->name_n};
}
static inline kr_gvr kr_rec_gvr(const struct kr_rec *r)
{
    return (kr_gvr){kr_text(r->type[0]), kr_text(r->type[1]), kr_text(r->type[2])};
}
static inline kr_ref kr_rec_ref(const struct kr_rec *r)
{
    return (kr_ref){kr_rec_gvr(r), kr_rec_namespace(r), kr_rec_name(r)};
}
static inline kr_str kr_rec_node_id(const struct kr_rec *r)
{
    return kr_text(r->type[3]);
}
static inline kr_str kr_rec_part_of(const struct kr_rec *r)
{
    return r->owner ? kr_text(r->owner[0]) : (kr_str){0};
}
static inline kr_str kr_rec_instance_id(const struct kr_rec *r)
{
    return r->owner ? kr_text(r->owner[1]) : (kr_str){0};
}

#endif
