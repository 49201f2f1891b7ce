/* SPDX-License-Identifier: Apache-2.0 */
/* near.h - which of the right names did the user mean? By edit distance (Levenshtein, neighbours
 * that changed places count once, and a wrong case costs less than a wrong letter).
 *
 *   struct kr_near near = {.word = wrong};
 *   for each name: kr_near_try(&near, name);
 *   if (near.best.n) "did you mean near.best?"
 */
#ifndef KR_NEAR_H
#define KR_NEAR_H

#include "cel/base/str.h"

enum { KR_NEAR_MAX = 64 }; /* bytes; longer words are not compared */

struct kr_near {
    kr_str word;
    kr_str best; /* borrowed; empty: none is near enough */
    uint32_t cost;
};
/* Of names equally near the first tried wins. Near enough: at most a third of the name is wrong. */
void kr_near_try(struct kr_near *near, kr_str name);

#endif
