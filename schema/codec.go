package schema

import (
	"fmt"

	flatbuffers "github.com/google/flatbuffers/go"

	"github.com/selkiedb/selkie/schema/internal/fb"
)

//go:generate flatc --go --no-warnings -o internal schema.fbs

// format is the version of the encoding; docs/format/schema.md has the rule for raising it.
const format = 1

// fileID marks an encoded schema, at byte 4.
const fileID = "SLKS"

// The bits of Field.flags.
const (
	flagPrimaryKey = 1 << iota
	flagAutoID
	flagNullable
	flagPartitionKey
	flagDynamic
	knownFlags = 1<<iota - 1
)

// Encode appends the durable form of a finished schema to dst. The caller puts it under a checksum.
func Encode(dst []byte, s *Schema) []byte {
	b := flatbuffers.NewBuilder(256 + 128*len(s.Fields))
	offsets := make([]flatbuffers.UOffsetT, len(s.Fields))
	for i, f := range s.Fields {
		offsets[i] = encodeField(b, f)
	}
	fb.SchemaStartFieldsVector(b, len(offsets))
	for i := len(offsets) - 1; i >= 0; i-- {
		b.PrependUOffsetT(offsets[i])
	}
	fields := b.EndVector(len(offsets))
	name := b.CreateString(s.Name)
	description := b.CreateString(s.Description)
	fb.SchemaStart(b)
	fb.SchemaAddFormat(b, format)
	fb.SchemaAddName(b, name)
	fb.SchemaAddDescription(b, description)
	fb.SchemaAddFields(b, fields)
	fb.SchemaAddDynamic(b, s.Dynamic)
	fb.SchemaAddAllowDuplicateKeys(b, s.AllowDuplicateKeys)
	fb.SchemaAddShards(b, uint32(s.Shards))
	fb.SchemaAddNumPartitions(b, uint32(s.NumPartitions))
	fb.SchemaAddVersion(b, uint32(s.Version))
	fb.SchemaAddNextFieldId(b, s.NextFieldID)
	b.FinishWithFileIdentifier(fb.SchemaEnd(b), []byte(fileID))
	return append(dst, b.FinishedBytes()...)
}

func encodeField(b *flatbuffers.Builder, f *Field) flatbuffers.UOffsetT {
	name := b.CreateString(f.Name)
	description := b.CreateString(f.Description)
	// A finished schema's default has been checked; an unfinished one's bad default is lost here and refused by nobody,
	// which is why Encode wants a finished schema.
	value, _ := f.DefaultBytes()
	var def flatbuffers.UOffsetT
	if value != nil {
		def = b.CreateByteVector(value)
	}
	fb.FieldStart(b)
	fb.FieldAddId(b, f.ID)
	fb.FieldAddName(b, name)
	fb.FieldAddDescription(b, description)
	fb.FieldAddType(b, int32(f.Type))
	fb.FieldAddElementType(b, int32(f.ElementType))
	fb.FieldAddDim(b, uint32(f.Dim))
	fb.FieldAddMaxLength(b, uint32(f.MaxLength))
	fb.FieldAddMaxCapacity(b, uint32(f.MaxCapacity))
	fb.FieldAddFlags(b, f.flags())
	if value != nil {
		fb.FieldAddDefaultValue(b, def)
	}
	return fb.FieldEnd(b)
}

func (f *Field) flags() (bits uint32) {
	for i, on := range []bool{f.IsPrimaryKey, f.IsAutoID, f.IsNullable, f.IsPartitionKey, f.IsDynamic} {
		if on {
			bits |= 1 << i
		}
	}
	return bits
}

// Decode reads what Encode wrote and checks the result. It never panics, whatever b holds: the flatbuffers runtime trusts
// every offset it meets, so its out-of-range panics are caught here, and no length from b is allocated unchecked.
// The errors wrap ErrCorrupt.
func Decode(b []byte) (s *Schema, err error) {
	defer func() {
		if r := recover(); r != nil {
			s, err = nil, fmt.Errorf("%w: schema: %v", ErrCorrupt, r)
		}
	}()
	if len(b) < 8 || string(b[4:8]) != fileID {
		return nil, fmt.Errorf("%w: schema: no %q mark in %d bytes", ErrCorrupt, fileID, len(b))
	}
	root := fb.GetRootAsSchema(b, 0)
	if v := root.Format(); v != format {
		return nil, fmt.Errorf("%w: schema: format %d, this program reads %d", ErrCorrupt, v, format)
	}
	n := root.FieldsLength()
	if n < 0 || n > MaxFields+1 {
		return nil, fmt.Errorf("%w: schema: %d fields, at most %d are possible", ErrCorrupt, n, MaxFields+1)
	}
	s = &Schema{
		Dynamic:            root.Dynamic(),
		AllowDuplicateKeys: root.AllowDuplicateKeys(),
		Shards:             int(root.Shards()),
		NumPartitions:      int(root.NumPartitions()),
		Version:            int(root.Version()),
		NextFieldID:        root.NextFieldId(),
		Fields:             make([]*Field, n),
	}
	if s.Name, err = text(root.Name(), "name", MaxNameLength); err != nil {
		return nil, err
	}
	if s.Description, err = text(root.Description(), "description", MaxDescription); err != nil {
		return nil, err
	}
	for i := range s.Fields {
		var x fb.Field
		if !root.Fields(&x, i) {
			return nil, fmt.Errorf("%w: schema: field %d of %d is missing", ErrCorrupt, i, n)
		}
		if s.Fields[i], err = decodeField(&x); err != nil {
			return nil, err
		}
	}
	return s, s.checkDecoded()
}

func decodeField(x *fb.Field) (*Field, error) {
	bits := x.Flags()
	f := &Field{
		ID:             x.Id(),
		Type:           DataType(x.Type()),
		ElementType:    DataType(x.ElementType()),
		Dim:            int(x.Dim()),
		MaxLength:      int(x.MaxLength()),
		MaxCapacity:    int(x.MaxCapacity()),
		IsPrimaryKey:   bits&flagPrimaryKey != 0,
		IsAutoID:       bits&flagAutoID != 0,
		IsNullable:     bits&flagNullable != 0,
		IsPartitionKey: bits&flagPartitionKey != 0,
		IsDynamic:      bits&flagDynamic != 0,
	}
	if bits&^knownFlags != 0 {
		return nil, fmt.Errorf("%w: schema: unknown field flags %#x", ErrCorrupt, bits)
	}
	var err error
	if f.Name, err = text(x.Name(), "field name", MaxNameLength); err != nil {
		return nil, err
	}
	if f.Description, err = text(x.Description(), "field description", MaxDescription); err != nil {
		return nil, err
	}
	if value := x.DefaultValueBytes(); value != nil {
		v, ok := f.defaultFromBytes(value)
		if len(value) > MaxVarChar || !ok {
			return nil, fmt.Errorf("%w: schema: default of field %q: %d bytes are no %s", ErrCorrupt, f.Name, len(value), f.Type)
		}
		f.DefaultValue = v
	}
	return f, nil
}

func text(b []byte, what string, most int) (string, error) {
	if len(b) > most {
		return "", fmt.Errorf("%w: schema: %s of %d bytes, at most %d are possible", ErrCorrupt, what, len(b), most)
	}
	return string(b), nil
}

// checkDecoded checks what Finish guarantees beyond Validate.
func (s *Schema) checkDecoded() error {
	if err := s.Validate(); err != nil {
		return fmt.Errorf("%w: schema: %s", ErrCorrupt, err)
	}
	for _, f := range s.Fields {
		if f.ID < FirstFieldID || f.ID >= s.NextFieldID {
			return fmt.Errorf("%w: schema: field %q has id %d, next is %d", ErrCorrupt, f.Name, f.ID, s.NextFieldID)
		}
	}
	if s.Dynamic && s.Index(MetaName) < 0 || s.Shards == 0 || s.Version == 0 {
		return fmt.Errorf("%w: schema: not finished", ErrCorrupt)
	}
	return nil
}
