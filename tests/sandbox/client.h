/* SPDX-License-Identifier: Apache-2.0 */
/* client.h - requests to a sandbox in this process, in virtual time. */
#ifndef SANDBOX_TEST_CLIENT_H
#define SANDBOX_TEST_CLIENT_H

#include "kube/sandbox/sandbox.h"
#include "tests/lib/test.h"
#include "tests/lib/vclock.h"

struct client {
    struct vclock clock;
    struct sandbox *s;
    struct kr_arena a; /* of the answers */
    int status;
    kr_val body;
};

void client_open(struct client *c, const struct sandbox_opts *opts);
void client_close(struct client *c);
/* One request; body is JSON or YAML, NULL: none. A PATCH whose path has "fieldManager=" and no other
 * type is an apply. Returns the status; c->body is the answer. */
int client_do(struct client *c, const char *method, const char *path, const char *body);
/* The same as a patch of that type: "merge", "json", "strategic-merge", or "apply". */
int client_patch(struct client *c, const char *type, const char *path, const char *body);
kr_str client_at(struct client *c, const char *path); /* a text of the answer */
/* Opens a watch; fails the test if it is refused. */
struct sandbox_watch *client_watch(struct client *c, const char *path);
/* What the watch has to say: "ADDED a, DELETED b" and so on; lives in the client. */
const char *client_events(struct client *c, struct sandbox_watch *w);

#endif
