// SPDX-License-Identifier: Apache-2.0

// celgo measures cel-go, as kro uses it, on the expressions of a benchmark file.
//
//	celgo FILE
//
// FILE has one JSON object per line: {"name","expr","vars"}. For each one a line is printed: name,
// nanoseconds of an evaluation, nanoseconds of parse, check and program. Both are the minimum of
// several batches; the environment and the variables are made before the clock starts, so it is the
// bare evaluation: what kro does to the result afterwards is not in it.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/google/cel-go/cel"
	krocel "github.com/kubernetes-sigs/kro/pkg/cel"
)

const (
	batches   = 20 // of each run; bench_cel runs this several times
	batchTime = time.Millisecond
	lineMax   = 16 << 20
)

type benchCase struct {
	Name string                     `json:"name"`
	Expr string                     `json:"expr"`
	Vars map[string]json.RawMessage `json:"vars"`
}

// plain turns numbers into int64 where they are integers and into float64 where not.
func plain(v any) any {
	switch v := v.(type) {
	case json.Number:
		if i, err := v.Int64(); err == nil {
			return i
		}
		f, _ := v.Float64()
		return f
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = plain(v[k])
		}
	}
	return v
}

func decode(raw json.RawMessage) (any, error) {
	var v any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	err := d.Decode(&v)
	return plain(v), err
}

// measure returns the nanoseconds of one call of f: the minimum of the batches.
func measure(f func() error) (float64, error) {
	n, best := 1, 0.0
	for batch := 0; batch < batches; {
		start := time.Now()
		for i := 0; i < n; i++ {
			if err := f(); err != nil {
				return 0, err
			}
		}
		took := time.Since(start)
		if took < batchTime && n < 1<<24 {
			n *= 2 // not a batch yet
			continue
		}
		if ns := float64(took.Nanoseconds()) / float64(n); batch == 0 || ns < best {
			best = ns
		}
		batch++
	}
	return best, nil
}

func compile(env *cel.Env, expr string) (cel.Program, error) {
	ast, issues := env.Compile(expr)
	if issues.Err() != nil {
		return nil, issues.Err()
	}
	return env.Program(ast)
}

func run(c *benchCase) error {
	vars := map[string]any{}
	var declarations []cel.EnvOption
	for name, raw := range c.Vars {
		v, err := decode(raw)
		if err != nil {
			return err
		}
		t := cel.AnyType
		if _, ok := v.([]any); ok {
			t = cel.ListType(cel.DynType)
		}
		vars[name] = v
		declarations = append(declarations, cel.Variable(name, t))
	}
	env, err := krocel.DefaultEnvironment(krocel.WithCustomDeclarations(declarations))
	if err != nil {
		return err
	}
	prog, err := compile(env, c.Expr)
	if err != nil {
		return err
	}
	eval, err := measure(func() error { _, _, err := prog.Eval(vars); return err })
	if err != nil {
		return err
	}
	comp, err := measure(func() error { _, err := compile(env, c.Expr); return err })
	if err != nil {
		return err
	}
	fmt.Printf("%s %.1f %.1f\n", c.Name, eval, comp)
	return nil
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: celgo FILE")
		os.Exit(2)
	}
	f, err := os.Open(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, lineMax)
	for lines.Scan() {
		var c benchCase
		err := json.Unmarshal(lines.Bytes(), &c)
		if err == nil {
			err = run(&c)
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", c.Name, err)
			os.Exit(1)
		}
	}
	if lines.Err() != nil {
		fmt.Fprintln(os.Stderr, lines.Err())
		os.Exit(1)
	}
}
