/* SPDX-License-Identifier: Apache-2.0 */
/* h2.c - pumps bytes between nghttp2 and a connection.
 *
 *   readable -> read -> nghttp2 -> callbacks -> owner
 *   flush    -> nghttp2 -> out -> write;  what does not go now goes when the socket is writable
 *
 * What the owners do inside the callbacks (new streams, resets, window updates) is written after the
 * reads, so that one write carries much.
 */
#include "kube/h2.h"

#include "cel/base/buf.h"
#include "cel/base/mem.h"

#include "cel/base/banned.h"

enum {
    READ_MAX = 16 * 1024,   /* one TLS record */
    OUT_ENOUGH = 64 * 1024, /* no more is asked of nghttp2 before this is written */
    OUT_MAX = OUT_ENOUGH + 32 * 1024,
};

struct kube_h2 {
    nghttp2_session *session;
    const struct kube_h2_io *io;
    void *arg;
    void (*gone)(void *arg);
    void (*closed)(void *arg);
    struct kr_link streams;
    uint32_t streams_n;
    struct kr_buf out;
    size_t written; /* of out */
    bool retired, broken, told;
    uint32_t handles_n;
    bool polls; /* poll is a handle */
    int events; /* that it waits for */
    uv_poll_t poll;
    uv_timer_t more; /* there may be bytes that no socket tells of */
    uv_timer_t life; /* when to look whether it is silent */
    uint64_t heard_ms;
    uint32_t silence_ms, ping_ms;
    bool asked; /* a PING was sent, and no byte came since */
};

/* --- streams ---------------------------------------------------------------------------------- */

static void unlink_stream(struct kube_h2_stream *s)
{
    kr_link_remove(&s->link);
    s->h2->streams_n--;
    s->h2 = NULL;
}

static void end_stream(struct kube_h2_stream *s, enum kube_h2_end how)
{
    unlink_stream(s);
    s->ops->end(s, how);
}

static void break_down(struct kube_h2 *h)
{
    h->broken = true;
    while (!kr_link_empty(&h->streams))
        end_stream(KR_OWNER(h->streams.next, struct kube_h2_stream, link), KUBE_H2_BROKEN);
}

bool kube_h2_has_room(const struct kube_h2 *h)
{
    uint32_t max =
        nghttp2_session_get_remote_settings(h->session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);

    return !h->retired && !h->broken && h->streams_n < KUBE_H2_STREAMS_MAX && h->streams_n < max &&
           nghttp2_session_check_request_allowed(h->session);
}

static ssize_t on_body_wanted(nghttp2_session *session, int32_t id, uint8_t *buf, size_t n,
                              uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    struct kube_h2_stream *s = nghttp2_session_get_stream_user_data(session, id);

    if (!s)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; /* canceled: ends this stream alone */
    if (n > s->body.n)
        n = s->body.n;
    memcpy(buf, s->body.s, n);
    s->body = kr_str_sub(s->body, n, s->body.n);
    if (s->body.n == 0)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)n;
}

void kube_h2_open(struct kube_h2 *h, struct kube_h2_stream *s, const struct kube_h2_ops *ops,
                  const nghttp2_nv *headers, size_t headers_n, kr_str body)
{
    nghttp2_data_provider provider = {.read_callback = on_body_wanted};

    KR_ASSERT(kube_h2_has_room(h));
    *s = (struct kube_h2_stream){.ops = ops, .h2 = h, .body = body};
    kr_link_push(&h->streams, &s->link);
    h->streams_n++;
    s->id =
        nghttp2_submit_request(h->session, NULL, headers, headers_n, body.n ? &provider : NULL, s);
    KR_ASSERT(s->id > 0); /* else a header of ours is none, or memory is short */
}

bool kube_h2_is_later(const struct kube_h2_stream *s)
{
    return s->id > 1;
}

void kube_h2_cancel(struct kube_h2_stream *s)
{
    if (!s->h2)
        return;
    nghttp2_session_set_stream_user_data(s->h2->session, s->id, NULL);
    nghttp2_submit_rst_stream(s->h2->session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_CANCEL);
    unlink_stream(s);
}

void kube_h2_retire(struct kube_h2 *h)
{
    h->retired = true;
}

/* --- what nghttp2 tells ----------------------------------------------------------------------- */

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_n, const uint8_t *value, size_t value_n, uint8_t flags, void *arg)
{
    struct kube_h2_stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    kr_str n = {(const char *)name, name_n}, v = {(const char *)value, value_n};
    int64_t status;

    if (!s || s->head_done)
        return 0; /* canceled; a trailer */
    if (kr_str_is(n, ":status"))
        s->status = kr_str_i64(v, &status) ? (int)status : 0; /* three digits: nghttp2 has looked */
    s->ops->header(s, n, v);
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct kube_h2 *h = arg;
    struct kube_h2_stream *s;

    if (frame->hd.type == NGHTTP2_GOAWAY)
        h->retired = true;
    if (frame->hd.type != NGHTTP2_HEADERS)
        return 0;
    s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (s && !s->head_done && s->status >= 200) {
        s->head_done = true;
        s->ops->head(s, s->status);
    }
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes,
                   size_t n, void *arg)
{
    struct kube_h2_stream *s = nghttp2_session_get_stream_user_data(session, id);

    /* Without a head: its status was no status ("042"), which nghttp2 lets pass. */
    if (!s || s->stopped || (s->head_done && s->ops->bytes(s, (const char *)bytes, n)))
        return 0;
    s->stopped = true;
    nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *arg)
{
    struct kube_h2_stream *s = nghttp2_session_get_stream_user_data(session, id);

    if (!s)
        return 0;
    if (code == NGHTTP2_REFUSED_STREAM)
        end_stream(s, KUBE_H2_REFUSED);
    else
        end_stream(s, code == NGHTTP2_NO_ERROR && s->head_done ? KUBE_H2_DONE : KUBE_H2_RESET);
    return 0;
}

/* --- the pump --------------------------------------------------------------------------------- */

static void on_poll(uv_poll_t *p, int status, int events);
static void on_more(uv_timer_t *t);
static void on_life(uv_timer_t *t);

static void poll_for(struct kube_h2 *h, int events)
{
    if (!h->polls || h->broken || h->events == events)
        return; /* each start is a system call */
    h->events = events;
    uv_poll_start(&h->poll, events, on_poll);
}

static void heard(struct kube_h2 *h)
{
    h->heard_ms = uv_now(h->life.loop);
    if (h->asked)
        uv_timer_start(&h->life, on_life, h->silence_ms, 0);
    h->asked = false;
}

static void read_some(struct kube_h2 *h)
{
    char bytes[READ_MAX];

    for (int i = 0; i < KUBE_H2_READS_MAX; i++) {
        ssize_t n = h->io->read(h->arg, bytes, sizeof bytes);

        if (n == 0)
            return;
        if (n < 0 || nghttp2_session_mem_recv(h->session, (uint8_t *)bytes, (size_t)n) < 0) {
            break_down(h);
            return;
        }
        heard(h);
    }
    uv_timer_start(&h->more, on_more, 0, 0);
}

static bool fill_out(struct kube_h2 *h)
{
    const uint8_t *bytes;
    ssize_t n;

    kr_buf_reset(&h->out);
    h->written = 0;
    while (h->out.n < OUT_ENOUGH && (n = nghttp2_session_mem_send(h->session, &bytes)) != 0) {
        if (n < 0)
            return false;
        kr_buf_add(&h->out, bytes, (size_t)n);
    }
    return !h->out.full;
}

static void write_all(struct kube_h2 *h)
{
    while (!h->broken) {
        ssize_t n;

        if (h->written == h->out.n && !fill_out(h)) {
            break_down(h);
            return;
        }
        if (h->out.n == 0) {
            poll_for(h, UV_READABLE);
            return;
        }
        n = h->io->write(h->arg, h->out.s + h->written, h->out.n - h->written);
        if (n == 0) {
            poll_for(h, UV_READABLE | UV_WRITABLE);
            return;
        }
        if (n < 0)
            break_down(h);
        else
            h->written += (size_t)n;
    }
}

/* Is the connection of no more use? The owner closes it inside: the last thing a pump does. */
static void judge(struct kube_h2 *h)
{
    bool ended = !nghttp2_session_want_read(h->session) && !nghttp2_session_want_write(h->session);

    if (ended && !h->broken)
        break_down(h);
    if (h->told || !(h->broken || (h->retired && h->streams_n == 0)))
        return;
    h->told = true;
    uv_poll_stop(&h->poll);
    uv_timer_stop(&h->more);
    uv_timer_stop(&h->life);
    h->gone(h->arg);
}

static void pump(struct kube_h2 *h)
{
    read_some(h);
    write_all(h);
    judge(h);
}

static void on_poll(uv_poll_t *p, int status, int events)
{
    pump(p->data); /* what is wrong with the socket, read and write will say */
}

static void on_more(uv_timer_t *t)
{
    pump(t->data);
}

/* silent -> PING -> a byte: heard again; none: broken. Without streams nobody waits for anything. */
static void on_life(uv_timer_t *t)
{
    struct kube_h2 *h = t->data;
    uint64_t silent = uv_now(t->loop) - h->heard_ms;

    if (h->asked) {
        break_down(h);
        judge(h);
        return;
    }
    h->asked = h->streams_n > 0 && silent >= h->silence_ms;
    if (h->asked)
        nghttp2_submit_ping(h->session, NGHTTP2_FLAG_NONE, NULL);
    if (silent >= h->silence_ms)
        silent = 0;
    uv_timer_start(&h->life, on_life, h->asked ? h->ping_ms : h->silence_ms - silent, 0);
    write_all(h);
    judge(h);
}

void kube_h2_patience(struct kube_h2 *h, uint32_t silence_ms, uint32_t ping_ms)
{
    h->silence_ms = silence_ms;
    h->ping_ms = ping_ms;
    uv_timer_start(&h->life, on_life, silence_ms, 0);
}

void kube_h2_flush(struct kube_h2 *h)
{
    if (h->told)
        return;
    write_all(h);
    judge(h);
}

/* --- life ------------------------------------------------------------------------------------- */

static nghttp2_session *session_new(struct kube_h2 *h)
{
    static const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, KUBE_H2_WINDOW},
    };
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    nghttp2_session *session;

    KR_ASSERT(nghttp2_session_callbacks_new(&callbacks) == 0 && nghttp2_option_new(&option) == 0);
    nghttp2_option_set_no_closed_streams(option, 1); /* priorities are not used */
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    KR_ASSERT(nghttp2_session_client_new2(&session, callbacks, h, option) == 0);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_option_del(option);
    nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings, KR_N(settings));
    nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0, KUBE_H2_CONNECTION_WINDOW);
    return session;
}

struct kube_h2 *kube_h2_new(uv_loop_t *loop, int fd, const struct kube_h2_io *io, void *arg,
                            void (*gone)(void *arg))
{
    struct kube_h2 *h = KR_ALLOC(struct kube_h2);

    h->io = io;
    h->arg = arg;
    h->gone = gone;
    kr_link_init(&h->streams);
    kr_buf_init(&h->out, OUT_MAX);
    h->session = session_new(h);
    uv_timer_init(loop, &h->more);
    uv_timer_init(loop, &h->life);
    h->more.data = h->life.data = h;
    h->handles_n = 2;
    h->polls = uv_poll_init(loop, &h->poll, fd) == 0;
    if (h->polls) {
        h->poll.data = h;
        h->handles_n++;
    }
    h->heard_ms = uv_now(loop);
    kube_h2_patience(h, KUBE_H2_SILENCE_MS, KUBE_H2_PING_MS);
    /* From the loop also where no poll could be made: reading then tells what is wrong. */
    uv_timer_start(&h->more, on_more, 0, 0);
    return h;
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct kube_h2 *h = handle->data;

    if (--h->handles_n > 0)
        return;
    if (h->closed)
        h->closed(h->arg);
    kr_free(h);
}

void kube_h2_close(struct kube_h2 *h, void (*closed)(void *arg))
{
    h->told = true;
    h->closed = closed;
    break_down(h);
    nghttp2_session_del(h->session);
    h->session = NULL;
    kr_buf_fini(&h->out);
    if (h->polls)
        uv_close((uv_handle_t *)&h->poll, on_handle_closed);
    uv_close((uv_handle_t *)&h->more, on_handle_closed);
    uv_close((uv_handle_t *)&h->life, on_handle_closed);
}
