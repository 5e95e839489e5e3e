package filter

import (
	"encoding/binary"
	"math"

	"github.com/selkiedb/selkie/schema"
)

// Stats is what is known of a chunk's values of one field.
type Stats struct {
	// Nulls 0 says that there are none, Rows that there is nothing else; of what is between, only that there may be some.
	Rows, Nulls int
	// The least and the greatest value that is not null, or bounds beyond them: integers as eight bytes big-endian with the
	// sign bit flipped, floats as the eight bytes of the double with all bits flipped in negative ones and the sign bit in
	// others, Bool as one byte, VarChar as it is. For numbers and Bool empty ones mean that there is none; for VarChar an empty Max bounds nothing.
	Min, Max []byte
}

// outcome is the set of truth values that a predicate can have.
type outcome uint8

const (
	canTrue outcome = 1 << iota
	canFalse
	canUnknown
	canBe = canTrue | canFalse | canUnknown
)

// chunk asks for the statistics of a chunk.
type chunk struct {
	stats func(f *schema.Field) (Stats, bool)
}

func (c *chunk) of(f *schema.Field) (Stats, bool) { return c.stats(f) }

// CanMatch tells whether a row of a chunk can match, by the chunk's statistics: false only if none can. stats returns what is
// known of a field, false if nothing is.
func (e *Expr) CanMatch(stats func(f *schema.Field) (Stats, bool)) bool {
	return e.root.outcomes(&chunk{stats})&canTrue != 0
}

// MustMatch tells whether all rows of a chunk match, by the chunk's statistics: true only if they do.
func (e *Expr) MustMatch(stats func(f *schema.Field) (Stats, bool)) bool {
	return e.root.outcomes(&chunk{stats}) == canTrue
}

// decodeBound is the inverse of the encoding of Stats.
func decodeBound(k kind, b []byte) (value, bool) {
	switch {
	case k == kindBool && len(b) == 1:
		return boolValue(b[0] != 0), true
	case k == kindInt && len(b) == 8:
		return intValue(int64(binary.BigEndian.Uint64(b) ^ 1<<63)), true
	case k == kindFloat && len(b) == 8:
		u := binary.BigEndian.Uint64(b)
		if u>>63 != 0 {
			u &^= 1 << 63
		} else {
			u = ^u
		}
		f := math.Float64frombits(u)
		return floatValue(f), !math.IsNaN(f)
	case k == kindString:
		return stringValue(string(b)), true
	}
	return value{}, false
}

// bounds returns the least and the greatest value of a field in the chunk. ok is false where nothing is known; empty says that all are null.
func (c *chunk) bounds(f *schema.Field) (lo, hi value, nulls, empty, ok bool) {
	st, ok := c.of(f)
	if !ok {
		return lo, hi, true, false, false
	}
	nulls = st.Nulls > 0
	k := kindOf(f.Type)
	if nulls && (st.Nulls == st.Rows || k != kindString && len(st.Min) == 0) {
		return lo, hi, true, true, true
	}
	lo, ok = decodeBound(k, st.Min)
	if !ok {
		return lo, hi, nulls, false, false
	}
	if k == kindString && len(st.Max) == 0 {
		return lo, value{}, nulls, false, true
	}
	hi, ok = decodeBound(k, st.Max)
	return lo, hi, nulls, false, ok
}

// outcomes of a comparison are narrowed for plain fields only.
func (p *within) outcomes(s *chunk) outcome {
	c, ok := p.x.(*columnOp)
	if !ok || c.kind() == kindJSON {
		return canBe
	}
	lo, hi, nulls, empty, ok := s.bounds(c.field)
	switch {
	case !ok:
		return nullable(c.field)
	case empty:
		return canUnknown
	}
	iv := p.iv
	if c.field.Type == schema.TypeFloat {
		iv.lo, iv.hi = rounded(iv.lo), rounded(iv.hi)
	}
	// May a value of [lo, hi] be inside, may one be outside?
	inside := !iv.below(lo) && !iv.above(hi)
	outside := !(iv.holds(lo) && hi.kind != kindNone && iv.holds(hi))
	if iv.not {
		inside, outside = outside, inside
	}
	return outcomeOf(inside, outside, nulls)
}

func outcomeOf(yes, no, unknown bool) (o outcome) {
	if yes {
		o |= canTrue
	}
	if no {
		o |= canFalse
	}
	if unknown {
		o |= canUnknown
	}
	return o
}

// nullable returns every outcome that a comparison with a field can have.
func nullable(f *schema.Field) outcome {
	if f.IsNullable {
		return canBe
	}
	return canTrue | canFalse
}

func rounded(v value) value {
	if v.kind == kindFloat || v.kind == kindInt {
		return floatValue(float64(float32(v.float())))
	}
	return v
}

// below tells whether the whole interval lies below v.
func (v interval) below(x value) bool {
	if v.hi.kind == kindNone {
		return false
	}
	order, ok := compareValues(v.hi, x)
	return ok && (order < 0 || order == 0 && v.hiOpen)
}

// above tells whether the whole interval lies above v; nothing lies above no bound.
func (v interval) above(x value) bool {
	if v.lo.kind == kindNone || x.kind == kindNone {
		return false
	}
	order, ok := compareValues(v.lo, x)
	return ok && (order > 0 || order == 0 && v.loOpen)
}

// holds tells whether x lies in the interval, not aside.
func (v interval) holds(x value) bool {
	if v.lo.kind != kindNone {
		order, ok := compareValues(x, v.lo)
		if !ok || order < 0 || order == 0 && v.loOpen {
			return false
		}
	}
	if v.hi.kind != kindNone {
		order, ok := compareValues(x, v.hi)
		if !ok || order > 0 || order == 0 && v.hiOpen {
			return false
		}
	}
	return true
}
