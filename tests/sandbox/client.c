/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sandbox/client.h"

#include <string.h>

void client_open(struct client *c, const struct sandbox_opts *opts)
{
    *c = (struct client){.status = 0};
    vclock_init(&c->clock);
    c->s = sandbox_new(&c->clock.door, opts);
    vclock_run(&c->clock);
}

void client_close(struct client *c)
{
    sandbox_free(c->s);
    kr_arena_fini(&c->a);
    vclock_fini(&c->clock);
}

static int request(struct client *c, const char *method, const char *path, const char *type,
                   const char *body)
{
    struct sandbox_request q = {.method = method,
                                .path = kr_str_c(path),
                                .body = kr_str_c(body),
                                .content_type = kr_str_c(type),
                                .user_agent = KR_S("tester/1")};
    struct sandbox_response r = {0};
    struct kr_err err = KR_ERR_NONE;

    sandbox_serve(c->s, &q, &r);
    assert_null(r.watch);
    c->status = r.status;
    c->body = KR_V_NONE;
    if (r.body.n && r.body.s[0] == '{')
        EXPECT_OK(kr_json_parse(&c->a, kr_buf_view(&r.body), &c->body, &err), &err);
    sandbox_response_fini(&r);
    return c->status;
}

int client_do(struct client *c, const char *method, const char *path, const char *body)
{
    return request(c, method, path, "application/json", body);
}

int client_patch(struct client *c, const char *type, const char *path, const char *body)
{
    const char *full = strcmp(type, "apply") == 0
                           ? "application/apply-patch+yaml"
                           : kr_cstr(&c->a, kr_fmt(&c->a, "application/%s-patch+json", type));

    return request(c, "PATCH", path, full, body);
}

kr_str client_at(struct client *c, const char *path)
{
    return kr_at_str(c->body, path);
}

struct sandbox_watch *client_watch(struct client *c, const char *path)
{
    struct sandbox_request q = {.method = "GET", .path = kr_str_c(path)};
    struct sandbox_response r = {0};
    struct sandbox_watch *w;

    sandbox_serve(c->s, &q, &r);
    w = r.watch;
    assert_non_null(w);
    sandbox_response_fini(&r);
    return w;
}

const char *client_events(struct client *c, struct sandbox_watch *w)
{
    KR_AUTO(kr_buf) lines = KR_BUF(1 << 20);
    struct kr_buf out = KR_BUF_IN(&c->a, 1 << 20);
    kr_str rest;
    struct kr_err err = KR_ERR_NONE;

    kr_buf_str(&out, KR_S(""));
    sandbox_watch_read(w, &lines, SIZE_MAX);
    rest = kr_buf_view(&lines);
    while (rest.n > 0) {
        kr_str line = kr_str_cut(&rest, '\n'), name;
        kr_val v;

        EXPECT_OK(kr_json_parse(&c->a, line, &v, &err), &err);
        name = kr_at_str(v, "object.metadata.name");
        kr_buf_fmt(&out, "%s" KR_FMT " " KR_FMT, out.n ? ", " : "", KR_ARG(kr_at_str(v, "type")),
                   KR_ARG(name.n ? name : kr_at_str(v, "object.reason")));
    }
    return kr_cstr(&c->a, kr_buf_view(&out));
}
