/* SPDX-License-Identifier: Apache-2.0 */
/* builtin_test.c - the table of Kubernetes' own types: whole, and equal to what a server publishes. */
#include "kube/builtin.h"

#include <stdio.h>

#include "tests/lib/test.h"

static kr_gvk gvk(const char *group, const char *version, const char *kind)
{
    return (kr_gvk){kr_str_c(group), kr_str_c(version), kr_str_c(kind)};
}

/* --- every row can be read ---------------------------------------------------------------------- */

TEST(kube_builtin, every_kind_has_a_schema)
{
    KR_AUTO_PTR(cel_kinds) kinds = cel_kinds_new();
    struct kube_builtin_kind k;
    uint32_t n = 0, without = 0;

    for (uint32_t at = 0; kube_builtin_next(&at, &k); n++) {
        const struct cel_kind *kind;

        assert_true(kube_builtin_add(kinds, k.gvk));
        kind = cel_kinds_find(kinds, k.gvk);
        assert_true(kr_str_eq(kind->resource, k.resource) && kind->namespaced == k.namespaced);
        without += !kind->schema || kind->schema->fields_n == 0;
    }
    assert_true(n > 90);
    assert_int_equal(without, 0);
}

TEST(kube_builtin, kinds_share_what_they_refer_to)
{
    KR_AUTO_PTR(cel_kinds) kinds = cel_kinds_new();
    const kr_str pod_spec[] = {KR_S("spec"), KR_S("template"), KR_S("spec")};
    const struct cel_schema *of_deployment, *of_job;

    assert_true(kube_builtin_add(kinds, gvk("apps", "v1", "Deployment")));
    of_deployment =
        cel_schema_at(cel_kinds_find(kinds, gvk("apps", "v1", "Deployment"))->schema, pod_spec, 3);
    assert_true(kube_builtin_add(kinds, gvk("batch", "v1", "Job")));
    of_job = cel_schema_at(cel_kinds_find(kinds, gvk("batch", "v1", "Job"))->schema, pod_spec, 3);
    assert_non_null(of_job);
    assert_ptr_equal(of_deployment, of_job);
}

TEST(kube_builtin, an_unknown_kind_is_not_added)
{
    KR_AUTO_PTR(cel_kinds) kinds = cel_kinds_new();
    uint32_t at = 0;

    assert_false(kube_builtin_add(kinds, gvk("apps", "v1", "Deploiment")));
    assert_false(kube_builtin_add(kinds, gvk("extensions", "v1beta1", "Deployment")));
    assert_false(kube_builtin_add(kinds, gvk("", "", "")));
    assert_false(kube_builtin_add(kinds, gvk("", "v1", "PodSpec"))); /* a type, but no kind */
    assert_null(cel_kinds_next(kinds, &at));
}

TEST(kube_builtin, a_resource_type_is_described_as_by_discovery)
{
    KR_AUTO(kr_arena) a = {0};
    struct kube_builtin_kind k;
    struct kube_builtin_sub sub;
    kr_str rest;

    assert_true(kube_builtin_find(gvk("apps", "v1", "Deployment"), &k));
    assert_true(kr_str_is(k.resource, "deployments") && kr_str_is(k.singular, "deployment"));
    assert_true(k.namespaced && kr_str_is(k.short_names, "deploy") &&
                kr_str_is(k.categories, "all"));
    EXPECT_TEXT(kr_json_str(&a, kube_builtin_verbs(&a, k.verbs)).s,
                "[\"create\",\"delete\",\"deletecollection\",\"get\",\"list\",\"patch\",\"update\","
                "\"watch\"]");
    rest = k.subresources;
    assert_true(kube_builtin_sub(&k, &rest, &sub));
    assert_true(kr_str_is(sub.name, "scale") && kr_str_is(sub.gvk.group, "autoscaling") &&
                kr_str_is(sub.gvk.version, "v1") && kr_str_is(sub.gvk.kind, "Scale"));
    assert_true(kube_builtin_sub(&k, &rest, &sub));
    assert_true(kr_str_is(sub.name, "status") && kr_gvk_eq(sub.gvk, k.gvk));
    EXPECT_TEXT(kr_json_str(&a, kube_builtin_verbs(&a, sub.verbs)).s,
                "[\"get\",\"patch\",\"update\"]");
    assert_false(kube_builtin_sub(&k, &rest, &sub));
    assert_true(kube_builtin_find(gvk("", "v1", "Namespace"), &k));
    assert_false(k.namespaced);
}

TEST(kube_builtin, the_document_of_a_kind_holds_what_it_refers_to)
{
    KR_AUTO(kr_arena) a = {0};
    kr_val doc = kube_builtin_openapi(&a, gvk("", "v1", "ConfigMap"));
    kr_val schemas = kr_at(doc, "components.schemas"), config_map;

    config_map = kr_get(schemas, KR_S("io.k8s.api.core.v1.ConfigMap"));
    EXPECT_TEXT(kr_json_str(&a, config_map).s,
                "{\"properties\":{\"apiVersion\":{\"type\":\"string\"},"
                "\"binaryData\":{\"additionalProperties\":{\"format\":\"byte\",\"type\":\"string\"}"
                ",\"type\":\"object\"},"
                "\"data\":{\"additionalProperties\":{\"default\":\"\",\"type\":\"string\"},"
                "\"type\":\"object\"},\"immutable\":{\"type\":\"boolean\"},"
                "\"kind\":{\"type\":\"string\"},"
                "\"metadata\":{\"allOf\":[{\"$ref\":\"#/components/schemas/"
                "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta\"}],\"default\":{}}},"
                "\"type\":\"object\",\"x-kubernetes-group-version-kind\":[{\"group\":\"\","
                "\"kind\":\"ConfigMap\",\"version\":\"v1\"}]}");
    assert_int_equal(schemas.n, 6); /* with ObjectMeta and what that refers to */
}

/* --- equal to a server's documents -------------------------------------------------------------- */

/* What is not the same in 1.36 (the table) as in 1.35 (the documents): the end of a path, and "+": there
 * in the table only, "-": in the document only, "!": required in one of them. "*" is any kind. */
/* clang-format off */
static const struct {
    const char *kind, *sign, *path;
} releases[] = {
    {"*", "+", "spec.schedulingGroup"},
    {"*", "-", "spec.workloadRef"},
    {"admissionregistration.k8s.io/v1 ValidatingAdmissionPolicyBinding", "!", ".spec"},
    {"admissionregistration.k8s.io/v1 ValidatingAdmissionPolicyBinding", "!", ".spec.policyName"},
    {"admissionregistration.k8s.io/v1 ValidatingAdmissionPolicyBinding", "!", ".spec.validationActions"},
    {"authentication.k8s.io/v1 TokenReview", "!", ".spec.token"},
    {"autoscaling/v1 HorizontalPodAutoscaler", "!", ".spec"},
    {"autoscaling/v2 HorizontalPodAutoscaler", "!", ".spec"},
    {"batch/v1 CronJob", "!", ".spec"},
    {"certificates.k8s.io/v1beta1 PodCertificateRequest", "!", ".spec.pkixPublicKey"},
    {"certificates.k8s.io/v1beta1 PodCertificateRequest", "!", ".spec.proofOfPossession"},
    {"certificates.k8s.io/v1beta1 PodCertificateRequest", "+", ".spec.stubPKCS10Request"},
    {"coordination.k8s.io/v1alpha2 LeaseCandidate", "!", ".spec"},
    {"coordination.k8s.io/v1beta1 LeaseCandidate", "!", ".spec"},
    {"discovery.k8s.io/v1 EndpointSlice", "!", ".endpoints"},
    {"internal.apiserver.k8s.io/v1alpha1 StorageVersion", "!", ".metadata"},
    {"internal.apiserver.k8s.io/v1alpha1 StorageVersion", "!", ".spec"},
    {"internal.apiserver.k8s.io/v1alpha1 StorageVersion", "!", ".status"},
    {"internal.apiserver.k8s.io/v1alpha1 StorageVersion", "!", ".status.storageVersions[].apiServerID"},
    {"internal.apiserver.k8s.io/v1alpha1 StorageVersion", "!", ".status.storageVersions[].decodableVersions"},
    {"internal.apiserver.k8s.io/v1alpha1 StorageVersion", "!", ".status.storageVersions[].encodingVersion"},
    {"networking.k8s.io/v1 IPAddress", "!", ".spec"},
    {"networking.k8s.io/v1beta1 IPAddress", "!", ".spec"},
    {"policy/v1 PodDisruptionBudget", "!", ".status.currentHealthy"},
    {"policy/v1 PodDisruptionBudget", "!", ".status.desiredHealthy"},
    {"policy/v1 PodDisruptionBudget", "!", ".status.disruptionsAllowed"},
    {"policy/v1 PodDisruptionBudget", "!", ".status.expectedPods"},
    {"rbac.authorization.k8s.io/v1 ClusterRoleBinding", "!", ".roleRef.apiGroup"},
    {"rbac.authorization.k8s.io/v1 RoleBinding", "!", ".roleRef.apiGroup"},
    {"resource.k8s.io/v1 ResourceSlice", "+", ".spec.devices[].attributes{}.bools"},
    {"resource.k8s.io/v1 ResourceSlice", "+", ".spec.devices[].attributes{}.ints"},
    {"resource.k8s.io/v1 ResourceSlice", "+", ".spec.devices[].attributes{}.strings"},
    {"resource.k8s.io/v1 ResourceSlice", "+", ".spec.devices[].attributes{}.versions"},
    {"resource.k8s.io/v1 ResourceSlice", "+", ".spec.devices[].nodeAllocatableResourceMappings"},
    {"resource.k8s.io/v1beta1 ResourceSlice", "+", ".spec.devices[].basic.attributes{}.bools"},
    {"resource.k8s.io/v1beta1 ResourceSlice", "+", ".spec.devices[].basic.attributes{}.ints"},
    {"resource.k8s.io/v1beta1 ResourceSlice", "+", ".spec.devices[].basic.attributes{}.strings"},
    {"resource.k8s.io/v1beta1 ResourceSlice", "+", ".spec.devices[].basic.attributes{}.versions"},
    {"resource.k8s.io/v1beta1 ResourceSlice", "+", ".spec.devices[].basic.nodeAllocatableResourceMappings"},
    {"resource.k8s.io/v1beta2 ResourceSlice", "+", ".spec.devices[].attributes{}.bools"},
    {"resource.k8s.io/v1beta2 ResourceSlice", "+", ".spec.devices[].attributes{}.ints"},
    {"resource.k8s.io/v1beta2 ResourceSlice", "+", ".spec.devices[].attributes{}.strings"},
    {"resource.k8s.io/v1beta2 ResourceSlice", "+", ".spec.devices[].attributes{}.versions"},
    {"resource.k8s.io/v1beta2 ResourceSlice", "+", ".spec.devices[].nodeAllocatableResourceMappings"},
    {"scheduling.k8s.io/v1 PriorityClass", "!", ".value"},
    {"scheduling.k8s.io/v1alpha1 Workload", "-", "the kind"},
    {"storage.k8s.io/v1 CSIDriver", "+", ".spec.preventPodSchedulingIfMissing"},
    {"v1 Pod", "+", "Statuses[].allocatedResourcesStatus[].resources[].message"},
    {"v1 Pod", "+", "Statuses[].volumeMounts[].volumeStatus"},
    {"v1 Pod", "+", ".status.nodeAllocatableResourceClaimStatuses"},
};
/* clang-format on */

struct compare {
    kr_str kind;
    uint32_t differences;
};

static void differs(struct compare *c, const char *sign, kr_str path)
{
    for (size_t i = 0; i < KR_N(releases); i++) {
        bool kind =
            kr_str_eq(c->kind, kr_str_c(releases[i].kind)) || strcmp(releases[i].kind, "*") == 0;

        if (kind && strcmp(releases[i].sign, sign) == 0 &&
            kr_str_ends(path, kr_str_c(releases[i].path)))
            return;
    }
    c->differences++;
    fprintf(stderr, "{\"" KR_FMT "\", \"%s\", \"" KR_FMT "\"},\n", KR_ARG(c->kind), sign,
            KR_ARG(path));
}

static bool same_node(const struct cel_schema *x, const struct cel_schema *y)
{
    bool same = x->type == y->type && x->format == y->format && x->list_type == y->list_type &&
                x->int_or_string == y->int_or_string &&
                x->preserve_unknown == y->preserve_unknown && x->embedded == y->embedded &&
                x->nullable == y->nullable && x->map_atomic == y->map_atomic &&
                x->additional_any == y->additional_any &&
                x->string_or_number == y->string_or_number && x->map_keys_n == y->map_keys_n &&
                !x->items == !y->items && !x->additional == !y->additional &&
                x->default_value.kind == y->default_value.kind &&
                kr_equal(x->default_value, y->default_value);

    for (uint32_t i = 0; same && i < x->map_keys_n; i++)
        same = kr_str_eq(x->map_keys[i], y->map_keys[i]);
    return same;
}

static void compare(struct compare *c, struct kr_arena *a, const struct cel_schema *ours,
                    const struct cel_schema *theirs, kr_str path)
{
    uint32_t i = 0, k = 0;

    if (ours == theirs)
        return;
    if (!same_node(ours, theirs))
        differs(c, "~", path);
    if (ours->items && theirs->items)
        compare(c, a, ours->items, theirs->items, kr_fmt(a, KR_FMT "[]", KR_ARG(path)));
    if (ours->additional && theirs->additional)
        compare(c, a, ours->additional, theirs->additional, kr_fmt(a, KR_FMT "{}", KR_ARG(path)));
    while (i < ours->fields_n || k < theirs->fields_n) {
        const struct cel_field *x = i < ours->fields_n ? &ours->fields[i] : NULL;
        const struct cel_field *y = k < theirs->fields_n ? &theirs->fields[k] : NULL;
        int order = !x ? 1 : !y ? -1 : kr_str_cmp(x->name, y->name);
        kr_str at =
            kr_fmt(a, KR_FMT "." KR_FMT, KR_ARG(path), KR_ARG(order <= 0 ? x->name : y->name));

        if (order != 0)
            differs(c, order < 0 ? "+" : "-", at);
        else if (x->required != y->required)
            differs(c, "!", at);
        if (order == 0)
            compare(c, a, x->schema, y->schema, at);
        i += order <= 0;
        k += order >= 0;
    }
}

static kr_val shared_json(struct kr_arena *a, kr_str path)
{
    kr_str text;
    kr_val v;
    struct kr_err err = KR_ERR_NONE;

    assert_true(
        test_file(a, kr_fmt(a, KROC_SHARED "/cases/k8s-openapi/" KR_FMT, KR_ARG(path)).s, &text));
    EXPECT_OK(kr_json_parse(a, text, &v, &err), &err);
    return v;
}

/* Compares the kinds of one group version. */
static void compare_version(kr_val entry, kr_str group_version, uint32_t *kinds_n,
                            uint32_t *differences)
{
    KR_AUTO(kr_arena) a = {0};
    kr_val resources = kr_at(shared_json(&a, kr_at_str(entry, "discovery")), "resources");
    kr_val document = shared_json(&a, kr_at_str(entry, "openapi"));
    KR_AUTO_PTR(cel_kinds) theirs = cel_kinds_new();
    KR_AUTO_PTR(cel_kinds) ours = cel_kinds_new();
    struct kr_err err = KR_ERR_NONE;
    kr_gvk k;

    assert_true(kr_api_version(group_version, &k.group, &k.version));
    EXPECT_OK(cel_kinds_read_openapi(theirs, document, &err), &err);
    KR_LIST_EACH (r, resources) {
        struct compare c = {.kind = kr_fmt(&a, KR_FMT " " KR_FMT, KR_ARG(group_version),
                                           KR_ARG(kr_at_str(*r, "kind")))};

        k.kind = kr_at_str(*r, "kind");
        if (kr_str_chr(kr_at_str(*r, "name"), '/') >= 0)
            continue;
        cel_kinds_add(theirs, k, kr_at_str(*r, "name"), kr_is_true(kr_at(*r, "namespaced")));
        ++*kinds_n;
        if (!kube_builtin_add(ours, k))
            differs(&c, "-", KR_S("the kind"));
        else
            compare(&c, &a, cel_kinds_find(ours, k)->schema, cel_kinds_find(theirs, k)->schema,
                    KR_S(""));
        *differences += c.differences;
    }
}

TEST(kube_builtin, the_schemas_equal_a_servers)
{
    KR_AUTO(kr_arena) a = {0};
    kr_str text;
    uint32_t n = 0, differences = 0;

    if (!test_file(&a, KROC_SHARED "/cases/k8s-openapi/index.json", &text))
        skip(); /* the compatibility cases are not there */
    KR_MAP_EACH (entry, kr_at(shared_json(&a, KR_S("index.json")), "documents"))
        compare_version(entry->val, kr_text(entry->key), &n, &differences);
    fprintf(stderr, "%u kinds compared\n", n);
    assert_true(n > 80);
    assert_int_equal(differences, 0);
}

int main(void)
{
    return RUN(T(kube_builtin, every_kind_has_a_schema),
               T(kube_builtin, kinds_share_what_they_refer_to),
               T(kube_builtin, an_unknown_kind_is_not_added),
               T(kube_builtin, a_resource_type_is_described_as_by_discovery),
               T(kube_builtin, the_document_of_a_kind_holds_what_it_refers_to),
               T(kube_builtin, the_schemas_equal_a_servers));
}
