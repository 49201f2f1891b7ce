/* SPDX-License-Identifier: Apache-2.0 */
/* names.h - every label, annotation, finalizer, field manager, condition type and reason, once.
 *
 * Same names as kro: pkg/metadata, pkg/controller/instance/applyset, api/v1alpha1.
 */
#ifndef GRAPH_NAMES_H
#define GRAPH_NAMES_H

#define GRAPH_FINALIZER "kro.run/finalizer"

#define GRAPH_MANAGER_LABELLER "kro.run/labeller"
#define GRAPH_MANAGER_PARENT "kro.run/applyset-parent"
#define GRAPH_MANAGER_CHILD "kro.run/applyset"

#define GRAPH_LABEL_OWNED "kro.run/owned"
#define GRAPH_LABEL_VERSION "kro.run/kro-version"
#define GRAPH_LABEL_RGD_ID "kro.run/resource-graph-definition-id"
#define GRAPH_LABEL_RGD_NAME "kro.run/resource-graph-definition-name"
#define GRAPH_LABEL_HASH "kro.run/graph-revision-hash"
#define GRAPH_LABEL_NODE "kro.run/node-id"
#define GRAPH_LABEL_ITEM "kro.run/collection-index"
#define GRAPH_LABEL_SIZE "kro.run/collection-size"
#define GRAPH_LABEL_INSTANCE_ID "kro.run/instance-id"
#define GRAPH_LABEL_INSTANCE_NAME "kro.run/instance-name"
#define GRAPH_LABEL_INSTANCE_NAMESPACE "kro.run/instance-namespace"
#define GRAPH_LABEL_INSTANCE_GROUP "kro.run/instance-group"
#define GRAPH_LABEL_INSTANCE_VERSION "kro.run/instance-version"
#define GRAPH_LABEL_INSTANCE_KIND "kro.run/instance-kind"
#define GRAPH_LABEL_MANAGED_BY "app.kubernetes.io/managed-by"
#define GRAPH_MANAGED_BY "kro"

#define GRAPH_LABEL_SET_ID "applyset.kubernetes.io/id"
#define GRAPH_LABEL_PART_OF "applyset.kubernetes.io/part-of"
#define GRAPH_ANNO_TOOLING "applyset.kubernetes.io/tooling"
#define GRAPH_ANNO_KINDS "applyset.kubernetes.io/contains-group-kinds"
#define GRAPH_ANNO_NAMESPACES "applyset.kubernetes.io/additional-namespaces"
#define GRAPH_ANNO_HASH "internal.kro.run/applyset-inventory-hash"
#define GRAPH_ANNO_ORDER "internal.kro.run/apply-order"
#define GRAPH_ANNO_RECONCILE "kro.run/reconcile"
/* Ours: kro ignores them. See docs/roll.md. */
#define GRAPH_ANNO_ROLL_DEBOUNCE "kroc.run/roll-debounce"
#define GRAPH_ANNO_ROLL_MAX "kroc.run/roll-max-concurrent"
#define GRAPH_ANNO_ROLL_PAUSE "kroc.run/roll-pause"
/* With --shards alone: the instance's bucket, on the instance. See docs/scale.md. */
#define GRAPH_LABEL_BUCKET "kroc.run/bucket"
#define GRAPH_ANNO_BREAKING "kro.run/allow-breaking-changes"

#define GRAPH_GROUP "kro.run"
#define GRAPH_GROUP_INTERNAL "internal.kro.run"
#define GRAPH_VERSION "v1alpha1"

/* Instance conditions: root, then dependents in kro's order. */
#define GRAPH_C_READY "Ready"
#define GRAPH_C_MANAGED "InstanceManaged"
#define GRAPH_C_RESOLVED "GraphResolved"
#define GRAPH_C_RESOURCES "ResourcesReady"

/* Definition conditions. */
#define GRAPH_C_REVISIONS "GraphRevisionsResolved"
#define GRAPH_C_ACCEPTED "GraphAccepted"
#define GRAPH_C_KIND "KindReady"
#define GRAPH_C_CONTROLLER "ControllerReady"
#define GRAPH_C_VERIFIED "GraphVerified"

#define GRAPH_R_AWAITING "AwaitingReconciliation"

#endif
