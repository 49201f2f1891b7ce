/* SPDX-License-Identifier: Apache-2.0 */
/* json.c - the JSON reader over yajl's SAX interface, and the writer.
 *
 * yajl lexes, checks the grammar and calls back; this file builds. Finished values wait on a stack
 * until their list or map ends; then they are moved into one array of exact size in the arena:
 *
 *   stack   | apiVersion "v1" | metadata ... | labels "a" "1" "b" "2" |
 *   frames    ^ top map                        ^ map in the making: key, value, key, value
 *
 * A split list's items are built in an arena of their own, which is reset after each of them; the
 * document around them stays in the other arena.
 *
 * What yajl does not do and this file adds: exact UTF-8 and surrogate checks, the limits, and an
 * exact account of where a document begins, so that limits do not depend on how bytes are chunked.
 * yajl decodes a lone surrogate escape to nonsense without a word, so escapes are scanned before
 * yajl sees them (backslashes are rare: the scan is a memchr). And as yajl lexes a token that is
 * cut again from its start with each chunk, a token may not go on for ever: see stalled.
 */
#include "cel/base/json.h"

#include <math.h>
#include <stdio.h>
#include <yajl/yajl_parse.h>

#include "cel/base/banned.h"
#include "cel/base/digest.h"
#include "cel/base/internal.h"
#include "cel/base/num.h"
#include "cel/base/time.h"
#include "cel/base/utf8.h"

enum {
    NUMBER_MAX = 512,      /* bytes of a number's text */
    SKIP_MAX = 16,         /* skip paths */
    SKIP_PARTS_MAX = 8,    /* member names in one of them */
    STACK_FIRST = 256,     /* values */
    STACK_KEEP = 16 * 1024 /* values; a larger stack is given back after a document */
};

struct frame {
    uint32_t start; /* stack height when it began */
    bool map;
    uint8_t level; /* which name of a skip path the members of this map are compared with */
    uint16_t skip; /* skip paths that match so far, a bit each */
};

struct skip_path {
    kr_str part[SKIP_PARTS_MAX];
    uint8_t n;
};

/* Where the scan for surrogate escapes stands, between any two bytes. */
struct escapes {
    enum { ESC_NONE, ESC_SLASH, ESC_HEX, ESC_WANT_SLASH, ESC_WANT_U } state;
    uint8_t digits; /* hex digits seen */
    bool want_low;  /* the escape before was a high surrogate */
    uint32_t value;
};

struct kr_json {
    struct kr_json_opts opts;
    yajl_handle yajl;
    uint16_t skips_all; /* a bit for each skip path */

    struct kr_arena doc_own, item;
    struct kr_arena *doc; /* doc_own, or opts.into */
    struct kr_arena *now; /* where values go: doc or item */
    kr_val *stack;
    uint32_t stack_n, stack_cap;
    uint32_t depth;
    uint32_t skip_depth; /* depth at which a skipped container began + 1; 0: not skipping */
    bool skip_next;      /* the value of the key just read is not built */
    uint16_t key_skip;   /* skip paths that match up to the key just read */
    bool key_split;      /* the key just read is the split member */
    bool splitting;      /* inside the split list, at depth >= 2 */
    uint32_t doc_nodes, item_nodes;
    uint64_t events; /* tokens seen, commas and colons apart */
    size_t stalled;  /* bytes since a chunk last brought an event */

    size_t base;      /* bytes fed before the current chunk */
    bool open;        /* a document has begun */
    size_t start;     /* offset of its first byte */
    size_t item_mark; /* offset where the current item's account begins */
    size_t items_bytes;
    size_t last_end; /* offset behind the last document */
    uint64_t docs;
    struct escapes esc;

    int rc; /* the failure, once there was one */
    struct kr_err *err;

    /* Written before they are read, and large: a new reader does not clear them. */
    struct skip_path skips[SKIP_MAX];
    struct frame frames[KR_JSON_DEPTH_MAX];
};

/* ---- limits and failures inside callbacks: yajl stops on 0 ---- */

static int stop(struct kr_json *j, int rc)
{
    j->rc = rc;
    return 0;
}

static size_t offset_now(const struct kr_json *j)
{
    return j->base + yajl_get_bytes_consumed(j->yajl);
}

/* Is the document, or the item in a split list, longer than allowed at offset now? */
static bool too_long(const struct kr_json *j, size_t now)
{
    size_t item = j->splitting ? now - j->item_mark : 0;

    return j->open &&
           (item > j->opts.doc_max || now - j->start - j->items_bytes - item > j->opts.doc_max);
}

static int fail_too_long(struct kr_json *j)
{
    return kr_fail(j->err, KR_E_LIMIT, "JSON %s that begins at byte %zu is over %zu bytes",
                   j->splitting ? "list item" : "document", j->splitting ? j->item_mark : j->start,
                   j->opts.doc_max);
}

static bool count_node(struct kr_json *j)
{
    uint32_t *n = j->splitting ? &j->item_nodes : &j->doc_nodes;

    j->events++;
    if (++*n <= KR_JSON_NODES_MAX)
        return true;
    stop(j, kr_fail(j->err, KR_E_LIMIT, "JSON document has over %d values", KR_JSON_NODES_MAX));
    return false;
}

/* A value begins. token_n: its bytes so far, as far as known. */
static bool begin_value(struct kr_json *j, size_t token_n)
{
    if (j->depth == 0) {
        if (j->opts.one && j->docs > 0) {
            stop(j, kr_fail(j->err, KR_E_INPUT,
                            "more than one JSON document: the second ends the "
                            "first at byte %zu",
                            j->last_end));
            return false;
        }
        if (!j->open) {
            j->open = true;
            j->start = offset_now(j) - token_n;
        }
    }
    return count_node(j);
}

/* ---- building ---- */

static void push(struct kr_json *j, kr_val v)
{
    if (__builtin_expect(j->stack_n == j->stack_cap, 0)) {
        j->stack_cap = j->stack_cap ? j->stack_cap * 2 : STACK_FIRST;
        j->stack = kr_realloc(j->stack, sizeof(*j->stack) * j->stack_cap);
    }
    j->stack[j->stack_n++] = v;
}

static int deliver_doc(struct kr_json *j, kr_val v)
{
    int rc = 0;

    if (too_long(j, offset_now(j)))
        return stop(j, fail_too_long(j));
    j->open = false;
    j->items_bytes = 0;
    j->last_end = offset_now(j);
    j->docs++;
    j->doc_nodes = 0;
    j->stack_n = 0;
    if (j->opts.on_doc)
        rc = j->opts.on_doc(j->opts.arg, j->doc, v, j->err);
    if (j->doc == &j->doc_own)
        kr_arena_reset(j->doc);
    if (j->stack_cap > STACK_KEEP) {
        kr_free(j->stack);
        j->stack = NULL;
        j->stack_cap = 0;
    }
    return rc < 0 ? stop(j, rc) : 1;
}

static int deliver_item(struct kr_json *j, kr_val v)
{
    size_t now = offset_now(j);
    int rc = 0;

    if (too_long(j, now))
        return stop(j, fail_too_long(j));
    j->items_bytes += now - j->item_mark;
    j->item_mark = now;
    j->item_nodes = 0;
    if (j->opts.on_item)
        rc = j->opts.on_item(j->opts.arg, &j->item, v, j->err);
    kr_arena_reset(&j->item);
    return rc < 0 ? stop(j, rc) : 1;
}

static int end_value(struct kr_json *j, kr_val v)
{
    if (j->depth == 0)
        return deliver_doc(j, v);
    if (j->splitting && j->depth == 2)
        return deliver_item(j, v);
    push(j, v);
    return 1;
}

/* True when the scalar that came belongs to something skipped. */
static bool skipped(struct kr_json *j)
{
    if (j->skip_next) {
        j->skip_next = false;
        return true;
    }
    return j->skip_depth != 0;
}

static int scalar(struct kr_json *j, kr_val v, size_t token_n)
{
    if (!begin_value(j, token_n))
        return 0;
    return skipped(j) ? 1 : end_value(j, v);
}

/* ---- yajl's callbacks ---- */

static int on_null(void *arg)
{
    return scalar(arg, KR_V_NULL, 4);
}

static int on_boolean(void *arg, int b)
{
    return scalar(arg, kr_bool(b != 0), b ? 4 : 5);
}

/* An integer literal of up to 18 digits, the usual case; false: not that. */
static bool small_integer(const char *s, size_t n, int64_t *out)
{
    bool neg = s[0] == '-';
    int64_t i = 0;
    size_t at = neg;

    if (n - at > 18)
        return false;
    for (; at < n; at++) {
        if (s[at] < '0' || s[at] > '9')
            return false;
        i = i * 10 + (s[at] - '0');
    }
    *out = neg ? -i : i;
    return true;
}

static int on_number(void *arg, const char *s, size_t n)
{
    struct kr_json *j = arg;
    kr_str text = {s, n};
    int64_t i;
    uint64_t u;
    double d;

    if (small_integer(s, n, &i))
        return scalar(j, kr_int(i), n);
    if (n > NUMBER_MAX)
        return stop(j, kr_fail(j->err, KR_E_LIMIT,
                               "JSON number that ends at byte %zu is over %d bytes", offset_now(j),
                               NUMBER_MAX));
    if (kr_str_i64(text, &i))
        return scalar(j, kr_int(i), n);
    if (kr_str_u64(text, &u))
        return scalar(j, kr_uint(u), n);
    if (!kr_num_parse_double(text, &d))
        return stop(j, kr_fail(j->err, KR_E_INPUT, "not JSON: number out of range, at byte %zu",
                               offset_now(j)));
    return scalar(j, kr_double(d), n);
}

static int fail_long_string(struct kr_json *j, size_t end)
{
    return kr_fail(j->err, KR_E_LIMIT, "JSON string or blanks before byte %zu are over %d bytes",
                   end, KR_JSON_STRING_MAX);
}

/* Copies a string into the arena. False when it is not UTF-8 or too long. */
static bool build_string(struct kr_json *j, const unsigned char *s, size_t n, kr_val *out)
{
    kr_str text = {(const char *)s, n};
    bool ascii = kr_ascii(text);
    char *copy;

    if (n > KR_JSON_STRING_MAX) {
        stop(j, fail_long_string(j, offset_now(j)));
        return false;
    }
    if (!ascii && !kr_utf8_valid(text)) {
        stop(j,
             kr_fail(j->err, KR_E_INPUT,
                     "not JSON: invalid UTF-8 in the string that ends at byte %zu", offset_now(j)));
        return false;
    }
    copy = kr_arena_bytes(j->now, n);
    if (n)
        memcpy(copy, s, n);
    *out =
        (kr_val){.kind = KR_STRING, .flags = ascii ? KR_F_ASCII : 0, .n = (uint32_t)n, .s = copy};
    return true;
}

static int on_string(void *arg, const unsigned char *s, size_t n)
{
    struct kr_json *j = arg;
    kr_val v;

    if (!begin_value(j, n + 2))
        return 0;
    if (skipped(j))
        return 1;
    return build_string(j, s, n, &v) ? end_value(j, v) : 0;
}

/* Compares the key with the skip paths of the map it is in. */
static void match_skips(struct kr_json *j, const struct frame *f, kr_str key)
{
    j->key_skip = 0;
    for (uint32_t i = 0; i < SKIP_MAX && f->skip >> i; i++) {
        const struct skip_path *p = &j->skips[i];

        if (!(f->skip >> i & 1) || !kr_str_eq(p->part[f->level], key))
            continue;
        if (f->level + 1 == p->n)
            j->skip_next = true;
        else
            j->key_skip |= (uint16_t)(1u << i);
    }
}

static int on_map_key(void *arg, const unsigned char *s, size_t n)
{
    struct kr_json *j = arg;
    const struct frame *f = &j->frames[j->depth - 1];
    kr_str key = {(const char *)s, n};
    kr_val v;

    j->events++;
    if (j->skip_depth)
        return 1;
    j->key_skip = 0;
    if (f->skip)
        match_skips(j, f, key);
    if (j->skip_next)
        return 1;
    j->key_split = j->depth == 1 && j->opts.split && kr_str_eq(key, kr_str_c(j->opts.split));
    if (!build_string(j, s, n, &v))
        return 0;
    push(j, v);
    return 1;
}

static int start_container(struct kr_json *j, bool map)
{
    struct frame *f;

    if (j->depth == KR_JSON_DEPTH_MAX)
        return stop(j, kr_fail(j->err, KR_E_LIMIT, "JSON nested over %d levels, at byte %zu",
                               KR_JSON_DEPTH_MAX, offset_now(j)));
    if (!begin_value(j, 1))
        return 0;
    f = &j->frames[j->depth++];
    *f = (struct frame){.start = j->stack_n, .map = map, .skip = j->skips_all};
    if (j->skip_next) {
        j->skip_next = false;
        j->skip_depth = j->depth;
    }
    if (j->depth > 1) {
        const struct frame *outer = f - 1;

        f->skip = outer->map ? j->key_skip : outer->skip;
        f->level = (uint8_t)(outer->level + (outer->map ? 1 : 0));
    }
    return 1;
}

static int on_start_map(void *arg)
{
    return start_container(arg, true);
}

static int on_start_array(void *arg)
{
    struct kr_json *j = arg;

    if (!start_container(j, false))
        return 0;
    if (j->depth == 2 && j->frames[0].map && j->key_split && !j->skip_depth) {
        j->splitting = true;
        j->now = &j->item;
        j->item_mark = offset_now(j);
    }
    return 1;
}

/* Leaves a container. True when it was skipped. */
static bool leave(struct kr_json *j)
{
    bool skip = j->skip_depth != 0;

    j->events++;
    if (j->skip_depth == j->depth)
        j->skip_depth = 0;
    j->depth--;
    return skip;
}

/* Is v sorted already, without equal keys? So it is with what Go's encoder made of a map. */
static bool ascending(const struct kr_pair *p, uint32_t n)
{
    for (uint32_t i = 1; i < n; i++) {
        if (kr_str_cmp(kr_text(p[i - 1].key), kr_text(p[i].key)) >= 0)
            return false;
    }
    return true;
}

static int on_end_map(void *arg)
{
    struct kr_json *j = arg;
    uint32_t start, n;
    struct kr_pair *pairs;

    if (leave(j))
        return 1;
    start = j->frames[j->depth].start;
    n = (j->stack_n - start) / 2;
    pairs = kr_arena_raw(j->now, sizeof(*pairs) * n);
    if (n)
        memcpy(pairs, j->stack + start, sizeof(*pairs) * n);
    j->stack_n = start;
    if (!ascending(pairs, n))
        n = kr__pairs_sort(pairs, n);
    return end_value(j, kr_map_sorted(pairs, n));
}

static int on_end_array(void *arg)
{
    struct kr_json *j = arg;
    uint32_t start, n;
    kr_val *items;

    if (leave(j))
        return 1;
    if (j->splitting && j->depth == 1) {
        j->items_bytes += offset_now(j) - j->item_mark;
        j->splitting = false;
        j->now = j->doc;
    }
    start = j->frames[j->depth].start;
    n = j->stack_n - start;
    items = kr_arena_raw(j->now, sizeof(*items) * n);
    if (n)
        memcpy(items, j->stack + start, sizeof(*items) * n);
    j->stack_n = start;
    return end_value(j, kr_list(items, n));
}

static yajl_callbacks callbacks = {
    .yajl_null = on_null,
    .yajl_boolean = on_boolean,
    .yajl_number = on_number,
    .yajl_string = on_string,
    .yajl_start_map = on_start_map,
    .yajl_map_key = on_map_key,
    .yajl_end_map = on_end_map,
    .yajl_start_array = on_start_array,
    .yajl_end_array = on_end_array,
};

/* ---- the scan for lone surrogate escapes ---- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The four digits are complete. False: a surrogate stands alone. */
static bool escape_done(struct escapes *e)
{
    bool high = e->value >= 0xD800 && e->value <= 0xDBFF;
    bool low = e->value >= 0xDC00 && e->value <= 0xDFFF;

    if (e->want_low != low)
        return false;
    e->want_low = high;
    e->state = high ? ESC_WANT_SLASH : ESC_NONE;
    return true;
}

/* Takes the next byte of an escape. False: a surrogate stands alone. Bytes that make no escape at
 * all are left for yajl to refuse. */
static bool escape_step(struct escapes *e, char c)
{
    switch (e->state) {
    case ESC_NONE:
        if (c == '\\')
            e->state = ESC_SLASH;
        return true;
    case ESC_SLASH:
        e->state = c == 'u' ? ESC_HEX : ESC_NONE;
        e->digits = 0;
        e->value = 0;
        return true;
    case ESC_WANT_SLASH:
        e->state = ESC_WANT_U;
        return c == '\\';
    case ESC_WANT_U:
        e->state = ESC_HEX;
        e->digits = 0;
        e->value = 0;
        return c == 'u';
    case ESC_HEX:
        if (hex_digit(c) < 0) {
            e->state = ESC_NONE;
            return !e->want_low;
        }
        e->value = e->value << 4 | (uint32_t)hex_digit(c);
        return ++e->digits < 4 || escape_done(e);
    }
    return true;
}

/* Bytes up to and without the one that leaves a surrogate alone; n when there is none. */
static size_t scan_escapes(struct escapes *e, const char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (e->state == ESC_NONE) {
            const char *slash = memchr(bytes + i, '\\', n - i);

            if (!slash)
                return n;
            i = (size_t)(slash - bytes);
        }
        if (!escape_step(e, bytes[i]))
            return i;
    }
    return n;
}

/* ---- life ---- */

static void *yajl_get(void *ctx, size_t n)
{
    return kr_realloc(NULL, n);
}

static void *yajl_grow(void *ctx, void *p, size_t n)
{
    return kr_realloc(p, n);
}

static void yajl_put(void *ctx, void *p)
{
    kr_free(p);
}

static void compile_skips(struct kr_json *j)
{
    uint32_t n = 0;

    for (const char *const *s = j->opts.skip; s && *s; s++, n++) {
        kr_str rest = kr_str_c(*s);

        KR_ASSERT(n < SKIP_MAX);
        j->skips[n].n = 0;
        while (rest.s) {
            KR_ASSERT(j->skips[n].n < SKIP_PARTS_MAX);
            j->skips[n].part[j->skips[n].n++] = kr_str_cut(&rest, '.');
        }
        j->skips_all |= (uint16_t)(1u << n);
    }
}

struct kr_json *kr_json_new(const struct kr_json_opts *opts)
{
    static yajl_alloc_funcs memory = {.malloc = yajl_get, .realloc = yajl_grow, .free = yajl_put};
    struct kr_json *j = kr_realloc(NULL, sizeof *j);

    memset(j, 0, offsetof(struct kr_json, skips));
    j->opts = *opts;
    if (j->opts.doc_max == 0)
        j->opts.doc_max = KR_JSON_DOC_MAX;
    j->doc = j->now = opts->into ? opts->into : &j->doc_own;
    compile_skips(j);
    j->yajl = yajl_alloc(&callbacks, &memory, j);
    yajl_config(j->yajl, yajl_allow_multiple_values, 1);
    yajl_config(j->yajl, yajl_dont_validate_strings, 1); /* build_string is stricter */
    return j;
}

void kr_json_free(struct kr_json *j)
{
    if (!j)
        return;
    yajl_free(j->yajl);
    kr_arena_fini(&j->doc_own);
    kr_arena_fini(&j->item);
    kr_free(j->stack);
    kr_free(j);
}

/* ---- feeding ---- */

/* Where the byte stands that does not fit: in most lexical errors yajl has put it back. */
static size_t bad_byte(const struct kr_json *j, kr_str why)
{
    size_t at = yajl_get_bytes_consumed(j->yajl);
    bool put_back = kr_str_starts(why, KR_S("lexical error")) &&
                    kr_str_find(why, KR_S("invalid char in json text")) < 0;

    return at > 0 && !put_back ? at - 1 : at;
}

/* yajl's own words, without its line end and without more of the document than one byte. */
static int fail_syntax(struct kr_json *j, const char *bytes, size_t n)
{
    unsigned char *text = yajl_get_error(j->yajl, 0, NULL, 0);
    kr_str why = kr_str_trim(kr_str_c((const char *)text));
    size_t at = bad_byte(j, why);
    bool moved =
        kr_str_find(why, KR_S("after key and value")) >= 0; /* here yajl steps back, somewhat */
    char found[16] = "the end";
    int rc;

    if (kr_str_ends(why, KR_S(".")))
        why.n--;
    if (moved)
        snprintf(found, sizeof(found), "another token");
    else if (at < n && bytes[at] > ' ' && bytes[at] < 0x7F)
        snprintf(found, sizeof(found), "'%c'", bytes[at]);
    else if (at < n)
        snprintf(found, sizeof(found), "0x%02x", (uint8_t)bytes[at]);
    rc = kr_fail(j->err, KR_E_INPUT, "not JSON: " KR_FMT ": found %s %s byte %zu", KR_ARG(why),
                 found, moved ? "near" : "at", j->base + at);
    yajl_free_error(j->yajl, text);
    return rc;
}

static bool json_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* After a chunk that left no document open: has the next one begun in its rest? */
static void find_start(struct kr_json *j, const char *bytes, size_t n)
{
    size_t i = j->last_end > j->base ? j->last_end - j->base : 0;

    while (i < n && json_blank(bytes[i]))
        i++;
    if (i < n) {
        j->open = true;
        j->start = j->base + i;
    }
}

static int feed_checked(struct kr_json *j, const char *bytes, size_t n)
{
    uint64_t events = j->events;
    yajl_status status = yajl_parse(j->yajl, (const unsigned char *)bytes, n);

    if (status == yajl_status_client_canceled)
        return j->rc;
    if (status != yajl_status_ok)
        return fail_syntax(j, bytes, n);
    if (!j->open)
        find_start(j, bytes, n);
    j->base += n;
    j->stalled = j->open && j->events == events ? j->stalled + n : 0;
    if (j->stalled > KR_JSON_STRING_MAX)
        return fail_long_string(j, j->base);
    return too_long(j, j->base) ? fail_too_long(j) : 0;
}

int kr_json_feed(struct kr_json *j, const char *bytes, size_t n, struct kr_err *err)
{
    size_t good;

    KR_ASSERT(j->rc == 0);
    if (n == 0)
        return 0;
    good = scan_escapes(&j->esc, bytes, n);
    j->err = err;
    if (good > 0)
        j->rc = feed_checked(j, bytes, good);
    if (j->rc == 0 && good < n)
        j->rc = kr_fail(err, KR_E_INPUT, "not JSON: lone surrogate escape at byte %zu", j->base);
    j->err = NULL;
    return j->rc;
}

int kr_json_end(struct kr_json *j, struct kr_err *err)
{
    KR_ASSERT(j->rc == 0);
    j->err = err;
    if (j->open) /* a number ends where something else begins */
        j->rc = feed_checked(j, " ", 1);
    j->err = NULL;
    if (j->rc == 0 && j->open)
        j->rc = kr_fail(err, KR_E_INPUT,
                        "not JSON: the document that begins at byte %zu ends early", j->start);
    if (j->rc == 0 && j->opts.one && j->docs == 0)
        j->rc = kr_fail(err, KR_E_INPUT, "not JSON: there is no document");
    return j->rc;
}

size_t kr_json_pending(const struct kr_json *j)
{
    return j->open ? j->base - j->start : 0;
}

static int take_value(void *arg, struct kr_arena *a, kr_val v, struct kr_err *err)
{
    *(kr_val *)arg = v;
    return 0;
}

int kr_json_parse(struct kr_arena *a, kr_str text, kr_val *out, struct kr_err *err)
{
    kr_val v = KR_V_NONE;
    const struct kr_json_opts opts = {.one = true, .into = a, .on_doc = take_value, .arg = &v};
    KR_AUTO_PTR(kr_json) j = kr_json_new(&opts);

    KR_TRY(kr_json_feed(j, text.s, text.n, err));
    KR_TRY(kr_json_end(j, err));
    *out = v;
    return 0;
}

/* ---- writing ---- */

/* 0: as it is; 'u': \u00XX; 'h': the same with KR_JSON_HTML only; '8': begins a longer sequence;
 * else the letter behind the backslash. */
static char escape_class(uint8_t c)
{
    switch (c) {
    case '"':
    case '\\':
        return (char)c;
    case '\b':
        return 'b';
    case '\f':
        return 'f';
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    case '<':
    case '>':
    case '&':
        return 'h';
    default:
        return c < 0x20 ? 'u' : c >= 0x80 ? '8' : 0;
    }
}

/* Bytes that stand in a JSON string as they are, whatever the flags: not " & < > \ */
static const bool plain[256] = {
    [' ' ... '!'] = true, ['#' ... '%'] = true, ['\'' ... ';'] = true,
    ['='] = true,         ['?' ... '['] = true, [']' ... 0x7F] = true,
};

/* A sequence over 0x7F: invalid bytes become U+FFFD; the two line separators are escaped, as they
 * end a line in JavaScript. Returns the bytes it took. */
static size_t quote_rune(struct kr_buf *b, kr_str s)
{
    uint32_t len;
    uint32_t rune = kr_utf8_decode(s.s, s.n, &len);

    if (rune == KR_RUNE_BAD && len == 1)
        kr_buf_str(b, KR_S("\\ufffd"));
    else if (rune == 0x2028 || rune == 0x2029)
        kr_buf_fmt(b, "\\u%04x", rune);
    else
        kr_buf_add(b, s.s, len);
    return len;
}

/* How many bytes from i on stand as they are: four at a time as long as there are. */
static size_t plain_until(kr_str s, size_t i)
{
    const uint8_t *p = (const uint8_t *)s.s;

    while (i + 4 <= s.n && (plain[p[i]] & plain[p[i + 1]] & plain[p[i + 2]] & plain[p[i + 3]]))
        i += 4;
    while (i < s.n && plain[p[i]])
        i++;
    return i;
}

/* \u00XX */
static void quote_byte(struct kr_buf *b, uint8_t c)
{
    static const char digits[] = "0123456789abcdef";

    kr_buf_add(b, (char[]){'\\', 'u', '0', '0', digits[c >> 4], digits[c & 15]}, 6);
}

void kr_json_quote(struct kr_buf *b, kr_str s, unsigned flags)
{
    size_t from = 0, i = plain_until(s, 0);

    kr_buf_chr(b, '"');
    while (i < s.n) {
        uint8_t c = (uint8_t)s.s[i];
        char class;

        if (plain[c]) {
            i = plain_until(s, i);
            continue;
        }
        class = escape_class(c);
        if (class == 'h' && !(flags & KR_JSON_HTML)) {
            i++;
            continue;
        }
        kr_buf_add(b, s.s + from, i - from);
        if (class == '8') {
            i += quote_rune(b, kr_str_sub(s, i, s.n));
        } else {
            if (class == 'u' || class == 'h')
                quote_byte(b, c);
            else
                kr_buf_add(b, (char[]){'\\', class}, 2);
            i++;
        }
        from = i;
    }
    if (s.n > from)
        kr_buf_add(b, s.s + from, s.n - from);
    kr_buf_chr(b, '"');
}

struct writer {
    struct kr_buf *b;
    unsigned flags;
    uint32_t depth;
    struct kr_err *err;
};

static int write_value(struct writer *w, kr_val v);

static void line_break(struct writer *w)
{
    if (!(w->flags & KR_JSON_INDENT))
        return;
    kr_buf_chr(w->b, '\n');
    for (uint32_t i = 0; i < w->depth; i++)
        kr_buf_str(w->b, KR_S("  "));
}

static bool left_out(kr_val v)
{
    return v.kind == KR_NONE || v.kind == KR_OMIT;
}

static int enter(struct writer *w, char c)
{
    if (++w->depth > KR_JSON_DEPTH_MAX)
        return kr_fail(w->err, KR_E_LIMIT, "value nested over %d levels", KR_JSON_DEPTH_MAX);
    kr_buf_chr(w->b, c);
    return 0;
}

static void leave_with(struct writer *w, bool empty, char c)
{
    w->depth--;
    if (!empty)
        line_break(w);
    kr_buf_chr(w->b, c);
}

static int write_list(struct writer *w, kr_val v)
{
    bool empty = true;

    KR_TRY(enter(w, '['));
    KR_LIST_EACH (it, v) {
        if (left_out(*it))
            continue;
        if (!empty)
            kr_buf_chr(w->b, ',');
        empty = false;
        line_break(w);
        KR_TRY(write_value(w, *it));
    }
    leave_with(w, empty, ']');
    return 0;
}

static int write_key(struct writer *w, kr_val k)
{
    char text[KR_NUM_TEXT_MAX];

    switch (k.kind) {
    case KR_STRING:
        kr_json_quote(w->b, kr_text(k), w->flags);
        return 0;
    case KR_BOOL:
        kr_buf_str(w->b, k.b ? KR_S("\"true\"") : KR_S("\"false\""));
        return 0;
    case KR_INT:
        kr_num_i64(k.i, text);
        break;
    case KR_UINT:
        kr_num_u64(k.u, text);
        break;
    default:
        return kr_fail(w->err, KR_E_INPUT, "a map key of kind %s has no JSON form",
                       kr_kind_name(k.kind));
    }
    kr_buf_fmt(w->b, "\"%s\"", text);
    return 0;
}

static int write_map(struct writer *w, kr_val v)
{
    bool empty = true;

    KR_TRY(enter(w, '{'));
    KR_MAP_EACH (p, v) {
        if (left_out(p->val))
            continue;
        if (!empty)
            kr_buf_chr(w->b, ',');
        empty = false;
        line_break(w);
        KR_TRY(write_key(w, p->key));
        kr_buf_chr(w->b, ':');
        if (w->flags & KR_JSON_INDENT)
            kr_buf_chr(w->b, ' ');
        KR_TRY(write_value(w, p->val));
    }
    leave_with(w, empty, '}');
    return 0;
}

static int write_double(struct writer *w, double d)
{
    char text[KR_NUM_TEXT_MAX];

    if (!isfinite(d)) { /* Same words as Go: encoding/json UnsupportedValueError. */
        kr_num_g(d, text);
        return kr_fail(w->err, KR_E_INPUT, "json: unsupported value: %s", text);
    }
    kr_buf_add(w->b, text, kr_num_json(d, text));
    return 0;
}

static void write_bytes(struct writer *w, kr_val v)
{
    KR_AUTO(kr_arena) a = {0};

    kr_json_quote(w->b, kr_base64_encode(&a, kr_text(v), KR_BASE64_STD), 0);
}

static int write_time(struct writer *w, kr_val v)
{
    char text[KR_TIME_TEXT_MAX];
    size_t n = v.kind == KR_DURATION ? kr_duration_text(v.i, text)
                                     : kr_time_text_zone(v.i, v.n, (int16_t)v.aux, text);

    kr_json_quote(w->b, (kr_str){text, n}, 0);
    return 0;
}

static int write_value(struct writer *w, kr_val v)
{
    char text[KR_NUM_TEXT_MAX];

    switch (v.kind) {
    case KR_NONE:
    case KR_OMIT:
    case KR_NULL:
        kr_buf_str(w->b, KR_S("null"));
        return 0;
    case KR_BOOL:
        kr_buf_str(w->b, v.b ? KR_S("true") : KR_S("false"));
        return 0;
    case KR_INT:
        kr_buf_add(w->b, text, kr_num_i64(v.i, text));
        return 0;
    case KR_UINT:
        kr_buf_add(w->b, text, kr_num_u64(v.u, text));
        return 0;
    case KR_DOUBLE:
        return write_double(w, v.d);
    case KR_STRING:
        kr_json_quote(w->b, kr_text(v), w->flags);
        return 0;
    case KR_LIST:
        return write_list(w, v);
    case KR_MAP:
        return write_map(w, v);
    case KR_BYTES:
        write_bytes(w, v);
        return 0;
    case KR_DURATION:
    case KR_TIMESTAMP:
        return write_time(w, v);
    case KR_OPTIONAL:
        return write_value(w, v.ref ? *v.ref : KR_V_NULL);
    default:
        return kr_fail(w->err, KR_E_INPUT, "a value of kind %s has no JSON form",
                       kr_kind_name(v.kind));
    }
}

int kr_json_write(struct kr_buf *b, kr_val v, unsigned flags, struct kr_err *err)
{
    struct writer w = {.b = b, .flags = flags, .err = err};

    KR_TRY(write_value(&w, v));
    if (b->full)
        return kr_fail(err, KR_E_LIMIT, "JSON text is over %zu bytes", b->max);
    return 0;
}

kr_str kr_json_str(struct kr_arena *a, kr_val v)
{
    KR_AUTO(kr_buf) b = KR_BUF(SIZE_MAX / 2);
    int rc = kr_json_write(&b, v, 0, NULL);

    KR_ASSERT(rc == 0);
    return kr_strdup(a, kr_buf_view(&b));
}
