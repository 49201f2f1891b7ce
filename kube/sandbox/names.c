/* SPDX-License-Identifier: Apache-2.0 */
/* names.c - are the names of an object names? Its own, its labels, and of a definition those it makes.
 *
 * Source: apimachinery pkg/api/validation, pkg/util/validation; apiextensions validation.
 */
#include "kube/sandbox/glue.h"

#include <stdlib.h>

#include "cel/base/banned.h"

enum { SUBDOMAIN_MAX = 253, LABEL_MAX = 63 };

#define SUBDOMAIN_TEXT                                                                             \
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "   \
    "'.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used "  \
    "for validation is "                                                                           \
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
#define LABEL_TEXT                                                                                 \
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or "    \
    "'.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value', " \
    " "                                                                                            \
    "or '12345', regex used for validation is "                                                    \
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"

#define KEY_NAME_TEXT                                                                              \
    "consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "         \
    "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for "         \
    "validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
#define KEY_TEXT                                                                                   \
    "a valid label key must " KEY_NAME_TEXT                                                        \
    " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
#define DNS_LABEL_TEXT                                                                             \
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and "   \
    "must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex "     \
    "used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"

static bool lower_alnum(char ch)
{
    return (ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9');
}

static bool alnum(char ch)
{
    return lower_alnum(ch) || (ch >= 'A' && ch <= 'Z');
}

static bool is_subdomain(kr_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        bool edge = i == 0 || i + 1 == s.n || s.s[i - 1] == '.' || s.s[i + 1] == '.';

        if (!lower_alnum(s.s[i]) && (edge || (s.s[i] != '-' && s.s[i] != '.')))
            return false;
    }
    return s.n > 0 && s.n <= SUBDOMAIN_MAX;
}

static bool is_label_value(kr_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        bool edge = i == 0 || i + 1 == s.n;

        if (!alnum(s.s[i]) && (edge || (s.s[i] != '-' && s.s[i] != '_' && s.s[i] != '.')))
            return false;
    }
    return s.n <= LABEL_MAX;
}

/* Names of access rules may have any character that a path can. */
static bool is_path_segment(kr_str s)
{
    return s.n > 0 && !kr_str_is(s, ".") && !kr_str_is(s, "..") && kr_str_chr(s, '/') < 0 &&
           kr_str_chr(s, '%') < 0;
}

/* A Namespace's: a name of DNS without dots. What is wrong with it, or NULL. */
static const char *namespace_fault(kr_str name)
{
    if (kr_str_chr(name, '.') >= 0)
        return "must not contain dots";
    if (!is_subdomain(name))
        return DNS_LABEL_TEXT;
    return name.n > LABEL_MAX ? "must be no more than 63 characters" : NULL;
}

static const char *name_fault(const struct sandbox_call *c, kr_str name)
{
    if (sandbox__is(c->t.type, "", "namespaces"))
        return namespace_fault(name);
    if (c->t.type->builtin && kr_str_is(c->t.type->group, "rbac.authorization.k8s.io"))
        return is_path_segment(name) ? NULL : SUBDOMAIN_TEXT;
    return is_subdomain(name) ? NULL : SUBDOMAIN_TEXT;
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
        kr_listb_add(causes, sandbox__cause(c->a, "FieldValueInvalid",
                                            kr_fmt(c->a, "Invalid value: \"" KR_FMT "\": %s",
                                                   KR_ARG(name), fault),
                                            KR_S("metadata.name")));
}

/* [PREFIX/]NAME; what is wrong with it, or NULL. */
static const char *key_fault(kr_str key)
{
    ptrdiff_t slash = kr_str_chr(key, '/');
    kr_str name = kr_str_sub(key, (size_t)(slash + 1), key.n);

    if (kr_str_chr(name, '/') >= 0)
        return KEY_TEXT;
    if (slash == 0)
        return "prefix part must be non-empty";
    if (slash > 0 && !is_subdomain(kr_str_sub(key, 0, (size_t)slash)))
        return "prefix part " SUBDOMAIN_TEXT;
    if (name.n == 0)
        return "name part must be non-empty";
    if (name.n > LABEL_MAX)
        return "name part must be no more than 63 bytes";
    return is_label_value(name) ? NULL : "name part must " KEY_NAME_TEXT;
}

static void check_labels(struct sandbox_call *c, kr_val v, struct kr_listb *causes)
{
    KR_MAP_EACH (p, kr_at(v, "metadata.labels")) {
        kr_str text = kr_text(p->val);
        const char *fault = key_fault(kr_text(p->key));

        if (fault)
            kr_listb_add(causes, sandbox__cause(c->a, "FieldValueInvalid",
                                                kr_fmt(c->a, "Invalid value: \"" KR_FMT "\": %s",
                                                       KR_ARG(kr_text(p->key)), fault),
                                                KR_S("metadata.labels")));

        if (p->val.kind == KR_STRING && text.n > LABEL_MAX)
            kr_listb_add(causes, sandbox__cause(c->a, "FieldValueInvalid",
                                                kr_fmt(c->a,
                                                       "Invalid value: \"" KR_FMT
                                                       "\": must be no more than 63 bytes",
                                                       KR_ARG(text)),
                                                KR_S("metadata.labels")));
        else if (p->val.kind == KR_STRING && !is_label_value(text))
            kr_listb_add(causes, sandbox__cause(c->a, "FieldValueInvalid",
                                                kr_fmt(c->a, "Invalid value: \"" KR_FMT "\": %s",
                                                       KR_ARG(text), LABEL_TEXT),
                                                KR_S("metadata.labels")));
    }
}

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

static bool has(kr_val list, kr_val v)
{
    KR_LIST_EACH (item, list) {
        if (kr_equal(*item, v))
            return true;
    }
    return false;
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
    uint32_t n = 0;

    KR_LIST_EACH (item, list) {
        if (!has(was, *item))
            names[n++] = kr_text(*item);
    }
    qsort(names, n, sizeof *names, by_text);
    for (uint32_t i = 0; i < n; i++) {
        if (i == 0 || !kr_str_eq(names[i], names[i - 1]))
            kr_buf_fmt(&b, "%s\"" KR_FMT "\"", b.n ? ", " : "", KR_ARG(names[i]));
    }
    return kr_buf_view(&b);
}

static void check_finalizers(struct sandbox_call *c, kr_val old, kr_val v, struct kr_listb *causes)
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

/* Of a change the server looks at metadata twice, at labels thrice (of a ConfigMap once more), and says
 * so each time. */
kr_val sandbox__meta_causes(struct sandbox_call *c, kr_val old, kr_val v, kr_val others)
{
    struct kr_listb causes = KR_LISTB(c->a);
    int labels_again = old.kind == KR_NONE ? 0 : sandbox__is(c->t.type, "", "configmaps") ? 2 : 1;

    while (labels_again-- > 0)
        check_labels(c, v, &causes);
    for (int i = 0; i < (old.kind == KR_NONE ? 1 : 2); i++) {
        check_name(c, v, &causes);
        check_labels(c, v, &causes);
        check_finalizers(c, old, v, &causes);
    }
    KR_LIST_EACH (cause, others)
        kr_listb_add(&causes, *cause);
    if (causes.n == 0)
        check_definition(c, old, v, &causes);
    return kr_listb_done(&causes);
}
