/* SPDX-License-Identifier: Apache-2.0 */
/* gen_functions.c - a program of the build: functions.def into tables, on stdout.
 *
 * The signatures become constant type terms and the names a hash table, so that an environment costs
 * nothing to make and programs refer to the overloads without a copy. env.c includes the result:
 *
 *   types       one term per distinct type text
 *   overloads   one per row, the rows of a name side by side, in the order of functions.def
 *   functions   one per name, with the libraries that have it
 *   buckets     open hash table: number of a function plus one, 0 for none
 *
 * It knows the few forms that signatures have and stops the build at any other.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cel/hash.h"

#define CEL_FUNCTION(lib, name, style, id, signature, impl, flags, help) {#lib, name, signature},
static const struct {
    const char *lib, *name, *signature;
} rows[] = {
#include "cel/functions.def"
};
#undef CEL_FUNCTION

enum {
    ROWS_N = sizeof(rows) / sizeof(rows[0]),
    TYPES_MAX = 512,
    TEXT_MAX = 128,
    PARAMS_MAX = 8,
};

static char types[TYPES_MAX][TEXT_MAX]; /* the texts, by number */
static int types_n;

static void refuse(const char *what, const char *text)
{
    fprintf(stderr, "functions.def: %s: %s\n", what, text);
    exit(1);
}

/* Cuts the part before the next comma outside parentheses off *rest. */
static void cut(const char **rest, char *part)
{
    const char *s = *rest;
    int depth = 0;
    size_t n = 0;

    while (*s == ' ')
        s++;
    for (; s[n] && (depth || s[n] != ','); n++)
        depth += (s[n] == '(') - (s[n] == ')');
    if (n == 0 || n >= TEXT_MAX || depth)
        refuse("not a type", *rest);
    memcpy(part, s, n);
    part[n] = 0;
    *rest = s[n] ? s + n + 1 : s + n;
}

static const char *basic(const char *text)
{
    static const char *const names[][2] = {
        {"dyn", "dyn"},
        {"any", "any"},
        {"bool", "bool"},
        {"int", "int"},
        {"uint", "uint"},
        {"double", "double"},
        {"string", "string"},
        {"bytes", "bytes"},
        {"type", "type"},
        {"null", "null"},
        {"null_type", "null"},
        {"timestamp", "timestamp"},
        {"duration", "duration"},
        {"kro.run.Condition", "condition"},
        {"kro.run.Runtime", "runtime"},
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(names[i][0], text) == 0)
            return names[i][1];
    }
    return NULL;
}

/* A term's address, as C. */
static void print_ref(const char *text)
{
    if (basic(text)) {
        printf("&cel__t_%s", basic(text));
        return;
    }
    for (int i = 0; i < types_n; i++) {
        if (strcmp(types[i], text) == 0)
            printf("&type_%d", i);
    }
}

static const char *constructor(const char *name)
{
    if (strcmp(name, "list") == 0)
        return "TK_LIST";
    if (strcmp(name, "map") == 0)
        return "TK_MAP";
    if (strcmp(name, "type") == 0)
        return "TK_TYPE";
    return "TK_OPAQUE";
}

static void print_type(const char *text);

/* "name(T, U)": the parameters first, then the term. */
static void print_constructed(const char *text, const char *paren)
{
    char name[TEXT_MAX];
    char inner[TEXT_MAX];
    char part[TEXT_MAX];
    const char *rest = inner;
    int n = 0;

    snprintf(name, sizeof(name), "%.*s", (int)(paren - text), text);
    snprintf(inner, sizeof(inner), "%.*s", (int)strlen(paren) - 2, paren + 1);
    while (*rest) {
        cut(&rest, part);
        print_type(part);
    }
    printf("static const struct cel_type *const params_%d[] = {", types_n);
    for (rest = inner; *rest; n++) {
        cut(&rest, part);
        printf("%s", n ? ", " : "");
        print_ref(part);
    }
    printf("};\nstatic const struct cel_type type_%d = {.kind = %s, .name = {\"%s\", %zu}, "
           ".params = params_%d, .params_n = %d};\n",
           types_n, constructor(name), name, strlen(name), types_n, n);
}

static void print_plain(const char *text)
{
    if (!text[1] && text[0] >= 'A' && text[0] <= 'Z')
        printf("static const struct cel_type type_%d = {.kind = TK_VAR, .var = %d, .name = {\"T\", "
               "1}};\n",
               types_n, text[0] - 'A');
    else
        printf("static const struct cel_type type_%d = {.kind = %s, .name = {\"%s\", %zu}};\n",
               types_n, strncmp(text, "net.", 4) == 0 ? "TK_OPAQUE" : "TK_OBJECT", text,
               strlen(text));
}

/* Prints the term of text, once. */
static void print_type(const char *text)
{
    const char *paren = strchr(text, '(');

    if (basic(text))
        return;
    for (int i = 0; i < types_n; i++) {
        if (strcmp(types[i], text) == 0)
            return;
    }
    if (paren)
        print_constructed(text, paren);
    else
        print_plain(text);
    if (types_n == TYPES_MAX)
        refuse("too many types", text);
    snprintf(types[types_n++], TEXT_MAX, "%s", text);
}

/* The types of "T, T -> T", the result last; returns how many arguments there are. */
static int split(const char *signature, char parts[PARAMS_MAX + 1][TEXT_MAX])
{
    const char *arrow = strstr(signature, "->");
    char args[TEXT_MAX];
    const char *rest = args;
    int n = 0;

    if (!arrow || arrow - signature >= TEXT_MAX)
        refuse("no arrow", signature);
    snprintf(args, sizeof(args), "%.*s", (int)(arrow - signature), signature);
    for (size_t end = strlen(args); end > 0 && args[end - 1] == ' '; end--)
        args[end - 1] = 0;
    while (*rest) {
        if (n == PARAMS_MAX)
            refuse("too many arguments", signature);
        cut(&rest, parts[n++]);
    }
    rest = arrow + 2;
    cut(&rest, parts[n]);
    return n;
}

static void print_row_types(int row)
{
    char parts[PARAMS_MAX + 1][TEXT_MAX];
    int n = split(rows[row].signature, parts);

    for (int i = 0; i <= n; i++)
        print_type(parts[i]);
    if (!n)
        return;
    printf("static const struct cel_type *const args_%d[] = {", row);
    for (int i = 0; i < n; i++) {
        printf("%s", i ? ", " : "");
        print_ref(parts[i]);
    }
    printf("};\n");
}

static void print_overload(int row)
{
    char parts[PARAMS_MAX + 1][TEXT_MAX];
    int n = split(rows[row].signature, parts);
    char args[32] = "NULL";

    if (n)
        snprintf(args, sizeof(args), "args_%d", row);
    printf("    {.row = &cel__rows[%d], .args_n = %d, .args = %s, .result = ", row, n, args);
    print_ref(parts[n]);
    printf("},\n");
}

/* Is row the first of its name? */
static int first_of_name(int row)
{
    for (int i = 0; i < row; i++) {
        if (strcmp(rows[i].name, rows[row].name) == 0)
            return 0;
    }
    return 1;
}

/* The libraries of a name's rows. */
static void print_libs(int row)
{
    const char *sep = "";

    for (int i = row; i < ROWS_N; i++) {
        if (strcmp(rows[i].name, rows[row].name) != 0)
            continue;
        printf("%sCEL_LIB_%s", sep, rows[i].lib);
        sep = " | ";
    }
}

/* Do the rows of a name belong to several libraries? */
static int mixed(int row)
{
    for (int i = row; i < ROWS_N; i++) {
        if (strcmp(rows[i].name, rows[row].name) == 0 && strcmp(rows[i].lib, rows[row].lib) != 0)
            return 1;
    }
    return 0;
}

static int print_overloads(void)
{
    int functions = 0;

    printf("\nstatic const struct cel__overload table_overloads[] = {\n");
    for (int row = 0; row < ROWS_N; row++) {
        if (!first_of_name(row))
            continue;
        functions++;
        for (int i = row; i < ROWS_N; i++) {
            if (strcmp(rows[i].name, rows[row].name) == 0)
                print_overload(i);
        }
    }
    printf("};\n");
    return functions;
}

/* Functions in the order of their first rows; *names gets their names. */
static void print_functions(const char **names)
{
    int at = 0;
    int function = 0;

    printf("\nstatic const struct cel__fn table_functions[] = {\n");
    for (int row = 0; row < ROWS_N; row++) {
        int n = 0;

        if (!first_of_name(row))
            continue;
        for (int i = row; i < ROWS_N; i++)
            n += strcmp(rows[i].name, rows[row].name) == 0;
        printf("    {.name = {\"%s\", %zu}, .overloads_n = %d, .overloads = table_overloads + %d, "
               ".libs = ",
               rows[row].name, strlen(rows[row].name), n, at);
        print_libs(row);
        printf("%s", mixed(row) ? ", .mixed = true" : "");
        printf("},\n");
        at += n;
        names[function++] = rows[row].name;
    }
    printf("};\n");
}

static void print_buckets(const char **names, int n)
{
    uint32_t size = 64;
    int *buckets;

    while (size < 2u * (uint32_t)n)
        size *= 2;
    buckets = calloc(size, sizeof(*buckets));
    if (!buckets)
        refuse("out of memory", "");
    for (int i = 0; i < n; i++) {
        uint32_t at = cel__name_hash(names[i], strlen(names[i])) & (size - 1);

        while (buckets[at])
            at = (at + 1) & (size - 1);
        buckets[at] = i + 1;
    }
    printf("\nenum { TABLE_BUCKETS_N = %u };\nstatic const uint16_t table_buckets[TABLE_BUCKETS_N] "
           "= {",
           size);
    for (uint32_t i = 0; i < size; i++)
        printf("%s%d,", i % 16 ? " " : "\n    ", buckets[i]);
    printf("\n};\n");
    free(buckets);
}

int main(void)
{
    static const char *names[ROWS_N];
    int n;

    printf("/* Made by gen_functions.c of functions.def. */\n");
    for (int row = 0; row < ROWS_N; row++)
        print_row_types(row);
    n = print_overloads();
    print_functions(names);
    print_buckets(names, n);
    return 0;
}
