/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever a server sends on an HTTP/2 connection: three streams are open (one with a body, one whose reader
 * stops it, one that is canceled half-way); each ends once, nothing is told after that, and nothing of
 * them is used after the connection has closed. The first byte says how the bytes are cut. */
#include "kube/h2.h"

#include <unistd.h>

#include "cel/base/mem.h"

enum { CALLS_N = 3, ROUNDS_MAX = 4096 };

struct call {
    struct kube_h2_stream s;
    bool stop, ended, canceled;
    int heads_n;
};

static struct call calls[CALLS_N];
static const uint8_t *bytes;
static size_t left, piece;
static bool gone, closed;

static ssize_t read_some(void *arg, char *to, size_t n)
{
    size_t k = left < piece ? left : piece;

    if (left == 0)
        return -1;
    if (k > n)
        k = n;
    memcpy(to, bytes, k);
    bytes += k;
    left -= k;
    return (ssize_t)k;
}

static ssize_t write_all(void *arg, const char *from, size_t n)
{
    return (ssize_t)n;
}

static const struct kube_h2_io io = {read_some, write_all};

static struct call *of(struct kube_h2_stream *s)
{
    struct call *c = KR_OWNER(s, struct call, s);

    KR_ASSERT(!c->ended && !c->canceled);
    return c;
}

static void on_header(struct kube_h2_stream *s, kr_str name, kr_str value)
{
    KR_ASSERT(of(s)->heads_n == 0 && name.n > 0 && (value.n == 0 || value.s));
}

static void on_head(struct kube_h2_stream *s, int status)
{
    KR_ASSERT(of(s)->heads_n++ == 0 && status >= 200 && status <= 999);
}

static bool on_bytes(struct kube_h2_stream *s, const char *from, size_t n)
{
    KR_ASSERT(of(s)->heads_n == 1);
    if (!calls[2].ended && !calls[2].canceled) {
        kube_h2_cancel(&calls[2].s);
        calls[2].canceled = true;
        if (s == &calls[2].s)
            return true;
    }
    return !of(s)->stop;
}

static void on_end(struct kube_h2_stream *s, enum kube_h2_end how)
{
    KR_ASSERT(how != KUBE_H2_DONE || of(s)->heads_n == 1);
    of(s)->ended = true;
}

static const struct kube_h2_ops ops = {on_header, on_head, on_bytes, on_end};

static void on_gone(void *arg)
{
    KR_ASSERT(!gone);
    gone = true;
}

static void on_closed(void *arg)
{
    closed = true;
}

#define NV(name, value)                                                                            \
    {                                                                                              \
        (uint8_t *)(uintptr_t)(name), (uint8_t *)(uintptr_t)(value), strlen(name), strlen(value),  \
            NGHTTP2_NV_FLAG_NONE                                                                   \
    }

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    nghttp2_nv headers[] = {NV(":method", "POST"), NV(":scheme", "https"), NV(":authority", "a"),
                            NV(":path", "/x")};
    char body[100] = {0};
    struct kube_h2 *h2;
    uv_loop_t loop;
    int fds[2];

    if (n < 1 || pipe(fds) != 0)
        return 0;
    piece = (size_t)data[0] + 1;
    bytes = data + 1;
    left = n - 1;
    gone = closed = false;
    uv_loop_init(&loop);
    h2 = kube_h2_new(&loop, fds[0], &io, NULL, on_gone);
    for (int i = 0; i < CALLS_N; i++) {
        calls[i] = (struct call){.stop = i == 1};
        kube_h2_open(h2, &calls[i].s, &ops, headers, KR_N(headers),
                     (kr_str){body, i == 0 ? sizeof body : 0});
    }
    kube_h2_flush(h2);
    for (int i = 0; i < ROUNDS_MAX && !gone; i++)
        uv_run(&loop, UV_RUN_NOWAIT);
    KR_ASSERT(gone); /* the last read says that it is closed */
    kube_h2_close(h2, on_closed);
    for (int i = 0; i < CALLS_N; i++)
        KR_ASSERT(calls[i].ended != calls[i].canceled);
    uv_run(&loop, UV_RUN_DEFAULT);
    KR_ASSERT(closed && uv_loop_close(&loop) == 0);
    close(fds[0]);
    close(fds[1]);
    return 0;
}
