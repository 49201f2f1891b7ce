/* SPDX-License-Identifier: Apache-2.0 */
/* rec.h - the frozen record of one observed object: what is kept of it, and nothing else.
 *
 * kube/store builds records from parsed objects through a projection; graph reads them as values.
 * A record is one allocation, immutable (but for kr_rec_renew), counted. `root` is a sparse copy of the
 * object that holds apiVersion, kind and the leaves that some expression reads; all else was dropped. Name,
 * uid, version and the like stand in the record itself; they are in root only where an expression reads them.
 */
#ifndef KR_REC_H
#define KR_REC_H

#include "cel/base/fieldset.h"
#include "cel/base/ref.h"

enum {
    KR_REC_VERSION_ROOM =
        2, /* digits by which a version may grow before kr_rec_renew does not fit: a cluster
                              * writes a hundred times as much before that */
};

struct kr_rec {
    uint32_t refs;     /* references; see kr_rec_hold */
    bool terminating;  /* metadata.deletionTimestamp is set */
    uint16_t leaves_n; /* digests at leaf[] */
    kr_ref ref;        /* gvr, namespace, name: strings live in the record */
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

struct kr_rec *kr_rec_hold(struct kr_rec *r); /* returns r; accepts NULL */
void kr_rec_drop(struct kr_rec *r);           /* accepts NULL */

/* Builds a record: copies everything reachable from *init (strings, root, leaf digests) into one
 * allocation; takes over the reference init->owned. Returns a reference. */
struct kr_rec *kr_rec_freeze(const struct kr_rec *init);
/* The object has a newer version in which nothing that the record keeps has changed but the version and
 * the generation: writes them into r, wherever it is held. false: they do not fit, r is as it was. */
bool kr_rec_renew(struct kr_rec *r, const struct kr_rec *now);
/* "namespace/name", "/name" without: stands in the record, and stays as long as it. For those that
 * kr_rec_freeze made. */
static inline kr_str kr_rec_key(const struct kr_rec *r)
{
    return (kr_str){r->ref.name.s - 1 - r->ref.namespace.n, r->ref.namespace.n + 1 + r->ref.name.n};
}
/* Bytes of the allocation, for metrics. */
size_t kr_rec_bytes(const struct kr_rec *r);

#endif
