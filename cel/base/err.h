/* SPDX-License-Identifier: Apache-2.0 */
/* err.h - errors: the sign of a result tells who deals with it.
 *
 *   0         done
 *   negative  failed; err has the code and a text fit for a user; pass it up, adding where you were
 *   positive  an ordinary outcome that the function's comment names, for the direct caller only
 *
 * A text over KR_ERR_MAX bytes is cut and ends in "...".
 */
#ifndef KR_ERR_H
#define KR_ERR_H

#include "cel/base/mem.h"

KR_C_BEGIN

enum kr_code {
    KR_E_INPUT = -1,    /* the user's document is wrong; a retry cannot help */
    KR_E_API = -2,      /* the API server refused */
    KR_E_IO = -3,       /* connection, TLS or DNS; a retry may help */
    KR_E_LIMIT = -4,    /* a stated limit was reached */
    KR_E_CANCELED = -5, /* the owner gave up */
    KR_E_EVAL = -6,     /* an expression failed while it was evaluated */
};

enum { KR_ERR_MAX = 2048, KR_ERR_AT_MAX = 256 };

struct kr_err {
    int code;              /* enum kr_code; 0 as long as nothing failed */
    uint32_t n;            /* bytes of text */
    char text[KR_ERR_MAX]; /* NUL-terminated; never holds a secret */
    char at
        [KR_ERR_AT_MAX]; /* where in the user's document, when the text does not say; cut when longer */
};

#define KR_ERR_NONE                                                                                \
    {                                                                                              \
        .code = 0, .n = 0, .text = "", .at = ""                                                    \
    }

/* Sets code and text; returns code. err may be NULL (the caller does not care for the text). */
int kr_fail(struct kr_err *err, int code, const char *fmt, ...) KR_PRINTF(3, 4);
/* Puts "context: " in front of the text; returns the code already set (KR_E_INPUT when err is
 * NULL). */
int kr_wrap(struct kr_err *err, const char *fmt, ...) KR_PRINTF(2, 3);
/* Says where, unless somebody further down has; returns the code already set. */
int kr_err_at(struct kr_err *err, const char *fmt, ...) KR_PRINTF(2, 3);
static inline kr_str kr_err_str(const struct kr_err *err)
{
    return (kr_str){err->text, err->n};
}

/* Passes a failure up. The one macro that hides a return; only for calls without positive
 * outcomes. */
#define KR_TRY(call)                                                                               \
    do {                                                                                           \
        int rc_try_ = (call);                                                                      \
        if (rc_try_ < 0)                                                                           \
            return rc_try_;                                                                        \
    } while (0)

KR_C_END

#endif
