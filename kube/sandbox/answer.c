/* SPDX-License-Identifier: Apache-2.0 */
/* answer.c - refusals: metav1.Status with the reason and the details that a real server gives. */
#include <stdarg.h>
#include <stdio.h>

#include "kube/sandbox/internal.h"

#include "cel/base/banned.h"

enum { MESSAGE_MAX = 16 * 1024 };

kr_str sandbox__qualified(struct kr_arena *a, const struct sandbox_type *t)
{
    return kr_fmt(a, KR_FMT "%s" KR_FMT, KR_ARG(t->resource), t->group.n ? "." : "",
                  KR_ARG(t->group));
}

__attribute__((format(printf, 7, 0))) static int fail_v(struct sandbox_call *c, int code,
                                                        const char *reason, kr_str group,
                                                        kr_str kind, kr_str name, const char *fmt,
                                                        va_list args)
{
    char text[MESSAGE_MAX];
    struct kr_mapb details = KR_MAPB(c->a), b = KR_MAPB(c->a);

    vsnprintf(text, sizeof text, fmt, args);
    if (name.n)
        kr_mapb_put(&details, KR_S("name"), kr_string(name));
    if (group.n)
        kr_mapb_put(&details, KR_S("group"), kr_string(group));
    if (kind.n)
        kr_mapb_put(&details, KR_S("kind"), kr_string(kind));
    if (c->r->retry_after_s)
        kr_mapb_put(&details, KR_S("retryAfterSeconds"), kr_int(c->r->retry_after_s));
    kr_mapb_put(&b, KR_S("kind"), KR_V_STR("Status"));
    kr_mapb_put(&b, KR_S("apiVersion"), KR_V_STR("v1"));
    kr_mapb_put(&b, KR_S("metadata"), kr_map_sorted(NULL, 0));
    kr_mapb_put(&b, KR_S("status"), KR_V_STR("Failure"));
    kr_mapb_put(&b, KR_S("message"), kr_string(kr_strdup(c->a, kr_str_c(text))));
    if (reason[0])
        kr_mapb_put(&b, KR_S("reason"), kr_string(kr_str_c(reason)));
    if (details.n || strcmp(reason, "NotFound") == 0)
        kr_mapb_put(&b, KR_S("details"), kr_mapb_done(&details));
    kr_mapb_put(&b, KR_S("code"), kr_int(code));
    return sandbox__answer(c, code, kr_mapb_done(&b));
}

int sandbox__fail(struct sandbox_call *c, int code, const char *reason, const char *fmt, ...)
{
    bool named =
        c->t.type && strcmp(reason, "BadRequest") != 0 && strcmp(reason, "NotAcceptable") != 0;
    va_list args;

    va_start(args, fmt);
    fail_v(c, code, reason, named ? c->t.type->group : KR_S(""),
           named && c->t.name.n ? c->t.type->resource : KR_S(""), named ? c->t.name : KR_S(""), fmt,
           args);
    va_end(args);
    return code;
}

static int KR_PRINTF(3, 4) fail_of(struct sandbox_call *c, int code, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    fail_v(c, code, "", KR_S(""), KR_S(""), KR_S(""), fmt, args);
    va_end(args);
    return code;
}

int sandbox__fail_bare(struct sandbox_call *c, int code, const char *text)
{
    return fail_of(c, code, "%s", text);
}

int sandbox__fail_kind(struct sandbox_call *c, int code, const char *reason, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    fail_v(c, code, reason, c->t.type->group, c->t.type->kind, c->t.name, fmt, args);
    va_end(args);
    return code;
}

int sandbox__fail_at(struct sandbox_call *c, int code, const char *reason, const char *resource,
                     kr_str name, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    fail_v(c, code, reason, KR_S(""), kr_str_c(resource), name, fmt, args);
    va_end(args);
    return code;
}

kr_val sandbox__cause(struct kr_arena *a, const char *reason, kr_str message, kr_str field)
{
    struct kr_mapb b = KR_MAPB(a);

    kr_mapb_put(&b, KR_S("reason"), kr_string(kr_str_c(reason)));
    kr_mapb_put(&b, KR_S("message"), kr_string(message));
    kr_mapb_put(&b, KR_S("field"), kr_string(field));
    return kr_mapb_done(&b);
}

/* Each once, as the server's message has them. */
static kr_str causes_text(struct kr_arena *a, kr_val causes)
{
    struct kr_buf b = KR_BUF_IN(a, MESSAGE_MAX);
    uint32_t n = 0;

    for (uint32_t i = 0; i < causes.n; i++) {
        uint32_t k = 0;

        while (k < i && !kr_equal(causes.list[k], causes.list[i]))
            k++;
        if (k == i)
            kr_buf_fmt(&b, "%s" KR_FMT ": " KR_FMT, n++ ? ", " : "",
                       KR_ARG(kr_at_str(causes.list[i], "field")),
                       KR_ARG(kr_at_str(causes.list[i], "message")));
    }
    return n > 1 ? kr_fmt(a, "[" KR_FMT "]", KR_ARG(kr_buf_view(&b))) : kr_buf_view(&b);
}

int sandbox__invalid(struct sandbox_call *c, kr_val causes)
{
    return sandbox__invalid_of(c, c->t.type->group, c->t.type->kind, c->t.name, causes);
}

int sandbox__invalid_of(struct sandbox_call *c, kr_str group, kr_str kind, kr_str name,
                        kr_val causes)
{
    kr_str text =
        kr_fmt(c->a, KR_FMT "%s" KR_FMT " \"" KR_FMT "\" is invalid: " KR_FMT, KR_ARG(kind),
               group.n ? "." : "", KR_ARG(group), KR_ARG(name), KR_ARG(causes_text(c->a, causes)));
    kr_val v = kr_map_sorted(NULL, 0);

    v = kr_with(c->a, v, "kind", KR_V_STR("Status"));
    v = kr_with(c->a, v, "apiVersion", KR_V_STR("v1"));
    v = kr_with(c->a, v, "metadata", kr_map_sorted(NULL, 0));
    v = kr_with(c->a, v, "status", KR_V_STR("Failure"));
    v = kr_with(c->a, v, "message", kr_string(text));
    v = kr_with(c->a, v, "reason", KR_V_STR("Invalid"));
    if (name.n)
        v = kr_with(c->a, v, "details.name", kr_string(name));
    if (group.n)
        v = kr_with(c->a, v, "details.group", kr_string(group));
    if (kind.n)
        v = kr_with(c->a, v, "details.kind", kr_string(kind));
    v = kr_with(c->a, v, "details.causes", causes);
    v = kr_with(c->a, v, "code", kr_int(422));
    return sandbox__answer(c, 422, v);
}

int sandbox__fail_field(struct sandbox_call *c, const char *field, const char *reason,
                        const char *message)
{
    struct kr_listb list = KR_LISTB(c->a);

    kr_listb_add(&list, sandbox__cause(c->a, reason, kr_str_c(message), kr_str_c(field)));
    return sandbox__invalid(c, kr_listb_done(&list));
}
