/* SPDX-License-Identifier: Apache-2.0 */
/* gotype.c - an object of a built-in type as it comes back from Go.
 *
 * OpenAPI does not say whether a number, a boolean or a string is a pointer in Go: one that is keeps
 * its zero. The names of those that are none stand in a table (numbers, booleans), and of those that
 * are (strings), since that is the rarer case each time.
 */
#include "kube/sandbox/gotype.h"

#include "cel/base/json.h"
#include "kube/sandbox/place.h"

#include "cel/base/banned.h"

struct walk {
    struct kr_arena *a;
    sandbox_go_unknown_fn *fn;
    void *arg;
};

/* clang-format off */
static const char *const plain_scalars[] = { /* numbers and booleans whose zero is left out */
    "active", "availableReplicas", "collisionCount", "currentReplicas", "expirationSeconds", "failed", "hostIPC",
    "hostNetwork", "hostPID", "hostPort", "initialDelaySeconds", "minReadySeconds", "nodePort",
    "observedGeneration", "paused", "publishNotReadyAddresses", "readOnly", "readyReplicas", "stdin", "stdinOnce",
    "succeeded", "terminatingReplicas", "tty", "unavailableReplicas", "unschedulable", "updatedReplicas",
    "healthCheckNodePort", "failureThreshold", "periodSeconds", "successThreshold", "timeoutSeconds",
};
static const char *const pointer_strings[] = { /* strings whose "" is kept */
    "ingressClassName", "loadBalancerClass", "runtimeClassName", "storageClassName",
    "volumeAttributesClassName", "volumeMode", "preemptionPolicy", "appProtocol", "hostname",
};
/* clang-format on */

static bool is_in(kr_str name, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (kr_str_eq(name, kr_str_c(names[i])))
            return true;
    }
    return false;
}

/* Does Go leave it out? */
static bool is_omitted(const struct cel_schema *s, const struct cel_field *field, kr_val v)
{
    if (field == NULL || field->required || s == NULL)
        return false;
    switch (v.kind) {
    case KR_LIST:
        return v.n == 0;
    case KR_MAP: /* a map, not a struct */
        return v.n == 0 && s->fields_n == 0 && (s->additional || s->additional_any);
    case KR_STRING:
        return v.n == 0 && !s->int_or_string && s->format != CEL_F_QUANTITY &&
               !is_in(field->name, pointer_strings, KR_N(pointer_strings));
    case KR_INT:
    case KR_BOOL:
        return v.i == 0 && is_in(field->name, plain_scalars, KR_N(plain_scalars));
    default:
        return false;
    }
}

static kr_val value_of(struct walk *w, const struct cel_schema *s, kr_val v,
                       const struct sandbox_place *at);

/* What a null becomes as a member of a map. */
static kr_val zero_of(const struct cel_schema *s)
{
    switch (s->type) {
    case CEL_S_STRING:
        return KR_V_STR("");
    case CEL_S_INTEGER:
        return kr_int(0);
    case CEL_S_BOOLEAN:
        return kr_bool(false);
    default:
        return KR_V_NULL;
    }
}

/* And as an item of a list: structs stand there by value. */
static kr_val zero_item(const struct cel_schema *s)
{
    if (s == NULL)
        return KR_V_NULL;
    return s->fields_n ? kr_map_sorted(NULL, 0) : zero_of(s);
}

static kr_val item_values(struct walk *w, const struct cel_schema *s, kr_val v,
                          const struct sandbox_place *at)
{
    struct kr_listb list = KR_LISTB(w->a);

    for (uint32_t i = 0; i < v.n; i++) {
        kr_val item = v.list[i].kind == KR_NULL ? zero_item(s->items) : v.list[i];

        kr_listb_add(&list, value_of(w, s->items, item, SANDBOX_ITEM(at, i)));
    }
    return kr_listb_done(&list);
}

/* Structs by value that are not given. */
static void put_structs(struct walk *w, const struct cel_schema *s, kr_val v, struct kr_mapb *map)
{
    for (uint32_t i = 0; i < s->fields_n; i++) {
        const struct cel_field *f = &s->fields[i];
        kr_val has = kr_get(v, f->name);

        if (f->schema->default_value.kind == KR_MAP && has.kind <= KR_NULL)
            kr_mapb_put(map, f->name, value_of(w, f->schema, kr_map_sorted(NULL, 0), SANDBOX_ROOT));
    }
}

static kr_val member_values(struct walk *w, const struct cel_schema *s, kr_val v,
                            const struct sandbox_place *at)
{
    struct kr_mapb map = KR_MAPB(w->a);

    KR_MAP_EACH (p, v) {
        kr_str name = kr_text(p->key);
        const struct cel_field *field = cel_schema_field(s, name);
        const struct cel_schema *to = cel_schema_member(s, name);
        const struct sandbox_place *below = SANDBOX_MEMBER(at, name);

        if (to == NULL && s->fields_n && !s->additional_any && !s->preserve_unknown) {
            if (w->fn)
                w->fn(w->arg, sandbox_place_text(w->a, below));
            continue;
        }
        if (p->val.kind == KR_NULL && to && field == NULL)
            kr_mapb_put(&map, name, zero_of(to));
        else if ((p->val.kind != KR_NULL || to == NULL) && !is_omitted(to, field, p->val))
            kr_mapb_put(&map, name, value_of(w, to, p->val, below));
    }
    put_structs(w, s, v, &map);
    return kr_mapb_done(&map);
}

static kr_val value_of(struct walk *w, const struct cel_schema *s, kr_val v,
                       const struct sandbox_place *at)
{
    kr_str text;

    if (s == NULL)
        return v;
    if (s->format == CEL_F_QUANTITY && (v.kind == KR_STRING || v.kind == KR_INT)) {
        text = v.kind == KR_STRING ? kr_text(v) : kr_json_str(w->a, v);
        return cel_quantity_normal(w->a, text, &text) ? kr_string(text) : v;
    }
    if (v.kind == KR_LIST)
        return item_values(w, s, v, at);
    return v.kind == KR_MAP ? member_values(w, s, v, at) : v;
}

kr_val sandbox_go_value(struct kr_arena *a, const struct cel_schema *s, kr_val v,
                        sandbox_go_unknown_fn *fn, void *arg)
{
    struct walk w = {a, fn, arg};

    return value_of(&w, s, v, SANDBOX_ROOT);
}
