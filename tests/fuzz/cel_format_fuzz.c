/* SPDX-License-Identifier: Apache-2.0 */
/* cel_format_fuzz.c - one text format that functions read; CEL_FORMAT says which (a fuzzer each).
 *
 * The input is the string `s` of the expressions below. What `is` calls good must be read by all of
 * `holds`; whatever can be read must give true there. `runs` need only end.
 */
#include "cel/cel.h"

#include "cel/base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { EXPRS_MAX = 12 };

static const struct format {
    const char *name, *is;
    const char *holds[EXPRS_MAX], *runs[EXPRS_MAX];
} formats[] = {
    {"quantity",
     "isQuantity(s)",
     {"quantity(s) == quantity(s)", "quantity(s).compareTo(quantity(s)) == 0",
      "!quantity(s).isLessThan(quantity(s))",
      "quantity(s).sub(quantity(s)).compareTo(quantity('0')) == 0"},
     {"quantity(s).add(quantity(s))", "quantity(s).asInteger()", "quantity(s).isInteger()",
      "quantity(s).add(9223372036854775807).sub(-9223372036854775807)",
      "quantity(s).asApproximateFloat()", "sign(quantity(s))"}},
    {"url",
     NULL,
     {"url(s) == url(s)"},
     {"isURL(s)", "url(s).getScheme()", "url(s).getHost()", "url(s).getHostname()",
      "url(s).getPort()", "url(s).getEscapedPath()", "url(s).getQuery()"}},
    {"ip",
     "isIP(s)",
     {"ip(string(ip(s))) == ip(s)", "ip.isCanonical(string(ip(s)))", "ip(s).family() in [4, 6]",
      "ip.isCanonical(s) == (string(ip(s)) == s)"},
     {"ip(s).isLoopback()", "ip(s).isUnspecified()", "ip(s).isGlobalUnicast()",
      "ip(s).isLinkLocalMulticast()", "ip(s).isLinkLocalUnicast()"}},
    {"cidr",
     "isCIDR(s)",
     {"cidr(string(cidr(s))) == cidr(s)", "cidr(s).containsIP(cidr(s).ip())",
      "cidr(s).containsCIDR(cidr(s).masked())", "cidr(s).masked() == cidr(s).masked().masked()",
      "cidr(s).prefixLength() >= 0 && cidr(s).prefixLength() <= 128"},
     {"cidr('10.0.0.0/8').containsIP(s)", "cidr('::/0').containsCIDR(s)"}},
    {"semver",
     "isSemver(s)",
     {"semver(s).compareTo(semver(s)) == 0", "semver(s) == semver(s)",
      "!semver(s).isLessThan(semver(s))", "semver(s).major() >= 0 || semver(s).major() < 0"},
     {"semver(s).minor()", "semver(s).patch()", "semver(s).isGreaterThan(semver('1.0.0-rc.1'))"}},
    {"timestamp",
     NULL,
     {"timestamp(string(timestamp(s))) == timestamp(s)",
      "timestamp(int(timestamp(s))) <= timestamp(s)", "timestamp(s).getMonth() in lists.range(12)"},
     {"timestamp(s).getFullYear()", "timestamp(s).getDayOfYear()", "timestamp(s) + duration('1s')",
      "timestamp('2024-02-29T23:59:59Z').getHours(s)", "timestamp(s).getHours('Asia/Kathmandu')"}},
    {"duration",
     NULL,
     {"duration(s) == duration(s)", "duration(s) - duration(s) == duration('0s')"},
     {"string(duration(s))", "duration(s).getHours()", "duration(s) + duration(s)",
      "timestamp(0) + duration(s)"}},
    {"clauses", /* of format() */
     NULL,
     {NULL},
     {"s.format([1, 'a', 2.5, true, null, [1, [2.5]], {'k': 1u}, b'x', timestamp(0), "
      "duration('1s')])",
      "s.format([])", "s.format([s, s, s])", "s.format([-1, -1, 1e300, 1e-300])",
      "s.format([9223372036854775807, 18446744073709551615u, 0.1, -0.0])",
      "s.format([{'b': 1, 'a': [optional.none()]}, type(1), ip('::1'), quantity('1k')])"}},
    {"pattern", /* of matches() and others */
     NULL,
     {NULL},
     {"'aaa bbb'.matches(s)", "'aaa bbb'.find(s)", "'aaa bbb'.findAll(s)",
      "'a\\u00e4b'.findAll(s, 2)", "regex.extract('aaa bbb', s)", "regex.extractAll('aaa bbb', s)",
      "regex.replace('aaa bbb', s, '\\\\1x')", "regex.replace('aaa bbb', 'a(b*)', s)"}},
    {"named", /* Kubernetes' named formats */
     NULL,
     {"format.uuid().validate(s) == format.named('uuid').value().validate(s)"},
     {"format.dns1123Label().validate(s)", "format.dns1123Subdomain().validate(s)",
      "format.dns1035LabelPrefix().validate(s)", "format.qualifiedName().validate(s)",
      "format.labelValue().validate(s)", "format.uri().validate(s)", "format.byte().validate(s)",
      "format.date().validate(s)", "format.datetime().validate(s)"}},
    {"json",
     NULL,
     {"json.unmarshal(json.marshal(json.unmarshal(s))) == json.unmarshal(s)"},
     {"json.marshal(s)", "json.encode(s)", "base64.decode(s)", "strings.quote(s)", "double(s)",
      "int(s)", "uint(s)", "bool(s)"}},
};

static struct kr_arena once;
static const struct format *format;
static const struct cel_prog *is, *holds[EXPRS_MAX], *runs[EXPRS_MAX];

static const struct cel_prog *compile(const struct cel_env *env, const char *text)
{
    struct kr_err err = KR_ERR_NONE;
    const struct cel_prog *p = NULL;

    if (text && cel_compile(&once, env, kr_str_c(text), &p, &err) < 0)
        kr_assert_failed(err.text, __FILE__, __LINE__);
    return p;
}

static void start(void)
{
    struct cel_env *env = cel_env_new(&once, CEL_LIB_FULL);

    cel_env_var(env, KR_S("s"), CEL_T_STRING, NULL);
    for (size_t i = 0; i < KR_N(formats); i++) {
        if (strcmp(formats[i].name, CEL_FORMAT) == 0)
            format = &formats[i];
    }
    KR_ASSERT(format != NULL);
    is = compile(env, format->is);
    for (int i = 0; i < EXPRS_MAX; i++) {
        holds[i] = compile(env, format->holds[i]);
        runs[i] = compile(env, format->runs[i]);
    }
}

/* KR_NONE when it fails. */
static kr_val eval(struct kr_arena *a, const struct cel_prog *p, kr_val s)
{
    struct kr_err err = KR_ERR_NONE;
    struct cel_run run = {.slots = &s, .slots_n = 1, .a = a, .cost_max = 2000000};
    kr_val v;

    if (cel_eval(p, &run, &v, &err) == 0)
        return v;
    KR_ASSERT(err.n > 0 && run.fail != CEL_FAIL_NONE);
    return KR_V_NONE;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct kr_arena a = {0};
    kr_str text = {(const char *)data, n};
    bool good;

    if (!format)
        start();
    if (!kr_utf8_valid(text))
        return 0; /* strings are valid wherever they come from */
    good = is && kr_is_true(eval(&a, is, kr_string(text)));
    for (int i = 0; i < EXPRS_MAX && holds[i]; i++) {
        kr_val v = eval(&a, holds[i], kr_string(text));

        if (v.kind == KR_NONE ? good : !kr_is_true(v))
            kr_assert_failed(format->holds[i], __FILE__, __LINE__);
    }
    for (int i = 0; i < EXPRS_MAX && runs[i]; i++)
        (void)eval(&a, runs[i], kr_string(text));
    kr_arena_fini(&a);
    return 0;
}
