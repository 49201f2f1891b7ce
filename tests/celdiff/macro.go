// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"github.com/google/cel-go/common/types"
)

// local opens a scope with a loop variable; the caller closes it with g.close.
func (g *generator) local(t *types.Type) string {
	name := fmt.Sprintf("v%d", g.next)
	if g.one(12) && len(g.vars) > 0 { // one that shadows
		name = g.vars[g.r.IntN(len(g.vars))].name
	}
	g.next++
	g.locals = append(g.locals, variable{name: name, typ: t})
	return name
}

func (g *generator) close(n int) { g.locals = g.locals[:len(g.locals)-n] }

// body makes an expression in which the names stand for values of the types.
func (g *generator) body(t *types.Type, size int, names []string, of []*types.Type) *node {
	for i, n := range names {
		g.locals = append(g.locals, variable{name: n, typ: of[i]})
	}
	defer g.close(len(names))
	return g.expr(t, size)
}

// scoped makes text with $ for a range and bodies; names are those of the scope's variables.
func (g *generator) names(of ...*types.Type) []string {
	var names []string
	for _, t := range of {
		names = append(names, g.local(t))
	}
	g.close(len(of))
	if len(names) == 2 && names[0] == names[1] && !g.one(4) {
		names[1] += "b"
	}
	return names
}

// source is a range for a comprehension, its element types for one variable and for two.
func (g *generator) source(size int) (n *node, one *types.Type, two []*types.Type) {
	switch g.r.IntN(8) {
	case 0:
		return g.expr(types.DynType, size), types.DynType, []*types.Type{types.DynType, types.DynType}
	case 1, 2, 3:
		k, v := g.pickType(keys), g.randomType(1)
		return g.expr(types.NewMapType(k, v), size), k, []*types.Type{k, v}
	}
	item := g.randomType(1)
	return g.expr(types.NewListType(item), size), item, []*types.Type{types.IntType, item}
}

func (g *generator) macro(t *types.Type, size int) *node {
	if size < 3 {
		return nil
	}
	switch t.Kind() {
	case types.BoolKind:
		if g.r.IntN(4) > 0 {
			return g.predicate(size)
		}
	case types.ListKind:
		if g.r.IntN(5) > 0 {
			return g.listMacro(t, size)
		}
	case types.MapKind:
		if g.r.IntN(5) > 0 {
			return g.mapMacro(t, size)
		}
	case types.OpaqueKind:
		if isOptional(t) && g.r.IntN(3) > 0 {
			return g.optionalMacro(t, size)
		}
	}
	return g.bind(t, size)
}

func (g *generator) bind(t *types.Type, size int) *node {
	of := g.randomType(2)
	names := g.names(of)
	return form(t, precPrimary, "cel.bind("+names[0]+", $, $)", nil,
		g.expr(of, size/2), g.body(t, size/2, names, []*types.Type{of}))
}

func (g *generator) predicate(size int) *node {
	t := types.BoolType
	if g.one(4) {
		base := g.expr(g.pickType([]*types.Type{types.DynType, types.NewMapType(types.StringType, types.DynType)}), size-2)
		if g.one(2) {
			return form(t, precPrimary, "has($."+pick(g.r, fields)+"."+pick(g.r, fields)+")", []int{precPrimary}, base)
		}
		return form(t, precPrimary, "has($."+pick(g.r, fields)+")", []int{precPrimary}, base)
	}
	from, one, two := g.source(size / 2)
	name := pick(g.r, []string{"all", "exists", "exists_one", "existsOne", "all", "exists"})
	if g.one(3) {
		names := g.names(two...)
		return form(t, precPrimary, "$."+name+"("+names[0]+", "+names[1]+", $)", []int{precPrimary, 0},
			from, g.body(t, size/2, names, two))
	}
	names := g.names(one)
	return form(t, precPrimary, "$."+name+"("+names[0]+", $)", []int{precPrimary, 0}, from,
		g.body(t, size/2, names, []*types.Type{one}))
}

func (g *generator) listMacro(t *types.Type, size int) *node {
	item := t.Parameters()[0]
	needs := []int{precPrimary, 0, 0}
	switch g.r.IntN(6) {
	case 0: // filter
		names := g.names(item)
		return form(t, precPrimary, "$.filter("+names[0]+", $)", needs, g.expr(t, size/2),
			g.body(types.BoolType, size/2, names, []*types.Type{item}))
	case 1: // sortBy
		names := g.names(item)
		return form(t, precPrimary, "$.sortBy("+names[0]+", $)", needs, g.expr(t, size/2),
			g.body(g.pickType(comparables), size/2, names, []*types.Type{item}))
	case 2:
		from, _, two := g.source(size / 2)
		names := g.names(two...)
		head := "$.transformList(" + names[0] + ", " + names[1]
		if g.one(2) {
			return form(t, precPrimary, head+", $, $)", needs, from,
				g.body(types.BoolType, size/4, names, two), g.body(item, size/4, names, two))
		}
		return form(t, precPrimary, head+", $)", needs, from, g.body(item, size/2, names, two))
	}
	from, one, _ := g.source(size / 2)
	names := g.names(one)
	of := []*types.Type{one}
	if g.one(3) {
		return form(t, precPrimary, "$.map("+names[0]+", $, $)", needs, from,
			g.body(types.BoolType, size/4, names, of), g.body(item, size/4, names, of))
	}
	return form(t, precPrimary, "$.map("+names[0]+", $)", needs, from, g.body(item, size/2, names, of))
}

func (g *generator) mapMacro(t *types.Type, size int) *node {
	key, value := t.Parameters()[0], t.Parameters()[1]
	needs := []int{precPrimary, 0, 0}
	entry := g.one(3)
	var from *node
	two := []*types.Type{key, g.randomType(1)}
	if key == types.IntType && g.one(2) {
		from = g.expr(types.NewListType(two[1]), size/2)
	} else {
		from = g.expr(types.NewMapType(key, two[1]), size/2)
	}
	names := g.names(two...)
	head, result := "$.transformMap(", value
	if entry {
		head, result = "$.transformMapEntry(", types.NewMapType(key, value)
	}
	head += names[0] + ", " + names[1]
	last := func(size int) *node {
		if !entry {
			return g.body(result, size, names, two)
		}
		k := g.body(key, 1+size/3, names, two)
		return sequence(result, "{", ", ", "}", 2, []*node{k, g.body(value, size/2, names, two)})
	}
	if g.one(2) {
		return form(t, precPrimary, head+", $, $)", needs, from, g.body(types.BoolType, size/4, names, two), last(size/4))
	}
	return form(t, precPrimary, head+", $)", needs, from, last(size/2))
}

func (g *generator) optionalMacro(t *types.Type, size int) *node {
	of := g.randomType(1)
	names := g.names(of)
	name, result := "optMap", t.Parameters()[0]
	if g.one(2) {
		name, result = "optFlatMap", t
	}
	return form(t, precPrimary, "$."+name+"("+names[0]+", $)", []int{precPrimary, 0},
		g.expr(optional(of), size/2), g.body(result, size/2, names, []*types.Type{of}))
}
