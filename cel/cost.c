/* SPDX-License-Identifier: Apache-2.0 */
/* cost.c - what an expression can cost, before it is evaluated.
 *
 * One walk over the checked tree gives for each part the steps it takes, at least and at most, and
 * the shape of its value: how long the text or how many the elements can be. Lengths come from
 * literals and from maxLength, maxItems and maxProperties of schemas; where nothing is known there is
 * no upper limit. Sums and products stop at CEL_COST_UNKNOWN.
 *
 *   part            steps
 *   value, operator up to NODE_STEPS, and what it looks at of texts and containers
 *   call            1, its arguments' sizes (FN_SIZED), and what the table below adds
 *   loop            its body as often as its range is long
 *
 * The unit is that of cel_run.cost. An evaluation that succeeds costs no less than min and no more
 * than max; one that fails may cost less.
 *
 * Source: cel-go checker/cost.go (the idea).
 */
#include "cel/internal.h"
#include "cel/regex.h"

#include <stdio.h>

#include "cel/base/banned.h"

enum {
    NODE_STEPS = 6, /* instructions that one part of an expression becomes, at most */
    PRED_STEPS = 7, /* that keep the errors of a loop with a predicate (compile.c, errors_end) */
    TEXT_OF_SCALAR = 64,     /* bytes that string() of a number or time needs */
    RANGE_MAX = 1000 * 1000, /* lists.range takes no more */
    PATTERN_STEPS = 100,     /* a pattern that is compiled while evaluating */
    ZONE_STEPS = 1000,       /* a named time zone */
    SORT_STEPS = 20,         /* per element */
    MAP_KEY_MAX = 320,       /* bytes of a map's key, as cel.h says: a label's are 317 */
    KEY_STEPS = CEL__KEY_LOOKS * MAP_KEY_MAX / CEL__LOOK_BYTES,
};

/* Bytes of a text, elements or entries of a container; 0 for all else. Of an optional: what it may
 * hold. */
struct shape {
    uint64_t min, max;
    const struct cel_schema *schema; /* where the value comes from; NULL: not known */
    const struct shape *item;        /* of its elements or values; NULL: see schema */
    bool fixed;                      /* computed while compiling: costs nothing later */
};

static const struct shape scalar = {0, 0, NULL, NULL, false};
static const struct shape unknown = {0, CEL_COST_UNKNOWN, NULL, NULL, false};
static const struct shape map_key = {0, MAP_KEY_MAX, NULL, NULL, false};

struct scope {
    const struct scope *up;
    kr_str name;
    struct shape shape;
};

struct coster {
    struct kr_arena *a;
    const struct cel_env *env;
    const struct scope *scope;
};

/* --- arithmetic that stops at the top --------------------------------------------------------- */

static uint64_t plus(uint64_t x, uint64_t y)
{
    return x > CEL_COST_UNKNOWN - y ? CEL_COST_UNKNOWN : x + y;
}

static uint64_t times(uint64_t x, uint64_t y)
{
    uint64_t r;

    return __builtin_mul_overflow(x, y, &r) ? CEL_COST_UNKNOWN : r;
}

static uint64_t part_of(uint64_t x, uint64_t n) /* x / n */
{
    return x == CEL_COST_UNKNOWN ? x : x / n;
}

static void add(struct cel_cost *sum, struct cel_cost c)
{
    sum->min = plus(sum->min, c.min);
    sum->max = plus(sum->max, c.max);
}

/* --- shapes ----------------------------------------------------------------------------------- */

static bool is_scalar(const struct cel_type *t)
{
    switch (t->kind) {
    case TK_NULL:
    case TK_BOOL:
    case TK_INT:
    case TK_UINT:
    case TK_DOUBLE:
    case TK_DURATION:
    case TK_TIMESTAMP:
    case TK_TYPE:
        return true;
    }
    return false;
}

static bool is_text(const struct cel_type *t)
{
    return t->kind == TK_STRING || t->kind == TK_BYTES;
}

static struct shape shape_of_schema(const struct cel_schema *s)
{
    struct shape sh = {0, CEL_COST_UNKNOWN, s, NULL, false};

    if (!s)
        return unknown;
    if (s->type == CEL_S_INTEGER || s->type == CEL_S_NUMBER || s->type == CEL_S_BOOLEAN)
        sh.max = 0;
    else if (s->size_limit)
        sh.max = s->size_limit - 1;
    else if (s->type == CEL_S_OBJECT && s->fields_n && !s->additional && !s->preserve_unknown)
        sh.max = s->fields_n;
    if (s->type == CEL_S_STRING || s->type == CEL_S_NONE)
        sh.max = times(sh.max, 4); /* a code point is up to four bytes */
    return sh;
}

static struct shape item_of(const struct shape *s)
{
    if (s->item)
        return *s->item;
    if (s->schema && s->schema->items)
        return shape_of_schema(s->schema->items);
    if (s->schema && s->schema->additional)
        return shape_of_schema(s->schema->additional);
    return s->max == 0 ? scalar : unknown;
}

static struct shape member_of(const struct shape *s, kr_str name)
{
    if (s->schema)
        return shape_of_schema(cel_schema_member(s->schema, name));
    return item_of(s);
}

static const struct shape *keep(struct coster *c, struct shape s)
{
    struct shape *kept = kr_new(c->a, struct shape);

    *kept = s;
    return kept;
}

/* One or the other. */
static struct shape either(struct coster *c, struct shape x, struct shape y)
{
    struct shape s = {x.min < y.min ? x.min : y.min, x.max > y.max ? x.max : y.max, NULL, NULL,
                      false};

    if (x.schema == y.schema)
        s.schema = x.schema;
    if (x.item && y.item)
        s.item = keep(c, either(c, *x.item, *y.item));
    else if (x.item || y.item)
        s.item = x.max == 0 ? y.item : y.max == 0 ? x.item : &unknown;
    return s;
}

/* --- what functions add ----------------------------------------------------------------------- */

enum extra {
    NOTHING,
    PATTERN, /* compiles argument 1 */
    MATCHES, /* the same, and walks over all matches */
    SORT,    /* of argument 0 */
    TEXTS,   /* compares the elements of argument 0 */
    LOOK,    /* looks at its texts */
    PLACES,  /* compares argument 1 at each place of argument 0 */
    MERGE,   /* looks up the keys of its arguments */
    SQUARE,  /* compares each element of argument 0 with each */
    PRODUCT, /* compares the elements of both arguments */
    NUMBER,  /* as many steps as argument 0 says */
    RESULT,  /* one step per 16 bytes of the result */
    BYTES,   /* one step per byte of argument 0 */
    AGAIN,   /* the elements of its arguments once more */
    DEEP,    /* all that its arguments hold, at any depth */
    ZONE,    /* a named time zone, with two arguments */
    QUERY,   /* the pairs of a URL's query */
};

enum result {
    BY_TYPE,  /* a scalar has no size; of all else nothing is known */
    FIRST,    /* no longer than argument 0, with its elements */
    EITHER,   /* argument 0 or argument 1 */
    ITEM,     /* an element of argument 0 */
    PIECES,   /* a list of parts of argument 0 */
    TEXT,     /* argument 0 as text */
    JOINED,   /* elements of argument 0 and separators */
    REPLACED, /* argument 2 in place of parts of argument 0 */
    COUNTED,  /* as many elements as argument 0 says */
    SPREAD,   /* the elements of the elements */
    BOTH,     /* elements of argument 0 and argument 1 */
    QUOTED,   /* a multiple of argument 0 */
};

/* clang-format off */
static const struct {
    const char *name;
    uint8_t extra, result;
} functions[] = {
    {"@sortByAssociatedKeys", SORT, FIRST}, {"base64.decode", NOTHING, FIRST},
    {"base64.encode", NOTHING, QUOTED},     {"bytes", NOTHING, FIRST},
    {"charAt", NOTHING, FIRST},             {"condition", DEEP, BY_TYPE},
    {"endsWith", LOOK, BY_TYPE},            {"isSorted", TEXTS, BY_TYPE},
    {"max", TEXTS, ITEM},                   {"min", TEXTS, ITEM},
    {"size", LOOK, BY_TYPE},                {"startsWith", LOOK, BY_TYPE},
    {"deepMerge", DEEP, BY_TYPE},           {"distinct", SQUARE, FIRST},
    {"dyn", NOTHING, FIRST},                {"find", PATTERN, FIRST},
    {"findAll", MATCHES, PIECES},           {"first", NOTHING, ITEM},
    {"flatten", DEEP, SPREAD},              {"format", DEEP, BY_TYPE},
    {"getDate", ZONE, BY_TYPE},             {"getDayOfMonth", ZONE, BY_TYPE},
    {"getDayOfWeek", ZONE, BY_TYPE},        {"getDayOfYear", ZONE, BY_TYPE},
    {"getEscapedPath", NOTHING, QUOTED},    {"getFullYear", ZONE, BY_TYPE},
    {"getHost", NOTHING, QUOTED},           {"getHostname", NOTHING, QUOTED},
    {"getHours", ZONE, BY_TYPE},            {"getMilliseconds", ZONE, BY_TYPE},
    {"getMinutes", ZONE, BY_TYPE},          {"getMonth", ZONE, BY_TYPE},
    {"getPort", NOTHING, FIRST},            {"getQuery", QUERY, BY_TYPE},
    {"getScheme", NOTHING, FIRST},          {"getSeconds", ZONE, BY_TYPE},
    {"indexOf", DEEP, BY_TYPE},             {"join", RESULT, JOINED},
    {"json.encode", DEEP, BY_TYPE},         {"json.marshal", DEEP, BY_TYPE},
    {"last", NOTHING, ITEM},                {"lastIndexOf", PLACES, BY_TYPE},
    {"lists.insertAtIndex", AGAIN, BOTH},   {"lists.range", NUMBER, COUNTED},
    {"lists.removeAtIndex", AGAIN, FIRST},  {"lists.setAtIndex", AGAIN, BOTH},
    {"lowerAscii", NOTHING, FIRST},         {"matches", PATTERN, BY_TYPE},
    {"merge", MERGE, BOTH},                 {"optional.of", NOTHING, FIRST},
    {"optional.ofNonZeroValue", NOTHING, FIRST}, {"optional.unwrap", NOTHING, FIRST},
    {"or", NOTHING, EITHER},                {"orValue", NOTHING, EITHER},
    {"random.seededString", NUMBER, COUNTED}, {"regex.extract", MATCHES, FIRST},
    {"regex.extractAll", MATCHES, PIECES},  {"regex.replace", MATCHES, BY_TYPE},
    {"replace", RESULT, REPLACED},          {"reverse", NOTHING, FIRST},
    {"sets.contains", PRODUCT, BY_TYPE},    {"sets.equivalent", PRODUCT, BY_TYPE},
    {"sets.intersects", PRODUCT, BY_TYPE},  {"slice", NOTHING, FIRST},
    {"sort", SORT, FIRST},                  {"split", BYTES, PIECES},
    {"string", NOTHING, TEXT},              {"strings.quote", NOTHING, QUOTED},
    {"substring", NOTHING, FIRST},          {"trim", NOTHING, FIRST},
    {"unwrapOpt", NOTHING, FIRST},          {"upperAscii", NOTHING, FIRST},
    {"url", NOTHING, FIRST},                {"value", NOTHING, FIRST},
};
/* clang-format on */

static void function_facts(kr_str name, enum extra *extra, enum result *result)
{
    *extra = NOTHING;
    *result = BY_TYPE;
    for (size_t i = 0; i < KR_N(functions); i++) {
        if (kr_str_eq(name, kr_str_c(functions[i].name))) {
            *extra = functions[i].extra;
            *result = functions[i].result;
            return;
        }
    }
}

void cel__cost_text(const struct cel__row *row, char out[CEL__COST_TEXT_MAX])
{
    static const char *const extras[] = {
        [NOTHING] = "",
        [PATTERN] = " + bytes times pattern / 64; 100 + pattern when it is no constant",
        [MATCHES] = " + 1 a match and 64 bytes + bytes times pattern / 64; 100 + pattern",
        [SORT] = " + 20 an element",
        [TEXTS] = " + 1 per 64 bytes of the elements",
        [LOOK] = " + 1 per 64 bytes looked at",
        [PLACES] = " + the product of the bytes / 64",
        [MERGE] = " + the elements made",
        [SQUARE] = " + the elements squared",
        [PRODUCT] = " + the product of the elements",
        [NUMBER] = " + the number",
        [RESULT] = " + 1 per 16 bytes made",
        [BYTES] = " + 1 a piece",
        [AGAIN] = " + the elements made",
        [DEEP] = " + all nested elements",
        [ZONE] = " + 1000 for a named zone",
        [QUERY] = " + the pairs squared",
    };
    enum extra extra;
    enum result result;

    function_facts(kr_str_c(row->name), &extra, &result);
    snprintf(out, CEL__COST_TEXT_MAX, "%s%s%s", row->flags & FN_OP ? "" : "1",
             row->flags & FN_SIZED ? " + s" : "", extras[extra]);
    if (row->flags & FN_OP)
        snprintf(out, CEL__COST_TEXT_MAX, "1");
}

/* --- the walk --------------------------------------------------------------------------------- */

struct args {
    const struct cel__node *node[8]; /* the target first */
    struct shape shape[8];
    uint32_t n;
};

static struct cel_cost walk(struct coster *c, const struct cel__node *e, struct shape *out);

/* What one value and all below it hold. */
static uint64_t all_of(const struct shape *s, const struct cel_type *t, uint32_t depth)
{
    const struct cel_type *inner = &cel__t_dyn;
    const struct cel_type *key;
    struct shape item;

    if (is_scalar(t))
        return 1;
    if (t->kind == TK_STRING || t->kind == TK_BYTES)
        return plus(1, s->max);
    if (depth > CEL_SCHEMA_DEPTH_MAX ||
        (!cel_type_is_list(t, &inner) && !cel_type_is_map(t, &key, &inner)))
        return s->max == 0 && !s->schema && t->kind != TK_OBJECT ? 1 : CEL_COST_UNKNOWN;
    item = item_of(s);
    return plus(1, times(s->max, plus(t->kind == TK_LIST ? 1 : 1 + KEY_STEPS,
                                      all_of(&item, inner, depth + 1))));
}

/* Steps of comparing two values of these types. */
static uint64_t compare_steps(const struct args *x, uint32_t i, uint32_t j)
{
    uint64_t a = all_of(&x->shape[i], x->node[i]->type, 0);
    uint64_t b = all_of(&x->shape[j], x->node[j]->type, 0);

    if (is_scalar(x->node[i]->type) || is_scalar(x->node[j]->type))
        return 0;
    if (is_text(x->node[i]->type) || is_text(x->node[j]->type))
        return part_of(a < b ? a : b, CEL__LOOK_BYTES);
    /* sets and map lists are compared each with each */
    return times(a < b ? a : b, x->shape[i].schema ? x->shape[j].max : 1);
}

/* The number a literal says, or an upper limit. */
static uint64_t number_of(const struct cel__node *e, uint64_t top)
{
    if (e->kind == NK_CONST && e->value.kind == KR_INT)
        return e->value.i > 0 ? (uint64_t)e->value.i : 0;
    return top;
}

static uint64_t deep(const struct args *x)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < x->n; i++)
        sum = plus(sum, all_of(&x->shape[i], x->node[i]->type, 0));
    return sum;
}

/* Of looking at n bytes of a text. */
static uint64_t look(uint64_t n)
{
    return part_of(n, CEL__LOOK_BYTES);
}

static uint64_t look_up(uint64_t key_bytes)
{
    return times(CEL__KEY_LOOKS, look(key_bytes));
}

/* How large argument 1 becomes as a compiled pattern. */
static uint64_t pattern_size(const struct args *x)
{
    const struct cel__node *e = x->n > 1 ? x->node[1] : NULL;
    char wrong[CEL__REGEX_ERR_MAX];
    struct cel__regex *re;
    uint64_t size;

    if (!e || e->kind != NK_CONST || e->value.kind != KR_STRING)
        return CEL__REGEX_SIZE_MAX;
    re = cel__regex_new(e->value.s, e->value.n, wrong);
    size = re ? cel__regex_size(re) : 0;
    cel__regex_free(re);
    return size;
}

/* Compiling argument 1, and a match in argument 0. */
static uint64_t match_steps(const struct args *x, uint64_t size)
{
    return plus(plus(PATTERN_STEPS, plus(x->shape[1].max, size)),
                part_of(times(x->shape[0].max, size), 64));
}

/* Comparing the texts among the elements of argument i. */
static uint64_t texts_steps(const struct args *x, uint32_t i)
{
    struct shape item = item_of(&x->shape[i]);
    const struct cel_type *inner;

    if (cel_type_is_list(x->node[i]->type, &inner) && is_scalar(inner))
        return 0;
    return times(x->shape[i].max, look(item.max));
}

static uint64_t extra_steps(enum extra extra, kr_str name, const struct args *x,
                            const struct shape *result)
{
    uint64_t first = x->n ? x->shape[0].max : 0;
    uint64_t second = x->n > 1 ? x->shape[1].max : 0;
    uint64_t size;

    switch (extra) {
    case NOTHING:
        return 0;
    case PATTERN:
        return x->n > 1 ? match_steps(x, pattern_size(x)) : 0;
    case MATCHES: /* an empty match at each place; a step per 64 bytes for each */
        size = pattern_size(x);
        return plus(
            match_steps(x, size),
            times(plus(first, 2), plus(plus(2, times(look(first), 1 + size / CEL__REGEX_AGAIN)),
                                       x->n > 2 ? part_of(x->shape[2].max, 16) : 0)));
    case SORT:
        return times(SORT_STEPS, plus(first, texts_steps(x, x->n - 1)));
    case TEXTS:
        return texts_steps(x, 0);
    case LOOK:
        return plus(look(first), look(second));
    case PLACES:
        return plus(times(2, deep(x)), look(times(first, second)));
    case MERGE:
        return plus(times(plus(first, second), 1 + KEY_STEPS), 2);
    case SQUARE:
        return times(times(first, first), plus(1, part_of(deep(x), first ? first : 1)));
    case PRODUCT:
        return times(2,
                     times(plus(first, 1), times(plus(second, 1), plus(1, part_of(deep(x), 1)))));
    case NUMBER:
        return number_of(x->node[0], kr_str_is(name, "lists.range") ? RANGE_MAX : CEL__TEXT_MAX);
    case RESULT:
        return plus(plus(2, first), part_of(result->max, 8));
    case BYTES:
        return plus(2, first);
    case AGAIN:
        return plus(plus(first, second), 2);
    case DEEP:
        return times(2, deep(x));
    case ZONE:
        return x->n > 1 ? ZONE_STEPS : 0;
    case QUERY:
        return times(plus(first, 8), plus(first, 8));
    }
    return CEL_COST_UNKNOWN;
}

static struct shape list_of(struct coster *c, uint64_t max, struct shape item)
{
    return (struct shape){0, max, NULL, keep(c, item), false};
}

static struct shape result_shape(struct coster *c, enum result result, const struct cel__node *e,
                                 const struct args *x)
{
    struct shape first = x->n ? x->shape[0] : scalar;
    struct shape item = item_of(&first);
    struct shape part = {0, first.max, NULL, NULL, false};

    switch (result) {
    case FIRST:
        first.min = 0;
        return first;
    case EITHER:
        return either(c, first, x->shape[1]);
    case ITEM:
        return item;
    case PIECES:
        return list_of(c, plus(first.max, 2), part);
    case TEXT:
        part.max = first.max > TEXT_OF_SCALAR ? first.max : TEXT_OF_SCALAR;
        return part;
    case JOINED:
        part.max = times(first.max, plus(item.max, x->n > 1 ? x->shape[1].max : 0));
        return part;
    case REPLACED:
        part.max = plus(first.max, times(plus(first.max, 1), x->shape[2].max));
        return part;
    case COUNTED:
        return list_of(
            c, number_of(x->node[0], e->type->kind == TK_LIST ? RANGE_MAX : CEL__TEXT_MAX), scalar);
    case SPREAD:
        return x->n == 1 ? list_of(c, times(first.max, item.max), item_of(&item)) : unknown;
    case BOTH:
        part = either(c, first, x->shape[x->n - 1]);
        part.max = plus(plus(first.max, x->shape[x->n - 1].max), 1);
        part.min = 0;
        part.schema = NULL;
        part.item = &unknown;
        return part;
    case QUOTED:
        part.max = plus(times(4, first.max), 4);
        return part;
    case BY_TYPE:
        break;
    }
    return is_scalar(e->type) ? scalar : unknown;
}

static uint64_t sized(const struct shape *s, const struct cel_type *t, bool least)
{
    uint64_t n = least ? s->min : s->max;

    return t->kind == TK_STRING || t->kind == TK_BYTES ? part_of(n, 16) : n;
}

static struct cel_cost function(struct coster *c, const struct cel__node *e, const struct args *x,
                                struct shape *out)
{
    struct cel_cost cost = {1, 1 + NODE_STEPS};
    kr_str name = e->fn ? e->fn->name : e->name; /* with its namespace */
    enum extra extra;
    enum result result;
    bool by_size = false;

    for (uint32_t i = 0; e->fn && i < e->fn->overloads_n; i++)
        by_size = by_size || (e->fn->overloads[i].row->flags & FN_SIZED);
    for (uint32_t i = 0; i < x->n && by_size; i++)
        cost.max = plus(cost.max, sized(&x->shape[i], x->node[i]->type, false));
    function_facts(name, &extra, &result);
    *out = result_shape(c, result, e, x);
    cost.max = plus(cost.max, extra_steps(extra, name, x, out));
    return cost;
}

/* + of texts and lists; of numbers too, where nothing is looked at. */
static struct cel_cost sum(const struct cel__node *e, const struct args *x, struct shape *out)
{
    struct cel_cost cost = {0, NODE_STEPS};
    bool text = e->type->kind == TK_STRING || e->type->kind == TK_BYTES;

    if (is_scalar(e->type))
        return cost;
    *out = x->shape[0];
    out->min = plus(out->min, x->shape[1].min);
    out->max = plus(out->max, x->shape[1].max);
    out->schema = NULL;
    out->item = x->shape[0].max == 0   ? x->shape[1].item
                : x->shape[1].max == 0 ? out->item
                                       : &unknown;
    cost.max = plus(cost.max, text ? part_of(out->max, 16) : out->max);
    if (x->shape[0].schema && !text) /* a set or map list looks each element up */
        cost.max = plus(cost.max, times(x->shape[0].max, x->shape[1].max));
    return cost;
}

/* Of comparing argument 0 with each element of argument 1. */
static uint64_t element_steps(const struct args *x)
{
    if (is_scalar(x->node[0]->type))
        return 0;
    if (is_text(x->node[0]->type))
        return times(x->shape[1].max, look(x->shape[0].max));
    return deep(x);
}

static struct cel_cost operation(struct coster *c, const struct cel__node *e, const struct args *x,
                                 struct shape *out)
{
    struct cel_cost cost = {0, NODE_STEPS};

    *out = is_scalar(e->type) ? scalar : unknown;
    if (kr_str_is(e->name, "_+_"))
        return sum(e, x, out);
    if (kr_str_is(e->name, "_==_") || kr_str_is(e->name, "_!=_"))
        cost.max = plus(cost.max, compare_steps(x, 0, 1));
    if (kr_str_is(e->name, "@in"))
        cost.max =
            plus(cost.max, plus(look_up(x->shape[0].max), plus(x->shape[1].max, element_steps(x))));
    if (kr_str_is(e->name, "_[_]") || kr_str_is(e->name, "_[?_]")) {
        const struct cel__node *key = x->node[1];

        *out = key->kind == NK_CONST && key->value.kind == KR_STRING
                   ? member_of(&x->shape[0], kr_text(key->value))
                   : item_of(&x->shape[0]);
        cost.max = plus(cost.max, look_up(x->shape[1].max));
    }
    if (kr_str_is(e->name, "_?._"))
        *out = member_of(&x->shape[0], kr_text(x->node[1]->value));
    if (kr_str_is(e->name, "_<_") || kr_str_is(e->name, "_<=_") || kr_str_is(e->name, "_>_") ||
        kr_str_is(e->name, "_>=_"))
        cost.max = plus(cost.max, look(x->shape[0].max));
    if (kr_str_is(e->name, "_?._"))
        cost.max = plus(cost.max, look_up(x->node[1]->value.n));
    return cost;
}

/* Operators that leave a part out: the least is what always runs. */
static bool branches(struct coster *c, const struct cel__node *e, struct cel_cost *cost,
                     struct shape *out)
{
    struct shape s[3] = {scalar, scalar, scalar};
    struct cel_cost part[3] = {{0, 0}};
    bool conditional = kr_str_is(e->name, "_?_:_");

    if (!conditional && !kr_str_is(e->name, "_&&_") && !kr_str_is(e->name, "_||_"))
        return false;
    for (uint32_t i = 0; i < e->args_n && i < KR_N(part); i++)
        part[i] = walk(c, e->args[i], &s[i]);
    *cost = (struct cel_cost){0, NODE_STEPS};
    *out = scalar;
    if (!conditional) {
        cost->min = part[0].min < part[1].min ? part[0].min : part[1].min;
        cost->max = plus(cost->max, plus(part[0].max, part[1].max));
        return true;
    }
    add(cost, part[0]);
    cost->min = plus(cost->min, part[1].min < part[2].min ? part[1].min : part[2].min);
    cost->max = plus(cost->max, part[1].max > part[2].max ? part[1].max : part[2].max);
    *out = either(c, s[1], s[2]);
    if (s[0].fixed)
        cost->min = part[1].min < part[2].min ? part[1].min : part[2].min;
    return true;
}

static struct cel_cost walk_call(struct coster *c, const struct cel__node *e, struct shape *out)
{
    struct cel_cost cost = {0, 0};
    struct args x = {.n = 0};
    bool fixed = true;

    if (branches(c, e, &cost, out))
        return cost;
    for (uint32_t i = 0; i < e->args_n + e->member; i++) {
        const struct cel__node *arg = e->member ? i ? e->args[i - 1] : e->target : e->args[i];
        struct shape s;

        add(&cost, walk(c, arg, &s));
        fixed = fixed && s.fixed;
        if (x.n == KR_N(x.node))
            continue;
        x.node[x.n] = arg;
        x.shape[x.n++] = s;
    }
    add(&cost, e->fn && (e->fn->overloads[0].row->flags & FN_OP) ? operation(c, e, &x, out)
                                                                 : function(c, e, &x, out));
    out->fixed = fixed;
    if (fixed || kr_str_is(e->name, "orValue") || kr_str_is(e->name, "or"))
        cost.min = 0; /* the alternative may be left out, and the call with it */
    return cost;
}

static struct cel_cost walk_literal(struct coster *c, const struct cel__node *e, struct shape *out)
{
    uint32_t step = e->kind == NK_MAP ? 2 : 1;
    uint32_t n = e->args_n / step;
    struct cel_cost cost = {0, plus(NODE_STEPS, n)};
    struct shape all = scalar;
    bool fixed = true;

    for (uint32_t i = 0; i < e->args_n; i++) {
        struct shape s;

        add(&cost, walk(c, e->args[i], &s));
        fixed = fixed && s.fixed;
        if (step == 2 && i % 2 == 0)
            cost.max = plus(cost.max, look_up(s.max));
        if (i % step == step - 1)
            all = i < step ? s : either(c, all, s);
    }
    /* repeated keys are one entry; the specification's check compares each with each */
    if (step == 2 && (c->env->libs & CEL_LIB_SPEC))
        cost.max = plus(cost.max, times(n, n));
    *out = (struct shape){e->kind == NK_LIST && !e->optional ? n : n > 0 && !e->optional, n, NULL,
                          keep(c, all), fixed};
    return cost;
}

/* A bound value is computed at most once, where it is wanted. */
static struct cel_cost walk_bind(struct coster *c, const struct cel__fold *f, struct shape *out)
{
    struct scope scope = {.up = c->scope, .name = f->accu};
    struct cel_cost init = walk(c, f->init, &scope.shape);
    struct cel_cost cost;

    c->scope = &scope;
    cost = walk(c, f->body, out);
    c->scope = scope.up;
    cost.max = plus(cost.max, plus(init.max, 2 * NODE_STEPS));
    return cost;
}

static struct shape fold_shape(struct coster *c, const struct cel__fold *f,
                               const struct shape *range, struct shape body)
{
    switch (f->kind) {
    case FOLD_LIST:
        return (struct shape){f->pred ? 0 : range->min, range->max, NULL, keep(c, body), false};
    case FOLD_MAP:
        return (struct shape){0, range->max, NULL, keep(c, body), false};
    case FOLD_MAP_ENTRY:
        return (struct shape){0, times(range->max, body.max), NULL, keep(c, item_of(&body)), false};
    }
    return scalar;
}

static struct cel_cost walk_fold(struct coster *c, const struct cel__fold *f, struct shape *out)
{
    struct shape range;
    struct shape body = scalar;
    struct shape ignored;
    struct cel_cost cost = walk(c, f->range, &range);
    struct cel_cost each = {0, 3 * NODE_STEPS};
    bool is_map = f->range->type->kind == TK_MAP;
    bool may_be_map = f->range->type->kind != TK_LIST;
    struct shape item = item_of(&range);
    struct shape key = is_map ? map_key : may_be_map ? unknown : scalar;
    struct scope outer = {c->scope, f->var1,
                          f->var2.n    ? key
                          : is_map     ? key
                          : may_be_map ? unknown
                                       : item};
    struct scope inner = {&outer, f->var2.n ? f->var2 : KR_S(""), item};

    c->scope = &inner;
    if (f->pred)
        add(&each, walk(c, f->pred, &ignored));
    if (f->body) {
        struct cel_cost made = walk(c, f->body, &body);

        each.max = plus(each.max, made.max);
        each.min = plus(each.min, f->pred ? 0 : made.min);
    }
    c->scope = outer.up;
    if (f->kind == FOLD_MAP_ENTRY)
        each.max = plus(each.max, times(body.max, 1 + KEY_STEPS));
    if (f->kind == FOLD_MAP)
        each.max = plus(each.max, look_up(key.max));
    if (f->kind == FOLD_ALL || f->kind == FOLD_EXISTS)
        cost.min = plus(cost.min, range.min ? each.min : 0); /* may end with the first */
    else
        cost.min = plus(cost.min, times(range.min, each.min));
    cost.max = plus(cost.max, plus(2 * NODE_STEPS, plus(range.max, times(range.max, each.max))));
    if (f->pred && f->kind != FOLD_ALL && f->kind != FOLD_EXISTS)
        cost.max = plus(cost.max, PRED_STEPS);
    *out = fold_shape(c, f, &range, body);
    return cost;
}

static struct shape shape_of_name(struct coster *c, const struct cel__node *e)
{
    const struct cel__var *var;

    if (e->local != CEL__NO_LOCAL) {
        for (const struct scope *s = c->scope; s; s = s->up) {
            if (kr_str_eq(s->name, e->name))
                return s->shape;
        }
        return unknown;
    }
    if (e->slot < CEL__SLOT_NONE) /* a type, or `runtime` */
        return (struct shape){.fixed = true};
    var = e->slot >= 0 ? cel__env_var(c->env, cel_env_name(c->env, (uint32_t)e->slot)) : NULL;
    if (var && var->schema)
        return shape_of_schema(var->schema);
    return is_scalar(e->type) ? scalar : unknown;
}

static struct cel_cost walk(struct coster *c, const struct cel__node *e, struct shape *out)
{
    struct cel_cost cost = {0, NODE_STEPS};
    struct shape target;

    *out = is_scalar(e->type) ? scalar : unknown;
    switch (e->kind) {
    case NK_CONST:
        if (e->value.kind == KR_STRING || e->value.kind == KR_BYTES)
            *out = (struct shape){e->value.n, e->value.n, NULL, NULL, false};
        out->fixed = true;
        return cost;
    case NK_IDENT:
        *out = shape_of_name(c, e);
        return cost;
    case NK_SELECT:
        if (e->slot != CEL__SLOT_NONE) { /* a dotted name */
            *out = shape_of_name(c, e);
            return cost;
        }
        add(&cost, walk(c, e->target, &target));
        cost.max = plus(cost.max, look_up(e->name.n));
        if (!e->test_only && !is_scalar(e->type))
            *out = member_of(&target, e->name);
        return cost;
    case NK_CALL:
        return walk_call(c, e, out);
    case NK_LIST:
    case NK_MAP:
        return walk_literal(c, e, out);
    case NK_FOLD:
        return e->fold->kind == FOLD_BIND ? walk_bind(c, e->fold, out) : walk_fold(c, e->fold, out);
    }
    return cost;
}

int cel_cost_estimate(struct kr_arena *a, const struct cel_env *env, kr_str text,
                      struct cel_cost *out, struct kr_err *err)
{
    struct kr_arena tmp = {0};
    struct cel__diags diags = {.a = &tmp, .source = text};
    struct cel__node *root = cel__parse(&tmp, env, &diags, text);
    struct coster c = {.a = &tmp, .env = env};
    struct shape shape;
    int rc = 0;

    if (root)
        cel__check(&tmp, env, &diags, root, false);
    if (diags.n)
        rc = cel__diags_fail(&diags, err);
    else
        *out = walk(&c, root, &shape);
    if (rc == 0)
        out->max = plus(out->max, 1); /* RETURN */
    kr_arena_fini(&tmp);
    return rc;
}
