/* SPDX-License-Identifier: Apache-2.0 */
/* err.c - error texts: set, put in front, cut with "..." when too long. */
#include "cel/base/err.h"

#include <stdarg.h>
#include <stdio.h>

#include "cel/base/banned.h"
#include "cel/base/utf8.h"

static const char dots[] = "...";

/* n bytes were wanted; when they did not fit, the text is cut in front of a code point. */
static void close_text(struct kr_err *err, size_t n)
{
    size_t keep = KR_ERR_MAX - sizeof(dots);

    if (n < KR_ERR_MAX) {
        err->n = (uint32_t)n;
        return;
    }
    while (keep > 0 && ((uint8_t)err->text[keep] & 0xC0) == 0x80)
        keep--;
    memcpy(err->text + keep, dots, sizeof(dots));
    err->n = (uint32_t)(keep + sizeof(dots) - 1);
}

int kr_fail(struct kr_err *err, int code, const char *fmt, ...)
{
    va_list ap;
    int n;

    KR_ASSERT(code < 0);
    if (!err)
        return code;
    va_start(ap, fmt);
    n = vsnprintf(err->text, sizeof(err->text), fmt, ap);
    va_end(ap);
    KR_ASSERT(n >= 0);
    err->code = code;
    err->at[0] = 0;
    close_text(err, (size_t)n);
    return code;
}

int kr_wrap(struct kr_err *err, const char *fmt, ...)
{
    char old[KR_ERR_MAX];
    va_list ap;
    size_t n;
    int context_n;

    if (!err)
        return KR_E_INPUT;
    KR_ASSERT(err->code < 0);
    memcpy(old, err->text, err->n);
    va_start(ap, fmt);
    context_n = vsnprintf(err->text, sizeof(err->text), fmt, ap);
    va_end(ap);
    KR_ASSERT(context_n >= 0);
    n = (size_t)context_n + 2 + err->n;
    for (size_t at = (size_t)context_n, i = 0; at < KR_ERR_MAX - 1 && i < 2 + (size_t)err->n;
         at++, i++)
        err->text[at] = i < 2 ? ": "[i] : old[i - 2];
    err->text[n < KR_ERR_MAX ? n : KR_ERR_MAX - 1] = 0;
    close_text(err, n);
    return err->code;
}

int kr_err_at(struct kr_err *err, const char *fmt, ...)
{
    va_list ap;

    if (!err)
        return KR_E_INPUT;
    KR_ASSERT(err->code < 0);
    if (err->at[0])
        return err->code;
    va_start(ap, fmt);
    vsnprintf(err->at, sizeof(err->at), fmt, ap);
    va_end(ap);
    return err->code;
}
