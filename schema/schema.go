package schema

import (
	"slices"
	"time"
)

// Schema describes a collection. Make it with New; only a finished schema (see Finish) can hold data.
type Schema struct {
	Name        string
	Description string
	Fields      []*Field
	Dynamic     bool // unknown keys of rows are kept in the JSON field "$meta"

	Shards             int  // growing segments a partition keeps at a time, 1 to MaxShards; 0 = DefaultShards
	NumPartitions      int  // hidden partitions of a schema with a partition key; 0 = DefaultPartitions
	AllowDuplicateKeys bool // as in Milvus: insert takes a key the partition already holds

	Functions []*Function // fields that are made of others

	// TTLField is the Int64 field, in milliseconds since 1970, from which on an entity has TTLAfter to live; one in which it is null lives for ever.
	// "" means that entities do not expire. See ExpireAt and ExpireAfter.
	TTLField string
	TTLAfter time.Duration

	Version     int   // 1 for a new collection; whoever changes a schema raises it
	NextFieldID int64 // id of the next field to be added; ids are never used twice
}

// New starts a schema for a collection of that name.
func New(name string) *Schema { return &Schema{Name: name} }

// With appends fields.
func (s *Schema) With(fields ...*Field) *Schema { s.Fields = append(s.Fields, fields...); return s }

// EnableDynamicField keeps unknown keys of rows in the JSON field "$meta" instead of refusing them.
func (s *Schema) EnableDynamicField() *Schema { s.Dynamic = true; return s }

// WithShards sets how many growing segments a partition keeps at a time, 1 to MaxShards. Rows go by the hash of the key.
func (s *Schema) WithShards(n int) *Schema { s.Shards = n; return s }

// WithPartitions sets how many hidden partitions a partition key spreads rows over, 1 to MaxPartitions.
func (s *Schema) WithPartitions(n int) *Schema { s.NumPartitions = n; return s }

// WithDuplicateKeys lets insert take primary keys that the partition already holds, as Milvus does.
func (s *Schema) WithDuplicateKeys() *Schema { s.AllowDuplicateKeys = true; return s }

// Describe sets the description.
func (s *Schema) Describe(text string) *Schema { s.Description = text; return s }

// Finish returns a checked copy that is ready for use: zero settings hold their defaults, "$meta" is among the fields if
// Dynamic is set, default values have the exact Go type, and every field has an id. Finishing a finished schema to which
// fields were appended gives ids to these alone. Version is 1 unless set.
func (s *Schema) Finish() (*Schema, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	c := s.Clone()
	if c.Shards == 0 {
		c.Shards = DefaultShards
	}
	if c.PartitionKey() != nil && c.NumPartitions == 0 {
		c.NumPartitions = DefaultPartitions
	}
	if c.Dynamic && c.Index(MetaName) < 0 {
		c.Fields = append(c.Fields, newMeta())
	}
	if c.TTLField == InsertedName && c.Index(InsertedName) < 0 {
		c.Fields = append(c.Fields, newInserted())
	}
	for _, fn := range c.Functions {
		in, _ := c.Field(fn.Input)
		out, _ := c.Field(fn.Output)
		out.IsNullable = in.IsNullable
	}
	for _, f := range c.Fields {
		if f.DefaultValue == nil {
			continue
		}
		v, err := f.normalDefault()
		if err != nil {
			return nil, err
		}
		f.DefaultValue = v
	}
	if c.Version == 0 {
		c.Version = 1
	}
	c.AssignIDs()
	return c, nil
}

func newMeta() *Field {
	return &Field{Name: MetaName, Type: TypeJSON, IsNullable: true, IsDynamic: true}
}

// AssignIDs gives an id to each field that has none, in order, from NextFieldID on.
func (s *Schema) AssignIDs() {
	s.NextFieldID = max(s.NextFieldID, FirstFieldID)
	for _, f := range s.Fields {
		s.NextFieldID = max(s.NextFieldID, f.ID+1)
	}
	for _, f := range s.Fields {
		if f.ID == 0 {
			f.ID = s.NextFieldID
			s.NextFieldID++
		}
	}
}

// Clone returns a deep copy.
func (s *Schema) Clone() *Schema {
	c := *s
	c.Fields = make([]*Field, len(s.Fields))
	for i, f := range s.Fields {
		c.Fields[i] = f.Clone()
	}
	c.Functions = nil
	for _, fn := range s.Functions {
		c.Functions = append(c.Functions, fn.clone())
	}
	return &c
}

// Equal tells whether both describe the same collection: name, description, settings, and the same fields in the same
// order. What Finish adds and what history adds (ids, version, "$meta") does not count, so a schema equals its finished
// self.
func (s *Schema) Equal(o *Schema) bool {
	if s == nil || o == nil {
		return s == o
	}
	if s.Name != o.Name || s.Description != o.Description || s.Dynamic != o.Dynamic ||
		s.AllowDuplicateKeys != o.AllowDuplicateKeys || max(s.Shards, DefaultShards) != max(o.Shards, DefaultShards) {
		return false
	}
	if s.TTLField != o.TTLField || s.TTLAfter != o.TTLAfter || s.partitions() != o.partitions() {
		return false
	}
	a, b := s.userFields(), o.userFields()
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		x, y := a[i], b[i]
		if s.MadeBy(x.Name) != nil && o.MadeBy(y.Name) != nil { // Finish decides whether it is nullable
			x, y = x.Clone(), y.Clone()
			x.IsNullable, y.IsNullable = false, false
		}
		if !x.same(y) {
			return false
		}
	}
	return slices.EqualFunc(s.Functions, o.Functions, func(x, y *Function) bool { return x != nil && y != nil && x.normal() == y.normal() })
}

func (s *Schema) partitions() int {
	if s.NumPartitions == 0 && s.PartitionKey() != nil {
		return DefaultPartitions
	}
	return s.NumPartitions
}

// userFields returns the fields that the engine did not add.
func (s *Schema) userFields() []*Field {
	return slices.DeleteFunc(slices.Clone(s.Fields), func(f *Field) bool { return f != nil && (f.IsDynamic || f.IsInsertTime) })
}

// PrimaryKey returns the primary key, nil when an unfinished schema has none.
func (s *Schema) PrimaryKey() *Field {
	if i := s.PrimaryKeyIndex(); i >= 0 {
		return s.Fields[i]
	}
	return nil
}

// PrimaryKeyIndex returns the position of the primary key among Fields, -1 when an unfinished schema has none.
func (s *Schema) PrimaryKeyIndex() int {
	for i, f := range s.Fields {
		if f != nil && f.IsPrimaryKey {
			return i
		}
	}
	return -1
}

// PartitionKey returns the partition key, nil when there is none.
func (s *Schema) PartitionKey() *Field {
	for _, f := range s.Fields {
		if f != nil && f.IsPartitionKey {
			return f
		}
	}
	return nil
}

// Field returns the field of that name; "$meta" is one in a finished dynamic schema.
func (s *Schema) Field(name string) (*Field, bool) {
	if i := s.Index(name); i >= 0 {
		return s.Fields[i], true
	}
	return nil, false
}

// Index returns the position of the field of that name among Fields, -1 when there is none. It looks through at most
// MaxFields+1 names, which no map beats by enough to be kept in step with an exported slice.
func (s *Schema) Index(name string) int {
	for i, f := range s.Fields {
		if f != nil && f.Name == name {
			return i
		}
	}
	return -1
}

// FieldByID returns the field with that id.
func (s *Schema) FieldByID(id int64) (*Field, bool) {
	for _, f := range s.Fields {
		if f != nil && f.ID == id {
			return f, true
		}
	}
	return nil, false
}
