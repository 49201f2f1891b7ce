/* SPDX-License-Identifier: Apache-2.0 */
/* functions.h - prototypes of the implementations that functions.def names. */
#ifndef CEL_FUNCTIONS_H
#define CEL_FUNCTIONS_H

#include "cel/internal.h"

#define CEL_FUNCTION(lib, name, style, id, signature, impl, flags, help) cel__impl impl;
#include "cel/functions.def"
#undef CEL_FUNCTION

#endif
