/* SPDX-License-Identifier: Apache-2.0 */
/* bench.c - how fast the sandbox is to a local client: from exec to the first answer, and applies.
 *
 *   bench_sandbox KROC [APPLIES [CONNECTIONS [create|change|same]]]
 *
 * Each connection has one request under way: what is measured is the server, not the way there and
 * back. The rate by the server's own processor time is what one core does, whoever else is busy.
 * Prints figures; judges nothing.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cel/base/buf.h"

#include "cel/base/banned.h"

enum { CONNECTIONS_MAX = 256, OBJECTS = 1000, ANSWER_MAX = 1024 * 1024, WARM_N = 2000 };

struct server {
    pid_t pid;
    uint16_t port;
    FILE *out;
    char kubeconfig[64];
};

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

/* --- the server ------------------------------------------------------------------------------- */

static double processor_s(const struct server *s)
{
    struct timespec t;
    clockid_t clock;

    if (clock_getcpuclockid(s->pid, &clock) != 0 || clock_gettime(clock, &t) != 0)
        die("the server's clock");
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void server_start(struct server *s, const char *kroc, bool plain)
{
    int fds[2];
    char line[256];

    snprintf(s->kubeconfig, sizeof s->kubeconfig, "/tmp/bench-sandbox-%d", (int)getpid());
    if (pipe(fds) < 0)
        die("pipe");
    s->pid = fork();
    if (s->pid == 0) {
        dup2(fds[1], 1);
        execl(kroc, "kroc", "sandbox", "--kubeconfig", s->kubeconfig, plain ? "--plain" : NULL,
              (char *)NULL);
        _exit(127);
    }
    close(fds[1]);
    s->out = fdopen(fds[0], "r");
    if (fgets(line, sizeof line, s->out) == NULL)
        die("the server did not start");
}

/* Of the kubeconfig: "server: http://127.0.0.1:PORT". */
static void server_port(struct server *s)
{
    KR_AUTO(kr_buf) text = KR_BUF(64 * 1024);
    ptrdiff_t at;

    if (kr_buf_read_file(&text, s->kubeconfig, NULL) < 0)
        die(s->kubeconfig);
    at = kr_str_find(kr_buf_view(&text), KR_S("127.0.0.1:"));
    s->port = (uint16_t)strtoul(text.s + at + strlen("127.0.0.1:"), NULL, 10);
}

static void server_stop(struct server *s)
{
    int status;

    kill(s->pid, SIGTERM);
    waitpid(s->pid, &status, 0);
    fclose(s->out);
    unlink(s->kubeconfig);
}

/* --- connections ------------------------------------------------------------------------------ */

static int connect_to(uint16_t port)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0)
        die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

static void send_all(int fd, kr_str text)
{
    while (text.n > 0) {
        ssize_t n = send(fd, text.s, text.n, MSG_NOSIGNAL);

        if (n <= 0)
            die("send");
        text = kr_str_sub(text, (size_t)n, text.n);
    }
}

/* Reads one answer with a Content-Length wholly; returns its status. */
static int receive(int fd)
{
    static char bytes[ANSWER_MAX];
    kr_str all = {bytes, 0}, length = KR_S("\r\nContent-Length: ");
    ptrdiff_t head = -1, at;
    size_t wanted = sizeof bytes;

    while (all.n < wanted) {
        ssize_t n = recv(fd, bytes + all.n, sizeof bytes - all.n, 0);

        if (n <= 0)
            die("recv");
        all.n += (size_t)n;
        if (head >= 0)
            continue;
        head = kr_str_find(all, KR_S("\r\n\r\n"));
        at = kr_str_find(all, length);
        if (head >= 0 && at >= 0)
            wanted = (size_t)head + 4 + strtoul(bytes + at + length.n, NULL, 10);
    }
    return (int)strtoul(bytes + strlen("HTTP/1.1 "), NULL, 10);
}

static void send_apply(int fd, const char *what, uint32_t i)
{
    char body[1024], head[512];
    uint32_t name = strcmp(what, "create") == 0 ? i : i % OBJECTS;
    int n = snprintf(body, sizeof body,
                     "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"m%u\","
                     "\"labels\":{\"app\":\"bench\",\"part\":\"of\"}},\"data\":{\"a\":\"%u\","
                     "\"b\":\"some more text that stays as it is\",\"c\":\"z\"}}",
                     name, strcmp(what, "change") == 0 ? i : 0);
    int k =
        snprintf(head, sizeof head,
                 "PATCH /api/v1/namespaces/default/configmaps/m%u?fieldManager=bench&force=true "
                 "HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/json\r\nContent-Type: "
                 "application/apply-patch+yaml\r\nContent-Length: %d\r\n\r\n",
                 name, n);
    char all[2048];

    memcpy(all, head, (size_t)k);
    memcpy(all + k, body, (size_t)n);
    send_all(fd, (kr_str){all, (size_t)(k + n)});
}

/* --- what is measured ------------------------------------------------------------------------- */

static void bench_start(const char *kroc)
{
    for (int plain = 0; plain < 2; plain++) {
        double best = 1e9, best_processor = 1e9;

        for (int i = 0; i < 10; i++) {
            struct server s = {0};
            double from = now_s(), took, processor;
            int fd;

            server_start(&s, kroc, plain);
            if (plain) {
                server_port(&s);
                fd = connect_to(s.port);
                send_all(fd, KR_S("GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"));
                if (receive(fd) != 200)
                    die("the first answer");
                close(fd);
            }
            took = now_s() - from;
            processor = processor_s(&s);
            best = took < best ? took : best;
            best_processor = processor < best_processor ? processor : best_processor;
            server_stop(&s);
        }
        printf("start %-31s %8.1f ms, %.1f ms of processor time (best of 10)\n",
               plain ? "(plain), to the first answer" : "(TLS), to KUBECONFIG=", best * 1e3,
               best_processor * 1e3);
    }
}

static void bench_apply(const char *kroc, uint32_t n, uint32_t connections, const char *what)
{
    struct server s = {0};
    int fds[CONNECTIONS_MAX];
    uint32_t sent = 0, got = 0;
    double from = 0, processor = 0;

    server_start(&s, kroc, true);
    server_port(&s);
    for (uint32_t i = 0; i < connections; i++) {
        fds[i] = connect_to(s.port);
        send_apply(fds[i], what, sent++);
    }
    for (uint32_t i = 0; got < n; i = (i + 1) % connections) {
        if (got == WARM_N) {
            from = now_s();
            processor = processor_s(&s);
        }
        if (receive(fds[i]) / 100 != 2)
            die("an apply");
        got++;
        send_apply(fds[i], what, sent++);
    }
    from = now_s() - from;
    processor = processor_s(&s) - processor;
    printf(
        "apply (%s) %u over %u connections: %.0f a second, %.0f a second of the server's processor "
        "time\n",
        what, n - WARM_N, connections, (n - WARM_N) / from, (n - WARM_N) / processor);
    for (uint32_t i = 0; i < connections; i++)
        close(fds[i]);
    server_stop(&s);
}

int main(int argc, char **argv)
{
    uint32_t n = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 30000;
    uint32_t connections = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 4;
    static const char *const whats[] = {"create", "change", "same"};

    if (argc < 2 || n <= WARM_N || connections == 0 || connections > CONNECTIONS_MAX) {
        fprintf(stderr, "bench_sandbox KROC [APPLIES [CONNECTIONS [create|change|same]]]\n");
        return 2;
    }
    bench_start(argv[1]);
    for (size_t i = 0; i < KR_N(whats); i++) {
        if (argc < 5 || strcmp(argv[4], whats[i]) == 0)
            bench_apply(argv[1], n, connections, whats[i]);
    }
    return 0;
}
