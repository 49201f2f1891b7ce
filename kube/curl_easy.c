/* SPDX-License-Identifier: Apache-2.0 */
/* curl_easy.c - one exchange as options of a curl easy handle, and curl's failures in our words.
 *
 * An error says which server, what happened and, where that is known, what would be right. Of
 * curl's own error text only that of TLS is shown: it names certificates and never a header.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "kube/curl_internal.h"

#include "cel/base/banned.h"

/* --- target ----------------------------------------------------------------------------------- */

static bool is_loopback(kr_str host)
{
    return kr_str_is(host, "localhost") || kr_str_is(host, "[::1]") ||
           kr_str_starts(host, KR_S("127."));
}

void kube__target_init(struct kube_target *t, const struct kube_config *config)
{
    KR_AUTO(kr_arena) a = {0};
    kr_str s = kr_str_c(config->server), authority, prefix, host, port;
    ptrdiff_t slash, colon;

    t->tls = kr_str_starts(s, KR_S("https://"));
    authority = kr_str_sub(s, t->tls ? 8 : 7, s.n);
    slash = kr_str_chr(authority, '/');
    prefix = slash < 0 ? (kr_str){0} : kr_str_sub(authority, (size_t)slash, authority.n);
    authority = slash < 0 ? authority : kr_str_sub(authority, 0, (size_t)slash);
    colon = kr_str_rchr(authority, ':');
    if (colon >= 0 && kr_str_chr(kr_str_sub(authority, (size_t)colon, authority.n), ']') >= 0)
        colon = -1; /* the colons of an IPv6 address without a port */
    host = colon < 0 ? authority : kr_str_sub(authority, 0, (size_t)colon);
    port = colon < 0 ? (kr_str){0} : kr_str_sub(authority, (size_t)colon + 1, authority.n);
    if (port.n == 0)
        port = t->tls ? KR_S("443") : KR_S("80");
    t->loopback = is_loopback(host);
    t->authority = kr_cstrdup(authority);
    while (prefix.n > 0 && prefix.s[prefix.n - 1] == '/')
        prefix.n--;
    t->prefix = kr_cstrdup(prefix);
    if (!t->tls || config->tls_server_name == NULL) {
        t->base = kr_cstrdup(s);
        return;
    }
    t->base = kr_cstrdup(kr_fmt(&a, "https://%s:" KR_FMT KR_FMT, config->tls_server_name,
                                KR_ARG(port), KR_ARG(prefix)));
    t->host_header = kr_cstrdup(kr_fmt(&a, "Host: " KR_FMT, KR_ARG(authority)));
    t->connect_to = curl_slist_append(NULL, kr_fmt(&a, "%s:" KR_FMT ":" KR_FMT ":" KR_FMT,
                                                   config->tls_server_name, KR_ARG(port),
                                                   KR_ARG(host), KR_ARG(port))
                                                .s);
}

void kube__target_fini(struct kube_target *t)
{
    kr_free(t->base);
    kr_free(t->authority);
    kr_free(t->prefix);
    kr_free(t->host_header);
    curl_slist_free_all(t->connect_to);
    *t = (struct kube_target){0};
}

/* --- options ---------------------------------------------------------------------------------- */

/* Kills a connection whose peer no longer acknowledges; else streams over it would hang for
 * minutes. */
static int on_socket(void *arg, curl_socket_t fd, curlsocktype purpose)
{
    unsigned ms = KUBE_TCP_DEAD_MS;

    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms,
               sizeof ms); /* not on a unix socket; no matter */
    return CURL_SOCKOPT_OK;
}

static struct curl_blob blob(const char *text)
{
    return (struct curl_blob){
        .data = (void *)(uintptr_t)text, .len = strlen(text), .flags = CURL_BLOB_NOCOPY};
}

static void set_tls(CURL *e, const struct kube_config *c, const struct kube_cred *cred)
{
    const char *cert = cred->cert ? cred->cert : c->cert_data;
    const char *key = cred->cert ? cred->key : c->key_data;
    struct curl_blob b;

    curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, c->insecure ? 0L : 1L);
    curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, c->insecure ? 0L : 2L);
    if (c->ca_data != NULL) {
        b = blob(c->ca_data);
        curl_easy_setopt(e, CURLOPT_CAINFO_BLOB, &b);
    }
    if (c->ca_file != NULL)
        curl_easy_setopt(e, CURLOPT_CAINFO, c->ca_file);
    if (c->ca_data != NULL || c->ca_file != NULL)
        curl_easy_setopt(e, CURLOPT_CAPATH,
                         NULL); /* the cluster's CA alone, not the system's too */
    if (cert != NULL) {
        b = blob(cert);
        curl_easy_setopt(e, CURLOPT_SSLCERT_BLOB, &b);
    } else if (c->cert_file != NULL) {
        curl_easy_setopt(e, CURLOPT_SSLCERT, c->cert_file);
    }
    if (key != NULL) {
        b = blob(key);
        curl_easy_setopt(e, CURLOPT_SSLKEY_BLOB, &b);
    } else if (c->key_file != NULL) {
        curl_easy_setopt(e, CURLOPT_SSLKEY, c->key_file);
    }
}

static void set_connection(struct kube_xfer *f, const struct kube_config *c,
                           const struct kube_target *t)
{
    CURL *e = f->easy;

    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(e, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)KUBE_CONNECT_TIMEOUT_MS);
    curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    /* Rather share one HTTP/2 connection than open many. Without TLS there is only HTTP/1.1, and curl would
     * wait for the end of the first exchange to know: a watch has none. */
    curl_easy_setopt(e, CURLOPT_PIPEWAIT, t->tls ? 1L : 0L);
    curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(e, CURLOPT_TCP_KEEPIDLE, (long)KUBE_TCP_KEEP_IDLE_S);
    curl_easy_setopt(e, CURLOPT_TCP_KEEPINTVL, (long)KUBE_TCP_KEEP_INTERVAL_S);
    curl_easy_setopt(e, CURLOPT_SOCKOPTFUNCTION, on_socket);
    curl_easy_setopt(e, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    if (t->connect_to != NULL)
        curl_easy_setopt(e, CURLOPT_CONNECT_TO, t->connect_to);
    if (c->proxy_url != NULL) {
        curl_easy_setopt(e, CURLOPT_PROXY, c->proxy_url);
        curl_easy_setopt(e, CURLOPT_NOPROXY, "");
    } else if (t->loopback) {
        curl_easy_setopt(e, CURLOPT_PROXY, "");
    }
    if (!f->x->stream &&
        strcmp(f->x->method, "GET") == 0) /* lists are long; answers to writes are not */
        curl_easy_setopt(e, CURLOPT_BUFFERSIZE, 64L * 1024);
}

/* Adds "name: value" (value NULL: name is the whole line); the line is wiped by kube__easy_clear.
 */
static void add_header(struct kube_xfer *f, const char *name, const char *value)
{
    size_t n = strlen(name) + (value ? strlen(value) + 2 : 0) + 1;
    char *line = kr_alloc(n);

    snprintf(line, n, "%s%s%s", name, value ? ": " : "", value ? value : "");
    f->headers = curl_slist_append(f->headers, line);
    explicit_bzero(line, n);
    kr_free(line);
}

static void set_headers(struct kube_xfer *f, const struct kube_config *c,
                        const struct kube_target *t, const struct kube_cred *cred)
{
    add_header(f, "Accept", f->x->accept ? f->x->accept : "application/json");
    add_header(f, "Expect:", NULL); /* no waiting for "100 Continue" */
    if (f->x->content_type != NULL)
        add_header(f, "Content-Type", f->x->content_type);
    if (t->host_header != NULL)
        add_header(f, t->host_header, NULL);
    if (cred->authorization != NULL)
        add_header(f, "Authorization", cred->authorization);
    if (c->as_user != NULL)
        add_header(f, "Impersonate-User", c->as_user);
    if (c->as_uid != NULL)
        add_header(f, "Impersonate-Uid", c->as_uid);
    for (char **g = c->as_groups; g != NULL && *g != NULL; g++)
        add_header(f, "Impersonate-Group", *g);
    curl_easy_setopt(f->easy, CURLOPT_HTTPHEADER, f->headers);
    curl_easy_setopt(f->easy, CURLOPT_USERAGENT, f->x->user_agent ? f->x->user_agent : "kro");
}

static void set_request(struct kube_xfer *f, const struct kube_target *t)
{
    const struct kube_exchange *x = f->x;
    size_t base_n = strlen(t->base);

    f->url = kr_alloc(base_n + x->path.n + 1);
    memcpy(f->url, t->base, base_n);
    memcpy(f->url + base_n, x->path.s, x->path.n);
    curl_easy_setopt(f->easy, CURLOPT_URL, f->url);
    if (x->body.n > 0 || strcmp(x->method, "POST") == 0) {
        curl_easy_setopt(f->easy, CURLOPT_POST, 1L);
        curl_easy_setopt(f->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)x->body.n);
        curl_easy_setopt(f->easy, CURLOPT_POSTFIELDS, x->body.n > 0 ? x->body.s : "");
    }
    if (strcmp(x->method, "GET") != 0)
        curl_easy_setopt(f->easy, CURLOPT_CUSTOMREQUEST, x->method);
}

void kube__easy_setup(struct kube_xfer *f, const struct kube_config *config,
                      const struct kube_target *target, const struct kube_cred *cred)
{
    f->errors[0] = '\0';
    curl_easy_setopt(f->easy, CURLOPT_PRIVATE, f);
    curl_easy_setopt(f->easy, CURLOPT_ERRORBUFFER, f->errors);
    set_connection(f, config, target);
    if (target->tls)
        set_tls(f->easy, config, cred);
    set_headers(f, config, target, cred);
    set_request(f, target);
}

void kube__easy_clear(struct kube_xfer *f)
{
    if (f->easy != NULL)
        curl_easy_reset(f->easy);
    for (struct curl_slist *h = f->headers; h != NULL; h = h->next)
        explicit_bzero(h->data, strlen(h->data));
    curl_slist_free_all(f->headers);
    f->headers = NULL;
    kr_free(f->url);
    f->url = NULL;
}

/* --- errors ----------------------------------------------------------------------------------- */

/* curl's words about TLS, without the noise around them. */
static kr_str tls_words(const struct kube_xfer *f)
{
    kr_str s = kr_str_trim(kr_str_c(f->errors));

    if (kr_str_starts(s, KR_S("SSL: ")))
        s = kr_str_sub(s, 5, s.n);
    return s.n > 0 ? s : KR_S("the TLS handshake failed");
}

static const char *tls_hint(const struct kube_xfer *f, const struct kube_config *c)
{
    kr_str s = kr_str_c(f->errors);

    if (kr_str_find(s, KR_S("wrong version number")) >= 0 ||
        kr_str_find(s, KR_S("http request")) >= 0)
        return "; the server does not speak TLS there: is it http:// instead of https://?";
    if (kr_str_find(s, KR_S("subject name")) >= 0)
        return "; tls-server-name can give a name that the certificate has";
    if (kr_str_find(s, KR_S("issuer")) >= 0 || kr_str_find(s, KR_S("self")) >= 0 ||
        kr_str_find(s, KR_S("certificate signature failure")) >= 0)
        return c->ca_data != NULL || c->ca_file != NULL
                   ? "; the certificate-authority of the kubeconfig is not the one that signed it"
                   : "; certificate-authority-data of the kubeconfig names the cluster's CA";
    return "";
}

static void lower_first(char *s)
{
    if (s[0] >= 'A' && s[0] <= 'Z' && !(s[1] >= 'A' && s[1] <= 'Z'))
        s[0] = (char)(s[0] - 'A' + 'a');
}

static void errno_words(CURL *easy, char *out, size_t n)
{
    long no = 0;

    curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &no);
    snprintf(out, n, "%s", no > 0 ? strerror((int)no) : "no connection");
    lower_first(out);
}

static bool about_connecting(CURLcode code)
{
    switch (code) {
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
    case CURLE_PROXY:
        return true;
    default:
        return false;
    }
}

static void describe_connecting(struct kube_xfer *f, CURLcode code, const struct kube_config *c)
{
    char why[128];

    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
        kr_fail(&f->err, KR_E_IO, "connect to %s: the host's name does not resolve", c->server);
        return;
    case CURLE_COULDNT_RESOLVE_PROXY:
        kr_fail(&f->err, KR_E_IO, "connect to %s: the proxy's name does not resolve", c->server);
        return;
    case CURLE_PROXY:
        kr_fail(&f->err, KR_E_IO, "connect to %s: the proxy refused", c->server);
        return;
    case CURLE_COULDNT_CONNECT:
        errno_words(f->easy, why, sizeof why);
        kr_fail(&f->err, KR_E_IO, "connect to %s: %s%s", c->server, why,
                c->proxy_url ? " (by way of a proxy)" : "");
        return;
    case CURLE_SSL_CERTPROBLEM:
        kr_fail(&f->err, KR_E_IO, "connect to %s: client certificate: " KR_FMT, c->server,
                KR_ARG(tls_words(f)));
        return;
    default:
        kr_fail(&f->err, KR_E_IO, "connect to %s: " KR_FMT "%s", c->server, KR_ARG(tls_words(f)),
                tls_hint(f, c));
        return;
    }
}

void kube__broken(struct kube_xfer *f, const struct kube_config *c)
{
    f->rc = KR_E_IO;
    kr_fail(&f->err, KR_E_IO, "%s: the connection broke %s the response", c->server,
            f->head_done ? "within" : "before");
}

static void describe_other(struct kube_xfer *f, CURLcode code, const struct kube_config *c)
{
    double connected_s = 0;
    bool tls = kr_str_starts(kr_str_c(f->errors), KR_S("OpenSSL SSL_"));

    curl_easy_getinfo(f->easy, CURLINFO_APPCONNECT_TIME, &connected_s);
    if (code == CURLE_OPERATION_TIMEDOUT)
        kr_fail(&f->err, KR_E_IO, "connect to %s: no answer within %d s", c->server,
                KUBE_CONNECT_TIMEOUT_MS / 1000);
    else if (code == CURLE_PARTIAL_FILE || f->head_done)
        kube__broken(f, c);
    else if (tls)
        kr_fail(&f->err, KR_E_IO, "%s: " KR_FMT, c->server, KR_ARG(tls_words(f)));
    else if (code == CURLE_RECV_ERROR || code == CURLE_SEND_ERROR || code == CURLE_GOT_NOTHING ||
             code == CURLE_HTTP2 || code == CURLE_HTTP2_STREAM)
        kube__broken(f, c);
    else
        kr_fail(&f->err, KR_E_IO, "%s: %s", c->server, curl_easy_strerror(code));
}

void kube__easy_error(struct kube_xfer *f, CURLcode code, const struct kube_config *config)
{
    long sent = 0, no = 0;

    curl_easy_getinfo(f->easy, CURLINFO_REQUEST_SIZE, &sent);
    curl_easy_getinfo(f->easy, CURLINFO_OS_ERRNO, &no);
    f->rc = KR_E_IO;
    f->x->unsent = sent == 0 && !f->head_done;
    f->x->refused = f->x->unsent && (code == CURLE_COULDNT_CONNECT || code == CURLE_SEND_ERROR ||
                                     code == CURLE_RECV_ERROR || code == CURLE_GOT_NOTHING ||
                                     (code == CURLE_SSL_CONNECT_ERROR && no == ECONNRESET));
    if (about_connecting(code))
        describe_connecting(f, code, config);
    else
        describe_other(f, code, config);
}
