/* SPDX-License-Identifier: Apache-2.0 */
/* sandbox_request_fuzz.c - requests on the sandbox: bodies, patches, selectors, paths.
 *
 *   METHOD PATH
 *   content type, and behind a tab what is accepted
 *   body, up to a line "---"; then the next request
 */
#include <stdlib.h>

#include "kube/sandbox/sandbox.h"
#include "tests/fuzz/still_clock.h"

#include "cel/base/banned.h"

enum { REQUESTS_MAX = 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void serve(struct sandbox *s, kr_str text)
{
    KR_AUTO(kr_arena) a = {0};
    struct sandbox_response r = {0};
    kr_str line = kr_str_cut(&text, '\n'), accept = kr_str_cut(&text, '\n'),
           type = kr_str_cut(&accept, '\t');
    struct sandbox_request q = {.method = kr_cstr(&a, kr_str_cut(&line, ' ')),
                                .path = line,
                                .body = text,
                                .content_type = type,
                                .accept = accept.n ? accept : KR_S("application/json"),
                                .user_agent = KR_S("fuzz/1")};

    sandbox_serve(s, &q, &r);
    KR_ASSERT(r.status >= 100 && r.status < 600);
    sandbox_watch_close(r.watch);
    r.watch = NULL;
    sandbox_response_fini(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct kube_clock clock = {&still_clock_ops};
    const struct sandbox_opts opts = {.bare = true};
    kr_str rest = {(const char *)data, n};
    struct sandbox *s;

    if (n > 64 * 1024)
        return 0;
    s = sandbox_new(&clock, &opts);
    for (int i = 0; i < REQUESTS_MAX && rest.n > 0; i++) {
        ptrdiff_t end = kr_str_find(rest, KR_S("\n---\n"));

        serve(s, end < 0 ? rest : kr_str_sub(rest, 0, (size_t)end));
        rest = end < 0 ? (kr_str){0} : kr_str_sub(rest, (size_t)end + 5, rest.n);
    }
    sandbox_free(s);
    return 0;
}
