package column

import (
	"bytes"

	"github.com/selkiedb/selkie/schema"
)

// leaveOut tells whether the field at place i is left out of a partial batch.
func (b *builder) leaveOut(i int) bool {
	f := b.schema.Fields[i]
	if b.options.Partial && f.IsInsertTime {
		return true
	}
	return b.options.Partial && b.given[i] == nil && !f.IsPrimaryKey && !(f.IsDynamic && len(b.extra) > 0)
}

// Given tells whether the batch has the field at place i: a whole one has every field.
func (b *Batch) Given(i int) bool { return b.Cols[i].Rows == b.Rows }

// Missing lists the fields that a partial batch does not have, and "$meta", of which it may have some keys.
func (b *Batch) Missing() []*schema.Field {
	var out []*schema.Field
	for i, f := range b.Schema.Fields {
		if b.isMissing(i, f) {
			out = append(out, f)
		}
	}
	return out
}

// isMissing tells whether the values so far of a field are needed. What the engine makes is made anew.
func (b *Batch) isMissing(i int, f *schema.Field) bool {
	return f.IsDynamic || !b.Given(i) && !f.IsInsertTime && b.Schema.MadeBy(f.Name) == nil
}

// Complete makes a partial batch a whole one. old are the values that the Missing fields have so far, in that order, and from says which of their rows
// stands for each row of the batch: -1 for an entity that is new, which takes default values and nulls as in an insert, and is refused where it can
// take neither. The keys of "$meta" that are given replace those of the same name.
func (b *Batch) Complete(old []Data, from []int, o BuildOptions) (*Batch, error) {
	whole := &Batch{Schema: b.Schema, Rows: b.Rows, Cols: append([]Data(nil), b.Cols...)}
	next := 0
	for i, f := range b.Schema.Fields {
		if f.IsInsertTime {
			whole.Cols[i] = o.insertTimes(b.Rows)
		}
		if !b.isMissing(i, f) {
			continue
		}
		d, err := b.complete(i, old[next], from)
		if err != nil {
			return nil, err
		}
		whole.Cols[i] = d
		next++
	}
	if err := whole.makeFields(); err != nil {
		return nil, err
	}
	if whole.Bytes() > o.maxBytes() {
		return nil, tooLarge(b.Rows, whole.Bytes(), o.maxBytes())
	}
	return whole, nil
}

func (b *Batch) complete(i int, old Data, from []int) (Data, error) {
	f := b.Schema.Fields[i]
	def, err := f.DefaultBytes()
	if err != nil {
		return Data{}, err
	}
	out := NewBuilder(f.Width(), false)
	for row, at := range from {
		given := b.Given(i) && !b.Cols[i].IsNull(row) // only "$meta" comes here with values
		switch {
		case given && (at < 0 || old.IsNull(at)):
			out.AppendRow(b.Cols[i], row)
		case given:
			object := mergeObjects(old.Value(at), b.Cols[i].Value(row))
			if len(object) > schema.MaxJSON {
				return Data{}, schema.InvalidRow(f.Name, row, nil, "dynamic field has %d bytes, at most %d are allowed", len(object), schema.MaxJSON)
			}
			out.AppendValue(object, true)
		case at >= 0:
			out.AppendRow(old, at)
		case def != nil:
			out.AppendValue(def, true)
		case f.IsNullable:
			out.AppendValue(nil, false)
		default:
			return Data{}, schema.InvalidRow(f.Name, row, nil, "value is missing: there is no entity with primary key %v, and the field is neither nullable nor has a default value", b.Keys().At(row))
		}
	}
	return out.Data(), nil
}

// mergeObjects returns a JSON object with the members of fresh, and those of old whose keys fresh has not. Both are checked.
func mergeObjects(old, fresh []byte) []byte {
	has := map[string]bool{}
	for key := range memberKeys(fresh) {
		has[key] = true
	}
	out := []byte{'{'}
	for key, text := range members(old) {
		if has[key] {
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(appendString(out, []byte(key)), ':'), text...)
	}
	rest := bytes.TrimSpace(fresh)[1:]
	if len(out) > 1 && len(has) > 0 {
		out = append(out, ',')
	}
	return append(out, rest...)
}
