/* SPDX-License-Identifier: Apache-2.0 */
/* words.h - what texts of Kubernetes must look like, and the server's words where they do not.
 *
 * Pure. Source: apimachinery pkg/util/validation.
 */
#ifndef SANDBOX_WORDS_H
#define SANDBOX_WORDS_H

#include "cel/base/str.h"

enum {
    SANDBOX_FAULTS_MAX = 5, /* of one text; as many as the name of a port can have */
    SANDBOX_LABEL_BYTES_MAX = 63,
    SANDBOX_NAME_BYTES_MAX = 253,
};

enum sandbox_word {
    SANDBOX_SUBDOMAIN,      /* "a.b-c" */
    SANDBOX_LABEL,          /* the same without dots */
    SANDBOX_KEY,            /* "[a.b/]Name_1" */
    SANDBOX_ANNOTATION_KEY, /* the same; "A.b/Name_1" too */
    SANDBOX_LABEL_VALUE,    /* "Name_1", or nothing */
    SANDBOX_CONFIG_KEY,     /* "name.txt" */
    SANDBOX_PORT_NAME,      /* "http-1": 15 letters, digits and hyphens */
    SANDBOX_ENV_NAME,       /* printable, without "=" */
    SANDBOX_SEGMENT,        /* of a path */
};

/* How many faults s has as such a word, and their texts, which are static. */
uint32_t sandbox_word_faults(enum sandbox_word word, kr_str s,
                             const char *faults[SANDBOX_FAULTS_MAX]);
/* The first of them; NULL: it has none. */
const char *sandbox_word_fault(enum sandbox_word word, kr_str s);

#endif
