/* SPDX-License-Identifier: Apache-2.0 */
/* yaml_write.c - YAML by libyaml's emitter, which lays out; this file chooses the style of each text.
 *
 * go-yaml's choice: several lines become a literal block; what would not be read as the same text is
 * put in double quotes; the rest is plain, and the emitter quotes what its syntax forbids. A block
 * holds only line feeds as line breaks: others are escaped in quotes, since a reader turns them into
 * line feeds.
 */
#include "cel/base/yaml_write.h"

#include <math.h>
#include <stdio.h>
#include <yaml.h>

#include "cel/base/internal.h"
#include "cel/base/num.h"
#include "cel/base/yaml.h"

#include "cel/base/banned.h"

struct writer {
    yaml_emitter_t emitter;
    struct kr_buf *out;
    uint32_t depth;
    struct kr_err *err;
};

static int on_bytes(void *arg, unsigned char *bytes, size_t n)
{
    kr_buf_add(((struct writer *)arg)->out, bytes, n);
    return 1;
}

/* Takes the event. */
static int emit(struct writer *w, yaml_event_t *event)
{
    if (yaml_emitter_emit(&w->emitter, event))
        return 0;
    return kr_fail(w->err, KR_E_INPUT, "cannot be written as YAML: %s",
                   w->emitter.problem ? w->emitter.problem : "the emitter refused");
}

/* --- texts ------------------------------------------------------------------------------------ */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* "2026-01-02...", which others read as a time. */
static bool like_date(kr_str s)
{
    return s.n > 4 && is_digit(s.s[0]) && is_digit(s.s[1]) && is_digit(s.s[2]) &&
           is_digit(s.s[3]) && s.s[4] == '-';
}

/* "1:30", which YAML 1.1 reads as 90. */
static bool like_base60(kr_str s)
{
    bool colon = false;

    for (size_t i = 0; i < s.n; i++) {
        char c = s.s[i];

        if (!is_digit(c) && c != ':' && c != '.' && c != '_' && !(i == 0 && (c == '-' || c == '+')))
            return false;
        colon = colon || c == ':';
    }
    return colon;
}

/* A line break other than a line feed: CR, NEL, LS, PS; or a byte order mark. */
static bool has_odd_break(kr_str s)
{
    static const kr_str odd[] = {
        {"\r", 1}, {"\xc2\x85", 2}, {"\xe2\x80\xa8", 3}, {"\xe2\x80\xa9", 3}, {"\xef\xbb\xbf", 3}};

    for (size_t i = 0; i < KR_N(odd); i++) {
        if (kr_str_find(s, odd[i]) >= 0)
            return true;
    }
    return false;
}

/* Can a literal block hold s? Not a line of blanks alone at the beginning or at the end, which would
 * count as indentation. */
static bool fits_block(kr_str s)
{
    return kr_str_chr(s, '\n') >= 0 && !has_odd_break(s) && kr_str_trim(s).n > 0 && s.s[0] != ' ' &&
           s.s[0] != '\n' && s.s[0] != '\t';
}

static yaml_scalar_style_t style_of(kr_str s)
{
    if (fits_block(s))
        return YAML_LITERAL_SCALAR_STYLE;
    if (kr_str_chr(s, '\n') >= 0 || has_odd_break(s) || !kr__yaml_is_text(s) || like_date(s) ||
        like_base60(s))
        return YAML_DOUBLE_QUOTED_SCALAR_STYLE;
    return YAML_PLAIN_SCALAR_STYLE;
}

static int write_scalar(struct writer *w, kr_str s, yaml_scalar_style_t style)
{
    yaml_event_t event;

    if (!yaml_scalar_event_initialize(&event, NULL, NULL, (const yaml_char_t *)(s.n ? s.s : ""),
                                      (int)s.n, 1, 1, style))
        return kr_fail(w->err, KR_E_INPUT, "cannot be written as YAML: a text is not UTF-8");
    return emit(w, &event);
}

static int write_text(struct writer *w, kr_str s)
{
    return write_scalar(w, s, style_of(s));
}

/* --- values ----------------------------------------------------------------------------------- */

static int write_value(struct writer *w, kr_val v);

static int write_number(struct writer *w, kr_val v)
{
    char text[KR_NUM_TEXT_MAX];

    if (v.kind == KR_INT)
        (void)snprintf(text, sizeof(text), "%lld", (long long)v.i);
    else if (v.kind == KR_UINT)
        (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)v.u);
    else if (!isfinite(v.d))
        return kr_fail(w->err, KR_E_INPUT, "cannot be written as YAML: not a finite number");
    else
        text[kr_num_json(v.d, text)] = '\0';
    return write_scalar(w, kr_str_c(text), YAML_PLAIN_SCALAR_STYLE);
}

static int write_list(struct writer *w, kr_val v)
{
    yaml_event_t event;

    yaml_sequence_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_SEQUENCE_STYLE);
    KR_TRY(emit(w, &event));
    KR_LIST_EACH (item, v) {
        if (item->kind == KR_NONE || item->kind == KR_OMIT)
            continue;
        KR_TRY(write_value(w, *item));
    }
    yaml_sequence_end_event_initialize(&event);
    return emit(w, &event);
}

static int write_map(struct writer *w, kr_val v)
{
    yaml_event_t event;

    yaml_mapping_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_MAPPING_STYLE);
    KR_TRY(emit(w, &event));
    KR_MAP_EACH (pair, v) {
        if (pair->val.kind == KR_NONE || pair->val.kind == KR_OMIT)
            continue;
        if (pair->key.kind != KR_STRING)
            return kr_fail(w->err, KR_E_INPUT, "cannot be written as YAML: a key is a %s",
                           kr_kind_name(pair->key.kind));
        KR_TRY(write_text(w, kr_text(pair->key)));
        KR_TRY(write_value(w, pair->val));
    }
    yaml_mapping_end_event_initialize(&event);
    return emit(w, &event);
}

static int write_nested(struct writer *w, kr_val v)
{
    int rc;

    if (w->depth == KR_YAML_DEPTH_MAX)
        return kr_fail(w->err, KR_E_LIMIT, "cannot be written as YAML: nested deeper than %d",
                       KR_YAML_DEPTH_MAX);
    w->depth++;
    rc = v.kind == KR_LIST ? write_list(w, v) : write_map(w, v);
    w->depth--;
    return rc;
}

static int write_value(struct writer *w, kr_val v)
{
    switch (v.kind) {
    case KR_NULL:
        return write_scalar(w, KR_S("null"), YAML_PLAIN_SCALAR_STYLE);
    case KR_BOOL:
        return write_scalar(w, v.b ? KR_S("true") : KR_S("false"), YAML_PLAIN_SCALAR_STYLE);
    case KR_INT:
    case KR_UINT:
    case KR_DOUBLE:
        return write_number(w, v);
    case KR_STRING:
        return write_text(w, kr_text(v));
    case KR_LIST:
    case KR_MAP:
        return write_nested(w, v);
    default:
        return kr_fail(w->err, KR_E_INPUT, "cannot be written as YAML: a %s", kr_kind_name(v.kind));
    }
}

static int write_document(struct writer *w, kr_val v)
{
    yaml_event_t event;

    yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING);
    KR_TRY(emit(w, &event));
    yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1);
    KR_TRY(emit(w, &event));
    KR_TRY(write_value(w, v));
    yaml_document_end_event_initialize(&event, 1);
    KR_TRY(emit(w, &event));
    yaml_stream_end_event_initialize(&event);
    return emit(w, &event);
}

/* The emitter ends a document that had a block with lines to keep at its end by "...", which says
 * nothing here. No line of a value begins in the first column with it. */
static void cut_end_mark(struct kr_buf *b)
{
    const kr_str mark = KR_S("\n...\n");

    if (!kr_str_ends(kr_buf_view(b), mark))
        return;
    b->n -= mark.n - 1;
    b->s[b->n] = '\0';
}

int kr_yaml_write(struct kr_buf *b, kr_val v, struct kr_err *err)
{
    struct writer w = {.out = b, .err = err};
    int rc;

    yaml_emitter_initialize(&w.emitter);
    yaml_emitter_set_output(&w.emitter, on_bytes, &w);
    yaml_emitter_set_unicode(&w.emitter, 1);
    yaml_emitter_set_width(&w.emitter, -1);
    rc = write_document(&w, v);
    yaml_emitter_delete(&w.emitter);
    if (rc == 0)
        cut_end_mark(b);
    return rc;
}
