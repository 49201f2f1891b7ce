/* SPDX-License-Identifier: Apache-2.0 */
/* work.h - what the sandbox does beside requests: definitions become types, owners take their
 * dependents along, namespaces end, workloads become ready.
 *
 * A change of an object is told to these (sandbox__changed); what they will do is a task: a name of
 * an object and a time. A task looks at the object as it is then, so one that comes too often, or
 * too late, does nothing wrong. The same task is never listed twice.
 */
#ifndef SANDBOX_WORK_H
#define SANDBOX_WORK_H

#include "kube/sandbox/internal.h"

/*    name         function                     what it is about           */
#define SANDBOX_TASKS(T)                                                                           \
    T(DEFINITION, sandbox__definition_task) /* a CustomResourceDefinition */                       \
    T(SCHEMA, sandbox__schema_task)         /* one whose schema has changed */                     \
    T(DEPENDENT, sandbox__dependent_task)   /* an object with owners */                            \
    T(OWNER, sandbox__owner_task)           /* an object that waits for its dependents */          \
    T(NAMESPACE, sandbox__namespace_task)   /* a Namespace */                                      \
    T(STANDIN, sandbox__standin_task)       /* a workload */

enum sandbox_task {
#define T(name, fn) SANDBOX_TASK_##name,
    SANDBOX_TASKS(T)
#undef T
        SANDBOX_TASK_N
};
typedef void sandbox_task_fn(struct sandbox *s, struct sandbox_type *t, struct sandbox_obj *o);
#define T(name, fn) sandbox_task_fn fn;
SANDBOX_TASKS(T)
#undef T

/* Lists the task; it runs from the clock, if the object is still there. */
void sandbox__later(struct sandbox *s, enum sandbox_task task, struct sandbox_type *t, kr_str key,
                    uint32_t delay_ms);
void sandbox__work_free(struct sandbox *s);
uint32_t sandbox__tasks_n(const struct sandbox *s); /* that are not stand-ins' */

/* A change was stored; next is the value of now (or what it was when it went). */
void sandbox__changed(struct sandbox *s, struct sandbox_type *t, enum sandbox_change change,
                      struct sandbox_obj *old, struct sandbox_obj *now, kr_val next);
void sandbox__definition_changed(struct sandbox *s, struct sandbox_type *t,
                                 enum sandbox_change change, struct sandbox_obj *now, kr_val next);
void sandbox__owners_changed(struct sandbox *s, struct sandbox_type *t, enum sandbox_change change,
                             struct sandbox_obj *old, struct sandbox_obj *now, kr_val next);
void sandbox__owners_free(struct sandbox *s);
void sandbox__namespaces_changed(struct sandbox *s, struct sandbox_type *t,
                                 enum sandbox_change change, struct sandbox_obj *now, kr_val next);
void sandbox__standins_changed(struct sandbox *s, struct sandbox_type *t,
                               enum sandbox_change change, struct sandbox_obj *now, kr_val next);

/* Stores next in place of o as the server itself; what cannot be stored is not. */
void sandbox__put(struct sandbox *s, struct sandbox_type *t, struct sandbox_obj *o, kr_val next);
/* Creates an object as the server itself would, if it is not there: metadata that is lacking is
 * filled in. */
void sandbox__make(struct sandbox *s, struct sandbox_type *t, kr_val object);

/* UNSAID: in the background, unless a finalizer that is there says otherwise. */
enum sandbox_propagation { SANDBOX_UNSAID, SANDBOX_BACKGROUND, SANDBOX_FOREGROUND, SANDBOX_ORPHAN };
/* v as a deletion leaves it: with the finalizers that `how` means, and marked where finalizers keep it
 * (*kept). Lives in a. */
kr_val sandbox__ending(struct sandbox *s, struct kr_arena *a, const struct sandbox_type *t,
                       kr_val v, enum sandbox_propagation how, bool *kept);
/* Deletes o, or marks it where finalizers keep it. Returns what is there now (or was last), held;
 * *removed says which. */
struct sandbox_obj *sandbox__delete_obj(struct sandbox *s, struct sandbox_type *t,
                                        struct sandbox_obj *o, enum sandbox_propagation how,
                                        bool *removed);

/* --- options of writes; options.c ------------------------------------------------------------- */

/* Checks those of the query. kind: "CreateOptions", ... 0, or the status of the refusal. */
int sandbox__write_options(struct sandbox_call *c, const char *kind);

struct sandbox_delete_options {
    enum sandbox_propagation how;
    bool dry_run;
    kr_str uid, version; /* preconditions; empty: none */
};
/* Reads them from the body, or without one from the query. The same results. */
int sandbox__delete_options(struct sandbox_call *c, struct sandbox_delete_options *out);

#endif
