/* SPDX-License-Identifier: Apache-2.0 */
/* schema.c - OpenAPI documents into the schema model, and property names as CEL sees them.
 *
 *   document --read--> components, with $refs by name --add a kind--> schema without $refs
 *
 * Reading a document keeps its components, descriptions dropped. Adding a kind resolves the
 * references of its component; resolved components are shared between kinds. A reference that leads
 * back to a component being resolved is cut with an object without fields, as the resolver of
 * k8s.io/apiserver does; what was cut that way is not shared, since it depends on where it began.
 *
 * Source: kube-openapi schema; k8s.io/apiserver pkg/cel/openapi/resolver; pkg/cel/escaping.go.
 */
#include "cel/schema.h"

#include "cel/base/map.h"
#include "cel/internal.h"

#include "cel/base/banned.h"

/* --- property names --------------------------------------------------------------------------- */

bool cel__reserved_word(kr_str s)
{
    static const char *const words[] = {
        "true",     "false",   "null",      "in",       "as",  "break",  "const",
        "continue", "else",    "for",       "function", "if",  "import", "let",
        "loop",     "package", "namespace", "return",   "var", "void",   "while",
    };

    for (size_t i = 0; i < KR_N(words); i++) {
        if (kr_str_eq(s, kr_str_c(words[i])))
            return true;
    }
    return false;
}

static const struct {
    kr_str raw;
    kr_str word;
} escapes[] = {
    {{"__", 2}, {"underscores", 11}},
    {{".", 1}, {"dot", 3}},
    {{"-", 1}, {"dash", 4}},
    {{"/", 1}, {"slash", 5}},
};

static bool name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* Bytes of p that the escape at p consumes; 0: no escape. */
static kr_str escape_at(kr_str p, size_t i, size_t *used)
{
    for (size_t k = 0; k < KR_N(escapes); k++) {
        if (kr_str_starts(kr_str_sub(p, i, p.n), escapes[k].raw)) {
            *used = escapes[k].raw.n;
            return escapes[k].word;
        }
    }
    return (kr_str){0};
}

bool cel__escape(struct kr_arena *a, kr_str p, kr_str *out)
{
    size_t n = 0;
    bool plain = true;
    char *s;

    if (!p.n || (p.s[0] >= '0' && p.s[0] <= '9'))
        return false;
    for (size_t i = 0; i < p.n; i++) {
        if (!name_char(p.s[i]) && p.s[i] != '.' && p.s[i] != '-' && p.s[i] != '/')
            return false;
        plain = plain && name_char(p.s[i]) && !(p.s[i] == '_' && i + 1 < p.n && p.s[i + 1] == '_');
    }
    if (cel__reserved_word(p)) {
        *out = kr_fmt(a, "__" KR_FMT "__", KR_ARG(p));
        return true;
    }
    if (plain) {
        *out = p;
        return true;
    }
    s = kr_arena_bytes(a, p.n * 15);
    for (size_t i = 0; i < p.n;) {
        size_t used = 0;
        kr_str word = escape_at(p, i, &used);

        if (!used) {
            s[n++] = p.s[i++];
            continue;
        }
        memcpy(s + n, "__", 2);
        memcpy(s + n + 2, word.s, word.n);
        memcpy(s + n + 2 + word.n, "__", 2);
        n += word.n + 4;
        i += used;
    }
    *out = (kr_str){s, n};
    return true;
}

/* The word X of "__X__" at n.s[i], where X has no underscore; empty: none there. */
static kr_str escaped_word(kr_str n, size_t i)
{
    size_t end = i + 2;

    if (!kr_str_starts(kr_str_sub(n, i, n.n), KR_S("__")))
        return (kr_str){0};
    while (end < n.n && n.s[end] != '_')
        end++;
    if (end == i + 2 || !kr_str_starts(kr_str_sub(n, end, n.n), KR_S("__")))
        return (kr_str){0};
    return kr_str_sub(n, i + 2, end);
}

bool cel__unescape(struct kr_arena *a, kr_str n, kr_str *out)
{
    size_t len = 0;
    char *s;

    if (kr_str_find(n, KR_S("__")) < 0) {
        *out = n;
        return true;
    }
    s = kr_arena_bytes(a, n.n);
    for (size_t i = 0; i < n.n;) {
        kr_str word = escaped_word(n, i);
        size_t k = 0;

        if (!word.n) {
            s[len++] = n.s[i++];
            continue;
        }
        while (k < KR_N(escapes) && !kr_str_eq(escapes[k].word, word))
            k++;
        if (k < KR_N(escapes)) {
            memcpy(s + len, escapes[k].raw.s, escapes[k].raw.n);
            len += escapes[k].raw.n;
        } else if (i == 0 && word.n + 4 == n.n && cel__reserved_word(word)) {
            *out = word;
            return true;
        } else {
            return false;
        }
        i += word.n + 4;
    }
    *out = (kr_str){s, len};
    return true;
}

/* --- reading one schema ----------------------------------------------------------------------- */

struct reader {
    struct kr_arena *a;
    bool refs; /* $ref is kept by name; else an error */
    uint32_t nodes_n;
};

static int read_schema(struct reader *r, kr_val v, uint32_t depth, const struct cel_schema **out,
                       struct kr_err *err);

static enum cel_schema_type type_from(kr_val v)
{
    static const struct {
        kr_str name;
        uint8_t type;
    } names[] = {
        {{"object", 6}, CEL_S_OBJECT}, {{"array", 5}, CEL_S_ARRAY},
        {{"string", 6}, CEL_S_STRING}, {{"integer", 7}, CEL_S_INTEGER},
        {{"number", 6}, CEL_S_NUMBER}, {{"boolean", 7}, CEL_S_BOOLEAN},
    };
    kr_val first = v.kind == KR_LIST ? kr_item(v, 0) : v;

    for (size_t i = 0; i < KR_N(names); i++) {
        if (kr_is_str(first, names[i].name))
            return names[i].type;
    }
    return CEL_S_NONE;
}

static enum cel_schema_format format_from(kr_val v)
{
    static const struct {
        kr_str name;
        uint8_t format;
    } names[] = {
        {{"byte", 4}, CEL_F_BYTE},
        {{"date", 4}, CEL_F_DATE},
        {{"date-time", 9}, CEL_F_DATE_TIME},
        {{"duration", 8}, CEL_F_DURATION},
        {{"int-or-string", 13}, CEL_F_INT_OR_STRING},
    };

    for (size_t i = 0; i < KR_N(names); i++) {
        if (kr_is_str(v, names[i].name))
            return names[i].format;
    }
    return CEL_F_OTHER;
}

static enum cel_list_type list_type_from(kr_val v)
{
    if (kr_is_str(v, KR_S("set")))
        return CEL_L_SET;
    if (kr_is_str(v, KR_S("map")))
        return CEL_L_MAP;
    return CEL_L_ATOMIC;
}

/* One more than the limit of a value's size; 0: there is none. */
static uint32_t size_limit(kr_val v, uint8_t type)
{
    kr_val max = kr_get(v, type == CEL_S_ARRAY    ? KR_S("maxItems")
                           : type == CEL_S_OBJECT ? KR_S("maxProperties")
                                                  : KR_S("maxLength"));

    return max.kind == KR_INT && max.i >= 0 && max.i < UINT32_MAX ? (uint32_t)max.i + 1 : 0;
}

/* oneOf exactly {string, number}, in any order. */
static bool string_or_number(kr_val one_of)
{
    enum cel_schema_type x = type_from(kr_get(kr_item(one_of, 0), KR_S("type")));
    enum cel_schema_type y = type_from(kr_get(kr_item(one_of, 1), KR_S("type")));

    return one_of.kind == KR_LIST && one_of.n == 2 &&
           ((x == CEL_S_STRING && y == CEL_S_NUMBER) || (x == CEL_S_NUMBER && y == CEL_S_STRING));
}

static void union_add(struct cel_schema *s, uint8_t type)
{
    for (uint32_t i = 0; i < s->union_n; i++) {
        if (s->union_types[i] == type)
            return;
    }
    if (type != CEL_S_NONE && s->union_n < KR_N(s->union_types))
        s->union_types[s->union_n++] = type;
}

/* A branch that says which members there are, is one of an object. */
static void read_union(struct cel_schema *s, kr_val branches)
{
    KR_LIST_EACH (it, branches) {
        if (kr_get(*it, KR_S("required")).kind != KR_NONE ||
            kr_get(*it, KR_S("not")).kind != KR_NONE)
            union_add(s, CEL_S_OBJECT);
    }
    KR_LIST_EACH (it, branches)
        union_add(s, (uint8_t)type_from(kr_get(*it, KR_S("type"))));
}

static bool is_required(kr_val required, kr_val name)
{
    KR_LIST_EACH (it, required) {
        if (kr_is_str(*it, kr_text(name)))
            return true;
    }
    return false;
}

static int read_fields(struct reader *r, struct cel_schema *s, kr_val v, uint32_t depth,
                       struct kr_err *err)
{
    kr_val props = kr_get(v, KR_S("properties"));
    kr_val required = kr_get(v, KR_S("required"));
    struct cel_field *fields;
    uint32_t n = 0;

    if (props.kind != KR_MAP || !props.n)
        return 0;
    fields = kr_new_n(r->a, struct cel_field, props.n);
    KR_MAP_EACH (p, props) { /* maps are sorted by key, so are the fields */
        if (p->key.kind != KR_STRING)
            continue;
        if (read_schema(r, p->val, depth + 1, &fields[n].schema, err) < 0)
            return kr_wrap(err, "property \"" KR_FMT "\"", KR_ARG(kr_text(p->key)));
        fields[n].name = kr_strdup(r->a, kr_text(p->key));
        fields[n].required = is_required(required, p->key);
        n++;
    }
    s->fields = fields;
    s->fields_n = n;
    return 0;
}

static int read_children(struct reader *r, struct cel_schema *s, kr_val v, uint32_t depth,
                         struct kr_err *err)
{
    kr_val items = kr_get(v, KR_S("items"));
    kr_val additional = kr_get(v, KR_S("additionalProperties"));

    KR_TRY(read_fields(r, s, v, depth, err));
    if (items.kind == KR_MAP && read_schema(r, items, depth + 1, &s->items, err) < 0)
        return kr_wrap(err, "items");
    if (additional.kind == KR_MAP && read_schema(r, additional, depth + 1, &s->additional, err) < 0)
        return kr_wrap(err, "additionalProperties");
    s->additional_any = kr_is_true(additional);
    return 0;
}

static void read_map_keys(struct reader *r, struct cel_schema *s, kr_val keys)
{
    kr_str *out;

    if (keys.kind != KR_LIST || !keys.n)
        return;
    out = kr_new_n(r->a, kr_str, keys.n);
    KR_LIST_EACH (it, keys)
        out[s->map_keys_n++] = kr_strdup(r->a, kr_text(*it));
    s->map_keys = out;
}

/* The $ref of v itself or of an allOf in it; empty: none. */
static kr_str ref_of(kr_val v)
{
    kr_val ref = kr_get(v, KR_S("$ref"));
    ptrdiff_t slash;

    KR_LIST_EACH (it, kr_get(v, KR_S("allOf"))) {
        if (ref.kind != KR_STRING)
            ref = kr_get(*it, KR_S("$ref"));
    }
    if (ref.kind != KR_STRING)
        return (kr_str){0};
    slash = kr_str_rchr(kr_text(ref), '/');
    return kr_str_sub(kr_text(ref), (size_t)(slash + 1), ref.n);
}

static void read_flags(struct cel_schema *s, kr_val v)
{
    s->type = type_from(kr_get(v, KR_S("type")));
    s->format = format_from(kr_get(v, KR_S("format")));
    s->list_type = list_type_from(kr_get(v, KR_S("x-kubernetes-list-type")));
    s->int_or_string = kr_is_true(kr_get(v, KR_S("x-kubernetes-int-or-string")));
    s->preserve_unknown = kr_is_true(kr_get(v, KR_S("x-kubernetes-preserve-unknown-fields")));
    s->embedded = kr_is_true(kr_get(v, KR_S("x-kubernetes-embedded-resource")));
    s->nullable = kr_is_true(kr_get(v, KR_S("nullable")));
    s->map_atomic = kr_is_str(kr_get(v, KR_S("x-kubernetes-map-type")), KR_S("atomic"));
    s->string_or_number = string_or_number(kr_get(v, KR_S("oneOf")));
    read_union(s, kr_get(v, KR_S("oneOf")));
    if (s->union_n == 0)
        read_union(s, kr_get(v, KR_S("anyOf")));
    s->size_limit = size_limit(v, s->type);
}

static int read_schema(struct reader *r, kr_val v, uint32_t depth, const struct cel_schema **out,
                       struct kr_err *err)
{
    struct cel_schema *s;
    kr_str ref = ref_of(v);

    if (depth > CEL_SCHEMA_DEPTH_MAX)
        return kr_fail(err, KR_E_LIMIT, "schema nests deeper than %d levels", CEL_SCHEMA_DEPTH_MAX);
    if (++r->nodes_n > CEL_SCHEMA_NODES_MAX)
        return kr_fail(err, KR_E_LIMIT, "schema has more than %d nodes", CEL_SCHEMA_NODES_MAX);
    if (v.kind != KR_MAP)
        return kr_fail(err, KR_E_INPUT, "schema is not an object but %s", kr_kind_name(v.kind));
    if (ref.n && !r->refs)
        return kr_fail(err, KR_E_INPUT, "$ref \"" KR_FMT "\" is not allowed here", KR_ARG(ref));
    s = kr_new(r->a, struct cel_schema);
    s->default_value = kr_copy(r->a, kr_get(v, KR_S("default")));
    *out = s;
    if (ref.n) {
        kr_str *name = kr_new(r->a, kr_str);

        *name = kr_strdup(r->a, ref);
        s->ref = name;
        return 0;
    }
    read_flags(s, v);
    read_map_keys(r, s, kr_get(v, KR_S("x-kubernetes-list-map-keys")));
    return read_children(r, s, v, depth, err);
}

int cel_schema_read(struct kr_arena *a, kr_val openapi_v3_schema, const struct cel_schema **out,
                    struct kr_err *err)
{
    struct reader r = {.a = a};
    const struct cel_schema *s;

    KR_TRY(read_schema(&r, openapi_v3_schema, 0, &s, err));
    *out = s;
    return 0;
}

/* --- the table of kinds ----------------------------------------------------------------------- */

struct component {
    kr_str name;
    const struct cel_schema *raw;      /* with references */
    const struct cel_schema *resolved; /* without; NULL: not yet, or not to be shared */
    bool resolving;
};

struct cel_kinds {
    struct kr_arena a;
    struct kr_map components;     /* name -> struct component */
    struct kr_map by_gvk;         /* gvk key -> struct component */
    struct kr_map kinds;          /* gvk key -> struct cel_kind */
    const struct cel_kind **list; /* the same, in order of addition; lives in a */
    uint32_t list_n, list_cap;
    uint32_t nodes_n; /* made by resolving */
};

struct cel_kinds *cel_kinds_new(void)
{
    return KR_ALLOC(struct cel_kinds);
}

void cel_kinds_free(struct cel_kinds *k)
{
    if (!k)
        return;
    kr_map_fini(&k->components);
    kr_map_fini(&k->by_gvk);
    kr_map_fini(&k->kinds);
    kr_arena_fini(&k->a);
    kr_free(k);
}

static kr_str gvk_key(struct kr_arena *a, kr_gvk gvk)
{
    return kr_fmt(a, KR_FMT "/" KR_FMT "/" KR_FMT, KR_ARG(gvk.group), KR_ARG(gvk.version),
                  KR_ARG(gvk.kind));
}

static int read_component(struct cel_kinds *k, struct reader *r, kr_str name, kr_val v,
                          struct kr_err *err)
{
    struct component *c = kr_new(&k->a, struct component);

    KR_TRY(read_schema(r, v, 0, &c->raw, err));
    c->name = kr_strdup(&k->a, name);
    kr_map_put(&k->components, c->name, c);
    KR_LIST_EACH (it, kr_get(v, KR_S("x-kubernetes-group-version-kind"))) {
        kr_gvk gvk = {kr_at_str(*it, "group"), kr_at_str(*it, "version"), kr_at_str(*it, "kind")};
        kr_str key = gvk_key(&k->a, gvk);

        kr_map_put(&k->by_gvk, key, c);
    }
    return 0;
}

int cel_kinds_read_openapi(struct cel_kinds *k, kr_val document, struct kr_err *err)
{
    struct reader r = {.a = &k->a, .refs = true};

    KR_MAP_EACH (p, kr_at(document, "components.schemas")) {
        if (read_component(k, &r, kr_text(p->key), p->val, err) < 0)
            return kr_wrap(err, "OpenAPI schema \"" KR_FMT "\"", KR_ARG(kr_text(p->key)));
    }
    return 0;
}

static const struct cel_schema *resolve(struct cel_kinds *k, const struct cel_schema *s, bool *cut,
                                        uint32_t depth);

/* What a cycle, or a reference to nothing, is replaced by. */
static const struct cel_schema opaque_object = {.type = CEL_S_OBJECT};

static const struct cel_schema *resolve_component(struct cel_kinds *k, struct component *c,
                                                  bool *cut, uint32_t depth)
{
    const struct cel_schema *s;
    bool own_cut = false;

    if (c->resolved)
        return c->resolved;
    if (c->resolving) {
        *cut = true;
        return &opaque_object;
    }
    c->resolving = true;
    s = resolve(k, c->raw, &own_cut, depth + 1);
    c->resolving = false;
    if (own_cut)
        *cut = true;
    else
        c->resolved = s;
    return s;
}

static const struct cel_schema *resolve_ref(struct cel_kinds *k, const struct cel_schema *s,
                                            bool *cut, uint32_t depth)
{
    struct component *c = kr_map_get(&k->components, *s->ref);
    const struct cel_schema *target;
    struct cel_schema *copy;

    if (!c)
        return &opaque_object;
    target = resolve_component(k, c, cut, depth);
    if (s->default_value.kind == KR_NONE &&
        !kr_str_ends(c->name, KR_S("pkg.api.resource.Quantity")))
        return target;
    copy = kr_new(&k->a, struct cel_schema);
    *copy = *target;
    if (s->default_value.kind != KR_NONE)
        copy->default_value = s->default_value;
    if (kr_str_ends(c->name, KR_S("pkg.api.resource.Quantity")))
        copy->format = CEL_F_QUANTITY;
    return copy;
}

static void resolve_fields(struct cel_kinds *k, struct cel_schema *copy, const struct cel_schema *s,
                           bool *cut, bool *changed, uint32_t depth)
{
    struct cel_field *fields = s->fields_n ? kr_new_n(&k->a, struct cel_field, s->fields_n) : NULL;

    for (uint32_t i = 0; i < s->fields_n; i++) {
        fields[i] = s->fields[i];
        fields[i].schema = resolve(k, s->fields[i].schema, cut, depth + 1);
        *changed = *changed || fields[i].schema != s->fields[i].schema;
    }
    copy->fields = fields;
}

static const struct cel_schema *resolve(struct cel_kinds *k, const struct cel_schema *s, bool *cut,
                                        uint32_t depth)
{
    struct cel_schema *copy;
    bool changed = false;

    if (depth > 4 * CEL_SCHEMA_DEPTH_MAX || k->nodes_n > CEL_SCHEMA_NODES_MAX) {
        *cut = true;
        return &opaque_object;
    }
    if (s->ref)
        return resolve_ref(k, s, cut, depth);
    if (!s->fields_n && !s->items && !s->additional)
        return s;
    k->nodes_n++;
    copy = kr_new(&k->a, struct cel_schema);
    *copy = *s;
    resolve_fields(k, copy, s, cut, &changed, depth);
    if (s->items)
        copy->items = resolve(k, s->items, cut, depth + 1);
    if (s->additional)
        copy->additional = resolve(k, s->additional, cut, depth + 1);
    changed = changed || copy->items != s->items || copy->additional != s->additional;
    return changed ? copy : s;
}

/* Puts kind at the end of the list, or in the place of the one it replaces. */
static void list_put(struct cel_kinds *k, const struct cel_kind *kind, const struct cel_kind *old)
{
    if (old) {
        for (uint32_t i = 0; i < k->list_n; i++) {
            if (k->list[i] == old)
                k->list[i] = kind;
        }
        return;
    }
    if (k->list_n == k->list_cap) {
        uint32_t cap = k->list_cap ? 2 * k->list_cap : 32;
        const struct cel_kind **grown = kr_new_n(&k->a, const struct cel_kind *, cap);

        if (k->list_n)
            memcpy(grown, k->list, k->list_n * sizeof(*grown));
        k->list = grown;
        k->list_cap = cap;
    }
    k->list[k->list_n++] = kind;
}

static struct cel_kind *put_kind(struct cel_kinds *k, kr_gvk gvk, kr_str resource, bool namespaced,
                                 const struct cel_schema *schema)
{
    struct cel_kind *kind = kr_new(&k->a, struct cel_kind);

    kind->gvk = kr_gvk_copy(&k->a, gvk);
    kind->resource = kr_strdup(&k->a, resource);
    kind->namespaced = namespaced;
    kind->schema = schema;
    list_put(k, kind, kr_map_put(&k->kinds, gvk_key(&k->a, gvk), kind));
    return kind;
}

bool cel_kinds_knows(const struct cel_kinds *k, kr_str component)
{
    return kr_map_get(&k->components, component) != NULL;
}

void cel_kinds_add(struct cel_kinds *k, kr_gvk gvk, kr_str resource, bool namespaced)
{
    struct component *c = kr_map_get(&k->by_gvk, gvk_key(&k->a, gvk));
    bool cut = false;

    const struct cel_schema *s = c ? resolve_component(k, c, &cut, 0) : NULL;

    /* A CRD's component is called by its own group, in reverse. */
    put_kind(k, gvk, resource, namespaced, s)->builtin =
        c && kr_str_starts(c->name, KR_S("io.k8s.api."));
}

void cel_kinds_set_status(struct cel_kinds *k, kr_gvk gvk)
{
    struct kr_arena a = {0};
    struct cel_kind *kind = kr_map_get(&k->kinds, gvk_key(&a, gvk));

    if (kind)
        kind->has_status = true;
    kr_arena_fini(&a);
}

void cel_kinds_share(struct cel_kinds *k, const struct cel_kind *kind)
{
    struct cel_kind *own = put_kind(k, kind->gvk, kind->resource, kind->namespaced, kind->schema);

    own->has_status = kind->has_status;
    own->builtin = kind->builtin;
}

int cel_kinds_add_schema(struct cel_kinds *k, kr_gvk gvk, kr_str resource, bool namespaced,
                         kr_val openapi_v3_schema, struct kr_err *err)
{
    const struct cel_schema *s;

    if (cel_schema_read(&k->a, openapi_v3_schema, &s, err) < 0)
        return kr_wrap(err, "schema of " KR_FMT, KR_ARG(gvk.kind));
    put_kind(k, gvk, resource, namespaced, s);
    return 0;
}

const struct cel_kind *cel_kinds_find(const struct cel_kinds *k, kr_gvk gvk)
{
    struct kr_arena a = {0};
    const struct cel_kind *kind = kr_map_get(&k->kinds, gvk_key(&a, gvk));

    kr_arena_fini(&a);
    return kind;
}

const struct cel_kind *cel_kinds_next(const struct cel_kinds *k, uint32_t *at)
{
    return *at < k->list_n ? k->list[(*at)++] : NULL;
}

/* --- looking into schemas --------------------------------------------------------------------- */

const struct cel_field *cel_schema_field(const struct cel_schema *s, kr_str name)
{
    uint32_t lo = 0;
    uint32_t hi = s ? s->fields_n : 0;

    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        int c = kr_str_cmp(s->fields[mid].name, name);

        if (c == 0)
            return &s->fields[mid];
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

const struct cel_schema *cel_schema_member(const struct cel_schema *s, kr_str name)
{
    const struct cel_field *f = cel_schema_field(s, name);

    if (f)
        return f->schema;
    return s ? s->additional : NULL;
}

const struct cel_schema *cel_schema_at(const struct cel_schema *root, const kr_str *names,
                                       uint32_t n)
{
    for (uint32_t i = 0; root && i < n; i++)
        root = kr_str_is(names[i], "[]") ? root->items : cel_schema_member(root, names[i]);
    return root;
}

/* --- ObjectMeta ------------------------------------------------------------------------------- */

static const struct cel_schema s_string = {.type = CEL_S_STRING};
static const struct cel_schema s_bool = {.type = CEL_S_BOOLEAN};
static const struct cel_schema s_int = {.type = CEL_S_INTEGER};
static const struct cel_schema s_time = {.type = CEL_S_STRING, .format = CEL_F_DATE_TIME};
static const struct cel_schema s_object = {.type = CEL_S_OBJECT};
static const struct cel_schema s_string_map = {.type = CEL_S_OBJECT, .additional = &s_string};
static const struct cel_schema s_string_set = {
    .type = CEL_S_ARRAY, .items = &s_string, .list_type = CEL_L_SET};

#define FIELD(text, s)                                                                             \
    {                                                                                              \
        .name = {text, sizeof(text) - 1}, .schema = &(s)                                           \
    }
#define MUST_FIELD(text, s)                                                                        \
    {                                                                                              \
        .name = {text, sizeof(text) - 1}, .schema = &(s), .required = true                         \
    }

static const struct cel_field managed_fields[] = {
    FIELD("apiVersion", s_string), FIELD("fieldsType", s_string), FIELD("fieldsV1", s_object),
    FIELD("manager", s_string),    FIELD("operation", s_string),  FIELD("subresource", s_string),
    FIELD("time", s_time),
};
static const struct cel_schema s_managed = {
    .type = CEL_S_OBJECT, .fields_n = KR_N(managed_fields), .fields = managed_fields};
static const struct cel_schema s_managed_list = {.type = CEL_S_ARRAY, .items = &s_managed};

static const struct cel_field owner_fields[] = {
    MUST_FIELD("apiVersion", s_string), FIELD("blockOwnerDeletion", s_bool),
    FIELD("controller", s_bool),        MUST_FIELD("kind", s_string),
    MUST_FIELD("name", s_string),       MUST_FIELD("uid", s_string),
};
static const struct cel_schema s_owner = {.type = CEL_S_OBJECT,
                                          .map_atomic = true,
                                          .fields_n = KR_N(owner_fields),
                                          .fields = owner_fields};
static const kr_str owner_keys[] = {{"uid", 3}};
static const struct cel_schema s_owner_list = {.type = CEL_S_ARRAY,
                                               .items = &s_owner,
                                               .list_type = CEL_L_MAP,
                                               .map_keys_n = 1,
                                               .map_keys = owner_keys};

static const struct cel_field meta_fields[] = {
    FIELD("annotations", s_string_map),
    FIELD("creationTimestamp", s_time),
    FIELD("deletionGracePeriodSeconds", s_int),
    FIELD("deletionTimestamp", s_time),
    FIELD("finalizers", s_string_set),
    FIELD("generateName", s_string),
    FIELD("generation", s_int),
    FIELD("labels", s_string_map),
    FIELD("managedFields", s_managed_list),
    FIELD("name", s_string),
    FIELD("namespace", s_string),
    FIELD("ownerReferences", s_owner_list),
    FIELD("resourceVersion", s_string),
    FIELD("selfLink", s_string),
    FIELD("uid", s_string),
};
static const struct cel_schema s_meta = {
    .type = CEL_S_OBJECT, .fields_n = KR_N(meta_fields), .fields = meta_fields};

const struct cel_schema *cel_schema_object_meta(void)
{
    return &s_meta;
}

/* --- CRDs ------------------------------------------------------------------------------------- */

/* Puts f in the place of the field of its name, or among the fields by its name. Required stays. */
static void field_put(struct cel_field *fields, uint32_t *n, struct cel_field f)
{
    uint32_t i = 0;

    while (i < *n && kr_str_cmp(fields[i].name, f.name) < 0)
        i++;
    if (i < *n && kr_str_eq(fields[i].name, f.name)) {
        fields[i].schema = f.schema;
        return;
    }
    memmove(&fields[i + 1], &fields[i], (*n - i) * sizeof(*fields));
    fields[i] = f;
    ++*n;
}

/* apiVersion, kind and metadata, as in every object. */
static void add_object_fields(struct kr_arena *a, struct cel_schema *s)
{
    static const struct cel_field object_fields[] = {
        FIELD("apiVersion", s_string), FIELD("kind", s_string), FIELD("metadata", s_meta)};
    struct cel_field *fields = kr_new_n(a, struct cel_field, s->fields_n + KR_N(object_fields));

    if (s->fields_n)
        memcpy(fields, s->fields, s->fields_n * sizeof(*fields));
    for (size_t i = 0; i < KR_N(object_fields); i++)
        field_put(fields, &s->fields_n, object_fields[i]);
    s->fields = fields;
}

static bool has_embedded(const struct cel_schema *s)
{
    if (!s)
        return false;
    for (uint32_t i = 0; i < s->fields_n; i++) {
        if (has_embedded(s->fields[i].schema))
            return true;
    }
    return s->embedded || has_embedded(s->items) || has_embedded(s->additional);
}

/* A copy in which embedded resources have what every object has. */
static const struct cel_schema *published(struct kr_arena *a, const struct cel_schema *s)
{
    struct cel_schema *copy;
    struct cel_field *fields;

    if (!has_embedded(s))
        return s;
    copy = kr_new(a, struct cel_schema);
    *copy = *s;
    fields = kr_new_n(a, struct cel_field, s->fields_n);
    for (uint32_t i = 0; i < s->fields_n; i++) {
        fields[i] = s->fields[i];
        fields[i].schema = published(a, s->fields[i].schema);
    }
    copy->fields = fields;
    copy->items = published(a, s->items);
    copy->additional = published(a, s->additional);
    if (s->embedded && s->fields_n)
        add_object_fields(a, copy);
    return copy;
}

static int add_crd_version(struct cel_kinds *k, kr_val crd, kr_val version, struct kr_err *err)
{
    kr_gvk gvk = {kr_at_str(crd, "spec.group"), kr_at_str(version, "name"),
                  kr_at_str(crd, "spec.names.kind")};
    kr_val schema = kr_at(version, "schema.openAPIV3Schema");
    bool namespaced = !kr_is_str(kr_at(crd, "spec.scope"), KR_S("Cluster"));
    const struct cel_schema *read;
    struct cel_schema *root = kr_new(&k->a, struct cel_schema);

    if (gvk.version.n == 0)
        return kr_fail(err, KR_E_INPUT, "a version has no name");
    *root = opaque_object;
    if (schema.kind == KR_MAP) {
        if (cel_schema_read(&k->a, schema, &read, err) < 0)
            return kr_wrap(err, "schema of version " KR_FMT, KR_ARG(gvk.version));
        *root = *published(&k->a, read);
        add_object_fields(&k->a, root);
    }
    put_kind(k, gvk, kr_at_str(crd, "spec.names.plural"), namespaced, root)->has_status =
        kr_at(version, "subresources.status").kind == KR_MAP;
    return 0;
}

int cel_kinds_add_crd(struct cel_kinds *k, kr_val crd, struct kr_err *err)
{
    kr_val versions = kr_at(crd, "spec.versions");
    kr_str name = kr_at_str(crd, "metadata.name");

    if (!kr_is_str(kr_get(crd, KR_S("kind")), KR_S("CustomResourceDefinition")) ||
        versions.kind != KR_LIST || kr_at_str(crd, "spec.group").n == 0 ||
        kr_at_str(crd, "spec.names.kind").n == 0 || kr_at_str(crd, "spec.names.plural").n == 0)
        return kr_fail(
            err, KR_E_INPUT,
            "CustomResourceDefinition \"" KR_FMT
            "\": group, names or versions are not there (is it apiextensions.k8s.io/v1?)",
            KR_ARG(name));
    KR_LIST_EACH (version, versions) {
        kr_val served = kr_get(*version, KR_S("served"));

        if (served.kind == KR_BOOL && !served.b)
            continue;
        if (add_crd_version(k, crd, *version, err) < 0)
            return kr_wrap(err, "CustomResourceDefinition \"" KR_FMT "\"", KR_ARG(name));
    }
    return 0;
}
