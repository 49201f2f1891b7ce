/* SPDX-License-Identifier: Apache-2.0 */
/* request.c - a path becomes a target, a method and a target become a verb, and the verb answers.
 *
 *   /api/v1/...  /apis/GROUP/VERSION/...   [namespaces/NS/] RESOURCE [/NAME [/SUBRESOURCE]]
 *
 * All else is health, version, discovery and OpenAPI.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "cel/base/json.h"
#include "kube/sandbox/internal.h"

#include "cel/base/banned.h"

enum { PARAMETERS_MAX = 64, PARTS_MAX = 9 };

/* --- answers ---------------------------------------------------------------------------------- */

int sandbox__answer(struct sandbox_call *c, int status, kr_val body)
{
    struct kr_err err = KR_ERR_NONE;
    int rc;

    kr_buf_reset(&c->r->body);
    rc = kr_json_write(&c->r->body, body, 0, &err);
    KR_ASSERT(rc == 0); /* values from JSON and texts of ours */
    kr_buf_chr(&c->r->body, '\n');
    c->r->status = status;
    c->r->content_type = "application/json";
    return status;
}

int sandbox__answer_val(struct sandbox_call *c, int status, kr_val object)
{
    if (sandbox__wants(c) != SANDBOX_FORM_FULL)
        object = sandbox__formed(c, object);
    return sandbox__answer(c, status, object);
}

int sandbox__answer_obj(struct sandbox_call *c, int status, const struct sandbox_target *t,
                        const struct sandbox_obj *o)
{
    if (sandbox__wants(c) != SANDBOX_FORM_FULL)
        return sandbox__answer_val(c, status, sandbox__value(c->a, t->type, t->version, o));
    sandbox__show(&c->r->body, t->type, t->version, o);
    kr_buf_chr(&c->r->body, '\n');
    c->r->status = status;
    c->r->content_type = "application/json";
    return status;
}

int sandbox__answer_text(struct sandbox_call *c, int status, const char *text)
{
    kr_buf_str(&c->r->body, kr_str_c(text));
    c->r->content_type = "text/plain; charset=utf-8";
    return c->r->status = status;
}

int sandbox__refuse(struct sandbox_call *c, kr_val status)
{
    kr_val code = kr_get(status, KR_S("code"));

    return sandbox__answer(c, code.kind == KR_INT ? (int)code.i : 500, status);
}

void sandbox__warn(struct sandbox_call *c, kr_str text)
{
    for (uint32_t i = 0; i < c->r->warnings_n; i++) {
        if (kr_str_eq(c->r->warnings[i], text))
            return;
    }
    if (c->r->warnings_n < SANDBOX_WARNINGS_MAX)
        c->r->warnings[c->r->warnings_n++] = kr_strdup(c->a, text);
}

void sandbox_response_fini(struct sandbox_response *r)
{
    kr_buf_fini(&r->body);
    kr_arena_fini(&r->arena);
}

/* --- the query -------------------------------------------------------------------------------- */

static int hex(char ch)
{
    if (ch >= '0' && ch <= '9')
        return ch - '0';
    ch |= 0x20;
    return ch >= 'a' && ch <= 'f' ? ch - 'a' + 10 : -1;
}

/* Percent-encoding undone; what is no such encoding stays. */
static kr_str unescape(struct kr_arena *a, kr_str s, bool plus)
{
    char *out = kr_arena_bytes(a, s.n + 1);
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++) {
        if (s.s[i] == '%' && i + 2 < s.n && hex(s.s[i + 1]) >= 0 && hex(s.s[i + 2]) >= 0) {
            out[n++] = (char)(hex(s.s[i + 1]) * 16 + hex(s.s[i + 2]));
            i += 2;
        } else {
            out[n++] = plus && s.s[i] == '+' ? ' ' : s.s[i];
        }
    }
    return (kr_str){out, n};
}

static kr_val parse_query(struct kr_arena *a, kr_str text)
{
    struct kr_mapb b = KR_MAPB(a);

    for (uint32_t i = 0; text.n > 0 && i < PARAMETERS_MAX; i++) {
        kr_str value = kr_str_cut(&text, '&'), name = kr_str_cut(&value, '=');

        kr_mapb_put(&b, unescape(a, name, true), kr_string(unescape(a, value, true)));
    }
    return kr_mapb_done(&b);
}

kr_str sandbox__arg(const struct sandbox_call *c, const char *name)
{
    return kr_text(kr_get(c->query, kr_str_c(name)));
}

bool sandbox__arg_true(const struct sandbox_call *c, const char *name)
{
    kr_val v = kr_get(c->query, kr_str_c(name));
    kr_str text = kr_text(v);

    if (v.kind != KR_STRING || kr_str_is(text, "0"))
        return false;
    return text.n != strlen("false") || strncasecmp(text.s, "false", text.n) != 0;
}

bool sandbox__dry_run(const struct sandbox_call *c)
{
    return kr_str_is(sandbox__arg(c, "dryRun"), "All");
}

/* --- the target ------------------------------------------------------------------------------- */

struct parts {
    kr_str at[PARTS_MAX];
    uint32_t n;
};

static bool split(struct kr_arena *a, kr_str path, struct parts *p)
{
    p->n = 0;
    while (path.n > 0) {
        kr_str part = kr_str_cut(&path, '/');

        if (part.n == 0)
            continue;
        if (p->n == PARTS_MAX)
            return false;
        p->at[p->n++] = unescape(a, part, false);
    }
    return true;
}

static kr_str part(const struct parts *p, uint32_t i)
{
    return i < p->n ? p->at[i] : KR_S("");
}

/* /namespaces/NS/RESOURCE, but not what belongs to the Namespace itself. */
static bool is_namespaced(const struct sandbox *s, kr_str group, const struct parts *p, uint32_t at)
{
    if (!kr_str_is(part(p, at), "namespaces") || p->n < at + 3)
        return false;
    return !(group.n == 0 &&
             (kr_str_is(part(p, at + 2), "status") || kr_str_is(part(p, at + 2), "finalize")));
}

/* Returns whether the path is that of an object or a list, and fills the target; its type is NULL
 * when there is no such one. */
static bool find_target(struct sandbox_call *c)
{
    struct parts p;
    bool core = kr_str_starts(c->path, KR_S("/api/"));
    uint32_t at = core ? 2 : 3;
    kr_str group, version, resource;

    if (!core && !kr_str_starts(c->path, KR_S("/apis/")))
        return false;
    if (!split(c->a, c->path, &p) || p.n <= at)
        return false;
    group = core ? KR_S("") : p.at[1];
    version = p.at[at - 1];
    if (is_namespaced(c->s, group, &p, at)) {
        c->t.ns = p.at[at + 1];
        at += 2;
    }
    resource = p.at[at];
    c->t.name = part(&p, at + 1);
    c->t.sub = part(&p, at + 2);
    c->t.type = sandbox__type(c->s, group, resource);
    if (c->t.type && !c->t.type->gone)
        c->t.version = sandbox__type_version(c->t.type, version);
    if (c->t.version == NULL || !c->t.version->served || p.n > at + 3 ||
        (c->t.ns.n && !c->t.type->namespaced))
        c->t.type = NULL;
    return true;
}

/* --- dispatch --------------------------------------------------------------------------------- */

static bool is_method(const struct sandbox_call *c, const char *method)
{
    return strcmp(c->q->method, method) == 0;
}

static bool has_verb(const struct sandbox_call *c, char letter)
{
    kr_str verbs = c->t.type->verbs;

    for (uint32_t i = 0; i < c->t.type->versions_n; i++) {
        if (c->t.type->versions[i].builtin.verbs.n && &c->t.type->versions[i] == c->t.version)
            verbs = c->t.version->builtin.verbs;
    }
    return kr_str_chr(verbs, letter) >= 0;
}

static int not_allowed(struct sandbox_call *c)
{
    return sandbox__fail(c, 405, "MethodNotAllowed",
                         "the server does not allow this method on the requested resource");
}

/* Is the path below a group version of built-in types? Those have a handler that answers in Statuses. */
static bool of_builtin_group(struct sandbox_call *c)
{
    kr_str rest = c->path, group = KR_S(""), version;
    bool core = kr_str_starts(rest, KR_S("/api/"));

    rest = kr_str_sub(rest, core ? strlen("/api/") : strlen("/apis/"), rest.n);
    if (!core)
        group = kr_str_cut(&rest, '/');
    version = kr_str_cut(&rest, '/');
    kr_map_each (e, &c->s->types) {
        const struct sandbox_type *t = e->val;
        const struct sandbox_version *v =
            t->builtin && kr_str_eq(t->group, group) ? sandbox__type_version(t, version) : NULL;

        if (v && v->served)
            return true;
    }
    return false;
}

static int not_served(struct sandbox_call *c)
{
    if (c->t.type && !c->t.type->builtin)
        return sandbox__not_found(c);
    if (!c->t.type && !of_builtin_group(c))
        return sandbox__answer_text(c, 404, "404 page not found\n");
    c->t.type = NULL; /* nothing of it is said */
    return sandbox__fail(c, 404, "NotFound", "the server could not find the requested resource");
}

static int serve_collection(struct sandbox_call *c)
{
    bool whole = (c->t.ns.n > 0) == c->t.type->namespaced; /* all namespaces are only read */

    if (is_method(c, "GET") && sandbox__arg_true(c, "watch"))
        return has_verb(c, 'w') ? sandbox__watch(c) : not_allowed(c);
    if (is_method(c, "GET"))
        return has_verb(c, 'l') ? sandbox__list(c) : not_allowed(c);
    if (is_method(c, "POST") && whole)
        return has_verb(c, 'c') ? sandbox__create(c) : not_allowed(c);
    if (is_method(c, "DELETE") && whole)
        return has_verb(c, 'D') ? sandbox__delete_all(c) : not_allowed(c);
    return not_allowed(c);
}

/* Does the version have that subresource, and is it one the sandbox serves? */
static bool knows_sub(const struct sandbox_call *c)
{
    const struct sandbox_version *v = c->t.version;

    if (kr_str_is(c->t.sub, "status"))
        return v->status;
    if (kr_str_is(c->t.sub, "scale"))
        return v->scale;
    return c->t.type->builtin && sandbox__has_sub(v, c->t.sub);
}

/* What goes on to a container, or to what one listens on. */
static bool needs_containers(const struct sandbox_call *c)
{
    static const char *const names[] = {"attach", "exec", "log", "portforward", "proxy"};

    for (size_t i = 0; i < KR_N(names); i++) {
        if (c->t.type->group.n == 0 && kr_str_eq(c->t.sub, kr_str_c(names[i])))
            return true;
    }
    return false;
}

static int serve_object(struct sandbox_call *c)
{
    if (c->t.sub.n && !knows_sub(c))
        return not_served(c);
    if (c->t.type->namespaced && c->t.ns.n == 0)
        return not_served(c);
    if (needs_containers(c)) {
        if (sandbox__find(c->t.type, c->t.ns, c->t.name) == NULL)
            return sandbox__not_found(c);
        return sandbox__fail(c, 501, "NotImplemented",
                             "the sandbox runs no containers: " KR_FMT
                             " is for the Pods of a cluster with nodes",
                             KR_ARG(c->t.sub));
    }
    if (is_method(c, "GET"))
        return has_verb(c, 'g') ? sandbox__get(c) : not_allowed(c);
    if (is_method(c, "PUT"))
        return has_verb(c, 'u') ? sandbox__update(c) : not_allowed(c);
    if (is_method(c, "PATCH"))
        return has_verb(c, 'p') ? sandbox__patch(c) : not_allowed(c);
    if (is_method(c, "DELETE") && c->t.sub.n == 0)
        return has_verb(c, 'd') ? sandbox__delete(c) : not_allowed(c);
    return not_allowed(c);
}

/* A body of a type that nobody reads; patches have types of their own, which they look at. */
static bool is_unreadable(const struct sandbox_call *c)
{
    static const char *const known[] = {"application/json", "application/yaml",
                                        "application/vnd.kubernetes.protobuf"};
    kr_str rest = c->q->content_type, type = kr_str_trim(kr_str_cut(&rest, ';'));

    if (type.n == 0 || c->q->body.n == 0 || is_method(c, "PATCH"))
        return false;
    for (size_t i = 0; i < KR_N(known); i++) {
        if (kr_str_eq(type, kr_str_c(known[i])))
            return false;
    }
    return true;
}

static int serve_target(struct sandbox_call *c)
{
    int status;

    if (c->t.type == NULL)
        return not_served(c);
    if (is_unreadable(c))
        return sandbox__fail(c, 415, "UnsupportedMediaType",
                             "the body of the request was in an unknown format - accepted media "
                             "types include: application/json, application/yaml, "
                             "application/vnd.kubernetes.protobuf");
    if (is_method(c, "POST")) {
        status = sandbox__review(c);
        if (status)
            return status;
    }
    return c->t.name.n ? serve_object(c) : serve_collection(c);
}

static bool is_health(kr_str path)
{
    return kr_str_is(path, "/healthz") || kr_str_is(path, "/readyz") || kr_str_is(path, "/livez") ||
           kr_str_starts(path, KR_S("/healthz/")) || kr_str_starts(path, KR_S("/readyz/")) ||
           kr_str_starts(path, KR_S("/livez/"));
}

static int serve(struct sandbox_call *c)
{
    int status;

    if (is_health(c->path))
        return sandbox__answer_text(c, 200, "ok");
    if (!is_method(c, "GET") && !is_method(c, "HEAD"))
        return find_target(c) ? serve_target(c) : not_allowed(c); /* all else is only read */
    status = sandbox__discovery(c);
    if (status == 0)
        status = sandbox__openapi(c);
    if (status)
        return status;
    if (find_target(c))
        return serve_target(c);
    return sandbox__answer_text(c, 404, "404 page not found\n");
}

void sandbox_serve(struct sandbox *s, const struct sandbox_request *q, struct sandbox_response *r)
{
    struct sandbox_call c = {.s = s, .q = q, .r = r, .a = &r->arena};
    kr_str rest = q->path;

    kr_buf_init(&r->body, SANDBOX_RESPONSE_MAX);
    c.path = kr_str_cut(&rest, '?');
    c.query = parse_query(c.a, rest);
    if (q->body.n > SANDBOX_BODY_MAX)
        sandbox__fail(&c, 413, "RequestEntityTooLarge", "limit is %d", SANDBOX_BODY_MAX);
    else
        serve(&c);
}
