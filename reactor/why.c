/* SPDX-License-Identifier: Apache-2.0 */
/* why.c - the blocks of entries behind `kroc why`, and their two pages.
 *
 * An entry is a fixed head and its strings behind it, each a length and bytes, or WORD and the number of a
 * word:
 *
 *   | head: time, kind, numbers | node | type | object | verb | path | from | to or text |
 *
 * A request's cause is not stored: it is the last change before it of what its path names. So an
 * entry refers to no other, and the oldest can go at any time. The expression that read the path is
 * not stored either: the serving revision names it when the page is asked for.
 */
#include "reactor/why.h"

#include <stdio.h>

#include "cel/base/digest.h"
#include "cel/base/json.h"
#include "cel/base/map.h"
#include "cel/base/time.h"

#include "cel/base/banned.h"

enum {
    STRINGS = 7,
    BLOCK_MIN = 256,
    DIGEST_SHOWN = 8, /* bytes of a digest that are shown */
    WORD = 255,       /* no length, but the mark of a word */
    WORD_BYTES = 3,   /* WORD and two bytes of its number */
};

/* The words, for the process and as long as it; not for threads. */
static struct {
    struct kr_map numbers; /* text -> number + 1; borrows texts */
    kr_str texts[REACTOR_WHY_WORDS_MAX];
} vocabulary = {.numbers = {.borrows = true}};

/* Copied, never pointed at: it stands at any address. */
struct __attribute__((packed)) head {
    uint64_t at_ms : 48, times : 16; /* since the epoch: for 8,000 years */
    uint64_t version : 48, code : 16;
    uint32_t took_ms : 24, kind : 2, what : 3, absent : 1, answered : 1;
    int32_t revision;
    uint16_t seq, bytes; /* seq: the low half, the log has the whole of the last one */
};
enum { TOOK_MAX = (1 << 24) - 1 };
#define VERSION_MAX ((1ull << 48) - 1) /* no etcd comes there; a larger one is unknown */

_Static_assert(sizeof(struct head) == 28, "a fleet has tens of thousands");
_Static_assert(sizeof(struct head) + STRINGS * (size_t)(REACTOR_WHY_TEXT_MAX + 1) <
                   REACTOR_WHY_INST_BYTES,
               "the largest entry fits into a block");
_Static_assert((int)REACTOR_WHY_TEXT_MAX < (int)WORD && REACTOR_WHY_INST_BYTES <= UINT16_MAX,
               "lengths fit");
_Static_assert(REACTOR_WHY_WORDS_MAX <= UINT16_MAX, "the number of a word fits");

/* --- values ----------------------------------------------------------------------------------- */

void reactor_whys_init(struct reactor_whys *w, const uint8_t key[REACTOR_WHY_KEY_BYTES])
{
    *w = (struct reactor_whys){.bytes_max = REACTOR_WHY_ALL_BYTES};
    kr_link_init(&w->large);
    kr_link_init(&w->small);
    memcpy(w->key, key, REACTOR_WHY_KEY_BYTES);
}

static bool names_a_secret(kr_str name)
{
    static const char *const words[] = {"password", "passwd",  "secret",     "token",
                                        "apikey",   "api_key", "privatekey", "credential"};
    char lower[REACTOR_WHY_TEXT_MAX];
    size_t n = name.n < sizeof lower ? name.n : sizeof lower;

    for (size_t i = 0; i < n; i++)
        lower[i] = (char)(name.s[i] >= 'A' && name.s[i] <= 'Z' ? name.s[i] + 32 : name.s[i]);
    for (size_t i = 0; i < KR_N(words); i++) {
        if (kr_str_find((kr_str){lower, n}, kr_str_c(words[i])) >= 0)
            return true;
    }
    return false;
}

bool reactor_why_is_secret(kr_gvr gvr, const kr_str *names, uint32_t n)
{
    bool meta = n > 0 && kr_str_is(names[0], "metadata");

    if (gvr.group.n == 0 && kr_str_is(gvr.resource, "secrets") &&
        !(meta && n > 1 && !kr_str_is(names[1], "annotations")))
        return true; /* kubectl's annotation last-applied has the whole of it */
    for (uint32_t i = 0; i < n; i++) {
        if (names_a_secret(names[i]))
            return true;
    }
    return false;
}

static kr_str digest_of(const struct reactor_whys *w, struct kr_arena *a, kr_str text)
{
    uint8_t sum[KR_DIGEST_MAX];
    char *keyed = kr_arena_bytes(a, REACTOR_WHY_KEY_BYTES + text.n);

    memcpy(keyed, w->key, REACTOR_WHY_KEY_BYTES);
    if (text.n)
        memcpy(keyed + REACTOR_WHY_KEY_BYTES, text.s, text.n);
    kr_digest_bytes(KR_SHA256, (kr_str){keyed, REACTOR_WHY_KEY_BYTES + text.n}, sum);
    return kr_fmt(a, "digest:" KR_FMT, KR_ARG(kr_hex(a, sum, DIGEST_SHOWN)));
}

kr_str reactor_why_value(const struct reactor_whys *w, struct kr_arena *a, kr_val v, bool secret)
{
    kr_str text;

    if (v.kind == KR_NONE)
        return KR_S("");
    text = kr_json_str(a, v);
    if (secret || text.n > REACTOR_WHY_VALUE_MAX || v.kind == KR_MAP || v.kind == KR_LIST)
        return digest_of(w, a, text);
    return text;
}

/* --- the block -------------------------------------------------------------------------------- */

static struct head head_at(const struct reactor_why *log, uint32_t at)
{
    struct head h;

    memcpy(&h, log->block + at, sizeof h);
    return h;
}

/* The number of a word; false: it is one of too many. */
static bool word_number(kr_str s, uint32_t *number)
{
    uintptr_t known = (uintptr_t)kr_map_get(&vocabulary.numbers, s);

    if (!known && vocabulary.numbers.n < REACTOR_WHY_WORDS_MAX) {
        kr_str kept = {kr_cstrdup(s), s.n};

        vocabulary.texts[vocabulary.numbers.n] = kept;
        known = vocabulary.numbers.n + 1;
        kr_map_put(&vocabulary.numbers, kept, (void *)known); // NOLINT(performance-no-int-to-ptr)
    }
    *number = (uint32_t)known - 1;
    return known > 0;
}

/* Reads the string at s; returns what is behind it. */
static const uint8_t *take(const uint8_t *s, kr_str *out)
{
    if (s[0] != WORD) {
        *out = (kr_str){(const char *)s + 1, s[0]};
        return s + 1 + s[0];
    }
    *out = vocabulary.texts[s[1] | s[2] << 8];
    return s + WORD_BYTES;
}

/* Writes s; is_word: it is one of few. Returns where the next one goes. */
static uint8_t *give(uint8_t *at, kr_str s, bool is_word)
{
    uint32_t number;

    if (is_word && s.n >= WORD_BYTES && word_number(s, &number)) {
        at[0] = WORD;
        at[1] = (uint8_t)number;
        at[2] = (uint8_t)(number >> 8);
        return at + WORD_BYTES;
    }
    at[0] = (uint8_t)s.n;
    if (s.n)
        memcpy(at + 1, s.s, s.n);
    return at + 1 + s.n;
}

static void entry_of(const struct reactor_why *log, uint32_t at, struct reactor_why_entry *e)
{
    struct head h = head_at(log, at);
    const uint8_t *s = log->block + at + sizeof h;
    kr_str *const strings[STRINGS] = {&e->node, &e->type, &e->object, &e->verb,
                                      &e->path, &e->from, &e->to};

    *e = (struct reactor_why_entry){.at_ms = (int64_t)h.at_ms,
                                    .kind = h.kind,
                                    .what = h.what,
                                    .absent = h.absent,
                                    .times = h.times,
                                    .revision = h.revision,
                                    .seq = log->seq - (uint16_t)(log->seq - h.seq),
                                    .code = h.code,
                                    .answered = h.answered,
                                    .took_ms = h.took_ms,
                                    .version = h.version};
    for (int i = 0; i < STRINGS; i++)
        s = take(s, strings[i]);
    if (e->kind == REACTOR_WHY_ANSWER)
        e->text = e->to;
}

bool reactor_why_next(const struct reactor_why *log, uint32_t *at, struct reactor_why_entry *out)
{
    if (!log || *at >= log->n)
        return false;
    entry_of(log, *at, out);
    *at += head_at(log, *at).bytes;
    return true;
}

static void forget(struct reactor_whys *w, struct reactor_why *log)
{
    kr_link_remove(&log->used);
    w->bytes -= log->cap;
    kr_free(log->block);
    log->block = NULL;
    log->n = log->cap = 0;
}

/* Drops the oldest entries until `bytes` more fit into a block of `cap`. */
static void drop_oldest(struct reactor_why *log, uint32_t bytes, uint32_t cap)
{
    uint32_t at = 0;

    while (log->n - at + bytes > cap)
        at += head_at(log, at).bytes;
    if (at == 0)
        return;
    memmove(log->block, log->block + at, log->n - at);
    log->n = (uint16_t)(log->n - at);
    log->cut = true;
}

/* A block that shrinks moves, so that the next one that grows finds all of its place free and not a half. */
static void resize(struct reactor_whys *w, struct reactor_why *log, uint32_t cap)
{
    if (cap != log->cap) {
        uint8_t *was = log->block;

        log->block = kr_realloc(NULL, cap);
        if (log->n)
            memcpy(log->block, was, log->n);
        kr_free(was);
        w->bytes += cap;
        w->bytes -= log->cap;
        log->cap = (uint16_t)cap;
    }
    kr_link_remove(&log->used);
    kr_link_push(cap > REACTOR_WHY_KEPT_BYTES ? &w->large : &w->small, &log->used);
}

/* The one that has been silent for the longest time, but not `but`; NULL: no other. */
static struct reactor_why *silent(struct kr_link *list, const struct reactor_why *but)
{
    struct kr_link *l = list->next;

    if (l == &but->used)
        l = l->next;
    return l == list ? NULL : KR_OWNER(l, struct reactor_why, used);
}

/* Makes the others give way until all are below the limit. */
static void stay_below(struct reactor_whys *w, const struct reactor_why *log)
{
    struct reactor_why *other;

    while (w->bytes > w->bytes_max) {
        if ((other = silent(&w->large, log)) != NULL) {
            drop_oldest(other, 0, REACTOR_WHY_KEPT_BYTES);
            resize(w, other, REACTOR_WHY_KEPT_BYTES);
        } else if ((other = silent(&w->small, log)) != NULL) {
            forget(w, other);
            other->cut = true;
            w->forgotten++;
        } else {
            return;
        }
    }
}

static void make_room(struct reactor_whys *w, struct reactor_why *log, uint32_t bytes)
{
    uint32_t cap = log->cap ? log->cap : BLOCK_MIN;

    drop_oldest(log, bytes, REACTOR_WHY_INST_BYTES);
    while (cap < log->n + bytes)
        cap *= 2;
    resize(w, log, cap);
    stay_below(w, log);
}

/* At most REACTOR_WHY_TEXT_MAX bytes, not in the middle of a character. */
static kr_str cut(kr_str s)
{
    size_t n = s.n;

    if (n <= REACTOR_WHY_TEXT_MAX)
        return s;
    n = REACTOR_WHY_TEXT_MAX;
    while (n > 0 && ((uint8_t)s.s[n] & 0xC0) == 0x80)
        n--;
    return (kr_str){s.s, n};
}

/* The strings of an entry; returns their end. */
static uint8_t *give_strings(uint8_t *at, const struct reactor_why_entry *e)
{
    bool request = e->kind == REACTOR_WHY_REQUEST;

    at = give(at, cut(e->node), true);
    at = give(at, cut(e->type), true);
    at = give(at, cut(e->object), false);
    at = give(at, cut(e->verb), true);
    at = give(at, cut(e->path), true);
    at = give(at, cut(e->from), false);
    return give(at, cut(e->kind == REACTOR_WHY_ANSWER ? e->text : e->to), request);
}

static void append(struct reactor_whys *w, struct reactor_why *log,
                   const struct reactor_why_entry *e)
{
    uint8_t text[STRINGS * (REACTOR_WHY_TEXT_MAX + 1)];
    size_t n = (size_t)(give_strings(text, e) - text);
    struct head h = {.at_ms = e->at_ms > 0 ? (uint64_t)e->at_ms : 0,
                     .version = e->version <= VERSION_MAX ? e->version : 0,
                     .seq = (uint16_t)e->seq,
                     .took_ms = e->took_ms < TOOK_MAX ? e->took_ms : TOOK_MAX,
                     .revision = e->revision,
                     .code = e->code,
                     .times = e->times ? e->times : 1,
                     .kind = e->kind,
                     .what = e->what,
                     .absent = e->absent,
                     .answered = e->answered,
                     .bytes = (uint16_t)(sizeof h + n)};

    make_room(w, log, h.bytes);
    memcpy(log->block + log->n, &h, sizeof h);
    memcpy(log->block + log->n + sizeof h, text, n);
    log->n = (uint16_t)(log->n + h.bytes);
}

/* The start of the last entry, or UINT32_MAX. */
static uint32_t last_at(const struct reactor_why *log)
{
    uint32_t at = 0, last = UINT32_MAX;

    while (at < log->n) {
        last = at;
        at += head_at(log, at).bytes;
    }
    return last;
}

/* The last entry goes on: the same thing has changed again. Returns whether that is so. */
static bool join(struct reactor_whys *w, struct reactor_why *log, const struct reactor_why_entry *e)
{
    uint32_t at = last_at(log);
    char from[REACTOR_WHY_TEXT_MAX];
    struct reactor_why_entry was, now = *e;

    if (at == UINT32_MAX || e->kind != REACTOR_WHY_CHANGE)
        return false;
    entry_of(log, at, &was);
    if (was.kind != REACTOR_WHY_CHANGE || was.what != e->what ||
        !kr_str_eq(was.node, cut(e->node)) || !kr_str_eq(was.type, cut(e->type)) ||
        !kr_str_eq(was.object, cut(e->object)) || !kr_str_eq(was.path, cut(e->path)))
        return false;
    if (was.from.n)
        memcpy(from, was.from.s, was.from.n);
    now.from = (kr_str){from, was.from.n};
    now.times = was.times < UINT16_MAX ? was.times + 1 : was.times;
    log->n = (uint16_t)at;
    append(w, log, &now);
    return true;
}

uint32_t reactor_why_add(struct reactor_whys *w, struct reactor_why **log,
                         const struct reactor_why_entry *e)
{
    struct reactor_why_entry now = *e;

    if (!*log)
        *log = KR_ALLOC(struct reactor_why);
    if (join(w, *log, e))
        return 0;
    if (e->kind == REACTOR_WHY_REQUEST)
        now.seq = ++(*log)->seq;
    append(w, *log, &now);
    return now.seq;
}

void reactor_why_answer(struct reactor_whys *w, struct reactor_why *log,
                        const struct reactor_why_entry *e)
{
    struct reactor_why_entry request;
    char node[REACTOR_WHY_TEXT_MAX];
    size_t node_n = 0;
    uint32_t at = 0;

    for (struct head h; at < log->n; at += h.bytes) {
        h = head_at(log, at);
        if (h.kind != REACTOR_WHY_REQUEST || h.seq != (uint16_t)e->seq)
            continue;
        entry_of(log, at, &request);
        node_n = request.node.n;
        memcpy(node, request.node.s, node_n); /* the block may move below */
        h.code = e->code;
        h.took_ms = e->took_ms < TOOK_MAX ? e->took_ms : TOOK_MAX;
        h.version = e->version <= VERSION_MAX ? e->version : 0;
        h.answered = true;
        memcpy(log->block + at, &h, sizeof h);
        break;
    }
    if (e->text.n) {
        struct reactor_why_entry words = *e;

        words.kind = REACTOR_WHY_ANSWER;
        words.node = (kr_str){node, node_n};
        append(w, log, &words);
    }
}

void reactor_why_free(struct reactor_whys *w, struct reactor_why *log)
{
    if (!log)
        return;
    forget(w, log);
    kr_free(log);
}

/* --- what a page has of an entry -------------------------------------------------------------- */

/* The last change before `until` of what a request's path names, if it is still known. */
static bool cause_of(const struct reactor_why_page *p, uint32_t until, kr_str path,
                     struct reactor_why_entry *out)
{
    struct reactor_why_entry e;
    uint32_t at = 0;
    bool found = false;

    while (at < until && reactor_why_next(p->log, &at, &e)) {
        bool same =
            e.kind == REACTOR_WHY_CHANGE && kr_str_starts(path, e.node) &&
            (path.n == e.node.n || (path.s[e.node.n] == '.' &&
                                    kr_str_eq(kr_str_sub(path, e.node.n + 1, path.n), e.path)));

        if (same) {
            *out = e;
            found = true;
        }
    }
    return found;
}

/* What happened to the object itself, after our last request for it. */
static bool own_cause(const struct reactor_why_page *p, uint32_t until,
                      const struct reactor_why_entry *request, struct reactor_why_entry *out)
{
    struct reactor_why_entry e;
    uint32_t at = 0;
    bool found = false;

    while (at < until && reactor_why_next(p->log, &at, &e)) {
        if (!kr_str_eq(e.node, request->node) || !e.node.n)
            continue;
        found = e.kind == REACTOR_WHY_CHANGE && e.what != REACTOR_WHY_VALUE;
        *out = e;
    }
    return found;
}

/* Does an entry concern the node that is asked for? */
static bool wanted(const struct reactor_why_page *p, const struct reactor_why_entry *e)
{
    struct reactor_why_entry r;
    uint32_t at = 0;

    if (!p->node.n || kr_str_eq(e->node, p->node))
        return true;
    while (e->kind == REACTOR_WHY_CHANGE && reactor_why_next(p->log, &at, &r)) {
        if (r.kind == REACTOR_WHY_REQUEST && kr_str_eq(r.node, p->node) &&
            kr_str_starts(r.path, e->node) && r.path.n > e->node.n &&
            kr_str_eq(kr_str_sub(r.path, e->node.n + 1, r.path.n), e->path))
            return true;
    }
    return false;
}

/* The node whose expressions a request came from; empty: the status. */
static uint32_t readers_of(const struct reactor_why_page *p, struct kr_arena *a,
                           const struct reactor_why_entry *e,
                           struct graph_reader out[REACTOR_WHY_READERS_MAX])
{
    if (!p->rev || !e->path.n || (e->revision && e->revision != p->rev->number))
        return 0;
    return graph_rev_readers(p->rev, a, e->node, e->path, out, REACTOR_WHY_READERS_MAX);
}

static kr_str time_text(int64_t at_ms, char out[KR_TIME_TEXT_MAX])
{
    return (kr_str){out, kr_time_text(at_ms / 1000, (uint32_t)(at_ms % 1000) * 1000000, out)};
}

static const char *what_text(enum reactor_why_what what)
{
    static const char *const texts[] = {
        [REACTOR_WHY_VALUE] = "changed",
        [REACTOR_WHY_APPEARED] = "appeared",
        [REACTOR_WHY_GONE] = "is gone",
        [REACTOR_WHY_FIELDS] = "a field of ours was written by somebody else",
        [REACTOR_WHY_LABELS] = "the labels that say whose it is changed",
    };

    return texts[what];
}

/* --- text ------------------------------------------------------------------------------------- */

static void text_change(const struct reactor_why_entry *e, struct kr_buf *out)
{
    kr_buf_str(out, e->node);
    if (e->path.n)
        kr_buf_fmt(out, "%s" KR_FMT, e->path.s[0] == '[' ? "" : ".", KR_ARG(e->path));
    if (e->object.n)
        kr_buf_fmt(out, " (" KR_FMT " " KR_FMT ")", KR_ARG(e->type), KR_ARG(e->object));
    kr_buf_fmt(out, " %s", what_text(e->what));
    if (e->what == REACTOR_WHY_VALUE)
        kr_buf_fmt(out, ": " KR_FMT " -> " KR_FMT, KR_ARG(e->from.n ? e->from : KR_S("(none)")),
                   KR_ARG(e->to.n ? e->to : KR_S("(none)")));
    if (e->times > 1)
        kr_buf_fmt(out, ", %u times", e->times);
}

static void text_line(struct kr_buf *out, const char *what)
{
    kr_buf_fmt(out, "\n%26s%-9s ", "", what);
}

static void text_because(const struct reactor_why_page *p, const struct reactor_why_entry *e,
                         uint32_t at, struct kr_buf *out)
{
    struct graph_reader readers[REACTOR_WHY_READERS_MAX];
    KR_AUTO(kr_arena) a = {0};
    struct reactor_why_entry cause;
    uint32_t n = readers_of(p, &a, e, readers);

    if (e->path.n && cause_of(p, at, e->path, &cause)) {
        text_line(out, "because");
        text_change(&cause, out);
    } else if (e->path.n) {
        text_line(out, "because");
        kr_buf_fmt(out, KR_FMT " %s", KR_ARG(e->path),
                   kr_str_chr(e->path, '.') < 0 ? "is there now" : "changed");
    } else if (own_cause(p, at, e, &cause)) {
        text_line(out, "because");
        text_change(&cause, out);
    } else if (e->absent) {
        text_line(out, "because");
        kr_buf_fmt(out, "it was not there");
    } else if (e->to.n) {
        text_line(out, "because");
        kr_buf_str(out, e->to);
    }
    for (uint32_t i = 0; i < n; i++) {
        text_line(out, i ? "" : "read by");
        kr_buf_fmt(out, KR_FMT ": " KR_FMT, KR_ARG(readers[i].place), KR_ARG(readers[i].text));
    }
}

static void text_request(const struct reactor_why_page *p, const struct reactor_why_entry *e,
                         uint32_t at, struct kr_buf *out)
{
    kr_buf_fmt(out, "%-9.*s " KR_FMT "%s" KR_FMT "%s" KR_FMT "%s", KR_ARG(e->verb), KR_ARG(e->node),
               e->node.n ? " (" : "", KR_ARG(e->type), e->type.n ? " " : "", KR_ARG(e->object),
               e->node.n ? ")" : "");
    text_because(p, e, at, out);
    text_line(out, "answer");
    if (!e->answered)
        kr_buf_fmt(out, "not yet");
    else if (!e->code)
        kr_buf_fmt(out, "none");
    else
        kr_buf_fmt(out, "%u after %u ms", e->code, e->took_ms);
    if (e->version)
        kr_buf_fmt(out, ", resourceVersion %llu", (unsigned long long)e->version);
}

static void text_entry(const struct reactor_why_page *p, const struct reactor_why_entry *e,
                       uint32_t at, struct kr_buf *out)
{
    char when[KR_TIME_TEXT_MAX];

    kr_buf_fmt(out, "%-26.*s", KR_ARG(time_text(e->at_ms, when)));
    if (e->kind == REACTOR_WHY_CHANGE) {
        kr_buf_fmt(out, "%-9s ", "change");
        text_change(e, out);
    } else if (e->kind == REACTOR_WHY_REQUEST) {
        text_request(p, e, at, out);
    } else {
        kr_buf_fmt(out, "%-9s " KR_FMT "%s" KR_FMT, "answer", KR_ARG(e->node),
                   e->node.n ? ": " : "", KR_ARG(e->text));
    }
    kr_buf_chr(out, '\n');
}

void reactor_why_text(const struct reactor_why_page *p, struct kr_buf *out)
{
    struct reactor_why_entry e;
    uint32_t at = 0, n = 0;

    kr_buf_fmt(out, KR_FMT " " KR_FMT "%s" KR_FMT, KR_ARG(p->gvk.kind), KR_ARG(p->ref.namespace),
               p->ref.namespace.n ? "/" : "", KR_ARG(p->ref.name));
    if (p->rev)
        kr_buf_fmt(out, ", revision %lld of " KR_FMT, (long long)p->rev->number,
                   KR_ARG(p->rev->rgd_name));
    kr_buf_fmt(out, ", " KR_FMT "\n", KR_ARG(p->state.n ? p->state : KR_S("state unknown")));
    if (p->waits.n)
        kr_buf_fmt(out, "waits for " KR_FMT "\n", KR_ARG(p->waits));
    if (p->log && p->log->cut)
        kr_buf_fmt(out, "(what was before is forgotten)\n");
    for (uint32_t was = 0; reactor_why_next(p->log, &at, &e); was = at) {
        if (!wanted(p, &e))
            continue;
        text_entry(p, &e, was, out);
        n++;
    }
    if (n == 0)
        kr_buf_fmt(out, "nothing was changed or asked for since the program began to follow it\n");
}

/* --- JSON ------------------------------------------------------------------------------------- */

static void put(struct kr_mapb *b, const char *key, kr_str v)
{
    if (v.n)
        kr_mapb_put(b, kr_str_c(key), kr_string(v));
}

static void put_object(struct kr_arena *a, struct kr_mapb *b, const struct reactor_why_entry *e)
{
    if (e->object.n)
        put(b, "object", kr_fmt(a, KR_FMT " " KR_FMT, KR_ARG(e->type), KR_ARG(e->object)));
}

static kr_val json_change(struct kr_arena *a, const struct reactor_why_entry *e)
{
    static const char *const words[] = {
        [REACTOR_WHY_VALUE] = "value",   [REACTOR_WHY_APPEARED] = "appeared",
        [REACTOR_WHY_GONE] = "gone",     [REACTOR_WHY_FIELDS] = "fields",
        [REACTOR_WHY_LABELS] = "labels",
    };
    struct kr_mapb b = KR_MAPB(a);
    char when[KR_TIME_TEXT_MAX];

    put(&b, "time", kr_strdup(a, time_text(e->at_ms, when)));
    put(&b, "type", KR_S("change"));
    put(&b, "what", kr_str_c(words[e->what]));
    put(&b, "node", e->node);
    put_object(a, &b, e);
    put(&b, "path", e->path);
    put(&b, "from", e->from);
    put(&b, "to", e->to);
    if (e->times > 1)
        kr_mapb_put(&b, KR_S("times"), kr_int(e->times));
    return kr_mapb_done(&b);
}

static kr_val json_readers(const struct reactor_why_page *p, struct kr_arena *a,
                           const struct reactor_why_entry *e)
{
    struct graph_reader readers[REACTOR_WHY_READERS_MAX];
    uint32_t n = readers_of(p, a, e, readers);
    struct kr_listb list = KR_LISTB(a);

    for (uint32_t i = 0; i < n; i++) {
        struct kr_mapb b = KR_MAPB(a);

        put(&b, "place", readers[i].place);
        put(&b, "expression", readers[i].text);
        kr_listb_add(&list, kr_mapb_done(&b));
    }
    return kr_listb_done(&list);
}

static kr_val json_request(const struct reactor_why_page *p, struct kr_arena *a,
                           const struct reactor_why_entry *e, uint32_t at)
{
    struct kr_mapb b = KR_MAPB(a);
    struct reactor_why_entry cause;
    kr_val readers = json_readers(p, a, e);
    char when[KR_TIME_TEXT_MAX];

    put(&b, "time", kr_strdup(a, time_text(e->at_ms, when)));
    put(&b, "type", KR_S("request"));
    put(&b, "verb", e->verb);
    put(&b, "node", e->node);
    put_object(a, &b, e);
    put(&b, "read", e->path);
    put(&b, "reason", e->to.n ? e->to : e->absent ? KR_S("it was not there") : KR_S(""));
    if (e->path.n ? cause_of(p, at, e->path, &cause) : own_cause(p, at, e, &cause))
        kr_mapb_put(&b, KR_S("cause"), json_change(a, &cause));
    if (readers.n)
        kr_mapb_put(&b, KR_S("readers"), readers);
    if (e->revision)
        kr_mapb_put(&b, KR_S("revision"), kr_int(e->revision));
    if (e->answered) {
        kr_mapb_put(&b, KR_S("code"), kr_int(e->code));
        kr_mapb_put(&b, KR_S("tookMilliseconds"), kr_int(e->took_ms));
    }
    if (e->version)
        put(&b, "resourceVersion", kr_fmt(a, "%llu", (unsigned long long)e->version));
    kr_mapb_put(&b, KR_S("number"), kr_int(e->seq));
    return kr_mapb_done(&b);
}

static kr_val json_answer(struct kr_arena *a, const struct reactor_why_entry *e)
{
    struct kr_mapb b = KR_MAPB(a);
    char when[KR_TIME_TEXT_MAX];

    put(&b, "time", kr_strdup(a, time_text(e->at_ms, when)));
    put(&b, "type", KR_S("answer"));
    put(&b, "node", e->node);
    put(&b, "message", e->text);
    kr_mapb_put(&b, KR_S("number"), kr_int(e->seq));
    return kr_mapb_done(&b);
}

static kr_val json_entries(const struct reactor_why_page *p, struct kr_arena *a)
{
    struct kr_listb list = KR_LISTB(a);
    struct reactor_why_entry e;
    uint32_t at = 0;

    for (uint32_t was = 0; reactor_why_next(p->log, &at, &e); was = at) {
        if (!wanted(p, &e))
            continue;
        kr_listb_add(&list, e.kind == REACTOR_WHY_CHANGE    ? json_change(a, &e)
                            : e.kind == REACTOR_WHY_REQUEST ? json_request(p, a, &e, was)
                                                            : json_answer(a, &e));
    }
    return kr_listb_done(&list);
}

void reactor_why_json(const struct reactor_why_page *p, struct kr_buf *out)
{
    KR_AUTO(kr_arena) a = {0};
    struct kr_mapb b = KR_MAPB(&a), of = KR_MAPB(&a);
    struct kr_err err = KR_ERR_NONE;

    put(&of, "group", p->gvk.group);
    put(&of, "kind", p->gvk.kind);
    put(&of, "namespace", p->ref.namespace);
    put(&of, "name", p->ref.name);
    put(&of, "state", p->state);
    put(&of, "waits", p->waits);
    if (p->rev) {
        put(&of, "definition", p->rev->rgd_name);
        kr_mapb_put(&of, KR_S("revision"), kr_int(p->rev->number));
    }
    kr_mapb_put(&b, KR_S("instance"), kr_mapb_done(&of));
    kr_mapb_put(&b, KR_S("forgotten"), kr_bool(p->log && p->log->cut));
    kr_mapb_put(&b, KR_S("entries"), json_entries(p, &a));
    if (kr_json_write(out, kr_mapb_done(&b), KR_JSON_INDENT, &err) < 0)
        kr_buf_fmt(out, "{}");
    kr_buf_chr(out, '\n');
}
