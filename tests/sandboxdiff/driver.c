/* SPDX-License-Identifier: Apache-2.0 */
/* driver.c - the sandbox behind a pipe, for the differential test.
 *
 * A line in: {"method", "path", "type", "agent", "accept", "body"}; a line out: {"code", "body", "warnings"}. The body of a
 * watch is the text of the events there are. Time stands still but for what is due at once, so equal
 * lines give equal answers.
 */
#include <stdio.h>
#include <stdlib.h>

#include "cel/base/json.h"
#include "kube/sandbox/sandbox.h"
#include "tests/lib/vclock.h"

#include "cel/base/banned.h"

static void answer(struct sandbox *s, kr_str line)
{
    KR_AUTO(kr_arena) a = {0};
    struct sandbox_response r = {0};
    struct kr_err err = KR_ERR_NONE;
    struct kr_mapb b = KR_MAPB(&a);
    struct kr_listb warnings = KR_LISTB(&a);
    kr_val q, body = KR_V_NULL;

    if (kr_json_parse(&a, line, &q, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        exit(2);
    }
    struct sandbox_request request = {
        .method = kr_cstr(&a, kr_at_str(q, "method")),
        .path = kr_at_str(q, "path"),
        .body = kr_at_str(q, "body"),
        .content_type = kr_at_str(q, "type"),
        .accept = kr_at_str(q, "accept"),
        .user_agent = kr_at_str(q, "agent"),
    };
    sandbox_serve(s, &request, &r);
    if (r.watch) {
        sandbox_watch_read(r.watch, &r.body, SANDBOX_RESPONSE_MAX);
        sandbox_watch_close(r.watch);
    }
    if (kr_json_parse(&a, kr_buf_view(&r.body), &body, NULL) < 0)
        body = kr_string(kr_buf_view(&r.body));
    for (uint32_t i = 0; i < r.warnings_n; i++)
        kr_listb_add(&warnings, kr_string(r.warnings[i]));
    kr_mapb_put(&b, KR_S("warnings"), kr_listb_done(&warnings));
    kr_mapb_put(&b, KR_S("code"), kr_int(r.status));
    kr_mapb_put(&b, KR_S("body"), body);
    puts(kr_cstr(&a, kr_json_str(&a, kr_mapb_done(&b))));
    fflush(stdout);
    sandbox_response_fini(&r);
}

int main(void)
{
    struct vclock clock;
    const struct sandbox_opts opts = {.bare = true};
    struct sandbox *s;
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;

    vclock_init(&clock);
    s = sandbox_new(&clock.door, &opts);
    while ((n = getline(&line, &cap, stdin)) > 0) {
        answer(s, (kr_str){line, (size_t)n});
        for (int i = 0; i < 1000 && !sandbox_idle(s) && (vclock_run(&clock) || vclock_step(&clock));
             i++)
            continue;
    }
    free(line);
    sandbox_free(s);
    vclock_fini(&clock);
    return 0;
}
