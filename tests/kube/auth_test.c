/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kube/auth.h"
#include "tests/lib/test.h"

static char dir[] = "/tmp/kroc-auth-XXXXXX";

static char *path(const char *name)
{
    static char text[512];

    snprintf(text, sizeof text, "%s/%s", dir, name);
    return text;
}

static char *put(const char *name, const char *content)
{
    FILE *f = fopen(path(name), "w");

    assert_non_null(f);
    fputs(content, f);
    fclose(f);
    chmod(path(name), 0700);
    return path(name);
}

/* How often the plug-in ran: it adds a line to the file "runs". */
static int runs(void)
{
    FILE *f = fopen(path("runs"), "r");
    int n = 0, c;

    while (f != NULL && (c = fgetc(f)) != EOF)
        n += c == '\n';
    if (f != NULL)
        fclose(f);
    return n;
}

/* --- one kube_auth on a loop ------------------------------------------------------------------ */

struct rig {
    uv_loop_t loop;
    struct kube_config config;
    struct kube_exec exec;
    struct kube_auth *auth;
    int ready_n;
    bool ok, closed;
    char authorization[256], cert[64], error[KR_ERR_MAX];
};

static void on_ready(void *arg, const struct kube_cred *cred, const struct kr_err *err)
{
    struct rig *r = arg;

    r->ready_n++;
    r->ok = cred != NULL;
    snprintf(r->authorization, sizeof r->authorization, "%s",
             cred && cred->authorization ? cred->authorization : "");
    snprintf(r->cert, sizeof r->cert, "%s", cred && cred->cert ? cred->cert : "");
    snprintf(r->error, sizeof r->error, "%s", err ? err->text : "");
}

static void on_closed(void *arg)
{
    ((struct rig *)arg)->closed = true;
}

static void rig_open(struct rig *r)
{
    uv_loop_init(&r->loop);
    r->auth = kube_auth_new(&r->loop, &r->config, on_ready, r);
}

static void rig_close(struct rig *r)
{
    kube_auth_close(r->auth, on_closed, r);
    uv_run(&r->loop, UV_RUN_DEFAULT);
    assert_true(r->closed);
    assert_int_equal(uv_loop_close(&r->loop), 0);
}

static void use_exec(struct rig *r, const char *script)
{
    unlink(path("runs"));
    r->exec = (struct kube_exec){.api_version = (char *)"client.authentication.k8s.io/v1",
                                 .base_dir = dir,
                                 .command = (char *)"./plug"};
    r->config.exec = &r->exec;
    put("plug", script);
}

/* Asks and waits: what a run gave is in r. */
static void run_once(struct rig *r)
{
    struct kube_cred cred;
    int before = r->ready_n;

    assert_int_equal(kube_auth_get(r->auth, &cred, NULL), KUBE_AUTH_WAIT);
    uv_run(&r->loop, UV_RUN_DEFAULT);
    assert_int_equal(r->ready_n, before + 1);
}

static const char *get(struct rig *r)
{
    struct kube_cred cred;
    struct kr_err err = KR_ERR_NONE;

    EXPECT_OK(kube_auth_get(r->auth, &cred, &err), &err);
    return cred.authorization;
}

#define SCRIPT(status)                                                                             \
    "#!/bin/sh\ncd $(dirname $0)\necho >> runs\necho "                                             \
    "'{\"apiVersion\":\"client.authentication.k8s.io/"                                             \
    "v1\",\"kind\":\"ExecCredential\",\"status\":{" status "}}'\n"

/* --- fixed ------------------------------------------------------------------------------------ */

TEST(kube_auth, fixed_credentials)
{
    struct rig none = {0}, token = {.config.token = (char *)"abc"},
               basic = {
                   .config = {.username = (char *)"Aladdin", .password = (char *)"open sesame"}};

    rig_open(&none);
    assert_null(get(&none));
    assert_false(kube_auth_rejected(none.auth, 0));
    rig_close(&none);
    rig_open(&token);
    EXPECT_TEXT(get(&token), "Bearer abc");
    assert_false(kube_auth_rejected(token.auth, 0));
    rig_close(&token);
    rig_open(&basic);
    EXPECT_TEXT(get(&basic), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    rig_close(&basic);
}

TEST(kube_auth, a_token_file_is_read_again_after_a_401)
{
    struct rig r = {0};
    struct kube_cred cred;
    struct kr_err err = KR_ERR_NONE;
    char *file;

    unlink(path("token"));
    file = strdup(path("token"));
    r.config.token_file = file;
    rig_open(&r);
    assert_int_equal(kube_auth_get(r.auth, &cred, &err), KR_E_INPUT);
    put("token", "\n");
    rig_close(&r);
    r.closed = false;
    rig_open(&r);
    assert_int_equal(kube_auth_get(r.auth, &cred, &err), KR_E_INPUT);
    rig_close(&r);
    r.closed = false;
    put("token", "one\n");
    rig_open(&r);
    assert_int_equal(kube_auth_get(r.auth, &cred, &err), 0);
    EXPECT_TEXT(cred.authorization, "Bearer one");
    put("token", "two\n");
    EXPECT_TEXT(get(&r), "Bearer one"); /* trusted for a minute */
    assert_true(kube_auth_rejected(r.auth, cred.generation));
    EXPECT_TEXT(get(&r), "Bearer two");
    assert_true(kube_auth_rejected(
        r.auth, cred.generation)); /* an older exchange: there is a newer token */
    assert_int_equal(kube_auth_get(r.auth, &cred, &err), 0);
    assert_false(kube_auth_rejected(r.auth, cred.generation)); /* nothing newer */
    unlink(path("token"));
    assert_false(kube_auth_rejected(r.auth, cred.generation));
    EXPECT_TEXT(get(&r), "Bearer two"); /* better than none */
    rig_close(&r);
    free(file);
}

/* --- plug-ins --------------------------------------------------------------------------------- */

TEST(kube_auth, a_plug_ins_credential_is_kept_until_it_is_rejected)
{
    struct rig r = {0};
    struct kube_cred cred;

    use_exec(&r, SCRIPT("\"token\":\"t1\",\"clientCertificateData\":\"C\",\"clientKeyData\":\"K\","
                        "\"expirationTimestamp\":\"2099-01-01T00:00:00Z\""));
    rig_open(&r);
    assert_int_equal(kube_auth_get(r.auth, &cred, NULL), KUBE_AUTH_WAIT);
    run_once(&r); /* one run serves both */
    EXPECT_TEXT(r.authorization, "Bearer t1");
    EXPECT_TEXT(r.cert, "C");
    assert_int_equal(runs(), 1);
    assert_int_equal(kube_auth_get(r.auth, &cred, NULL), 0);
    EXPECT_TEXT(cred.key, "K");
    assert_true(kube_auth_rejected(r.auth, cred.generation));
    run_once(&r);
    assert_int_equal(runs(), 2);
    assert_true(
        kube_auth_rejected(r.auth, cred.generation)); /* of the one before: the new one stays */
    EXPECT_TEXT(get(&r), "Bearer t1");
    rig_close(&r);
}

TEST(kube_auth, an_expired_credential_is_used_by_those_who_waited_and_renewed_for_the_next)
{
    struct rig r = {0};

    use_exec(&r, SCRIPT("\"token\":\"old\",\"expirationTimestamp\":\"2001-01-01T00:00:00Z\""));
    rig_open(&r);
    run_once(&r);
    EXPECT_TEXT(r.authorization, "Bearer old");
    run_once(&r);
    assert_int_equal(runs(), 2);
    rig_close(&r);
}

TEST(kube_auth, a_plug_in_is_told_about_the_cluster_and_gets_its_variables)
{
    static char *env[] = {(char *)"HOME=/mine", NULL}, *args[] = {(char *)"a b", NULL};
    struct rig r = {.config = {.server = (char *)"https://h:1", .ca_data = (char *)"PEM"}};

    use_exec(
        &r,
        "#!/bin/sh\ncd $(dirname $0)\necho \"$HOME|$1|$KUBERNETES_EXEC_INFO\" > seen\nexit 3\n");
    r.exec.env = env;
    r.exec.args = args;
    r.exec.provide_cluster_info = true;
    r.exec.cluster_config = (char *)"{\"x\":1}";
    rig_open(&r);
    run_once(&r);
    rig_close(&r);
    EXPECT_TEXT(r.error, "exec plug-in \"./plug\": exit code 3");
    {
        KR_AUTO(kr_arena) a = {0};
        kr_str seen;

        assert_true(test_file(&a, path("seen"), &seen));
        EXPECT_TEXT(kr_cstr(&a, seen), "/mine|a "
                                       "b|{\"apiVersion\":\"client.authentication.k8s.io/"
                                       "v1\",\"kind\":\"ExecCredential\",\"spec\":{\"cluster\":{"
                                       "\"certificate-authority-data\":\"UEVN\",\"config\":{\"x\":"
                                       "1},\"server\":\"https://h:1\"},\"interactive\":false}}\n");
    }
}

TEST(kube_auth, what_goes_wrong_with_a_plug_in_is_told_without_secrets)
{
    static const struct {
        const char *script, *error;
    } rows[] = {
        {"#!/bin/sh\necho geheim\n", "its output is not JSON"},
        {"#!/bin/sh\necho '{\"kind\":\"X\",\"status\":{\"token\":\"geheim\"}}'\n",
         "its output is no ExecCredential"},
        {"#!/bin/sh\necho "
         "'{\"kind\":\"ExecCredential\",\"apiVersion\":\"client.authentication.k8s.io/"
         "v1beta1\",\"status\":{\"token\":\"geheim\"}}'\n",
         "its output has apiVersion \"client.authentication.k8s.io/v1beta1\", not "
         "client.authentication.k8s.io/v1"},
        {SCRIPT(""), "its output has neither a token nor a client certificate with key"},
        {SCRIPT("\"token\":\"a\",\"clientKeyData\":\"geheim\""),
         "its output has only one of clientCertificateData and clientKeyData"},
        {SCRIPT("\"token\":\"geheim\\u000aX: y\""),
         "status.token has characters that no token may have"},
        {SCRIPT("\"token\":\"geheim\",\"expirationTimestamp\":\"soon\""),
         "status.expirationTimestamp is no RFC 3339 time"},
        {"#!/bin/sh\nkill -9 $$\n", "was killed by signal 9"},
        {"#!/bin/sh\nhead -c 3000000 /dev/zero\n", "its output is larger than 1048576 bytes"},
        {"#!/bin/sh\nsleep 100 &\nsleep 100\n", "gave no answer within 0.2 s"},
    };
    char want[256];

    for (size_t i = 0; i < KR_N(rows); i++) {
        struct rig r = {0};

        use_exec(&r, rows[i].script);
        r.exec.timeout_ms = strstr(rows[i].script, "sleep") ? 200 : 20000;
        rig_open(&r);
        run_once(&r);
        assert_false(r.ok);
        snprintf(want, sizeof want, "exec plug-in \"./plug\": %s", rows[i].error);
        EXPECT_TEXT(r.error, want);
        rig_close(&r);
    }
}

TEST(kube_auth, a_missing_plug_in_is_told_with_its_hint)
{
    struct rig r = {0};

    use_exec(&r, "");
    r.exec.command = (char *)"kroc-no-such-plug-in";
    r.exec.install_hint = (char *)"install it";
    rig_open(&r);
    run_once(&r);
    EXPECT_TEXT(r.error, "exec plug-in \"kroc-no-such-plug-in\": cannot be run: no such file or "
                         "directory; install it");
    rig_close(&r);
}

TEST(kube_auth, close_kills_a_running_plug_in)
{
    struct rig r = {0};
    struct kube_cred cred;
    uint64_t begun;

    use_exec(&r, "#!/bin/sh\nsleep 100\n");
    rig_open(&r);
    assert_int_equal(kube_auth_get(r.auth, &cred, NULL), KUBE_AUTH_WAIT);
    begun = uv_hrtime();
    rig_close(&r);
    assert_true(uv_hrtime() - begun < 10000000000u);
    assert_int_equal(r.ready_n, 0);
}

int main(void)
{
    char command[128];
    int failed;

    if (mkdtemp(dir) == NULL)
        return 1;
    failed = RUN(
        T(kube_auth, fixed_credentials), T(kube_auth, a_token_file_is_read_again_after_a_401),
        T(kube_auth, a_plug_ins_credential_is_kept_until_it_is_rejected),
        T(kube_auth, an_expired_credential_is_used_by_those_who_waited_and_renewed_for_the_next),
        T(kube_auth, a_plug_in_is_told_about_the_cluster_and_gets_its_variables),
        T(kube_auth, what_goes_wrong_with_a_plug_in_is_told_without_secrets),
        T(kube_auth, a_missing_plug_in_is_told_with_its_hint),
        T(kube_auth, close_kills_a_running_plug_in));
    snprintf(command, sizeof command, "rm -r %s", dir);
    return system(command) != 0 || failed;
}
