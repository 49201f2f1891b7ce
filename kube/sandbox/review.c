/* SPDX-License-Identifier: Apache-2.0 */
/* review.c - questions that are asked by creating an object which is answered and not stored: who am
 * I, may I, is this token good. In the sandbox whoever gets in is an administrator and may all.
 */
#include "cel/base/digest.h"
#include "cel/base/json.h"
#include "cel/base/time.h"
#include "kube/sandbox/internal.h"

#include "cel/base/banned.h"

#define TOKEN_SECONDS_MAX (INT64_C(1) << 32)

enum { TOKEN_SECONDS = 60 * 60, TOKEN_SECONDS_MIN = 10 * 60 };

static kr_val strings(struct kr_arena *a, const char *const *list, size_t n)
{
    struct kr_listb b = KR_LISTB(a);

    for (size_t i = 0; i < n; i++)
        kr_listb_add(&b, kr_string(kr_str_c(list[i])));
    return kr_listb_done(&b);
}

static kr_val user(struct kr_arena *a)
{
    static const char *const groups[] = {"system:masters", "system:authenticated"};
    kr_val v = kr_map_sorted(NULL, 0);

    v = kr_with(a, v, "username", KR_V_STR("admin"));
    return kr_with(a, v, "groups", strings(a, groups, KR_N(groups)));
}

static kr_val allowed(struct sandbox_call *c)
{
    kr_val v = kr_map_sorted(NULL, 0);

    return kr_with(c->a, v, "allowed", kr_bool(true));
}

static kr_val rules(struct sandbox_call *c)
{
    static const char *const all[] = {"*"};
    struct kr_listb resources = KR_LISTB(c->a), others = KR_LISTB(c->a);
    kr_val v = kr_map_sorted(NULL, 0), rule = v, list = strings(c->a, all, 1);

    rule = kr_with(c->a, rule, "verbs", list);
    kr_listb_add(&others, kr_with(c->a, rule, "nonResourceURLs", list));
    rule = kr_with(c->a, rule, "apiGroups", list);
    kr_listb_add(&resources, kr_with(c->a, rule, "resources", list));
    v = kr_with(c->a, v, "incomplete", kr_bool(false));
    v = kr_with(c->a, v, "nonResourceRules", kr_listb_done(&others));
    return kr_with(c->a, v, "resourceRules", kr_listb_done(&resources));
}

static kr_val self(struct sandbox_call *c)
{
    return kr_with(c->a, kr_map_sorted(NULL, 0), "userInfo", user(c->a));
}

static kr_val token_review(struct sandbox_call *c)
{
    kr_val v = kr_with(c->a, kr_map_sorted(NULL, 0), "authenticated", kr_bool(true));

    return kr_with(c->a, v, "user", user(c->a));
}

static const struct {
    const char *group, *resource;
    kr_val (*status)(struct sandbox_call *c);
} reviews[] = {
    {"authorization.k8s.io", "selfsubjectaccessreviews", allowed},
    {"authorization.k8s.io", "subjectaccessreviews", allowed},
    {"authorization.k8s.io", "localsubjectaccessreviews", allowed},
    {"authorization.k8s.io", "selfsubjectrulesreviews", rules},
    {"authentication.k8s.io", "selfsubjectreviews", self},
    {"authentication.k8s.io", "tokenreviews", token_review},
};

static int refuse_seconds(struct sandbox_call *c, kr_val seconds)
{
    struct kr_listb causes = KR_LISTB(c->a);
    const char *why =
        seconds.i < TOKEN_SECONDS_MIN ? "less than 10 minutes" : "larger than 2^32 seconds";

    kr_listb_add(
        &causes,
        sandbox__cause(c->a, "FieldValueInvalid",
                       kr_fmt(c->a, "Invalid value: " KR_FMT ": may not specify a duration %s",
                              KR_ARG(kr_json_str(c->a, seconds)), why),
                       KR_S("spec.expirationSeconds")));
    return sandbox__invalid_of(c, KR_S("authentication.k8s.io"), KR_S("TokenRequest"), KR_S(""),
                               kr_listb_done(&causes));
}

/* A token of a service account: good for nothing but to be shown. */
static int token_request(struct sandbox_call *c, kr_val v)
{
    char text[KR_TIME_TEXT_MAX];
    kr_val seconds = kr_at(v, "spec.expirationSeconds");
    int64_t n = seconds.kind == KR_INT ? seconds.i : TOKEN_SECONDS, end;
    size_t text_n;

    if (n < TOKEN_SECONDS_MIN || n > TOKEN_SECONDS_MAX)
        return refuse_seconds(c, seconds);
    end = c->s->clock->ops->wall_ms(c->s->clock) / 1000 + n;
    text_n = kr_time_text(end, 0, text);
    if (!sandbox__find(c->t.type, c->t.ns, c->t.name))
        return sandbox__not_found(c);
    v = v.kind == KR_MAP ? v : kr_map_sorted(NULL, 0);
    v = kr_with(c->a, v, "kind", KR_V_STR("TokenRequest"));
    v = kr_with(c->a, v, "apiVersion", KR_V_STR("authentication.k8s.io/v1"));
    v = kr_with(c->a, v, "status.token",
                kr_string(kr_base64_encode(c->a, sandbox__uid(c->s, c->a), KR_BASE64_URL_NOPAD)));
    v = kr_with(c->a, v, "status.expirationTimestamp",
                kr_string(kr_strdup(c->a, (kr_str){text, text_n})));
    return sandbox__answer(c, 201, v);
}

int sandbox__review(struct sandbox_call *c)
{
    kr_val v;
    int status;

    for (size_t i = 0; i < KR_N(reviews); i++) {
        if (!sandbox__is(c->t.type, reviews[i].group, reviews[i].resource))
            continue;
        v = KR_V_NONE; /* the answer does not hang on the question, so any encoding of it will do */
        status = kr_str_find(c->q->content_type, KR_S("json")) >= 0 ? sandbox__body(c, &v) : 0;
        if (status)
            return status;
        v = v.kind == KR_MAP ? v : kr_map_sorted(NULL, 0);
        v = kr_with(c->a, v, "kind", kr_string(c->t.type->kind));
        v = kr_with(c->a, v, "apiVersion",
                    kr_string(sandbox__api_version(c->a, c->t.type, c->t.version->name)));
        v = kr_with(c->a, v, "metadata.creationTimestamp", KR_V_NULL);
        return sandbox__answer(c, 201, kr_with(c->a, v, "status", reviews[i].status(c)));
    }
    if (sandbox__is(c->t.type, "", "serviceaccounts") && kr_str_is(c->t.sub, "token")) {
        status = sandbox__body(c, &v);
        return status ? status : token_request(c, v);
    }
    return 0;
}
