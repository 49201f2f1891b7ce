/* SPDX-License-Identifier: Apache-2.0 */
/* status.c - what a metav1.Status, or an HTTP status alone, means to us.
 *
 * Source: apimachinery pkg/apis/meta/v1 (StatusReason), pkg/api/errors NewGenericServerResponse
 * (the texts for answers that are no metav1.Status, as a proxy in between gives them).
 */
#include "kube/client.h"

static const struct {
    const char *text;
    enum kube_reason reason;
} reasons[] = {
    {"NotFound", KUBE_R_NOT_FOUND},        {"AlreadyExists", KUBE_R_ALREADY_EXISTS},
    {"Conflict", KUBE_R_CONFLICT},         {"Gone", KUBE_R_GONE},
    {"Expired", KUBE_R_EXPIRED},           {"Invalid", KUBE_R_INVALID},
    {"BadRequest", KUBE_R_BAD_REQUEST},    {"Forbidden", KUBE_R_FORBIDDEN},
    {"Unauthorized", KUBE_R_UNAUTHORIZED}, {"TooManyRequests", KUBE_R_TOO_MANY},
    {"Timeout", KUBE_R_TIMEOUT},           {"ServerTimeout", KUBE_R_TIMEOUT},
    {"InternalError", KUBE_R_INTERNAL},
};

/* clang-format off */
static const struct generic {
    int status;
    enum kube_reason reason;
    const char *text;
    const char *message;
} generics[] = {
    {400, KUBE_R_BAD_REQUEST,  "BadRequest",            "the server rejected our request for an unknown reason"},
    {401, KUBE_R_UNAUTHORIZED, "Unauthorized",          "the server has asked for the client to provide credentials"},
    {403, KUBE_R_FORBIDDEN,    "Forbidden",             "the server refused the request"},
    {404, KUBE_R_NOT_FOUND,    "NotFound",              "the server could not find the requested resource"},
    {405, KUBE_R_OTHER,        "MethodNotAllowed",      "the server does not allow this method on the requested resource"},
    {406, KUBE_R_OTHER,        "NotAcceptable",         "the server was unable to respond with a content type that the client supports"},
    {409, KUBE_R_CONFLICT,     "Conflict",              "the server reported a conflict"},
    {410, KUBE_R_GONE,         "Gone",                  "the requested version is gone"},
    {413, KUBE_R_OTHER,        "RequestEntityTooLarge", "the request is too large"},
    {415, KUBE_R_OTHER,        "UnsupportedMediaType",  "the server does not support the media type of the request"},
    {422, KUBE_R_INVALID,      "Invalid",               "the server rejected our request due to an error in our request"},
    {429, KUBE_R_TOO_MANY,     "TooManyRequests",       "the server has received too many requests and has asked us to try again later"},
    {500, KUBE_R_INTERNAL,     "InternalError",         "an error on the server has prevented the request from succeeding"},
    {503, KUBE_R_OTHER,        "ServiceUnavailable",    "the server is currently unable to handle the request"},
    {504, KUBE_R_TIMEOUT,      "Timeout",               "the server was unable to return a response in the time allotted, but may still be processing the request"},
    {0,   KUBE_R_OTHER,        "Unknown",               "the server gave no reason"},
};
/* clang-format on */

static const struct generic *generic_of(int status)
{
    const struct generic *g = generics;

    while (g->status != 0 && g->status != status)
        g++;
    return g;
}

static enum kube_reason reason_of(kr_str text, int status)
{
    for (size_t i = 0; i < KR_N(reasons); i++)
        if (kr_str_eq(text, kr_str_c(reasons[i].text)))
            return reasons[i].reason;
    return text.n > 0 ? KUBE_R_OTHER : generic_of(status)->reason;
}

int kube_status_error(kr_val body, int http_status, enum kube_reason *reason, struct kr_err *err)
{
    bool is_status = kr_is_str(kr_get(body, KR_S("kind")), KR_S("Status"));
    kr_str why = is_status ? kr_at_str(body, "reason") : (kr_str){0};
    kr_str message = is_status ? kr_at_str(body, "message") : (kr_str){0};
    kr_val code = is_status ? kr_get(body, KR_S("code")) : KR_V_NONE;
    int status = code.kind == KR_INT && code.i >= 100 && code.i <= 999 ? (int)code.i : http_status;
    const struct generic *g = generic_of(status);

    if (reason != NULL)
        *reason = reason_of(why, status);
    if (why.n == 0)
        why = kr_str_c(g->text);
    if (message.n == 0)
        message = kr_str_c(g->message);
    return kr_fail(err, KR_E_API, "%d " KR_FMT ": " KR_FMT, status, KR_ARG(why), KR_ARG(message));
}
