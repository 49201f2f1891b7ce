/* SPDX-License-Identifier: Apache-2.0 */
/* fieldpath.c - paths of fields: print, read, join, set.
 *
 * Inside the program a path is an array of steps (member names and list indexes); its text exists
 * for messages and for tests only, so keys with quotes or brackets never have to be read back.
 *
 *   spec.containers[0].env     p["k"] where the key is empty or has a dot
 *
 * Source: kro:pkg/graph/fieldpath; reference rgd-graph 4.4.
 */
#include "graph/internal.h"

#include "cel/base/buf.h"

#include "cel/base/banned.h"

enum { INDEX_DIGITS = 10 }; /* of a uint32_t */

kr_str graph__path_join(struct kr_arena *a, kr_str path, kr_str name)
{
    if (name.n == 0 || kr_str_chr(name, '.') >= 0)
        return kr_fmt(a, KR_FMT "[\"" KR_FMT "\"]", KR_ARG(path), KR_ARG(name));
    if (path.n == 0)
        return kr_strdup(a, name);
    return kr_fmt(a, KR_FMT "." KR_FMT, KR_ARG(path), KR_ARG(name));
}

kr_str graph__path_print(struct kr_arena *a, const struct graph_step *path, uint32_t n)
{
    size_t room = 1;

    for (uint32_t i = 0; i < n; i++)
        room += path[i].name.s ? path[i].name.n + sizeof("[\"\"]") : INDEX_DIGITS + sizeof("[]");
    KR_AUTO(kr_buf) b = KR_BUF(room);
    for (uint32_t i = 0; i < n; i++) {
        kr_str name = path[i].name;

        if (!name.s) {
            kr_buf_fmt(&b, "[%u]", path[i].index);
        } else if (name.n == 0 || kr_str_chr(name, '.') >= 0) {
            kr_buf_fmt(&b, "[\"" KR_FMT "\"]", KR_ARG(name));
        } else {
            if (b.n)
                kr_buf_chr(&b, '.');
            kr_buf_str(&b, name);
        }
    }
    return n ? kr_strdup(a, kr_buf_view(&b)) : KR_S("");
}

/* --- reading ---------------------------------------------------------------------------------- */

struct reader {
    struct kr_arena *a;
    kr_str text;
    size_t at;
    struct graph_step *steps;
    uint32_t n, cap;
};

static void reader_add(struct reader *r, struct graph_step step)
{
    if (r->n == r->cap) {
        struct graph_step *grown = kr_new_n(r->a, struct graph_step, r->cap ? 2 * r->cap : 8);

        if (r->n)
            memcpy(grown, r->steps, sizeof(*grown) * r->n);
        r->steps = grown;
        r->cap = r->cap ? 2 * r->cap : 8;
    }
    r->steps[r->n++] = step;
}

/* ["name"]: at stands on the bracket. */
static int read_quoted(struct reader *r, struct kr_err *err)
{
    size_t from = r->at + 2;
    ptrdiff_t len = kr_str_chr(kr_str_sub(r->text, from, r->text.n), '"');

    if (len < 0)
        return kr_fail(err, KR_E_INPUT, "unterminated quoted string starting at position %zu",
                       from);
    r->at = from + (size_t)len + 1;
    if (r->at >= r->text.n || r->text.s[r->at] != ']')
        return kr_fail(err, KR_E_INPUT, "expected closing bracket after quote at position %zu",
                       r->at);
    r->at++;
    reader_add(r, (struct graph_step){.name = {r->text.s + from, (size_t)len}});
    return 0;
}

/* [digits]: at stands on the bracket. */
static int read_index(struct reader *r, struct kr_err *err)
{
    size_t from = r->at + 1;
    ptrdiff_t len = kr_str_chr(kr_str_sub(r->text, from, r->text.n), ']');
    kr_str digits;
    int64_t index;

    if (len < 0)
        return kr_fail(err, KR_E_INPUT, "unterminated array index at position %zu", from);
    digits = kr_str_sub(r->text, from, from + (size_t)len);
    if (!kr_str_i64(digits, &index) || index < 0 || index > INT32_MAX)
        return kr_fail(err, KR_E_INPUT, "invalid array index '" KR_FMT "' at position %zu",
                       KR_ARG(digits), from);
    r->at = from + (size_t)len + 1;
    reader_add(r, (struct graph_step){.index = (uint32_t)index});
    return 0;
}

static int read_name(struct reader *r, struct kr_err *err)
{
    size_t from = r->at;

    while (r->at < r->text.n && r->text.s[r->at] != '.' && r->text.s[r->at] != '[')
        r->at++;
    if (r->at == from)
        return kr_fail(err, KR_E_INPUT, "empty field name at position %zu", from);
    reader_add(r, (struct graph_step){.name = kr_str_sub(r->text, from, r->at)});
    return 0;
}

int graph__path_parse(struct kr_arena *a, kr_str text, const struct graph_step **path, uint32_t *n,
                      struct kr_err *err)
{
    struct reader r = {.a = a, .text = text};

    while (r.at < text.n) {
        if (text.s[r.at] != '[')
            KR_TRY(read_name(&r, err));
        else if (r.at + 1 < text.n && text.s[r.at + 1] == '"')
            KR_TRY(read_quoted(&r, err));
        else
            KR_TRY(read_index(&r, err));
        if (r.at < text.n && text.s[r.at] == '.')
            r.at++;
    }
    *path = r.steps;
    *n = r.n;
    return 0;
}

/* --- setting ---------------------------------------------------------------------------------- */

static kr_val set_item(struct kr_arena *a, kr_val list, const struct graph_step *path, uint32_t n,
                       kr_val v)
{
    uint32_t len = list.kind == KR_LIST ? list.n : 0, at = path[0].index, out = 0;
    uint32_t room = len > at ? len : at + 1;
    kr_val *items;
    kr_val now = graph__path_set(a, kr_item(list, at), path + 1, n - 1, v);

    if (at >= len && at - len > GRAPH_NODES_MAX) /* a place behind the end: not one of a document */
        return list;
    items = kr_new_n(a, kr_val, room);
    for (uint32_t i = 0; i < room; i++) {
        kr_val item = i == at ? now : i < len ? list.list[i] : KR_V_NULL;

        if (item.kind != KR_OMIT)
            items[out++] = item;
    }
    return kr_list(items, out);
}

kr_val graph__path_set(struct kr_arena *a, kr_val root, const struct graph_step *path, uint32_t n,
                       kr_val v)
{
    kr_val now;

    if (n == 0)
        return v;
    if (!path[0].name.s)
        return set_item(a, root, path, n, v);
    now = graph__path_set(a, kr_get(root, path[0].name), path + 1, n - 1, v);
    return kr_with_key(a, root, path[0].name, now.kind == KR_OMIT ? KR_V_NONE : now);
}
