/* SPDX-License-Identifier: Apache-2.0 */
/* flags.c - reads the command line by the table flags.def, and prints help and docs from it.
 *
 * Each row knows where its value goes (offset into struct reactor_flags) and how its text is read
 * (its kind). Defaults are texts too and take the same way, so a wrong default cannot hide. What
 * follows from several flags together is settled once, at the end.
 */
#include "reactor/flags.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <strings.h>

#include "cel/base/num.h"
#include "cel/base/time.h"
#include "reactor/shards.h"

#include "cel/base/banned.h"

enum kind {
    BOOL,
    INT,
    FLOAT,
    DURATION,
    STRING,
    ADDRESS,
    LIST,
    GATES,
    LEVEL,
    ENCODER,
    STACK_LEVEL,
    TIME_ENCODING,
    SHOW,
};

/* Sections in the order of --help. */
#define SECTIONS(S)                                                                                \
    S(GENERAL, "General")                                                                          \
    S(CLUSTER, "Cluster")                                                                          \
    S(SIDECAR, "One namespace, definitions from files")                                            \
    S(LIMITS, "Limits")                                                                            \
    S(LOGS, "Log")                                                                                 \
    S(LEADER, "Leader election")                                                                   \
    S(NONE, "Flags of kro that have no effect here (checked, then forgotten)")                     \
    S(ENDING, "Other")

enum section {
#define S(id, heading) id,
    SECTIONS(S)
#undef S
        SECTION_N
};

static const char *const headings[SECTION_N] = {
#define S(id, heading) [id] = heading,
    SECTIONS(S)
#undef S
};

struct row {
    const char *name, *def, *placeholder, *help;
    uint8_t section, kind;
    uint16_t at; /* offset of the member; NOWHERE */
};

enum {
    NOWHERE = UINT16_MAX,
    NAME_MAX_N = 64,  /* bytes of a name that is compared for "did you mean" */
    HELP_COLUMN = 38, /* where the sentences of --help begin */
    HELP_WIDTH = 100,
};

/* Offset of a row's member, by section. */
#define AT_GENERAL(member) offsetof(struct reactor_flags, member)
#define AT_CLUSTER AT_GENERAL
#define AT_SIDECAR AT_GENERAL
#define AT_LIMITS AT_GENERAL
#define AT_LOGS AT_GENERAL
#define AT_LEADER AT_GENERAL
#define AT_NONE(member) NOWHERE
#define AT_ENDING(member) NOWHERE

static const struct row rows[] = {
#define F(section, kind, name, member, def, placeholder, help)                                     \
    {name, def, placeholder, help, section, kind, AT_##section(member)},
#include "reactor/flags.def"
#undef F
};

/* The type of a member must be the one its kind writes. */
typedef const char *text_type;
#define TYPE_BOOL bool
#define TYPE_INT int64_t
#define TYPE_FLOAT double
#define TYPE_DURATION int64_t
#define TYPE_STRING text_type
#define TYPE_ADDRESS text_type
#define TYPE_LIST struct reactor_flag_list
#define TYPE_GATES struct reactor_gates
#define TYPE_LEVEL text_type
#define TYPE_ENCODER text_type
#define SAME(kind, member)                                                                         \
    _Static_assert(__builtin_types_compatible_p(                                                   \
                       __typeof__(((struct reactor_flags *)NULL)->member), TYPE_##kind),           \
                   "flags.def: " #member);
#define CHECK_GENERAL SAME
#define CHECK_CLUSTER SAME
#define CHECK_SIDECAR SAME
#define CHECK_LIMITS SAME
#define CHECK_LOGS SAME
#define CHECK_LEADER SAME
#define CHECK_NONE(kind, member)
#define CHECK_ENDING(kind, member)
#define F(section, kind, name, member, def, placeholder, help) CHECK_##section(kind, member)
#include "reactor/flags.def"
#undef F

/* --- values ----------------------------------------------------------------------------------- */

/* As Go's strconv.ParseBool. */
static bool read_bool(const char *s, bool *out)
{
    static const char *const yes[] = {"1", "t", "T", "true", "TRUE", "True"};
    static const char *const no[] = {"0", "f", "F", "false", "FALSE", "False"};

    for (size_t i = 0; i < KR_N(yes); i++) {
        if (strcmp(s, yes[i]) == 0 || strcmp(s, no[i]) == 0) {
            *out = strcmp(s, yes[i]) == 0;
            return true;
        }
    }
    return false;
}

static bool read_int(const char *s, int64_t *out) /* decimal, or 0x and 0 as Go's base 0 */
{
    char *end;
    long long v;

    if (*s == '\0' || *s == ' ' || *s == '\t')
        return false;
    errno = 0;
    v = strtoll(s, &end, 0);
    if (errno != 0 || *end != '\0')
        return false;
    *out = v;
    return true;
}

static int bad(struct kr_err *err, const struct row *row, const char *text, const char *want)
{
    return kr_fail(err, KR_E_INPUT, "--%s: \"%s\" is not %s", row->name, text, want);
}

static int set_duration(int64_t *to, const struct row *row, const char *text, struct kr_err *err)
{
    int64_t ns;

    if (!kr_duration_parse(kr_str_c(text), &ns))
        return bad(err, row, text, "a duration (\"30s\", \"1m30s\", \"500ms\")");
    if (to)
        *to = ns / 1000000 + (ns % 1000000 > 0);
    return 0;
}

/* One of the words; NULL ends the list. */
static int set_word(const char **to, const struct row *row, const char *text,
                    const char *const *words, const char *want, struct kr_err *err)
{
    for (; *words; words++) {
        if (strcasecmp(text, *words) == 0) {
            if (to)
                *to = *words;
            return 0;
        }
    }
    return bad(err, row, text, want);
}

static int set_level(const char **to, const struct row *row, const char *text, struct kr_err *err)
{
    static const char *const words[] = {"", "debug", "info", "warn", "error", "panic", NULL};
    int64_t n;

    if (read_int(text, &n) && n > 0) { /* zap's finer debug levels */
        if (to)
            *to = "debug";
        return 0;
    }
    return set_word(to, row, text, words, "debug, info, warn, error, panic or a number above 0",
                    err);
}

static int set_address(const char **to, const char *text)
{
    bool off = *text == '\0' || strcmp(text, "0") == 0;

    if (to)
        *to = off ? NULL : text;
    return 0;
}

static int add_item(struct reactor_flag_list *list, const struct row *row, const char *text,
                    struct kr_err *err)
{
    if (*text == '\0')
        return kr_fail(err, KR_E_INPUT, "--%s: an empty path", row->name);
    if (list->n == REACTOR_FLAG_LIST_MAX)
        return kr_fail(err, KR_E_LIMIT, "--%s: given more than %d times", row->name,
                       REACTOR_FLAG_LIST_MAX);
    list->items = kr_realloc(list->items, sizeof(*list->items) * (list->n + 1));
    list->items[list->n++] = text;
    return 0;
}

/* --- feature gates ---------------------------------------------------------------------------- */

#define GATE_LIST(G)                                                                               \
    G("CELOmitFunction", cel_omit_function)                                                        \
    G("InstanceConditionEvents", instance_condition_events)                                        \
    G("InstanceConditionMetrics", instance_condition_metrics)

/* Gates named by themselves win over AllAlpha (all three are alpha), in whatever order they come:
 * k8s.io/component-base/featuregate. */
static int set_gate(struct reactor_gates *gates, struct reactor_gates *named, kr_str name, bool on,
                    struct kr_err *err)
{
#define G(text, member)                                                                            \
    if (kr_str_is(name, text)) {                                                                   \
        gates->member = on;                                                                        \
        named->member = true;                                                                      \
        return 0;                                                                                  \
    }
    GATE_LIST(G)
#undef G
    if (kr_str_is(name, "AllBeta"))
        return 0;
    if (kr_str_is(name, "AllAlpha")) {
#define G(text, member)                                                                            \
    if (!named->member)                                                                            \
        gates->member = on;
        GATE_LIST(G)
#undef G
        return 0;
    }
    /* Same words as k8s.io/component-base. */
    return kr_fail(err, KR_E_INPUT, "--feature-gates: unrecognized feature gate: " KR_FMT,
                   KR_ARG(name));
}

static int set_gates(struct reactor_gates *gates, const char *text, struct kr_err *err)
{
    struct reactor_gates named = {0};
    kr_str rest = kr_str_c(text);

    while (rest.s) {
        kr_str pair = kr_str_cut(&rest, ',');
        kr_str value = pair;
        kr_str name = kr_str_trim(kr_str_cut(&value, '='));
        char word[8] = "";
        bool on;

        if (pair.n == 0)
            continue;
        if (value.s == NULL)
            return kr_fail(err, KR_E_INPUT, "--feature-gates: missing bool value for " KR_FMT,
                           KR_ARG(name));
        value = kr_str_trim(value);
        if (value.n < sizeof(word))
            memcpy(word, value.s, value.n);
        if (!read_bool(word, &on))
            return kr_fail(err, KR_E_INPUT,
                           "--feature-gates: invalid value of " KR_FMT "=" KR_FMT
                           ", want true or false",
                           KR_ARG(name), KR_ARG(value));
        KR_TRY(set_gate(gates, &named, name, on, err));
    }
    return 0;
}

/* --- rows ------------------------------------------------------------------------------------- */

static int set_bool(bool *to, const struct row *row, const char *text, struct kr_err *err)
{
    bool v;

    if (!read_bool(text, &v))
        return bad(err, row, text, "true or false");
    if (to)
        *to = v;
    return 0;
}

static int set_int(int64_t *to, const struct row *row, const char *text, struct kr_err *err)
{
    int64_t v;

    if (!read_int(text, &v))
        return bad(err, row, text, "a whole number");
    if (to)
        *to = v;
    return 0;
}

static int set_float(double *to, const struct row *row, const char *text, struct kr_err *err)
{
    double v;

    if (!kr_num_parse_double(kr_str_c(text), &v) || !isfinite(v))
        return bad(err, row, text, "a number");
    if (to)
        *to = v;
    return 0;
}

/* Reads text by the row's kind. Rows that have no member are checked alike and stored nowhere. */
static int set(struct reactor_flags *f, const struct row *row, const char *text, struct kr_err *err)
{
    static const char *const encoders[] = {"", "json", "console", NULL};
    static const char *const stack_levels[] = {"", "info", "error", "panic", NULL};
    static const char *const times[] = {"",        "epoch",   "millis",      "nano",
                                        "iso8601", "rfc3339", "rfc3339nano", NULL};
    void *to = row->at == NOWHERE ? NULL : (char *)f + row->at;

    switch ((enum kind)row->kind) {
    case BOOL:
        return set_bool(to, row, text, err);
    case INT:
        return set_int(to, row, text, err);
    case FLOAT:
        return set_float(to, row, text, err);
    case DURATION:
        return set_duration(to, row, text, err);
    case STRING:
        KR_ASSERT(to);
        *(const char **)to = text;
        return 0;
    case ADDRESS:
        return set_address(to, text);
    case LIST:
        KR_ASSERT(to);
        return add_item(to, row, text, err);
    case GATES:
        KR_ASSERT(to);
        return set_gates(to, text, err);
    case LEVEL:
        return set_level(to, row, text, err);
    case ENCODER:
        return set_word(to, row, text, encoders, "console or json", err);
    case STACK_LEVEL:
        return set_word(to, row, text, stack_levels, "info, error or panic", err);
    case TIME_ENCODING:
        return set_word(to, row, text, times,
                        "epoch, millis, nano, iso8601, rfc3339 or rfc3339nano", err);
    case SHOW:
        return 0;
    }
    return 0;
}

static const struct row *find(kr_str name)
{
    for (size_t i = 0; i < KR_N(rows); i++) {
        if (kr_str_eq(name, kr_str_c(rows[i].name)))
            return &rows[i];
    }
    return NULL;
}

/* Letters to put in, take out or exchange to make b of a (Levenshtein). */
static uint32_t distance(kr_str a, kr_str b)
{
    uint32_t line[NAME_MAX_N + 1];

    for (uint32_t j = 0; j <= b.n; j++)
        line[j] = j;
    for (size_t i = 0; i < a.n; i++) {
        uint32_t corner = line[0];

        line[0] = (uint32_t)i + 1;
        for (size_t j = 0; j < b.n; j++) {
            uint32_t best = corner + (a.s[i] != b.s[j]);

            corner = line[j + 1];
            if (line[j + 1] + 1 < best)
                best = line[j + 1] + 1;
            if (line[j] + 1 < best)
                best = line[j] + 1;
            line[j + 1] = best;
        }
    }
    return line[b.n];
}

static int unknown(kr_str name, struct kr_err *err)
{
    const char *nearest = NULL;
    uint32_t best = (uint32_t)name.n / 2 + 1; /* farther is no likeness */

    for (size_t i = 0; i < KR_N(rows) && name.n <= NAME_MAX_N; i++) {
        uint32_t d = distance(name, kr_str_c(rows[i].name));

        if (d < best) {
            best = d;
            nearest = rows[i].name;
        }
    }
    if (nearest)
        return kr_fail(err, KR_E_INPUT, "unknown flag --" KR_FMT "; did you mean --%s?",
                       KR_ARG(name), nearest);
    return kr_fail(err, KR_E_INPUT, "unknown flag --" KR_FMT "; --help lists all", KR_ARG(name));
}

static int positional(const struct row *before, const char *arg, struct kr_err *err)
{
    if (before && before->kind == BOOL)
        return kr_fail(err, KR_E_INPUT, "unexpected argument \"%s\"; a boolean is given as --%s=%s",
                       arg, before->name, arg);
    return kr_fail(err, KR_E_INPUT, "unexpected argument \"%s\"; flags begin with --", arg);
}

/* --- what follows from several flags ---------------------------------------------------------- */

static int at_least_one(int64_t *v, const char *flag, struct kr_err *err)
{
    if (*v < 1)
        return kr_fail(err, KR_E_INPUT, "--%s: must be 1 or more", flag);
    if (*v > UINT32_MAX)
        *v = UINT32_MAX;
    return 0;
}

static bool dns_label(kr_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        bool word = (s.s[i] >= 'a' && s.s[i] <= 'z') || (s.s[i] >= '0' && s.s[i] <= '9');

        if (!word && (s.s[i] != '-' || i == 0 || i + 1 == s.n))
            return false;
    }
    return s.n > 0 && s.n <= 63;
}

static int settle_names(const struct reactor_flags *f, struct kr_err *err)
{
    if (*f->namespace && !dns_label(kr_str_c(f->namespace)))
        return kr_fail(err, KR_E_INPUT, "--namespace: \"%s\" is not a name of a namespace",
                       f->namespace);
    if (*f->leader_namespace && !dns_label(kr_str_c(f->leader_namespace)))
        return kr_fail(err, KR_E_INPUT,
                       "--leader-election-namespace: \"%s\" is not a name of a namespace",
                       f->leader_namespace);
    return 0;
}

static int settle_rate(struct reactor_flags *f, struct kr_err *err)
{
    if (f->client_qps < 0 || f->client_burst < 0)
        return kr_fail(err, KR_E_INPUT, "--%s: must be 0 or more; 0 means no limit of our own",
                       f->client_qps < 0 ? "client-qps" : "client-burst");
    if (f->client_qps == 0) {
        f->client_burst = 0;
        return 0;
    }
    if (f->client_burst == 0)
        f->client_burst = f->client_qps < UINT32_MAX ? (int64_t)ceil(f->client_qps) : UINT32_MAX;
    if (f->client_burst > UINT32_MAX)
        f->client_burst = UINT32_MAX;
    return 0;
}

/* Same rules as client-go's leaderelection.NewLeaderElector. */
static int settle_leader(const struct reactor_flags *f, struct kr_err *err)
{
    if (f->leader_retry_ms < 1)
        return kr_fail(err, KR_E_INPUT, "--leader-election-retry-period: must be more than 0");
    if (f->leader_renew_ms * 10 <= f->leader_retry_ms * 12)
        return kr_fail(err, KR_E_INPUT,
                       "--leader-election-renew-deadline: must be more than 1.2 times "
                       "--leader-election-retry-period");
    if (f->leader_lease_ms <= f->leader_renew_ms)
        return kr_fail(err, KR_E_INPUT,
                       "--leader-election-lease-duration: must be more than "
                       "--leader-election-renew-deadline");
    if (f->leader_lease_ms > REACTOR_LEASE_MAX_MS)
        return kr_fail(err, KR_E_INPUT,
                       "--leader-election-lease-duration: must be an hour at most");
    return 0;
}

static int settle_shards(struct reactor_flags *f, struct kr_err *err)
{
    if (f->shards < 0 || f->shards > REACTOR_SHARDS_MAX)
        return kr_fail(err, KR_E_INPUT, "--shards: must be 0 to %d", REACTOR_SHARDS_MAX);
    if (f->shards > 0)
        f->leader_elect = true;
    return 0;
}

bool reactor_flags_level(kr_str word, enum kr_level *out)
{
    static const struct {
        const char *word;
        enum kr_level level;
    } levels[] = {{"debug", KR_DBG},
                  {"info", KR_INFO},
                  {"warn", KR_WARN},
                  {"error", KR_ERROR},
                  {"panic", KR_ERROR}};

    for (size_t i = 0; i < KR_N(levels); i++) {
        if (kr_str_eq(word, kr_str_c(levels[i].word))) {
            *out = levels[i].level;
            return true;
        }
    }
    return false;
}

static int settle_log(struct reactor_flags *f, struct kr_err *err)
{
    if (*f->log_format && strcmp(f->log_format, "text") != 0 && strcmp(f->log_format, "json") != 0)
        return kr_fail(err, KR_E_INPUT, "--log-format: \"%s\" is not text or json", f->log_format);
    if (*f->log_format)
        f->log_json = strcmp(f->log_format, "json") == 0;
    else if (*f->zap_encoder)
        f->log_json = strcmp(f->zap_encoder, "json") == 0;
    else
        f->log_json = !f->zap_devel;

    f->log_level = KR_INFO;
    (void)reactor_flags_level(kr_str_c(f->zap_log_level), &f->log_level);
    return 0;
}

static int settle(struct reactor_flags *f, struct kr_err *err)
{
    KR_TRY(at_least_one(&f->max_collection_size, "rgd-max-collection-size", err));
    KR_TRY(at_least_one(&f->max_dimensions, "rgd-max-collection-dimension-size", err));
    KR_TRY(settle_names(f, err));
    if (f->shutdown_timeout_ms < 0 || f->shutdown_timeout_ms > REACTOR_SHUTDOWN_MAX_MS)
        f->shutdown_timeout_ms = REACTOR_SHUTDOWN_MAX_MS;
    KR_TRY(settle_rate(f, err));
    KR_TRY(settle_leader(f, err));
    KR_TRY(settle_shards(f, err));
    return settle_log(f, err);
}

/* --- parse ------------------------------------------------------------------------------------ */

static int set_defaults(struct reactor_flags *f, struct kr_err *err)
{
    *f = (struct reactor_flags){0};
    for (size_t i = 0; i < KR_N(rows); i++) {
        if (rows[i].kind != LIST)
            KR_TRY(set(f, &rows[i], rows[i].def, err));
    }
    return 0;
}

/* Takes "-h", which Go's package knows beside what is defined. */
static const struct row *row_of(kr_str name)
{
    return find(kr_str_is(name, "h") ? KR_S("help") : name);
}

int reactor_flags_parse(struct reactor_flags *f, int argc, char *const *argv, struct kr_err *err)
{
    const struct row *row = NULL;

    KR_TRY(set_defaults(f, err));
    for (int i = 0; i < argc; i++) {
        kr_str value = kr_str_c(argv[i]);
        kr_str name;

        if (value.n < 2 || value.s[0] != '-')
            return positional(row, argv[i], err);
        if (kr_str_is(value, "--")) {
            if (i + 1 < argc)
                return positional(NULL, argv[i + 1], err);
            break;
        }
        value = kr_str_sub(value, value.s[1] == '-' ? 2 : 1, value.n);
        name = kr_str_cut(&value, '=');
        row = row_of(name);
        if (row == NULL)
            return unknown(name, err);
        if (row->kind == SHOW)
            return strcmp(row->name, "help") == 0 ? REACTOR_FLAGS_HELP : REACTOR_FLAGS_VERSION;
        if (value.s == NULL && row->kind == BOOL) {
            KR_TRY(set(f, row, "true", err));
            continue;
        }
        if (value.s == NULL) {
            if (++i == argc)
                return kr_fail(err, KR_E_INPUT, "--%s needs a value: --%s %s", row->name, row->name,
                               row->placeholder);
            value = kr_str_c(argv[i]);
        }
        KR_TRY(set(f, row, value.s, err));
    }
    return settle(f, err);
}

void reactor_flags_fini(struct reactor_flags *f)
{
    kr_free((void *)f->rgds.items);
    f->rgds = (struct reactor_flag_list){0};
}

/* --- help ------------------------------------------------------------------------------------- */

/* Appends words at `column`, continued on further lines that begin at HELP_COLUMN. */
static void wrap(struct kr_buf *out, kr_str words, size_t column)
{
    while (words.s) {
        kr_str word = kr_str_cut(&words, ' ');

        if (column + 1 + word.n > HELP_WIDTH) {
            kr_buf_fmt(out, "\n%*s", HELP_COLUMN - 1, "");
            column = HELP_COLUMN - 1;
        }
        kr_buf_chr(out, ' ');
        kr_buf_str(out, word);
        column += 1 + word.n;
    }
    kr_buf_chr(out, '\n');
}

static void help_row(struct kr_buf *out, const struct row *row)
{
    KR_AUTO(kr_buf) text = KR_BUF(1024);
    size_t from = out->n;
    size_t column;

    kr_buf_fmt(out, "  --%s%s%s", row->name,
               row->kind == BOOL   ? "[="
               : *row->placeholder ? " "
                                   : "",
               row->placeholder);
    kr_buf_fmt(out, "%s", row->kind == BOOL ? "]" : "");
    column = out->n - from;
    if (column >= HELP_COLUMN) {
        kr_buf_chr(out, '\n');
        column = 0;
    }
    kr_buf_fmt(out, "%*s", HELP_COLUMN - 1 - (int)column, "");
    kr_buf_fmt(&text, "%s", row->help);
    if (*row->def && row->section != NONE)
        kr_buf_fmt(&text, " (default %s)", row->def);
    wrap(out, kr_buf_view(&text), HELP_COLUMN - 1);
}

void reactor_flags_help(struct kr_buf *out)
{
    kr_buf_fmt(out, "Usage: kroc controller [flags]\n");
    for (int s = 0; s < SECTION_N; s++) {
        kr_buf_fmt(out, "\n%s:\n", headings[s]);
        for (size_t i = 0; i < KR_N(rows); i++) {
            if (rows[i].section == s)
                help_row(out, &rows[i]);
        }
    }
}

void reactor_flags_page(struct kr_buf *out)
{
    kr_buf_fmt(out,
               "# Flags of `kroc controller`\n\n"
               "Made from `reactor/flags.def` by `kroc docs flags`; a test compares the two.\n\n"
               "`--flag=value` and `--flag value`, one dash or two; a boolean only with `=`.\n");
    for (int s = 0; s < SECTION_N; s++) {
        kr_buf_fmt(out, "\n## %s\n\n| Flag | Default | |\n|---|---|---|\n", headings[s]);
        for (size_t i = 0; i < KR_N(rows); i++) {
            const struct row *row = &rows[i];

            if (row->section != s)
                continue;
            kr_buf_fmt(out, "| `--%s` | ", row->name);
            if (*row->def)
                kr_buf_fmt(out, "`%s` ", row->def);
            kr_buf_fmt(out, "| %s |\n", row->help);
        }
    }
}
