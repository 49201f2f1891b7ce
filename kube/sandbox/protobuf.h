/* SPDX-License-Identifier: Apache-2.0 */
/* protobuf.h - objects of built-in types as clients in Go encode them: kubectl create sends these.
 *
 * Only read, never written: such clients take JSON back.
 *
 * Source: apimachinery pkg/runtime/serializer/protobuf; the generated.proto of k8s.io/api.
 */
#ifndef SANDBOX_PROTOBUF_H
#define SANDBOX_PROTOBUF_H

#include "cel/base/err.h"
#include "cel/base/val.h"

enum {
    SANDBOX_PROTOBUF_DEPTH_MAX = 40,   /* of messages; those of the types nest less */
    SANDBOX_PROTOBUF_FIELDS_MAX = 128, /* of one message */
};

/* The object, as JSON has it, with apiVersion and kind; lives in a and borrows from bytes. KR_E_INPUT:
 * not well-formed, or of a kind that is no built-in one. */
KR_MUST int sandbox_protobuf_read(struct kr_arena *a, kr_str bytes, kr_val *out,
                                  struct kr_err *err);

#endif
