/* SPDX-License-Identifier: Apache-2.0 */
/* why.c - `kroc why [KIND/]NAME [NODE]`: asks a running controller what happened to an instance, and
 * prints the answer. The controller makes the page (reactor/why.h); this is one request to its debug
 * address, which from afar is reached through `kubectl port-forward`.
 */
#include <curl/curl.h>

#include "cli/cli.h"
#include "reactor/flags.h"
#include "reactor/http.h"

#include "cel/base/banned.h"

enum { TIMEOUT_S = 10 };

struct ask {
    const char *address, *namespace, *output;
    kr_str kind, name, node;
};

static const char usage[] = "kroc why [KIND/]NAME [NODE]";

static void add_arg(struct kr_buf *url, CURL *curl, const char *key, kr_str value)
{
    char *text;

    if (!value.n)
        return;
    text = curl_easy_escape(curl, value.s, (int)value.n);
    kr_buf_fmt(url, "%s%s=%s", strchr(url->s, '?') ? "&" : "?", key, text ? text : "");
    curl_free(text);
}

static size_t on_bytes(char *bytes, size_t size, size_t n, void *arg)
{
    struct kr_buf *body = arg;

    kr_buf_add(body, bytes, size * n);
    return body->full ? 0 : size * n;
}

static int unreachable(const char *address, const char *why)
{
    KR_AUTO(kr_buf) text = KR_BUF(4096);

    kr_buf_fmt(&text,
               "no controller answers on %s: %s\n"
               "  in a cluster: kubectl -n kro-system port-forward deploy/kroc 8077\n"
               "  elsewhere: give the controller's --debug-bind-address as --address; with "
               "\"0\" it has none",
               address, why);
    return cli_fail(CLI_FAILED, text.s);
}

/* The controller's own words for what is not there go to stderr. */
static int answered(CURL *curl, const struct ask *ask, struct kr_buf *body)
{
    long status = 0;

    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    if (status == 200)
        return cli_print(body);
    while (body->n && body->s[body->n - 1] == '\n')
        body->s[--body->n] = '\0';
    if ((status == 404 || status == 409) && body->n &&
        kr_str_find(kr_buf_view(body), KR_S("page not found")) < 0)
        return cli_fail(CLI_FAILED, body->s);
    kr_buf_reset(body);
    kr_buf_fmt(body, "the answer is HTTP %ld, not a controller's", status);
    return unreachable(ask->address, body->s);
}

static int send_ask(CURL *curl, const struct ask *ask)
{
    KR_AUTO(kr_buf) url = KR_BUF(16 * 1024);
    KR_AUTO(kr_buf) body = KR_BUF(REACTOR_HTTP_DEBUG_MAX);
    CURLcode rc;

    kr_buf_fmt(&url, "http://%s%s/debug/why", ask->address[0] == ':' ? "127.0.0.1" : "",
               ask->address);
    add_arg(&url, curl, "kind", ask->kind);
    add_arg(&url, curl, "name", ask->name);
    add_arg(&url, curl, "node", ask->node);
    add_arg(&url, curl, "namespace", kr_str_c(ask->namespace));
    if (strcmp(ask->output, "json") == 0)
        add_arg(&url, curl, "o", KR_S("json"));
    curl_easy_setopt(curl, CURLOPT_URL, url.s);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http");
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)TIMEOUT_S);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &body);
    rc = curl_easy_perform(curl);
    if (rc != CURLE_OK)
        return unreachable(ask->address, curl_easy_strerror(rc));
    kr_buf_chr(&body, '\0'); /* even an empty body is a text */
    body.n--;
    return answered(curl, ask, &body);
}

static int read_operands(struct ask *ask, const struct cli_list *operands, struct kr_err *err)
{
    kr_str rest;

    if (operands->n < 1 || operands->n > 2)
        return kr_fail(err, KR_E_INPUT, "usage: %s", usage);
    rest = kr_str_c(operands->at[0]);
    if (kr_str_chr(rest, '/') >= 0)
        ask->kind = kr_str_cut(&rest, '/');
    ask->name = rest;
    if (!ask->name.n)
        return kr_fail(err, KR_E_INPUT, "\"%s\" names no instance; usage: %s", operands->at[0],
                       usage);
    if (operands->n == 2)
        ask->node = kr_str_c(operands->at[1]);
    return 0;
}

int cli_why(int argc, char *const *argv)
{
    static const char *const outputs[] = {"text", "json", NULL};
    struct ask ask = {.address = REACTOR_DEBUG_ADDRESS, .namespace = "", .output = "text"};
    const struct cli_option options[] = {
        {.name = "namespace",
         .letter = 'n',
         .value = &ask.namespace,
         .arg = "NS",
         .help = "namespace of the instance; all when not given"},
        {.name = "address",
         .value = &ask.address,
         .arg = "HOST:PORT",
         .help = "the controller's --debug-bind-address (default " REACTOR_DEBUG_ADDRESS ")"},
        {.name = "output",
         .letter = 'o',
         .value = &ask.output,
         .choices = outputs,
         .arg = "FORM",
         .help = "text or json"},
        {0}};
    struct cli_list operands = {0};
    struct kr_err err = KR_ERR_NONE;
    CURL *curl;
    int rc = cli_parse(options, argc, argv, &operands, usage, &err);

    if (rc == CLI_HELP)
        return CLI_OK;
    if (rc < 0 || read_operands(&ask, &operands, &err) < 0)
        return cli_fail_err(CLI_USAGE, &err);
    curl = curl_easy_init();
    if (!curl)
        return cli_fail(CLI_FAILED, "libcurl does not start");
    rc = send_ask(curl, &ask);
    curl_easy_cleanup(curl);
    return rc;
}
