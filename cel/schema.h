/* SPDX-License-Identifier: Apache-2.0 */
/* schema.h - the OpenAPI model, once for the whole program.
 *
 * kube fetches OpenAPI v3 documents and reduces them into this model; graph compiles against it;
 * the sandbox validates by it. It answers: which fields exist, of which type, which lists merge by
 * which keys, what is defaulted, which leaves are quantities. Descriptions are dropped on reading.
 *
 * Schemas live in an arena that their table owns. `$ref` is resolved lazily by name, so recursive
 * types (JSONSchemaProps) are finite.
 *
 * Source: OpenAPI v3 as kube-apiserver publishes it, x-kubernetes-* extensions; reference: Kubernetes
 * "structural schema"; kro:pkg/graph/schema.
 */
#ifndef CEL_SCHEMA_H
#define CEL_SCHEMA_H

#include "cel/base/err.h"
#include "cel/base/ref.h"
#include "cel/base/val.h"

KR_C_BEGIN

enum cel_schema_type {
    CEL_S_NONE, /* no type given */
    CEL_S_OBJECT,
    CEL_S_ARRAY,
    CEL_S_STRING,
    CEL_S_INTEGER,
    CEL_S_NUMBER,
    CEL_S_BOOLEAN,
};

enum cel_schema_format {
    CEL_F_OTHER, /* none, or one that changes nothing */
    CEL_F_BYTE,
    CEL_F_DATE,
    CEL_F_DATE_TIME,
    CEL_F_DURATION,
    CEL_F_INT_OR_STRING,
    CEL_F_QUANTITY, /* io.k8s.apimachinery.pkg.api.resource.Quantity, known by its $ref name */
};

enum cel_list_type { CEL_L_ATOMIC, CEL_L_SET, CEL_L_MAP };

enum { CEL_SCHEMA_DEPTH_MAX = 64, CEL_SCHEMA_NODES_MAX = 200 * 1000 };

struct cel_schema;

struct cel_field {
    kr_str name;
    const struct cel_schema *schema;
    bool required;
};

struct cel_schema {
    uint8_t type;          /* enum cel_schema_type */
    uint8_t format;        /* enum cel_schema_format */
    uint8_t list_type;     /* enum cel_list_type */
    bool int_or_string;    /* x-kubernetes-int-or-string */
    bool preserve_unknown; /* x-kubernetes-preserve-unknown-fields */
    bool embedded;         /* x-kubernetes-embedded-resource */
    bool nullable;
    bool map_atomic;       /* x-kubernetes-map-type: atomic */
    bool additional_any;   /* additionalProperties: true */
    bool string_or_number; /* oneOf exactly {string, number} */
    uint8_t union_n;       /* types that the branches of oneOf (else of anyOf) admit, in order */
    uint8_t union_types[6];
    uint32_t size_limit; /* one more than maxLength, maxItems or maxProperties; 0: none given */
    uint32_t fields_n;   /* properties, sorted by name */
    const struct cel_field *fields;
    const struct cel_schema *items;      /* of an array; NULL: none given */
    const struct cel_schema *additional; /* additionalProperties: {schema}; NULL: none */
    uint32_t map_keys_n;
    const kr_str *map_keys; /* x-kubernetes-list-map-keys */
    kr_val default_value;   /* KR_NONE: none */
    const kr_str *ref;      /* name behind a $ref that is not resolved yet; NULL once it is */
    const char *type_name;  /* private to cel/type.c: interned CEL type name, or NULL */
};

/* A kind as the API server serves it. */
struct cel_kind {
    kr_gvk gvk;
    kr_str resource; /* plural */
    bool namespaced;
    bool has_status; /* a status subresource: what is applied to the object has no status */
    bool builtin;    /* of the API server itself, not of a CRD or another server */
    const struct cel_schema *schema; /* NULL: the server publishes none */
};

/* A table of kinds and of the schema nodes they share. */
struct cel_kinds;

struct cel_kinds *cel_kinds_new(void);
void cel_kinds_free(struct cel_kinds *k);
KR_DEFINE_FREEP(cel_kinds)

/* Reads one OpenAPI v3 document of a group version ({"components":{"schemas":{...}}}): remembers its
 * schemas by component name. May be called once per document; later ones win. */
KR_MUST int cel_kinds_read_openapi(struct cel_kinds *k, kr_val document, struct kr_err *err);
/* Has a component of this name been read? */
bool cel_kinds_knows(const struct cel_kinds *k, kr_str component);
/* Adds a kind; the schema is found among the documents read by x-kubernetes-group-version-kind.
 * Copies its strings. */
void cel_kinds_add(struct cel_kinds *k, kr_gvk gvk, kr_str resource, bool namespaced);
/* A kind that was added has a status subresource. (cel_kinds_add_crd knows of itself.) */
void cel_kinds_set_status(struct cel_kinds *k, kr_gvk gvk);
/* Adds a kind with a schema given as OpenAPI v3 value (of a CRD version, or of a test). */
KR_MUST int cel_kinds_add_schema(struct cel_kinds *k, kr_gvk gvk, kr_str resource, bool namespaced,
                                 kr_val openapi_v3_schema, struct kr_err *err);
/* Adds the kind of each served version of a CustomResourceDefinition, with what the API server puts
 * into the schema that it publishes: apiVersion, kind and metadata, at the root and in embedded
 * resources. KR_E_INPUT: not a CRD, or its schema cannot be read. */
KR_MUST int cel_kinds_add_crd(struct cel_kinds *k, kr_val crd, struct kr_err *err);
/* Adds a kind of another table, which must outlive this one: its schema is shared. */
void cel_kinds_share(struct cel_kinds *k, const struct cel_kind *kind);
/* NULL when the kind was not added. */
const struct cel_kind *cel_kinds_find(const struct cel_kinds *k, kr_gvk gvk);
/* Every version of a group and kind that was added, in order of addition: start with *at = 0. */
const struct cel_kind *cel_kinds_next(const struct cel_kinds *k, uint32_t *at);

/* Reads one schema value into a; $refs inside are an error. */
KR_MUST int cel_schema_read(struct kr_arena *a, kr_val openapi_v3_schema,
                            const struct cel_schema **out, struct kr_err *err);

/* The property named name, or NULL. Does not look at additionalProperties. */
const struct cel_field *cel_schema_field(const struct cel_schema *s, kr_str name);
/* The schema of member `name`: property, else additional, else NULL. */
const struct cel_schema *cel_schema_member(const struct cel_schema *s, kr_str name);
/* Walks names ("[]" steps into list items); NULL where the schema ends. */
const struct cel_schema *cel_schema_at(const struct cel_schema *root, const kr_str *names,
                                       uint32_t n);

/* The full ObjectMeta schema every kind has (kro and the API server type metadata by it). */
const struct cel_schema *cel_schema_object_meta(void);

/* Normal form of a quantity, as the API server stores it ("1000m" -> "1"); false: not a quantity.
 * Lives in a. Source: k8s.io/apimachinery resource.Quantity canonical form. */
bool cel_quantity_normal(struct kr_arena *a, kr_str text, kr_str *out);

KR_C_END

#endif
