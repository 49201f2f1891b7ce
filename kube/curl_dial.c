/* SPDX-License-Identifier: Apache-2.0 */
/* curl_dial.c - the HTTP/2 connections of a door: libcurl opens them, h2.c speaks on them.
 *
 *   exchange -> a connection with room -> stream
 *            -> held; dial -> DIALLING --TLS, "h2" agreed--> OPEN --GOAWAY, broken--> closed
 *                                |
 *                                +--"h2" not agreed: everything goes through libcurl (HTTP/1.1)
 *                                +--failed: whoever waits hears libcurl's error
 *
 * libcurl has the names, the proxy, TLS and its errors (CURLOPT_CONNECT_ONLY; curl_easy_send and
 * curl_easy_recv carry the bytes). It is not told of ALPN, lest it speaks HTTP/2 itself.
 */
#include <openssl/ssl.h>

#include "kube/curl_internal.h"

#include "cel/base/banned.h"

/* One connection. */
struct kube_line {
    struct kube_door *door;
    struct kube_xfer dial; /* its easy handle has the connection until the end */
    struct kube_exchange nothing;
    bool agreed_h2;
    struct kube_h2 *h2; /* NULL: is being dialled */
    struct kr_link link;
};

/* --- bytes ------------------------------------------------------------------------------------ */

static ssize_t line_read(void *arg, char *bytes, size_t n)
{
    struct kube_line *line = arg;
    size_t got = 0;
    CURLcode code = curl_easy_recv(line->dial.easy, bytes, n, &got);

    if (code == CURLE_AGAIN)
        return 0;
    return code == CURLE_OK && got > 0 ? (ssize_t)got : -1;
}

static ssize_t line_write(void *arg, const char *bytes, size_t n)
{
    struct kube_line *line = arg;
    size_t sent = 0;
    CURLcode code = curl_easy_send(line->dial.easy, bytes, n, &sent);

    if (code == CURLE_AGAIN)
        return 0;
    return code == CURLE_OK ? (ssize_t)sent : -1;
}

static const struct kube_h2_io line_io = {line_read, line_write};

/* --- life ------------------------------------------------------------------------------------- */

static void line_free(void *arg)
{
    struct kube_line *line = arg;
    struct kube_curl *c = line->dial.curl;

    kube__easy_clear(&line->dial);
    curl_easy_cleanup(line->dial.easy);
    kr_free(line);
    kube__curl_closed_one(c);
}

/* libcurl closes the socket: after the poll on it has ended. */
static void line_close(struct kube_line *line)
{
    struct kube_door *d = line->door;

    kr_link_remove(&line->link);
    if (d->dialling == line)
        d->dialling = NULL;
    if (line->h2)
        kube_h2_close(line->h2, line_free); /* on a later turn */
    curl_multi_remove_handle(d->multi, line->dial.easy);
    if (!line->h2)
        line_free(line);
}

static void on_gone(void *arg)
{
    line_close(arg);
}

void kube__door_hang_up(struct kube_door *d)
{
    while (!kr_link_empty(&d->lines))
        line_close(KR_OWNER(d->lines.next, struct kube_line, link));
}

void kube__door_flush(struct kube_door *d)
{
    for (struct kr_link *l = d->lines.next, *next; l != &d->lines; l = next) {
        struct kube_line *line = KR_OWNER(l, struct kube_line, link);

        next = l->next;
        if (line->h2)
            kube_h2_flush(line->h2); /* may close it */
    }
}

/* --- dialling --------------------------------------------------------------------------------- */

/* The place of a line in what OpenSSL keeps for us. */
static int line_index(void)
{
    static int index = -1;

    if (index < 0)
        index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, NULL);
    return index;
}

static void on_tls_state(const SSL *ssl, int where, int ret)
{
    struct kube_line *line = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), line_index());
    const unsigned char *name = NULL;
    unsigned n = 0;

    if (!(where & SSL_CB_HANDSHAKE_DONE) || line->h2)
        return;
    SSL_get0_alpn_selected(ssl, &name, &n);
    line->agreed_h2 = n == 2 && memcmp(name, "h2", 2) == 0;
}

/* libcurl hands us the context of the handshake to come. */
static CURLcode offer_h2(CURL *easy, void *ssl_ctx, void *arg)
{
    static const unsigned char protocols[] = "\x02h2\x08http/1.1";
    struct kube_xfer *f = NULL;

    curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&f);
    if (SSL_CTX_set_alpn_protos(ssl_ctx, protocols, sizeof protocols - 1) != 0 ||
        !SSL_CTX_set_ex_data(ssl_ctx, line_index(), f->line))
        return CURLE_OUT_OF_MEMORY;
    SSL_CTX_set_info_callback(ssl_ctx, on_tls_state);
    return CURLE_OK;
}

void kube__door_dial(struct kube_door *d, const struct kube_cred *cred)
{
    struct kube_curl *c = d->curl;
    struct kube_line *line = KR_ALLOC(struct kube_line);
    struct kube_xfer *f = &line->dial;

    if (d->dialling) { /* for credentials that are no more: it may end by itself */
        kr_free(line);
        return;
    }
    line->door = d;
    line->nothing = (struct kube_exchange){.method = "GET", .path = KR_S("/")};
    f->curl = c;
    f->x = &line->nothing;
    f->line = line;
    f->easy = curl_easy_init();
    KR_ASSERT(f->easy != NULL);
    f->generation = cred->cert ? cred->generation : 0;
    c->open_n++;
    kube__easy_setup(f, c->config, &c->target, cred);
    curl_easy_setopt(f->easy, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(f->easy, CURLOPT_FRESH_CONNECT, 1L);
    curl_easy_setopt(f->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(f->easy, CURLOPT_SSL_ENABLE_ALPN, 0L);
    if (curl_easy_setopt(f->easy, CURLOPT_SSL_CTX_FUNCTION, offer_h2) != CURLE_OK)
        c->only_curl =
            true; /* a libcurl without OpenSSL: the connection ends like one without h2 */
    d->dialling = line;
    kr_link_push(&d->lines, &line->link);
    curl_multi_add_handle(d->multi, f->easy);
}

void kube__door_release(struct kube_door *d, const struct kube_xfer *failed)
{
    struct kr_link list, *l;

    kr_link_take(&list, &d->held);
    while ((l = kr_link_pop(&list)) != NULL) {
        struct kube_xfer *f = KR_OWNER(l, struct kube_xfer, link);

        if (failed) {
            f->x->unsent = true;
            f->x->refused = failed->x->refused;
            f->err = failed->err;
            kube__curl_settle(f, KR_E_IO);
        } else {
            kube__curl_again(f);
        }
    }
}

void kube__line_dialled(struct kube_line *line, CURLcode code)
{
    struct kube_door *d = line->door;
    struct kube_xfer *f = &line->dial;
    curl_socket_t fd = CURL_SOCKET_BAD;

    d->dialling = NULL;
    if (code != CURLE_OK) {
        kube__easy_error(f, code, d->curl->config);
        kube__door_release(d, f);
        line_close(line);
        return;
    }
    curl_easy_getinfo(f->easy, CURLINFO_ACTIVESOCKET, &fd);
    if (fd == CURL_SOCKET_BAD || !line->agreed_h2) {
        d->curl->only_curl = true;
        line_close(line);
    } else {
        line->h2 = kube_h2_new(d->curl->loop, fd, &line_io, line, on_gone);
    }
    kube__door_release(d, NULL);
}

/* --- exchanges -------------------------------------------------------------------------------- */

struct kube_h2 *kube__door_line(struct kube_door *d, const struct kube_cred *cred)
{
    for (struct kr_link *l = d->lines.next; l != &d->lines; l = l->next) {
        struct kube_line *line = KR_OWNER(l, struct kube_line, link);

        if (!line->h2)
            continue;
        if (cred->cert && line->dial.generation != cred->generation)
            kube_h2_retire(line->h2); /* who we are was said when it was opened */
        else if (kube_h2_has_room(line->h2))
            return line->h2;
    }
    return NULL;
}

struct headers {
    nghttp2_nv *nv;
    size_t n, max;
};

static void add(struct headers *h, const char *name, kr_str value, bool secret)
{
    KR_ASSERT(h->n < h->max);
    h->nv[h->n++] = (nghttp2_nv){
        .name = (uint8_t *)(uintptr_t)name,
        .namelen = strlen(name),
        .value = (uint8_t *)(uintptr_t)value.s,
        .valuelen = value.n,
        .flags = secret ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE,
    };
}

static void add_some(struct headers *h, const char *name, const char *value)
{
    if (value)
        add(h, name, kr_str_c(value), false);
}

void kube__line_submit(struct kube_xfer *f, struct kube_h2 *h2,
                       const struct kube_h2_ops *stream_ops, const struct kube_cred *cred)
{
    const struct kube_config *config = f->curl->config;
    const struct kube_target *t = &f->curl->target;
    const struct kube_exchange *x = f->x;
    KR_AUTO(kr_arena) a = {0};
    struct headers h = {.max = 12};

    for (char **g = config->as_groups; g && *g; g++)
        h.max++;
    h.nv = kr_new_n(&a, nghttp2_nv, h.max);
    add_some(&h, ":method", x->method);
    add_some(&h, ":scheme", "https");
    add(&h, ":authority", kr_str_c(t->authority), false);
    add(&h, ":path", t->prefix[0] ? kr_fmt(&a, "%s" KR_FMT, t->prefix, KR_ARG(x->path)) : x->path,
        false);
    add_some(&h, "accept", x->accept ? x->accept : "application/json");
    add_some(&h, "user-agent", x->user_agent ? x->user_agent : "kro");
    add_some(&h, "content-type", x->content_type);
    if (x->body.n > 0 || strcmp(x->method, "POST") == 0)
        add(&h, "content-length", kr_fmt(&a, "%zu", x->body.n), false);
    if (cred->authorization)
        add(&h, "authorization", kr_str_c(cred->authorization), true);
    add_some(&h, "impersonate-user", config->as_user);
    add_some(&h, "impersonate-uid", config->as_uid);
    for (char **g = config->as_groups; g && *g; g++)
        add_some(&h, "impersonate-group", *g);
    kube_h2_open(h2, &f->stream, stream_ops, h.nv, h.n, x->body);
}
