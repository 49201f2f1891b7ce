/* SPDX-License-Identifier: Apache-2.0 */
/* scenario.c - runs scenario files; see scenario.h. */
#include "tests/lib/scenario.h"

#include <stdio.h>
#include <string.h>

enum { PATH_MAX_STEPS = 32, NAME_MAX_BYTES = 512 };

struct run {
    struct kr_arena a;
    const char *path;
    kr_str folder;
    uint32_t line; /* from 1 */
    struct cel_kinds *kinds;
    struct graph_rev *rev;
    struct model *m;
    bool record; /* print the file with the trace as it is, compare nothing */
};

static void broken(const struct run *r, const char *what)
{
    fprintf(stderr, "%s:%u: %s\n", r->path, r->line, what);
    fail();
}

/* --- patches ---------------------------------------------------------------------------------- */

static uint32_t split_path(kr_str path, kr_str names[PATH_MAX_STEPS])
{
    uint32_t n = 0;

    while (path.n && n < PATH_MAX_STEPS) {
        size_t at = 0;

        if (path.s[0] == '[') {
            ptrdiff_t end = kr_str_find(path, KR_S("\"]"));

            if (end < 0)
                return 0;
            names[n++] = kr_str_sub(path, 2, (size_t)end);
            path = kr_str_sub(path, (size_t)end + 2, path.n);
        } else {
            while (at < path.n && path.s[at] != '.' && path.s[at] != '[')
                at++;
            names[n++] = kr_str_sub(path, 0, at);
            path = kr_str_sub(path, at, path.n);
        }
        if (path.n && path.s[0] == '.')
            path = kr_str_sub(path, 1, path.n);
    }
    return n;
}

static kr_val value_of(struct kr_arena *a, kr_str text)
{
    kr_val v = KR_V_NONE;

    if (kr_json_parse(a, text, &v, NULL) < 0 || v.kind == KR_NONE)
        return kr_string(kr_strdup(a, text));
    return v;
}

kr_val scenario_patch(struct kr_arena *a, kr_str words)
{
    kr_val patch = kr_map_sorted(NULL, 0);

    while (words.s) {
        kr_str value = kr_str_cut(&words, ' ');
        kr_str path = kr_str_cut(&value, '=');
        kr_str names[PATH_MAX_STEPS];
        uint32_t n = split_path(kr_strdup(a, path), names);

        if (n && value.s)
            patch = kr_with_path(a, patch, names, n, value_of(a, value));
    }
    return patch;
}

/* --- files ------------------------------------------------------------------------------------ */

static kr_val read_yaml(struct run *r, kr_str name)
{
    const char *path =
        kr_cstr(&r->a, kr_fmt(&r->a, KR_FMT "/" KR_FMT, KR_ARG(r->folder), KR_ARG(name)));
    kr_str text;

    if (!test_file(&r->a, path, &text)) {
        broken(r, "no such file");
        return KR_V_NONE;
    }
    return test_yaml(&r->a, kr_cstr(&r->a, text));
}

static struct graph_rev *build(const struct cel_kinds *kinds, kr_val rgd)
{
    KR_AUTO(kr_arena) a = {0};
    struct graph_source src = {.name = kr_at_str(rgd, "metadata.name"),
                               .uid = KR_S("rgd-uid"),
                               .spec = kr_at(rgd, "spec")};
    struct kr_err err = KR_ERR_NONE;
    struct graph_rev *rev = NULL;
    const kr_gvk *needs = NULL;
    uint32_t needs_n = 0;
    int rc = graph_build(&src, kinds, &a, &rev, &needs, &needs_n, &err);

    if (rc == GRAPH_NEEDS)
        fprintf(stderr, "kind missing: " KR_FMT "\n", KR_ARG(needs[0].kind));
    EXPECT_OK(rc, &err);
    assert_int_equal(rc, 0);
    return rev;
}

struct graph_rev *scenario_revision(const struct cel_kinds *kinds, const char *yaml)
{
    KR_AUTO(kr_arena) a = {0};

    return build(kinds, test_yaml(&a, yaml));
}

/* --- lines ------------------------------------------------------------------------------------ */

static kr_str word(kr_str *rest)
{
    *rest = kr_str_trim(*rest);
    return kr_str_cut(rest, ' ');
}

struct name {
    char api_version[NAME_MAX_BYTES], kind[NAME_MAX_BYTES], namespace[NAME_MAX_BYTES],
        name[NAME_MAX_BYTES];
};

static void copy(char out[NAME_MAX_BYTES], kr_str s)
{
    snprintf(out, NAME_MAX_BYTES, KR_FMT, KR_ARG(s));
}

static struct name read_name(kr_str kind, kr_str name)
{
    struct name out = {{0}, {0}, {0}, {0}};
    ptrdiff_t slash = kr_str_rchr(kind, '/'), part = kr_str_chr(name, '/');

    copy(out.api_version, kr_str_sub(kind, 0, slash < 0 ? 0 : (size_t)slash));
    copy(out.kind, kr_str_sub(kind, slash < 0 ? 0 : (size_t)slash + 1, kind.n));
    copy(out.namespace, kr_str_sub(name, 0, part < 0 ? 0 : (size_t)part));
    copy(out.name, kr_str_sub(name, part < 0 ? 0 : (size_t)part + 1, name.n));
    return out;
}

static const struct {
    const char *word;
    enum graph_outcome code;
    bool effect;
} outcomes[] = {
    {"ok", GRAPH_O_OK, true},
    {"retry", GRAPH_O_RETRY, false},
    {"lost", GRAPH_O_RETRY, true},
    {"invalid", GRAPH_O_INVALID, false},
    {"conflict", GRAPH_O_CONFLICT, false},
    {"foreign", GRAPH_O_FOREIGN, false},
    {"not-found", GRAPH_O_NOT_FOUND, false},
};

static void do_answer(struct run *r, kr_str rest)
{
    kr_str action = word(&rest), outcome = word(&rest), times = word(&rest);
    uint64_t n = 1;

    if (!kr_str_u64(times, &n))
        broken(r, "answer: how often?");
    for (uint32_t k = 0; k < GRAPH_ACTIONS_N; k++) {
        for (uint32_t i = 0; i < KR_N(outcomes); i++) {
            if (kr_str_eq(action, kr_str_c(graph_action_word((enum graph_action_kind)k))) &&
                kr_str_eq(outcome, kr_str_c(outcomes[i].word))) {
                model_answer(r->m, (enum graph_action_kind)k, outcomes[i].code,
                             kr_cstr(&r->m->a, kr_str_trim(rest)), outcomes[i].effect, (uint32_t)n);
                return;
            }
        }
    }
    broken(r, "answer: unknown action or outcome");
}

static void do_object(struct run *r, kr_str rest)
{
    kr_str kind = word(&rest);
    struct name n = read_name(kind, word(&rest));

    model_write(r->m, n.api_version, n.kind, n.namespace, n.name, scenario_patch(&r->m->a, rest));
}

static void do_delete(struct run *r, kr_str rest)
{
    kr_str kind = word(&rest);
    struct name n = read_name(kind, word(&rest));

    if (kr_str_is(kind, "instance"))
        model_delete_instance(r->m);
    else
        model_delete(r->m, n.api_version, n.kind, n.namespace, n.name);
}

static void do_revision(struct run *r, kr_str rest)
{
    struct graph_rev *rev = build(r->kinds, read_yaml(r, kr_str_trim(rest)));

    graph_rev_drop(r->rev);
    r->rev = rev;
    if (r->m)
        model_set_revision(r->m, rev, "");
}

static void do_line(struct run *r, kr_str line)
{
    kr_str rest = line;
    kr_str command = word(&rest);
    uint64_t ms;

    if (kr_str_is(command, "rgd") || kr_str_is(command, "revision")) {
        do_revision(r, rest);
    } else if (kr_str_is(command, "instance")) {
        r->m = model_new(r->kinds, r->rev, read_yaml(r, kr_str_trim(rest)));
    } else if (!r->m) {
        broken(r, "no instance yet");
    } else if (kr_str_is(command, "edit")) {
        model_edit(r->m, scenario_patch(&r->m->a, rest));
    } else if (kr_str_is(command, "object")) {
        do_object(r, rest);
    } else if (kr_str_is(command, "delete")) {
        do_delete(r, rest);
    } else if (kr_str_is(command, "answer")) {
        do_answer(r, rest);
    } else if (kr_str_is(command, "problem")) {
        model_set_revision(r->m, NULL, kr_cstr(&r->a, kr_str_trim(rest)));
    } else if (kr_str_is(command, "restart")) {
        model_restart(r->m);
    } else if (kr_str_is(command, "wait") && kr_str_u64(kr_str_trim(rest), &ms)) {
        model_wait(r->m, ms);
    } else {
        broken(r, "unknown command");
    }
}

/* Compares the trace with the indented lines at *rest, which are taken. */
static void do_expect(struct run *r, kr_str *rest)
{
    KR_AUTO(kr_buf) want = KR_BUF(1024 * 1024);
    KR_AUTO(kr_buf) got = KR_BUF(64 * 1024 * 1024);
    uint32_t first = r->line;

    while (rest->s && kr_str_starts(*rest, KR_S("    "))) {
        kr_str line = kr_str_cut(rest, '\n');

        r->line++;
        kr_buf_str(&want, kr_str_sub(line, 4, line.n));
        kr_buf_chr(&want, '\n');
    }
    if (r->m)
        model_run(r->m);
    kr_buf_str(&got, r->m ? kr_buf_view(&r->m->trace) : KR_S(""));
    if (r->m)
        kr_buf_reset(&r->m->trace);
    if (r->record) {
        for (kr_str lines = kr_buf_view(&got); lines.n;) {
            kr_str line = kr_str_cut(&lines, '\n');

            printf("    " KR_FMT "\n", KR_ARG(line));
        }
        return;
    }
    if (!kr_str_eq(kr_buf_view(&got), kr_buf_view(&want)))
        fprintf(stderr, "%s:%u:\n", r->path, first);
    EXPECT_TEXT(got.n ? got.s : "", want.n ? want.s : "");
}

void scenario_run(const char *path, bool record)
{
    struct run r = {.path = path, .record = record};
    ptrdiff_t slash = kr_str_rchr(kr_str_c(path), '/');
    kr_str text, rest;

    r.folder = kr_str_sub(kr_str_c(path), 0, (size_t)(slash < 0 ? 0 : slash));
    r.kinds = model_kinds(kr_cstr(&r.a, kr_fmt(&r.a, KR_FMT "/kinds.yaml", KR_ARG(r.folder))));
    if (!test_file(&r.a, path, &text))
        broken(&r, "no such scenario");
    for (rest = text; rest.s;) {
        kr_str line = kr_str_cut(&rest, '\n');

        r.line++;
        if (record && rest.s)
            printf(KR_FMT "\n", KR_ARG(line));
        if (kr_str_trim(line).n == 0 || line.s[0] == '#')
            continue;
        if (kr_str_is(kr_str_trim(line), "expect"))
            do_expect(&r, &rest);
        else
            do_line(&r, line);
    }
    if (r.m)
        model_free(r.m);
    graph_rev_drop(r.rev);
    cel_kinds_free(r.kinds);
    kr_arena_fini(&r.a);
}
