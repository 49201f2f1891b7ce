/* SPDX-License-Identifier: Apache-2.0 */
/* fmt.c - printf for texts that are put together from texts.
 *
 * Nine of ten formats of this program have no conversions but %s and %.*s: they join names. The C
 * library makes a stream for each of them; here it is a few copies. All other formats are its own.
 */
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>

#include "cel/base/internal.h"

#include "cel/base/banned.h"

/* What the next piece of *fmt says: literal bytes, or the text of a conversion. False: it is one of
 * those that are left to the C library. */
static bool next_piece(const char **fmt, va_list *ap, kr_str *piece)
{
    const char *f = *fmt;
    int max;

    if (f[0] != '%') {
        *piece = (kr_str){f, (size_t)(strchrnul(f, '%') - f)};
        *fmt += piece->n;
        return true;
    }
    if (f[1] == 's') {
        piece->s = va_arg(*ap, const char *);
        piece->n = piece->s ? strlen(piece->s) : 0;
        *fmt += 2;
        return piece->s != NULL;
    }
    if (f[1] != '.' || f[2] != '*' || f[3] != 's')
        return false;
    max = va_arg(*ap, int);
    piece->s = va_arg(*ap, const char *);
    *fmt += 4;
    if (max < 0 || (max > 0 && !piece->s))
        return false;
    piece->n = max ? strnlen(piece->s, (size_t)max) : 0;
    return true;
}

/* Like vsnprintf; -1: fmt has other conversions. */
static int join(char *out, size_t cap, const char *fmt, va_list *ap)
{
    size_t n = 0;
    kr_str piece;

    while (*fmt) {
        if (!next_piece(&fmt, ap, &piece) || piece.n >= INT_MAX - n)
            return -1;
        if (n < cap && piece.n)
            memcpy(out + n, piece.s, piece.n < cap - n ? piece.n : cap - n);
        n += piece.n;
    }
    if (cap)
        out[n < cap ? n : cap - 1] = '\0';
    return (int)n;
}

int kr__format(char *out, size_t cap, const char *fmt, va_list ap)
{
    va_list again;
    int n;

    va_copy(again, ap);
    n = join(out, cap, fmt, &again);
    va_end(again);
    return n < 0 ? vsnprintf(out, cap, fmt, ap) : n;
}
