/* SPDX-License-Identifier: Apache-2.0 */
/* regex.cc - RE2 behind a C face.
 *
 * CEL's regular expressions are Go's, which are RE2's, so this translates two things only: the
 * group syntax (?<name>...) for older RE2, and the texts of errors.
 */
#include "cel/regex.h"

#include <cstdio>
#include <memory>
#include <new>
#include <string>

#include <re2/re2.h>

struct cel__regex {
    cel__regex(const std::string &pattern, const RE2::Options &options) : re(pattern, options)
    {
    }
    RE2 re;
    size_t size = 0;
};

static const char *go_code(RE2::ErrorCode code)
{
    switch (code) {
    case RE2::ErrorBadEscape:
        return "invalid escape sequence";
    case RE2::ErrorBadCharClass:
        return "invalid character class";
    case RE2::ErrorBadCharRange:
        return "invalid character class range";
    case RE2::ErrorMissingBracket:
        return "missing closing ]";
    case RE2::ErrorMissingParen:
        return "missing closing )";
    case RE2::ErrorUnexpectedParen:
        return "unexpected )";
    case RE2::ErrorTrailingBackslash:
        return "trailing backslash at end of expression";
    case RE2::ErrorRepeatArgument:
        return "missing argument to repetition operator";
    case RE2::ErrorRepeatSize:
        return "invalid repeat count";
    case RE2::ErrorRepeatOp:
        return "invalid nested repetition operator";
    case RE2::ErrorBadPerlOp:
        return "invalid or unsupported Perl syntax";
    case RE2::ErrorBadUTF8:
        return "invalid UTF-8";
    case RE2::ErrorBadNamedCapture:
        return "invalid named capture";
    case RE2::ErrorPatternTooLarge:
        return "expression too large";
    default:
        return "regexp/syntax: internal error";
    }
}

/* (?<name> becomes (?P<name>, outside of character classes and escapes. */
static std::string modern_groups(const char *s, size_t n)
{
    std::string out;
    bool in_class = false;

    for (size_t i = 0; i < n; i++) {
        if (s[i] == '\\' && i + 1 < n) {
            out.append(s + i, 2);
            i++;
            continue;
        }
        if (s[i] == '[')
            in_class = true;
        else if (s[i] == ']')
            in_class = false;
        out.push_back(s[i]);
        if (!in_class && s[i] == '?' && i > 0 && s[i - 1] == '(' && i + 2 < n && s[i + 1] == '<' &&
            s[i + 2] != '=' && s[i + 2] != '!')
            out.push_back('P');
    }
    return out;
}

/* Is there a \C, which means any byte? Go has no such thing. */
static bool has_any_byte(const char *s, size_t n)
{
    bool literal = false; /* between \Q and \E */

    for (size_t i = 0; i + 1 < n; i++) {
        if (s[i] != '\\')
            continue;
        i++;
        if (s[i] == 'C' && !literal)
            return true;
        literal = s[i] == 'Q' || (literal && s[i] != 'E');
    }
    return false;
}

extern "C" struct cel__regex *cel__regex_new(const char *pattern, size_t n,
                                             char err[CEL__REGEX_ERR_MAX])
{
    RE2::Options options;

    if (has_any_byte(pattern, n)) {
        snprintf(err, CEL__REGEX_ERR_MAX, "error parsing regexp: invalid escape sequence: `\\C`");
        return NULL;
    }
    options.set_log_errors(false);
    std::unique_ptr<cel__regex> re(new cel__regex(modern_groups(pattern, n), options));
    if (re->re.ok()) {
        re->size = static_cast<size_t>(re->re.ProgramSize());
        return re.release();
    }
    if (re->re.error_code() == RE2::ErrorMissingParen && re->re.error().find("unexpected") == 0)
        snprintf(err, CEL__REGEX_ERR_MAX, "error parsing regexp: unexpected ): `%.*s`",
                 (int)re->re.error_arg().size(), re->re.error_arg().c_str());
    else if (re->re.error_code() == RE2::ErrorTrailingBackslash)
        snprintf(err, CEL__REGEX_ERR_MAX, "error parsing regexp: %s: ``",
                 go_code(re->re.error_code()));
    else
        snprintf(err, CEL__REGEX_ERR_MAX, "error parsing regexp: %s: `%.*s`",
                 go_code(re->re.error_code()), (int)re->re.error_arg().size(),
                 re->re.error_arg().c_str());
    return nullptr;
}

extern "C" void cel__regex_free(void *re)
{
    delete static_cast<cel__regex *>(re);
}

extern "C" bool cel__regex_groups(const struct cel__regex *re, const char *text, size_t len,
                                  size_t from, struct cel__span *spans, int n)
{
    re2::StringPiece input(text, len);
    re2::StringPiece groups[CEL__REGEX_GROUPS_MAX];

    if (!re->re.Match(input, from, len, RE2::UNANCHORED, groups, n))
        return false;
    for (int i = 0; i < n; i++) {
        if (!groups[i].data()) {
            spans[i] = {1, 0};
            continue;
        }
        spans[i].from = static_cast<size_t>(groups[i].data() - text);
        spans[i].to = spans[i].from + groups[i].size();
    }
    return true;
}

extern "C" size_t cel__regex_size(const struct cel__regex *re)
{
    return re->size;
}

extern "C" int cel__regex_groups_n(const struct cel__regex *re)
{
    return re->re.NumberOfCapturingGroups();
}

extern "C" bool cel__regex_find(const struct cel__regex *re, const char *text, size_t n,
                                size_t from, size_t *start, size_t *end)
{
    struct cel__span span;

    if (!cel__regex_groups(re, text, n, from, &span, start ? 1 : 0))
        return false;
    if (start) {
        *start = span.from;
        *end = span.to;
    }
    return true;
}
