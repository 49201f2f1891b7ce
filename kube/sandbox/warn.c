/* SPDX-License-Identifier: Apache-2.0 */
/* warn.c - what is allowed in a pod and yet likely an error: the server says so in a Warning header. Here
 * are ports that two containers claim.
 *
 * Source: kubernetes pkg/api/pod/warnings.go.
 */
#include "kube/sandbox/glue.h"

#include "cel/base/banned.h"

enum { PORTS_MAX = 200 }; /* of a pod that are compared with each other */

struct port {
    kr_val port;
    kr_str path;
};

struct ports {
    struct port at[PORTS_MAX];
    uint32_t n;
};

static bool same(kr_val x, kr_val y, const char *key)
{
    return kr_equal(kr_get(x, kr_str_c(key)), kr_get(y, kr_str_c(key)));
}

/* How they collide, or NULL. */
static const char *collision(kr_val x, kr_val y)
{
    bool x_any = kr_at_str(x, "hostIP").n == 0, y_any = kr_at_str(y, "hostIP").n == 0;

    if (!same(x, y, "containerPort") || !same(x, y, "protocol"))
        return NULL;
    if (same(x, y, "hostPort") && kr_str_eq(kr_at_str(x, "hostIP"), kr_at_str(y, "hostIP")))
        return "duplicate port definition";
    if (kr_at(x, "hostPort").kind != KR_INT || kr_at(y, "hostPort").kind != KR_INT)
        return "overlapping port definition";
    if (same(x, y, "hostPort") && x_any != y_any)
        return "dangerously ambiguous port definition";
    return NULL;
}

static void take_port(struct sandbox_call *c, struct ports *all, kr_val port, kr_str path)
{
    for (uint32_t i = 0; i < all->n; i++) {
        const char *what = collision(port, all->at[i].port);

        if (what)
            sandbox__warn(c, kr_fmt(c->a, KR_FMT ": %s with " KR_FMT, KR_ARG(path), what,
                                    KR_ARG(all->at[i].path)));
    }
    if (all->n < PORTS_MAX)
        all->at[all->n++] = (struct port){port, path};
}

void sandbox__warn_pod(struct sandbox_call *c, kr_val spec, const char *path)
{
    static const char *const lists[] = {"initContainers", "containers"};
    struct ports *all = kr_new(c->a, struct ports);

    for (size_t l = 0; l < KR_N(lists); l++) {
        kr_val list = kr_get(spec, kr_str_c(lists[l]));

        for (uint32_t i = 0; list.kind == KR_LIST && i < list.n; i++) {
            kr_val ports = kr_get(list.list[i], KR_S("ports"));

            for (uint32_t k = 0; ports.kind == KR_LIST && k < ports.n; k++)
                take_port(c, all, ports.list[k],
                          kr_fmt(c->a, "%s.%s[%u].ports[%u]", path, lists[l], i, k));
        }
    }
}
