/* SPDX-License-Identifier: Apache-2.0 */
/* json_fuzz.c - the JSON reader and writer.
 *
 * First byte: how the rest is cut into chunks. The outcome must not depend on that. What was read
 * is written and read again: that settles at once.
 */
#include "cel/base/json.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { TEXT_MAX = 64 * 1024 * 1024 };

static const char *const skip[] = {"metadata.managedFields", "items.metadata.managedFields", NULL};

/* Writes v into out, reads that back. Lives in a. */
static kr_val round_trip(struct kr_arena *a, kr_val v, struct kr_buf *out)
{
    struct kr_err err = KR_ERR_NONE;
    kr_val back = KR_V_NONE;
    int rc = kr_json_write(out, v, 0, &err);

    KR_ASSERT(rc == 0);
    rc = kr_json_parse(a, kr_buf_view(out), &back, &err);
    KR_ASSERT(rc == 0);
    return back;
}

/* The first trip may turn a double without fraction into an integer; the second changes nothing. */
static int write_and_read(kr_val v, struct kr_buf *out)
{
    KR_AUTO(kr_arena) a = {0};
    KR_AUTO(kr_buf) first = KR_BUF(TEXT_MAX);
    KR_AUTO(kr_buf) once = KR_BUF(TEXT_MAX);
    KR_AUTO(kr_buf) twice = KR_BUF(TEXT_MAX);
    kr_val w = round_trip(&a, v, &first);
    kr_val x = round_trip(&a, w, &once);

    round_trip(&a, x, &twice);
    KR_ASSERT(kr_equal(w, x) && kr_digest(w) == kr_digest(x));
    KR_ASSERT(kr_str_eq(kr_buf_view(&once), kr_buf_view(&twice)));
    kr_buf_str(out, kr_buf_view(&once));
    kr_buf_chr(out, '\n');
    return 0;
}

static int on_value(void *arg, struct kr_arena *a, kr_val v, struct kr_err *err)
{
    return write_and_read(v, arg);
}

/* Everything that came out; 0 bytes a chunk means all at once. Returns the code. */
static int run(kr_str s, size_t chunk, struct kr_buf *out)
{
    const struct kr_json_opts opts = {
        .skip = skip, .split = "items", .on_doc = on_value, .on_item = on_value, .arg = out};
    KR_AUTO_PTR(kr_json) j = kr_json_new(&opts);
    struct kr_err err = KR_ERR_NONE;
    int rc = 0;

    while (s.n && rc == 0) {
        kr_str part = kr_str_sub(s, 0, chunk ? chunk : s.n);

        rc = kr_json_feed(j, part.s, part.n, &err);
        s = kr_str_sub(s, part.n, s.n);
    }
    if (rc == 0)
        rc = kr_json_end(j, &err);
    KR_ASSERT((rc == 0) == (err.code == 0));
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    kr_str s = {(const char *)data, n};
    KR_AUTO(kr_buf) whole = KR_BUF(TEXT_MAX);
    KR_AUTO(kr_buf) parts = KR_BUF(TEXT_MAX);
    size_t chunk;
    int rc, rc_parts;

    if (n == 0)
        return 0;
    chunk = 1 + data[0] % 32;
    s = kr_str_sub(s, 1, n);
    rc = run(s, 0, &whole);
    rc_parts = run(s, chunk, &parts);
    KR_ASSERT(rc == rc_parts);
    KR_ASSERT(kr_str_eq(kr_buf_view(&whole), kr_buf_view(&parts)));
    return 0;
}
