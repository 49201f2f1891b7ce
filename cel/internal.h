/* SPDX-License-Identifier: Apache-2.0 */
/* internal.h - what the files of cel/ share with each other and with nobody else.
 *
 *   cel__lexer   text -> tokens                  lex.c
 *   cel__node    the tree                        parse.c makes it, macro.c rewrites, check.c types
 *   cel_type     type terms                      type.c
 *   cel__fn      functions and their overloads   functions.def, env.c
 *   cel_prog     the flat program                compile.c makes it, vm.c runs it
 *   cel__vm      one evaluation                  vm.c, ops.c, fn_*.c
 */
#ifndef CEL_INTERNAL_H
#define CEL_INTERNAL_H

#include "cel/cel.h"

/* --- types (type.c) --------------------------------------------------------------------------- */

enum cel__type_kind {
    TK_ERROR,
    TK_DYN,
    TK_ANY,
    TK_NULL,
    TK_BOOL,
    TK_INT,
    TK_UINT,
    TK_DOUBLE,
    TK_STRING,
    TK_BYTES,
    TK_DURATION,
    TK_TIMESTAMP,
    TK_LIST,   /* params: item */
    TK_MAP,    /* params: key, value */
    TK_TYPE,   /* params: none, or the type meant */
    TK_OPAQUE, /* name, params: optional_type(T), net.IP, ... */
    TK_OBJECT, /* name, schema */
    TK_VAR,    /* a type parameter: `var` numbers it */
};

struct cel_type {
    uint8_t kind; /* enum cel__type_kind */
    uint32_t params_n;
    uint32_t var;
    kr_str name; /* run-time name */
    const struct cel_type *const *params;
    const struct cel_schema *schema; /* of an object type; NULL: the type's fields are not known */
};

extern const struct cel_type cel__t_error, cel__t_dyn, cel__t_any, cel__t_null, cel__t_bool,
    cel__t_int, cel__t_uint, cel__t_double, cel__t_string, cel__t_bytes, cel__t_duration,
    cel__t_timestamp, cel__t_type, cel__t_condition, cel__t_runtime;

const struct cel_type *cel__type_new(struct kr_arena *a, enum cel__type_kind kind, kr_str name,
                                     const struct cel_type *const *params, uint32_t n);
const struct cel_type *cel__type_optional(struct kr_arena *a, const struct cel_type *inner);
const struct cel_type *cel__type_type(struct kr_arena *a, const struct cel_type *of);
const struct cel_type *cel__type_var(struct kr_arena *a, uint32_t var);
/* Deep copy: nothing of t is borrowed but static basic types and schemas. */
const struct cel_type *cel__type_copy(struct kr_arena *a, const struct cel_type *t);
/* Reads "list(A)", "optional_type(map(K, V))", ... A single capital letter is a type parameter and
 * becomes TK_VAR number letter - 'A'. Asserts on a malformed text: signatures are ours. */
const struct cel_type *cel__type_parse(struct kr_arena *a, kr_str *rest);

/* How a field of an object type was found. */
enum cel__field_found {
    CEL__FIELD_OK,
    CEL__FIELD_UNDEFINED, /* the type has no such field */
    CEL__FIELD_NO_TYPE,   /* nothing is known of the type's fields */
};
enum cel__field_found cel__type_field(struct kr_arena *a, const struct cel_type *object,
                                      kr_str name, const struct cel_type **out);

/* Substitution of type variables: one entry per variable, with a trail to undo a failed attempt. */
struct cel__subst {
    struct kr_arena *a;
    const struct cel_type **bound; /* per variable; NULL: free */
    uint32_t vars_n, cap;
    uint32_t *trail; /* pairs: variable, index into old */
    const struct cel_type **old;
    uint32_t trail_n, trail_cap;
};
const struct cel_type *cel__subst_fresh(struct cel__subst *s);
/* Binds variables so that from fits into to; on failure nothing is bound. */
bool cel__subst_assign(struct cel__subst *s, const struct cel_type *from,
                       const struct cel_type *to);
/* The same for lists of types, all or nothing. */
bool cel__subst_assign_all(struct cel__subst *s, const struct cel_type *const *from,
                           const struct cel_type *const *to, uint32_t n);
/* t with bound variables replaced; free ones become dyn when free_to_dyn. */
const struct cel_type *cel__subst_apply(struct cel__subst *s, const struct cel_type *t,
                                        bool free_to_dyn);
bool cel__type_less_specific(const struct cel_type *a, const struct cel_type *b); /* or equal */

/* --- property names (schema.c) ---------------------------------------------------------------- */

bool cel__reserved_word(kr_str s);
/* Kubernetes' escaping of property names ("a-b" -> "a__dash__b"); false: not accessible. Lives in a
 * or is p itself. */
bool cel__escape(struct kr_arena *a, kr_str p, kr_str *out);
bool cel__unescape(struct kr_arena *a, kr_str n, kr_str *out);

/* --- lexer (lex.c) ---------------------------------------------------------------------------- */

enum cel__token_kind {
    TOK_END,
    TOK_BAD, /* a character that begins no token, or an unfinished literal */
    TOK_IDENT,
    TOK_ESC_IDENT, /* text is without the backticks */
    TOK_INT,
    TOK_UINT,
    TOK_FLOAT,
    TOK_STRING,
    TOK_BYTES,
    TOK_TRUE,
    TOK_FALSE,
    TOK_NULL,
    TOK_IN,
    TOK_EQ,
    TOK_NE,
    TOK_LT,
    TOK_LE,
    TOK_GE,
    TOK_GT,
    TOK_AND,
    TOK_OR,
    TOK_LBRACKET,
    TOK_RBRACKET,
    TOK_LBRACE,
    TOK_RBRACE,
    TOK_LPAREN,
    TOK_RPAREN,
    TOK_DOT,
    TOK_COMMA,
    TOK_MINUS,
    TOK_NOT,
    TOK_QUESTION,
    TOK_COLON,
    TOK_PLUS,
    TOK_STAR,
    TOK_SLASH,
    TOK_PERCENT,
};

struct cel__token {
    uint8_t kind; /* enum cel__token_kind */
    uint32_t pos; /* byte offset */
    kr_str text;
};

struct cel__lexer {
    kr_str text;
    uint32_t at; /* byte offset */
};
struct cel__token cel__lex(struct cel__lexer *lx);
/* The value of a string or bytes token. Returns NULL, or what is wrong with it. */
const char *cel__unquote(struct kr_arena *a, const struct cel__token *tok, kr_val *out);

/* --- diagnostics (parse.c) -------------------------------------------------------------------- */

enum { CEL__POS_NONE = UINT32_MAX }; /* no position: prints as -1:0 */

struct cel__diag {
    uint32_t pos; /* byte offset */
    kr_str text;
    kr_str name;                   /* what is not there; empty: another matter */
    const struct cel_type *object; /* where it is not: a type without that field; NULL: the env */
};

struct cel__diags {
    struct kr_arena *a;
    kr_str source;
    struct cel__diag *list;
    uint32_t n, cap;
    uint32_t left_out; /* over CEL_ERRORS_MAX */
};
void cel__diag(struct cel__diags *d, uint32_t pos, const char *fmt, ...) KR_PRINTF(3, 4);
/* The last one is about a name that does not exist: object has no such field, or the env no such
 * variable or function (NULL). */
void cel__diag_about(struct cel__diags *d, const struct cel_type *object, kr_str name);
void cel__diags_sort(struct cel__diags *d); /* by position */
/* Prints all, sorted by position, into err; returns KR_E_INPUT. */
int cel__diags_fail(struct cel__diags *d, struct kr_err *err);

/* --- the tree (parse.c, macro.c) -------------------------------------------------------------- */

enum cel__node_kind {
    NK_ERROR, /* already reported */
    NK_CONST,
    NK_IDENT,
    NK_SELECT,
    NK_CALL,
    NK_LIST,
    NK_MAP,
    NK_STRUCT,
    NK_FOLD,
};

/* What a comprehension is for. All of them come from macros, so the compiler need not guess. */
enum cel__fold_kind {
    FOLD_ALL,
    FOLD_EXISTS,
    FOLD_ONE,
    FOLD_LIST,      /* map, filter, transformList: list of body where pred */
    FOLD_MAP,       /* transformMap: var1 -> body */
    FOLD_MAP_ENTRY, /* transformMapEntry: entries of body */
    FOLD_BIND,      /* accu is bound to init in result */
};

struct cel__node;

/* A comprehension as cel-go builds it (the checker walks this), and what it means (the compiler
 * walks pred and body). */
struct cel__fold {
    uint8_t kind;      /* enum cel__fold_kind */
    kr_str var1, var2; /* var2 empty: one variable */
    kr_str accu;
    struct cel__node *range, *init, *cond, *step, *result;
    struct cel__node *pred; /* all, exists, one: the predicate; others: the filter or NULL */
    struct cel__node *body; /* the element made */
};

struct cel__node {
    uint8_t kind;             /* enum cel__node_kind */
    bool member;              /* call: has a target */
    bool test_only;           /* select: has(e.f) */
    uint16_t depth;           /* of counted nodes below and with this one */
    uint32_t pos;             /* byte offset for diagnostics */
    uint32_t args_n;          /* map: two per entry */
    kr_str name;              /* ident, field, function, struct type */
    kr_val value;             /* const */
    struct cel__node *target; /* operand of a select; target of a member call */
    struct cel__node **args;
    const bool *optional; /* list, map: per element or entry; NULL: none is optional */
    struct cel__fold *fold;

    const struct cel_type *type; /* from here on: set by the checker */
    int32_t slot;                /* ident, qualified select: variable of the env; or one below */
    uint32_t overloads_n;        /* call: those that match */
    const struct cel__overload *const *overloads;
    const struct cel__fn *fn;
    uint32_t local; /* ident: number of the fold variable it names; CEL__NO_LOCAL */

    uint8_t constness; /* enum cel__constness; this and the next: set by the compiler */
    kr_val computed;
};

enum cel__constness { CEL__UNKNOWN, CEL__CONSTANT, CEL__VARYING };

enum { CEL__NO_LOCAL = UINT32_MAX };
/* Values of slot that are no slot. */
enum { CEL__SLOT_NONE = -1, CEL__SLOT_TYPE = -2 /* value has the type */, CEL__SLOT_RUNTIME = -3 };

struct cel__parser {
    struct kr_arena *a;
    struct cel__diags *diags;
    const struct cel_env *env;
    struct cel__lexer lx;
    struct cel__token tok, next;
    bool stopped; /* a syntax error: nothing more is read */
    uint16_t expr_depth, relation_depth, calc_depth;
    uint32_t macro_nodes;
};

/* Parses and expands macros. NULL: diags has errors. */
struct cel__node *cel__parse(struct kr_arena *a, const struct cel_env *env,
                             struct cel__diags *diags, kr_str text);
struct cel__node *cel__node_new(struct cel__parser *p, enum cel__node_kind kind, uint32_t pos);
/* The expansion of a call, or NULL when it is no macro. */
struct cel__node *cel__macro(struct cel__parser *p, kr_str name, struct cel__node *target,
                             struct cel__node **args, uint32_t n, uint32_t pos);
/* Number i of the macros, as docs/cel.md shows it; false: there is none. */
struct cel__macro_info {
    uint8_t lib; /* enum cel_libs */
    const char *form, *help;
};
bool cel__macro_info(uint32_t i, struct cel__macro_info *out);
/* "a.b.c" of a pure chain of selects, into a; false for all else. */
bool cel__dotted(struct kr_arena *a, const struct cel__node *e, kr_str *out);

/* --- functions (functions.def, env.c) --------------------------------------------------------- */

struct cel__vm;
struct cel__key;
/* Computes *out from args. Returns 0 or what cel__raise returned. */
typedef int cel__impl(struct cel__vm *vm, const kr_val *args, uint32_t n, kr_val *out);

enum cel__style { GLOBAL, MEMBER };

enum {
    FN_GUARD = 1,  /* argument types are compared with the overload's before the call */
    FN_OP = 2,     /* an operator: the compiler has an opcode for it */
    FN_HIDDEN = 4, /* internal name, not reachable from source text */
    FN_SIZED = 8,  /* costs one per 16 bytes or per element of its arguments */
    FN_CROSS = 16, /* two types of numbers: the checker sees it only after a comprehension */
};

/* One row of functions.def. */
struct cel__row {
    uint8_t lib;   /* enum cel_libs */
    uint8_t style; /* enum cel__style */
    uint8_t flags; /* FN_* */
    const char *name;
    const char *id;        /* cel-go's overload id */
    const char *signature; /* "string, list(A) -> int" */
    const char *help;      /* for docs/cel.md; of the first row of a name */
    cel__impl *impl;
};
extern const struct cel__row cel__rows[];
extern const uint32_t cel__rows_n;

enum { CEL__COST_TEXT_MAX = 128 };
/* What a function costs, for docs/cel.md (cost.c). */
void cel__cost_text(const struct cel__row *row, char out[CEL__COST_TEXT_MAX]);

struct cel__overload {
    const struct cel__row *row;
    uint32_t args_n;
    const struct cel_type *const *args;
    const struct cel_type *result;
};

struct cel__fn {
    kr_str name;
    uint16_t libs; /* enum cel_libs: all that have an overload */
    bool mixed;    /* several have */
    uint32_t overloads_n;
    const struct cel__overload *overloads;
};

struct cel__var {
    kr_str name;
    const struct cel_type *type;
    const struct cel_schema *schema;
    uint32_t slot;
};

/* What the programs of one arena have in common. */
struct cel__shared {
    struct kr_arena *a;
    struct cel__tables *tables[64]; /* by hash */
};
struct cel__tables {
    const struct cel__tables *next;
    uint32_t hash, n;
    const struct cel__rt *types;
};

struct cel_env {
    struct kr_arena *a;
    const struct cel_env *parent;
    unsigned libs;
    kr_str container; /* names are looked up in it and in its parents; empty in kro */
    struct cel__var *vars;
    uint32_t
        *slots; /* 2 * vars_cap, by hash of the name: place in vars + 1, the newest of a name */
    uint32_t vars_n, vars_cap, first_slot;
    struct cel__shared *shared;     /* see cel_env_share; NULL: nothing is */
    const struct cel__fn *declared; /* functions without implementation, for checking only */
    uint32_t declared_n;
};

/* The function with the overloads that env has, or NULL: from a constant table, or in a. */
const struct cel__fn *cel__env_function(struct kr_arena *a, const struct cel_env *env, kr_str name);
bool cel__overload_in_table(const struct cel__overload *o); /* constant, with all it points to */
/* Declares functions that have no implementation: an expression that calls them can be checked. */
void cel__env_declare(struct cel_env *env, const struct cel__row *rows, uint32_t n);
/* The variable named exactly name, or NULL. */
const struct cel__var *cel__env_var(const struct cel_env *env, kr_str name);
/* A type that can be named in an expression, or NULL. */
const struct cel_type *cel__env_type(const struct cel_env *env, kr_str name);

/* named for the linker as functions.h names all */
cel__impl cel__no_impl __asm__("cel__cel__no_impl");

/* --- checker (check.c) ------------------------------------------------------------------------ */

/* Types the tree in place. Errors go to diags. untyped: every type is dyn, so that names are
 * resolved and all else is left to the evaluation. */
void cel__check(struct kr_arena *a, const struct cel_env *env, struct cel__diags *diags,
                struct cel__node *root, bool untyped);
/* cel_compile without the type check. */
KR_MUST int cel__compile_unchecked(struct kr_arena *a, const struct cel_env *env, kr_str text,
                                   const struct cel_prog **out, struct kr_err *err);
/* The check of a constant format string against a list literal (fn_format.c): what is wrong, or an
 * empty string. *at gets the offending element, or NULL when it is the format string. */
kr_str cel__format_check(struct kr_arena *a, kr_str format, const struct cel__node *list,
                         const struct cel__node **at);

/* --- values read through a schema (typed.c) --------------------------------------------------- */

struct cel__rt_field {
    kr_str name;   /* raw property name; sorted */
    uint16_t type; /* handle */
};

/* What the evaluator knows of a schema. Handle h is entry h - 1 of the program's table; 0: none. */
struct cel__rt {
    uint8_t type;   /* enum cel_schema_type */
    uint8_t format; /* enum cel_schema_format */
    uint8_t list_type;
    bool int_or_string, preserve, nullable, object_like, is_map;
    uint16_t items, additional;
    uint16_t fields_n, map_keys_n;
    const struct cel__rt_field *fields;
    const kr_str *map_keys;
};

struct cel__rt_builder {
    struct kr_arena *a;   /* of the program */
    struct kr_arena *tmp; /* of the table while it grows; its names are the schema's */
    struct cel__rt *types;
    const struct cel_schema **seen;
    uint32_t n, cap;
    bool full;
};
/* The finished table in the program's arena; NULL: empty. An equal one of shared (may be NULL) is
 * taken instead. */
const struct cel__rt *cel__rt_table(const struct cel__rt_builder *b, struct cel__shared *shared);
/* Handle of the whole schema below s. */
uint16_t cel__rt_whole(struct cel__rt_builder *b, const struct cel_schema *s);
/* Handle of s of which only the members on the given paths are looked at. */
uint16_t cel__rt_paths(struct cel__rt_builder *b, const struct cel_schema *s,
                       const struct cel_read *reads, uint32_t n, uint32_t depth);

/* Reads raw data through handle h: an error value (KR_ERROR) where the data does not fit. */
kr_val cel__typed(struct cel__vm *vm, kr_val raw, uint16_t h);
/* Member of a map read through its handle; KR_NONE: absent. key is the name as written. */
kr_val cel__typed_member(struct cel__vm *vm, kr_val map, kr_str key);
/* The same for a name of the program. */
kr_val cel__typed_select(struct cel__vm *vm, kr_val map, const struct cel__key *key);
/* Handle of the property raw of an object; 0: none is known. */
uint16_t cel__rt_field(const struct cel__rt *t, kr_str raw);
/* Item i of a list, read through its handle. */
static inline kr_val cel__item(struct cel__vm *vm, kr_val list, uint32_t i);
/* Value of entry i of a map, read through its handle. */
kr_val cel__typed_entry(struct cel__vm *vm, kr_val map, uint32_t i);
/* The key under which a typed object shows a property. */
kr_val cel__typed_key(struct cel__vm *vm, kr_val map, kr_val key);
/* Result of an evaluation without handles on lists: items are converted. Stops at vm->parts over
 * CEL__VALUE_PARTS_MAX: the caller looks. */
kr_val cel__typed_finish(struct cel__vm *vm, kr_val v);
/* The value with every typed map and list below converted (for tests and comparisons). */
kr_val cel__typed_expand(struct cel__vm *vm, kr_val v);
bool cel__typed_is_object(struct cel__vm *vm, kr_val map); /* has declared properties */
/* Equality of a set or map list a with the list b; 1: a is neither, compare item by item. */
int cel__typed_equal(struct cel__vm *vm, kr_val a, kr_val b, kr_val *out);
/* a + b by the rules of a's list type; a has a handle. */
kr_val cel__typed_concat(struct cel__vm *vm, kr_val a, kr_val b);

/* --- programs (compile.c) --------------------------------------------------------------------- */

enum cel__op {
#define CEL_OP(name) OP_##name,
#include "cel/opcode.def"
#undef CEL_OP
    OP_N
};

/* An operand is the number of a register; those below zero are the constants, from -1 down. */

struct cel__insn {
    uint8_t op; /* enum cel__op */
    uint8_t flag;
    uint16_t handle; /* type handle, where the op loads a variable */
    uint32_t dst;
    uint32_t a, b; /* as opcode.def says; operands are signed */
};

/* A name that one place of the program looks for in maps. The hint is the index at which it stood
 * last time: the objects that a program sees mostly have the same members. It is the one thing in a
 * program that changes; it is checked before it is believed, and written and read as a whole, so
 * that any number of evaluations may share it. */
struct cel__name {
    kr_str text;
    uint64_t first, last; /* cel__words of the text */
    uint32_t hint;
};

/* A member name as the program uses it. */
struct cel__key {
    struct cel__name name; /* as written */
    kr_str unescaped;      /* property of a typed object; the same bytes when nothing is escaped */
    bool accessible;
};

/* One member on a path: how raw data spells it, and what its schema makes of the value. */
struct cel__step {
    struct cel__name name; /* the property's */
    uint16_t to;           /* handle of the member; 0: taken as it is */
    uint8_t as_is;         /* enum kr_kind that the schema takes as it is; KR_NONE: no single one */
    bool null_absent;      /* null is as good as absent: a property of a typed object */
};

/* A chain of selects. The steps are walked over the raw data, without a look at the schema; what
 * they do not find is done again with the keys, which knows the reason. */
struct cel__path {
    uint32_t keys_n;
    uint32_t cache; /* register that keeps the value for the next use (flag of PATH) */
    const uint32_t *keys;
    struct cel__step *steps; /* NULL: always use the keys, as some container has no fixed type */
    const struct cel__step *steps_end;
    kr_str var;
    uint16_t to;   /* as of the last step */
    uint8_t as_is; /* as of the last step */
    uint16_t handle;
    uint32_t slot, uses; /* while compiling */
};

enum { CEL__ARGS_MAX = 8, CEL__DECIDED_ARGS_MAX = 4 };

/* What an overload takes, as far as the kinds of arguments say. */
struct cel__option {
    const struct cel__overload *overload;
    cel__impl *impl;
    bool decided; /* they say it all: what fits below is taken, all else is not */
    bool sized;   /* FN_SIZED */
    uint32_t kinds[CEL__DECIDED_ARGS_MAX]; /* bits of enum kr_kind */
    uint32_t items[CEL__DECIDED_ARGS_MAX]; /* of a list: the kinds of its first item */
    const struct kr_opaque_type *opaque;   /* the type of all that are KR_OPAQUE */
};

struct cel__call {
    kr_str name;
    bool member;
    uint32_t args_n;
    const uint32_t *args; /* operands */
    bool refuse_by_types; /* when no overload takes the arguments, the message names their types */
    uint32_t options_n; /* overloads of this many arguments; the first that takes them is called */
    const struct cel__option *options;
    const struct cel__regex *regex; /* compiled constant pattern, or NULL */
};

/* An error raised at from <= pc < to goes into register reg, and the run goes on at target. */
struct cel__handler {
    uint32_t from, to, target, reg;
};

struct cel_prog {
    kr_str text;
    const struct cel_type *type;
    bool constant;
    bool only_path;    /* reads one path and returns it */
    bool strict, spec; /* CEL_LIB_STRICT, CEL_LIB_SPEC */
    uint32_t caches_n; /* the last registers: KR_NONE at the start */
    uint32_t regs_n, insns_n, consts_n, keys_n, handlers_n, calls_n, reads_n, types_n;
    const struct cel__insn *insns;
    const kr_val *consts;  /* the last one first: as they lie below the registers */
    struct cel__key *keys; /* their hints change */
    const struct cel__path *paths;
    const struct cel__call *calls;
    const uint32_t *operands; /* of list and map literals */
    const bool *optionals;    /* beside operands */
    const struct cel__handler *handlers;
    const struct cel_read *reads;
    const struct cel__rt *types;
};

/* Compiles a typed tree. */
KR_MUST int cel__compile(struct kr_arena *a, struct kr_arena *tmp, const struct cel_env *env,
                         kr_str text, struct cel__node *root, const struct cel_prog **out,
                         struct kr_err *err);
/* Read-set of a typed tree (refs.c). Lives in a. */
const struct cel_read *cel__reads(struct kr_arena *a, struct kr_arena *tmp,
                                  const struct cel__node *root, uint32_t *n);

/* --- evaluation (vm.c, ops.c) ----------------------------------------------------------------- */

/* A value that is an error: lives in registers and in containers made from invalid data. */
enum { KR_ERROR = KR_KIND_N }; /* .obj: struct cel__error */

struct cel__error {
    const struct kr_opaque_type *type; /* as every .obj */
    enum cel_fail fail;
    int code; /* enum kr_code */
    kr_str text;
};

struct cel__vm {
    struct kr_arena *a;
    const struct cel_prog *p;
    const kr_val *slots;
    uint32_t slots_n;
    uint64_t cost, cost_max;
    size_t bytes_max;             /* of a->used_bytes */
    kr_val raised;                /* KR_ERROR */
    uint32_t depth;               /* of recursive walks over values */
    uint32_t parts;               /* values that cel__typed_finish has gone through */
    const struct cel__call *call; /* the call that runs */
};

enum {
    CEL__VALUE_DEPTH_MAX = 1000, /* nesting of values that equality and JSON walk */
    CEL__VALUE_PARTS_MAX =
        4 * 1000 * 1000, /* values in a result, a shared part as often as it stands there */
    CEL__TEXT_MAX = 64 * 1024 * 1024, /* bytes of one string made by an evaluation */
};

/* cel_eval without the last step: lists in the result may have handles, which vm can read. */
int cel__eval_raw(const struct cel_prog *p, struct cel_run *r, struct cel__vm *vm, kr_val *out,
                  struct kr_err *err);
/* Makes an error value. Texts of the four pending kinds are recognised by their words, as kro does.
 */
kr_val cel__error(struct cel__vm *vm, const char *fmt, ...) KR_PRINTF(2, 3);
/* Sets vm->raised; returns KR_E_EVAL. */
int cel__raise(struct cel__vm *vm, const char *fmt, ...) KR_PRINTF(2, 3);
int cel__raise_val(struct cel__vm *vm, kr_val error);
int cel__no_overload(struct cel__vm *vm); /* "no such overload" */
/* Value of the string key s in sorted pairs, or NULL. Few pairs are looked at one by one, most are
 * told apart by their lengths; among many, halves are chosen. */
static inline const kr_val *cel__find(const struct kr_pair *pairs, uint32_t n, const char *s,
                                      uint32_t len);
const kr_val *cel__find_halving(const struct kr_pair *pairs, uint32_t n, kr_str name);
/* The same, and keeps the place as a hint. */
const kr_val *cel__find_anew(const struct kr_pair *pairs, uint32_t n, struct cel__name *name);
/* The value of name in a map if it stands where the hint says; else NULL. */
__attribute__((always_inline)) static inline const kr_val *
cel__find_hinted(const kr_val *map, const struct cel__name *name);
/* Adds to the cost; negative over the limit. */
static inline int cel__charge(struct cel__vm *vm, uint64_t steps);
/* What looking once at a text costs where a call's own step is for the short ones. */
enum {
    CEL__LOOK_BYTES = 64,
    CEL__KEY_LOOKS = 16, /* at each key while a map is sorted or searched */
};
static inline uint64_t cel__look(uint64_t bytes);
/* The same for v when it is a text, else 0. */
static inline uint64_t cel__look_at(kr_val v);
int cel__over_limit(struct cel__vm *vm);

/* Heads a library type: see struct kr_opaque. */
struct kr_opaque_type {
    const char *name; /* run-time type name */
    /* Equality with another value of the same type. */
    bool (*equal)(const struct kr_opaque *x, const struct kr_opaque *y);
    /* May the value stand on the right of ==? NULL: always. */
    bool (*comparable)(const struct kr_opaque *y);
    /* Bytes that its methods and equality look at; NULL: few. */
    uint64_t (*bytes)(const struct kr_opaque *x);
};

struct cel__condition {
    struct kr_opaque head;
    kr_str type, status, reason, message;
};
extern const struct kr_opaque_type cel__condition_type, cel__runtime_type, cel__ip_type,
    cel__cidr_type, cel__url_type, cel__semver_type, cel__named_type;
/* The library type of that name, or NULL (opaque.c). */
const struct kr_opaque_type *cel__opaque_type(kr_str name);
extern const struct kr_opaque cel__runtime;

/* Go's name of a value's type, as reflect prints it ("int64", "map[string]interface {}"). */
const char *cel__go_type(kr_val v);
/* Go's name of the CEL value's implementation ("types.Int"). */
const char *cel__go_val_type(kr_val v);
/* Run-time type name ("int", "google.protobuf.Timestamp"). */
kr_str cel__type_name(kr_val v);
/* Does v fit the declared type, as far as cel-go looks (the first element of containers)? */
bool cel__guard(struct cel__vm *vm, const struct cel_type *t, kr_val v);
/* The kinds that fit argument i of the type t; false: they do not decide, cel__guard must say. */
#define CEL__ANY_KIND (~(1u << KR_ERROR))
#define CEL__ANY_ITEM (~0u) /* also one that is an error */
bool cel__guard_kinds(const struct cel_type *t, uint32_t i, struct cel__option *out);
static inline bool cel__guard_quick(struct cel__vm *vm, const struct cel_type *t, kr_val v)
{
    switch (t->kind) {
    case TK_BOOL:
        return v.kind == KR_BOOL;
    case TK_INT:
        return v.kind == KR_INT;
    case TK_STRING:
        return v.kind == KR_STRING;
    }
    return cel__guard(vm, t, v);
}
/* Equality as `==` has it: a bool, or an error value. */
kr_val cel__equal(struct cel__vm *vm, kr_val x, kr_val y);
/* `!=`: true also where `==` is an error of its own, not one of x or y. */
kr_val cel__differ(struct cel__vm *vm, kr_val x, kr_val y);
/* x < y: -1, 0, 1; 2 unordered (NaN); 3 no such overload. */
int cel__compare(kr_val x, kr_val y);
/* Looks a key up with numeric coercion: KR_NONE when absent. Typed values come converted. */
kr_val cel__map_get(struct cel__vm *vm, kr_val map, kr_val key);
int cel__index(struct cel__vm *vm, kr_val x, kr_val key, kr_val *out);
int cel__opt_index(struct cel__vm *vm, kr_val x, kr_val key, kr_val *out);
int cel__select(struct cel__vm *vm, kr_val x, const struct cel__key *key, kr_val *out);
int cel__opt_select(struct cel__vm *vm, kr_val x, const struct cel__key *key, kr_val *out);
int cel__has(struct cel__vm *vm, kr_val x, const struct cel__key *key, kr_val *out);
int cel__in(struct cel__vm *vm, kr_val x, kr_val container, kr_val *out);
int cel__concat(struct cel__vm *vm, kr_val x, kr_val y, kr_val *out);
kr_val cel__opt_of(struct kr_arena *a, kr_val v);
#define CEL__OPT_NONE ((kr_val){.kind = KR_OPTIONAL})
bool cel__is_zero(kr_val v);

/* Maps made by evaluation: pairs in any order into a map sorted as cel__key_cmp; a key that comes
 * twice keeps its last value. Sorts in place. */
kr_val cel__map_make(struct kr_arena *a, struct kr_pair *pairs, uint32_t n);
/* Index of exactly this key, or -1. */
int64_t cel__map_index(kr_val map, kr_val key);
/* Total order of map keys: bools, numbers by value and then by kind, strings by bytes. */
int cel__key_cmp(kr_val x, kr_val y);

/* The conversion that json.marshal does: as cel_to_json, but bytes and all uints have a form, and
 * omit() is an empty object. */
KR_MUST int cel__to_go(struct kr_arena *a, kr_val v, kr_val *out, struct kr_err *err);
/* "NaN", "+Inf" or "-Inf": the first double in v that JSON cannot hold; empty: none. */
kr_str cel__odd_double(kr_val v);

/* Raw values as error texts print them (Go's %v of the CEL value). */
kr_str cel__print(struct kr_arena *a, kr_val v);
kr_str cel__quote_go(struct kr_arena *a, kr_str s);     /* strconv.Quote */
kr_str cel__double_text(struct kr_arena *a, double d);  /* string(double) */
kr_str cel__double_fixed(struct kr_arena *a, double d); /* shortest digits, never an exponent */
kr_str cel__duration_text(struct kr_arena *a, int64_t nanos); /* string(duration) */
kr_str cel__timestamp_text(struct kr_arena *a, kr_val ts);    /* string(timestamp) */
kr_val cel__str(struct kr_arena *a, kr_str s);                /* a string value; borrows */
static inline kr_val cel__timestamp(int64_t s, uint32_t ns, int16_t zone)
{
    return (kr_val){.kind = KR_TIMESTAMP, .i = s, .n = ns, .aux = (uint16_t)zone};
}
static inline kr_val cel__duration(int64_t ns)
{
    return (kr_val){.kind = KR_DURATION, .i = ns};
}
static inline kr_val cel__bytes(kr_str s)
{
    return (kr_val){.kind = KR_BYTES, .n = (uint32_t)s.n, .s = s.s ? s.s : ""};
}
#define CEL__SECONDS_MIN INT64_C(-62135596800)
#define CEL__SECONDS_MAX INT64_C(253402300799)

/* The compiled pattern: the call's own, if it is constant; else made for this evaluation. Errors
 * get prefix in front. */
struct cel__regex;
/* A pattern in use by a call: KR_AUTO(cel__regex_use) u = {0}; */
struct cel__regex_use {
    const struct cel__regex *re;
    struct cel__regex *owned; /* NULL: the program has it */
};
void cel__regex_use_fini(struct cel__regex_use *u);
/* Pays for compiling, by the pattern's compiled size. */
int cel__regex_get(struct cel__vm *vm, kr_val pattern, const char *prefix,
                   struct cel__regex_use *out);
/* Pays for a match in n bytes of text: the text times the compiled pattern, of which 64 are a
 * step. */
int cel__regex_pay(struct cel__vm *vm, const struct cel__regex *re, uint64_t n);
/* What Go's url.ParseRequestURI says of s (fn_url.c); empty: nothing. */
kr_str cel__url_error(struct kr_arena *a, kr_str s);
/* Dispatches a call: guards, cost, implementation. */
int cel__call_run(struct cel__vm *vm, const struct cel__call *call, const kr_val *args, uint32_t n,
                  kr_val *out);
/* Binary arithmetic on kinds that the fast path of the VM does not take. */
int cel__arith(struct cel__vm *vm, enum cel__op op, kr_val x, kr_val y, kr_val *out);
int cel__negate(struct cel__vm *vm, kr_val x, kr_val *out);

static inline uint64_t cel__look(uint64_t bytes)
{
    return bytes / CEL__LOOK_BYTES;
}

static inline uint64_t cel__look_at(kr_val v)
{
    return v.kind == KR_STRING || v.kind == KR_BYTES ? cel__look(v.n) : 0;
}

static inline int cel__charge(struct cel__vm *vm, uint64_t steps)
{
    vm->cost += steps;
    if (vm->cost > vm->cost_max || vm->a->used_bytes > vm->bytes_max)
        return cel__over_limit(vm);
    return 0;
}

enum { CEL__FIND_EACH_MAX = 24 };

static inline const kr_val *cel__find(const struct kr_pair *pairs, uint32_t n, const char *s,
                                      uint32_t len)
{
    const struct kr_pair *end = pairs + n;

    if (n > CEL__FIND_EACH_MAX)
        return cel__find_halving(pairs, n, (kr_str){s, len});
    for (const struct kr_pair *p = pairs; p < end; p++) {
        if (p->key.n == len && p->key.kind == KR_STRING && kr_bytes_eq(p->key.s, s, len))
            return &p->val;
    }
    return NULL;
}

/* The first and the last bytes of a text, which is all of it up to 16 bytes. */
__attribute__((always_inline)) static inline void cel__words(const char *s, size_t n,
                                                             uint64_t *first, uint64_t *last)
{
    *first = *last = 0;
    if (n >= 8) {
        memcpy(first, s, 8);
        memcpy(last, s + n - 8, 8);
    } else if (n >= 4) {
        memcpy(first, s, 4);
        memcpy(last, s + n - 4, 4);
    } else if (n) {
        *first = (uint64_t)(uint8_t)s[0] << 8 | (uint8_t)s[n / 2];
        *last = (uint8_t)s[n - 1];
    }
}

/* Are the bytes 8 to n - 8 the same? Without a call, so that who asks needs to save nothing. */
static inline bool cel__middle_is(kr_str text, const char *s)
{
    uint64_t x;
    uint64_t y;

    for (size_t i = 8; i + 8 < text.n; i += 8) {
        memcpy(&x, text.s + i, 8);
        memcpy(&y, s + i, 8);
        if (x != y)
            return false;
    }
    return true;
}

__attribute__((always_inline)) static inline bool cel__name_is(const struct cel__name *name,
                                                               const kr_val *key)
{
    size_t n = name->text.n;
    uint64_t first;
    uint64_t last;

    if (key->n != n || key->kind != KR_STRING)
        return false;
    cel__words(key->s, n, &first, &last);
    if (first != name->first || last != name->last)
        return false;
    return n <= 16 || cel__middle_is(name->text, key->s);
}

__attribute__((always_inline)) static inline const kr_val *
cel__find_hinted(const kr_val *map, const struct cel__name *name)
{
    uint32_t at = __atomic_load_n(&name->hint, __ATOMIC_RELAXED);

    return at < map->n && cel__name_is(name, &map->map[at].key) ? &map->map[at].val : NULL;
}

static inline kr_val cel__item(struct cel__vm *vm, kr_val list, uint32_t i)
{
    return list.aux ? cel__typed(vm, list.list[i], vm->p->types[list.aux - 1].items) : list.list[i];
}

static inline kr_val cel__val_error(const struct cel__error *e)
{
    return (kr_val){.kind = KR_ERROR, .obj = (const struct kr_opaque *)(const void *)e};
}
static inline const struct cel__error *cel__error_of(kr_val v)
{
    return (const struct cel__error *)(const void *)v.obj;
}

#endif
