/* SPDX-License-Identifier: Apache-2.0 */
/* steps.c - what users, foreign writers and fate do, step by step, and how all calms down.
 *
 * A step that does not fit the moment (a child that is not there, a server that runs already) does
 * nothing: so any step can be left out of a plan, and the rest still means what it meant. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "tests/sim/sim.h"

#define KRO "/apis/kro.run/v1alpha1/namespaces/" SIM_NS "/"

enum { PATH_MAX_BYTES = 512, BACK_WAIT_MS = 60 * 1000, BEGIN_MS = 3000 };

struct text {
    char s[PATH_MAX_BYTES];
};

static struct text text(const char *fmt, ...) KR_PRINTF(1, 2);
static struct text text(const char *fmt, ...)
{
    struct text t;
    va_list args;

    va_start(args, fmt);
    vsnprintf(t.s, sizeof t.s, fmt, args);
    va_end(args);
    return t;
}

/* --- paths ------------------------------------------------------------------------------------ */

static uint32_t def_at(const struct sim *s, const struct sim_step *step)
{
    return step->x[0] % s->plan->defs_n;
}

static struct text instance_path(uint32_t def, uint32_t i)
{
    return text(KRO "thing%us/t%u-%u", def, def, i);
}

static struct text child_path_of(const struct sim *s, uint32_t def, uint32_t inst, uint32_t node,
                                 uint32_t item)
{
    const struct sim_node *n = &s->plan->defs[def].nodes[node];
    const char *resource = n->kind == SIM_WORKLOAD ? "apis/apps/v1" : "api/v1";
    const char *kind = n->kind == SIM_WORKLOAD ? "deployments"
                       : n->kind == SIM_SECRET ? "secrets"
                                               : "configmaps";
    struct text end = text("%s", "");

    if (n->kind == SIM_MANY)
        end = n->over >= 0 ? text("-source-%u", item) : text("-%c", 'a' + (int)item);
    return text("/%s/namespaces/%s/%s/t%u-%u-n%u%s", resource, n->elsewhere ? SIM_NS_OTHER : SIM_NS,
                kind, def, inst, node, end.s);
}

static bool makes_objects(const struct sim *s, uint32_t def, uint32_t node)
{
    enum sim_kind kind = s->plan->defs[def].nodes[node].kind;

    return kind != SIM_EXTERNAL && kind != SIM_PICKED;
}

/* A child that may or may not be there. */
static struct text child_path(const struct sim *s, const struct sim_step *step)
{
    uint32_t def = def_at(s, step), node = step->x[2] % s->plan->defs[def].n;

    while (!makes_objects(s, def, node))
        node = (node + 1) % s->plan->defs[def].n;
    return child_path_of(s, def, step->x[1] % SIM_INSTANCES, node, step->x[3] % 3);
}

/* --- users ------------------------------------------------------------------------------------ */

void sim_define(struct sim *s, uint32_t def)
{
    KR_AUTO(kr_buf) b = KR_BUF(64 * 1024);

    sim_def_yaml(&b, s->plan, def, s->variant[def]);
    kr_buf_chr(&b, 0);
    if (s->tell == SIM_TRACE)
        printf("%s", b.s);
    if (sim_apply(s, b.s) >= 300)
        sim_fail(s, "the definition itself is refused");
}

static void make(struct sim *s, const struct sim_step *step)
{
    static const char *const names[] = {
        "", "\"a\"", "\"a\",\"b\"", "\"b\",\"a\"", "\"b\",\"c\",\"a\"", "\"c\""};
    uint32_t def = def_at(s, step);

    sim_apply(s, text("{\"apiVersion\":\"kro.run/v1alpha1\",\"kind\":\"Thing%u\",\"metadata\":{"
                      "\"name\":\"t%u-%u\"},\"spec\":{\"a\":\"%c\",\"flag\":%s,\"names\":[%s]%s}}",
                      def, def, step->x[1] % SIM_INSTANCES, 'p' + (int)(step->x[2] % 3),
                      step->x[3] % 3 ? "true" : "false", names[step->x[4] % KR_N(names)],
                      step->x[5] % 3 ? "" : ",\"b\":\"w\"")
                     .s);
}

static void make_source(struct sim *s, uint32_t j, uint32_t pick, uint32_t v)
{
    static const char *const values[] = {"v0", "v1", "v2", "v3", "off"};

    sim_apply(s, text("{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":"
                      "\"source-%u\",\"labels\":{\"pick\":\"p%u\"}},\"data\":{\"v\":\"%s\"}}",
                      j, pick % 2, values[v % KR_N(values)])
                     .s);
}

static void suspend(struct sim *s, const struct sim_step *step)
{
    sim_do(s, "PATCH", instance_path(def_at(s, step), step->x[1] % SIM_INSTANCES).s,
           step->x[2] % 2 ? "{\"metadata\":{\"annotations\":{\"kro.run/reconcile\":\"disabled\"}}}"
                          : "{\"metadata\":{\"annotations\":{\"kro.run/reconcile\":null}}}");
}

/* --- foreign writers -------------------------------------------------------------------------- */

static void squat(struct sim *s, const struct sim_step *step)
{
    struct text path = child_path(s, step);
    char *name = strrchr(path.s, '/');

    if (!strstr(path.s, "/configmaps/"))
        return;
    *name++ = 0;
    sim_do(s, "POST", path.s,
           text("{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"%s\","
                "\"labels\":{\"applyset.kubernetes.io/part-of\":\"applyset-foreign\"}}}",
                name)
               .s);
}

static void unsquat(struct sim *s, const char *path)
{
    KR_AUTO(kr_arena) a = {0};
    kr_val v = sim_get(s, &a, path);

    if (kr_is_str(kr_get(kr_at(v, "metadata.labels"), KR_S("applyset.kubernetes.io/part-of")),
                  KR_S("applyset-foreign")))
        sim_do(s, "DELETE", path, NULL);
}

static void foreign(struct sim *s, const struct sim_step *step)
{
    struct text path = child_path(s, step);

    switch ((int)step->kind) {
    case SIM_STEP_DRIFT:
        sim_do(s, "PATCH", path.s,
               step->x[4] % 2 && strstr(path.s, "/configmaps/")
                   ? "{\"data\":{\"v\":\"hacked\"}}"
                   : "{\"metadata\":{\"annotations\":{\"v\":\"hacked\"}}}");
        return;
    case SIM_STEP_NOISE:
        sim_do(s, "PATCH", path.s,
               text("{\"metadata\":{\"annotations\":{\"noise\":\"%u\"}}}", step->x[4]).s);
        return;
    case SIM_STEP_STEAL:
        sim_do(s, "PATCH", path.s,
               step->x[4] % 2 ? "{\"metadata\":{\"labels\":{\"kro.run/owned\":null}}}"
                              : "{\"metadata\":{\"labels\":{\"kro.run/node-id\":\"hacked\"}}}");
        return;
    case SIM_STEP_KILL:
        sim_do(s, "DELETE", path.s, NULL);
        return;
    case SIM_STEP_HOLD:
        sim_do(s, "PATCH", path.s,
               step->x[4] % 3 ? "{\"metadata\":{\"finalizers\":[\"example.com/hold\"]}}"
                              : "{\"metadata\":{\"finalizers\":null}}");
        return;
    case SIM_STEP_SQUAT:
        squat(s, step);
        return;
    default:
        unsquat(s, path.s);
    }
}

/* --- fate ------------------------------------------------------------------------------------- */

static void fault(struct sim *s, const struct sim_step *step)
{
    static const uint32_t delays[] = {300, 1000, 5000, 20 * 1000};
    struct sim_rule rule = {.fault = step->x[0] % SIM_FAULT_N,
                            .on = step->x[1] % 4,
                            .skip = step->x[2] % 8,
                            .times = 1 + step->x[3] % 4};

    rule.size = rule.fault == SIM_FAULT_LATE ? delays[step->x[4] % KR_N(delays)]
                                             : 1 + step->x[4] % (step->x[5] % 2 ? 100 : 3000);
    sim_add_rule(s, &rule);
}

static void server_down(struct sim *s, const struct sim_step *step)
{
    static const uint32_t ms[] = {50, 500, 5000, 45 * 1000};

    sim_trace(s, "the server is down");
    s->up_at = s->clock.now_ms + ms[step->x[0] % KR_N(ms)];
    sandbox_front_swap(s->front, NULL);
}

static int idle_proc(const struct sim *s)
{
    for (uint32_t i = 0; i < SIM_PROCS; i++)
        if (!s->procs[i].reactor)
            return (int)i;
    return -1;
}

static int standby(const struct sim *s)
{
    for (uint32_t i = 0; i < SIM_PROCS; i++)
        if (s->procs[i].reactor && !s->procs[i].leads)
            return (int)i;
    return -1;
}

/* Somebody leads afterwards; where somebody does, a standby is there. */
static void start(struct sim *s)
{
    int leader = sim_leader(s), other = standby(s), idle = idle_proc(s);

    if (leader < 0 && other >= 0)
        sim_lead(s, (uint32_t)other, true);
    else if (idle >= 0)
        sim_start(s, (uint32_t)idle, leader >= 0);
}

/* The lease passes on: the former leader writes no more before the next one does. */
static void fail_over(struct sim *s, bool drop)
{
    int leader = sim_leader(s), other = standby(s);

    if (other < 0) {
        start(s);
        return;
    }
    if (leader >= 0)
        sim_lead(s, (uint32_t)leader, false);
    sim_lead(s, (uint32_t)other, true);
    if (leader >= 0 && drop)
        sim_crash(s, (uint32_t)leader, false);
}

static void end_process(struct sim *s, const struct sim_step *step)
{
    int at = sim_leader(s);

    if (at < 0 || step->x[0] % 5 == 0)
        at = (int)(step->x[1] % SIM_PROCS);
    if (step->kind == SIM_STEP_STOP) {
        sim_stop(s, (uint32_t)at);
    } else if (step->kind == SIM_STEP_CRASH) {
        sim_crash(s, (uint32_t)at, step->x[2] % 2);
    } else if (s->procs[at].reactor) {
        s->procs[at].crash_in = 1 + step->x[2] % 16;
        s->procs[at].crash_sent = step->x[3] % 2;
    }
}

static void record(struct sim *s, const struct sim_step *step)
{
    sim_record(s);
    if (step->x[0] % 2 && s->backup.n)
        return;
    kr_buf_reset(&s->backup);
    sandbox_text(s->sandbox, &s->backup);
    s->backup_version = sandbox_version(s->sandbox);
    memcpy(s->backup_variant, s->variant, sizeof s->variant);
}

static void back(struct sim *s)
{
    if (sim_back(s)) /* who writes now would carry the version past what clients have seen */
        sim_advance(s, BACK_WAIT_MS);
}

static void slow(struct sim *s, const struct sim_step *step)
{
    static const uint32_t ms[] = {0, 0, 50, 500, 5000};

    s->slow_ms = ms[step->x[0] % KR_N(ms)];
}

static void carry_out(struct sim *s, const struct sim_step *step)
{
    switch (step->kind) {
    case SIM_STEP_MAKE:
        make(s, step);
        return;
    case SIM_STEP_DELETE:
        sim_do(s, "DELETE", instance_path(def_at(s, step), step->x[1] % SIM_INSTANCES).s, NULL);
        return;
    case SIM_STEP_SOURCE:
        make_source(s, step->x[0] % SIM_SOURCES, step->x[1], step->x[2]);
        return;
    case SIM_STEP_UNSOURCE:
        sim_do(
            s, "DELETE",
            text("/api/v1/namespaces/" SIM_NS "/configmaps/source-%u", step->x[0] % SIM_SOURCES).s,
            NULL);
        return;
    case SIM_STEP_DEFINE:
        s->variant[def_at(s, step)] ^= 1;
        sim_define(s, def_at(s, step));
        return;
    case SIM_STEP_SUSPEND:
        suspend(s, step);
        return;
    case SIM_STEP_FAULT:
        fault(s, step);
        return;
    case SIM_STEP_BREAK:
        sandbox_front_break(s->front, step->x[0] % 2 ? KR_E_IO : 0);
        return;
    case SIM_STEP_COMPACT:
        sandbox_compact(s->sandbox);
        return;
    case SIM_STEP_DOWN:
        server_down(s, step);
        return;
    case SIM_STEP_CRASH:
    case SIM_STEP_CRASH_AT:
    case SIM_STEP_STOP:
        end_process(s, step);
        return;
    case SIM_STEP_START:
        start(s);
        return;
    case SIM_STEP_FAILOVER:
        fail_over(s, step->x[0] % 2);
        return;
    case SIM_STEP_RECORD:
        record(s, step);
        return;
    case SIM_STEP_BACK:
        back(s);
        return;
    case SIM_STEP_SLOW:
        slow(s, step);
        return;
    default:
        foreign(s, step);
    }
}

void sim_step(struct sim *s, const struct sim_step *step)
{
    sim_trace(s, "step %s", sim_step_name(step->kind));
    carry_out(s, step);
    sim_advance(s, step->wait_ms);
    if (sim_leader(s) < 0 && sim_pick(s, 2))
        start(s);
}

/* --- the beginning and the end ---------------------------------------------------------------- */

void sim_begin(struct sim *s)
{
    for (uint32_t j = 0; j < SIM_SOURCES; j++)
        make_source(s, j, j, j);
    for (uint32_t d = 0; d < s->plan->defs_n; d++)
        sim_define(s, d);
    sim_start(s, 0, false);
    sim_advance(s, BEGIN_MS);
}

static bool had(const struct sim *s, enum sim_step_kind kind)
{
    for (uint32_t i = 0; i < s->plan->steps_n; i++)
        if (s->plan->steps[i].kind == kind && !s->plan->steps[i].left_out)
            return true;
    return false;
}

static void let_go(struct sim *s, const char *path)
{
    KR_AUTO(kr_arena) a = {0};

    if (kr_at(sim_get(s, &a, path), "metadata.finalizers").n > 0)
        sim_do(s, "PATCH", path, "{\"metadata\":{\"finalizers\":null}}");
}

/* Foreign finalizers and squatters go. */
static void free_children(struct sim *s, uint32_t def, uint32_t inst)
{
    for (uint32_t node = 0; node < s->plan->defs[def].n; node++) {
        for (uint32_t item = 0; item < 3 && makes_objects(s, def, node); item++) {
            struct text path = child_path_of(s, def, inst, node, item);

            if (had(s, SIM_STEP_SQUAT))
                unsquat(s, path.s);
            if (had(s, SIM_STEP_HOLD))
                let_go(s, path.s);
            if (s->plan->defs[def].nodes[node].kind != SIM_MANY)
                break;
        }
    }
}

static void free_instances(struct sim *s)
{
    for (uint32_t d = 0; d < s->plan->defs_n; d++) {
        for (uint32_t i = 0; i < SIM_INSTANCES; i++) {
            if (had(s, SIM_STEP_SUSPEND))
                sim_do(s, "PATCH", instance_path(d, i).s,
                       "{\"metadata\":{\"annotations\":{\"kro.run/reconcile\":null}}}");
            if (had(s, SIM_STEP_SQUAT) || had(s, SIM_STEP_HOLD))
                free_children(s, d, i);
        }
    }
}

void sim_calm(struct sim *s)
{
    sim_trace(s, "calm");
    s->rules_n = 0;
    s->slow_ms = 0;
    if (s->up_at)
        sandbox_front_swap(s->front, s->sandbox);
    s->up_at = 0;
    for (uint32_t i = 0; i < SIM_PROCS; i++)
        s->procs[i].crash_in = 0;
    if (sim_leader(s) < 0)
        start(s);
    for (uint32_t j = 0; j < SIM_SOURCES; j++) {
        KR_AUTO(kr_arena) a = {0};

        if (sim_get(s, &a, text("/api/v1/namespaces/" SIM_NS "/configmaps/source-%u", j).s).kind ==
            KR_NONE)
            make_source(s, j, j, j);
    }
    free_instances(s);
    sim_rest(s);
}
