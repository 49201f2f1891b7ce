/* SPDX-License-Identifier: Apache-2.0 */
/* vclock.h - virtual time for tests: it is part of the program (kube/vclock.h). */
#include "kube/vclock.h"
