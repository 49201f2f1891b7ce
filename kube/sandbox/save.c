/* SPDX-License-Identifier: Apache-2.0 */
/* save.c - all objects in a file, and back.
 *
 * The first line has the version, each other one a type and an object as it is stored; the last one
 * says how many there are, so that a file that was cut is refused. Definitions stand first: they
 * make the types of what follows. The file is written beside its place, flushed to the disk and
 * renamed, so a crash leaves the old one or the new one. A file that is no such is never replaced:
 * who cannot load must not save. A lock file keeps a second sandbox away; it is a third file, for
 * the other two change places at each save.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cel/base/json.h"
#include "kube/sandbox/work.h"

#include "cel/base/banned.h"

enum { FILE_MAX = 2000 * 1000 * 1000, FLUSH_BYTES = 1024 * 1024 };

/* --- writing ---------------------------------------------------------------------------------- */

static int flush(int fd, struct kr_buf *b, const char *path, struct kr_err *err)
{
    for (size_t at = 0; at < b->n;) {
        ssize_t n = write(fd, b->s + at, b->n - at);

        if (n < 0 && errno != EINTR)
            return kr_fail(err, KR_E_IO, "cannot write %s: %s", path, strerror(errno));
        at += n > 0 ? (size_t)n : 0;
    }
    kr_buf_reset(b);
    return 0;
}

/* Where to: a file, or (path NULL) nothing but the buffer. */
static int write_type(const struct sandbox_type *t, int fd, struct kr_buf *b, const char *path,
                      uint64_t *count, struct kr_err *err)
{
    for (struct sandbox_node *n = sandbox__tree_seek(&t->objects, KR_S("")); n;
         n = sandbox__node_next(n)) {
        kr_buf_fmt(b, "{\"type\":\"%s\",\"object\":", t->key);
        kr_buf_str(b, sandbox__obj_json(sandbox__node_obj(n)));
        kr_buf_fmt(b, "}\n");
        *count += 1;
        if (path && b->n >= FLUSH_BYTES)
            KR_TRY(flush(fd, b, path, err));
    }
    return 0;
}

static int write_all(struct sandbox *s, int fd, struct kr_buf *b, const char *path,
                     struct kr_err *err)
{
    struct sandbox_type *first =
        sandbox__type(s, KR_S("apiextensions.k8s.io"), KR_S("customresourcedefinitions"));
    uint64_t count = 0;

    kr_buf_fmt(b, "{\"version\":%" PRIu64 ",\"addresses\":%u}\n", s->version, s->address_n);
    KR_TRY(write_type(first, fd, b, path, &count, err));
    kr_map_each (e, &s->types) {
        if (e->val != first)
            KR_TRY(write_type(e->val, fd, b, path, &count, err));
    }
    kr_buf_fmt(b, "{\"objects\":%" PRIu64 "}\n", count);
    return path ? flush(fd, b, path, err) : 0;
}

void sandbox_text(struct sandbox *s, struct kr_buf *out)
{
    int rc = write_all(s, -1, out, NULL, NULL);

    KR_ASSERT(rc == 0); /* nothing is written to a file */
}

/* A new name is safe from a power cut once its folder is on the disk. What the file system cannot do is let be. */
static void sync_folder(struct kr_arena *a, const char *path)
{
    const char *slash = strrchr(path, '/');
    kr_str folder = slash ? kr_str_sub(kr_str_c(path), 0, (size_t)(slash - path) + 1) : KR_S(".");
    int fd = open(kr_cstr(a, folder), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return;
    fsync(fd);
    close(fd);
}

int sandbox_save(struct sandbox *s, const char *path, struct kr_err *err)
{
    KR_AUTO(kr_arena) a = {0};
    KR_AUTO(kr_buf) b = KR_BUF(SANDBOX_RESPONSE_MAX);
    const char *beside = kr_cstr(&a, kr_fmt(&a, "%s.new", path));
    int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), rc;

    if (fd < 0)
        return kr_fail(err, KR_E_IO, "cannot write %s: %s", beside, strerror(errno));
    rc = write_all(s, fd, &b, beside, err);
    if (rc == 0 && fsync(fd) < 0)
        rc = kr_fail(err, KR_E_IO, "cannot write %s: %s", beside, strerror(errno));
    close(fd);
    if (rc == 0 && rename(beside, path) < 0)
        rc = kr_fail(err, KR_E_IO, "cannot write %s: %s", path, strerror(errno));
    if (rc < 0)
        unlink(beside);
    else
        sync_folder(&a, path);
    return rc;
}

/* --- reading ---------------------------------------------------------------------------------- */

struct loading {
    struct sandbox *s;
    uint64_t version, count;
    bool begun, ended;
};

static struct sandbox_type *type_of_key(struct sandbox *s, kr_str key)
{
    return kr_map_get(&s->types, key);
}

static int read_object(struct loading *l, struct kr_arena *a, kr_val line, struct kr_err *err)
{
    struct sandbox_type *t = type_of_key(l->s, kr_at_str(line, "type"));
    kr_val v = kr_get(line, KR_S("object"));
    struct sandbox_obj *o = NULL;
    uint64_t version;

    if (t == NULL || !kr_str_u64(kr_at_str(v, "metadata.resourceVersion"), &version) ||
        version == 0)
        return kr_fail(err, KR_E_INPUT, "an object of an unknown type, or without a version");
    l->s->version = version - 1; /* so that it comes back under its own */
    KR_TRY(sandbox__commit(
        l->s, t,
        sandbox__find(t, kr_at_str(v, "metadata.namespace"), kr_at_str(v, "metadata.name")), v,
        false, &o, err));
    sandbox__obj_drop(o);
    l->count++;
    return 0;
}

static int on_line(void *arg, struct kr_arena *a, kr_val line, struct kr_err *err)
{
    struct loading *l = arg;
    kr_val count = kr_get(line, KR_S("objects")), version = kr_get(line, KR_S("version"));

    if (!l->begun && version.kind == KR_INT) {
        l->begun = true;
        l->version = (uint64_t)version.i;
        version = kr_get(line, KR_S("addresses"));
        l->s->address_n = version.kind == KR_INT ? (uint32_t)version.i : 0;
        return 0;
    }
    if (l->begun && !l->ended && count.kind == KR_INT) {
        l->ended = (uint64_t)count.i == l->count;
        return 0;
    }
    if (!l->begun || l->ended)
        return kr_fail(err, KR_E_INPUT, "not a saved sandbox");
    return read_object(l, a, line, err);
}

int sandbox_fill(struct sandbox *s, kr_str text, struct kr_err *err)
{
    struct loading l = {.s = s};
    struct kr_json_opts opts = {.on_doc = on_line, .arg = &l};
    KR_AUTO_PTR(kr_json) json = kr_json_new(&opts);

    KR_TRY(kr_json_feed(json, text.s, text.n, err));
    KR_TRY(kr_json_end(json, err));
    if (!l.ended)
        return kr_fail(err, KR_E_INPUT, "the file is not whole");
    s->version = l.version > s->version ? l.version : s->version;
    sandbox_compact(s);
    return 0;
}

/* Replacing needs no right to write to the old one: what its owner protects is refused here. */
static int check_place(const char *path, struct kr_err *err)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return errno == ENOENT ? 1
                               : kr_fail(err, KR_E_IO, "cannot read %s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return kr_fail(err, KR_E_INPUT, "cannot save to %s: not a regular file", path);
    if (access(path, W_OK) < 0)
        return kr_fail(err, KR_E_IO, "cannot write %s: %s", path, strerror(errno));
    return 0;
}

int sandbox_load(struct sandbox *s, const char *path, struct kr_err *err)
{
    KR_AUTO(kr_buf) text = KR_BUF(FILE_MAX);
    int rc = check_place(path, err);

    if (rc != 0)
        return rc;
    KR_TRY(kr_buf_read_file(&text, path, err));
    if (sandbox_fill(s, kr_buf_view(&text), err) < 0)
        return kr_wrap(err, "%s", path);
    s->version += SANDBOX_VERSION_GAP;
    sandbox_compact(s);
    return 0;
}

/* --- one at a time ---------------------------------------------------------------------------- */

static const char *lock_of(struct kr_arena *a, const char *path)
{
    return kr_cstr(a, kr_fmt(a, "%s.lock", path));
}

int sandbox_claim(const char *path, int *claim, struct kr_err *err)
{
    KR_AUTO(kr_arena) a = {0};
    const char *lock = lock_of(&a, path);
    int fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    struct stat st;

    if (fd < 0)
        return kr_fail(err, KR_E_IO, "cannot write %s: %s", lock, strerror(errno));
    /* One without a name was unclaimed between open and flock; its next owner has another. */
    if (flock(fd, LOCK_EX | LOCK_NB) < 0 || fstat(fd, &st) < 0 || st.st_nlink == 0) {
        close(fd);
        return kr_fail(err, KR_E_IO, "another kroc sandbox saves to %s", path);
    }
    *claim = fd;
    return 0;
}

void sandbox_unclaim(const char *path, int claim)
{
    KR_AUTO(kr_arena) a = {0};

    unlink(lock_of(&a, path));
    close(claim);
}
