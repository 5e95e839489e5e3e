package schema

import (
	"unicode/utf8"

	"github.com/selkiedb/selkie/text"
)

// Validate checks the schema, finished or not, against all rules and returns the first breach, a *FieldError.
func (s *Schema) Validate() error {
	if err := ValidName("collection", s.Name); err != nil {
		return err
	}
	if err := validText("", "description", s.Description); err != nil {
		return err
	}
	if s.Shards < 0 || s.Shards > MaxShards {
		return Invalid("", s.Shards, "number of shards must be 0 to %d", MaxShards)
	}
	if s.NumPartitions < 0 || s.NumPartitions > MaxPartitions {
		return Invalid("", s.NumPartitions, "number of partitions must be 0 to %d", MaxPartitions)
	}
	if s.Version < 0 || s.NextFieldID < 0 {
		return Invalid("", nil, "version %d or next field id %d is negative", s.Version, s.NextFieldID)
	}
	if err := s.validateFields(); err != nil {
		return err
	}
	if err := s.validateFunctions(); err != nil {
		return err
	}
	if err := s.validateTTL(); err != nil {
		return err
	}
	if s.NumPartitions > 0 && s.PartitionKey() == nil {
		return Invalid("", s.NumPartitions, "number of partitions is only for a schema with a partition key")
	}
	return nil
}

// validateFields checks each field and then what concerns them together.
func (s *Schema) validateFields() error {
	names := make(map[string]bool, len(s.Fields))
	ids := make(map[int64]bool, len(s.Fields))
	var users, vectors, primaries, partitionKeys, dynamics int
	for i, f := range s.Fields {
		if f == nil {
			return Invalid("", nil, "field %d of %d is nil", i, len(s.Fields))
		}
		if err := f.validate(); err != nil {
			return err
		}
		if names[f.Name] {
			return Invalid(f.Name, nil, "two fields have this name")
		}
		names[f.Name] = true
		if f.ID != 0 {
			if f.ID < FirstFieldID || ids[f.ID] {
				return Invalid(f.Name, f.ID, "field id must be at least %d and used once", FirstFieldID)
			}
			ids[f.ID] = true
		}
		if f.IsDynamic {
			dynamics++
			continue
		}
		if f.IsInsertTime {
			continue
		}
		users++
		vectors += count(f.Type.IsVector())
		primaries += count(f.IsPrimaryKey)
		partitionKeys += count(f.IsPartitionKey)
	}
	switch {
	case users > MaxFields:
		return Invalid("", users, "a collection has at most %d fields", MaxFields)
	case vectors > MaxVectorFields:
		return Invalid("", vectors, "a collection has at most %d vector fields", MaxVectorFields)
	case vectors == 0:
		return Invalid("", nil, "a collection needs at least one vector field")
	case primaries != 1:
		return Invalid("", nil, "a collection needs exactly one primary key, this has %d", primaries)
	case partitionKeys > 1:
		return Invalid("", nil, "a collection has at most one partition key, this has %d", partitionKeys)
	case dynamics > 0 && !s.Dynamic:
		return Invalid(MetaName, nil, "the dynamic field needs Dynamic, see EnableDynamicField")
	}
	return nil
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}

// validate checks what concerns one field alone.
func (f *Field) validate() error {
	if f.IsDynamic {
		want := newMeta()
		want.Description = f.Description
		if !want.same(f) {
			return Invalid(f.Name, nil, "the dynamic field must be what EnableDynamicField makes")
		}
	} else if f.IsInsertTime {
		if want := newInserted(); f.Name != want.Name || f.Type != want.Type || !f.IsNullable {
			return Invalid(f.Name, nil, "the time of insertion must be what ExpireAfter makes")
		}
	} else if err := ValidName("field", f.Name); err != nil {
		return err
	}
	if err := validText(f.Name, "description", f.Description); err != nil {
		return err
	}
	if !f.Type.known() {
		return Invalid(f.Name, f.Type, "unknown type")
	}
	for _, check := range []func(*Field) error{
		(*Field).validateDim, (*Field).validateLengths, (*Field).validatePrimaryKey, (*Field).validateOptions,
	} {
		if err := check(f); err != nil {
			return err
		}
	}
	return nil
}

func (f *Field) validateDim() error {
	switch f.Type {
	case TypeFloatVector, TypeFloat16Vector, TypeBFloat16Vector, TypeInt8Vector:
		if f.Dim < MinDim || f.Dim > MaxDim {
			return Invalid(f.Name, f.Dim, "dim of %s must be %d to %d", f.Type, MinDim, MaxDim)
		}
	case TypeBinaryVector:
		if f.Dim < 8 || f.Dim > MaxBinaryDim || f.Dim%8 != 0 {
			return Invalid(f.Name, f.Dim, "dim of BinaryVector must be a multiple of 8 from 8 to %d", MaxBinaryDim)
		}
	default:
		if f.Dim != 0 {
			return Invalid(f.Name, f.Dim, "type %s has no dim", f.Type)
		}
	}
	return nil
}

func (f *Field) validateLengths() error {
	if f.Type == TypeArray {
		if !f.ElementType.element() {
			return Invalid(f.Name, f.ElementType, "element type of an array must be Bool, an integer, a float or VarChar")
		}
		if f.MaxCapacity < 1 || f.MaxCapacity > MaxArray {
			return Invalid(f.Name, f.MaxCapacity, "max_capacity must be 1 to %d", MaxArray)
		}
	} else {
		if f.ElementType != TypeNone {
			return Invalid(f.Name, f.ElementType, "type %s has no element type", f.Type)
		}
		if f.MaxCapacity != 0 {
			return Invalid(f.Name, f.MaxCapacity, "type %s has no max_capacity", f.Type)
		}
	}
	if f.Type == TypeVarChar || f.ElementType == TypeVarChar {
		if f.MaxLength < 1 || f.MaxLength > MaxVarChar {
			return Invalid(f.Name, f.MaxLength, "max_length must be 1 to %d", MaxVarChar)
		}
	} else if f.MaxLength != 0 {
		return Invalid(f.Name, f.MaxLength, "type %s has no max_length", f.Type)
	}
	return nil
}

func (f *Field) validatePrimaryKey() error {
	if !f.IsPrimaryKey {
		if f.IsAutoID {
			return Invalid(f.Name, nil, "auto id is only for the primary key")
		}
		return nil
	}
	switch {
	case f.Type != TypeInt64 && f.Type != TypeVarChar:
		return Invalid(f.Name, f.Type, "the primary key must be Int64 or VarChar")
	case f.IsNullable:
		return Invalid(f.Name, nil, "the primary key cannot be nullable")
	case f.DefaultValue != nil:
		return Invalid(f.Name, f.DefaultValue, "the primary key has no default value")
	case f.IsPartitionKey:
		return Invalid(f.Name, nil, "the primary key cannot be the partition key")
	}
	return nil
}

func (f *Field) validateOptions() error {
	if f.IsPartitionKey {
		if f.Type != TypeInt64 && f.Type != TypeVarChar {
			return Invalid(f.Name, f.Type, "the partition key must be Int64 or VarChar")
		}
		if f.IsNullable {
			return Invalid(f.Name, nil, "the partition key cannot be nullable")
		}
	}
	if f.Analyzer != "" {
		if f.Type != TypeVarChar {
			return Invalid(f.Name, f.Analyzer, "an analyzer is for VarChar, not for %s", f.Type)
		}
		if _, err := text.ByName(f.Analyzer); err != nil {
			return Invalid(f.Name, f.Analyzer, "%v", err)
		}
	}
	if f.DefaultValue != nil {
		if _, err := f.normalDefault(); err != nil {
			return err
		}
	}
	return nil
}

func validText(field, what, text string) error {
	if len(text) > MaxDescription {
		return Invalid(field, text, "%s has %d bytes, at most %d are allowed", what, len(text), MaxDescription)
	}
	if !utf8.ValidString(text) {
		return Invalid(field, text, "%s is not valid UTF-8", what)
	}
	return nil
}
