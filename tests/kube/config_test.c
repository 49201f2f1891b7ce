/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cel/base/digest.h"
#include "kube/config.h"
#include "tests/lib/test.h"

static char dir[] = "/tmp/kroc-config-XXXXXX";

static const char *path(const char *name)
{
    static char text[8][512];
    static int at;

    at = (at + 1) % 8;
    snprintf(text[at], sizeof text[at], "%s/%s", dir, name);
    return text[at];
}

static const char *put(const char *name, const char *content)
{
    FILE *f = fopen(path(name), "w");

    assert_non_null(f);
    fputs(content, f);
    fclose(f);
    return path(name);
}

static struct kube_config *load(const struct kube_config_source *s)
{
    struct kube_config *c = NULL;
    struct kr_err err = KR_ERR_NONE;

    EXPECT_OK(kube_config_load(s, &c, &err), &err);
    return c;
}

/* The error's text, with the folder's name as DIR. */
static const char *failure(const struct kube_config_source *s)
{
    static char text[KR_ERR_MAX * 2];
    struct kube_config *c = NULL;
    struct kr_err err = KR_ERR_NONE;
    char *out = text;

    assert_int_equal(kube_config_load(s, &c, &err), KR_E_INPUT);
    assert_null(c);
    for (const char *in = err.text; *in != '\0';) {
        if (strncmp(in, dir, strlen(dir)) == 0) {
            memcpy(out, "DIR", 3);
            out += 3;
            in += strlen(dir);
        } else {
            *out++ = *in++;
        }
    }
    *out = '\0';
    return text;
}

static void fails(const char *content, const char *want)
{
    char text[512];
    const char *got = failure(&(struct kube_config_source){.kubeconfig = put("bad", content)});

    snprintf(text, sizeof text, "DIR/bad: %s", want);
    EXPECT_TEXT(got, text);
}

/* --- what is read ----------------------------------------------------------------------------- */

static const char whole[] =
    "apiVersion: v1\nkind: Config\ncurrent-context: one\n"
    "contexts:\n"
    "- {name: one, context: {cluster: c1, user: u1, namespace: team}}\n"
    "- {name: two, context: {cluster: c2}}\n"
    "clusters:\n"
    "- {name: c1, cluster: {server: 'https://h:6443/', certificate-authority: ca.pem, "
    "tls-server-name: other, proxy-url: 'http://p:1'}}\n"
    "- {name: c2, cluster: {server: 'http://[::1]:80/prefix', insecure-skip-tls-verify: true}}\n"
    "users:\n"
    "- {name: u1, user: {client-certificate-data: LS0tLS1CRUdJTiBYCg==, client-key: sub/key.pem, "
    "as: root, as-groups: [a, b]}}\n";

TEST(kube_config, a_file_is_read_and_its_paths_count_from_its_folder)
{
    struct kube_config *c;
    char want[512];

    put("ca.pem", "x");
    mkdir(path("sub"), 0700);
    put("sub/key.pem", "x");
    c = load(&(struct kube_config_source){.kubeconfig = put("whole", whole)});
    EXPECT_TEXT(c->server, "https://h:6443");
    EXPECT_TEXT(c->context, "one");
    EXPECT_TEXT(c->namespace, "team");
    EXPECT_TEXT(c->tls_server_name, "other");
    EXPECT_TEXT(c->proxy_url, "http://p:1");
    snprintf(want, sizeof want, "%s/ca.pem", dir);
    EXPECT_TEXT(c->ca_file, want);
    snprintf(want, sizeof want, "%s/sub/key.pem", dir);
    EXPECT_TEXT(c->key_file, want);
    EXPECT_TEXT(c->cert_data, "-----BEGIN X\n");
    EXPECT_TEXT(c->as_user, "root");
    EXPECT_TEXT(c->as_groups[1], "b");
    assert_null(c->as_groups[2]);
    kube_config_free(c);
    c = load(&(struct kube_config_source){.kubeconfig = path("whole"), .context = "two"});
    EXPECT_TEXT(c->server, "http://[::1]:80/prefix");
    EXPECT_TEXT(c->namespace, "default");
    assert_true(c->insecure);
    assert_null(c->user);
    kube_config_free(c);
}

TEST(kube_config, files_of_the_environment_are_merged_and_the_first_wins)
{
    struct kube_config *c;
    char list[2048];

    put("m1", "contexts: [{name: x, context: {cluster: c, user: u}}]\nusers: [{name: u, user: "
              "{token: first}}]\n");
    put("m2", "current-context: x\nclusters: [{name: c, cluster: {server: 'https://two'}}]\nusers: "
              "[{name: u, user: {token: second}}]\n");
    put("m3", "");
    snprintf(list, sizeof list, ":%s:%s:%s:%s", path("missing"), path("m3"), path("m1"),
             path("m2"));
    c = load(&(struct kube_config_source){
        .env_kubeconfig = list, .home = dir, .service_host = "10.0.0.1", .service_port = "443"});
    EXPECT_TEXT(c->token, "first");
    EXPECT_TEXT(c->server, "https://two");
    kube_config_free(c);
}

TEST(kube_config, exec_plug_ins)
{
    struct kube_config *c;

    put("exec",
        "current-context: x\ncontexts: [{name: x, context: {cluster: c, user: u}}]\n"
        "clusters: [{name: c, cluster: {server: 'https://h', extensions: [{name: "
        "client.authentication.k8s.io/exec, extension: {a: 1}}]}}]\n"
        "users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: "
        "./get, args: [-a, b], env: [{name: ENV, value: v}],"
        " installHint: get it, provideClusterInfo: true, interactiveMode: IfAvailable}}}]\n");
    c = load(&(struct kube_config_source){.kubeconfig = path("exec")});
    EXPECT_TEXT(c->exec->command, "./get");
    EXPECT_TEXT(c->exec->args[1], "b");
    EXPECT_TEXT(c->exec->env[0], "ENV=v");
    EXPECT_TEXT(c->exec->install_hint, "get it");
    EXPECT_TEXT(c->exec->cluster_config, "{\"a\":1}");
    EXPECT_TEXT(c->exec->base_dir, dir);
    assert_true(c->exec->provide_cluster_info);
    kube_config_free(c);
}

TEST(kube_config, in_a_pod)
{
    struct kube_config_source s = {.service_host = "fd00::1",
                                   .service_port = "443",
                                   .service_account_dir = path("sa"),
                                   .home = dir};
    struct kube_config *c;

    EXPECT_TEXT(failure(&s), "in-cluster: cannot read DIR/sa/token: No such file or directory "
                             "(automountServiceAccountToken: false?)");
    mkdir(path("sa"), 0700);
    put("sa/token", "t");
    put("sa/ca.crt", "x");
    put("sa/namespace", "kro-system\n");
    c = load(&s);
    EXPECT_TEXT(c->server, "https://[fd00::1]:443");
    EXPECT_TEXT(c->namespace, "kro-system");
    EXPECT_TEXT(c->context, "in-cluster");
    assert_non_null(c->token_file);
    assert_non_null(c->ca_file);
    kube_config_free(c);
}

TEST(kube_config, the_home_comes_last)
{
    struct kube_config_source s = {.home = dir};
    struct kube_config *c;

    EXPECT_TEXT(failure(&s), "no cluster is configured: give --kubeconfig or set KUBECONFIG (this "
                             "is no pod, and DIR/.kube/config does not exist)");
    mkdir(path(".kube"), 0700);
    put(".kube/config", "current-context: x\ncontexts: [{name: x, context: {cluster: "
                        "c}}]\nclusters: [{name: c, cluster: {server: 'https://home'}}]\n");
    c = load(&s);
    EXPECT_TEXT(c->server, "https://home");
    kube_config_free(c);
}

/* --- what is wrong ---------------------------------------------------------------------------- */

#define HEAD "current-context: x\ncontexts: [{name: x, context: {cluster: c, user: u}}]\n"
#define CLUSTER "clusters: [{name: c, cluster: {server: 'https://h'}}]\n"

TEST(kube_config, errors_name_file_path_and_reason)
{
    EXPECT_TEXT(failure(&(struct kube_config_source){.env_kubeconfig = "/nowhere/a:/nowhere/b"}),
                "KUBECONFIG: none of its files exists: /nowhere/a:/nowhere/b");
    fails("[1, 2]", "is not a kubeconfig: a map with clusters, users and contexts is");
    fails("a: 1\n---\nb: 2\n", "has 2 YAML documents; a kubeconfig is one");
    fails("kind: Pod", "kind must be Config");
    fails("contexts: {}", "has no current-context; --context names one of: none");
    fails("current-context: x\ncontexts: {}", "contexts: must be a list");
    fails("current-context: z\ncontexts: [{name: a}, {name: b}]",
          "there is no context \"z\"; there are: a, b");
    fails(HEAD "clusters: [{name: d}]",
          "contexts[0].context.cluster: there is no cluster \"c\"; there are: d");
    fails(HEAD CLUSTER "users: [{name: v}]",
          "contexts[0].context.user: there is no user \"u\"; there are: v");
    fails(HEAD "clusters: [{name: c, cluster: []}]", "clusters[0].cluster: must be a map");
    fails(HEAD "clusters: [{name: z}, {name: c, cluster: {}}]",
          "clusters[1].cluster.server: is missing; \"https://host:port\" is expected");
    fails(HEAD "clusters: [{name: c, cluster: {server: 'h:6443'}}]",
          "clusters[0].cluster.server: must begin with https:// or http://");
    fails(HEAD "clusters: [{name: c, cluster: {server: 'https://u:p@h'}}]",
          "clusters[0].cluster.server: must not have credentials; they belong to the user entry");
    fails(HEAD "clusters: [{name: c, cluster: {server: 'https:///x'}}]",
          "clusters[0].cluster.server: \"https:///x\" names no host");
    fails(HEAD "clusters: [{name: c, cluster: {server: 5}}]",
          "clusters[0].cluster.server: must be a string, not a int");
    fails(HEAD
          "clusters: [{name: c, cluster: {server: 'https://h', certificate-authority: no.pem}}]",
          "clusters[0].cluster.certificate-authority: cannot read DIR/no.pem: No such file or "
          "directory");
    fails(
        HEAD
        "clusters: [{name: c, cluster: {server: 'https://h', certificate-authority-data: '%%%'}}]",
        "clusters[0].cluster.certificate-authority-data: is not base64");
    fails(HEAD "clusters: [{name: c, cluster: {server: 'https://h', certificate-authority-data: "
               "'aGVsbG8='}}]",
          "clusters[0].cluster.certificate-authority-data: is not PEM (\"-----BEGIN ...\") in "
          "base64");
}

TEST(kube_config, errors_of_users_never_show_what_is_secret)
{
    fails(HEAD CLUSTER "users: [{name: u, user: {token: geheim, username: a, password: geheim}}]",
          "users[0].user: has both a token and a username; only one is allowed");
    fails(HEAD CLUSTER "users: [{name: u, user: {client-key-data: geheim}}]",
          "users[0].user.client-key-data: is not base64");
    fails(HEAD CLUSTER "users: [{name: u, user: {client-certificate-data: LS0tLS1CRUdJTiBYCg==}}]",
          "users[0].user.client-key: is missing; client-certificate needs client-key or "
          "client-key-data");
    fails(HEAD CLUSTER "users: [{name: u, user: {auth-provider: {name: gcp}}}]",
          "users[0].user.auth-provider: no longer exists in Kubernetes; an exec plug-in takes its "
          "place");
    fails(HEAD CLUSTER "users: [{name: u, user: {tokenFile: none}}]",
          "users[0].user.tokenFile: cannot read DIR/none: No such file or directory");
    fails(HEAD CLUSTER "users: [{name: u, user: {exec: {apiVersion: v1, command: x}}}]",
          "users[0].user.exec.apiVersion: must be client.authentication.k8s.io/v1 or /v1beta1");
    fails(HEAD CLUSTER
          "users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1}}}]",
          "users[0].user.exec.command: is missing");
    fails(HEAD CLUSTER "users: [{name: u, user: {exec: {apiVersion: "
                       "client.authentication.k8s.io/v1, command: x, interactiveMode: Always}}}]",
          "users[0].user.exec.interactiveMode: is Always, but there is no terminal here; "
          "IfAvailable or Never works");
    fails(HEAD CLUSTER "users: [{name: u, user: {as-groups: [a]}}]",
          "users[0].user.as: is missing; as-uid and as-groups need it");
}

TEST(kube_config, any_part_of_a_file_is_an_error_or_a_config)
{
    char part[sizeof whole];

    put("ca.pem", "x");
    for (size_t n = 0; n < sizeof whole; n++) {
        struct kube_config *c = NULL;
        struct kr_err err = KR_ERR_NONE;
        int rc;

        memcpy(part, whole, n);
        part[n] = '\0';
        rc = kube_config_load(&(struct kube_config_source){.kubeconfig = put("part", part)}, &c,
                              &err);
        assert_true(rc == 0 || rc == KR_E_INPUT);
        assert_int_equal(rc == 0, c != NULL);
        if (rc < 0)
            assert_true(kr_str_starts(kr_err_str(&err), kr_str_c(path("part"))));
        kube_config_free(c);
    }
}

int main(void)
{
    char command[128];
    int failed;

    if (mkdtemp(dir) == NULL)
        return 1;
    failed =
        RUN(T(kube_config, a_file_is_read_and_its_paths_count_from_its_folder),
            T(kube_config, files_of_the_environment_are_merged_and_the_first_wins),
            T(kube_config, exec_plug_ins), T(kube_config, in_a_pod),
            T(kube_config, the_home_comes_last), T(kube_config, errors_name_file_path_and_reason),
            T(kube_config, errors_of_users_never_show_what_is_secret),
            T(kube_config, any_part_of_a_file_is_an_error_or_a_config));
    snprintf(command, sizeof command, "rm -r %s", dir);
    return system(command) != 0 || failed;
}
