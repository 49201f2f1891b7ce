/* SPDX-License-Identifier: Apache-2.0 */
/* endpoint.c - token, server, kubeconfig. */
#include "cli/endpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cel/base/digest.h"
#include "kube/sandbox/cert.h"

#include "cel/base/banned.h"

enum { KUBECONFIG_MAX = 64 * 1024 };

/* A file of our own is new: in a folder of all users nobody else can have put one there. */
static int write_private(const char *path, bool made, kr_str text, struct kr_err *err)
{
    int fd;

    if (made)
        unlink(path);
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | (made ? O_EXCL : O_TRUNC), 0600);
    if (fd < 0)
        return kr_fail(err, KR_E_IO, "cannot write %s: %s", path, strerror(errno));
    if (fchmod(fd, 0600) < 0) {
        close(fd);
        return kr_fail(err, KR_E_IO, "cannot keep %s to ourselves: %s", path, strerror(errno));
    }
    while (text.n > 0) {
        ssize_t n = write(fd, text.s, text.n);

        if (n < 0) {
            close(fd);
            return kr_fail(err, KR_E_IO, "cannot write %s: %s", path, strerror(errno));
        }
        text = kr_str_sub(text, (size_t)n, text.n);
    }
    close(fd);
    return 0;
}

static int write_kubeconfig(struct cli_endpoint *e, const char *token, struct kr_err *err)
{
    KR_AUTO(kr_buf) b = KR_BUF(KUBECONFIG_MAX);
    const char *cert = sandbox_server_certificate(e->server);

    kr_buf_fmt(&b,
               "apiVersion: v1\nkind: Config\nclusters:\n- name: sandbox\n  cluster:\n"
               "    server: http%s://127.0.0.1:%u\n",
               cert ? "s" : "", sandbox_server_port(e->server));
    if (cert)
        kr_buf_fmt(&b, "    certificate-authority-data: " KR_FMT "\n",
                   KR_ARG(kr_base64_encode(&e->a, kr_str_c(cert), KR_BASE64_STD)));
    kr_buf_fmt(&b,
               "users:\n- name: admin\n  user:\n    token: %s\n"
               "contexts:\n- name: sandbox\n  context:\n    cluster: sandbox\n    user: admin\n"
               "current-context: sandbox\n",
               token);
    return write_private(e->kubeconfig, e->made, kr_buf_view(&b), err);
}

static void choose_path(struct cli_endpoint *e, const char *wanted)
{
    const char *home = getenv("XDG_RUNTIME_DIR");

    e->made = wanted == NULL;
    e->kubeconfig = wanted ? wanted
                           : kr_fmt(&e->a, "%s/kroc-sandbox-%d.kubeconfig",
                                    home && home[0] ? home : "/tmp", (int)getpid())
                                 .s;
}

int cli_endpoint_open(struct cli_endpoint *e, const struct cli_endpoint_opts *opts,
                      struct kr_err *err)
{
    struct sandbox_server_opts server = {.loop = opts->loop,
                                         .sandbox = opts->sandbox,
                                         .port = opts->port,
                                         .plain = opts->plain,
                                         .fault = opts->fault};
    uint8_t bytes[SANDBOX_TOKEN_BYTES];
    const char *token;

    *e = (struct cli_endpoint){0};
    KR_TRY(sandbox_cert_random(bytes, sizeof bytes, err));
    token = kr_cstr(&e->a, kr_hex(&e->a, bytes, sizeof bytes));
    server.token = opts->plain ? NULL : token; /* clients send none without TLS */
    KR_TRY(sandbox_server_open(&server, &e->server, err));
    choose_path(e, opts->kubeconfig);
    return write_kubeconfig(e, token, err);
}

void cli_endpoint_close(struct cli_endpoint *e)
{
    if (e->server)
        sandbox_server_close(e->server, NULL, NULL);
    if (e->made)
        unlink(e->kubeconfig);
    kr_arena_fini(&e->a);
    *e = (struct cli_endpoint){0};
}
