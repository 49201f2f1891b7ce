/* SPDX-License-Identifier: Apache-2.0 */
/* test_match.c - wanted against had, member by member, with the path of each difference. */
#include "cel/base/json.h"
#include "cli/test.h"

#include "cel/base/banned.h"

enum { SHOWN_MAX = 200 /* bytes of a value */ };

struct match {
    struct kr_buf *out;
    struct kr_arena a;
    uint32_t n;     /* lines */
    uint32_t score; /* what is absent is further away than what is different */
};

static kr_str shown(struct match *m, kr_val v)
{
    kr_str text;

    if (v.kind == KR_NONE)
        return KR_S("absent");
    text = kr_json_str(&m->a, v);
    if (text.n <= SHOWN_MAX)
        return text;
    while (text.n > SHOWN_MAX || ((uint8_t)text.s[text.n] & 0xC0) == 0x80)
        text.n--;
    return kr_fmt(&m->a, KR_FMT "...", KR_ARG(text));
}

static void line(struct match *m, kr_str path, kr_str text)
{
    m->score++;
    if (m->n++ < CLI_TEST_DIFF_MAX)
        kr_buf_fmt(m->out, "        " KR_FMT ": " KR_FMT "\n", KR_ARG(path), KR_ARG(text));
}

static void differs(struct match *m, kr_str path, kr_val want, kr_val have)
{
    m->score += have.kind == KR_NONE;
    line(m, path,
         kr_fmt(&m->a, "expected " KR_FMT ", is " KR_FMT, KR_ARG(shown(m, want)),
                KR_ARG(shown(m, have))));
}

/* "metadata.labels[app.kubernetes.io/name]": a key that is no plain name stands in brackets. */
static kr_str below(struct match *m, kr_str path, kr_str key)
{
    bool plain = key.n > 0;

    for (size_t i = 0; i < key.n; i++)
        plain =
            plain && (key.s[i] == '_' || key.s[i] == '-' || (key.s[i] >= '0' && key.s[i] <= '9') ||
                      ((key.s[i] | 0x20) >= 'a' && (key.s[i] | 0x20) <= 'z'));
    if (!plain)
        return kr_fmt(&m->a, KR_FMT "[" KR_FMT "]", KR_ARG(path), KR_ARG(key));
    return kr_fmt(&m->a, KR_FMT "%s" KR_FMT, KR_ARG(path), path.n ? "." : "", KR_ARG(key));
}

static void match(struct match *m, kr_str path, kr_val want, kr_val have);

static bool are_conditions(kr_str path, kr_val want)
{
    if (!kr_str_ends(path, KR_S("conditions")))
        return false;
    KR_LIST_EACH (item, want) {
        if (kr_get(*item, KR_S("type")).kind != KR_STRING)
            return false;
    }
    return true;
}

static void match_conditions(struct match *m, kr_str path, kr_val want, kr_val have)
{
    KR_LIST_EACH (w, want) {
        kr_str type = kr_at_str(*w, "type");
        kr_val found = KR_V_NONE;

        KR_LIST_EACH (h, have) {
            if (kr_is_str(kr_get(*h, KR_S("type")), type))
                found = *h;
        }
        match(m, kr_fmt(&m->a, KR_FMT "[" KR_FMT "]", KR_ARG(path), KR_ARG(type)), *w, found);
    }
}

static void match_list(struct match *m, kr_str path, kr_val want, kr_val have)
{
    if (have.kind != KR_LIST) {
        differs(m, path, want, have);
        return;
    }
    if (are_conditions(path, want)) {
        match_conditions(m, path, want, have);
        return;
    }
    if (want.n != have.n)
        line(m, path,
             kr_fmt(&m->a, "expected %u items, are %u: " KR_FMT, want.n, have.n,
                    KR_ARG(shown(m, have))));
    for (uint32_t i = 0; i < want.n && i < have.n; i++)
        match(m, kr_fmt(&m->a, KR_FMT "[%u]", KR_ARG(path), i), want.list[i], have.list[i]);
}

static void match(struct match *m, kr_str path, kr_val want, kr_val have)
{
    if (want.kind == KR_LIST) {
        match_list(m, path, want, have);
    } else if (want.kind == KR_NULL && have.kind != KR_NONE && have.kind != KR_NULL) {
        line(m, path, kr_fmt(&m->a, "expected absent, is " KR_FMT, KR_ARG(shown(m, have))));
    } else if (want.kind == KR_MAP && have.kind == KR_MAP) {
        KR_MAP_EACH (pair, want)
            match(m, below(m, path, kr_text(pair->key)), pair->val,
                  kr_get(have, kr_text(pair->key)));
    } else if (want.kind != KR_NULL && !kr_equal(want, have)) {
        differs(m, path, want, have);
    }
}

uint32_t cli_test_differ(kr_val want, kr_val have, struct kr_buf *out)
{
    struct match m = {.out = out};

    match(&m, (kr_str){0}, want, have);
    if (m.n > CLI_TEST_DIFF_MAX)
        kr_buf_fmt(out, "        ... and %u more\n", m.n - CLI_TEST_DIFF_MAX);
    kr_arena_fini(&m.a);
    return m.score;
}
