/* SPDX-License-Identifier: Apache-2.0 */
/* json_bench.c - how fast a Kubernetes list is read: MB/s, and ns and allocations per object.
 *
 *   bench_json [FILE [ROUNDS]]   FILE: a List as the API server sends it; without it one is made up
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cel/base/json.h"

enum { OBJECTS = 2000, CHUNK = 16 * 1024, TEXT_MAX = 256 * 1024 * 1024 };

static const char *const skip[] = {"metadata.managedFields", "items.metadata.managedFields", NULL};

/* One pod much as kube-apiserver sends it: about 3.5 kB, a third of it managedFields. */
static void make_pod(struct kr_buf *b, int i)
{
    kr_buf_fmt(
        b,
        "{\"metadata\":{\"name\":\"web-%d\",\"generateName\":\"web-\",\"namespace\":\"default\","
        "\"uid\":"
        "\"5c1d4a52-6f7e-4d0a-9d3c-%012d\",\"resourceVersion\":\"%d\",\"generation\":1,"
        "\"creationTimestamp\":\"2026-01-02T03:04:05Z\",\"labels\":{\"app\":\"web\","
        "\"pod-template-hash\":\"6d4cf56db6\",\"app.kubernetes.io/managed-by\":\"kro\","
        "\"applyset.kubernetes.io/"
        "part-of\":\"applyset-0eFHV8ySqp7XoShsGvyWFQD3s96yqwHmzc4e0HR1dsY-v1\"},"
        "\"ownerReferences\":[{\"apiVersion\":\"apps/"
        "v1\",\"kind\":\"ReplicaSet\",\"name\":\"web-6d4cf56db6\","
        "\"uid\":\"b0a3fb2b-8a0b-4c58-9b0a-0d6a5bb3c1f0\",\"controller\":true,"
        "\"blockOwnerDeletion\":true}],"
        "\"managedFields\":[{\"manager\":\"kube-controller-manager\",\"operation\":\"Update\","
        "\"apiVersion\":"
        "\"v1\",\"time\":\"2026-01-02T03:04:05Z\",\"fieldsType\":\"FieldsV1\",\"fieldsV1\":{\"f:"
        "metadata\":{"
        "\"f:generateName\":{},\"f:labels\":{\".\":{},\"f:app\":{},\"f:pod-template-hash\":{}},"
        "\"f:ownerReferences\":{\".\":{},\"k:{\\\"uid\\\":\\\"b0a3fb2b-8a0b-4c58-9b0a-"
        "0d6a5bb3c1f0\\\"}\":{}}},"
        "\"f:spec\":{\"f:containers\":{\"k:{\\\"name\\\":\\\"web\\\"}\":{\".\":{},\"f:image\":{},"
        "\"f:imagePullPolicy\":{},\"f:name\":{},\"f:ports\":{\".\":{},\"k:{\\\"containerPort\\\":"
        "80,"
        "\\\"protocol\\\":\\\"TCP\\\"}\":{\".\":{},\"f:containerPort\":{},\"f:protocol\":{}}},"
        "\"f:resources\":{},\"f:terminationMessagePath\":{},\"f:terminationMessagePolicy\":{}}},"
        "\"f:dnsPolicy\":{},\"f:enableServiceLinks\":{},\"f:restartPolicy\":{},\"f:schedulerName\":"
        "{},"
        "\"f:securityContext\":{},\"f:terminationGracePeriodSeconds\":{}}}}]},",
        i, i, 1000 + i);
    kr_buf_fmt(
        b,
        "\"spec\":{\"volumes\":[{\"name\":\"kube-api-access-x\",\"projected\":{\"sources\":[{"
        "\"serviceAccountToken\":{\"expirationSeconds\":3607,\"path\":\"token\"}},{\"configMap\":{"
        "\"name\":"
        "\"kube-root-ca.crt\",\"items\":[{\"key\":\"ca.crt\",\"path\":\"ca.crt\"}]}}],"
        "\"defaultMode\":420}}],"
        "\"containers\":[{\"name\":\"web\",\"image\":\"nginx:1.27\",\"ports\":[{\"containerPort\":"
        "80,"
        "\"protocol\":\"TCP\"}],\"env\":[{\"name\":\"A\",\"value\":\"1\"},{\"name\":\"B\","
        "\"value\":\"two\"}],"
        "\"resources\":{\"limits\":{\"cpu\":\"500m\",\"memory\":\"128Mi\"},\"requests\":{\"cpu\":"
        "\"100m\","
        "\"memory\":\"64Mi\"}},\"volumeMounts\":[{\"name\":\"kube-api-access-x\",\"readOnly\":true,"
        "\"mountPath\":\"/var/run/secrets/kubernetes.io/"
        "serviceaccount\"}],\"terminationMessagePath\":"
        "\"/dev/"
        "termination-log\",\"terminationMessagePolicy\":\"File\",\"imagePullPolicy\":"
        "\"IfNotPresent\"}],"
        "\"restartPolicy\":\"Always\",\"terminationGracePeriodSeconds\":30,\"dnsPolicy\":"
        "\"ClusterFirst\","
        "\"serviceAccountName\":\"default\",\"nodeName\":\"node-%d\",\"schedulerName\":\"default-"
        "scheduler\"},"
        "\"status\":{\"phase\":\"Running\",\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\","
        "\"lastProbeTime\":null,\"lastTransitionTime\":\"2026-01-02T03:04:15Z\"},{\"type\":"
        "\"PodScheduled\","
        "\"status\":\"True\",\"lastProbeTime\":null,\"lastTransitionTime\":\"2026-01-02T03:04:"
        "05Z\"}],"
        "\"hostIP\":\"10.0.0.%d\",\"podIP\":\"10.1.2.%d\",\"startTime\":\"2026-01-02T03:04:05Z\","
        "\"containerStatuses\":[{\"name\":\"web\",\"ready\":true,\"restartCount\":0,\"started\":"
        "true,"
        "\"image\":\"nginx:1.27\",\"state\":{\"running\":{\"startedAt\":\"2026-01-02T03:04:10Z\"}}}"
        "]}}",
        i % 10, i % 250, i % 250);
}

static void make_list(struct kr_buf *b)
{
    kr_buf_str(b, KR_S("{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"metadata\":{"
                       "\"resourceVersion\":\"1\"},\"items\":["));
    for (int i = 0; i < OBJECTS; i++) {
        if (i > 0)
            kr_buf_chr(b, ',');
        make_pod(b, i);
    }
    kr_buf_str(b, KR_S("]}\n"));
}

static int count(void *arg, struct kr_arena *a, kr_val v, struct kr_err *err)
{
    ++*(uint64_t *)arg;
    return 0;
}

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Reads text once in chunks as they come from a socket. Returns the items seen. */
static uint64_t read_list(kr_str text, const char *const *skips)
{
    uint64_t items = 0;
    const struct kr_json_opts opts = {
        .split = "items", .skip = skips, .on_item = count, .arg = &items};
    KR_AUTO_PTR(kr_json) j = kr_json_new(&opts);
    struct kr_err err = KR_ERR_NONE;
    int rc = 0;

    for (size_t at = 0; rc == 0 && at < text.n; at += CHUNK) {
        kr_str part = kr_str_sub(text, at, at + CHUNK);

        rc = kr_json_feed(j, part.s, part.n, &err);
    }
    if (rc == 0)
        rc = kr_json_end(j, &err);
    if (rc < 0) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    return items;
}

static void report(const char *name, kr_str text, const char *const *skips, int rounds)
{
    uint64_t items = read_list(text, skips), allocs = kr_alloc_count();
    double start = seconds(), took;

    for (int i = 0; i < rounds; i++)
        read_list(text, skips);
    took = (seconds() - start) / rounds;
    allocs = (kr_alloc_count() - allocs) / (uint64_t)rounds;
    printf("%-24s %7.1f MB/s %8.0f ns/object %6.3f allocations/object (%llu objects, %zu bytes)\n",
           name, (double)text.n / took / 1e6, took * 1e9 / (double)(items ? items : 1),
           (double)allocs / (double)(items ? items : 1), (unsigned long long)items, text.n);
}

/* Writing: all items of the list once more as text. */
static void report_write(kr_str text, int rounds)
{
    KR_AUTO(kr_arena) a = {0};
    KR_AUTO(kr_buf) b = KR_BUF(TEXT_MAX);
    struct kr_err err = KR_ERR_NONE;
    double start, took;
    kr_val v;

    if (kr_json_parse(&a, text, &v, &err) < 0 || kr_json_write(&b, v, 0, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    start = seconds();
    for (int i = 0; i < rounds; i++) {
        kr_buf_reset(&b);
        if (kr_json_write(&b, v, 0, &err) < 0)
            exit(1);
    }
    took = (seconds() - start) / rounds;
    printf("%-24s %7.1f MB/s\n", "write", (double)b.n / took / 1e6);
}

int main(int argc, char **argv)
{
    KR_AUTO(kr_buf) b = KR_BUF(TEXT_MAX);
    struct kr_err err = KR_ERR_NONE;
    int rounds = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 20;

    if (argc < 2) {
        make_list(&b);
    } else if (kr_buf_read_file(&b, argv[1], &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    rounds = rounds < 1 ? 1 : rounds;
    report("read", kr_buf_view(&b), NULL, rounds);
    report("read, fields skipped", kr_buf_view(&b), skip, rounds);
    report_write(kr_buf_view(&b), rounds);
    return 0;
}
