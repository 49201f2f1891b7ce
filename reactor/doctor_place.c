/* SPDX-License-Identifier: Apache-2.0 */
/* doctor_place.c - K03, K04, S01, D01, D02: the machine that the doctor runs on, and its tools. */
#include <inttypes.h>
#include <stdio.h>

#include "cel/base/json.h"
#include "reactor/doctor_check.h"

#include "cel/base/banned.h"

enum {
    TOOLS_MAX = 4,
    FILES_MIN = 1024,
    WATCHES_MIN = 65536, /* kind's "known issues": nodes need more than the usual 8192 */
    INSTANCES_MIN = 256,
    MEMORY_MIN = 32 << 20,
    SKEW_MAX = 1, /* minor versions that kubectl may be off */
};
#define DISK_MIN (INT64_C(5) << 30)

/* --- questions to the machine ----------------------------------------------------------------- */

struct tool_ask {
    struct reactor_host_ask ask;
    struct doctor_check *check;
    bool open;
};

struct place {
    struct tool_ask tools[TOOLS_MAX];
    uint32_t n;
};

static void on_told(struct reactor_host_ask *ask)
{
    struct tool_ask *t = KR_OWNER(ask, struct tool_ask, ask);

    t->open = false;
    doctor_answered(t->check);
}

static void place_cancel(struct doctor_check *c)
{
    const struct reactor_host *host = c->d->opts.host;
    struct place *p = c->state;

    for (uint32_t i = 0; i < p->n; i++) {
        if (p->tools[i].open)
            host->ops->cancel(host->arg, &p->tools[i].ask);
    }
}

static void free_texts(void *arg)
{
    struct place *p = arg;

    for (uint32_t i = 0; i < p->n; i++)
        kr_buf_fini(&p->tools[i].ask.text);
}

static struct tool_ask *place_ask(struct doctor_check *c)
{
    struct place *p = c->state;
    struct tool_ask *t;

    if (p == NULL) {
        p = kr_new(&c->arena, struct place);
        c->state = p;
        c->cancel = place_cancel;
        kr_arena_defer(&c->arena, free_texts, p);
    }
    KR_ASSERT(p->n < TOOLS_MAX);
    t = &p->tools[p->n++];
    t->check = c;
    t->ask.on_done = on_told;
    t->open = true;
    c->open_n++;
    return t;
}

static void run(struct doctor_check *c, const char *const *argv)
{
    const struct reactor_host *host = c->d->opts.host;

    host->ops->run(host->arg, argv, &place_ask(c)->ask);
}

static bool looked(struct doctor_check *c)
{
    if (c->d->opts.host != NULL)
        return true;
    doctor_say(c, REACTOR_PASS, "not looked at from here");
    return false;
}

static const struct reactor_host_ask *told(struct doctor_check *c, uint32_t i)
{
    return &((struct place *)c->state)->tools[i].ask;
}

static kr_str text_of(const struct reactor_host_ask *ask)
{
    return kr_str_trim(kr_buf_view(&ask->text));
}

/* The last words of a tool, on one line. */
static kr_str last_line(const struct reactor_host_ask *ask)
{
    kr_str text = text_of(ask);
    ptrdiff_t at = kr_str_rchr(text, '\n');

    return kr_str_sub(text, (size_t)(at + 1), text.n);
}

/* --- K03 names -------------------------------------------------------------------------------- */

static const char service_name[] = "kubernetes.default.svc";

/* In a pod the service's name, else that of the server; "" when that is an address. */
static const char *name_to_resolve(struct doctor_check *c)
{
    kr_str server = doctor_server(c);
    ptrdiff_t scheme = kr_str_find(server, KR_S("://"));
    bool digits = true;
    kr_str host;

    if (c->d->opts.host->service_host != NULL)
        return service_name;
    host = kr_str_sub(server, (size_t)(scheme < 0 ? 0 : scheme + 3), server.n);
    if (kr_str_starts(host, KR_S("[")))
        return "";
    host = kr_str_cut(&host, '/');
    host = kr_str_cut(&host, ':');
    for (size_t i = 0; i < host.n; i++)
        digits = digits && (host.s[i] == '.' || (host.s[i] >= '0' && host.s[i] <= '9'));
    return digits ? "" : kr_cstr(&c->arena, host);
}

void doctor_dns_start(struct doctor_check *c)
{
    const struct reactor_host *host = c->d->opts.host;
    const char *name;

    if (!looked(c))
        return;
    name = name_to_resolve(c);
    if (*name == '\0')
        doctor_say(c, REACTOR_PASS, "not needed: the server's address is a number");
    else
        host->ops->resolve(host->arg, name, &place_ask(c)->ask);
}

void doctor_dns_judge(struct doctor_check *c)
{
    const struct reactor_host_ask *ask;
    kr_str addresses;

    if (c->state == NULL)
        return;
    ask = told(c, 0);
    addresses = text_of(ask);
    if (ask->rc == 0 && addresses.n > 0) {
        kr_str first = kr_str_cut(&addresses, '\n');

        doctor_say(c, REACTOR_PASS, "%s is " KR_FMT, name_to_resolve(c), KR_ARG(first));
        return;
    }
    doctor_say(c, REACTOR_FAIL, "%s is not resolved: " KR_FMT, name_to_resolve(c),
               KR_ARG(c->late ? KR_S("no answer within 2 s") : last_line(ask)));
    if (c->d->opts.host->service_host != NULL)
        doctor_cure(c,
                    "kubectl -n kube-system get pods -l k8s-app=kube-dns; look at /etc/resolv.conf "
                    "of the pod (search, ndots) and at NetworkPolicies that stop port 53");
    else
        doctor_cure(c, "look at DNS and VPN of this machine: getent hosts %s", name_to_resolve(c));
}

/* --- K04 the service account ------------------------------------------------------------------ */

void doctor_account_judge(struct doctor_check *c)
{
    const struct reactor_host *host = c->d->opts.host;
    int64_t now_s = doctor_wall_s(c);

    if (!looked(c))
        return;
    if (host->service_host == NULL) {
        doctor_say(c, REACTOR_PASS, "not in a pod: the kubeconfig says where the server is");
        return;
    }
    if (host->service_port == NULL)
        doctor_say(c, REACTOR_FAIL, "KUBERNETES_SERVICE_PORT is not set");
    if (host->token_rc < 0)
        doctor_say(c, REACTOR_FAIL, "there is no token of a service account");
    if (host->ca_rc < 0)
        doctor_say(c, REACTOR_FAIL, "there is no CA certificate of the service account");
    if (c->verdict == REACTOR_FAIL)
        doctor_cure(
            c,
            "set automountServiceAccountToken: true in the pod and its ServiceAccount, and leave "
            "enableServiceLinks on");
    if (host->token_ends_s > 0 && host->token_ends_s <= now_s) {
        doctor_say(c, REACTOR_FAIL, "the token has expired %" PRId64 " s ago",
                   now_s - host->token_ends_s);
        doctor_cure(c,
                    "delete the pod, so that it gets a new one; check the clock of the node (S02)");
    }
    if (c->finding.n == 0)
        doctor_say(c, REACTOR_PASS, "address, token and CA are there");
}

/* --- S01 limits ------------------------------------------------------------------------------- */

static void judge_files(struct doctor_check *c, const struct reactor_host *host)
{
    if (host->files_max >= 0 && host->files_max < FILES_MIN) {
        doctor_say(c, REACTOR_FAIL, "%" PRId64 " open files are allowed, %d are needed",
                   host->files_max, FILES_MIN);
        doctor_cure(c, "ulimit -n 65536");
    }
    if (host->memory_max_bytes >= 0 && host->memory_max_bytes < MEMORY_MIN) {
        doctor_say(c, REACTOR_FAIL, "the memory limit is %" PRId64 " MiB, 32 are needed",
                   host->memory_max_bytes >> 20);
        doctor_cure(c, "raise resources.limits.memory of the pod");
    }
}

/* kind's nodes use the host's inotify. */
static void judge_inotify(struct doctor_check *c, const struct reactor_host *host)
{
    if (c->d->opts.kind == NULL)
        return;
    if ((host->watches_max >= 0 && host->watches_max < WATCHES_MIN) ||
        (host->instances_max >= 0 && host->instances_max < INSTANCES_MIN)) {
        doctor_say(c, REACTOR_WARN,
                   "inotify has %" PRId64 " watches and %" PRId64
                   " instances a user: nodes of kind run out",
                   host->watches_max, host->instances_max);
        doctor_cure(c, "sudo sysctl fs.inotify.max_user_watches=524288 "
                       "fs.inotify.max_user_instances=512");
    }
}

void doctor_host_judge(struct doctor_check *c)
{
    const struct reactor_host *host = c->d->opts.host;

    if (!looked(c))
        return;
    judge_files(c, host);
    judge_inotify(c, host);
    if (c->finding.n == 0)
        doctor_say(c, REACTOR_PASS, "%" PRId64 " open files", host->files_max);
}

/* --- D01 kind --------------------------------------------------------------------------------- */

static const char *const kind_clusters[] = {"kind", "get", "clusters", NULL};
static const char *const docker_info[] = {"docker", "info", NULL};
static const char *const podman_info[] = {"podman", "info", NULL};

static bool is_kind(struct doctor_check *c)
{
    if (c->d->opts.kind != NULL)
        return looked(c);
    doctor_say(c, REACTOR_PASS, "not a cluster of kind");
    return false;
}

void doctor_engine_start(struct doctor_check *c)
{
    if (!is_kind(c))
        return;
    run(c, kind_clusters);
    run(c, docker_info);
    run(c, podman_info);
    doctor_get(c, KR_S("/api/v1/nodes?limit=100"));
}

static void judge_engine(struct doctor_check *c)
{
    const struct reactor_host_ask *docker = told(c, 1), *podman = told(c, 2);

    if (docker->rc == 0 || podman->rc == 0)
        return;
    if (docker->exit_code == -1 && podman->exit_code == -1) {
        doctor_say(c, REACTOR_FAIL, "neither docker nor podman is installed");
        doctor_cure(c, "install one of them: https://docs.docker.com/engine/install/");
        return;
    }
    doctor_say(c, REACTOR_FAIL, "%s does not run: " KR_FMT,
               docker->exit_code != -1 ? "docker" : "podman",
               KR_ARG(last_line(docker->exit_code != -1 ? docker : podman)));
    doctor_cure(c,
                docker->exit_code != -1 ? "sudo systemctl start docker" : "podman machine start");
}

static bool has_line(kr_str text, kr_str line)
{
    while (text.s) {
        if (kr_str_eq(kr_str_trim(kr_str_cut(&text, '\n')), line))
            return true;
    }
    return false;
}

static void judge_cluster(struct doctor_check *c)
{
    const struct reactor_host_ask *kind = told(c, 0);
    kr_str name = kr_str_c(c->d->opts.kind);
    const char *context = c->d->opts.context;
    kr_str wanted = kr_fmt(&c->arena, "kind-" KR_FMT, KR_ARG(name));

    if (kind->exit_code == -1) {
        doctor_say(c, REACTOR_FAIL, "kind is not installed");
        doctor_cure(c,
                    "install kind: https://kind.sigs.k8s.io/docs/user/quick-start/#installation");
    } else if (kind->rc == 0 && !has_line(text_of(kind), name)) {
        doctor_say(c, REACTOR_FAIL, "kind has no cluster " KR_FMT, KR_ARG(name));
        doctor_cure(c, "make deploy-kind, or: kind create cluster --name " KR_FMT,
                    KR_ARG(doctor_plain(name)));
    }
    if (context != NULL && !kr_str_eq(kr_str_c(context), wanted)) {
        doctor_say(c, REACTOR_FAIL, "the context is \"%s\", not " KR_FMT, context, KR_ARG(wanted));
        doctor_cure(c, "kubectl config use-context kind-" KR_FMT, KR_ARG(doctor_plain(name)));
    }
}

static void judge_nodes(struct doctor_check *c)
{
    struct doctor_ask *a = doctor_first(c);

    if (a->req.rc != 0)
        return; /* K01 says why */
    KR_LIST_EACH (node, kr_at(a->req.object, "items")) {
        KR_LIST_EACH (it, kr_at(*node, "status.conditions")) {
            if (!kr_is_str(kr_at(*it, "type"), KR_S("Ready")) ||
                kr_is_str(kr_at(*it, "status"), KR_S("True")))
                continue;
            doctor_name(c, REACTOR_FAIL, "node " KR_FMT " is not ready: " KR_FMT,
                        KR_ARG(kr_at_str(*node, "metadata.name")),
                        KR_ARG(kr_at_str(*it, "message")));
            doctor_cure(c, "kubectl describe node " KR_FMT,
                        KR_ARG(doctor_plain(kr_at_str(*node, "metadata.name"))));
        }
    }
    doctor_named(c);
}

void doctor_engine_judge(struct doctor_check *c)
{
    const struct reactor_host *host = c->d->opts.host;

    if (c->state == NULL)
        return;
    judge_engine(c);
    judge_cluster(c);
    judge_nodes(c);
    if (host->disk_free_bytes >= 0 && host->disk_free_bytes < DISK_MIN) {
        doctor_say(c, REACTOR_WARN, "%" PRId64 " MiB of disk are free, 5 GiB are wanted",
                   host->disk_free_bytes >> 20);
        doctor_cure(c, "docker system prune");
    }
    if (c->finding.n == 0)
        doctor_say(c, REACTOR_PASS, "engine and cluster %s are there", c->d->opts.kind);
}

/* --- D02 tools -------------------------------------------------------------------------------- */

static const char *const kubectl_version[] = {"kubectl", "version", "--client", "-o", "json", NULL};
static const char *const kind_version[] = {"kind", "version", NULL};
static const char *const helm_version[] = {"helm", "version", "--short", NULL};

void doctor_tools_start(struct doctor_check *c)
{
    if (!is_kind(c))
        return;
    run(c, kubectl_version);
    run(c, kind_version);
    run(c, helm_version);
    doctor_get(c, KR_S("/version"));
}

static int64_t minor_of(kr_val version)
{
    kr_str text = kr_at_str(version, "minor");
    int64_t n = 0;

    for (size_t i = 0; i < text.n && text.s[i] >= '0' && text.s[i] <= '9'; i++)
        n = n * 10 + (text.s[i] - '0');
    return text.n ? n : -1;
}

static void judge_kubectl(struct doctor_check *c)
{
    const struct reactor_host_ask *kubectl = told(c, 0);
    struct doctor_ask *server = doctor_first(c);
    kr_val v = KR_V_NONE;
    int64_t ours, theirs;

    if (kubectl->exit_code == -1) {
        doctor_say(c, REACTOR_WARN, "kubectl is not installed");
        doctor_cure(c, "install kubectl: https://kubernetes.io/docs/tasks/tools/");
        return;
    }
    if (kr_json_parse(&c->arena, text_of(kubectl), &v, NULL) < 0 || server->req.rc != 0)
        return;
    ours = minor_of(kr_at(v, "clientVersion"));
    theirs = minor_of(server->req.object);
    if (ours < 0 || theirs < 0 || (ours - theirs <= SKEW_MAX && theirs - ours <= SKEW_MAX))
        return;
    doctor_say(c, REACTOR_WARN, "kubectl is 1.%" PRId64 ", the server 1.%" PRId64, ours, theirs);
    doctor_cure(c, "install a kubectl of 1.%" PRId64 ": https://kubernetes.io/docs/tasks/tools/",
                theirs);
}

/* "kind v0.12.0 go1.17.8 linux/amd64": before 0.14 nodes do not know cgroup v2 well. */
static void judge_kind(struct doctor_check *c)
{
    const struct reactor_host_ask *kind = told(c, 1);
    kr_str text = text_of(kind);
    ptrdiff_t at = kr_str_find(text, KR_S("v0."));
    uint64_t minor;

    if (kind->rc != 0 || at < 0)
        return;
    text = kr_str_sub(text, (size_t)at + 3, text.n);
    if (!kr_str_u64(kr_str_cut(&text, '.'), &minor) || minor >= 14)
        return;
    doctor_say(c, REACTOR_WARN, "kind is 0.%" PRIu64 ", older than 0.14", minor);
    doctor_cure(
        c, "install a newer kind: https://kind.sigs.k8s.io/docs/user/quick-start/#installation");
}

static void judge_helm(struct doctor_check *c)
{
    const struct reactor_host_ask *helm = told(c, 2);
    kr_str text = text_of(helm);

    if (helm->rc != 0 || !kr_str_starts(text, KR_S("v2")))
        return;
    doctor_say(c, REACTOR_WARN, "helm is " KR_FMT ", the chart needs v3", KR_ARG(last_line(helm)));
    doctor_cure(c, "install helm 3: https://helm.sh/docs/intro/install/");
}

void doctor_tools_judge(struct doctor_check *c)
{
    if (c->state == NULL)
        return;
    judge_kubectl(c);
    judge_kind(c);
    judge_helm(c);
    if (c->finding.n == 0)
        doctor_say(c, REACTOR_PASS, "their versions fit");
}
