/* SPDX-License-Identifier: Apache-2.0 */
/* Objects as clients in Go encode them. */
#include "kube/sandbox/protobuf.h"

#include "cel/base/json.h"
#include "tests/lib/test.h"

/* --- an encoder for tests --------------------------------------------------------------------- */

static void put_varint(struct kr_buf *b, uint64_t n)
{
    for (; n >= 0x80; n >>= 7)
        kr_buf_chr(b, (char)(n | 0x80));
    kr_buf_chr(b, (char)n);
}

static void put_int(struct kr_buf *b, uint32_t number, int64_t n)
{
    put_varint(b, number << 3);
    put_varint(b, (uint64_t)n);
}

static void put_bytes(struct kr_buf *b, uint32_t number, kr_str bytes)
{
    put_varint(b, number << 3 | 2);
    put_varint(b, bytes.n);
    kr_buf_str(b, bytes);
}

/* A message of one field of bytes; lives in a. */
static kr_str one(struct kr_arena *a, uint32_t number, kr_str bytes)
{
    struct kr_buf b = KR_BUF_IN(a, 1 << 20);

    put_bytes(&b, number, bytes);
    return kr_buf_view(&b);
}

static kr_str envelope(struct kr_arena *a, const char *api_version, const char *kind, kr_str raw)
{
    struct kr_buf type = KR_BUF_IN(a, 1 << 20), b = KR_BUF_IN(a, 1 << 20);

    put_bytes(&type, 1, kr_str_c(api_version));
    put_bytes(&type, 2, kr_str_c(kind));
    kr_buf_str(&b, (kr_str){"k8s\0", 4});
    put_bytes(&b, 1, kr_buf_view(&type));
    put_bytes(&b, 2, raw);
    put_bytes(&b, 3, KR_S(""));
    put_bytes(&b, 4, KR_S(""));
    return kr_buf_view(&b);
}

static kr_str entry(struct kr_arena *a, const char *key, kr_str value)
{
    struct kr_buf b = KR_BUF_IN(a, 1 << 20);

    put_bytes(&b, 1, kr_str_c(key));
    put_bytes(&b, 2, value);
    return kr_buf_view(&b);
}

/* What it is read as, as JSON; or the error. */
static const char *read_text(struct kr_arena *a, kr_str bytes)
{
    struct kr_err err = KR_ERR_NONE;
    kr_val v;

    if (sandbox_protobuf_read(a, bytes, &v, &err) < 0)
        return kr_cstr(a, kr_strdup(a, kr_err_str(&err)));
    return kr_cstr(a, kr_json_str(a, v));
}

static kr_str deployment(struct kr_arena *a)
{
    struct kr_buf meta = KR_BUF_IN(a, 1 << 20), spec = KR_BUF_IN(a, 1 << 20),
                  raw = KR_BUF_IN(a, 1 << 20), volume = KR_BUF_IN(a, 1 << 20),
                  max = KR_BUF_IN(a, 1 << 20);

    put_bytes(&meta, 1, KR_S("web"));
    put_bytes(&meta, 2, KR_S("")); /* generateName: left out */
    put_bytes(&meta, 8, KR_S("")); /* creationTimestamp: the zero time */
    put_bytes(&meta, 11, entry(a, "app", KR_S("web")));
    put_int(&meta, 7, 0);
    put_int(&spec, 1, 0); /* replicas: a pointer, kept */
    put_int(&spec, 5, 0); /* minReadySeconds: none, left out */
    put_int(&max, 1, 1);
    put_bytes(&max, 3, KR_S("25%"));
    put_bytes(&spec, 4, one(a, 2, one(a, 1, kr_buf_view(&max))));
    put_bytes(&volume, 1, KR_S("v"));
    put_bytes(&volume, 2, one(a, 2, KR_S(""))); /* volumeSource is inline: emptyDir */
    put_bytes(&spec, 3, one(a, 2, one(a, 1, kr_buf_view(&volume))));
    put_bytes(&raw, 1, kr_buf_view(&meta));
    put_bytes(&raw, 2, kr_buf_view(&spec));
    put_bytes(&raw, 3, KR_S(""));
    put_bytes(&raw, 99, KR_S("of a newer release"));
    return envelope(a, "apps/v1", "Deployment", kr_buf_view(&raw));
}

/* --- tests ------------------------------------------------------------------------------------ */

TEST(protobuf, what_go_would_have_written_as_json_comes_out)
{
    KR_AUTO(kr_arena) a = {0};

    EXPECT_TEXT(
        read_text(&a, deployment(&a)),
        "{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\","
        "\"metadata\":{\"labels\":{\"app\":\"web\"},\"name\":\"web\"},"
        "\"spec\":{\"replicas\":0,\"strategy\":{\"rollingUpdate\":{\"maxUnavailable\":\"25%\"}},"
        "\"template\":{\"spec\":{\"containers\":[],\"volumes\":[{\"emptyDir\":{},\"name\":\"v\"}]}}"
        "},"
        "\"status\":{}}");
}

TEST(protobuf, bytes_times_and_quantities_are_texts)
{
    KR_AUTO(kr_arena) a = {0};
    struct kr_buf time = KR_BUF_IN(&a, 100);

    EXPECT_TEXT(read_text(&a, envelope(&a, "v1", "Secret", one(&a, 2, entry(&a, "k", KR_S("b"))))),
                "{\"apiVersion\":\"v1\",\"data\":{\"k\":\"Yg==\"},\"kind\":\"Secret\"}");
    EXPECT_TEXT(
        read_text(&a,
                  envelope(&a, "v1", "ResourceQuota",
                           one(&a, 2, one(&a, 1, entry(&a, "cpu", one(&a, 1, KR_S("1500m"))))))),
        "{\"apiVersion\":\"v1\",\"kind\":\"ResourceQuota\",\"spec\":{\"hard\":{\"cpu\":\"1500m\"}}"
        "}");
    put_int(&time, 1, 1767225600);
    put_int(&time, 2, 5000);
    EXPECT_TEXT(read_text(&a, envelope(&a, "coordination.k8s.io/v1", "Lease",
                                       one(&a, 2, one(&a, 4, kr_buf_view(&time))))),
                "{\"apiVersion\":\"coordination.k8s.io/v1\",\"kind\":\"Lease\","
                "\"spec\":{\"renewTime\":\"2026-01-01T00:00:00.000005Z\"}}");
    EXPECT_TEXT(
        read_text(&a, envelope(&a, "apps/v1", "DeleteOptions", one(&a, 4, KR_S("Foreground")))),
        "{\"apiVersion\":\"apps/v1\",\"kind\":\"DeleteOptions\","
        "\"propagationPolicy\":\"Foreground\"}");
}

TEST(protobuf, what_is_wrong_is_refused)
{
    KR_AUTO(kr_arena) a = {0};
    const char *malformed = "the protobuf of the object is not well-formed";
    kr_str label = one(&a, 1, one(&a, 11, entry(&a, "a", KR_S("\xff"))));
    kr_str name_as_number = one(&a, 1, KR_S("\x08\x01"));
    struct kr_buf time = KR_BUF_IN(&a, 100);

    EXPECT_TEXT(read_text(&a, KR_S("{}")), malformed);
    EXPECT_TEXT(read_text(&a, envelope(&a, "v1", "ConfigMap", label)), malformed);
    EXPECT_TEXT(read_text(&a, envelope(&a, "v1", "ConfigMap", name_as_number)), malformed);
    put_int(&time, 1, INT64_MAX);
    EXPECT_TEXT(
        read_text(&a, envelope(&a, "v1", "ConfigMap", one(&a, 1, one(&a, 8, kr_buf_view(&time))))),
        malformed);
    EXPECT_TEXT(read_text(&a, envelope(&a, "v1", "Nothing", KR_S(""))),
                "no kind \"Nothing\" of v1 in protobuf");
    EXPECT_TEXT(read_text(&a, envelope(&a, "a/v1", "ConfigMap", KR_S(""))),
                "no kind \"ConfigMap\" of a/v1 in protobuf");
}

/* Of each length some prefix is read or refused, and nothing else happens. */
TEST(protobuf, a_body_that_breaks_off_does_no_harm)
{
    KR_AUTO(kr_arena) a = {0};
    kr_str whole = deployment(&a);
    uint32_t refused = 0;

    for (size_t n = 0; n < whole.n; n++) {
        KR_AUTO(kr_arena) b = {0};
        char *copy = kr_alloc(n + 1); /* of just that size: a read past its end shows */
        kr_val v;

        memcpy(copy, whole.s, n);
        refused += sandbox_protobuf_read(&b, (kr_str){copy, n}, &v, NULL) < 0;
        kr_free(copy);
    }
    assert_true(refused > whole.n / 2);
}

/* JSONSchemaProps aside no type of the table holds itself: depth is that of the table. */
TEST(protobuf, a_deep_body_is_read_as_deep_as_its_type)
{
    KR_AUTO(kr_arena) a = {0};
    kr_str in = KR_S("");

    for (int i = 0; i < 1000; i++)
        in = one(&a, 2, in);
    assert_non_null(
        strstr(read_text(&a, envelope(&a, "apps/v1", "Deployment", in)), "well-formed"));
}

int main(void)
{
    return RUN(T(protobuf, what_go_would_have_written_as_json_comes_out),
               T(protobuf, bytes_times_and_quantities_are_texts),
               T(protobuf, what_is_wrong_is_refused),
               T(protobuf, a_body_that_breaks_off_does_no_harm),
               T(protobuf, a_deep_body_is_read_as_deep_as_its_type));
}
