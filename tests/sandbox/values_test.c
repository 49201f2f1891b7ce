/* SPDX-License-Identifier: Apache-2.0 */
/* Values of built-in kinds: what a request may say, and what becomes of it. That the server's words are used
 * is tested against a server (tests/sandboxdiff/value_diff.py). */
#include "tests/sandbox/client.h"

#define MAPS "/api/v1/namespaces/default/configmaps"
#define PODS "/api/v1/namespaces/default/pods"
#define SERVICES "/api/v1/namespaces/default/services"
#define POLICIES "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies"
#define POD(container)                                                                             \
    "{\"metadata\":{\"name\":\"a\"},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":"          \
    "\"i\"," container

/* A Service a of that type, which takes the patch. */
static int retyped(struct client *c, const char *type, const char *patch)
{
    const char *body = kr_fmt(&c->a,
                              "{\"metadata\":{\"name\":\"a\"},\"spec\":{\"type\":\"%s\",\"ports\":"
                              "[{\"port\":80}]}}",
                              type)
                           .s;

    client_do(c, "DELETE", SERVICES "/a", NULL);
    assert_int_equal(client_do(c, "POST", SERVICES, body), 201);
    return client_patch(c, "merge", SERVICES "/a", patch);
}

static bool shown(struct client *c, const char *path)
{
    return kr_at(c->body, path).kind != KR_NONE;
}

static bool has_node_port(struct client *c)
{
    return kr_get(kr_at(c->body, "spec.ports").list[0], KR_S("nodePort")).kind != KR_NONE;
}

TEST(sandbox, a_service_of_another_type_loses_what_the_server_had_given_it)
{
    struct client c;

    client_open(&c, NULL);
    assert_int_equal(retyped(&c, "LoadBalancer", "{\"spec\":{\"type\":\"ClusterIP\"}}"), 200);
    assert_false(has_node_port(&c) || shown(&c, "spec.externalTrafficPolicy") ||
                 shown(&c, "spec.allocateLoadBalancerNodePorts"));
    assert_true(shown(&c, "spec.clusterIP"));
    assert_int_equal(retyped(&c, "LoadBalancer", "{\"spec\":{\"type\":\"NodePort\"}}"), 200);
    assert_true(has_node_port(&c) && shown(&c, "spec.externalTrafficPolicy"));
    assert_false(shown(&c, "spec.allocateLoadBalancerNodePorts"));
    assert_int_equal(retyped(&c, "ClusterIP",
                             "{\"spec\":{\"type\":\"ExternalName\",\"externalName\":\"a.b.\"}}"),
                     200);
    assert_false(shown(&c, "spec.clusterIP") || shown(&c, "spec.clusterIPs") ||
                 shown(&c, "spec.ipFamilies") || shown(&c, "spec.ipFamilyPolicy"));
    client_close(&c);
}

TEST(sandbox, what_a_client_asks_for_does_not_go_with_the_type)
{
    struct client c;

    client_open(&c, NULL);
    assert_int_equal(retyped(&c, "NodePort",
                             "{\"spec\":{\"type\":\"ClusterIP\",\"ports\":[{\"port\":80,"
                             "\"nodePort\":30999}]}}"),
                     422);
    assert_int_equal(retyped(&c, "NodePort",
                             "{\"spec\":{\"type\":\"ClusterIP\",\"externalTrafficPolicy\":"
                             "\"Local\"}}"),
                     422);
    client_close(&c);
}

TEST(sandbox, a_null_in_a_list_is_an_item_with_nothing_in_it)
{
    struct client c;

    client_open(&c, NULL);
    assert_int_equal(client_do(&c, "POST", PODS,
                               "{\"metadata\":{\"name\":\"a\"},\"spec\":{\"containers\":[null]}}"),
                     422);
    assert_int_equal(client_do(&c, "POST", POLICIES,
                               "{\"metadata\":{\"name\":\"a\"},\"spec\":{\"podSelector\":{},"
                               "\"ingress\":[null]}}"),
                     201);
    assert_int_equal(kr_at(c.body, "spec.ingress").list[0].kind, KR_MAP);
    client_close(&c);
}

/* 20,000 items; % is the number. */
static const char *many(struct client *c, const char *before, const char *item, const char *after)
{
    struct kr_buf b = KR_BUF_IN(&c->a, 4 * 1024 * 1024);

    kr_buf_fmt(&b, "%s", before);
    for (uint32_t i = 0; i < 20000; i++) {
        kr_str text = kr_str_c(item), head = kr_str_cut(&text, '%');

        kr_buf_fmt(&b, "%s" KR_FMT "%u" KR_FMT, i ? "," : "", KR_ARG(head), i, KR_ARG(text));
    }
    kr_buf_fmt(&b, "%s", after);
    return kr_cstr(&c->a, kr_buf_view(&b));
}

#define SHOP "\"apiVersion\":\"x.io/v1\",\"kind\":\"Shop\","

/* Each pair of 20,000 items compared with another would take minutes. */
TEST(sandbox, long_lists_are_looked_through_once)
{
    static const char crd[] =
        "{\"metadata\":{\"name\":\"shops.x.io\"},\"spec\":{\"group\":\"x.io\",\"scope\":"
        "\"Namespaced\",\"names\":{\"kind\":\"Shop\",\"plural\":\"shops\"},\"versions\":[{"
        "\"name\":\"v1\",\"served\":true,\"storage\":true,\"schema\":{\"openAPIV3Schema\":{"
        "\"type\":\"object\",\"properties\":{\"set\":{\"type\":\"array\",\"x-kubernetes-list-"
        "type\":"
        "\"set\",\"items\":{\"type\":\"string\"}},\"map\":{\"type\":\"array\","
        "\"x-kubernetes-list-type\":\"map\",\"x-kubernetes-list-map-keys\":[\"k\"],\"items\":{"
        "\"type\":\"object\",\"required\":[\"k\"],\"properties\":{\"k\":{\"type\":\"string\"}}}}}}}"
        "}]}}";
    static const struct {
        const char *path, *before, *item, *after;
        int status;
    } long_[] = {
        {"/apis/x.io/v1/namespaces/default/shops",
         "{" SHOP "\"metadata\":{\"name\":\"a\"},\"set\":[", "\"%\"", "]}", 201},
        {"/apis/x.io/v1/namespaces/default/shops",
         "{" SHOP "\"metadata\":{\"name\":\"b\"},\"map\":[", "{\"k\":\"%\"}", "]}", 201},
        {MAPS, "{\"metadata\":{\"name\":\"a\",\"finalizers\":[", "\"x.io/%\"", "]}}", 201},
        {MAPS, "{\"metadata\":{\"name\":\"b\",\"ownerReferences\":[",
         "{\"apiVersion\":\"v1\",\"kind\":\"A\",\"name\":\"a\",\"uid\":\"%\",\"controller\":true}",
         "]}}", 422},
        {MAPS, "{\"metadata\":{\"name\":\"b\"},\"data\":{", "\"/%\":\"\"", "}}", 422},
        {"/api/v1/namespaces/default/services?dryRun=All",
         "{\"metadata\":{\"name\":\"a\"},\"spec\":{\"ports\":[", "{\"port\":1,\"name\":\"p%\"}",
         "]}}", 422},
        {PODS "?dryRun=All", "{\"metadata\":{\"name\":\"a\"},\"spec\":{\"containers\":[",
         "{\"image\":\"i\",\"name\":\"c%\"}", "]}}", 201},
        {PODS "?dryRun=All", POD("\"volumeMounts\":["), "{\"name\":\"v\",\"mountPath\":\"/%\"}",
         "]}],\"volumes\":[{\"name\":\"v\"}]}}", 201},
        {PODS "?dryRun=All", POD("\"resources\":{\"limits\":{"), "\"x.io/%\":1", "}}}]}}", 201},
        {PODS "?dryRun=All", POD("\"resources\":{\"requests\":{"), "\"x.io/%\":1", "}}}]}}", 422},
        {PODS "?dryRun=All",
         "{\"metadata\":{\"name\":\"a\"},\"spec\":{\"containers\":[{\"name\":"
         "\"c\",\"image\":\"i\"}],\"volumes\":[",
         "{\"name\":\"v%\"}", "]}}", 201},
    };
    struct client c;

    client_open(&c, NULL);
    client_do(&c, "POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd);
    vclock_advance(&c.clock, 1000);
    for (size_t i = 0; i < KR_N(long_); i++) {
        const char *body = many(&c, long_[i].before, long_[i].item, long_[i].after);

        assert_int_equal(client_do(&c, "POST", long_[i].path, body), long_[i].status);
        assert_true(kr_at(c.body, "details.causes").kind == KR_NONE ||
                    kr_at(c.body, "details.causes").n <= 100);
    }
    client_close(&c);
}

int main(void)
{
    return RUN(T(sandbox, a_service_of_another_type_loses_what_the_server_had_given_it),
               T(sandbox, what_a_client_asks_for_does_not_go_with_the_type),
               T(sandbox, a_null_in_a_list_is_an_item_with_nothing_in_it),
               T(sandbox, long_lists_are_looked_through_once));
}
