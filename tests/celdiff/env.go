// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/checker"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/ext"
	"k8s.io/apiserver/pkg/cel/library"
)

// libraries gives the libraries of kro's environment without kro's own functions or, for "full",
// all that cel-go and Kubernetes have for data without protobuf.
func libraries(name string) []cel.EnvOption {
	options := []cel.EnvOption{
		ext.TwoVarComprehensions(),
		ext.Lists(),
		ext.Strings(),
		ext.Bindings(),
		cel.OptionalTypes(),
		ext.Encoders(),
		library.Lists(),
		library.URLs(),
		library.Regex(),
		library.Quantity(),
		library.IP(),
		library.CIDR(),
		library.SemverLib(library.SemverVersion(0)),
	}
	if name == "full" {
		options = append(options, ext.Math(), ext.Sets(), ext.Regex(), library.Format())
	}
	return options
}

// What stands for a library's value in an answer: an expression over self.
var views = []struct{ typ, expr string }{
	{"net.IP", "string(self)"},
	{"net.CIDR", "string(self)"},
	{"kubernetes.URL", "[self.getScheme(), self.getHost(), self.getEscapedPath(), dyn(self.getQuery())]"},
	{"kubernetes.Quantity", "[self.isInteger(), dyn(sign(self)), self.asApproximateFloat()]"},
	{"kubernetes.Semver", "[self.major(), self.minor(), self.patch()]"},
}

// An outcome is what came of an expression, as driver.c answers.
type outcome struct {
	kind string // value, compile, error; limit comes from the driver only
	typ  string // of the checked expression; empty when it does not compile
	text string
}

func (o outcome) String() string {
	if o.typ == "" {
		return o.kind + ": " + o.text
	}
	return o.kind + " (" + o.typ + "): " + o.text
}

// An oracle evaluates with cel-go.
type oracle struct {
	base  *cel.Env
	views map[string]cel.Program

	env  *cel.Env
	vars map[string]any
}

func newOracle(libs string) (*oracle, error) {
	env, err := cel.NewEnv(libraries(libs)...)
	if err != nil {
		return nil, err
	}
	o := &oracle{base: env, views: map[string]cel.Program{}}
	for _, v := range views {
		e, err := env.Extend(cel.Variable("self", types.NewObjectType(v.typ)))
		if err != nil {
			return nil, err
		}
		if strings.HasPrefix(v.typ, "net.") {
			e, err = env.Extend(cel.Variable("self", types.NewOpaqueType(v.typ)))
			if err != nil {
				return nil, err
			}
		}
		ast, issues := e.Compile(v.expr)
		if issues.Err() != nil {
			return nil, fmt.Errorf("view of %s: %w", v.typ, issues.Err())
		}
		if o.views[v.typ], err = e.Program(ast); err != nil {
			return nil, err
		}
	}
	return o, nil
}

// declare forgets the variables there were. Every value is evaluated without the others.
func (o *oracle) declare(vars []variable) []outcome {
	o.env, o.vars = o.base, map[string]any{}
	var outcomes []outcome
	var options []cel.EnvOption
	for _, v := range vars {
		out, val := o.run(v.value)
		if val == nil {
			val = types.NullValue
		}
		o.vars[v.name] = val
		if v.native {
			o.vars[v.name] = native(val)
		}
		outcomes = append(outcomes, out)
		options = append(options, cel.Variable(v.name, v.typ))
	}
	env, err := o.base.Extend(options...)
	if err != nil {
		panic(err) // the generator's fault
	}
	o.env = env
	return outcomes
}

func (o *oracle) evaluate(expr string) outcome {
	out, _ := o.run(expr)
	return out
}

func (o *oracle) run(expr string) (outcome, ref.Val) {
	ast, issues := o.env.Compile(expr)
	if issues.Err() != nil {
		return outcome{kind: "compile", text: issues.Err().Error()}, nil
	}
	typ := checker.FormatCELType(ast.OutputType())
	prog, err := o.env.Program(ast)
	if err != nil {
		return outcome{kind: "compile", text: err.Error()}, nil
	}
	v, _, err := prog.Eval(o.vars)
	if err != nil {
		return outcome{"error", typ, err.Error()}, nil
	}
	var b strings.Builder
	o.writeValue(&b, v)
	return outcome{"value", typ, b.String()}, v
}
