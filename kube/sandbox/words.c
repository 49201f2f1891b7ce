/* SPDX-License-Identifier: Apache-2.0 */
/* words.c - names of DNS, keys of labels, names of ports and variables. */
#include "kube/sandbox/words.h"

#include "cel/base/banned.h"

enum { PORT_NAME_BYTES_MAX = 15 };

#define SUBDOMAIN_TEXT                                                                             \
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "   \
    "'.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used "  \
    "for validation is "                                                                           \
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
#define LABEL_TEXT                                                                                 \
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and "   \
    "must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex "     \
    "used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
#define VALUE_TEXT                                                                                 \
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or "    \
    "'.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or "             \
    "'my_value',  or '12345', regex used for validation is "                                       \
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
#define KEY_NAME_TEXT                                                                              \
    "consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "         \
    "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for "         \
    "validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
#define KEY_TEXT                                                                                   \
    "a valid label key must " KEY_NAME_TEXT                                                        \
    " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
#define CONFIG_KEY_TEXT                                                                            \
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. "           \
    "'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"

struct faults {
    const char **list;
    uint32_t n;
};

static void add(struct faults *f, bool wrong, const char *text)
{
    if (wrong && f->n < SANDBOX_FAULTS_MAX)
        f->list[f->n++] = text;
}

static bool lower_alnum(char ch)
{
    return (ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9');
}

static bool alnum(char ch)
{
    return lower_alnum(ch) || (ch >= 'A' && ch <= 'Z');
}

enum { DOTS = 1, UPPER = 2 };

/* A label; DOTS: several, with dots between them; UPPER: of letters of any case. */
static bool is_dns(kr_str s, unsigned may)
{
    for (size_t i = 0; i < s.n; i++) {
        bool edge = i == 0 || i + 1 == s.n || s.s[i - 1] == '.' || s.s[i + 1] == '.';

        if (!lower_alnum(s.s[i]) && !((may & UPPER) && alnum(s.s[i])) &&
            (edge || (s.s[i] != '-' && !((may & DOTS) && s.s[i] == '.'))))
            return false;
    }
    return s.n > 0;
}

static bool is_key_name(kr_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        bool edge = i == 0 || i + 1 == s.n;

        if (!alnum(s.s[i]) && (edge || (s.s[i] != '-' && s.s[i] != '_' && s.s[i] != '.')))
            return false;
    }
    return true;
}

static void key_faults(struct faults *f, kr_str key, unsigned may)
{
    ptrdiff_t slash = kr_str_chr(key, '/');
    kr_str name = kr_str_sub(key, (size_t)(slash + 1), key.n);

    if (kr_str_chr(name, '/') >= 0) {
        add(f, true, KEY_TEXT);
        return;
    }
    add(f, slash == 0, "prefix part must be non-empty");
    add(f, slash > 0 && !is_dns(kr_str_sub(key, 0, (size_t)slash), may),
        "prefix part " SUBDOMAIN_TEXT);
    add(f, slash > SANDBOX_NAME_BYTES_MAX, "prefix part must be no more than 253 bytes");
    add(f, name.n == 0, "name part must be non-empty");
    add(f, name.n > SANDBOX_LABEL_BYTES_MAX, "name part must be no more than 63 bytes");
    add(f, name.n == 0 || !is_key_name(name), "name part must " KEY_NAME_TEXT);
}

static void config_key_faults(struct faults *f, kr_str key)
{
    bool plain = key.n > 0;

    for (size_t i = 0; i < key.n; i++)
        plain &= alnum(key.s[i]) || key.s[i] == '-' || key.s[i] == '_' || key.s[i] == '.';
    add(f, key.n > SANDBOX_NAME_BYTES_MAX, "must be no more than 253 characters");
    add(f, !plain, CONFIG_KEY_TEXT);
    if (kr_str_is(key, "."))
        add(f, true, "must not be '.'");
    else if (kr_str_is(key, ".."))
        add(f, true, "must not be '..'");
    else
        add(f, kr_str_starts(key, KR_S("..")), "must not start with '..'");
}

static void port_name_faults(struct faults *f, kr_str name)
{
    bool plain = name.n > 0, letter = false, twice = false;

    for (size_t i = 0; i < name.n; i++) {
        plain &= lower_alnum(name.s[i]) || name.s[i] == '-';
        letter |= name.s[i] >= 'a' && name.s[i] <= 'z';
        twice |= i > 0 && name.s[i] == '-' && name.s[i - 1] == '-';
    }
    add(f, name.n > PORT_NAME_BYTES_MAX, "must be no more than 15 characters");
    add(f, !plain, "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)");
    add(f, !letter, "must contain at least one letter (a-z)");
    add(f, twice, "must not contain consecutive hyphens");
    add(f, name.n > 0 && (name.s[0] == '-' || name.s[name.n - 1] == '-'),
        "must not begin or end with a hyphen");
}

static void env_name_faults(struct faults *f, kr_str name)
{
    bool printable = name.n > 0;

    for (size_t i = 0; i < name.n; i++)
        printable &= name.s[i] >= ' ' && name.s[i] <= '~' && name.s[i] != '=';
    add(f, !printable,
        "a valid environment variable name must consist only of printable ASCII characters other "
        "than '='");
}

static void segment_faults(struct faults *f, kr_str s)
{
    if (kr_str_is(s, "."))
        add(f, true, "may not be '.'");
    else if (kr_str_is(s, ".."))
        add(f, true, "may not be '..'");
    add(f, kr_str_chr(s, '/') >= 0, "may not contain '/'");
    add(f, kr_str_chr(s, '%') >= 0, "may not contain '%'");
}

uint32_t sandbox_word_faults(enum sandbox_word word, kr_str s,
                             const char *faults[SANDBOX_FAULTS_MAX])
{
    struct faults f = {faults, 0};

    switch (word) {
    case SANDBOX_SUBDOMAIN:
        add(&f, s.n > SANDBOX_NAME_BYTES_MAX, "must be no more than 253 characters");
        add(&f, !is_dns(s, DOTS), SUBDOMAIN_TEXT);
        break;
    case SANDBOX_LABEL:
        add(&f, s.n > SANDBOX_LABEL_BYTES_MAX, "must be no more than 63 characters");
        add(&f, !is_dns(s, 0), is_dns(s, DOTS) ? "must not contain dots" : LABEL_TEXT);
        break;
    case SANDBOX_KEY:
        key_faults(&f, s, DOTS);
        break;
    case SANDBOX_ANNOTATION_KEY:
        key_faults(&f, s, DOTS | UPPER);
        break;
    case SANDBOX_LABEL_VALUE:
        add(&f, s.n > SANDBOX_LABEL_BYTES_MAX, "must be no more than 63 bytes");
        add(&f, !is_key_name(s), VALUE_TEXT);
        break;
    case SANDBOX_CONFIG_KEY:
        config_key_faults(&f, s);
        break;
    case SANDBOX_PORT_NAME:
        port_name_faults(&f, s);
        break;
    case SANDBOX_ENV_NAME:
        env_name_faults(&f, s);
        break;
    case SANDBOX_SEGMENT:
        segment_faults(&f, s);
        break;
    }
    return f.n;
}

const char *sandbox_word_fault(enum sandbox_word word, kr_str s)
{
    const char *faults[SANDBOX_FAULTS_MAX];

    return sandbox_word_faults(word, s, faults) ? faults[0] : NULL;
}
