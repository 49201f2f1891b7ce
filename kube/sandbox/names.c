/* SPDX-License-Identifier: Apache-2.0 */
/* names.c - are the names of an object names? Its own, those of its labels, annotations, finalizers and
 * owners, and of a definition those it makes.
 *
 * Source: apimachinery pkg/api/validation, pkg/util/validation; apiextensions validation.
 */
#include "kube/sandbox/glue.h"

#include <stdlib.h>

#include "cel/base/json.h"
#include "kube/sandbox/words.h"

#include "cel/base/banned.h"

enum { ANNOTATIONS_MAX = 256 * 1024 };

/* What is wrong with it, or NULL. Those of Namespaces and Services are labels of DNS; those of access rules
 * may have any character that a path can. */
static const char *name_fault(const struct sandbox_call *c, kr_str name)
{
    const struct sandbox_type *type = c->t.type;

    if (sandbox__is(type, "", "namespaces") || sandbox__is(type, "", "services"))
        return sandbox_word_fault(SANDBOX_LABEL, name);
    if (type->builtin && kr_str_is(type->group, "rbac.authorization.k8s.io"))
        return sandbox_word_fault(SANDBOX_SEGMENT, name);
    return sandbox_word_fault(SANDBOX_SUBDOMAIN, name);
}

/* "metadata.labels: Invalid value: VALUE: TEXT"; more than anybody reads are left out. */
static void refuse_value(struct sandbox_call *c, struct kr_listb *causes, const char *field,
                         kr_str value, const char *text)
{
    if (causes->n < SANDBOX_CAUSES_MAX)
        kr_listb_add(causes, sandbox__cause(
                                 c->a, "FieldValueInvalid",
                                 kr_fmt(c->a, "Invalid value: " KR_FMT ": %s", KR_ARG(value), text),
                                 kr_str_c(field)));
}

/* The same of a string. */
static void refuse(struct sandbox_call *c, struct kr_listb *causes, const char *field, kr_str value,
                   const char *text)
{
    refuse_value(c, causes, field, kr_fmt(c->a, "\"" KR_FMT "\"", KR_ARG(value)), text);
}

/* What the name begins with may end in '-': the rest is to come. */
static void check_generate_name(struct sandbox_call *c, kr_val v, struct kr_listb *causes)
{
    kr_str prefix = kr_at_str(v, "metadata.generateName"), name = prefix;
    const char *fault;

    if (prefix.n == 0)
        return;
    if (prefix.s[prefix.n - 1] == '-')
        name = kr_fmt(c->a, KR_FMT "a", KR_ARG(kr_str_sub(prefix, 0, prefix.n - 1)));
    fault = name_fault(c, name);
    if (fault)
        refuse(c, causes, "metadata.generateName", prefix, fault);
}

static void check_name(struct sandbox_call *c, kr_val v, struct kr_listb *causes)
{
    kr_str name = kr_at_str(v, "metadata.name");
    const char *fault = name_fault(c, name);

    if (name.n == 0)
        kr_listb_add(causes,
                     sandbox__cause(c->a, "FieldValueRequired",
                                    KR_S("Required value: name or generateName is required"),
                                    KR_S("metadata.name")));
    else if (fault)
        refuse(c, causes, "metadata.name", name, fault);
}

static void check_word(struct sandbox_call *c, struct kr_listb *causes, const char *field,
                       enum sandbox_word word, kr_str text)
{
    const char *faults[SANDBOX_FAULTS_MAX];
    uint32_t n = sandbox_word_faults(word, text, faults);

    for (uint32_t i = 0; i < n; i++)
        refuse(c, causes, field, text, faults[i]);
}

static void check_labels(struct sandbox_call *c, kr_val v, struct kr_listb *causes)
{
    KR_MAP_EACH (p, kr_at(v, "metadata.labels")) {
        kr_str key = kr_text(p->key), text = kr_text(p->val);

        check_word(c, causes, "metadata.labels", SANDBOX_KEY, key);
        if (p->val.kind == KR_STRING)
            check_word(c, causes, "metadata.labels", SANDBOX_LABEL_VALUE, text);
    }
}

static void check_annotations(struct sandbox_call *c, kr_val v, struct kr_listb *causes)
{
    size_t bytes = 0;

    KR_MAP_EACH (p, kr_at(v, "metadata.annotations")) {
        kr_str key = kr_text(p->key);

        bytes += key.n + kr_text(p->val).n;
        check_word(c, causes, "metadata.annotations", SANDBOX_ANNOTATION_KEY, key);
    }
    if (bytes > ANNOTATIONS_MAX)
        kr_listb_add(causes, sandbox__cause(c->a, "FieldValueTooLong",
                                            KR_S("Too long: may not be more than 262144 bytes"),
                                            KR_S("metadata.annotations")));
}

static bool has(kr_val list, kr_val v)
{
    KR_LIST_EACH (item, list) {
        if (kr_equal(*item, v))
            return true;
    }
    return false;
}

/* --- owners ----------------------------------------------------------------------------------- */

/* An owner as Go writes its struct. */
static kr_str owner_text(struct sandbox_call *c, kr_val owner)
{
    static const char *const members[] = {"apiVersion", "kind",       "name",
                                          "uid",        "controller", "blockOwnerDeletion"};
    struct kr_buf b = KR_BUF_IN(c->a, KR_ERR_MAX);

    for (size_t i = 0; i < KR_N(members); i++) {
        kr_val v = kr_get(owner, kr_str_c(members[i]));

        if (v.kind == KR_NONE && i < 4)
            v = KR_V_STR("");
        if (v.kind != KR_NONE)
            kr_buf_fmt(&b, "%s\"%s\":" KR_FMT, b.n ? "," : "{", members[i],
                       KR_ARG(kr_json_str(c->a, v)));
    }
    kr_buf_chr(&b, '}');
    return kr_buf_view(&b);
}

static void check_owner(struct sandbox_call *c, kr_val owner, struct kr_listb *causes)
{
    static const char *const members[] = {"kind", "name", "uid"};
    kr_str version = kr_at_str(owner, "apiVersion");
    ptrdiff_t slash = kr_str_chr(version, '/');

    if (version.n == 0 || (slash >= 0 && slash != kr_str_rchr(version, '/')))
        refuse(c, causes, "metadata.ownerReferences.apiVersion", version,
               "version must not be empty");
    for (size_t i = 0; i < KR_N(members); i++) {
        if (kr_at_str(owner, members[i]).n == 0)
            refuse(c, causes, kr_fmt(c->a, "metadata.ownerReferences.%s", members[i]).s, KR_S(""),
                   "must not be empty");
    }
    if (kr_str_is(version, "v1") && kr_str_is(kr_at_str(owner, "kind"), "Event"))
        refuse_value(c, causes, "metadata.ownerReferences", owner_text(c, owner),
                     "/v1, Kind=Event is disallowed from being an owner");
}

/* As much of them as a message holds. */
static kr_str all_owners(struct sandbox_call *c, kr_val owners)
{
    struct kr_buf b = KR_BUF_IN(c->a, KR_ERR_MAX);

    KR_LIST_EACH (owner, owners) {
        if (!b.full)
            kr_buf_fmt(&b, "%s" KR_FMT, b.n ? "," : "[", KR_ARG(owner_text(c, *owner)));
    }
    kr_buf_chr(&b, ']');
    return kr_buf_view(&b);
}

static void check_owners(struct sandbox_call *c, kr_val v, struct kr_listb *causes)
{
    kr_val owners = kr_at(v, "metadata.ownerReferences"), first = KR_V_NONE;

    KR_LIST_EACH (owner, owners) {
        if (causes->n >= SANDBOX_CAUSES_MAX)
            return;
        check_owner(c, *owner, causes);
        if (!kr_is_true(kr_get(*owner, KR_S("controller"))))
            continue;
        if (first.kind != KR_NONE)
            refuse_value(
                c, causes, "metadata.ownerReferences", all_owners(c, owners),
                kr_fmt(c->a,
                       "Only one reference can have Controller set to true. Found \"true\" in "
                       "references for " KR_FMT "/" KR_FMT " and " KR_FMT "/" KR_FMT,
                       KR_ARG(kr_at_str(first, "kind")), KR_ARG(kr_at_str(first, "name")),
                       KR_ARG(kr_at_str(*owner, "kind")), KR_ARG(kr_at_str(*owner, "name")))
                    .s);
        else
            first = *owner;
    }
}

kr_val sandbox__owners_once(struct sandbox_call *c, kr_val v)
{
    kr_val owners = kr_at(v, "metadata.ownerReferences");
    struct kr_listb once = KR_LISTB(c->a);
    struct kr_buf twice = KR_BUF_IN(c->a, KR_ERR_MAX);
    KR_AUTO(kr_map) seen = {0};

    if (owners.kind != KR_LIST || owners.n < 2)
        return v;
    KR_LIST_EACH (owner, owners) {
        if (sandbox__is_first(&seen, kr_json_str(c->a, *owner)))
            kr_listb_add(&once, *owner);
        else
            kr_buf_fmt(&twice, "%s" KR_FMT, twice.n ? ", " : "", KR_ARG(kr_at_str(*owner, "uid")));
    }
    if (twice.n == 0)
        return v;
    sandbox__warn(
        c, kr_fmt(c->a,
                  ".metadata.ownerReferences contains duplicate entries; API server "
                  "dedups owner references in 1.20+, and may reject such requests as "
                  "early as 1.24; please fix your requests; duplicate UID(s) observed: " KR_FMT,
                  KR_ARG(kr_buf_view(&twice))));
    return kr_with(c->a, v, "metadata.ownerReferences", kr_listb_done(&once));
}

/* --- definitions ------------------------------------------------------------------------------ */

static void check_definition(struct sandbox_call *c, kr_val old, kr_val v, struct kr_listb *causes)
{
    kr_val scope = kr_at(v, "spec.scope"), was = kr_at(old, "spec.scope");
    kr_str wanted = kr_fmt(c->a, KR_FMT "." KR_FMT, KR_ARG(kr_at_str(v, "spec.names.plural")),
                           KR_ARG(kr_at_str(v, "spec.group")));
    uint32_t stored = 0;

    if (!sandbox__is(c->t.type, "apiextensions.k8s.io", "customresourcedefinitions"))
        return;
    if (!kr_str_eq(wanted, kr_at_str(v, "metadata.name")))
        kr_listb_add(causes, sandbox__cause(c->a, "FieldValueInvalid",
                                            kr_fmt(c->a,
                                                   "Invalid value: \"" KR_FMT
                                                   "\": must be spec.names.plural+\".\"+spec.group",
                                                   KR_ARG(kr_at_str(v, "metadata.name"))),
                                            KR_S("metadata.name")));
    if (was.kind == KR_STRING && !kr_equal(was, scope))
        kr_listb_add(
            causes, sandbox__cause(c->a, "FieldValueInvalid",
                                   kr_fmt(c->a, "Invalid value: \"" KR_FMT "\": field is immutable",
                                          KR_ARG(kr_text(scope))),
                                   KR_S("spec.scope")));
    KR_LIST_EACH (version, kr_at(v, "spec.versions"))
        stored += kr_is_true(kr_get(*version, KR_S("storage")));
    if (stored != 1)
        kr_listb_add(causes,
                     sandbox__cause(c->a, "FieldValueInvalid",
                                    KR_S("Invalid value: must have exactly one version marked as "
                                         "storage version"),
                                    KR_S("spec.versions")));
}

static int by_text(const void *x, const void *y)
{
    return kr_str_cmp(*(const kr_str *)x, *(const kr_str *)y);
}

/* Finalizers that v has and old has not, as Go prints them: []string{"a", "b"}. Empty: none. */
static kr_str new_finalizers(struct kr_arena *a, kr_val old, kr_val v)
{
    kr_val list = kr_at(v, "metadata.finalizers"), was = kr_at(old, "metadata.finalizers");
    struct kr_buf b = KR_BUF_IN(a, KR_ERR_MAX);
    kr_str *names = kr_new_n(a, kr_str, list.kind == KR_LIST ? list.n + 1 : 1);
    KR_AUTO(kr_map) seen = {0};
    uint32_t n = 0;

    KR_LIST_EACH (item, was)
        (void)sandbox__is_first(&seen, kr_text(*item));
    KR_LIST_EACH (item, list) {
        if (sandbox__is_first(&seen, kr_text(*item)))
            names[n++] = kr_text(*item);
    }
    qsort(names, n, sizeof *names, by_text);
    for (uint32_t i = 0; i < n; i++) {
        if (i == 0 || !kr_str_eq(names[i], names[i - 1]))
            kr_buf_fmt(&b, "%s\"" KR_FMT "\"", b.n ? ", " : "", KR_ARG(names[i]));
    }
    return kr_buf_view(&b);
}

static bool is_standard_finalizer(kr_str name)
{
    return kr_str_is(name, "kubernetes") || kr_str_is(name, "orphan") ||
           kr_str_is(name, "foregroundDeletion");
}

static void check_finalizers(struct sandbox_call *c, kr_val v, struct kr_listb *causes)
{
    kr_val list = kr_at(v, "metadata.finalizers");
    uint32_t i = 0;

    KR_LIST_EACH (name, list) {
        if (causes->n < SANDBOX_CAUSES_MAX)
            check_word(c, causes, "metadata.finalizers", SANDBOX_KEY, kr_text(*name));
    }
    if (has(list, KR_V_STR("orphan")) && has(list, KR_V_STR("foregroundDeletion")))
        refuse_value(c, causes, "metadata.finalizers", kr_json_str(c->a, list),
                     "finalizer orphan and foregroundDeletion cannot be both set");
    KR_LIST_EACH (name, list) {
        if (causes->n < SANDBOX_CAUSES_MAX && c->t.type->builtin &&
            kr_str_chr(kr_text(*name), '/') < 0 && !is_standard_finalizer(kr_text(*name)))
            refuse(c, causes, kr_fmt(c->a, "metadata.finalizers[%u]", i).s, kr_text(*name),
                   "name is neither a standard finalizer name nor is it fully qualified");
        i++;
    }
}

static void check_new_finalizers(struct sandbox_call *c, kr_val old, kr_val v,
                                 struct kr_listb *causes)
{
    kr_str extra = KR_S("");

    if (kr_at(old, "metadata.deletionTimestamp").kind == KR_STRING)
        extra = new_finalizers(c->a, old, v);
    if (extra.n)
        kr_listb_add(
            causes,
            sandbox__cause(c->a, "FieldValueForbidden",
                           kr_fmt(c->a,
                                  "Forbidden: no new finalizers can be added if the object "
                                  "is being deleted, found new finalizers []string{" KR_FMT "}",
                                  KR_ARG(extra)),
                           KR_S("metadata.finalizers")));
}

static void check_maps(struct sandbox_call *c, kr_val v, struct kr_listb *causes)
{
    check_labels(c, v, causes);
    check_annotations(c, v, causes);
    check_owners(c, v, causes);
}

/* Of a change the server looks at the maps and owners twice by themselves, and then at all, of a ConfigMap
 * and a Secret twice, and says so each time. */
kr_val sandbox__meta_causes(struct sandbox_call *c, kr_val old, kr_val v, kr_val others)
{
    struct kr_listb causes = KR_LISTB(c->a);
    bool changed = old.kind != KR_NONE,
         twice = sandbox__is(c->t.type, "", "configmaps") || sandbox__is(c->t.type, "", "secrets");

    for (int i = 0; changed && i < 2; i++) {
        check_new_finalizers(c, old, v, &causes);
        check_maps(c, v, &causes);
    }
    for (int i = 0; i < (changed && twice ? 2 : 1); i++) {
        check_generate_name(c, v, &causes);
        check_name(c, v, &causes);
        check_maps(c, v, &causes);
        check_finalizers(c, v, &causes);
    }
    KR_LIST_EACH (cause, others)
        kr_listb_add(&causes, *cause);
    if (causes.n == 0)
        check_definition(c, old, v, &causes);
    return kr_listb_done(&causes);
}
