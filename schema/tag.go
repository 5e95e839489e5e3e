package schema

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// TagName is the key of the struct tag, the official Milvus Go SDK's, so that one struct type serves both.
const TagName = "milvus"

// Tag is the parsed tag of a struct field:
//
//	milvus:"name:id;primary_key;auto_id"
//	milvus:"dim:128;vector_type:bf16"
//	milvus:"-"
//
// Settings are separated by ';' ("\;" stands for itself in a value), names and values by the first ':'. Names count in any
// case. The SDK knows name, primary_key, auto_id, dim, max_length, vector_type (fp16 or bf16) and "-"; nullable,
// partition_key and max_capacity are ours. Others are refused, where the SDK passes over them.
type Tag struct {
	Skip         bool // "-": the field takes no part
	Name         string
	PrimaryKey   bool
	AutoID       bool
	Nullable     bool
	PartitionKey bool
	Dim          int
	MaxLength    int
	MaxCapacity  int
	VectorType   string // "", "fp16" or "bf16"
}

// ParseTag reads the value of a milvus tag.
func ParseTag(tag string) (t Tag, err error) {
	if tag == "-" {
		return Tag{Skip: true}, nil
	}
	for _, setting := range splitTag(tag) {
		name, value, hasValue := strings.Cut(setting, ":")
		name = strings.TrimSpace(name)
		number := func(to *int) error {
			n, err := strconv.Atoi(strings.TrimSpace(value))
			if err != nil {
				return Invalid("", setting, "tag setting %s takes a whole number", name)
			}
			*to = n
			return nil
		}
		flag := func(to *bool) error {
			if hasValue && !strings.EqualFold(strings.TrimSpace(value), "true") {
				return Invalid("", setting, "tag setting %s takes no value", name)
			}
			*to = true
			return nil
		}
		switch strings.ToLower(name) {
		case "":
			if hasValue {
				err = Invalid("", setting, "tag setting has no name")
			}
		case "name":
			t.Name = value
		case "primary_key":
			err = flag(&t.PrimaryKey)
		case "auto_id":
			err = flag(&t.AutoID)
		case "nullable":
			err = flag(&t.Nullable)
		case "partition_key":
			err = flag(&t.PartitionKey)
		case "dim":
			err = number(&t.Dim)
		case "max_length":
			err = number(&t.MaxLength)
		case "max_capacity":
			err = number(&t.MaxCapacity)
		case "vector_type":
			if t.VectorType = value; value != "fp16" && value != "bf16" {
				err = Invalid("", setting, "tag setting vector_type takes fp16 or bf16")
			}
		default:
			err = Invalid("", setting, "unknown tag setting")
		}
		if err != nil {
			return Tag{}, err
		}
	}
	return t, nil
}

// splitTag splits at ';' but not at "\;", which becomes ';'.
func splitTag(tag string) []string {
	var parts []string
	var part strings.Builder
	for i := 0; i < len(tag); i++ {
		switch {
		case tag[i] == '\\' && i+1 < len(tag) && tag[i+1] == ';':
			part.WriteByte(';')
			i++
		case tag[i] == ';':
			parts = append(parts, part.String())
			part.Reset()
		default:
			part.WriteByte(tag[i])
		}
	}
	return append(parts, part.String())
}

// StructField is a field of a struct type that stands for a field of a row.
type StructField struct {
	Name  string // by the tag, else that of the Go field
	Index []int  // for reflect.Value.FieldByIndex; a nil embedded pointer may lie on the way
	Type  reflect.Type
	Tag   Tag
}

// StructFields lists the fields of a struct type that take part in rows: the exported ones whose tag is not "-", those of
// embedded structs (and pointers to such) in their place. Two with one name are refused.
func StructFields(t reflect.Type) ([]StructField, error) {
	fields, err := structFields(t, nil, nil)
	if err != nil {
		return nil, err
	}
	for i, f := range fields {
		for _, g := range fields[:i] {
			if g.Name == f.Name {
				return nil, Invalid(f.Name, nil, "struct %s has two fields of this name", t)
			}
		}
	}
	return fields, nil
}

// structFields appends to fields. path leads from the outermost struct to t, through the types in outer.
func structFields(t reflect.Type, path []int, outer []reflect.Type) (fields []StructField, err error) {
	if slices.Contains(outer, t) {
		return nil, Invalid("", nil, "struct %s embeds itself", t)
	}
	outer = append(outer, t)
	for i := range t.NumField() {
		f := t.Field(i)
		tag, err := ParseTag(f.Tag.Get(TagName))
		if err != nil {
			e := err.(*FieldError)
			e.Field = f.Name
			return nil, e
		}
		if tag.Skip {
			continue
		}
		index := append(slices.Clone(path), i)
		inner := f.Type
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		if f.Anonymous && inner.Kind() == reflect.Struct {
			if !f.IsExported() && f.Type.Kind() == reflect.Pointer {
				continue // reflection cannot set it
			}
			more, err := structFields(inner, index, outer)
			if err != nil {
				return nil, err
			}
			fields = append(fields, more...)
			continue
		}
		if !f.IsExported() {
			continue
		}
		name := f.Name
		if tag.Name != "" {
			name = tag.Name
		}
		fields = append(fields, StructField{Name: name, Index: index, Type: f.Type, Tag: tag})
	}
	return fields, nil
}
