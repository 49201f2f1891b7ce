/* SPDX-License-Identifier: Apache-2.0 */
/* feed.c - documents in, by their order; offers until they are taken. */
#include "cli/feed.h"

#include "cel/base/json.h"
#include "cel/base/yaml.h"

#include "cel/base/banned.h"

struct cli_feed_doc {
    kr_val v;
    const char *path;
    kr_str why; /* it waits */
};

void cli_feed_fini(struct cli_feed *f)
{
    kr_arena_fini(&f->a);
    kr_free(f->docs);
    *f = (struct cli_feed){0};
}

kr_str cli_feed_name(struct kr_arena *a, kr_val doc)
{
    kr_str ns = kr_at_str(doc, "metadata.namespace"), name = kr_at_str(doc, "metadata.name");

    return kr_fmt(a, KR_FMT "%s" KR_FMT "%s" KR_FMT, KR_ARG(kr_at_str(doc, "kind")),
                  ns.n || name.n ? " " : "", KR_ARG(ns), ns.n ? "/" : "", KR_ARG(name));
}

/* --- documents in ----------------------------------------------------------------------------- */

static int stage_of(kr_val doc)
{
    kr_str kind = kr_at_str(doc, "kind");

    if (kr_str_is(kind, "Namespace") || kr_str_is(kind, "CustomResourceDefinition"))
        return 0;
    return kr_str_is(kind, "ResourceGraphDefinition") ? 1 : 2;
}

/* Behind all of its stage. */
static int add(struct cli_feed *f, const char *path, kr_val doc, struct kr_err *err)
{
    uint32_t at = f->waiting_n;

    if (f->waiting_n == CLI_FEED_DOCS_MAX)
        return kr_fail(err, KR_E_LIMIT, "%s: more than %d documents", path, CLI_FEED_DOCS_MAX);
    if (f->waiting_n == f->cap) {
        f->cap = f->cap ? 2 * f->cap : 16;
        f->docs = kr_realloc(f->docs, f->cap * sizeof f->docs[0]);
    }
    for (; at > 0 && stage_of(f->docs[at - 1].v) > stage_of(doc); at--)
        f->docs[at] = f->docs[at - 1];
    f->docs[at] = (struct cli_feed_doc){.v = doc, .path = path};
    f->waiting_n++;
    return 0;
}

int cli_feed_doc(struct cli_feed *f, const char *path, kr_val doc, struct kr_err *err)
{
    kr_str version = kr_at_str(doc, "apiVersion"), kind = kr_at_str(doc, "kind");

    if (kr_str_starts(version, KR_S("kustomize.config.k8s.io/")) ||
        kr_str_starts(version, KR_S("kroc.run/")))
        return 0;
    if (version.n == 0 || kind.n == 0)
        return kr_fail(err, KR_E_INPUT, "%s: a document without apiVersion or kind", path);
    if (kr_get(doc, KR_S("items")).kind == KR_LIST && kr_str_ends(kind, KR_S("List"))) {
        KR_LIST_EACH (item, kr_get(doc, KR_S("items")))
            KR_TRY(cli_feed_doc(f, path, *item, err));
        return 0;
    }
    if (kr_at_str(doc, "metadata.name").n == 0)
        return kr_fail(err, KR_E_INPUT, "%s: a " KR_FMT " without metadata.name", path,
                       KR_ARG(kind));
    return add(f, path, doc, err);
}

static int add_file(void *arg, const char *path, struct kr_err *err)
{
    struct cli_feed *f = arg;
    kr_str text;
    kr_val docs;

    KR_TRY(cli_read(&f->a, path, &text, err));
    if (kr_yaml_parse(&f->a, text, &docs, err) < 0)
        return kr_wrap(err, "%s", path);
    KR_LIST_EACH (doc, docs)
        KR_TRY(cli_feed_doc(f, path, *doc, err));
    return 0;
}

int cli_feed_path(struct cli_feed *f, const char *path, struct kr_err *err)
{
    uint32_t before = f->waiting_n;

    KR_TRY(cli_each_file(&f->a, path, add_file, f, err));
    return f->waiting_n > before
               ? 0
               : kr_fail(err, KR_E_INPUT, "%s: no object in it (YAML or JSON)", path);
}

/* --- offers ----------------------------------------------------------------------------------- */

static kr_str message_of(struct kr_arena *a, const struct sandbox_response *answer)
{
    kr_val v = KR_V_NONE;
    kr_str text;

    if (answer->body.n == 0)
        return KR_S("no such kind is served");
    if (kr_json_parse(a, kr_buf_view(&answer->body), &v, NULL) < 0)
        return kr_fmt(a, "status %d", answer->status);
    text = kr_at_str(v, "message");
    return text.n ? text : kr_fmt(a, "status %d", answer->status);
}

static void tell(struct kr_arena *a, const struct cli_feed_doc *d, kr_str why, cli_feed_fn *fn,
                 void *arg)
{
    kr_str name = cli_feed_name(a, d->v);

    fn(arg, kr_fmt(a, "%s: " KR_FMT, d->path, KR_ARG(name)), why);
}

/* false: it has to wait. */
static bool offer(struct cli_feed *f, struct cli_feed_doc *d, struct sandbox *s,
                  const char *manager, cli_feed_fn *fn, void *arg)
{
    KR_AUTO(kr_arena) a = {0};
    struct sandbox_response answer = {0};
    int status = sandbox_apply(s, d->v, manager, &answer);
    kr_str why = status >= 300 ? message_of(&a, &answer) : (kr_str){0};

    if (status == 404 && !kr_str_eq(why, d->why))
        d->why = kr_strdup(&f->a, why);
    else if (status >= 300 && status != 404)
        tell(&a, d, why, fn, arg);
    sandbox_response_fini(&answer);
    return status != 404;
}

uint32_t cli_feed_offer(struct cli_feed *f, struct sandbox *s, const char *manager, cli_feed_fn *fn,
                        void *arg)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < f->waiting_n; i++) {
        if (!offer(f, &f->docs[i], s, manager, fn, arg))
            f->docs[n++] = f->docs[i];
    }
    f->waiting_n = n;
    return n;
}

void cli_feed_give_up(struct cli_feed *f, cli_feed_fn *fn, void *arg)
{
    KR_AUTO(kr_arena) a = {0};

    for (uint32_t i = 0; i < f->waiting_n; i++)
        tell(&a, &f->docs[i], f->docs[i].why, fn, arg);
    f->waiting_n = 0;
}
