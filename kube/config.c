/* SPDX-License-Identifier: Apache-2.0 */
/* config.c - reads kubeconfig files, or a pod's service account, into one struct kube_config.
 *
 * All files are parsed, then names are looked up through them in order, so the first file to have a
 * context, cluster or user of that name wins as a whole entry, as in client-go. Every failure is
 * told with the file and the path inside it, for which an entry remembers where it came from.
 */
#include "kube/config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cel/base/digest.h"
#include "cel/base/json.h"
#include "cel/base/yaml.h"

#include "cel/base/banned.h"

struct file {
    const char *path;
    const char *dir;
    kr_val root;
};

struct loader {
    struct kr_arena a;
    struct file *files;
    uint32_t files_n;
};

/* One named member of a list of a file: users[2].user */
struct entry {
    const struct file *file; /* NULL: there is none of that name */
    const char *list, *member;
    uint32_t at;
    kr_val v;
};

/* --- memory ----------------------------------------------------------------------------------- */

static void wipe_free(char *s)
{
    if (s != NULL)
        explicit_bzero(s, strlen(s));
    kr_free(s);
}

static void strings_free(char **list)
{
    for (char **s = list; s != NULL && *s != NULL; s++)
        wipe_free(*s);
    kr_free(list);
}

static void exec_free(struct kube_exec *e)
{
    if (e == NULL)
        return;
    kr_free(e->command);
    strings_free(e->args);
    strings_free(e->env);
    kr_free(e->api_version);
    kr_free(e->install_hint);
    kr_free(e->cluster_config);
    kr_free(e->base_dir);
    kr_free(e);
}

void kube_config_free(struct kube_config *c)
{
    if (c == NULL)
        return;
    wipe_free(c->server);
    wipe_free(c->context);
    wipe_free(c->namespace);
    wipe_free(c->user);
    wipe_free(c->ca_file);
    wipe_free(c->ca_data);
    wipe_free(c->tls_server_name);
    wipe_free(c->proxy_url);
    wipe_free(c->cert_file);
    wipe_free(c->cert_data);
    wipe_free(c->key_file);
    wipe_free(c->key_data);
    wipe_free(c->token);
    wipe_free(c->token_file);
    wipe_free(c->username);
    wipe_free(c->password);
    wipe_free(c->as_user);
    wipe_free(c->as_uid);
    strings_free(c->as_groups);
    exec_free(c->exec);
    kr_free(c);
}

/* The parsed files hold secrets, in memory that only this loader had. */
static void wipe_val(kr_val v)
{
    if (v.kind == KR_STRING && v.n > 0)
        explicit_bzero((void *)(uintptr_t)v.s, v.n);
    KR_LIST_EACH (item, v)
        wipe_val(*item);
    KR_MAP_EACH (pair, v)
        wipe_val(pair->val);
}

static void loader_fini(struct loader *l)
{
    for (uint32_t i = 0; i < l->files_n; i++)
        KR_LIST_EACH (user, kr_get(l->files[i].root, KR_S("users")))
            wipe_val(kr_get(*user, KR_S("user")));
    kr_arena_fini(&l->a);
}

/* --- reading entries -------------------------------------------------------------------------- */

/* "FILE: users[2].user.KEY: reason" */
static KR_PRINTF(4, 5) int bad(const struct entry *e, const char *key, struct kr_err *err,
                               const char *fmt, ...)
{
    struct kr_err why = KR_ERR_NONE;
    va_list args;

    va_start(args, fmt);
    why.n = (uint32_t)vsnprintf(why.text, sizeof why.text, fmt, args);
    va_end(args);
    return kr_fail(err, KR_E_INPUT, "%s: %s[%u].%s%s%s: %s", e->file->path, e->list, e->at,
                   e->member, *key ? "." : "", key, why.text);
}

/* A string member as an owned C string; *out stays as it is when the member is absent. */
static int get_str(const struct entry *e, const char *key, char **out, struct kr_err *err)
{
    kr_val v = kr_get(e->v, kr_str_c(key));

    if (v.kind == KR_NONE || v.kind == KR_NULL || (v.kind == KR_STRING && v.n == 0))
        return 0;
    if (v.kind != KR_STRING)
        return bad(e, key, err, "must be a string, not a %s", kr_kind_name(v.kind));
    if (memchr(v.s, '\0', v.n) != NULL)
        return bad(e, key, err, "has a NUL character");
    wipe_free(*out);
    *out = kr_cstrdup(kr_text(v));
    return 0;
}

static int get_bool(const struct entry *e, const char *key, bool *out, struct kr_err *err)
{
    kr_val v = kr_get(e->v, kr_str_c(key));

    if (v.kind == KR_NONE || v.kind == KR_NULL)
        return 0;
    if (v.kind != KR_BOOL)
        return bad(e, key, err, "must be true or false, not a %s", kr_kind_name(v.kind));
    *out = v.b;
    return 0;
}

/* A path: relative ones count from the folder of the file they stand in; it must be readable. */
static int get_path(struct loader *l, const struct entry *e, const char *key, char **out,
                    struct kr_err *err)
{
    char *path = NULL;

    KR_TRY(get_str(e, key, &path, err));
    if (path == NULL)
        return 0;
    kr_free(*out);
    *out = path[0] == '/' ? kr_cstrdup(kr_str_c(path))
                          : kr_cstrdup(kr_fmt(&l->a, "%s/%s", e->file->dir, path));
    kr_free(path);
    if (access(*out, R_OK) != 0)
        return bad(e, key, err, "cannot read %s: %s", *out, strerror(errno));
    return 0;
}

static int get_pem(struct loader *l, const struct entry *e, const char *key, char **out,
                   struct kr_err *err)
{
    char *text = NULL;
    kr_str pem;
    bool ok;

    KR_TRY(get_str(e, key, &text, err));
    if (text == NULL)
        return 0;
    ok = kr_base64_decode(&l->a, kr_str_c(text), &pem);
    wipe_free(text);
    if (!ok)
        return bad(e, key, err, "is not base64");
    if (kr_str_find(pem, KR_S("-----BEGIN ")) < 0)
        return bad(e, key, err, "is not PEM (\"-----BEGIN ...\") in base64");
    *out = kr_cstrdup(pem);
    explicit_bzero((void *)(uintptr_t)pem.s, pem.n);
    return 0;
}

/* A list of strings, or NULL when absent. */
static int get_strs(const struct entry *e, const char *key, char ***out, struct kr_err *err)
{
    kr_val v = kr_get(e->v, kr_str_c(key));
    char **list;
    uint32_t n = 0;

    if (v.kind == KR_NONE || v.kind == KR_NULL)
        return 0;
    if (v.kind != KR_LIST)
        return bad(e, key, err, "must be a list of strings");
    KR_LIST_EACH (item, v)
        if (item->kind != KR_STRING)
            return bad(e, key, err, "must be a list of strings");
    list = kr_alloc((v.n + 1) * sizeof list[0]);
    KR_LIST_EACH (item, v)
        list[n++] = kr_cstrdup(kr_text(*item));
    *out = list;
    return 0;
}

/* --- files ------------------------------------------------------------------------------------ */

static int add_file(struct loader *l, const char *path, struct kr_err *err)
{
    KR_AUTO(kr_buf) text = KR_BUF(KUBE_CONFIG_FILE_MAX);
    struct file *f = &l->files[l->files_n];
    ptrdiff_t slash = kr_str_rchr(kr_str_c(path), '/');
    kr_val docs, kind;
    int rc;

    KR_TRY(kr_buf_read_file(&text, path, err));
    rc = kr_yaml_parse(&l->a, kr_buf_view(&text), &docs, err);
    if (text.s != NULL)
        explicit_bzero(text.s, text.n);
    if (rc < 0)
        return kr_wrap(err, "%s", path);
    if (docs.n > 1)
        return kr_fail(err, KR_E_INPUT, "%s: has %u YAML documents; a kubeconfig is one", path,
                       docs.n);
    f->path = kr_cstr(&l->a, kr_str_c(path));
    f->dir = slash < 0 ? "." : slash == 0 ? "/" : kr_cstr(&l->a, (kr_str){path, (size_t)slash});
    f->root = kr_item(docs, 0);
    kind = kr_get(f->root, KR_S("kind"));
    if (docs.n == 1 && f->root.kind != KR_MAP)
        return kr_fail(err, KR_E_INPUT,
                       "%s: is not a kubeconfig: a map with clusters, users and contexts is", path);
    if (kind.kind != KR_NONE && !kr_is_str(kind, KR_S("Config")))
        return kr_fail(err, KR_E_INPUT, "%s: kind must be Config", path);
    l->files_n++;
    return 0;
}

/* The existing files of a colon-separated list. */
static int add_env_files(struct loader *l, const char *list, struct kr_err *err)
{
    kr_str rest = kr_str_c(list);

    while (rest.s != NULL) {
        kr_str one = kr_str_cut(&rest, ':');
        const char *path = kr_cstr(&l->a, one);

        if (one.n == 0 || access(path, F_OK) != 0)
            continue;
        if (l->files_n == KUBE_CONFIG_FILES_MAX)
            return kr_fail(err, KR_E_LIMIT, "KUBECONFIG: names more than %d files",
                           KUBE_CONFIG_FILES_MAX);
        KR_TRY(add_file(l, path, err));
    }
    if (l->files_n == 0)
        return kr_fail(err, KR_E_INPUT, "KUBECONFIG: none of its files exists: %s", list);
    return 0;
}

static int find_entry(struct loader *l, const char *list, const char *member, kr_str name,
                      struct entry *out, struct kr_err *err)
{
    *out = (struct entry){.list = list, .member = member};
    for (uint32_t f = 0; f < l->files_n; f++) {
        kr_val entries = kr_get(l->files[f].root, kr_str_c(list));

        if (entries.kind != KR_LIST && entries.kind != KR_NONE && entries.kind != KR_NULL)
            return kr_fail(err, KR_E_INPUT, "%s: %s: must be a list", l->files[f].path, list);
        for (uint32_t i = 0; entries.kind == KR_LIST && i < entries.n; i++) {
            if (!kr_is_str(kr_get(entries.list[i], KR_S("name")), name))
                continue;
            out->file = &l->files[f];
            out->at = i;
            out->v = kr_get(entries.list[i], kr_str_c(member));
            if (out->v.kind != KR_MAP && out->v.kind != KR_NONE && out->v.kind != KR_NULL)
                return bad(out, "", err, "must be a map");
            return 0;
        }
    }
    return 0;
}

/* "a, b": what is there instead of what was asked for. */
static kr_str names_of(struct loader *l, const char *list)
{
    KR_AUTO(kr_buf) b = KR_BUF(1024);

    for (uint32_t f = 0; f < l->files_n; f++)
        KR_LIST_EACH (e, kr_get(l->files[f].root, kr_str_c(list)))
            kr_buf_fmt(&b, "%s" KR_FMT, b.n ? ", " : "", KR_ARG(kr_at_str(*e, "name")));
    return b.n ? kr_strdup(&l->a, kr_buf_view(&b)) : KR_S("none");
}

/* --- cluster, user, context ------------------------------------------------------------------- */

static int read_server(const struct entry *e, struct kube_config *c, struct kr_err *err)
{
    kr_str s, host;

    KR_TRY(get_str(e, "server", &c->server, err));
    if (c->server == NULL)
        return bad(e, "server", err, "is missing; \"https://host:port\" is expected");
    s = kr_str_c(c->server);
    if (kr_str_starts(s, KR_S("https://")))
        host = kr_str_sub(s, 8, s.n);
    else if (kr_str_starts(s, KR_S("http://")))
        host = kr_str_sub(s, 7, s.n);
    else
        return bad(e, "server", err, "must begin with https:// or http://");
    if (kr_str_chr(host, '@') >= 0)
        return bad(e, "server", err, "must not have credentials; they belong to the user entry");
    if (kr_str_chr(host, '?') >= 0 || kr_str_chr(host, '#') >= 0 || kr_str_chr(host, ' ') >= 0)
        return bad(e, "server", err, "\"%s\" is not a URL of host, port and path", c->server);
    if (host.n == 0 || host.s[0] == '/' || host.s[0] == ':')
        return bad(e, "server", err, "\"%s\" names no host", c->server);
    while (s.n > 0 && s.s[s.n - 1] == '/')
        c->server[--s.n] = '\0';
    return 0;
}

static int read_cluster(struct loader *l, const struct entry *e, struct kube_config *c,
                        struct kr_err *err)
{
    KR_TRY(read_server(e, c, err));
    KR_TRY(get_pem(l, e, "certificate-authority-data", &c->ca_data, err));
    if (c->ca_data == NULL)
        KR_TRY(get_path(l, e, "certificate-authority", &c->ca_file, err));
    KR_TRY(get_bool(e, "insecure-skip-tls-verify", &c->insecure, err));
    KR_TRY(get_str(e, "tls-server-name", &c->tls_server_name, err));
    KR_TRY(get_str(e, "proxy-url", &c->proxy_url, err));
    if (c->insecure && (c->ca_data != NULL || c->ca_file != NULL))
        return bad(e, "insecure-skip-tls-verify", err,
                   "stands beside a certificate-authority; only one of them makes sense");
    if (c->proxy_url != NULL && !kr_str_starts(kr_str_c(c->proxy_url), KR_S("http://")) &&
        !kr_str_starts(kr_str_c(c->proxy_url), KR_S("https://")) &&
        !kr_str_starts(kr_str_c(c->proxy_url), KR_S("socks5://")))
        return bad(e, "proxy-url", err, "must begin with http://, https:// or socks5://");
    return 0;
}

static int read_env(const struct entry *e, struct kube_exec *x, struct kr_err *err)
{
    kr_val env = kr_get(e->v, KR_S("env"));
    uint32_t n = 0;

    if (env.kind != KR_LIST)
        return 0;
    x->env = kr_alloc((env.n + 1) * sizeof x->env[0]);
    KR_LIST_EACH (item, env) {
        kr_str name = kr_at_str(*item, "name"), value = kr_at_str(*item, "value");
        KR_AUTO(kr_buf) b = KR_BUF(KUBE_CONFIG_FILE_MAX);

        if (name.n == 0 || kr_str_chr(name, '=') >= 0)
            return bad(e, "env", err, "item %u has no proper name", n);
        kr_buf_fmt(&b, KR_FMT "=" KR_FMT, KR_ARG(name), KR_ARG(value));
        x->env[n++] = kr_cstrdup(kr_buf_view(&b));
    }
    return 0;
}

static int read_exec(struct loader *l, const struct entry *user, const struct entry *cluster,
                     struct kube_config *c, struct kr_err *err)
{
    struct entry e = *user;
    struct kube_exec *x;
    kr_str version;

    e.v = kr_get(user->v, KR_S("exec"));
    e.member = "user.exec";
    if (e.v.kind == KR_NONE || e.v.kind == KR_NULL)
        return 0;
    x = c->exec = KR_ALLOC(struct kube_exec);
    x->base_dir = kr_cstrdup(kr_str_c(user->file->dir));
    KR_TRY(get_str(&e, "command", &x->command, err));
    if (x->command == NULL)
        return bad(&e, "command", err, "is missing");
    KR_TRY(get_str(&e, "apiVersion", &x->api_version, err));
    version = kr_str_c(x->api_version);
    if (!kr_str_is(version, "client.authentication.k8s.io/v1") &&
        !kr_str_is(version, "client.authentication.k8s.io/v1beta1"))
        return bad(&e, "apiVersion", err, "must be client.authentication.k8s.io/v1 or /v1beta1");
    KR_TRY(get_strs(&e, "args", &x->args, err));
    KR_TRY(read_env(&e, x, err));
    KR_TRY(get_str(&e, "installHint", &x->install_hint, err));
    KR_TRY(get_bool(&e, "provideClusterInfo", &x->provide_cluster_info, err));
    if (kr_is_str(kr_get(e.v, KR_S("interactiveMode")), KR_S("Always")))
        return bad(&e, "interactiveMode", err,
                   "is Always, but there is no terminal here; IfAvailable or Never works");
    KR_LIST_EACH (ext, kr_get(cluster->v, KR_S("extensions")))
        if (kr_is_str(kr_get(*ext, KR_S("name")), KR_S("client.authentication.k8s.io/exec")) &&
            kr_get(*ext, KR_S("extension")).kind != KR_NONE)
            x->cluster_config = kr_cstrdup(kr_json_str(&l->a, kr_get(*ext, KR_S("extension"))));
    return 0;
}

static int check_user(const struct entry *e, const struct kube_config *c, struct kr_err *err)
{
    bool token = c->token != NULL || c->token_file != NULL;
    bool basic = c->username != NULL || c->password != NULL;
    bool cert = c->cert_file != NULL || c->cert_data != NULL;
    bool key = c->key_file != NULL || c->key_data != NULL;
    kr_val provider = kr_get(e->v, KR_S("auth-provider"));

    if (provider.kind == KR_MAP)
        return bad(e, "auth-provider", err,
                   "no longer exists in Kubernetes; an exec plug-in takes its place");
    if (token && basic)
        return bad(e, "", err, "has both a token and a username; only one is allowed");
    if ((token || basic) && c->exec != NULL)
        return bad(e, "exec", err, "stands beside a token or username; only one is allowed");
    if (cert && !key)
        return bad(e, "client-key", err,
                   "is missing; client-certificate needs client-key or client-key-data");
    if (key && !cert)
        return bad(e, "client-certificate", err,
                   "is missing; client-key needs client-certificate or client-certificate-data");
    if (kr_get(e->v, KR_S("as-user-extra")).kind == KR_MAP)
        return bad(e, "as-user-extra", err, "is not supported");
    if (c->as_user == NULL && (c->as_uid != NULL || c->as_groups != NULL))
        return bad(e, "as", err, "is missing; as-uid and as-groups need it");
    return 0;
}

static int read_user(struct loader *l, const struct entry *e, const struct entry *cluster,
                     struct kube_config *c, struct kr_err *err)
{
    KR_TRY(get_pem(l, e, "client-certificate-data", &c->cert_data, err));
    if (c->cert_data == NULL)
        KR_TRY(get_path(l, e, "client-certificate", &c->cert_file, err));
    KR_TRY(get_pem(l, e, "client-key-data", &c->key_data, err));
    if (c->key_data == NULL)
        KR_TRY(get_path(l, e, "client-key", &c->key_file, err));
    KR_TRY(get_str(e, "token", &c->token, err));
    KR_TRY(get_path(l, e, "tokenFile", &c->token_file, err));
    KR_TRY(get_str(e, "username", &c->username, err));
    KR_TRY(get_str(e, "password", &c->password, err));
    KR_TRY(get_str(e, "as", &c->as_user, err));
    KR_TRY(get_str(e, "as-uid", &c->as_uid, err));
    KR_TRY(get_strs(e, "as-groups", &c->as_groups, err));
    KR_TRY(read_exec(l, e, cluster, c, err));
    return check_user(e, c, err);
}

/* The context's name: the flag, else the first current-context of the files. */
static int pick_context(struct loader *l, const char *wanted, kr_str *out, struct kr_err *err)
{
    *out = kr_str_c(wanted);
    for (uint32_t i = 0; out->n == 0 && i < l->files_n; i++)
        *out = kr_at_str(l->files[i].root, "current-context");
    if (out->n > 0)
        return 0;
    return kr_fail(err, KR_E_INPUT, "%s: has no current-context; --context names one of: " KR_FMT,
                   l->files[0].path, KR_ARG(names_of(l, "contexts")));
}

static int read_context(struct loader *l, const char *wanted, struct kube_config *c,
                        struct kr_err *err)
{
    struct entry context, cluster, user = {0};
    char *cluster_name = NULL;
    kr_str name;
    int rc;

    KR_TRY(pick_context(l, wanted, &name, err));
    KR_TRY(find_entry(l, "contexts", "context", name, &context, err));
    if (context.file == NULL)
        return kr_fail(err, KR_E_INPUT,
                       "%s: there is no context \"" KR_FMT "\"; there are: " KR_FMT,
                       l->files[0].path, KR_ARG(name), KR_ARG(names_of(l, "contexts")));
    c->context = kr_cstrdup(name);
    KR_TRY(get_str(&context, "namespace", &c->namespace, err));
    KR_TRY(get_str(&context, "user", &c->user, err));
    KR_TRY(get_str(&context, "cluster", &cluster_name, err));
    name = kr_strdup(&l->a, kr_str_c(cluster_name));
    kr_free(cluster_name);
    rc = find_entry(l, "clusters", "cluster", name, &cluster, err);
    if (rc < 0)
        return rc;
    if (cluster.file == NULL)
        return bad(&context, "cluster", err,
                   "there is no cluster \"" KR_FMT "\"; there are: " KR_FMT, KR_ARG(name),
                   KR_ARG(names_of(l, "clusters")));
    KR_TRY(read_cluster(l, &cluster, c, err));
    if (c->user == NULL)
        return 0;
    KR_TRY(find_entry(l, "users", "user", kr_str_c(c->user), &user, err));
    if (user.file == NULL)
        return bad(&context, "user", err, "there is no user \"%s\"; there are: " KR_FMT, c->user,
                   KR_ARG(names_of(l, "users")));
    return read_user(l, &user, &cluster, c, err);
}

/* --- in a pod --------------------------------------------------------------------------------- */

static int read_in_cluster(const struct kube_config_source *s, struct kube_config *c,
                           struct kr_err *err)
{
    const char *dir = s->service_account_dir ? s->service_account_dir
                                             : "/var/run/secrets/kubernetes.io/serviceaccount";
    KR_AUTO(kr_arena) a = {0};
    KR_AUTO(kr_buf) text = KR_BUF(KUBE_TOKEN_MAX);
    bool six = strchr(s->service_host, ':') != NULL;
    const char *ca = kr_cstr(&a, kr_fmt(&a, "%s/ca.crt", dir));

    c->server = kr_cstrdup(kr_fmt(&a, "https://%s%s%s:%s", six ? "[" : "", s->service_host,
                                  six ? "]" : "", s->service_port));
    c->context = kr_cstrdup(KR_S("in-cluster"));
    c->token_file = kr_cstrdup(kr_fmt(&a, "%s/token", dir));
    if (access(c->token_file, R_OK) != 0)
        return kr_fail(err, KR_E_INPUT,
                       "in-cluster: cannot read %s: %s (automountServiceAccountToken: false?)",
                       c->token_file, strerror(errno));
    if (access(ca, R_OK) == 0)
        c->ca_file = kr_cstrdup(kr_str_c(ca));
    if (kr_buf_read_file(&text, kr_cstr(&a, kr_fmt(&a, "%s/namespace", dir)), NULL) == 0 &&
        text.n > 0)
        c->namespace = kr_cstrdup(kr_str_trim(kr_buf_view(&text)));
    return 0;
}

/* --- order ------------------------------------------------------------------------------------ */

static bool given(const char *s)
{
    return s != NULL && *s != '\0';
}

void kube_config_source_env(struct kube_config_source *s)
{
    s->env_kubeconfig = getenv("KUBECONFIG");
    s->home = getenv("HOME");
    s->service_host = getenv("KUBERNETES_SERVICE_HOST");
    s->service_port = getenv("KUBERNETES_SERVICE_PORT");
}

static int load(struct loader *l, const struct kube_config_source *s, struct kube_config *c,
                struct kr_err *err)
{
    const char *home;

    l->files = kr_new_n(&l->a, struct file, KUBE_CONFIG_FILES_MAX);
    if (given(s->kubeconfig)) {
        KR_TRY(add_file(l, s->kubeconfig, err));
        return read_context(l, s->context, c, err);
    }
    if (given(s->env_kubeconfig)) {
        KR_TRY(add_env_files(l, s->env_kubeconfig, err));
        return read_context(l, s->context, c, err);
    }
    if (given(s->service_host) && given(s->service_port))
        return read_in_cluster(s, c, err);
    home = kr_cstr(&l->a, kr_fmt(&l->a, "%s/.kube/config", given(s->home) ? s->home : ""));
    if (access(home, F_OK) != 0)
        return kr_fail(err, KR_E_INPUT,
                       "no cluster is configured: give --kubeconfig or set KUBECONFIG (this is no "
                       "pod, and %s does not exist)",
                       home);
    KR_TRY(add_file(l, home, err));
    return read_context(l, s->context, c, err);
}

int kube_config_load(const struct kube_config_source *s, struct kube_config **out,
                     struct kr_err *err)
{
    KR_AUTO_PTR(kube_config) c = KR_ALLOC(struct kube_config);
    struct loader l = {0};
    int rc = load(&l, s, c, err);

    loader_fini(&l);
    if (rc < 0)
        return rc;
    if (c->namespace == NULL)
        c->namespace = kr_cstrdup(KR_S("default"));
    *out = KR_MOVE(c);
    return 0;
}
