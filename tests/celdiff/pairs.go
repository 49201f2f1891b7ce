// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"github.com/google/cel-go/common/types"
)

// One value of each type, behind dyn() so that the checker lets every call pass.
var oneOfEach = []string{
	"null", "true", "1", "1u", "1.5", "'a'", "b'a'", "timestamp(0)", "duration('1s')", "int", "[1]", "[]", "{'a': 1}", "{}",
	"optional.of(1)", "optional.none()", "quantity('1')", "ip('::1')", "cidr('::1/8')", "url('http://a')", "semver('1.2.3')",
}

// pairs makes every function and operator with arguments of every type, the first two in all
// combinations, and every macro over every type.
func (g *generator) pairs() []*node {
	var all []*node
	dyn := func(text string) *node {
		return call(types.DynType, "dyn", false, []*node{atom(types.DynType, text)})
	}
	seen := map[string]bool{}
	for i := range g.s.overloads {
		o := &g.s.overloads[i]
		key := fmt.Sprint(o.name, o.member, len(o.args))
		if seen[key] || len(o.args) == 0 {
			continue
		}
		seen[key] = true
		for _, a := range oneOfEach {
			if len(o.args) == 1 {
				all = append(all, g.apply(o, types.DynType, []*node{dyn(a)}))
				continue
			}
			for _, b := range oneOfEach {
				kids := []*node{dyn(a), dyn(b)}
				for _, t := range o.args[2:] {
					kids = append(kids, g.literal(g.fill(t, map[string]*types.Type{}), 1))
				}
				all = append(all, g.apply(o, types.DynType, kids))
			}
		}
	}
	for _, a := range oneOfEach {
		for _, m := range []string{
			"all(x, true)", "exists(x, x == 1)", "exists_one(x, true)", "map(x, x)", "map(x, true, x)", "filter(x, true)", "all(i, x, true)",
			"existsOne(i, x, true)", "transformList(i, x, x)", "transformMap(i, x, x)", "transformMapEntry(i, x, {i: x})", "sortBy(x, x)",
			"optMap(x, x)", "optFlatMap(x, optional.of(x))", "a", "?a", "a.b", "`a`",
		} {
			all = append(all, form(types.DynType, precPrimary, "$."+m, nil, dyn(a)))
		}
		for _, text := range []string{
			"has($.a)", "has($.a.b)", "{$: 1}", "{?'a': $}", "[?$]", "$ ? 1 : 2", "cel.bind(x, $, [x, x])", "'%s %s'.format([$, 1])",
			"'%d'.format([$])", "'%f'.format([$])", "'%e'.format([$])", "'%b'.format([$])", "'%x'.format([$])", "'%X'.format([$])", "'%o'.format([$])",
		} {
			all = append(all, form(types.DynType, precTernary, text, nil, dyn(a)))
		}
	}
	return all
}
