/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/client.h"
#include "tests/lib/test.h"

static void expect(const char *json, int http_status, enum kube_reason reason, const char *text)
{
    KR_AUTO(kr_arena) a = {0};
    struct kr_err err = KR_ERR_NONE;
    enum kube_reason got;

    assert_int_equal(
        kube_status_error(json ? test_json(&a, json) : KR_V_NONE, http_status, &got, &err),
        KR_E_API);
    assert_int_equal(got, reason);
    EXPECT_TEXT(err.text, text);
}

TEST(kube_status, the_reason_decides_and_the_message_is_told)
{
    expect(
        "{\"kind\":\"Status\",\"code\":409,\"reason\":\"AlreadyExists\",\"message\":\"x exists\"}",
        409, KUBE_R_ALREADY_EXISTS, "409 AlreadyExists: x exists");
    expect("{\"kind\":\"Status\",\"code\":409,\"reason\":\"Conflict\",\"message\":\"changed\"}",
           409, KUBE_R_CONFLICT, "409 Conflict: changed");
    expect("{\"kind\":\"Status\",\"code\":500,\"reason\":\"Weird\",\"message\":\"m\"}", 500,
           KUBE_R_OTHER, "500 Weird: m");
}

TEST(kube_status, of_a_watch_error_event_the_code_comes_from_the_body)
{
    expect("{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\",\"message\":\"too old "
           "resource version: 1 (5)\"}",
           200, KUBE_R_EXPIRED, "410 Expired: too old resource version: 1 (5)");
    expect("{\"kind\":\"Status\",\"code\":410,\"reason\":\"Gone\",\"message\":\"m\"}", 0,
           KUBE_R_GONE, "410 Gone: m");
}

TEST(kube_status, an_answer_that_is_no_status_is_judged_by_its_code)
{
    expect(NULL, 403, KUBE_R_FORBIDDEN, "403 Forbidden: the server refused the request");
    expect("{\"hello\":1}", 404, KUBE_R_NOT_FOUND,
           "404 NotFound: the server could not find the requested resource");
    expect("[]", 502, KUBE_R_OTHER, "502 Unknown: the server gave no reason");
    expect("{\"kind\":\"Status\",\"code\":\"x\",\"reason\":5,\"message\":{}}", 401,
           KUBE_R_UNAUTHORIZED,
           "401 Unauthorized: the server has asked for the client to provide credentials");
}

int main(void)
{
    return RUN(T(kube_status, the_reason_decides_and_the_message_is_told),
               T(kube_status, of_a_watch_error_event_the_code_comes_from_the_body),
               T(kube_status, an_answer_that_is_no_status_is_judged_by_its_code));
}
