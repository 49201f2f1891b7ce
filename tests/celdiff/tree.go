// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"

	"github.com/google/cel-go/common/types"
)

// Precedence of the operator at the top of a node, loosest first.
const (
	precTernary = iota
	precOr
	precAnd
	precRelation
	precSum
	precProduct
	precUnary
	precPrimary
)

// A node is a piece of source text with nodes in it: parts[0] kids[0] parts[1] kids[1] ... A list of
// any length has its separator between the kids instead and is open and close in parts.
type node struct {
	typ   *types.Type
	prec  int
	parts []string
	kids  []*node
	needs []int // precedence that a kid must have to stand without parentheses; nil: any will do
	sep   string
	group int // a list's kids come in groups of so many: 1, or 2 for the entries of a map
}

func atom(t *types.Type, text string) *node {
	return &node{typ: t, prec: precPrimary, parts: []string{text}}
}

func unaryAtom(t *types.Type, text string) *node {
	n := atom(t, text)
	if strings.HasPrefix(text, "-") {
		n.prec = precUnary
	}
	return n
}

// call makes name(kids...) or, as a member, kids[0].name(...).
func call(t *types.Type, name string, member bool, kids []*node) *node {
	n := &node{typ: t, prec: precPrimary, kids: kids, needs: make([]int, len(kids))}
	rest := kids
	if member {
		n.needs[0] = precPrimary
		n.parts = append(n.parts, "")
		rest = kids[1:]
		name = "." + name
	}
	if len(rest) == 0 {
		n.parts = append(n.parts, name+"()")
		return n
	}
	n.parts = append(n.parts, name+"(")
	for range rest[1:] {
		n.parts = append(n.parts, ", ")
	}
	n.parts = append(n.parts, ")")
	return n
}

// form makes a node from a text in which each $ stands for a kid.
func form(t *types.Type, prec int, text string, needs []int, kids ...*node) *node {
	return &node{typ: t, prec: prec, parts: strings.Split(text, "$"), kids: kids, needs: needs}
}

func sequence(t *types.Type, open, sep, end string, group int, kids []*node) *node {
	return &node{typ: t, prec: precPrimary, parts: []string{open, end}, kids: kids, sep: sep, group: group}
}

func (n *node) write(b *strings.Builder) {
	b.WriteString(n.parts[0])
	for i, k := range n.kids {
		if n.needs != nil && k.prec < n.needs[i] {
			b.WriteByte('(')
			k.write(b)
			b.WriteByte(')')
		} else {
			k.write(b)
		}
		switch {
		case n.group == 0:
			b.WriteString(n.parts[i+1])
		case i == len(n.kids)-1:
		case n.group == 2 && i%2 == 0:
			b.WriteString(": ")
		default:
			b.WriteString(n.sep)
		}
	}
	if n.group > 0 {
		b.WriteString(n.parts[1])
	}
}

func (n *node) String() string {
	var b strings.Builder
	n.write(&b)
	return b.String()
}

func (n *node) count() int {
	c := 1
	for _, k := range n.kids {
		c += k.count()
	}
	return c
}

// replace returns root with the node old changed for new; nodes are shared, none is changed.
func (n *node) replace(old, new *node) *node {
	if n == old {
		return new
	}
	for i, k := range n.kids {
		if r := k.replace(old, new); r != k {
			c := *n
			c.kids = append([]*node(nil), n.kids...)
			c.kids[i] = r
			return &c
		}
	}
	return n
}

// walk calls f for n and all below it, top down.
func (n *node) walk(f func(*node)) {
	f(n)
	for _, k := range n.kids {
		k.walk(f)
	}
}
