/* SPDX-License-Identifier: Apache-2.0 */
/* near.c - see near.h. Three rows of the distance matrix are kept: two letters that changed places
 * are one mistake.
 */
#include "cel/base/near.h"

#include "cel/base/banned.h"

enum { LETTER = 4, CASE = 1 }; /* what a wrong letter costs, and one in the wrong case */

static uint32_t less(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static uint32_t change(char a, char b)
{
    if (a == b)
        return 0;
    return lower(a) == lower(b) ? CASE : LETTER;
}

/* Optimal string alignment. */
static uint32_t distance(kr_str a, kr_str b)
{
    uint32_t rows[3][KR_NEAR_MAX + 1];
    uint32_t *row = rows[0], *up = rows[1], *upper = rows[2], *spare;

    for (uint32_t j = 0; j <= b.n; j++)
        row[j] = j * LETTER;
    for (uint32_t i = 1; i <= a.n; i++) {
        spare = upper;
        upper = up;
        up = row;
        row = spare;
        row[0] = i * LETTER;
        for (uint32_t j = 1; j <= b.n; j++) {
            row[j] =
                less(up[j - 1] + change(a.s[i - 1], b.s[j - 1]), less(up[j], row[j - 1]) + LETTER);
            if (i > 1 && j > 1 && a.s[i - 1] == b.s[j - 2] && a.s[i - 2] == b.s[j - 1])
                row[j] = less(row[j], upper[j - 2] + LETTER);
        }
    }
    return row[b.n];
}

void kr_near_try(struct kr_near *near, kr_str name)
{
    uint32_t d;

    if (near->word.n == 0 || near->word.n > KR_NEAR_MAX || name.n == 0 || name.n > KR_NEAR_MAX)
        return;
    d = distance(near->word, name);
    if (d > LETTER * (uint32_t)((name.n + 1) / 3) || (near->best.n && d >= near->cost))
        return;
    near->best = name;
    near->cost = d;
}
