/* SPDX-License-Identifier: Apache-2.0 */
/* sandbox_http_fuzz.c - the bytes of a connection to the sandbox's server: request lines, headers, bodies in
 * chunks, lengths that are not true, requests one behind the other.
 *
 * An input is sent over a real loopback connection; where it has the byte 1, the server works on what came so
 * far. Then our side is shut, what the server says is read, and the connection is reset with whatever is left
 * open. A server that has done with that still serves others, and ends.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kube/sandbox/serve.h"
#include "tests/fuzz/still_clock.h"

#include "cel/base/banned.h"

enum {
    INPUT_MAX = 64 * 1024,
    CUT = 1,         /* the byte between two pieces */
    IDLE_TURNS = 12, /* of the loop without a byte: nothing more will come */
    TURNS_MAX = 5000,
    INPUTS_A_LIFE = 40,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct peer {
    uv_loop_t *loop;
    int fd;
    struct kr_buf said; /* by the server */
    bool ended;
};

static void peer_open(struct peer *p, uv_loop_t *loop, uint16_t port)
{
    struct sockaddr_in addr = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct linger reset = {.l_onoff = 1};

    *p = (struct peer){.loop = loop, .said = KR_BUF(SANDBOX_RESPONSE_MAX)};
    p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    KR_ASSERT(p->fd >= 0);
    while (connect(p->fd, (struct sockaddr *)&addr, sizeof addr) < 0 && errno != EISCONN)
        KR_ASSERT(errno == EINTR || errno == EALREADY); /* libFuzzer's own timer */
    setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
}

static void peer_close(struct peer *p)
{
    close(p->fd);
    kr_buf_fini(&p->said);
}

/* Returns whether there was something. */
static bool take(struct peer *p)
{
    char bytes[16 * 1024];
    ssize_t n = recv(p->fd, bytes, sizeof bytes, MSG_DONTWAIT);

    if (n > 0)
        kr_buf_add(&p->said, bytes, (size_t)n);
    else if (n == 0 || (errno != EAGAIN && errno != EINTR))
        p->ended = true;
    return n > 0;
}

/* Lets the server work until it has nothing more to say. */
static void pump(struct peer *p)
{
    for (int idle = 0, turns = 0; idle < IDLE_TURNS && turns < TURNS_MAX && !p->ended; turns++) {
        uv_run(p->loop, UV_RUN_NOWAIT);
        idle = take(p) ? 0 : idle + 1;
    }
}

static void say(struct peer *p, kr_str bytes)
{
    while (bytes.n > 0 && !p->ended) {
        ssize_t n = send(p->fd, bytes.s, bytes.n, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n > 0)
            bytes = kr_str_sub(bytes, (size_t)n, bytes.n);
        else if (errno != EAGAIN && errno != EINTR)
            return; /* it has hung up on us */
        if (bytes.n > 0)
            pump(p);
    }
}

static void say_pieces(struct peer *p, kr_str text)
{
    while (text.n > 0 && !p->ended) {
        say(p, kr_str_cut(&text, CUT));
        pump(p);
    }
}

static void still_serves(uv_loop_t *loop, uint16_t port)
{
    struct peer p;

    peer_open(&p, loop, port);
    say(&p, KR_S("GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
    for (int i = 0; i < TURNS_MAX && !p.ended; i++)
        pump(&p);
    KR_ASSERT(kr_str_starts(kr_buf_view(&p.said), KR_S("HTTP/1.1 200 ")));
    peer_close(&p);
}

/* One server for some inputs: to start one takes longer than to serve. */
static struct host {
    uv_loop_t loop;
    struct sandbox *sandbox;
    struct sandbox_server *server; /* NULL: it is down */
    int inputs_n;
} host;

static uint16_t host_up(struct host *h)
{
    static struct kube_clock clock = {&still_clock_ops};
    const struct sandbox_opts sandbox_opts = {.bare = true};
    struct sandbox_server_opts opts = {.plain = true, .loop = &h->loop};
    struct kr_err err = KR_ERR_NONE;

    if (h->server == NULL) {
        uv_loop_init(&h->loop);
        h->sandbox = opts.sandbox = sandbox_new(&clock, &sandbox_opts);
        if (sandbox_server_open(&opts, &h->server, &err) < 0)
            KR_ASSERT(false);
    }
    return sandbox_server_port(h->server);
}

static void host_down(struct host *h)
{
    int rc;

    sandbox_server_close(h->server, NULL, NULL);
    uv_run(&h->loop, UV_RUN_DEFAULT);
    rc = uv_loop_close(&h->loop);
    KR_ASSERT(rc == 0); /* nothing is left open */
    KR_ASSERT(sandbox_watches_n(h->sandbox) == 0);
    sandbox_free(h->sandbox);
    *h = (struct host){0};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct peer p;
    uint16_t port;

    if (n > INPUT_MAX)
        return 0;
    port = host_up(&host);
    peer_open(&p, &host.loop, port);
    say_pieces(&p, (kr_str){(const char *)data, n});
    shutdown(p.fd, SHUT_WR);
    pump(&p);
    KR_ASSERT(p.said.n == 0 || kr_str_starts(kr_buf_view(&p.said), KR_S("HTTP/1.")));
    peer_close(&p);
    if (++host.inputs_n == INPUTS_A_LIFE) { /* what the input left open, the end closes */
        host_down(&host);
        return 0;
    }
    still_serves(&host.loop, port);
    return 0;
}
