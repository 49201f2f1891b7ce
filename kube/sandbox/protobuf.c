/* SPDX-License-Identifier: Apache-2.0 */
/* protobuf.c - reads encoded objects by a table of their messages.
 *
 *   "k8s\0" Unknown{1: TypeMeta{1: apiVersion, 2: kind}, 2: the object's message, 3, 4: encodings}
 *
 * A row of `messages` (protobuf.inc, sorted by name) is a message and its fields:
 *
 *   core.v1.ConfigMap 1metadata:meta.v1.ObjectMeta 2data:<s 3binaryData:<y 4immutable?b
 *
 *   NUMBER NAME MARK TYPE     mark  :  left out when it is empty   ?  a pointer: kept as it is sent
 *                                   !  never left out              =  (no name) its fields are ours
 *   type  s string   i integer   b boolean   d double   y bytes   T time   M time in microseconds
 *         Q quantity   X integer or string   R text that is JSON itself   E message of strings
 *         PACKAGE.Name  message             *TYPE  list of       <TYPE  map of
 *
 * Go writes what is no pointer always, so the marks decide what of that JSON would have. The table is
 * ours and is asserted; the bytes are checked. A row is taken apart once for each object read.
 */
#include "kube/sandbox/protobuf.h"

#include "cel/base/digest.h"
#include "cel/base/json.h"
#include "cel/base/map.h"
#include "cel/base/time.h"
#include "cel/base/utf8.h"

#include "cel/base/banned.h"
#include "kube/sandbox/protobuf.inc"

/* A literal without its NUL and without the newline at its end. */
#define TABLE(literal) ((kr_str){(literal), sizeof(literal) - 2})

enum wire { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };

struct field {
    uint32_t number;
    kr_str name, type; /* type: without its shape */
    char mark, shape;  /* shape: '*', '<' or 0 */
    const struct message *of;
};

struct message {
    struct field *fields;
    uint32_t n;
};

struct reader {
    struct kr_arena *a;
    struct kr_map messages; /* name -> struct message, those met so far */
    struct kr_err *err;
};

/* One field as it stands in the bytes. */
struct sent {
    uint32_t number;
    enum wire wire;
    uint64_t n;   /* of a number */
    kr_str bytes; /* of all else */
};

/* --- bytes ------------------------------------------------------------------------------------ */

static int malformed(struct reader *r)
{
    return kr_fail(r->err, KR_E_INPUT, "the protobuf of the object is not well-formed");
}

static bool read_varint(kr_str *rest, uint64_t *out)
{
    uint64_t v = 0;

    for (uint32_t shift = 0; shift < 64 && rest->n > 0; shift += 7) {
        uint8_t byte = (uint8_t)rest->s[0];

        *rest = kr_str_sub(*rest, 1, rest->n);
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *out = v;
            return true;
        }
    }
    return false;
}

/* The next field of a message. */
static int read_sent(struct reader *r, kr_str *rest, struct sent *out)
{
    uint64_t tag, n = 0;

    if (!read_varint(rest, &tag) || tag >> 3 == 0 || tag >> 3 > UINT32_MAX)
        return malformed(r);
    *out = (struct sent){.number = (uint32_t)(tag >> 3), .wire = (enum wire)(tag & 7)};
    switch (out->wire) {
    case VARINT:
        return read_varint(rest, &out->n) ? 0 : malformed(r);
    case BYTES:
        if (!read_varint(rest, &n))
            return malformed(r);
        break;
    case FIXED64:
        n = 8;
        break;
    case FIXED32:
        n = 4;
        break;
    default:
        return malformed(r);
    }
    if (n > rest->n)
        return malformed(r);
    out->bytes = kr_str_sub(*rest, 0, (size_t)n);
    *rest = kr_str_sub(*rest, (size_t)n, rest->n);
    return 0;
}

/* Of a small message: the last field of that number and wire type; zero: it is not there. */
static int part_of(struct reader *r, kr_str bytes, uint32_t number, enum wire wire,
                   struct sent *out)
{
    struct sent s;

    *out = (struct sent){0};
    while (bytes.n > 0) {
        KR_TRY(read_sent(r, &bytes, &s));
        if (s.number == number && s.wire == wire)
            *out = s;
    }
    return 0;
}

/* --- the table -------------------------------------------------------------------------------- */

static bool is_message(const struct field *f)
{
    return f->type.n > 1;
}

/* The fields of the row named so, behind its name; empty: there is none. */
static kr_str row_of(kr_str name)
{
    kr_str table = TABLE(messages);
    size_t from = 0, to = table.n;

    while (from < to) {
        size_t at = from + (to - from) / 2;
        kr_str row, row_name;
        int order;

        while (at > from && table.s[at - 1] != '\n')
            at--;
        row = kr_str_sub(table, at, table.n);
        row = kr_str_cut(&row, '\n');
        row_name = kr_str_sub(row, 0, (size_t)kr_str_chr(row, ' '));
        order = kr_str_cmp(name, row_name);
        if (order == 0)
            return kr_str_sub(row, row_name.n + 1, row.n);
        if (order < 0)
            to = at;
        else
            from = at + row.n + 1;
    }
    return KR_S("");
}

static struct field read_field(kr_str text)
{
    struct field f = {0};
    size_t i = 0;

    while (text.s[i] >= '0' && text.s[i] <= '9')
        f.number = f.number * 10 + (uint32_t)(text.s[i++] - '0');
    text = kr_str_sub(text, i, text.n);
    for (i = 0; i < text.n && !strchr(":?!=", text.s[i]);)
        i++;
    KR_ASSERT(i + 1 < text.n);
    f.name = kr_str_sub(text, 0, i);
    f.mark = text.s[i++];
    if (text.s[i] == '*' || text.s[i] == '<')
        f.shape = text.s[i++];
    f.type = kr_str_sub(text, i, text.n);
    return f;
}

/* NULL: there is none of that name. */
static const struct message *message_of(struct reader *r, kr_str name)
{
    struct message *m = kr_map_get(&r->messages, name);
    kr_str row;

    if (m)
        return m;
    row = row_of(name);
    if (row.n == 0)
        return NULL;
    m = kr_new(r->a, struct message);
    m->fields = kr_new_n(r->a, struct field, SANDBOX_PROTOBUF_FIELDS_MAX);
    while (row.n > 0) {
        KR_ASSERT(m->n < SANDBOX_PROTOBUF_FIELDS_MAX);
        m->fields[m->n++] = read_field(kr_str_cut(&row, ' '));
    }
    kr_map_put(&r->messages, name, m);
    return m;
}

/* The place of a field in its message; m->n: it is not known. */
static uint32_t place_of(const struct message *m, uint32_t number)
{
    uint32_t i = number - 1; /* most are numbered in their order */

    if (i < m->n && m->fields[i].number == number)
        return i;
    for (i = 0; i < m->n && m->fields[i].number != number;)
        i++;
    return i;
}

/* --- values ----------------------------------------------------------------------------------- */

static int read_message(struct reader *r, const struct message *m, kr_str bytes,
                        struct kr_mapb *out, uint32_t depth);

static int read_text(struct reader *r, kr_str bytes, kr_val *out)
{
    if (!kr_utf8_valid(bytes))
        return malformed(r);
    *out = kr_string(bytes);
    return 0;
}

/* KR_NONE: the zero time, which is none. */
static int read_time(struct reader *r, kr_str bytes, bool micro, kr_val *out)
{
    struct sent s, part;
    char text[KR_TIME_TEXT_MAX];
    size_t n;

    KR_TRY(part_of(r, bytes, 1, VARINT, &s));
    KR_TRY(part_of(r, bytes, 2, VARINT, &part));
    *out = KR_V_NONE;
    if (bytes.n == 0)
        return 0;
    if ((int64_t)s.n < -62135596800 || (int64_t)s.n > 253402300799 || part.n > 999999999)
        return malformed(r); /* the years 1 to 9999 */
    n = kr_time_text((int64_t)s.n, 0, text);
    *out = micro ? kr_string(kr_fmt(r->a, "%.*s.%06uZ", (int)n - 1, text, (unsigned)part.n / 1000))
                 : kr_string(kr_strdup(r->a, (kr_str){text, n}));
    return 0;
}

static int read_int_or_string(struct reader *r, kr_str bytes, kr_val *out)
{
    struct sent type, number, text;

    KR_TRY(part_of(r, bytes, 1, VARINT, &type));
    KR_TRY(part_of(r, bytes, 2, VARINT, &number));
    KR_TRY(part_of(r, bytes, 3, BYTES, &text));
    if (type.n == 1)
        return read_text(r, text.bytes, out);
    *out = kr_int((int32_t)number.n);
    return 0;
}

static int read_strings(struct reader *r, kr_str bytes, kr_val *out)
{
    struct kr_listb list = KR_LISTB(r->a);
    struct sent s;
    kr_val text;

    while (bytes.n > 0) {
        KR_TRY(read_sent(r, &bytes, &s));
        if (s.number != 1 || s.wire != BYTES)
            continue;
        KR_TRY(read_text(r, s.bytes, &text));
        kr_listb_add(&list, text);
    }
    *out = kr_listb_done(&list);
    return 0;
}

static int read_json(struct reader *r, kr_str bytes, kr_val *out)
{
    struct sent s;

    KR_TRY(part_of(r, bytes, 1, BYTES, &s));
    *out = KR_V_NONE;
    return s.bytes.n ? kr_json_parse(r->a, s.bytes, out, r->err) : 0;
}

static int read_number(struct reader *r, char type, const struct sent *s, kr_val *out)
{
    double d;

    if (type == 'd') {
        if (s->wire != FIXED64)
            return malformed(r);
        memcpy(&d, s->bytes.s, sizeof d);
        *out = kr_double(d);
        return 0;
    }
    if (s->wire != VARINT)
        return malformed(r);
    *out = type == 'b' ? kr_bool(s->n != 0) : kr_int((int64_t)s->n);
    return 0;
}

/* One value of the field's type. */
static int read_value(struct reader *r, struct field *f, const struct sent *s, kr_val *out,
                      uint32_t depth)
{
    struct kr_mapb b = KR_MAPB(r->a);
    struct sent part;

    if (!is_message(f) && strchr("ibd", f->type.s[0]))
        return read_number(r, f->type.s[0], s, out);
    if (s->wire != BYTES)
        return malformed(r);
    if (is_message(f)) {
        f->of = f->of ? f->of : message_of(r, f->type);
        if (f->of)
            KR_TRY(read_message(r, f->of, s->bytes, &b, depth + 1));
        *out = kr_mapb_done(&b);
        return 0;
    }
    switch (f->type.s[0]) {
    case 'y':
        *out = kr_string(kr_base64_encode(r->a, s->bytes, KR_BASE64_STD));
        return 0;
    case 'T':
    case 'M':
        return read_time(r, s->bytes, f->type.s[0] == 'M', out);
    case 'Q':
        KR_TRY(part_of(r, s->bytes, 1, BYTES, &part));
        return read_text(r, part.bytes, out);
    case 'X':
        return read_int_or_string(r, s->bytes, out);
    case 'R':
        return read_json(r, s->bytes, out);
    case 'E':
        return read_strings(r, s->bytes, out);
    default:
        return read_text(r, s->bytes, out);
    }
}

/* An entry of a map: {1: key, 2: value}. */
static int read_entry(struct reader *r, struct field *f, const struct sent *s, struct kr_mapb *out,
                      uint32_t depth)
{
    bool number = !is_message(f) && strchr("ib", f->type.s[0]) != NULL;
    struct sent key, value;
    kr_val v, name;

    if (s->wire != BYTES)
        return malformed(r);
    KR_TRY(part_of(r, s->bytes, 1, BYTES, &key));
    KR_TRY(part_of(r, s->bytes, 2, number ? VARINT : BYTES, &value));
    value.wire = number ? VARINT : BYTES;
    KR_TRY(read_text(r, key.bytes, &name));
    KR_TRY(read_value(r, f, &value, &v, depth));
    kr_mapb_put_val(out, name, v);
    return 0;
}

/* --- messages --------------------------------------------------------------------------------- */

/* What of a field has been read so far. */
struct slot {
    kr_val one;
    struct kr_listb list;
    struct kr_mapb map;
};

static int read_into(struct reader *r, struct field *f, const struct sent *s, struct slot *slot,
                     uint32_t depth)
{
    kr_val v;

    if (f->shape == '<')
        return read_entry(r, f, s, &slot->map, depth);
    KR_TRY(read_value(r, f, s, &v, depth));
    if (f->shape == '*')
        kr_listb_add(&slot->list, v);
    else
        slot->one = v;
    return 0;
}

static bool is_zero(kr_val v)
{
    switch (v.kind) {
    case KR_STRING:
    case KR_LIST:
        return v.n == 0;
    case KR_INT:
        return v.i == 0;
    case KR_BOOL:
        return !v.b;
    default:
        return false;
    }
}

static void put_slot(struct kr_mapb *out, const struct field *f, struct slot *slot)
{
    kr_val v = slot->one;

    if (f->shape == '*')
        v = kr_listb_done(&slot->list);
    else if (f->shape == '<')
        v = kr_mapb_done(&slot->map);
    if (v.kind == KR_NONE || (f->shape && v.n == 0 && f->mark != '!'))
        return;
    if (f->mark == ':' && f->type.s[0] != 'X' && is_zero(v))
        return;
    kr_mapb_put(out, f->name, v);
}

/* The fields of an inlined message are put where they are. */
static int read_inline(struct reader *r, struct field *f, const struct sent *s, struct kr_mapb *out,
                       uint32_t depth)
{
    if (s->wire != BYTES)
        return malformed(r);
    f->of = f->of ? f->of : message_of(r, f->type);
    return f->of ? read_message(r, f->of, s->bytes, out, depth + 1) : 0;
}

static int read_slots(struct reader *r, const struct message *m, kr_str bytes, struct slot *slots,
                      struct kr_mapb *out, uint32_t depth)
{
    struct sent s;

    for (uint32_t i = 0; i < m->n; i++)
        slots[i] = (struct slot){KR_V_NONE, KR_LISTB(r->a), KR_MAPB(r->a)};
    while (bytes.n > 0) {
        uint32_t at;

        KR_TRY(read_sent(r, &bytes, &s));
        at = place_of(m, s.number);
        if (at == m->n)
            continue; /* of a newer release */
        if (m->fields[at].mark == '=')
            KR_TRY(read_inline(r, &m->fields[at], &s, out, depth));
        else
            KR_TRY(read_into(r, &m->fields[at], &s, &slots[at], depth));
    }
    for (uint32_t i = 0; i < m->n; i++) {
        if (m->fields[i].mark != '=')
            put_slot(out, &m->fields[i], &slots[i]);
    }
    return 0;
}

/* Slots are freed at once: a body of little messages may not become much memory. */
static int read_message(struct reader *r, const struct message *m, kr_str bytes,
                        struct kr_mapb *out, uint32_t depth)
{
    struct slot *slots;
    int rc;

    if (depth >= SANDBOX_PROTOBUF_DEPTH_MAX)
        return kr_fail(r->err, KR_E_LIMIT, "the object is nested too deep");
    slots = kr_alloc(m->n * sizeof *slots);
    rc = read_slots(r, m, bytes, slots, out, depth);
    kr_free(slots);
    return rc;
}

/* --- objects ---------------------------------------------------------------------------------- */

/* The package of a group version; empty: none of ours. */
static kr_str package_of(kr_str api_version)
{
    kr_str rest = TABLE(packages);

    while (rest.n > 0) {
        kr_str row = kr_str_cut(&rest, '\n');

        if (kr_str_eq(kr_str_cut(&row, ' '), api_version))
            return row;
    }
    return KR_S("");
}

static int read_object(struct reader *r, kr_str api_version, kr_str kind, kr_str raw, kr_val *out)
{
    kr_str package = package_of(api_version);
    struct kr_mapb b = KR_MAPB(r->a);
    const struct message *m =
        message_of(r, kr_fmt(r->a, KR_FMT "." KR_FMT, KR_ARG(package), KR_ARG(kind)));

    if (m == NULL && kr_str_is(kind, "DeleteOptions")) /* every group has that */
        m = message_of(r, KR_S("meta.v1.DeleteOptions"));
    if (m == NULL)
        return kr_fail(r->err, KR_E_INPUT, "no kind \"" KR_FMT "\" of " KR_FMT " in protobuf",
                       KR_ARG(kind), KR_ARG(api_version));
    KR_TRY(read_message(r, m, raw, &b, 0));
    kr_mapb_put(&b, KR_S("apiVersion"),
                kr_string(api_version)); /* found, so it is a text of ours */
    kr_mapb_put(&b, KR_S("kind"), kr_string(kind));
    *out = kr_mapb_done(&b);
    return 0;
}

static int read_envelope(struct reader *r, kr_str bytes, kr_val *out)
{
    struct sent type, raw, api_version, kind;

    if (!kr_str_starts(bytes, (kr_str){"k8s\0", 4}))
        return malformed(r);
    bytes = kr_str_sub(bytes, 4, bytes.n);
    KR_TRY(part_of(r, bytes, 1, BYTES, &type));
    KR_TRY(part_of(r, bytes, 2, BYTES, &raw));
    KR_TRY(part_of(r, type.bytes, 1, BYTES, &api_version));
    KR_TRY(part_of(r, type.bytes, 2, BYTES, &kind));
    return read_object(r, api_version.bytes, kind.bytes, raw.bytes, out);
}

int sandbox_protobuf_read(struct kr_arena *a, kr_str bytes, kr_val *out, struct kr_err *err)
{
    struct reader r = {.a = a, .err = err};
    int rc = read_envelope(&r, bytes, out);

    kr_map_fini(&r.messages);
    return rc;
}
