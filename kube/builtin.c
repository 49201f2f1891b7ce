/* SPDX-License-Identifier: Apache-2.0 */
/* builtin.c - reads the table of Kubernetes' own types.
 *
 * A row of `types` is one component of OpenAPI, sorted by name, so that a binary search over the text
 * finds it:
 *
 *   apps.v1.DeploymentSpec {minReadySeconds:i paused:b selector!:@meta.v1.LabelSelector ...}
 *
 * The package is short (`packages` has its full name); "+" behind the name says that it is a kind of
 * the package's group version. The rest is a type:
 *
 *   s string   i int32   l int64   m integer   n double   f number   b boolean   y byte   t date-time
 *   o object   * anything          q string or number (a quantity)   x integer or string
 *   {name:TYPE name!:TYPE}   object; "!" is required        <TYPE>  map        [TYPE]  list
 *   &Name  reference, in the same package or with a package  @Name  the same with the default {}
 *   S I L N B                with the default that Go's zero value gives
 *
 * and behind a type:
 *
 *   #a #s #m(k,k)     list: atomic, set, map with keys       ^ ^g  map: atomic, granular
 *   %merge/key        strategic merge patch: strategy, key   =JSON default
 *
 * The type is turned into the OpenAPI value that it was made from, so that cel/schema.c alone knows how
 * such values are read.
 *
 * The table is ours and is asserted, not checked.
 */
#include "kube/builtin.h"

#include "cel/base/json.h"
#include "cel/base/map.h"

#include "cel/base/banned.h"
#include "kube/builtin.inc"

const char *kube_builtin_release(void)
{
    return KUBE_BUILTIN_RELEASE;
}

/* --- rows ------------------------------------------------------------------------------------- */

/* A literal without its NUL and without the newline at its end. */
#define TABLE(literal) ((kr_str){(literal), sizeof(literal) - 2})

static kr_str word(kr_str *rest)
{
    return kr_str_cut(rest, ' ');
}

/* A word, where "-" stands for none. */
static kr_str word_or_none(kr_str *rest)
{
    kr_str w = word(rest);

    return kr_str_is(w, "-") ? KR_S("") : w;
}

/* The row of a package by its short name, or with full, by its full name: the other name. */
static kr_str package_other(kr_str name, bool full, kr_str *group_version)
{
    kr_str rest = TABLE(packages);

    while (rest.s) {
        kr_str line = kr_str_cut(&rest, '\n');
        kr_str shorter = word(&line), longer = word(&line);

        if (!kr_str_eq(name, full ? longer : shorter))
            continue;
        *group_version = line;
        return full ? shorter : longer;
    }
    KR_ASSERT(!"a package of the table is in it");
    return KR_S("");
}

/* The short name of the package whose kinds are of this group version; empty: none. */
static kr_str package_of(kr_gvk gvk)
{
    kr_str rest = TABLE(packages);

    while (rest.s) {
        kr_str version = kr_str_cut(&rest, '\n');
        kr_str shorter = word(&version), group;

        word(&version); /* the full name */
        group = kr_str_cut(&version, '/');

        if (kr_str_eq(group, gvk.group) && kr_str_eq(version, gvk.version) &&
            !kr_str_is(shorter, "meta.v1")) /* Status and the like, which are no resources */
            return shorter;
    }
    return KR_S("");
}

/* The name of a row: up to a blank or "+". */
static kr_str row_name(kr_str row)
{
    size_t n = 0;

    while (n < row.n && row.s[n] != ' ' && row.s[n] != '+')
        n++;
    return kr_str_sub(row, 0, n);
}

/* The row of a type by its short name; empty: there is none. Halves the text, each time going back to
 * the beginning of a row. */
static kr_str type_row(kr_str name)
{
    kr_str text = TABLE(types);

    while (text.n > 0) {
        kr_str before = kr_str_sub(text, 0, text.n / 2);
        size_t from = (size_t)(kr_str_rchr(before, '\n') + 1);
        kr_str rest = kr_str_sub(text, from, text.n), row = kr_str_cut(&rest, '\n');
        int c = kr_str_cmp(name, row_name(row));

        if (c == 0)
            return row;
        text = c < 0 ? kr_str_sub(text, 0, from ? from - 1 : 0) : rest;
    }
    return KR_S("");
}

/* --- resources -------------------------------------------------------------------------------- */

bool kube_builtin_next(uint32_t *at, struct kube_builtin_kind *out)
{
    kr_str rest = kr_str_sub(TABLE(resources), *at, sizeof(resources)), row;

    if (rest.n == 0)
        return false;
    row = kr_str_cut(&rest, '\n');
    *at += (uint32_t)row.n + 1;
    out->gvk.group = word_or_none(&row);
    out->gvk.version = word(&row);
    out->resource = word(&row);
    out->gvk.kind = word(&row);
    out->singular = word(&row);
    out->namespaced = kr_str_is(word(&row), "n");
    out->verbs = word(&row);
    out->short_names = word_or_none(&row);
    out->categories = word_or_none(&row);
    out->subresources = word_or_none(&row);
    return true;
}

bool kube_builtin_find(kr_gvk gvk, struct kube_builtin_kind *out)
{
    struct kube_builtin_kind kind;

    for (uint32_t at = 0; kube_builtin_next(&at, &kind);) {
        if (kr_gvk_eq(kind.gvk, gvk)) {
            *out = kind;
            return true;
        }
    }
    return false;
}

/* "scale:gpu:autoscaling/v1/Scale", "binding:c:Binding", "status:gpu" */
bool kube_builtin_sub(const struct kube_builtin_kind *kind, kr_str *rest,
                      struct kube_builtin_sub *out)
{
    kr_str text;

    if (rest->n == 0)
        return false;
    text = kr_str_cut(rest, ',');
    out->name = kr_str_cut(&text, ':');
    out->verbs = kr_str_cut(&text, ':');
    out->gvk = kind->gvk;
    if (kr_str_chr(text, '/') >= 0) {
        out->gvk.group = kr_str_cut(&text, '/');
        out->gvk.version = kr_str_cut(&text, '/');
    }
    if (text.n > 0)
        out->gvk.kind = text;
    return true;
}

kr_val kube_builtin_verbs(struct kr_arena *a, kr_str letters)
{
    static const struct {
        char letter;
        const char *verb;
    } verbs[] = {
        {'c', "create"}, {'d', "delete"}, {'D', "deletecollection"}, {'g', "get"},
        {'l', "list"},   {'p', "patch"},  {'u', "update"},           {'w', "watch"},
    };
    struct kr_listb list = KR_LISTB(a);

    for (size_t i = 0; i < KR_N(verbs); i++) { /* in the order of servers */
        if (kr_str_chr(letters, verbs[i].letter) >= 0)
            kr_listb_add(&list, kr_string(kr_str_c(verbs[i].verb)));
    }
    return kr_listb_done(&list);
}

/* --- a type as OpenAPI ------------------------------------------------------------------------ */

struct reach {
    struct kr_arena *a;
    const struct cel_kinds *known; /* what it has is not collected; NULL: nothing */
    struct kr_map names;           /* full names of the components reached */
};

struct parse {
    kr_str rest;
    kr_str package; /* full name */
    struct reach *reach;
};

static kr_val parse_type(struct parse *p);

static char peek(const struct parse *p)
{
    return p->rest.n ? p->rest.s[0] : '\0';
}

static char take(struct parse *p)
{
    char c = peek(p);

    KR_ASSERT(c != '\0');
    p->rest = kr_str_sub(p->rest, 1, p->rest.n);
    return c;
}

/* The bytes up to the first one of `stops`. */
static kr_str until(struct parse *p, const char *stops)
{
    size_t n = 0;
    kr_str out;

    while (n < p->rest.n && !strchr(stops, p->rest.s[n]))
        n++;
    out = kr_str_sub(p->rest, 0, n);
    p->rest = kr_str_sub(p->rest, n, p->rest.n);
    return out;
}

static kr_val text_val(const char *s)
{
    return kr_string(kr_str_c(s));
}

static void put(struct kr_mapb *b, const char *key, kr_val v)
{
    kr_mapb_put(b, kr_str_c(key), v);
}

static void parse_scalar(struct kr_mapb *b, char letter)
{
    static const struct {
        char letter;
        const char *type, *format;
        kr_val zero;
    } scalars[] = {
        {'s', "string", NULL, {.kind = KR_STRING, .s = ""}},
        {'i', "integer", "int32", {.kind = KR_INT}},
        {'l', "integer", "int64", {.kind = KR_INT}},
        {'m', "integer", NULL, {.kind = KR_NONE}},
        {'n', "number", "double", {.kind = KR_INT}},
        {'f', "number", NULL, {.kind = KR_NONE}},
        {'b', "boolean", NULL, {.kind = KR_BOOL}},
        {'y', "string", "byte", {.kind = KR_NONE}},
        {'t', "string", "date-time", {.kind = KR_NONE}},
        {'o', "object", NULL, {.kind = KR_NONE}},
    };
    char lower = (char)(letter | 0x20);
    size_t i = 0;

    while (i < KR_N(scalars) && scalars[i].letter != lower)
        i++;
    KR_ASSERT(i < KR_N(scalars));
    put(b, "type", text_val(scalars[i].type));
    if (scalars[i].format)
        put(b, "format", text_val(scalars[i].format));
    if (letter != lower)
        put(b, "default", scalars[i].zero);
}

static kr_val type_only(struct kr_arena *a, const char *type)
{
    struct kr_mapb b = KR_MAPB(a);

    put(&b, "type", text_val(type));
    return kr_mapb_done(&b);
}

static void parse_one_of(struct parse *p, struct kr_mapb *b, const char *x, const char *y)
{
    struct kr_listb list = KR_LISTB(p->reach->a);

    kr_listb_add(&list, type_only(p->reach->a, x));
    kr_listb_add(&list, type_only(p->reach->a, y));
    put(b, "oneOf", kr_listb_done(&list));
}

/* Names are "Kind" in the same package, or "apps.v1.Kind". */
static kr_str full_name(struct parse *p, kr_str name)
{
    ptrdiff_t dot = kr_str_rchr(name, '.');
    kr_str package = p->package, unused;

    if (dot >= 0)
        package = package_other(kr_str_sub(name, 0, (size_t)dot), false, &unused);
    return kr_fmt(p->reach->a, KR_FMT "." KR_FMT, KR_ARG(package),
                  KR_ARG(kr_str_sub(name, (size_t)(dot + 1), name.n)));
}

static void parse_ref(struct parse *p, struct kr_mapb *b, bool defaulted)
{
    struct kr_arena *a = p->reach->a;
    kr_str name = full_name(p, until(p, " }]>#^%="));
    kr_val ref = kr_string(kr_fmt(a, "#/components/schemas/" KR_FMT, KR_ARG(name)));
    struct kr_listb all_of = KR_LISTB(a);
    struct kr_mapb one = KR_MAPB(a);

    if (!kr_map_get(&p->reach->names, name))
        kr_map_put(&p->reach->names, name, p->reach);
    if (!defaulted) {
        put(b, "$ref", ref);
        return;
    }
    put(&one, "$ref", ref); /* nothing may stand beside a $ref */
    kr_listb_add(&all_of, kr_mapb_done(&one));
    put(b, "allOf", kr_listb_done(&all_of));
    put(b, "default", kr_map_sorted(NULL, 0));
}

static void parse_fields(struct parse *p, struct kr_mapb *b)
{
    struct kr_mapb properties = KR_MAPB(p->reach->a);
    struct kr_listb required = KR_LISTB(p->reach->a);

    put(b, "type", text_val("object"));
    while (peek(p) != '}') {
        kr_str name = until(p, "!:");

        if (peek(p) == '!') {
            take(p);
            kr_listb_add(&required, kr_string(name));
        }
        KR_ASSERT(take(p) == ':');
        kr_mapb_put(&properties, name, parse_type(p));
        if (peek(p) == ' ')
            take(p);
    }
    take(p);
    put(b, "properties", kr_mapb_done(&properties));
    if (required.n)
        put(b, "required", kr_listb_done(&required));
}

static void parse_core(struct parse *p, struct kr_mapb *b)
{
    char c = take(p);

    switch (c) {
    case '{':
        parse_fields(p, b);
        return;
    case '[':
        put(b, "type", text_val("array"));
        put(b, "items", parse_type(p));
        KR_ASSERT(take(p) == ']');
        return;
    case '<':
        put(b, "type", text_val("object"));
        put(b, "additionalProperties", parse_type(p));
        KR_ASSERT(take(p) == '>');
        return;
    case '@':
    case '&':
        parse_ref(p, b, c == '@');
        return;
    case '*':
        return;
    case 'q':
        parse_one_of(p, b, "string", "number");
        return;
    case 'x':
        put(b, "format", text_val("int-or-string"));
        parse_one_of(p, b, "integer", "string");
        return;
    default:
        parse_scalar(b, c);
    }
}

static void parse_list_type(struct parse *p, struct kr_mapb *b)
{
    struct kr_listb keys = KR_LISTB(p->reach->a);
    char c = take(p);
    kr_str names;

    put(b, "x-kubernetes-list-type", text_val(c == 'a' ? "atomic" : c == 's' ? "set" : "map"));
    if (c != 'm')
        return;
    take(p);
    names = until(p, ")");
    take(p);
    while (names.s)
        kr_listb_add(&keys, kr_string(kr_str_cut(&names, ',')));
    put(b, "x-kubernetes-list-map-keys", kr_listb_done(&keys));
}

static void parse_map_type(struct parse *p, struct kr_mapb *b)
{
    bool granular = peek(p) == 'g';

    if (granular)
        take(p);
    put(b, "x-kubernetes-map-type", text_val(granular ? "granular" : "atomic"));
}

static void parse_patch(struct parse *p, struct kr_mapb *b)
{
    put(b, "x-kubernetes-patch-strategy", kr_string(until(p, "/ }]>=")));
    if (peek(p) != '/')
        return;
    take(p);
    put(b, "x-kubernetes-patch-merge-key", kr_string(until(p, " }]>=")));
}

static void parse_default(struct parse *p, struct kr_mapb *b)
{
    kr_val v;
    struct kr_err err = KR_ERR_NONE;
    int rc = kr_json_parse(p->reach->a, until(p, " }]>"), &v, &err);

    KR_ASSERT(rc == 0);
    put(b, "default", v);
}

static kr_val parse_type(struct parse *p)
{
    struct kr_mapb b = KR_MAPB(p->reach->a);

    parse_core(p, &b);
    for (;;) {
        switch (peek(p)) {
        case '#':
            take(p);
            parse_list_type(p, &b);
            break;
        case '^':
            take(p);
            parse_map_type(p, &b);
            break;
        case '%':
            take(p);
            parse_patch(p, &b);
            break;
        case '=':
            take(p);
            parse_default(p, &b);
            break;
        default:
            return kr_mapb_done(&b);
        }
    }
}

/* [{"group":"apps","version":"v1","kind":"Deployment"}] */
static kr_val gvk_list(struct kr_arena *a, kr_str group_version, kr_str kind)
{
    struct kr_listb list = KR_LISTB(a);
    struct kr_mapb gvk = KR_MAPB(a);

    put(&gvk, "group", kr_string(kr_str_cut(&group_version, '/')));
    put(&gvk, "version", kr_string(group_version));
    put(&gvk, "kind", kr_string(kind));
    kr_listb_add(&list, kr_mapb_done(&gvk));
    return kr_listb_done(&list);
}

/* The OpenAPI value of a component by its full name. */
static kr_val component(struct reach *r, kr_str name)
{
    size_t dot = (size_t)kr_str_rchr(name, '.');
    struct parse p = {.package = kr_str_sub(name, 0, dot), .reach = r};
    kr_str kind = kr_str_sub(name, dot + 1, name.n), group_version;
    kr_str shorter = package_other(p.package, true, &group_version);
    bool is_kind;
    kr_val v;

    p.rest = type_row(kr_fmt(r->a, KR_FMT "." KR_FMT, KR_ARG(shorter), KR_ARG(kind)));
    KR_ASSERT(p.rest.n > 0);
    is_kind = kr_str_ends(word(&p.rest), KR_S("+"));
    v = parse_type(&p);
    KR_ASSERT(p.rest.n == 0);
    if (is_kind)
        v = kr_with_key(r->a, v, KR_S("x-kubernetes-group-version-kind"),
                        gvk_list(r->a, group_version, kind));
    return v;
}

/* --- documents -------------------------------------------------------------------------------- */

/* All rows of a package's kinds. */
static void reach_all(struct reach *r, kr_str package, kr_str full)
{
    kr_str rest = TABLE(types);

    while (rest.s) {
        kr_str row = kr_str_cut(&rest, '\n'), name = row_name(row);
        size_t dot = (size_t)kr_str_rchr(name, '.');

        if (kr_str_eq(kr_str_sub(name, 0, dot), package) && row.s[name.n] == '+')
            kr_map_put(
                &r->names,
                kr_fmt(r->a, KR_FMT KR_FMT, KR_ARG(full), KR_ARG(kr_str_sub(name, dot, name.n))),
                r);
    }
}

static void reach_kind(struct reach *r, kr_str package, kr_str full, kr_str kind)
{
    if (type_row(kr_fmt(r->a, KR_FMT "." KR_FMT, KR_ARG(package), KR_ARG(kind))).n > 0)
        kr_map_put(&r->names, kr_fmt(r->a, KR_FMT "." KR_FMT, KR_ARG(full), KR_ARG(kind)), r);
}

static kr_val document(struct reach *r, kr_gvk gvk)
{
    struct kr_mapb schemas = KR_MAPB(r->a), components = KR_MAPB(r->a), root = KR_MAPB(r->a);
    kr_str package = package_of(gvk), full, unused;

    if (package.n > 0) {
        full = package_other(package, false, &unused);
        if (gvk.kind.n > 0)
            reach_kind(r, package, full, gvk.kind);
        else
            reach_all(r, package, full);
    }
    kr_map_each (e, &r->names) { /* grows while it is walked */
        kr_str name = kr_strdup(r->a, kr_map_key(e));

        if (!r->known || !cel_kinds_knows(r->known, name))
            kr_mapb_put(&schemas, name, component(r, name));
    }
    kr_map_fini(&r->names);
    put(&components, "schemas", kr_mapb_done(&schemas));
    put(&root, "components", kr_mapb_done(&components));
    return kr_mapb_done(&root);
}

kr_val kube_builtin_openapi(struct kr_arena *a, kr_gvk gvk)
{
    struct reach r = {.a = a};

    return document(&r, gvk);
}

bool kube_builtin_add(struct cel_kinds *kinds, kr_gvk gvk)
{
    KR_AUTO(kr_arena) a = {0};
    struct reach r = {.a = &a, .known = kinds};
    struct kube_builtin_kind kind;
    struct kr_err err = KR_ERR_NONE;
    int rc;

    if (!kube_builtin_find(gvk, &kind))
        return false;
    rc = cel_kinds_read_openapi(kinds, document(&r, gvk), &err);
    KR_ASSERT(rc == 0);
    cel_kinds_add(kinds, gvk, kind.resource, kind.namespaced);
    return true;
}
