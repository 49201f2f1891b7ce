/* SPDX-License-Identifier: Apache-2.0 */
/* cel.h - the value of an expression: CEL (Common Expression Language) in C.
 *
 *   text --parse--> tree --macros--> tree --check--> typed tree --compile--> program --eval--> value
 *                                          |                     |
 *                                          +-- type, diagnostics +-- reads: what it depends on
 *
 * An environment says which functions and variables exist. A program may be evaluated by any number
 * of callers at once: all that changes in it are hints where to look first. It lives in the arena it
 * was compiled into. Evaluation allocates from the caller's arena only. Nothing here reads a clock, a
 * file (but tzdata) or keeps global state that changes.
 *
 * Texts of errors and types are cel-go's (0.31), byte for byte where a user can see them.
 *
 * Source: cel-spec doc/langdef.md, cel-go 0.31, kro:pkg/cel.
 *
 *   lex.c parse.c macro.c   text to tree            check.c type.c env.c   types
 *   compile.c opcode.def    tree to program         vm.c ops.c             evaluation
 *   functions.def fn_*.c    the library, one row a function
 *   diagnose.c              what is wrong with an expression, and what was meant
 *   refs.c                  which variables and paths an expression reads
 *   json.c                  CEL value to JSON value
 *   cost.c locate.c         what an evaluation can cost; where one failed
 *   page.c                  the reference page docs/cel.md
 *   schema.c                the OpenAPI model (schema.h)
 */
#ifndef CEL_H
#define CEL_H

#include "cel/base/buf.h"
#include "cel/base/err.h"
#include "cel/base/val.h"
#include "cel/schema.h"

KR_C_BEGIN

enum {
    CEL_SOURCE_MAX = 100 * 1000,      /* code points of an expression; cel-go's default */
    CEL_DEPTH_MAX = 250,              /* nesting, while parsing and in the tree; cel-go's default */
    CEL_MACRO_NODES_MAX = 100 * 1000, /* tree nodes made while macros expand; cel-go's default */
    CEL_ERRORS_MAX = 100,             /* diagnostics reported for one expression */
};

/* Evaluation stops with KR_E_LIMIT when an expression has cost this many steps (an instruction, an
 * element or 16 bytes that a function works on, 64 bytes that are merely looked at). kro sets none.
 * It is for a program's user at a prompt; what serves others sets its own (graph/inst.h). */
#define CEL_COST_MAX UINT64_C(100000000)
/* ... and when what it makes takes this many bytes; a single string is bounded besides. */
enum { CEL_BYTES_MAX = 256 * 1024 * 1024 };

/* --- types ------------------------------------------------------------------------------------ */

/* An immutable type term; equal terms of one env may be different pointers: compare with
 * cel_type_same. Lives in the arena of the env it was made with. */
struct cel_type;

extern const struct cel_type *const CEL_T_DYN;
extern const struct cel_type *const CEL_T_ANY;
extern const struct cel_type *const CEL_T_BOOL;
extern const struct cel_type *const CEL_T_INT;
extern const struct cel_type *const CEL_T_UINT;
extern const struct cel_type *const CEL_T_DOUBLE;
extern const struct cel_type *const CEL_T_STRING;
extern const struct cel_type *const CEL_T_BYTES;
extern const struct cel_type *const CEL_T_NULL;
extern const struct cel_type *const CEL_T_DURATION;
extern const struct cel_type *const CEL_T_TIMESTAMP;
extern const struct cel_type *const CEL_T_CONDITION; /* kro.run.Condition */

const struct cel_type *cel_type_list(struct kr_arena *a, const struct cel_type *item);
const struct cel_type *cel_type_map(struct kr_arena *a, const struct cel_type *key,
                                    const struct cel_type *value);
/* The type of a value described by schema; object types inside are named from name ("__type_x").
 * NULL schema gives dyn. The schema must outlive every use of the type while compiling; programs do
 * not need it. */
const struct cel_type *cel_type_of_schema(struct kr_arena *a, const struct cel_schema *schema,
                                          kr_str name);
/* OpenAPI v3 schema of values of t, as kro infers status schemas; KR_NONE when it has none. */
kr_val cel_type_to_openapi(struct kr_arena *a, const struct cel_type *t, struct kr_err *err);

bool cel_type_same(const struct cel_type *a, const struct cel_type *b);
bool cel_type_assignable(const struct cel_type *from, const struct cel_type *to);
/* Structural compatibility of an output type with the type a field expects; negative: err has kro's
 * text ("type kind mismatch: ..."). Source: kro:pkg/cel/compatibility.go. */
KR_MUST int cel_type_compatible(const struct cel_type *output, const struct cel_type *expected,
                                struct kr_err *err);
bool cel_type_is_list(const struct cel_type *t, const struct cel_type **item);
bool cel_type_is_map(const struct cel_type *t, const struct cel_type **key,
                     const struct cel_type **value);
bool cel_type_is_optional(const struct cel_type *t, const struct cel_type **inner);
bool cel_type_is_object(const struct cel_type *t);
bool cel_type_is_dyn(const struct cel_type *t);                      /* dyn or any */
kr_str cel_type_print(struct kr_arena *a, const struct cel_type *t); /* as diagnostics print it */

/* --- environment ------------------------------------------------------------------------------ */

enum cel_libs {
    CEL_LIB_STD = 1,       /* standard library and macros */
    CEL_LIB_EXT = 2,       /* cel-go extensions that kro enables: strings, lists, bindings, ... */
    CEL_LIB_K8S = 4,       /* Kubernetes: quantity, url, ip, cidr, semver, lists, regex */
    CEL_LIB_KRO = 8,       /* kro: random, maps, json, hash, lists, omit, runtime */
    CEL_LIB_ALL = 15,      /* what kro has */
    CEL_LIB_EXT_MORE = 16, /* cel-go extensions that kro leaves out: math, sets, regex, block */
    CEL_LIB_K8S_MORE = 32, /* Kubernetes' that kro leaves out: format */
    CEL_LIB_FULL = 63,     /* all functions */
    /* No libraries but rules: */
    CEL_LIB_STRICT = 64, /* has() and .? fail on what has no fields, as the specification says */
    CEL_LIB_SPEC = 128, /* the other places where cel-go departs from cel-spec: repeated and odd map
                          * keys, null beside optionals, mapped IPv4 addresses, milliseconds */
};

/* Variables and libraries; a chain: a child sees its parents' variables. Lives in the arena given;
 * immutable once something was compiled with it. */
struct cel_env;

struct cel_env *cel_env_new(struct kr_arena *a, unsigned libs);
struct cel_env *cel_env_extend(struct kr_arena *a, const struct cel_env *parent);
/* Declares a variable and returns its slot: slots count from 0 along the chain. A second
 * declaration of a name shadows the first. schema, when not NULL, makes values of the variable read
 * through it at run time (dates become timestamps, ...); NULL: values are taken as they are. */
uint32_t cel_env_var(struct cel_env *env, kr_str name, const struct cel_type *type,
                     const struct cel_schema *schema);
uint32_t cel_env_slots_n(const struct cel_env *env);
/* For many programs that live in one arena: those compiled into a with env (and with children made
 * later) have equal parts once and borrow their texts. So a is not reset and the texts stay as long
 * as there is such a program, and a is not reset before the last use of env. */
void cel_env_share(struct cel_env *env, struct kr_arena *a);
/* The slot of name, or -1. */
int32_t cel_env_find(const struct cel_env *env, kr_str name);
/* The name of the variable in a slot; empty: none. */
kr_str cel_env_name(const struct cel_env *env, uint32_t slot);
/* Appends the page docs/cel.md: every operator, macro and function. */
void cel_reference_page(struct kr_buf *out);
/* Names of all functions, for "unknown functions" messages. */
bool cel_env_has_function(const struct cel_env *env, kr_str name);

/* --- programs --------------------------------------------------------------------------------- */

struct cel_prog;

/* Parses, checks and compiles text into a. err: cel-go's diagnostics, all of them, each with its
 * position and snippet (cut at KR_ERR_MAX). The program copies what it needs of text, env and
 * schemas. Returns 0 or KR_E_INPUT, KR_E_LIMIT. */
KR_MUST int cel_compile(struct kr_arena *a, const struct cel_env *env, kr_str text,
                        const struct cel_prog **out, struct kr_err *err);
const struct cel_type *cel_prog_type(const struct cel_prog *p); /* valid as long as the env is */
kr_str cel_prog_text(const struct cel_prog *p);
/* Is the expression a constant (no variable, no impure function)? */
bool cel_prog_is_constant(const struct cel_prog *p);

/* What a program reads: the longest chain of constant selections from a variable, cut at the first
 * dynamic index, call or comprehension. names_n == 0: the whole value. */
struct cel_read {
    uint32_t slot;
    uint32_t names_n;
    const kr_str *names;
};
/* All reads, no read twice, none that lies below another of the same program. Borrowed from p. */
const struct cel_read *cel_prog_reads(const struct cel_prog *p, uint32_t *n);

/* Is the pattern one that matches() takes? KR_E_INPUT: err has Go's text ("error parsing regexp:
 * ..."). */
KR_MUST int cel_regex_check(kr_str pattern, struct kr_err *err);
/* Does text match it somewhere, as matches() says? False when the pattern is none. */
bool cel_regex_matches(kr_str pattern, kr_str text);

/* Identifiers and functions of an expression, from the syntax alone (macros expanded, not checked).
 * Source: kro:pkg/cel/ast/inspector.go; reference section 18. */
struct cel_inspection {
    uint32_t idents_n; /* free identifiers, in order of first appearance, loop variables left out */
    const kr_str *idents;
    uint32_t functions_n; /* global functions the env does not have */
    const kr_str *functions;
    bool uses_omit;
};
KR_MUST int cel_inspect(struct kr_arena *a, const struct cel_env *env, kr_str text,
                        struct cel_inspection *out, struct kr_err *err);

/* A call of kro's runtime methods, as far as it is literal: runtime.newCondition({...}), or (lookup)
 * runtime.condition(schema, type). .s NULL: not a literal. In order of appearance, in a; from the
 * syntax alone. KR_E_INPUT: the expression cannot be parsed. Source: kro:pkg/graph/conditions.go. */
struct cel_runtime_call {
    bool lookup;
    kr_str type, status;
};
KR_MUST int cel_runtime_calls(struct kr_arena *a, const struct cel_env *env, kr_str text,
                              const struct cel_runtime_call **out, uint32_t *n, struct kr_err *err);

/* The parts of a kro.run.Condition, borrowed from v; false: v is none. */
struct cel_condition {
    kr_str type, status, reason, message;
};
bool cel_condition_of(kr_val v, struct cel_condition *out);

/* What cel_compile says of a text, one by one, for people and tools. */
struct cel_diag {
    uint32_t pos;      /* byte offset in the text; UINT32_MAX: no place */
    kr_str message;    /* cel-go's words without place and snippet */
    kr_str nearest;    /* the name that was meant, if one is near; empty */
    uint32_t fields_n; /* "undefined field": those that exist, by name */
    const kr_str *fields;
};
/* All that is wrong with text, by position; *n == 0: nothing. Lives in a. */
const struct cel_diag *cel_diagnose(struct kr_arena *a, const struct cel_env *env, kr_str text,
                                    uint32_t *n);
/* The function whose name is near; empty: none. Borrowed. */
kr_str cel_env_nearest_function(const struct cel_env *env, kr_str name);
/* Byte offset of the first use of a variable (or function) in text, or -1. */
int64_t cel_find_name(kr_str text, kr_str name);

/* --- cost ------------------------------------------------------------------------------------- */

#define CEL_COST_UNKNOWN UINT64_MAX /* no upper limit is known */

/* Steps, as cel_run.cost counts them, of an evaluation that succeeds. Limits of sizes come from
 * literals and from maxLength, maxItems and maxProperties of schemas; a map's keys are taken for no
 * longer than 320 bytes. */
struct cel_cost {
    uint64_t min, max;
};
/* Fails as cel_compile does. a is for temporaries. */
KR_MUST int cel_cost_estimate(struct kr_arena *a, const struct cel_env *env, kr_str text,
                              struct cel_cost *out, struct kr_err *err);

/* --- evaluation ------------------------------------------------------------------------------- */

/* Why an evaluation failed. PENDING kinds mean that a value is not there yet: kro treats them as
 * "data pending" (texts: no such key, no such field, no such attribute, index out of bounds). */
enum cel_fail {
    CEL_FAIL_NONE,
    CEL_FAIL_PENDING,
    CEL_FAIL_ERROR,
    CEL_FAIL_LIMIT, /* cost or size */
};

struct cel_run {
    const kr_val *slots; /* one value per slot of the env; KR_NONE: not there (no such attribute) */
    uint32_t slots_n;
    struct kr_arena *a; /* results and temporaries */
    uint64_t cost_max;  /* 0: CEL_COST_MAX */
    size_t bytes_max;   /* of a, for this evaluation; 0: CEL_BYTES_MAX */

    uint64_t cost;      /* out */
    enum cel_fail fail; /* out */
};

/* Evaluates into *out, which lives in run->a or borrows from the slots. Returns 0 or KR_E_EVAL /
 * KR_E_LIMIT with the bare message (no "eval ..." prefix) and run->fail set. */
KR_MUST int cel_eval(const struct cel_prog *p, struct cel_run *run, kr_val *out,
                     struct kr_err *err);

/* For people: turns the bare message that an evaluation left in err into a diagnostic with position,
 * source line and a caret, as compiling gives them. env, text and run as evaluated; a is for
 * temporaries. It evaluates parts of the expression again. */
void cel_locate(struct kr_arena *a, const struct cel_env *env, kr_str text,
                const struct cel_run *run, struct kr_err *err);

/* CEL value to JSON value, as every result of kro goes (reference section 16). KR_OMIT passes
 * through. KR_E_EVAL with kro's text on what cannot be converted. */
KR_MUST int cel_to_json(struct kr_arena *a, kr_val v, kr_val *out, struct kr_err *err);

KR_C_END

#endif
