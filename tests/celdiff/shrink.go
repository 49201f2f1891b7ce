// SPDX-License-Identifier: Apache-2.0

package main

import "github.com/google/cel-go/common/types"

const shrinkTriesMax = 3000

// simple values that take the place of a subexpression of their type.
var simple = map[types.Kind][]string{
	types.BoolKind:      {"true", "false"},
	types.IntKind:       {"0", "1", "-1"},
	types.UintKind:      {"0u", "1u"},
	types.DoubleKind:    {"0.0", "1.5"},
	types.StringKind:    {"''", "'a'"},
	types.BytesKind:     {"b''", "b'a'"},
	types.NullTypeKind:  {"null"},
	types.ListKind:      {"[]"},
	types.MapKind:       {"{}"},
	types.DurationKind:  {"duration('0')"},
	types.TimestampKind: {"timestamp(0)"},
	types.DynKind:       {"0", "dyn(0)"},
}

// candidates are trees that are simpler than root, the most simplified first.
func candidates(root *node) []*node {
	var all []*node
	root.walk(func(n *node) {
		for _, k := range n.kids {
			if n != root {
				all = append(all, root.replace(n, k))
			} else {
				all = append(all, k)
			}
		}
		for i := 0; n.group > 0 && i < len(n.kids); i += n.group {
			c := *n
			c.kids = append(append([]*node(nil), n.kids[:i]...), n.kids[i+n.group:]...)
			if n.needs != nil {
				c.needs = n.needs[:len(c.kids)]
			}
			all = append(all, root.replace(n, &c))
		}
		text := n.String()
		for _, s := range simple[n.typ.Kind()] {
			if len(s) < len(text) {
				all = append(all, root.replace(n, unaryAtom(n.typ, s)))
			}
		}
	})
	return all
}

// shrink returns the smallest tree found for which fails still holds.
func shrink(root *node, fails func(expr string) bool) *node {
	tries := 0
	for again := true; again; {
		again = false
		for _, c := range candidates(root) {
			if tries++; tries > shrinkTriesMax {
				return root
			}
			if len(c.String()) < len(root.String()) && fails(c.String()) {
				root, again = c, true
				break
			}
		}
	}
	return root
}
