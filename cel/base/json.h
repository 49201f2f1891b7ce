/* SPDX-License-Identifier: Apache-2.0 */
/* json.h - bytes to values and back.
 *
 * The reader takes chunks of any size (over yajl's SAX interface) and hands out each complete
 * top-level document. Numbers: an integer literal gives KR_INT, over INT64_MAX KR_UINT, all else
 * KR_DOUBLE. Strings must be valid UTF-8, and surrogate escapes come in pairs. A key that comes twice keeps its last value, as Go does.
 * Memory of a document is the reader's arena, reset after the callback: what shall stay is copied.
 *
 * The writer prints maps in key order with Go's escaping (encoding/json), so equal values
 * of the same kinds give equal bytes.
 */
#ifndef KR_JSON_H
#define KR_JSON_H

#include "cel/base/buf.h"
#include "cel/base/val.h"

KR_C_BEGIN

enum {
    KR_JSON_DEPTH_MAX = 100,              /* nesting of a document */
    KR_JSON_DOC_MAX = 64 * 1024 * 1024,   /* bytes of one document; of one item where split */
    KR_JSON_STRING_MAX = 8 * 1024 * 1024, /* bytes of one string or run of blanks in a document */
    KR_JSON_NODES_MAX = 4 * 1000 * 1000,  /* values in one document or split item */
};

/* A complete document, or one item of a split list. Lives until the callback returns. Returns 0, or
 * negative (with err set) to stop: the feed call then fails with that. */
typedef int kr_json_fn(void *arg, struct kr_arena *a, kr_val v, struct kr_err *err);

struct kr_json_opts {
    /* Member names of the top-level object whose subtrees are not built, as paths ("a.b"); list
     * levels are passed through ("items.metadata.managedFields"). NULL-terminated, or NULL. */
    const char *const *skip;
    /* Name of a top-level list member whose items go to on_item one by one and are then forgotten
     * (a Kubernetes list's "items"); NULL: none. The document keeps the member as an empty list. */
    const char *split;
    size_t doc_max; /* 0: KR_JSON_DOC_MAX */
    bool one;       /* more than one document is an error */
    struct kr_arena
        *into; /* documents are built there and stay; NULL: each ends after its on_doc */
    kr_json_fn *on_doc;
    kr_json_fn *on_item;
    void *arg; /* given to the callbacks */
};

struct kr_json;

struct kr_json *
kr_json_new(const struct kr_json_opts *opts); /* copies opts; borrows skip and split */
void kr_json_free(struct kr_json *j);
KR_DEFINE_FREEP(kr_json)
/* Takes the next bytes. KR_E_INPUT: not JSON (the text has the offset); KR_E_LIMIT: too deep, too
 * large. After a failure only kr_json_free is legal. */
KR_MUST int kr_json_feed(struct kr_json *j, const char *bytes, size_t n, struct kr_err *err);
/* No more bytes. KR_E_INPUT when a document is incomplete, or with `one` when there was none. */
KR_MUST int kr_json_end(struct kr_json *j, struct kr_err *err);
/* Bytes of the document that is being read; 0 between documents. */
size_t kr_json_pending(const struct kr_json *j);

/* One whole text into *out, which lives in a. */
KR_MUST int kr_json_parse(struct kr_arena *a, kr_str text, kr_val *out, struct kr_err *err);

enum {
    KR_JSON_HTML = 1,  /* escape < > & as Go's encoding/json does by default */
    KR_JSON_INDENT = 2 /* two blanks a level, as json.MarshalIndent("", "  ") */
};

/* Appends v. Kinds beyond JSON: bytes as base64, timestamps and durations as their text; KR_NONE
 * and KR_OMIT members are left out. A double that is NaN or infinite is KR_E_INPUT. */
KR_MUST int kr_json_write(struct kr_buf *b, kr_val v, unsigned flags, struct kr_err *err);
/* The same as a string that lives in a; "" never; asserts on what cannot be written. */
kr_str kr_json_str(struct kr_arena *a, kr_val v);
/* Appends s quoted and escaped. */
void kr_json_quote(struct kr_buf *b, kr_str s, unsigned flags);

KR_C_END

#endif
