// SPDX-License-Identifier: Apache-2.0

// The generator. It makes an expression of a wanted type from what gives that type: literals,
// variables, the functions and operators that the environment itself lists, macros. Now and then it
// breaks the rule and gives another type, an unknown name or a broken text.

package main

import (
	"fmt"
	"math/rand/v2"
	"sort"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/checker"
	"github.com/google/cel-go/common/types"
)

// Chances, one in so many.
const (
	wrongTypeOne   = 250 // of a subexpression: another type than wanted
	dynOne         = 30  // of a subexpression: behind dyn()
	dynWrongOne    = 3   // of those: another type
	unknownOne     = 1500
	wrongCountOne  = 1200
	brokenTextOne  = 70 // of an expression
	literalMapMax  = 4
	literalListMax = 4
)

type variable struct {
	name   string
	typ    *types.Type
	value  string // an expression without variables
	native bool   // given to cel-go as Go's own lists and maps
}

func (v variable) typeText() string { return checker.FormatCELType(v.typ) }

type overload struct {
	name   string
	member bool
	args   []*types.Type
	result *types.Type
}

// A scheme is what can be generated in an environment; immutable.
type scheme struct {
	overloads []overload
	full      bool
}

var (
	typeIP       = types.NewOpaqueType("net.IP")
	typeCIDR     = types.NewOpaqueType("net.CIDR")
	typeURL      = types.NewObjectType("kubernetes.URL")
	typeQuantity = types.NewObjectType("kubernetes.Quantity")
	typeSemver   = types.NewObjectType("kubernetes.Semver")
	typeFormat   = types.NewOpaqueType("kubernetes.NamedFormat")
)

func optional(t *types.Type) *types.Type { return types.NewOptionalType(t) }

func isOptional(t *types.Type) bool {
	return t.Kind() == types.OpaqueKind && t.TypeName() == "optional_type"
}

// Functions that no text can name, or that the macros below stand for.
var hidden = map[string]bool{
	"@not_strictly_false": true, "__not_strictly_false__": true, "in": true, "_in_": true, "cel.@mapInsert": true,
	"@sortByAssociatedKeys": true, "cel.@block": true, "_?._": true,
}

func newScheme(env *cel.Env, libs string) *scheme {
	s := &scheme{full: libs == "full"}
	functions := env.Functions()
	var names []string
	for name := range functions {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		if hidden[name] {
			continue
		}
		for _, o := range functions[name].OverloadDecls() {
			s.overloads = append(s.overloads, overload{name, o.IsMemberFunction(), o.ArgTypes(), o.ResultType()})
		}
	}
	return s
}

type generator struct {
	r      *rand.Rand
	s      *scheme
	vars   []variable
	locals []variable
	next   int // numbers loop variables
}

func (g *generator) one(n int) bool { return g.r.IntN(n) == 0 }

// --- types -----------------------------------------------------------------------------------

var scalars = []*types.Type{
	types.BoolType, types.IntType, types.IntType, types.UintType, types.DoubleType, types.StringType, types.StringType,
	types.BytesType, types.TimestampType, types.DurationType, types.NullType,
}
var objects = []*types.Type{typeIP, typeCIDR, typeURL, typeQuantity, typeSemver}
var keys = []*types.Type{
	types.StringType, types.StringType, types.StringType, types.IntType, types.UintType, types.BoolType, types.DoubleType,
}
var comparables = []*types.Type{
	types.IntType, types.UintType, types.DoubleType, types.BoolType, types.DurationType, types.TimestampType,
	types.StringType, types.BytesType,
}

func (g *generator) pickType(from []*types.Type) *types.Type { return from[g.r.IntN(len(from))] }

func (g *generator) randomType(depth int) *types.Type {
	if depth <= 0 {
		return g.pickType(scalars)
	}
	switch g.r.IntN(20) {
	case 0, 1, 2, 3:
		return types.NewListType(g.randomType(depth - 1))
	case 4, 5, 6:
		return types.NewMapType(g.pickType(keys), g.randomType(depth-1))
	case 7:
		return optional(g.randomType(depth - 1))
	case 8, 9:
		return types.DynType
	case 10, 11:
		return g.pickType(objects)
	case 12:
		if depth > 1 { // not of a variable: see departures
			return types.NewTypeTypeWithParam(g.pickType(scalars))
		}
	}
	return g.pickType(scalars)
}

// match binds the parameters of pattern so that it becomes t.
func match(pattern, t *types.Type, bound map[string]*types.Type) bool {
	if pattern.Kind() == types.TypeParamKind {
		if b := bound[pattern.TypeName()]; b != nil {
			return b.IsExactType(t)
		}
		bound[pattern.TypeName()] = t
		return true
	}
	if pattern.Kind() != t.Kind() || pattern.TypeName() != t.TypeName() {
		return false
	}
	if len(pattern.Parameters()) != len(t.Parameters()) {
		return len(pattern.Parameters()) == 0
	}
	for i, p := range pattern.Parameters() {
		if !match(p, t.Parameters()[i], bound) {
			return false
		}
	}
	return true
}

// fill replaces the parameters of pattern; those not bound yet are bound at random.
func (g *generator) fill(pattern *types.Type, bound map[string]*types.Type) *types.Type {
	if pattern.Kind() == types.TypeParamKind {
		if bound[pattern.TypeName()] == nil {
			bound[pattern.TypeName()] = g.randomType(1)
		}
		return bound[pattern.TypeName()]
	}
	ps := pattern.Parameters()
	if len(ps) == 0 {
		return pattern
	}
	switch pattern.Kind() {
	case types.ListKind:
		return types.NewListType(g.fill(ps[0], bound))
	case types.MapKind:
		key := ps[0]
		if key.Kind() == types.TypeParamKind && bound[key.TypeName()] == nil {
			bound[key.TypeName()] = g.pickType(keys)
		}
		return types.NewMapType(g.fill(key, bound), g.fill(ps[1], bound))
	case types.OpaqueKind:
		if isOptional(pattern) {
			return optional(g.fill(ps[0], bound))
		}
	}
	return pattern
}

// --- expressions -----------------------------------------------------------------------------

// expr makes an expression of type t with about size nodes.
func (g *generator) expr(t *types.Type, size int) *node {
	switch {
	case g.one(wrongTypeOne):
		t = g.randomType(1)
	case g.one(unknownOne):
		return atom(t, pick(g.r, []string{"nope", "nope.field", "unknown(1)", "i.unknown()", "runtime", "x.y.z", "if", "int.max"}))
	case size > 2 && t != types.DynType && g.one(dynOne):
		inner := t
		if g.one(dynWrongOne) {
			inner = g.randomType(1)
		}
		return call(types.DynType, "dyn", false, []*node{g.expr(inner, size-1)})
	}
	if t.Kind() == types.TypeParamKind {
		t = g.randomType(1)
	}
	if t == types.DynType && !g.one(8) {
		return g.dynamic(size)
	}
	if size <= 1 {
		return g.leaf(t)
	}
	for range 8 {
		if n := g.compound(t, size); n != nil {
			return n
		}
	}
	return g.leaf(t)
}

// dynamic makes an expression of type dyn; expr for dyn may make one of any type.
func (g *generator) dynamic(size int) *node {
	var of []*node
	for _, list := range [][]variable{g.vars, g.locals, g.locals} {
		for _, v := range list {
			if v.typ == types.DynType || v.typ == types.AnyType {
				of = append(of, atom(v.typ, v.name))
			}
		}
	}
	if len(of) > 0 && g.r.IntN(3) > 0 {
		n := of[g.r.IntN(len(of))]
		if size > 2 && g.one(2) {
			return g.selected(types.DynType, n)
		}
		return n
	}
	return call(types.DynType, "dyn", false, []*node{g.expr(g.randomType(1), size-1)})
}

func (g *generator) leaf(t *types.Type) *node {
	if g.r.IntN(5) < 3 {
		if n := g.name(t); n != nil {
			return n
		}
	}
	return g.literal(t, 2)
}

// name picks a variable of type t; for dyn any variable will do.
func (g *generator) name(t *types.Type) *node {
	var fit []variable
	for _, list := range [][]variable{g.vars, g.locals, g.locals} {
		for _, v := range list {
			if t == types.DynType || v.typ.IsExactType(t) {
				fit = append(fit, v)
			}
		}
	}
	if len(fit) == 0 {
		return nil
	}
	v := fit[g.r.IntN(len(fit))]
	return atom(v.typ, v.name)
}

func (g *generator) compound(t *types.Type, size int) *node {
	switch g.r.IntN(16) {
	case 0:
		return g.conditional(t, size)
	case 1, 2:
		return g.container(t, size)
	case 3, 4, 5:
		return g.macro(t, size)
	case 6:
		return g.member(t, size)
	case 7:
		if t.Kind() == types.StringKind {
			return g.format(size)
		}
	}
	return g.function(t, size)
}

func (g *generator) conditional(t *types.Type, size int) *node {
	return form(t, precTernary, "$ ? $ : $", []int{precOr, precOr, precTernary},
		g.expr(types.BoolType, size/3), g.expr(t, size/3), g.expr(t, size/3))
}

// split deals size out to n parts.
func (g *generator) split(size, n int) []int {
	parts := make([]int, n)
	for i := range parts {
		parts[i] = 1
	}
	for left := size - n; n > 0 && left > 0; left-- {
		parts[g.r.IntN(n)]++
	}
	return parts
}

func (g *generator) function(t *types.Type, size int) *node {
	var fit []int
	for i := range g.s.overloads {
		o := &g.s.overloads[i]
		if t == types.DynType {
			fit = append(fit, i)
		} else if match(o.result, t, map[string]*types.Type{}) {
			fit = append(fit, i)
			if o.result.Kind() != types.TypeParamKind { // the general ones would crowd these out
				fit = append(fit, i)
			}
		}
	}
	if len(fit) == 0 {
		return nil
	}
	o := &g.s.overloads[fit[g.r.IntN(len(fit))]]
	bound := map[string]*types.Type{}
	if t != types.DynType {
		match(o.result, t, bound)
	}
	sizes := g.split(size-1, len(o.args))
	kids := make([]*node, len(o.args))
	for i, a := range o.args {
		kids[i] = g.argument(o, i, g.fill(a, bound), sizes[i])
	}
	if g.one(wrongCountOne) && len(kids) > 1 {
		kids = kids[:len(kids)-1]
		return call(t, o.name, o.member, kids)
	}
	return g.apply(o, t, kids)
}

var binary = map[string]struct {
	text string
	prec int
}{
	"_&&_": {"&&", precAnd}, "_||_": {"||", precOr}, "_+_": {"+", precSum}, "_-_": {"-", precSum}, "_*_": {"*", precProduct},
	"_/_": {"/", precProduct}, "_%_": {"%", precProduct}, "_<_": {"<", precRelation}, "_<=_": {"<=", precRelation},
	"_>_": {">", precRelation}, "_>=_": {">=", precRelation}, "_==_": {"==", precRelation}, "_!=_": {"!=", precRelation},
	"@in": {"in", precRelation},
}

func (g *generator) apply(o *overload, t *types.Type, kids []*node) *node {
	if b, ok := binary[o.name]; ok {
		return form(t, b.prec, "$ "+b.text+" $", []int{b.prec, b.prec + 1}, kids...)
	}
	switch o.name {
	case "!_":
		return form(t, precUnary, "!$", []int{precPrimary}, kids...)
	case "-_":
		return form(t, precUnary, "-$", []int{precPrimary}, kids...)
	case "_[_]":
		return form(t, precPrimary, "$[$]", []int{precPrimary, 0}, kids...)
	case "_[?_]":
		return form(t, precPrimary, "$[?$]", []int{precPrimary, 0}, kids...)
	case "_?_:_":
		return form(t, precTernary, "$ ? $ : $", []int{precOr, precOr, precTernary}, kids...)
	case "math.@max":
		return call(t, "math.greatest", false, kids)
	case "math.@min":
		return call(t, "math.least", false, kids)
	}
	return call(t, o.name, o.member, kids)
}

// What a string argument of a function should be to be of use. The key is name, number of the
// argument, and a star for any number.
var argumentHints = map[string]string{
	"timestamp.0": "timestamp", "duration.0": "duration", "int.0": "int", "uint.0": "int", "double.0": "double", "bool.0": "bool",
	"quantity.0": "quantity", "isQuantity.0": "quantity", "url.0": "url", "isURL.0": "url", "ip.0": "ip", "isIP.0": "ip", "ip.isCanonical.0": "ip",
	"cidr.0": "cidr", "isCIDR.0": "cidr", "containsIP.1": "ip", "containsCIDR.1": "cidr", "semver.0": "semver", "isSemver.0": "semver",
	"matches.1": "regex", "find.1": "regex", "findAll.1": "regex", "regex.extract.1": "regex", "regex.extractAll.1": "regex", "regex.replace.1": "regex",
	"regex.replace.2": "rewrite", "base64.decode.0": "base64", "split.1": "separator", "replace.1": "separator", "replace.2": "separator",
	"indexOf.1": "separator", "lastIndexOf.1": "separator", "contains.1": "separator", "startsWith.1": "separator", "endsWith.1": "separator",
	"format.named.0": "format", "validate.1": "formatted",
}

// Functions whose int arguments are places and counts.
var counting = map[string]bool{
	"lists.range": true, "substring": true, "charAt": true, "slice": true, "flatten": true, "indexOf": true, "lastIndexOf": true,
	"split": true, "replace": true, "findAll": true, "_[_]": true, "_[?_]": true, "math.bitShiftLeft": true, "math.bitShiftRight": true,
	"regex.replace": true,
}

func (g *generator) argument(o *overload, i int, t *types.Type, size int) *node {
	hint := argumentHints[fmt.Sprintf("%s.%d", o.name, i)]
	if hint == "" && strings.HasPrefix(o.name, "get") && i == 1 {
		hint = "zone"
	}
	switch {
	case hint != "" && t.Kind() == types.StringKind && !g.one(8):
		return atom(t, quoteSome(g.r, first(g.r, hints[hint]), false))
	case o.name == "format" && i == 0, o.name == "format" && i == 1 && g.one(2):
		return g.literal(t, 2)
	case o.name == "lists.range": // a list of a million would be slow and teach nothing
		return unaryAtom(t, pick(g.r, []string{"0", "1", "2", "3", "5", "7", "-1", "1000001", "-9223372036854775808", "li.size()", "dyn(2)", "dyn(2u)"}))
	case counting[o.name] && t.Kind() == types.IntKind && !g.one(6):
		return unaryAtom(t, pick(g.r, []string{"0", "0", "0", "0", "1", "1", "1", "2", "2", "3", "4", "-1", "7", "9223372036854775807"}))
	case o.name == "cel.@mapInsert":
		return g.leaf(t)
	}
	return g.expr(t, size)
}

// --- members ---------------------------------------------------------------------------------

var fields = []string{"a", "b", "key", "name", "spec", "items", "missing", "x"}

// member reads t from a map with string keys or from something dynamic.
func (g *generator) member(t *types.Type, size int) *node {
	of := types.DynType
	want := t
	opt := isOptional(t)
	if opt {
		want = t.Parameters()[0]
	}
	if g.r.IntN(3) > 0 {
		of = types.NewMapType(types.StringType, want)
		if opt && g.one(3) {
			of = optional(of)
		}
	}
	return g.selected(t, g.expr(of, size-1))
}

// valueOf is the text behind a name, or the text itself.
func (g *generator) valueOf(text string) string {
	for _, v := range g.vars {
		if v.name == text {
			return v.value
		}
	}
	return text
}

// selected makes a selection from base, most often of a field that is there.
func (g *generator) selected(t *types.Type, base *node) *node {
	opt := isOptional(t)
	field := pick(g.r, fields)
	text := g.valueOf(base.String())
	for tries := 0; tries < 6 && !strings.Contains(text, "'"+field+"'"); tries++ {
		field = pick(g.r, fields)
	}
	switch {
	case opt && g.one(2):
		return form(t, precPrimary, "$[?"+quoteSome(g.r, field, false)+"]", []int{precPrimary}, base)
	case opt:
		return form(t, precPrimary, "$.?"+field, []int{precPrimary}, base)
	case g.one(4):
		return form(t, precPrimary, "$["+quoteSome(g.r, field, false)+"]", []int{precPrimary}, base)
	case g.one(8):
		return form(t, precPrimary, "$.`"+pick(g.r, []string{"a", "x-y", "a.b", "key"})+"`", []int{precPrimary}, base)
	}
	return form(t, precPrimary, "$."+field, []int{precPrimary}, base)
}

// --- containers ------------------------------------------------------------------------------

func (g *generator) container(t *types.Type, size int) *node {
	switch {
	case t == types.DynType && g.one(2):
		return g.container(types.NewListType(types.DynType), size)
	case t.Kind() == types.ListKind:
		item := t.Parameters()[0]
		var kids []*node
		for _, s := range g.split(size-1, 1+g.r.IntN(literalListMax)) {
			if g.one(12) {
				kids = append(kids, form(item, precPrimary, "?$", nil, g.expr(optional(item), s)))
			} else {
				kids = append(kids, g.expr(item, s))
			}
		}
		return sequence(t, "[", ", ", "]", 1, kids)
	case t.Kind() == types.MapKind:
		return g.mapWith(t, size)
	}
	return nil
}

// mapWith makes a map literal with computed values. Its keys are literals in ascending order, which
// is the order our maps have and the one in which cel-go's are most often walked.
func (g *generator) mapWith(t *types.Type, size int) *node {
	key, value := t.Parameters()[0], t.Parameters()[1]
	var kids []*node
	names := g.keyTexts(key, 1+g.r.IntN(literalMapMax))
	for i, s := range g.split(size-1, len(names)) {
		k := unaryAtom(key, names[i])
		if g.one(25) {
			k = g.expr(key, 2)
		}
		v := g.expr(value, s)
		if g.one(12) {
			k = form(key, precTernary, "?$", nil, k)
			v = g.expr(optional(value), s)
		}
		kids = append(kids, k, v)
	}
	return sequence(t, "{", ", ", "}", 2, kids)
}

var keyTexts = map[types.Kind][]string{
	types.StringKind: {"''", "'0'", "'a'", "'b'", "'items'", "'key'", "'name'", "'spec'", "'x'", "'x-y'", "'é'"},
	types.IntKind:    {"-5", "-1", "0", "1", "2", "3", "9007199254740993"},
	types.UintKind:   {"0u", "1u", "2u", "3u", "18446744073709551615u"},
	types.BoolKind:   {"false", "true"},
	types.DoubleKind: {"-1.5", "0.0", "0.5", "1.0", "2.0", "1e300"},
}

func (g *generator) keyTexts(key *types.Type, n int) []string {
	all := keyTexts[key.Kind()]
	if key == types.DynType {
		all = []string{"false", "true", "-1", "0", "1", "2u", "2.5", "'a'", "'b'", "'key'", "'x'"}
	}
	if all == nil {
		l := g.literal(key, 1)
		return []string{l.String()}
	}
	var out []string
	for i, text := range all { // each with the chance that gives n of them
		if g.r.IntN(len(all)-i) < n-len(out) {
			out = append(out, text)
		}
	}
	return out
}

// --- literals --------------------------------------------------------------------------------

func (g *generator) literal(t *types.Type, depth int) *node {
	hinted := func(function, hint string) *node {
		return atom(t, function+"("+quoteSome(g.r, first(g.r, hints[hint]), false)+")")
	}
	switch t.Kind() {
	case types.NullTypeKind:
		return atom(t, "null")
	case types.BoolKind:
		return atom(t, pick(g.r, []string{"true", "false"}))
	case types.IntKind:
		return unaryAtom(t, intText(g.r))
	case types.UintKind:
		return atom(t, uintText(g.r))
	case types.DoubleKind:
		return unaryAtom(t, doubleLiteral(g.r))
	case types.StringKind:
		return atom(t, quoteSome(g.r, randomString(g.r), false))
	case types.BytesKind:
		if g.one(6) {
			return atom(t, pick(g.r, []string{`b'\xff'`, `b'\x00\x01'`, `b'\303\251'`, `b'\xc3\x28'`, `b'\xed\xa0\x80'`}))
		}
		return atom(t, quoteSome(g.r, randomString(g.r), true))
	case types.TimestampKind:
		if g.one(4) {
			return atom(t, "timestamp("+intText(g.r)+")")
		}
		return hinted("timestamp", "timestamp")
	case types.DurationKind:
		return hinted("duration", "duration")
	case types.TypeKind:
		return atom(t, pick(g.r, []string{
			"int", "uint", "double", "string", "bytes", "bool", "null_type", "list", "map", "type", "optional_type",
			"google.protobuf.Timestamp", "google.protobuf.Duration", "net.IP", "type(1)", "type({})", "type(optional.none())",
		}))
	case types.ListKind:
		var kids []*node
		for range max(g.r.IntN(literalListMax+1), g.r.IntN(2)) {
			kids = append(kids, g.literal(t.Parameters()[0], depth-1))
		}
		return sequence(t, "[", ", ", "]", 1, kids)
	case types.MapKind:
		return g.literalMap(t, depth)
	case types.OpaqueKind, types.StructKind:
		return g.literalObject(t, depth, hinted)
	}
	if depth <= 0 {
		return g.literal(g.pickType(scalars), 0)
	}
	return g.literal(g.randomType(depth), depth)
}

func (g *generator) literalMap(t *types.Type, depth int) *node {
	key, value := t.Parameters()[0], t.Parameters()[1]
	var kids []*node
	for _, k := range g.keyTexts(key, g.r.IntN(literalMapMax+1)) {
		kids = append(kids, unaryAtom(key, k), g.literal(value, depth-1))
	}
	return sequence(t, "{", ", ", "}", 2, kids)
}

func (g *generator) literalObject(t *types.Type, depth int, hinted func(function, hint string) *node) *node {
	switch {
	case isOptional(t):
		inner := t.Parameters()[0]
		switch g.r.IntN(8) {
		case 0:
			return atom(t, "optional.none()")
		case 1:
			return form(t, precPrimary, "optional.ofNonZeroValue($)", nil, g.literal(inner, depth-1))
		}
		return form(t, precPrimary, "optional.of($)", nil, g.literal(inner, depth-1))
	case t == typeIP || t.TypeName() == "net.IP":
		return hinted("ip", "ip")
	case t.TypeName() == "net.CIDR":
		return hinted("cidr", "cidr")
	case t.TypeName() == "kubernetes.URL":
		return hinted("url", "url")
	case t.TypeName() == "kubernetes.Quantity":
		return hinted("quantity", "quantity")
	case t.TypeName() == "kubernetes.Semver":
		return hinted("semver", "semver")
	case t.TypeName() == typeFormat.TypeName():
		return atom(t, "format."+first(g.r, hints["format"])+"()")
	}
	return atom(t, "null")
}

// --- format ----------------------------------------------------------------------------------

func (g *generator) format(size int) *node {
	var text strings.Builder
	var kids []*node
	for range g.r.IntN(4) {
		text.WriteString(pick(g.r, []string{"", "", " ", "x=", "%%", "é"}))
		clause := pick(g.r, []string{"s", "s", "s", "d", "f", "e", "b", "x", "X", "o", "s", "q", "d"})
		if g.one(4) {
			text.WriteString("%." + pick(g.r, []string{"0", "1", "2", "3", "10", "100", "101", "", "x", "99999999999999999999"}) + clause)
		} else {
			text.WriteString("%" + clause)
		}
		var t *types.Type
		switch clause {
		case "s", "q":
			t = g.randomType(2)
		case "x", "X":
			t = g.pickType([]*types.Type{types.IntType, types.UintType, types.StringType, types.BytesType})
		case "f", "e", "d":
			t = g.pickType([]*types.Type{types.IntType, types.UintType, types.DoubleType, types.DoubleType})
		default:
			t = g.pickType([]*types.Type{types.IntType, types.UintType, types.BoolType})
		}
		if g.one(12) {
			t = g.randomType(1)
		}
		if !g.one(30) {
			kids = append(kids, g.expr(t, 1+size/3))
		}
	}
	if g.one(30) {
		text.WriteString("%")
	}
	list := sequence(types.NewListType(types.DynType), "[", ", ", "]", 1, kids)
	kid := list
	if g.one(4) {
		kid = form(types.DynType, precPrimary, "dyn($)", nil, list)
	}
	return form(types.StringType, precPrimary, quoteSome(g.r, text.String(), false)+".format($)", nil, kid)
}
