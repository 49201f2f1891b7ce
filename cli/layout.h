/* SPDX-License-Identifier: Apache-2.0 */
/* layout.h - one layout for definitions: `kroc fmt`.
 *
 * What it sets: two blanks a level, lists one level deeper than their key, one blank behind ":" and
 * before a comment, at most one empty line in a row and none at the beginning of a block; the keys
 * of a definition in the order of its CRD (schema before resources, id first, template last; of a
 * Kubernetes object apiVersion, kind, metadata first). All other keys stay in the author's order:
 * the fields of a schema, of a status, of a template.
 *
 * What it keeps: every comment, with the entry it stands above, behind, or below; the way each scalar
 * and each flow collection is written; anchors and aliases; document marks.
 *
 * It never changes what a file means: the result is read and compared with the input, values and
 * comments, before it is given. Where keys cannot change places (an alias would come before its
 * anchor), they stay; where nothing can be done, it is an error.
 */
#ifndef CLI_LAYOUT_H
#define CLI_LAYOUT_H

#include "cel/base/err.h"

/* *out lives in a. KR_E_INPUT: no YAML, or a form that cannot be laid out ("? key", %directives). */
KR_MUST int cli_layout(struct kr_arena *a, kr_str text, kr_str *out, struct kr_err *err);

#endif
