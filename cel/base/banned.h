/* SPDX-License-Identifier: Apache-2.0 */
/* banned.h - functions that do not compile here: each has a bounded or reentrant twin. */
#ifndef KR_BANNED_H
#define KR_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#undef alloca /* a macro in glibc; the name is what is banned */
#pragma GCC poison strcpy strcat sprintf vsprintf strtok atoi atol atof gmtime localtime ctime     \
    alloca

#endif
