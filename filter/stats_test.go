package filter_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/big"

	"github.com/selkiedb/selkie/column"
	"github.com/selkiedb/selkie/filter"
	"github.com/selkiedb/selkie/schema"
)

// statsOf gives the statistics of all rows as one chunk, encoded as Stats says.
func statsOf(w *world, b *column.Batch) func(f *schema.Field) (filter.Stats, bool) {
	return func(f *schema.Field) (filter.Stats, bool) {
		s := filter.Stats{Rows: b.Rows}
		some := false
		for i := range b.Rows {
			v := plain(w.rows[i][f.Name])
			if v == nil {
				s.Nulls++
				continue
			}
			k := ordered(v)
			if !some || bytes.Compare(k, s.Min) < 0 {
				s.Min = k
			}
			if !some || bytes.Compare(k, s.Max) > 0 {
				s.Max = k
			}
			some = true
		}
		switch f.Type {
		case schema.TypeJSON, schema.TypeArray:
			return s, b.Rows%2 == 0
		case schema.TypeVarChar:
			if len(s.Min) > 2 {
				s.Min, s.Max = s.Min[:2], nil
			}
		}
		return s, true
	}
}

func ordered(v any) []byte {
	switch v := v.(type) {
	case bool:
		if v {
			return []byte{1}
		}
		return []byte{0}
	case int64:
		return binary.BigEndian.AppendUint64(nil, uint64(v)^1<<63)
	case float64:
		u := math.Float64bits(v + 0)
		if u>>63 != 0 {
			u = ^u
		} else {
			u |= 1 << 63
		}
		return binary.BigEndian.AppendUint64(nil, u)
	case string:
		return []byte(v)
	}
	return nil
}

// exact does integer arithmetic without bounds; nil is what does not fit.
func exact(op string, a, b int64) any {
	x, y, z := big.NewInt(a), big.NewInt(b), new(big.Int)
	switch op {
	case "+":
		z.Add(x, y)
	case "-":
		z.Sub(x, y)
	case "*":
		z.Mul(x, y)
	case "/":
		z.Quo(x, y)
	case "%":
		z.Rem(x, y)
	}
	if !z.IsInt64() {
		return nil
	}
	return z.Int64()
}

// bigCompare compares numbers without rounding.
func bigCompare(a, b any, x, y float64) int {
	exactly := func(v any, f float64) *big.Float {
		if i, ok := v.(int64); ok {
			return new(big.Float).SetPrec(200).SetInt64(i)
		}
		return new(big.Float).SetPrec(200).SetFloat64(f)
	}
	return exactly(a, x).Cmp(exactly(b, y))
}
