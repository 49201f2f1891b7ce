/* SPDX-License-Identifier: Apache-2.0 */
/* yaml_write.h - values as YAML, laid out as kubectl prints them.
 *
 * Block style, two blanks a level, items of a list at the column of their key, maps in key order,
 * texts of several lines as literal blocks, no line folded. A text that would be read as something
 * else without quotes gets them: also where only other readers of YAML 1.1 would (dates, 1:30).
 *
 * What is written reads back (kr_yaml_parse) as a value with the same JSON text: a double without a
 * fraction as the integer that its digits are.
 *
 * Source: sigs.k8s.io/yaml Marshal, go-yaml v2 encode.go.
 */
#ifndef KR_YAML_WRITE_H
#define KR_YAML_WRITE_H

#include "cel/base/buf.h"
#include "cel/base/val.h"

/* Appends v as one document without "---". KR_E_INPUT: a kind that JSON does not have, a double that
 * is NaN or infinite, a text that is not UTF-8; KR_E_LIMIT: deeper than KR_YAML_DEPTH_MAX. */
KR_MUST int kr_yaml_write(struct kr_buf *b, kr_val v, struct kr_err *err);

#endif
