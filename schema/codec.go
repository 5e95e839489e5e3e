package schema

import (
	"fmt"
	"time"

	flatbuffers "github.com/google/flatbuffers/go"

	"github.com/selkiedb/selkie/schema/internal/fb"
)

//go:generate flatc --go --no-warnings -o internal schema.fbs

// The versions of the encoding; docs/format/schema.md has the rule for raising them. A schema without analyzers, functions and expiry is written as formatPlain.
const (
	formatPlain = 1
	format      = 2
)

// fileID marks an encoded schema, at byte 4.
const fileID = "SLKS"

// The bits of Field.flags.
const (
	flagPrimaryKey = 1 << iota
	flagAutoID
	flagNullable
	flagPartitionKey
	flagDynamic
	flagInsertTime
	knownFlags = 1<<iota - 1
)

// formatOf is the oldest version that has all that a schema says.
func (s *Schema) formatOf() uint32 {
	if len(s.Functions) > 0 || s.TTLField != "" {
		return format
	}
	for _, f := range s.Fields {
		if f.Analyzer != "" || f.IsInsertTime {
			return format
		}
	}
	return formatPlain
}

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
	var functions, ttlField flatbuffers.UOffsetT
	if len(s.Functions) > 0 {
		functions = encodeFunctions(b, s.Functions)
	}
	if s.TTLField != "" {
		ttlField = b.CreateString(s.TTLField)
	}
	fb.SchemaStart(b)
	fb.SchemaAddFormat(b, s.formatOf())
	fb.SchemaAddName(b, name)
	fb.SchemaAddDescription(b, description)
	fb.SchemaAddFields(b, fields)
	fb.SchemaAddDynamic(b, s.Dynamic)
	fb.SchemaAddAllowDuplicateKeys(b, s.AllowDuplicateKeys)
	fb.SchemaAddShards(b, uint32(s.Shards))
	fb.SchemaAddNumPartitions(b, uint32(s.NumPartitions))
	fb.SchemaAddVersion(b, uint32(s.Version))
	fb.SchemaAddNextFieldId(b, s.NextFieldID)
	if len(s.Functions) > 0 {
		fb.SchemaAddFunctions(b, functions)
	}
	if s.TTLField != "" {
		fb.SchemaAddTtlField(b, ttlField)
		fb.SchemaAddTtlAfter(b, s.TTLAfter.Milliseconds())
	}
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
	var analyzer flatbuffers.UOffsetT
	if f.Analyzer != "" {
		analyzer = b.CreateString(f.Analyzer)
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
	if f.Analyzer != "" {
		fb.FieldAddAnalyzer(b, analyzer)
	}
	return fb.FieldEnd(b)
}

func (f *Field) flags() (bits uint32) {
	for i, on := range []bool{f.IsPrimaryKey, f.IsAutoID, f.IsNullable, f.IsPartitionKey, f.IsDynamic, f.IsInsertTime} {
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
	if v := root.Format(); v != format && v != formatPlain {
		return nil, fmt.Errorf("%w: schema: format %d, this program reads %d and %d", ErrCorrupt, v, formatPlain, format)
	}
	n := root.FieldsLength()
	if n < 0 || n > MaxFields+2 {
		return nil, fmt.Errorf("%w: schema: %d fields, at most %d are possible", ErrCorrupt, n, MaxFields+2)
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
	if s.Name, err = short(root.Name(), "name", MaxNameLength); err != nil {
		return nil, err
	}
	if s.Description, err = short(root.Description(), "description", MaxDescription); err != nil {
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
	if err := s.decodeExtras(root); err != nil {
		return nil, err
	}
	return s, s.checkDecoded()
}

func encodeFunctions(b *flatbuffers.Builder, fns []*Function) flatbuffers.UOffsetT {
	offsets := make([]flatbuffers.UOffsetT, len(fns))
	for i, fn := range fns {
		kind, in, out := b.CreateString(string(fn.Kind)), b.CreateString(fn.Input), b.CreateString(fn.Output)
		fb.FunctionStart(b)
		fb.FunctionAddKind(b, kind)
		fb.FunctionAddInput(b, in)
		fb.FunctionAddOutput(b, out)
		fb.FunctionAddK1(b, fn.K1)
		fb.FunctionAddB(b, fn.B)
		offsets[i] = fb.FunctionEnd(b)
	}
	fb.SchemaStartFunctionsVector(b, len(offsets))
	for i := len(offsets) - 1; i >= 0; i-- {
		b.PrependUOffsetT(offsets[i])
	}
	return b.EndVector(len(offsets))
}

// decodeExtras reads what format 2 added.
func (s *Schema) decodeExtras(root *fb.Schema) (err error) {
	n := root.FunctionsLength()
	if n < 0 || n > MaxFields {
		return fmt.Errorf("%w: schema: %d functions, at most %d are possible", ErrCorrupt, n, MaxFields)
	}
	for i := range n {
		var x fb.Function
		if !root.Functions(&x, i) {
			return fmt.Errorf("%w: schema: function %d of %d is missing", ErrCorrupt, i, n)
		}
		fn := &Function{K1: x.K1(), B: x.B()}
		var kind string
		if kind, err = short(x.Kind(), "kind of a function", MaxNameLength); err != nil {
			return err
		}
		fn.Kind = FunctionKind(kind)
		if fn.Input, err = short(x.Input(), "field name", MaxNameLength); err != nil {
			return err
		}
		if fn.Output, err = short(x.Output(), "field name", MaxNameLength); err != nil {
			return err
		}
		s.Functions = append(s.Functions, fn)
	}
	if s.TTLField, err = short(root.TtlField(), "field name", MaxNameLength); err != nil {
		return err
	}
	after := root.TtlAfter()
	if after < 0 || after > maxTTL.Milliseconds() || after != 0 && s.TTLField == "" {
		return fmt.Errorf("%w: schema: entities expire after %d ms", ErrCorrupt, after)
	}
	s.TTLAfter = time.Duration(after) * time.Millisecond
	return nil
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
		IsInsertTime:   bits&flagInsertTime != 0,
	}
	if bits&^knownFlags != 0 {
		return nil, fmt.Errorf("%w: schema: unknown field flags %#x", ErrCorrupt, bits)
	}
	var err error
	if f.Name, err = short(x.Name(), "field name", MaxNameLength); err != nil {
		return nil, err
	}
	if f.Description, err = short(x.Description(), "field description", MaxDescription); err != nil {
		return nil, err
	}
	if f.Analyzer, err = short(x.Analyzer(), "analyzer", MaxNameLength); err != nil {
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

func short(b []byte, what string, most int) (string, error) {
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
