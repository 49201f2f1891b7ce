/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/client.h"
#include "tests/lib/test.h"

static const char *path(struct kr_buf *b, const char *group, const char *version,
                        const char *resource, const char *ns, const char *name, const char *sub)
{
    kr_ref ref = {
        {kr_str_c(group), kr_str_c(version), kr_str_c(resource)}, kr_str_c(ns), kr_str_c(name)};

    kr_buf_fini(b);
    kr_buf_init(b, 4096);
    kube_path(b, ref, sub);
    return b->s;
}

TEST(kube_url, paths_of_resources)
{
    KR_AUTO(kr_buf) b = KR_BUF(4096);

    EXPECT_TEXT(path(&b, "", "v1", "configmaps", "default", "a", NULL),
                "/api/v1/namespaces/default/configmaps/a");
    EXPECT_TEXT(path(&b, "apps", "v1", "deployments", "x", "web", "status"),
                "/apis/apps/v1/namespaces/x/deployments/web/status");
    EXPECT_TEXT(path(&b, "apps", "v1", "deployments", "", "", "status"),
                "/apis/apps/v1/deployments");
    EXPECT_TEXT(path(&b, "", "v1", "namespaces", "", "x", NULL), "/api/v1/namespaces/x");
}

TEST(kube_url, what_is_special_is_escaped)
{
    KR_AUTO(kr_buf) b = KR_BUF(4096);

    EXPECT_TEXT(
        path(&b, "rbac.authorization.k8s.io", "v1", "clusterroles", "", "system:a b/c?d#e%", NULL),
        "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:a%20b%2Fc%3Fd%23e%25");
    kr_buf_reset(&b);
    kube_query_escape(&b, KR_S("a=b,c!=\xc3\xa4 in (x)"));
    EXPECT_TEXT(b.s, "a%3Db%2Cc%21%3D%C3%A4%20in%20%28x%29");
}

int main(void)
{
    return RUN(T(kube_url, paths_of_resources), T(kube_url, what_is_special_is_escaped));
}
