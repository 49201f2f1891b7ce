/* SPDX-License-Identifier: Apache-2.0 */
/* yaml.c - YAML by libyaml's events, resolved as sigs.k8s.io/yaml does.
 *
 * A value is built while its events come in; an alias shares the value of its anchor, so a bomb
 * costs no memory here. It would cost whoever walks the result, so every anchor remembers how many
 * values and levels it stands for, and these count against the limits at each use.
 *
 * sigs.k8s.io/yaml reads YAML by go-yaml v2 and prints it as JSON. What shows of that: a float
 * without fraction becomes an integer (1e3 is 1000), NaN and infinity are refused, keys of other
 * types become strings, a key that also comes in by << has its last value. What does not: a key that
 * comes twice in one map is refused; there the last one wins silently.
 *
 * Source: go-yaml v2 resolve.go and decode.go; sigs.k8s.io/yaml yaml.go.
 */
#include "cel/base/yaml.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <yaml.h>

#include "cel/base/banned.h"
#include "cel/base/digest.h"
#include "cel/base/internal.h"
#include "cel/base/num.h"
#include "cel/base/time.h"
#include "cel/base/utf8.h"

enum { ANCHORS_MAX = 10 * 1000 };

struct anchor {
    struct anchor *next;
    kr_str name;
    kr_val v;
    uint32_t nodes;  /* values it stands for, itself included */
    uint32_t height; /* levels of nesting it brings; 0: a scalar */
    bool ready;      /* false while its own value is being built */
};

struct loader {
    yaml_parser_t parser;
    yaml_event_t event; /* the current one */
    struct kr_arena *a;
    struct anchor *anchors; /* of the current document, newest first */
    uint32_t anchors_n;
    uint32_t nodes;
    uint32_t depth;
    uint32_t height; /* of the value just built */
    struct kr_err *err;
};

static int load_value(struct loader *l, kr_val *out);

/* ---- events ---- */

static int fail_at(struct loader *l, yaml_mark_t mark, int code, const char *why)
{
    return kr_fail(l->err, code, "YAML line %zu, column %zu: %s", mark.line + 1, mark.column + 1,
                   why);
}

static int fail_here(struct loader *l, const char *why)
{
    return fail_at(l, l->event.start_mark, KR_E_INPUT, why);
}

/* Reads the next event into l->event; the one before is freed. */
static int next(struct loader *l)
{
    yaml_mark_t mark;

    yaml_event_delete(&l->event);
    if (yaml_parser_parse(&l->parser, &l->event))
        return 0;
    memset(&l->event, 0, sizeof(l->event));
    mark = l->parser.error == YAML_READER_ERROR ? l->parser.mark : l->parser.problem_mark;
    return fail_at(l, mark, KR_E_INPUT, l->parser.problem ? l->parser.problem : "cannot be read");
}

static int count_nodes(struct loader *l, uint32_t n)
{
    if (n > KR_YAML_NODES_MAX - l->nodes)
        return fail_at(l, l->event.start_mark, KR_E_LIMIT, "too many values after alias expansion");
    l->nodes += n;
    return 0;
}

static int check_depth(struct loader *l, uint32_t more)
{
    if (l->depth + more > KR_YAML_DEPTH_MAX)
        return fail_at(l, l->event.start_mark, KR_E_LIMIT, "nested too deep");
    return 0;
}

/* ---- scalars: go-yaml v2, resolve.go ---- */

static const struct {
    const char *text;
    enum { W_TRUE, W_FALSE, W_NULL, W_NAN, W_INF } means;
} words[] = {
    {"y", W_TRUE},    {"Y", W_TRUE},      {"yes", W_TRUE},    {"Yes", W_TRUE},    {"YES", W_TRUE},
    {"true", W_TRUE}, {"True", W_TRUE},   {"TRUE", W_TRUE},   {"on", W_TRUE},     {"On", W_TRUE},
    {"ON", W_TRUE},   {"n", W_FALSE},     {"N", W_FALSE},     {"no", W_FALSE},    {"No", W_FALSE},
    {"NO", W_FALSE},  {"false", W_FALSE}, {"False", W_FALSE}, {"FALSE", W_FALSE}, {"off", W_FALSE},
    {"Off", W_FALSE}, {"OFF", W_FALSE},   {"", W_NULL},       {"~", W_NULL},      {"null", W_NULL},
    {"Null", W_NULL}, {"NULL", W_NULL},   {".nan", W_NAN},    {".NaN", W_NAN},    {".NAN", W_NAN},
    {".inf", W_INF},  {".Inf", W_INF},    {".INF", W_INF},    {"+.inf", W_INF},   {"+.Inf", W_INF},
    {"+.INF", W_INF}, {"-.inf", W_INF},   {"-.Inf", W_INF},   {"-.INF", W_INF},
};

static bool resolve_word(kr_str s, kr_val *out)
{
    for (size_t i = 0; i < KR_N(words); i++) {
        if (!kr_str_eq(s, kr_str_c(words[i].text)))
            continue;
        switch (words[i].means) {
        case W_TRUE:
        case W_FALSE:
            *out = kr_bool(words[i].means == W_TRUE);
            return true;
        case W_NULL:
            *out = KR_V_NULL;
            return true;
        case W_NAN:
            *out = kr_double(NAN);
            return true;
        case W_INF:
            *out = kr_double(s.s[0] == '-' ? -INFINITY : INFINITY);
            return true;
        }
    }
    return false;
}

/* Digits of a base with an optional sign, as strconv.ParseInt with base 0 (prefixes 0x 0o 0b 0). */
static bool resolve_int(kr_str s, kr_val *out)
{
    bool sign = s.n && (s.s[0] == '-' || s.s[0] == '+');
    bool neg = s.n && s.s[0] == '-';
    kr_str d = kr_str_sub(s, sign, s.n);
    uint64_t u = 0, base = 10;

    if (d.n > 1 && d.s[0] == '0') {
        char p = (char)(d.s[1] | 0x20);

        base = p == 'x' ? 16 : p == 'b' ? 2 : 8;
        d = kr_str_sub(d, p == 'x' || p == 'b' || p == 'o' ? 2 : 1, d.n);
    }
    if (d.n == 0)
        return false;
    for (size_t i = 0; i < d.n; i++) {
        char c = (char)(d.s[i] | 0x20);
        uint64_t digit = d.s[i] >= '0' && d.s[i] <= '9' ? (uint64_t)(d.s[i] - '0')
                         : c >= 'a' && c <= 'f'         ? (uint64_t)(c - 'a' + 10)
                                                        : 16;

        if (digit >= base || __builtin_mul_overflow(u, base, &u) ||
            __builtin_add_overflow(u, digit, &u))
            return false;
    }
    if (u <= (uint64_t)INT64_MAX + neg) {
        *out = kr_int(neg ? (int64_t)-u : (int64_t)u);
        return true;
    }
    *out = kr_uint(u);
    return !sign; /* ParseUint takes no sign */
}

/* -b101: the sign stands in front of what was a 0b prefix. */
static bool resolve_signed_binary(kr_str s, kr_val *out)
{
    char text[80];

    if (s.n < 3 || s.n >= sizeof(text) - 1)
        return false;
    snprintf(text, sizeof(text), "%c0b" KR_FMT, s.s[0], KR_ARG(kr_str_sub(s, 2, s.n)));
    return resolve_int(kr_str_c(text), out) && out->kind == KR_INT;
}

/* [-+]? ( .digits | digits [. digits*] ) ( [eE] [-+]? digits )? */
static bool resolve_float(kr_str s, kr_val *out)
{
    double d;

    for (size_t i = 0; i < s.n; i++) {
        char c = s.s[i];

        if (!((c >= '0' && c <= '9') || c == '.' || c == '-' || c == '+' || c == 'e' || c == 'E'))
            return false;
    }
    if (!kr_num_parse_double(s, &d))
        return false;
    *out = kr_double(d);
    return true;
}

/* What looks like a time stays text: sigs.k8s.io/yaml decodes into interface{}. */
static bool looks_like_time(kr_str s)
{
    size_t i = 0;

    while (i < s.n && s.s[i] >= '0' && s.s[i] <= '9')
        i++;
    return i == 4 && i < s.n && s.s[i] == '-';
}

static bool resolve_number(struct loader *l, kr_str s, kr_val *out)
{
    char *plain = kr_arena_bytes(l->a, s.n + 1);
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++) {
        if (s.s[i] != '_')
            plain[n++] = s.s[i];
    }
    s = (kr_str){plain, n};
    if (resolve_int(s, out) || resolve_float(s, out))
        return true;
    if (n < 4 || !kr_str_starts(s, KR_S("0b")) || (plain[2] != '-' && plain[2] != '+'))
        return false;
    plain[1] = plain[2]; /* go-yaml reads 0b-101 too */
    plain[2] = 'b';
    memmove(plain, plain + 1, n - 1);
    return resolve_signed_binary((kr_str){plain, n - 1}, out);
}

/* A scalar without quotes. */
static kr_val resolve(struct loader *l, kr_str s)
{
    char c = s.n ? s.s[0] : 0;
    kr_val v = KR_V_NONE;

    if (s.n <= 5 && resolve_word(s, &v))
        return v;
    if (c == '.' && kr_num_parse_double(s, &v.d)) {
        v.kind = KR_DOUBLE;
        return v;
    }
    if (((c >= '0' && c <= '9') || c == '-' || c == '+') && !looks_like_time(s) &&
        resolve_number(l, s, &v))
        return v;
    return kr_string(kr_strdup(l->a, s));
}

bool kr__yaml_is_text(kr_str s)
{
    KR_AUTO(kr_arena) a = {0};
    struct loader l = {.a = &a};

    return kr_is_str(resolve(&l, s), s) && !kr_str_is(s, "<<");
}

/* ---- tags ---- */

static const char *tag_of_kind(kr_val v)
{
    switch (v.kind) {
    case KR_NULL:
        return "!!null";
    case KR_BOOL:
        return "!!bool";
    case KR_INT:
    case KR_UINT:
        return "!!int";
    case KR_DOUBLE:
        return "!!float";
    default:
        return "!!str";
    }
}

static bool resolvable(kr_str tag)
{
    return kr_str_is(tag, "bool") || kr_str_is(tag, "int") || kr_str_is(tag, "float") ||
           kr_str_is(tag, "null") || kr_str_is(tag, "timestamp");
}

/* A scalar with a tag of YAML's own, without the "tag:yaml.org,2002:". */
static int resolve_tagged(struct loader *l, kr_str tag, kr_str text, kr_val *out)
{
    char wanted[16];
    kr_val v;

    if (kr_str_is(tag, "binary")) {
        kr_str bytes;

        if (!kr_base64_decode(l->a, text, &bytes))
            return fail_here(l, "!!binary value contains invalid base64 data");
        *out = kr_string(bytes);
        return 0;
    }
    if (!resolvable(tag) || (kr_str_is(tag, "timestamp") && looks_like_time(text))) {
        *out = kr_string(kr_strdup(l->a, text));
        return 0;
    }
    v = resolve(l, text);
    if (kr_str_is(tag, "float") && v.kind == KR_INT)
        v = kr_double((double)v.i);
    snprintf(wanted, sizeof(wanted), "!!" KR_FMT, KR_ARG(tag));
    if (strcmp(wanted, tag_of_kind(v)) != 0)
        return kr_fail(l->err, KR_E_INPUT,
                       "YAML line %zu, column %zu: a value of type %s cannot be read as %s",
                       l->event.start_mark.line + 1, l->event.start_mark.column + 1, tag_of_kind(v),
                       wanted);
    *out = v;
    return 0;
}

static int scalar_value(struct loader *l, kr_val *out)
{
    const kr_str prefix = KR_S("tag:yaml.org,2002:");
    kr_str text = {(const char *)l->event.data.scalar.value, l->event.data.scalar.length};
    kr_str tag = kr_str_c((const char *)l->event.data.scalar.tag);

    if (kr_str_starts(tag, prefix))
        return resolve_tagged(l, kr_str_sub(tag, prefix.n, tag.n), text, out);
    if (tag.n == 0 && l->event.data.scalar.plain_implicit)
        *out = resolve(l, text);
    else
        *out = kr_string(kr_strdup(l->a, text));
    return 0;
}

/* ---- on the way to JSON ---- */

/* A float is printed as JSON and read back: what has no fraction comes back as an integer. */
static int json_number(struct loader *l, kr_val *v)
{
    char text[KR_NUM_TEXT_MAX];
    kr_str s = {text, 0};

    if (v->kind != KR_DOUBLE)
        return 0;
    if (!isfinite(v->d))
        return fail_here(l, "not a number that JSON can hold");
    s.n = kr_num_json(v->d, text);
    if (kr_str_i64(s, &v->i))
        v->kind = KR_INT;
    else if (kr_str_u64(s, &v->u))
        v->kind = KR_UINT;
    return 0;
}

/* Float keys are printed with the precision of a float32. */
static kr_str float_key(struct kr_arena *a, double d)
{
    char text[KR_NUM_TEXT_MAX];
    double shown = d;

    if (isnan(d))
        return KR_S(".nan");
    if (isinf((float)d))
        return d < 0 ? KR_S("-.inf") : KR_S(".inf");
    for (int digits = 1; digits <= 9; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, (double)(float)d);
        shown = strtod(text, NULL);
        if ((float)shown == (float)d)
            break;
    }
    kr_num_g(shown, text);
    return kr_strdup(a, kr_str_c(text));
}

static int key_text(struct loader *l, kr_val v, kr_str *out)
{
    switch (v.kind) {
    case KR_STRING:
        *out = kr_text(v);
        return 0;
    case KR_BOOL:
        *out = v.b ? KR_S("true") : KR_S("false");
        return 0;
    case KR_INT:
        *out = kr_fmt(l->a, "%lld", (long long)v.i);
        return 0;
    case KR_DOUBLE:
        *out = float_key(l->a, v.d);
        return 0;
    default:
        return fail_here(l, "this cannot be a map key");
    }
}

/* ---- anchors ---- */

static struct anchor *anchor_add(struct loader *l, const yaml_char_t *name)
{
    struct anchor *an;

    if (!name)
        return NULL;
    an = kr_new(l->a, struct anchor);
    an->name = kr_strdup(l->a, kr_str_c((const char *)name));
    an->next = l->anchors;
    l->anchors = an;
    l->anchors_n++;
    return an;
}

static void anchor_done(struct loader *l, struct anchor *an, kr_val v, uint32_t nodes_before)
{
    if (!an)
        return;
    an->v = v;
    an->nodes = l->nodes - nodes_before;
    an->height = l->height;
    an->ready = true;
}

static int alias_value(struct loader *l, kr_val *out)
{
    kr_str name = kr_str_c((const char *)l->event.data.alias.anchor);
    const struct anchor *an = l->anchors;

    while (an && !kr_str_eq(an->name, name))
        an = an->next;
    if (!an)
        return fail_here(l, "alias of an unknown anchor");
    if (!an->ready)
        return fail_here(l, "anchor contains itself");
    KR_TRY(count_nodes(l, an->nodes));
    KR_TRY(check_depth(l, an->height));
    l->height = an->height;
    *out = an->v;
    return 0;
}

/* ---- collections ---- */

static int load_list(struct loader *l, kr_val *out)
{
    struct kr_listb b = KR_LISTB(l->a);
    uint32_t height = 0;

    for (;;) {
        kr_val v;

        KR_TRY(next(l));
        if (l->event.type == YAML_SEQUENCE_END_EVENT)
            break;
        KR_TRY(load_value(l, &v));
        height = l->height > height ? l->height : height;
        kr_listb_add(&b, v);
    }
    l->height = height + 1;
    *out = kr_listb_done(&b);
    return 0;
}

static int merge_map(struct loader *l, struct kr_mapb *b, kr_val v)
{
    if (v.kind != KR_MAP)
        return fail_here(l, "map merge requires map or sequence of maps as the value");
    KR_MAP_EACH (p, v)
        kr_mapb_put_val(b, p->key, p->val);
    return 0;
}

/* The value of <<: a map, or a list of maps of which earlier ones win. */
static int merge(struct loader *l, struct kr_mapb *b, kr_val v)
{
    if (v.kind != KR_LIST)
        return merge_map(l, b, v);
    for (uint32_t i = v.n; i > 0; i--)
        KR_TRY(merge_map(l, b, v.list[i - 1]));
    return 0;
}

static bool is_merge_key(const yaml_event_t *e)
{
    return e->type == YAML_SCALAR_EVENT && e->data.scalar.length == 2 &&
           memcmp(e->data.scalar.value, "<<", 2) == 0 &&
           (e->data.scalar.plain_implicit ||
            (e->data.scalar.tag &&
             strcmp((const char *)e->data.scalar.tag, "tag:yaml.org,2002:merge") == 0));
}

/* The key at the current event, as text. */
static int load_key(struct loader *l, kr_str *out)
{
    struct anchor *an = NULL;
    uint32_t nodes_before = l->nodes;
    kr_val v;

    if (l->event.type == YAML_ALIAS_EVENT) {
        KR_TRY(alias_value(l, &v));
        return key_text(l, v, out);
    }
    if (l->event.type != YAML_SCALAR_EVENT)
        return fail_here(l, "a map or list cannot be a map key");
    an = anchor_add(l, l->event.data.scalar.anchor);
    KR_TRY(count_nodes(l, 1));
    KR_TRY(scalar_value(l, &v));
    KR_TRY(key_text(l, v, out));
    l->height = 0;
    anchor_done(l, an, v, nodes_before);
    return 0;
}

/* A key that stands twice in one map: which value was meant, nobody can tell. (What << brings may be
 * set again.) keys: key and line in turn; last: at which of them a key stands last. */
static int fail_twice(struct loader *l, const struct kr_listb *keys, kr_val last)
{
    uint32_t i = 0, k;

    while (kr_get(last, kr_text(keys->items[i])).i == i)
        i += 2;
    for (k = i + 2; !kr_equal(keys->items[k], keys->items[i]);)
        k += 2;
    return kr_fail(l->err, KR_E_INPUT,
                   "YAML line %" PRId64 ": key \"" KR_FMT "\" already set in map, in line %" PRId64,
                   keys->items[k + 1].i, KR_ARG(kr_text(keys->items[i])), keys->items[i + 1].i);
}

static int load_map(struct loader *l, kr_val *out)
{
    struct kr_mapb b = KR_MAPB(l->a), own = KR_MAPB(l->a);
    struct kr_listb keys = KR_LISTB(l->a);
    uint32_t height = 0;
    kr_val last;

    for (;;) {
        bool merging;
        kr_str key = {0};
        int64_t line;
        kr_val v;

        KR_TRY(next(l));
        if (l->event.type == YAML_MAPPING_END_EVENT)
            break;
        merging = is_merge_key(&l->event);
        line = (int64_t)l->event.start_mark.line + 1;
        if (!merging)
            KR_TRY(load_key(l, &key));
        KR_TRY(next(l));
        KR_TRY(load_value(l, &v));
        height = l->height > height ? l->height : height;
        if (merging) {
            KR_TRY(merge(l, &b, v));
            continue;
        }
        kr_mapb_put(&b, key, v);
        kr_mapb_put(&own, key, kr_int(keys.n));
        kr_listb_add(&keys, kr_string(key));
        kr_listb_add(&keys, kr_int(line));
    }
    l->height = height + 1;
    *out = kr_mapb_done(&b);
    last = kr_mapb_done(&own);
    return last.n < keys.n / 2 ? fail_twice(l, &keys, last) : 0;
}

static int load_collection(struct loader *l, kr_val *out)
{
    bool map = l->event.type == YAML_MAPPING_START_EVENT;
    int rc;

    KR_TRY(check_depth(l, 1));
    l->depth++;
    rc = map ? load_map(l, out) : load_list(l, out);
    l->depth--;
    return rc;
}

/* The value that begins at the current event; at the end that is the value's last event. */
static int load_value(struct loader *l, kr_val *out)
{
    uint32_t nodes_before = l->nodes;
    struct anchor *an;

    switch (l->event.type) {
    case YAML_ALIAS_EVENT:
        return alias_value(l, out);
    case YAML_SCALAR_EVENT:
        an = anchor_add(l, l->event.data.scalar.anchor);
        KR_TRY(count_nodes(l, 1));
        KR_TRY(scalar_value(l, out));
        KR_TRY(json_number(l, out));
        l->height = 0;
        break;
    case YAML_SEQUENCE_START_EVENT:
        an = anchor_add(l, l->event.data.sequence_start.anchor);
        KR_TRY(count_nodes(l, 1));
        KR_TRY(load_collection(l, out));
        break;
    case YAML_MAPPING_START_EVENT:
        an = anchor_add(l, l->event.data.mapping_start.anchor);
        KR_TRY(count_nodes(l, 1));
        KR_TRY(load_collection(l, out));
        break;
    default:
        return fail_here(l, "a value was expected");
    }
    if (l->anchors_n > ANCHORS_MAX)
        return fail_at(l, l->event.start_mark, KR_E_LIMIT, "too many anchors");
    anchor_done(l, an, *out, nodes_before);
    return 0;
}

/* ---- documents ---- */

/* Nothing between two separators. */
static bool empty_document(const yaml_event_t *e)
{
    return e->type == YAML_SCALAR_EVENT && e->data.scalar.length == 0 &&
           e->data.scalar.plain_implicit && !e->data.scalar.anchor && !e->data.scalar.tag;
}

static int load_documents(struct loader *l, struct kr_listb *docs, struct kr_listb *lines)
{
    KR_TRY(next(l));
    while (l->event.type != YAML_STREAM_END_EVENT) {
        kr_val v = KR_V_NONE;
        int64_t line;

        KR_TRY(next(l));
        if (l->event.type != YAML_DOCUMENT_START_EVENT)
            continue; /* stream start, document end */
        KR_TRY(next(l));
        if (empty_document(&l->event))
            continue;
        if (docs->n == KR_YAML_DOCS_MAX)
            return fail_at(l, l->event.start_mark, KR_E_LIMIT, "too many documents");
        line = (int64_t)l->event.start_mark.line + 1;
        l->anchors = NULL;
        l->anchors_n = 0;
        KR_TRY(load_value(l, &v));
        kr_listb_add(docs, v);
        kr_listb_add(lines, kr_int(line));
    }
    return 0;
}

int kr_yaml_parse_lines(struct kr_arena *a, kr_str text, kr_val *docs, uint32_t **lines,
                        struct kr_err *err)
{
    struct loader l = {.a = a, .err = err};
    struct kr_listb found = KR_LISTB(a), at = KR_LISTB(a);
    int rc;

    if (text.n > KR_YAML_TEXT_MAX)
        return kr_fail(err, KR_E_LIMIT, "YAML text is over %d bytes", KR_YAML_TEXT_MAX);
    if (!yaml_parser_initialize(&l.parser))
        return kr_fail(err, KR_E_LIMIT, "out of memory");
    yaml_parser_set_input_string(&l.parser, (const unsigned char *)(text.n ? text.s : ""), text.n);
    rc = load_documents(&l, &found, &at);
    yaml_event_delete(&l.event);
    yaml_parser_delete(&l.parser);
    if (rc < 0)
        return rc;
    *lines = kr_new_n(a, uint32_t, at.n);
    for (uint32_t i = 0; i < at.n; i++)
        (*lines)[i] = (uint32_t)at.items[i].i;
    *docs = kr_listb_done(&found);
    return 0;
}

int kr_yaml_parse(struct kr_arena *a, kr_str text, kr_val *docs, struct kr_err *err)
{
    uint32_t *lines;

    return kr_yaml_parse_lines(a, text, docs, &lines, err);
}

/* ---- places ---- */

struct search {
    struct loader l;
    const kr_str *names;
    uint32_t n;
    struct kr_yaml_place *out;
};

/* Passes over the value at the current event. */
static bool pass_value(struct loader *l)
{
    uint32_t depth = 0;

    for (;;) {
        switch (l->event.type) {
        case YAML_SEQUENCE_START_EVENT:
        case YAML_MAPPING_START_EVENT:
            depth++;
            break;
        case YAML_SEQUENCE_END_EVENT:
        case YAML_MAPPING_END_EVENT:
            depth--;
            break;
        default:
            break;
        }
        if (depth == 0)
            return true;
        if (next(l) < 0)
            return false;
    }
}

static void note_place(struct search *s, bool keyed)
{
    const yaml_event_t *e = &s->l.event;
    yaml_scalar_style_t style =
        e->type == YAML_SCALAR_EVENT ? e->data.scalar.style : YAML_ANY_SCALAR_STYLE;

    s->out->line = (uint32_t)e->start_mark.line + 1;
    s->out->column = (uint32_t)e->start_mark.column + 1;
    s->out->scalar = e->type == YAML_SCALAR_EVENT;
    s->out->block = style == YAML_LITERAL_SCALAR_STYLE || style == YAML_FOLDED_SCALAR_STYLE;
    if (keyed)
        return;
    s->out->key_line = s->out->line;
    s->out->key_column = s->out->column;
}

/* Moves to the member or item that the next name says; false: it is not there. */
static bool find_child(struct search *s, bool map)
{
    kr_str name = s->names[s->out->found];
    uint64_t index = 0;
    struct loader *l = &s->l;

    if (!map && !kr_str_u64(name, &index))
        return false;
    for (uint64_t i = 0;; i++) {
        yaml_mark_t mark;
        bool hit = !map && i == index;

        if (next(l) < 0 || l->event.type == YAML_MAPPING_END_EVENT ||
            l->event.type == YAML_SEQUENCE_END_EVENT)
            return false;
        mark = l->event.start_mark;
        if (map) {
            hit = l->event.type == YAML_SCALAR_EVENT &&
                  kr_str_eq(name, (kr_str){(const char *)l->event.data.scalar.value,
                                           l->event.data.scalar.length});
            if (!pass_value(l) || next(l) < 0)
                return false;
        }
        if (hit) {
            s->out->key_line = (uint32_t)mark.line + 1;
            s->out->key_column = (uint32_t)mark.column + 1;
            return true;
        }
        if (!pass_value(l))
            return false;
    }
}

static void locate_value(struct search *s)
{
    note_place(s, false);
    while (s->out->found < s->n) {
        yaml_event_type_t type = s->l.event.type;

        if ((type != YAML_MAPPING_START_EVENT && type != YAML_SEQUENCE_START_EVENT) ||
            !find_child(s, type == YAML_MAPPING_START_EVENT))
            return;
        s->out->found++;
        note_place(s, true);
    }
}

/* Moves to the root value of a document. */
static bool find_document(struct loader *l, uint32_t doc)
{
    if (next(l) < 0)
        return false;
    while (l->event.type != YAML_STREAM_END_EVENT) {
        if (next(l) < 0)
            return false;
        if (l->event.type != YAML_DOCUMENT_START_EVENT)
            continue;
        if (next(l) < 0)
            return false;
        if (empty_document(&l->event))
            continue;
        if (doc-- == 0)
            return true;
        if (!pass_value(l))
            return false;
    }
    return false;
}

bool kr_yaml_locate(kr_str text, uint32_t doc, const kr_str *names, uint32_t n,
                    struct kr_yaml_place *out)
{
    struct search s = {.names = names, .n = n, .out = out};
    bool found;

    *out = (struct kr_yaml_place){0};
    if (text.n > KR_YAML_TEXT_MAX || !yaml_parser_initialize(&s.l.parser))
        return false;
    yaml_parser_set_input_string(&s.l.parser, (const unsigned char *)(text.n ? text.s : ""),
                                 text.n);
    found = find_document(&s.l, doc);
    if (found)
        locate_value(&s);
    yaml_event_delete(&s.l.event);
    yaml_parser_delete(&s.l.parser);
    return found;
}
