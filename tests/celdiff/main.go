// SPDX-License-Identifier: Apache-2.0

// celdiff compares our CEL engine with cel-go and the Kubernetes libraries, in the versions kro has.
//
//	celdiff -driver PATH [-libs kro|full] [-seed 1] [-n 5000]    generated expressions
//	celdiff -driver PATH -pairs                                 every function with every type
//	celdiff -driver PATH -replay FILE                           what an earlier run printed ("-": stdin)
//	celdiff -driver PATH -expr EXPR                             one expression without variables
//
// An outcome is the checked type with the value, or with the text of the error of the evaluation, or
// the diagnostics of parser and checker with their positions and snippets. All of it must be equal.
// A find is made smaller, then printed in a form that -replay takes, once for each kind of find.
//
// What is compared less strictly, and why:
//
//   - cel-go walks maps in random order, so that the order of a list made from a map, and which of
//     several errors comes first, vary. When outcomes differ cel-go evaluates again and again; it is
//     equal if any of its outcomes is ours, or if they vary and differ in the order of the
//     lists' elements only.
//   - "Syntax error" diagnostics come from a parser generator: both must refuse, the text is not
//     compared (as in the conformance cases).
//   - The numbers of free type variables (_var1) follow from a walk over a Go map; how cel-go holds a
//     list or map (concatList, []interface {}) shows in some texts; protobuf's errors begin with a
//     blank of either kind, by the build.
//   - Our texts of diagnostics end after 2048 bytes.
//   - limits that cel-go does not have (steps, bytes of an evaluation) are counted apart.
//   - README.md in this folder lists the few other departures on purpose.
//
// The last line says how many were equal; the exit code is 1 if any was not.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/google/cel-go/common/types"
)

const (
	batchSize    = 250 // expressions over the same variables
	rerunMax     = 150
	findsMax     = 40 // kinds of finds that are shrunk and printed
	shapesMax    = 60
	sizeMax      = 15 // nodes of a generated expression, about
	clippedBytes = 2048
	// More than this would mean that a rule hides what it is not for.
	departuresPercentMax = 3
	limitsPercentMax     = 1
)

type options struct {
	driver, libs string
	seed         uint64
	n, workers   int
}

type find struct {
	count        int
	where        string
	vars         []variable
	expr         string
	theirs, ours outcome
}

// campaign collects what the workers find.
type campaign struct {
	options
	mu                                          sync.Mutex
	finds                                       map[string]*find
	shapes                                      map[string]int // of outcomes without a value, when asked for
	equal                                       int
	reordered, limits, values, errors, rejected int
	departures                                  map[string]int // by rule
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, "celdiff:", err)
	os.Exit(2)
}

// --- variables -------------------------------------------------------------------------------

// What the variables of a batch are called and of what type they are; nested means plain JSON.
var declared = func() []variable {
	list, mapOf := types.NewListType, types.NewMapType
	str, i, dyn := types.StringType, types.IntType, types.DynType
	of := []struct {
		name string
		typ  *types.Type
	}{
		{"bo", types.BoolType}, {"i", i}, {"j", i}, {"u", types.UintType}, {"d", types.DoubleType}, {"e", types.DoubleType},
		{"s", str}, {"t", str}, {"y", types.BytesType}, {"ts", types.TimestampType}, {"du", types.DurationType}, {"n", types.NullType},
		{"li", list(i)}, {"lu", list(types.UintType)}, {"ld", list(types.DoubleType)}, {"ls", list(str)}, {"lt", list(types.TimestampType)},
		{"lx", list(dyn)}, {"lli", list(list(i))}, {"lms", list(mapOf(str, str))}, {"lb", list(types.BoolType)},
		{"ms", mapOf(str, i)}, {"mss", mapOf(str, str)}, {"mi", mapOf(i, str)}, {"mu", mapOf(types.UintType, i)}, {"mb", mapOf(types.BoolType, str)},
		{"md", mapOf(types.DoubleType, i)}, {"mx", mapOf(str, dyn)}, {"mm", mapOf(str, mapOf(str, i))}, {"ml", mapOf(str, list(str))},
		{"xi", dyn}, {"xs", dyn}, {"xl", dyn}, {"obj", dyn}, {"any", types.AnyType},
		{"oi", optional(i)}, {"os", optional(str)}, {"om", optional(mapOf(str, i))}, {"ol", optional(list(i))}, {"lo", list(optional(i))},
		{"q", typeQuantity}, {"q2", typeQuantity}, {"url1", typeURL}, {"ip1", typeIP}, {"net1", typeCIDR}, {"ver", typeSemver},
	}
	var vars []variable
	for _, v := range of {
		vars = append(vars, variable{name: v.name, typ: v.typ})
	}
	return vars
}()

// jsonLiteral makes a document as Kubernetes has them.
func (g *generator) jsonLiteral(depth int) *node {
	switch n := g.r.IntN(8); {
	case depth > 0 && n < 3:
		return g.jsonMap(depth)
	case depth > 0 && n == 3:
		var kids []*node
		for range g.r.IntN(literalListMax) {
			kids = append(kids, g.jsonLiteral(depth-1))
		}
		return sequence(types.DynType, "[", ", ", "]", 1, kids)
	}
	return g.literal(g.pickType([]*types.Type{types.BoolType, types.IntType, types.StringType, types.StringType, types.NullType}), 0)
}

func (g *generator) jsonMap(depth int) *node {
	var kids []*node
	for _, k := range g.keyTexts(types.StringType, 1+g.r.IntN(literalMapMax)) {
		kids = append(kids, atom(types.StringType, k), g.jsonLiteral(depth-1))
	}
	return sequence(types.DynType, "{", ", ", "}", 2, kids)
}

// declareAll gives every variable a value that good finds one.
func (g *generator) declareAll(good func(expr string) bool) {
	for _, v := range declared {
		v.native = g.one(2)
		v.value = g.variableValue(v).String()
		for !good(v.value) {
			v.value = g.variableValue(v).String()
		}
		g.vars = append(g.vars, v)
	}
}

func (g *generator) variableValue(v variable) (value *node) {
	switch v.name {
	case "obj", "any":
		value = g.jsonMap(3)
	case "mx":
		value = g.jsonMap(1)
	case "q", "q2": // held as integers: see departures
		value = atom(v.typ, "quantity('"+pick(g.r, []string{"1", "-3", "50k", "20Ki", "1e3", "9E", "500m", "100n", "1.5", "250"})+"')")
	case "xs":
		value = g.literal(types.StringType, 0)
	case "xl":
		value = g.literal(types.NewListType(g.randomType(1)), 2)
	default:
		value = g.literal(v.typ, 2)
	}
	return value
}

// --- comparing -------------------------------------------------------------------------------

func syntax(o outcome) bool {
	return o.kind == "compile" && strings.Contains(o.text, ": Syntax error: ")
}

// Free type variables are numbered in the order of a walk over a Go map.
var typeVariable = regexp.MustCompile(`_var[0-9]+`)

// departure names the rule by which outcomes may differ on purpose, or is empty. README.md explains. expr is
// the expression with the variables it uses.
func departure(expr string, theirs, ours outcome) string {
	switch {
	case theirs.kind == "compile" && strings.HasPrefix(theirs.text, "reference to undefined type: "):
		return "a variable that holds a type"
	case theirs.kind == "compile" && ours.kind != "compile" &&
		(strings.HasPrefix(theirs.text, "error parsing regexp") || strings.HasPrefix(theirs.text, "invalid qualifier type")):
		return "a bad constant in a branch that is never taken"
	case unfindableKey.MatchString(ours.text):
		return "a list, a map, an optional or NaN as a key"
	case (strings.Contains(theirs.text, "*types.Optional") || theirs.text == "optional()") && strings.Contains(expr, "has("):
		return "has() of none as an index or a branch"
	case leadingDot.MatchString(expr) && (loopVariable.MatchString(ours.text) || strings.Contains(theirs.text, "undeclared reference to '.")):
		return "a loop variable with a dot in front"
	case strings.Contains(theirs.text, "cannot initialize optional"):
		return "the first of two errors in a literal"
	case theirs.text == "no such overload" && ours.kind == "value" && strings.Contains(expr, "+"):
		return "a list made by + and compared with another of other types"
	case theirs.text == "is a directory" || theirs.text == "invalid argument":
		return "a time zone with the name of a folder"
	case theirs.kind == "error" && strings.HasPrefix(theirs.text, "internal error: "):
		return "a panic in cel-go"
	case ours.kind == "error" && opaqueShown.MatchString(ours.text):
		return "a library's value in a text"
	case theirs.kind == "error" && strings.Contains(theirs.text, "\x00"):
		return "a NUL in a text"
	case theirs.kind == "error" && strings.HasPrefix(theirs.text, "no such key: ") && ours.kind != "compile" && strings.Contains(expr, "optional"):
		return "an optional inside of something dynamic"
	case theirs.text == "optional.none() dereference" && ours.kind == "value" && strings.Contains(expr, "optional") && chained.MatchString(expr):
		return "an optional inside of something dynamic"
	case strings.Contains(theirs.typ+expr, "uantity") && addOrSub.MatchString(expr):
		return "a quantity changed by add or sub"
	}
	return ""
}

// How a list is held shows in some error texts.
var held = strings.NewReplacer("types.concatList", "types.baseList", "types.mutableList", "types.baseList",
	"proto:\u00a0", "proto: ", "<nil>", "types.Null", "[]interface {}", "*types.baseList", "map[string]interface {}", "*types.baseMap", "*cel.Quantity", "cel.Quantity")

var opaqueShown = regexp.MustCompile(`(non-optional value|value|join: invalid input:|insert failed: key) .*(kubernetes|net)\.[A-Z]`)

var leadingDot = regexp.MustCompile(`[(,]\s*\.`)

var loopVariable = regexp.MustCompile(`argument is not an identifier|must be a simple name`)

var unfindableKey = regexp.MustCompile(`^insert failed: key (\[.*|\{.*|optional.*|NaN) already exists$`)

var addOrSub = regexp.MustCompile(`\.(add|sub)\(`)

// An optional selection from what was selected: a[b][?c], a[b].?c.
var chained = regexp.MustCompile(`\](\[\?|\.\?)`)

// same compares one outcome of cel-go with ours.
func same(theirs, ours outcome) bool {
	if theirs == ours {
		return true
	}
	if theirs.kind == "compile" && ours.kind == "compile" &&
		typeVariable.ReplaceAllString(theirs.text, "_var") == typeVariable.ReplaceAllString(ours.text, "_var") {
		return true
	}
	if theirs.kind != ours.kind || theirs.typ != ours.typ {
		return false
	}
	if held.Replace(theirs.text) == ours.text {
		return true
	}
	if syntax(theirs) {
		return true
	}
	if cut, ok := strings.CutSuffix(ours.text, "..."); ok && len(ours.text) >= clippedBytes-8 {
		return strings.HasPrefix(theirs.text, cut)
	}
	return false
}

// sorted gives the characters of a value's text in ascending order: what is equal in it, and not in
// the text, differs in the order of elements.
func sorted(text string) string {
	b := []byte(text)
	sort.Slice(b, func(i, j int) bool { return b[i] < b[j] })
	return string(b)
}

// sameModuloOrder evaluates again for outcomes that depend on the order in which maps are walked.
func sameModuloOrder(o *oracle, vars []variable, expr string, theirs, ours outcome) bool {
	varies := false
	if len(vars) > 0 {
		o.declare(vars) // add() of an earlier expression may have changed a quantity: see README.md
	}
	for range rerunMax {
		again := o.evaluate(expr)
		if same(again, ours) {
			return true
		}
		varies = varies || again != theirs
	}
	return varies && theirs.kind == "value" && ours.kind == "value" && theirs.typ == ours.typ &&
		sorted(theirs.text) == sorted(ours.text)
}

var (
	quoted = regexp.MustCompile(`'[^']*'|"[^"]*"`)
	digits = regexp.MustCompile(`-?[0-9][0-9.]*`)
	where  = regexp.MustCompile(`(?s)\n \| .*`)
)

// shape leaves from an outcome what tells kinds of finds apart.
func shape(o outcome) string {
	text := where.ReplaceAllString(o.text, "")
	if o.kind == "value" {
		text = ""
	}
	text = digits.ReplaceAllString(quoted.ReplaceAllString(text, "Q"), "N")
	return o.kind + text
}

// --- running ---------------------------------------------------------------------------------

// A worker has an engine of each side.
type worker struct {
	c *campaign
	o *oracle
	d *driver
	s *scheme
}

func (c *campaign) newWorker() (*worker, error) {
	o, err := newOracle(c.libs)
	if err != nil {
		return nil, err
	}
	d, err := startDriver(c.driver, c.libs)
	if err != nil {
		return nil, err
	}
	return &worker{c, o, d, newScheme(o.base, c.libs)}, nil
}

// breakText damages a text: what parsers must refuse alike.
func breakText(r *rand.Rand, text string) string {
	s := []rune(text)
	at := r.IntN(len(s) + 1)
	switch r.IntN(3) {
	case 0:
		return string(s[:at]) + pick(r, []string{"(", ")", "]", "[", "{", "}", ",", ".", "?", ":", "'", "\"", "`", "!", "-", "&&", "||", "in", " ", "1", "\\", "#", "@", "=", "u", "é", "//", "true"}) + string(s[at:])
	case 1:
		if at < len(s) {
			return string(s[:at]) + string(s[at+1:])
		}
		return text
	}
	return string(s[:at])
}

// batch runs number b of the campaign: all of it follows from the seed and b.
func (w *worker) batch(b, n int) error {
	g := &generator{r: rand.New(rand.NewPCG(w.c.seed, uint64(b))), s: w.s}
	w.o.declare(nil)
	g.declareAll(func(expr string) bool { return w.o.evaluate(expr).kind == "value" })
	trees := make([]*node, n)
	for i := range trees {
		g.next = 0
		trees[i] = g.expr(g.randomType(2), 1+g.r.IntN(sizeMax))
		if g.one(brokenTextOne) {
			trees[i] = atom(types.DynType, breakText(g.r, trees[i].String()))
		}
	}
	return w.compare(fmt.Sprintf("seed %d, batch %d", w.c.seed, b), g, trees)
}

// compare evaluates the trees on both sides and judges.
func (w *worker) compare(where string, g *generator, trees []*node) error {
	exprs := make([]string, len(trees))
	for i := range trees {
		exprs[i] = trees[i].String()
	}
	type answers struct {
		values, results []outcome
		err             error
	}
	done := make(chan answers, 1)
	go func() {
		values, results, err := w.d.ask(g.vars, exprs)
		done <- answers{values, results, err}
	}()
	values := w.o.declare(g.vars)
	theirs := make([]outcome, len(trees))
	for i, e := range exprs {
		theirs[i] = w.o.evaluate(e)
	}
	a := <-done
	if a.err != nil {
		return fmt.Errorf("%s: %w", where, a.err)
	}
	for i, v := range g.vars {
		if !same(values[i], a.values[i]) {
			w.judge(fmt.Sprintf("%s, variable %s", where, v.name), nil, atom(v.typ, v.value), values[i], a.values[i])
		}
	}
	for i := range exprs {
		w.judge(fmt.Sprintf("%s, expression %d", where, i), g.vars, trees[i], theirs[i], a.results[i])
	}
	return nil
}

// judge counts an expression; an unequal one is shrunk if it is the first of its kind.
func (w *worker) judge(where string, vars []variable, tree *node, theirs, ours outcome) {
	c := w.c
	equal := same(theirs, ours)
	purpose := ""
	if !equal {
		purpose = departure(replayText(vars, tree.String()), theirs, ours)
	}
	reordered := !equal && purpose == "" && ours.kind != "limit" && sameModuloOrder(w.o, vars, tree.String(), theirs, ours)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.shapes != nil && theirs.kind != "value" {
		c.shapes[shape(theirs)]++
	}
	switch {
	case equal || reordered:
		c.equal++
		if reordered {
			c.reordered++
		}
		switch theirs.kind {
		case "value":
			c.values++
		case "error":
			c.errors++
		default:
			c.rejected++
		}
		return
	case ours.kind == "limit":
		c.limits++
		return
	case purpose != "":
		c.departures[purpose]++
		return
	}
	key := shape(theirs) + " | " + shape(ours)
	if theirs.typ != ours.typ && theirs.typ != "" && ours.typ != "" {
		key = "type | " + key
	}
	f := c.finds[key]
	if f == nil {
		f = &find{where: where, expr: tree.String(), vars: vars, theirs: theirs, ours: ours}
		c.finds[key] = f
		if len(c.finds) <= findsMax {
			w.shrink(f, tree)
		}
	}
	f.count++
}

// shrink makes a find smaller as long as both sides still differ in the same way.
func (w *worker) shrink(f *find, tree *node) {
	fails := func(expr string) bool {
		theirs := w.o.evaluate(expr)
		ours, err := w.d.askOne(expr)
		if err != nil {
			fatal(fmt.Errorf("%s: %w", f.where, err))
		}
		if same(theirs, ours) || ours.kind == "limit" || departure(replayText(f.vars, expr), theirs, ours) != "" || theirs.kind != f.theirs.kind || ours.kind != f.ours.kind {
			return false
		}
		if sameModuloOrder(w.o, f.vars, expr, theirs, ours) {
			return false
		}
		f.expr, f.theirs, f.ours = expr, theirs, ours
		return true
	}
	if len(f.vars) == 0 {
		return // a variable's value: not in the present environment
	}
	shrink(tree, fails)
}

func (c *campaign) run() error {
	batches := make(chan [2]int)
	failed := make(chan error, c.workers)
	var wait sync.WaitGroup
	for range c.workers {
		w, err := c.newWorker()
		if err != nil {
			return err
		}
		wait.Add(1)
		go func() {
			defer wait.Done()
			for b := range batches {
				if err := w.batch(b[0], b[1]); err != nil {
					failed <- err
					for range batches { // let the others end
					}
					return
				}
			}
			if err := w.d.stop(); err != nil {
				failed <- err
			}
		}()
	}
	for b, left := 0, c.n; left > 0; b, left = b+1, left-batchSize {
		batches <- [2]int{b, min(left, batchSize)}
	}
	close(batches)
	wait.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

// runPairs compares what pairs makes.
func (c *campaign) runPairs() error {
	w, err := c.newWorker()
	if err != nil {
		return err
	}
	g := &generator{r: rand.New(rand.NewPCG(c.seed, 0)), s: w.s}
	all := g.pairs()
	c.n = len(all)
	for from := 0; from < len(all); from += batchSize {
		if err := w.compare("pairs", g, all[from:min(from+batchSize, len(all))]); err != nil {
			return err
		}
	}
	return w.d.stop()
}

func (c *campaign) report(took time.Duration) {
	var keys []string
	unequal := 0
	for k, f := range c.finds {
		keys = append(keys, k)
		unequal += f.count
	}
	sort.Slice(keys, func(i, j int) bool { return c.finds[keys[i]].count > c.finds[keys[j]].count })
	for _, k := range keys {
		f := c.finds[k]
		fmt.Printf("--- %d times, first at %s\n", f.count, f.where)
		fmt.Print(replayText(f.vars, f.expr))
		fmt.Printf("# cel-go %s\n# ours   %s\n", comment(f.theirs), comment(f.ours))
	}
	c.reportShapes()
	onPurpose := 0
	for _, rule := range slices.Sorted(maps.Keys(c.departures)) {
		fmt.Printf("%7d differ on purpose: %s\n", c.departures[rule], rule)
		onPurpose += c.departures[rule]
	}
	fmt.Printf("libraries %s, seed %d: %d equal (%d values, %d errors, %d rejected; %d of them by map order), %d over our limits, %d differ on purpose, %d unequal, %.0f a second\n",
		c.libs, c.seed, c.equal, c.values, c.errors, c.rejected, c.reordered, c.limits, onPurpose, unequal, float64(c.n)/took.Seconds())
	if unequal > 0 || onPurpose*100 > c.n*departuresPercentMax || c.limits*100 > c.n*limitsPercentMax {
		os.Exit(1)
	}
}

// reportShapes prints what the outcomes without a value were: most of them should be of use.
func (c *campaign) reportShapes() {
	var all []string
	for s := range c.shapes {
		all = append(all, s)
	}
	sort.Slice(all, func(i, j int) bool { return c.shapes[all[i]] > c.shapes[all[j]] })
	for _, s := range all[:min(len(all), shapesMax)] {
		fmt.Printf("%7d %s\n", c.shapes[s], strings.ReplaceAll(s, "\n", " "))
	}
}

func comment(o outcome) string { return strings.ReplaceAll(o.String(), "\n", "\n#        ") }

// --- replay ----------------------------------------------------------------------------------

// replayText prints the variables that the expression uses, as far as words tell, and itself.
func replayText(vars []variable, expr string) string {
	var b strings.Builder
	for _, v := range vars {
		if regexp.MustCompile(`\b` + v.name + `\b`).MatchString(expr) {
			kind := "V"
			if v.native {
				kind = "J"
			}
			b.WriteString(frame(kind, v.name, v.typeText(), v.value))
		}
	}
	b.WriteString(frame("X", expr))
	return b.String()
}

func readReplay(in io.Reader) (vars []variable, exprs []string, err error) {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, answerMax)
	for lines.Scan() {
		fields := strings.Split(lines.Text(), "\t")
		for i := range fields {
			fields[i] = unescape.Replace(fields[i])
		}
		switch {
		case fields[0] == "X" && len(fields) == 2:
			exprs = append(exprs, fields[1])
		case (fields[0] == "V" || fields[0] == "J") && len(fields) == 4:
			v := variable{name: fields[1], value: fields[3], native: fields[0] == "J"}
			for _, d := range declared {
				if d.typeText() == fields[2] {
					v.typ = d.typ
				}
			}
			if v.typ == nil {
				return nil, nil, fmt.Errorf("no variable of a batch has the type %s", fields[2])
			}
			vars = append(vars, v)
		}
	}
	return vars, exprs, lines.Err()
}

func (c *campaign) replay(in io.Reader) error {
	w, err := c.newWorker()
	if err != nil {
		return err
	}
	vars, exprs, err := readReplay(in)
	if err != nil {
		return err
	}
	_, ours, err := w.d.ask(vars, exprs)
	if err != nil {
		return err
	}
	w.o.declare(vars)
	unequal := 0
	for i, e := range exprs {
		theirs := w.o.evaluate(e)
		verdict := "equal"
		if !same(theirs, ours[i]) && !sameModuloOrder(w.o, nil, e, theirs, ours[i]) {
			verdict = "UNEQUAL"
			unequal++
		}
		fmt.Printf("%s: %s\n  cel-go %s\n  ours   %s\n", verdict, e, theirs, ours[i])
	}
	if unequal > 0 {
		os.Exit(1)
	}
	return w.d.stop()
}

func main() {
	c := &campaign{finds: map[string]*find{}, departures: map[string]int{}}
	var replay, expr string
	var shapes, pairs bool
	flag.StringVar(&c.driver, "driver", "", "the program made from driver.c")
	flag.StringVar(&c.libs, "libs", "kro", "kro, or full: all libraries")
	flag.Uint64Var(&c.seed, "seed", 1, "decides what is generated")
	flag.IntVar(&c.n, "n", 5000, "how many expressions")
	flag.IntVar(&c.workers, "workers", runtime.NumCPU(), "how many at once")
	flag.StringVar(&replay, "replay", "", "file with V, J and X lines")
	flag.StringVar(&expr, "expr", "", "an expression")
	flag.BoolVar(&pairs, "pairs", false, "instead: every function with arguments of every type")
	flag.BoolVar(&shapes, "shapes", false, "print the kinds of errors, too")
	flag.Parse()
	debug.SetGCPercent(400)
	if shapes {
		c.shapes = map[string]int{}
	}
	if c.driver == "" || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	var err error
	switch {
	case expr != "":
		err = c.replay(strings.NewReader(frame("X", expr)))
	case replay == "-":
		err = c.replay(os.Stdin)
	case replay != "":
		var file *os.File
		if file, err = os.Open(replay); err == nil {
			err = c.replay(file)
		}
	default:
		start := time.Now()
		run := c.run
		if pairs {
			run = c.runPairs
		}
		if err = run(); err == nil {
			c.report(time.Since(start))
		}
	}
	if err != nil {
		fatal(err)
	}
}
