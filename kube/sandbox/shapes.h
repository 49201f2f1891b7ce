/* SPDX-License-Identifier: Apache-2.0 */
/* shapes.h - the tables of rules.h: which rules the values of built-in kinds have to keep. */
#ifndef SANDBOX_SHAPES_H
#define SANDBOX_SHAPES_H

#include "kube/sandbox/rules.h"

/* NULL: there are no rules for the kind. */
const struct sandbox_shape *sandbox_shape_of(kr_str kind);

/* Is a Service reached from outside of the cluster? */
bool sandbox_service_is_open(kr_val spec);

/* The specs of pods, which differ in how they may be started again. pods.c */
extern const struct sandbox_shape sandbox_pod_spec, /* of a Pod */
    sandbox_pod_template,                           /* that runs for ever: of a Deployment */
    sandbox_pod_named_template, /* of a StatefulSet, which sets hostname and subdomain itself */
    sandbox_pod_job_template;   /* that ends */

#endif
