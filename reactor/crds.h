/* SPDX-License-Identifier: Apache-2.0 */
/* crds.h - kro's two CRDs as YAML, as deploy/crds has them: for `kroc crds`, and for the doctor, which
 * compares them with those of the cluster. Made at build by embed.cmake. */
#ifndef REACTOR_CRDS_H
#define REACTOR_CRDS_H

extern const char reactor_crd_definitions[];
extern const char reactor_crd_revisions[];

#endif
