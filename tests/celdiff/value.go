// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
)

// writeValue writes v as driver.c does: values that differ have different texts.
func (o *oracle) writeValue(b *strings.Builder, v ref.Val) {
	switch v := v.(type) {
	case types.Null:
		b.WriteString("null")
	case types.Bool:
		b.WriteString(strconv.FormatBool(bool(v)))
	case types.Int:
		b.WriteString(strconv.FormatInt(int64(v), 10))
	case types.Uint:
		b.WriteString(strconv.FormatUint(uint64(v), 10) + "u")
	case types.Double:
		b.WriteString(doubleText(float64(v)) + "d")
	case types.String:
		writeQuoted(b, string(v))
	case types.Bytes:
		b.WriteByte('b')
		writeQuoted(b, string(v))
	case types.Duration:
		fmt.Fprintf(b, "duration(%d)", v.Nanoseconds())
	case types.Timestamp:
		writeTime(b, v.Time)
	case *types.Optional:
		b.WriteString("optional(")
		if v.HasValue() {
			o.writeValue(b, v.GetValue())
		}
		b.WriteByte(')')
	case *types.Err:
		b.WriteString("error " + v.Error())
	case ref.Type:
		b.WriteString("type(" + v.TypeName() + ")")
	case traits.Mapper:
		o.writeMap(b, v)
	case traits.Lister:
		o.writeList(b, v)
	default:
		o.writeOpaque(b, v)
	}
}

func doubleText(d float64) string {
	switch {
	case math.IsNaN(d):
		return "NaN"
	case math.IsInf(d, 0):
		return fmt.Sprintf("%+f", d)
	}
	return strconv.FormatFloat(d, 'g', -1, 64)
}

func writeTime(b *strings.Builder, t time.Time) {
	_, zone := t.Zone()
	fmt.Fprintf(b, "timestamp(%d, %d, %d)", t.Unix(), t.Nanosecond(), zone/60)
}

func writeQuoted(b *strings.Builder, s string) {
	b.WriteByte('"')
	for i := 0; i < len(s); i++ {
		if c := s[i]; c == '"' || c == '\\' || c < 0x20 || c == 0x7f {
			fmt.Fprintf(b, "\\x%02x", c)
		} else {
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
}

// writeMap writes the entries in the order of their texts.
func (o *oracle) writeMap(b *strings.Builder, m traits.Mapper) {
	var entries []string
	for it := m.Iterator(); it.HasNext() == types.True; {
		var e strings.Builder
		k := it.Next()
		o.writeValue(&e, k)
		e.WriteString(": ")
		v, found := m.Find(k)
		if !found { // a key that is not found by itself: NaN
			v = types.String("unfindable")
		}
		o.writeValue(&e, v)
		entries = append(entries, e.String())
	}
	sort.Strings(entries)
	b.WriteString("{" + strings.Join(entries, ", ") + "}")
}

func (o *oracle) writeList(b *strings.Builder, l traits.Lister) {
	b.WriteByte('[')
	for i := types.Int(0); i < l.Size().(types.Int); i++ {
		if i > 0 {
			b.WriteString(", ")
		}
		o.writeValue(b, l.Get(i))
	}
	b.WriteByte(']')
}

func (o *oracle) writeOpaque(b *strings.Builder, v ref.Val) {
	name := v.Type().TypeName()
	b.WriteString(name)
	view, found := o.views[name]
	if !found {
		return
	}
	shown, _, err := view.Eval(map[string]any{"self": v})
	if err != nil {
		b.WriteString(err.Error())
		return
	}
	o.writeValue(b, shown)
}

// native turns lists and maps with string keys into Go's own, which is how kro hands over objects.
func native(v ref.Val) any {
	switch v := v.(type) {
	case types.Null:
		return nil
	case types.Bool, types.Int, types.Double, types.String:
		return v.Value()
	case traits.Mapper:
		m := map[string]any{}
		for it := v.Iterator(); it.HasNext() == types.True; {
			k := it.Next()
			name, ok := k.(types.String)
			if !ok {
				return v
			}
			m[string(name)] = native(v.Get(k))
		}
		return m
	case traits.Lister:
		l := make([]any, 0, int(v.Size().(types.Int)))
		for i := types.Int(0); i < v.Size().(types.Int); i++ {
			l = append(l, native(v.Get(i)))
		}
		return l
	}
	return v
}
