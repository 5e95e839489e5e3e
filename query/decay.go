package query

import (
	"math"

	"github.com/selkiedb/selkie/schema"
)

// DecayKind is the shape of a decay.
type DecayKind uint8

// The shapes, with x the distance from the origin less the offset, 0 at least.
const (
	DecayGauss  DecayKind = iota // exp(-x²/2σ²) with σ² = -scale²/(2·ln decay)
	DecayExp                     // exp(x·ln(decay)/scale)
	DecayLinear                  // 1 - x·(1-decay)/scale, 0 at least
)

// Decay is a factor that falls from 1 at the origin to a given value at the distance scale (and beyond), by the value of a number field.
type Decay struct {
	field         string
	kind          DecayKind
	origin, scale float64
	offset, decay float64
}

// NewDecay begins a decay by a field of integers or floats that is not nullable: 1 at the origin, 0.5 at the distance scale from it.
func NewDecay(kind DecayKind, field string, origin, scale float64) *Decay {
	return &Decay{field: field, kind: kind, origin: origin, scale: scale, decay: 0.5}
}

// Offset is how far from the origin the factor is still 1; 0 if it is not called. The scale counts from there.
func (d *Decay) Offset(x float64) *Decay {
	d.offset = x
	return d
}

// To is the factor at the scale, in (0, 1); 0.5 if it is not called.
func (d *Decay) To(factor float64) *Decay {
	d.decay = factor
	return d
}

// DecayPlan is a checked decay.
type DecayPlan struct {
	Field *schema.Field
	d     Decay
}

func (d *Decay) check(sch *schema.Schema) (*DecayPlan, error) {
	if d == nil {
		return nil, schema.Invalid("", nil, "no decay given")
	}
	f, ok := sch.Field(d.field)
	switch {
	case !ok:
		return nil, schema.Invalid(d.field, nil, "no such field in collection %q", sch.Name)
	case !f.Type.IsInt() && !f.Type.IsFloat() || f.IsNullable:
		return nil, schema.Invalid(d.field, f.Type, "a decay needs a field of numbers that is not nullable")
	case d.kind > DecayLinear:
		return nil, schema.Invalid(d.field, d.kind, "unknown kind of decay")
	case !finite(d.origin):
		return nil, schema.Invalid(d.field, d.origin, "origin of a decay must be a finite number")
	case !(d.scale > 0) || !finite(d.scale):
		return nil, schema.Invalid(d.field, d.scale, "scale of a decay must be greater than 0")
	case !(d.offset >= 0) || !finite(d.offset):
		return nil, schema.Invalid(d.field, d.offset, "offset of a decay must not be negative")
	case !(d.decay > 0 && d.decay < 1):
		return nil, schema.Invalid(d.field, d.decay, "a decay must fall to a factor in (0, 1)")
	}
	return &DecayPlan{f, *d}, nil
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// Factor is what the score of an entity with the number v is multiplied by.
func (p *DecayPlan) Factor(v float64) float64 {
	d := p.d
	x := max(0, math.Abs(v-d.origin)-d.offset)
	switch d.kind {
	case DecayGauss:
		return math.Exp(x * x * math.Log(d.decay) / (d.scale * d.scale))
	case DecayExp:
		return math.Exp(x * math.Log(d.decay) / d.scale)
	}
	return max(0, 1-x*(1-d.decay)/d.scale)
}
