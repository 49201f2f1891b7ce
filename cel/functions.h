/* SPDX-License-Identifier: Apache-2.0 */
/* functions.h - prototypes of the implementations that functions.def names. */
#ifndef CEL_FUNCTIONS_H
#define CEL_FUNCTIONS_H

#include "cel/internal.h"

/* Programs that link the library see cel__fn_x, so that a name of theirs may be fn_x. */
#define CEL_FUNCTION(lib, name, style, id, signature, impl, flags, help)                           \
    cel__impl impl __asm__("cel__" #impl);
#include "cel/functions.def"
#undef CEL_FUNCTION

#endif
