/* SPDX-License-Identifier: Apache-2.0 */
/* options.c - the options of a write: dryRun, fieldValidation, force, and how to delete. They are read and
 * checked before the object is looked at, so an unknown value is refused whatever the path names.
 *
 * Source: apimachinery pkg/apis/meta/v1/validation.
 */
#include "kube/sandbox/work.h"

#include "cel/base/banned.h"

enum { MANAGER_MAX_BYTES = 128 };

#define DRY_RUN_WORDS "supported values: \"All\""
#define VALIDATION_WORDS "supported values: \"\", \"Ignore\", \"Strict\", \"Warn\""
#define PROPAGATION_WORDS "supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\""

static void cause(struct sandbox_call *c, struct kr_listb *list, const char *field,
                  const char *reason, kr_str message)
{
    kr_listb_add(list, sandbox__cause(c->a, reason, message, kr_str_c(field)));
}

static void check_dry_run(struct sandbox_call *c, struct kr_listb *list, kr_str value)
{
    if (value.n && !kr_str_is(value, "All"))
        cause(c, list, "dryRun", "FieldValueNotSupported",
              kr_fmt(c->a, "Unsupported value: [\"" KR_FMT "\"]: " DRY_RUN_WORDS, KR_ARG(value)));
}

static void check_validation(struct sandbox_call *c, struct kr_listb *list)
{
    static const char *const known[] = {"", "Ignore", "Strict", "Warn"};
    kr_str value = sandbox__arg(c, "fieldValidation");

    for (size_t i = 0; i < KR_N(known); i++) {
        if (kr_str_eq(value, kr_str_c(known[i])))
            return;
    }
    cause(c, list, "fieldValidation", "FieldValueNotSupported",
          kr_fmt(c->a, "Unsupported value: \"" KR_FMT "\": " VALIDATION_WORDS, KR_ARG(value)));
}

static void check_manager(struct sandbox_call *c, struct kr_listb *list)
{
    if (sandbox__arg(c, "fieldManager").n > MANAGER_MAX_BYTES)
        cause(c, list, "fieldManager", "FieldValueTooLong",
              kr_fmt(c->a, "Too long: may not be more than %d bytes", MANAGER_MAX_BYTES));
}

static void check_patch(struct sandbox_call *c, struct kr_listb *list)
{
    if (!kr_str_starts(c->q->content_type, KR_S("application/apply-patch"))) {
        if (sandbox__arg(c, "force").n)
            cause(c, list, "force", "FieldValueForbidden",
                  KR_S("Forbidden: may not be specified for non-apply patch"));
    } else if (sandbox__arg(c, "fieldManager").n == 0) {
        cause(c, list, "fieldManager", "FieldValueRequired",
              KR_S("Required value: is required for apply patch"));
    }
}

static int refused(struct sandbox_call *c, const char *kind, kr_val causes)
{
    return causes.n ? sandbox__invalid_of(c, KR_S("meta.k8s.io"), kr_str_c(kind), KR_S(""), causes)
                    : 0;
}

int sandbox__write_options(struct sandbox_call *c, const char *kind)
{
    struct kr_listb list = KR_LISTB(c->a);

    if (strcmp(kind, "PatchOptions") == 0)
        check_patch(c, &list);
    check_manager(c, &list);
    check_dry_run(c, &list, sandbox__arg(c, "dryRun"));
    check_validation(c, &list);
    return refused(c, kind, kr_listb_done(&list));
}

/* --- deletions -------------------------------------------------------------------------------- */

/* Without a body the query says what is wanted; with one it says nothing. */
static kr_val from_query(struct sandbox_call *c)
{
    kr_val v = kr_map_sorted(NULL, 0);
    struct kr_listb list = KR_LISTB(c->a);
    kr_str policy = sandbox__arg(c, "propagationPolicy"), dry = sandbox__arg(c, "dryRun"),
           orphan = sandbox__arg(c, "orphanDependents");

    if (policy.n)
        v = kr_with_key(c->a, v, KR_S("propagationPolicy"), kr_string(policy));
    if (orphan.n)
        v = kr_with_key(c->a, v, KR_S("orphanDependents"),
                        kr_bool(sandbox__arg_true(c, "orphanDependents")));
    if (dry.n) {
        kr_listb_add(&list, kr_string(dry));
        v = kr_with_key(c->a, v, KR_S("dryRun"), kr_listb_done(&list));
    }
    return v;
}

static void check_propagation(struct sandbox_call *c, struct kr_listb *list, kr_val options,
                              enum sandbox_propagation *how)
{
    kr_str policy = kr_at_str(options, "propagationPolicy");
    kr_val orphan = kr_get(options, KR_S("orphanDependents"));

    *how = kr_str_is(policy, "Foreground")                     ? SANDBOX_FOREGROUND
           : kr_str_is(policy, "Orphan") || kr_is_true(orphan) ? SANDBOX_ORPHAN
                                                               : SANDBOX_BACKGROUND;
    if (policy.n == 0 && orphan.kind == KR_NONE)
        *how = SANDBOX_UNSAID;
    if (policy.n == 0)
        return;
    if (orphan.kind == KR_BOOL)
        cause(c, list, "propagationPolicy", "FieldValueInvalid",
              kr_fmt(c->a,
                     "Invalid value: \"" KR_FMT
                     "\": orphanDependents and deletionPropagation cannot be both set",
                     KR_ARG(policy)));
    if (*how == SANDBOX_BACKGROUND && !kr_str_is(policy, "Background"))
        cause(
            c, list, "propagationPolicy", "FieldValueNotSupported",
            kr_fmt(c->a, "Unsupported value: \"" KR_FMT "\": " PROPAGATION_WORDS, KR_ARG(policy)));
}

int sandbox__delete_options(struct sandbox_call *c, struct sandbox_delete_options *out)
{
    struct kr_listb list = KR_LISTB(c->a);
    kr_val v;
    int status = sandbox__body(c, &v);

    if (status)
        return status;
    if (v.kind == KR_NONE)
        v = from_query(c);
    if (v.kind != KR_MAP)
        return sandbox__fail(c, 400, "BadRequest", "the options are no object");
    check_propagation(c, &list, v, &out->how);
    check_dry_run(c, &list, kr_text(kr_item(kr_get(v, KR_S("dryRun")), 0)));
    out->dry_run = kr_get(v, KR_S("dryRun")).n > 0;
    out->uid = kr_at_str(v, "preconditions.uid");
    out->version = kr_at_str(v, "preconditions.resourceVersion");
    return refused(c, "DeleteOptions", kr_listb_done(&list));
}
