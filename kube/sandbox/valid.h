/* SPDX-License-Identifier: Apache-2.0 */
/* valid.h - the rules of built-in types. Those about values are tables (shapes.h); here are those about a
 * change, selectors, and what is in ConfigMaps and Secrets.
 *
 * Pure; the list lives in a. The causes are {reason, message, field} with the server's words.
 *
 * Source: kubernetes pkg/apis/{core,apps}/validation.
 */
#ifndef SANDBOX_VALID_H
#define SANDBOX_VALID_H

#include "cel/base/val.h"

/* What is wrong with next of that kind, which replaces old (KR_NONE: nothing). Empty: nothing is. */
kr_val sandbox_valid_causes(struct kr_arena *a, kr_str kind, kr_val old, kr_val next);

#endif
