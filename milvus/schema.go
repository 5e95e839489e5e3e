package milvus

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/milvus-io/milvus-proto/go-api/v2/commonpb"
	"github.com/milvus-io/milvus-proto/go-api/v2/schemapb"

	"github.com/selkiedb/selkie/schema"
)

// duplicateKeys is the property of a collection that says what an insert of a key that is there already does: "allow", as in Milvus, is
// the default; with "refuse" the insert fails.
const duplicateKeys = "selkie.duplicate_keys"

// parseSchema makes the engine's schema of one on the wire. What means nothing to the engine goes to x.
func parseSchema(p *schemapb.CollectionSchema, name string, shards int32, partitions int64, properties map[string]string) (*schema.Schema, *extra, error) {
	s := schema.New(name).Describe(p.GetDescription())
	s.Dynamic = p.GetEnableDynamicField()
	s.Shards = int(shards)
	if partitions < 0 || partitions > schema.MaxPartitions {
		return nil, nil, fail(codeInvalid, "num_partitions %d is out of range [1, %d]", partitions, schema.MaxPartitions)
	}
	s.NumPartitions = int(partitions)
	switch v := properties[duplicateKeys]; v {
	case "", "allow":
		s.AllowDuplicateKeys = true
	case "refuse":
	default:
		return nil, nil, fail(codeInvalid, "property %s is %q, must be allow or refuse", duplicateKeys, v)
	}
	if err := parseTTL(s, properties); err != nil {
		return nil, nil, err
	}
	if n := len(p.GetStructArrayFields()); n > 0 {
		return nil, nil, fail(codeUnsupported, "field %q: arrays of structs are not supported", p.GetStructArrayFields()[0].GetName())
	}
	x := &extra{Properties: properties}
	for _, pf := range p.GetFields() {
		if pf.GetIsDynamic() { // the engine makes it itself
			s.Dynamic = true
			continue
		}
		f, rest, err := parseField(pf)
		if err != nil {
			return nil, nil, err
		}
		f.IsAutoID = f.IsAutoID || f.IsPrimaryKey && p.GetAutoID()
		if pf.GetIsClusteringKey() {
			x.Clustering = f.Name
		}
		if len(rest) > 0 {
			if x.Fields == nil {
				x.Fields = map[string]map[string]string{}
			}
			x.Fields[f.Name] = rest
		}
		s.With(f)
	}
	if err := parseFunctions(s, x, p); err != nil {
		return nil, nil, err
	}
	return s, x, nil
}

// parseField makes a field, and returns the parameters that mean nothing to the engine.
func parseField(p *schemapb.FieldSchema) (*schema.Field, map[string]string, error) {
	if p == nil {
		return nil, nil, fail(codeInvalid, "a field of the schema is missing")
	}
	t, err := parseType(p.GetName(), p.GetDataType())
	if err != nil {
		return nil, nil, err
	}
	f := &schema.Field{
		Name: p.GetName(), Description: p.GetDescription(), Type: t,
		IsPrimaryKey: p.GetIsPrimaryKey(), IsAutoID: p.GetAutoID(), IsNullable: p.GetNullable(), IsPartitionKey: p.GetIsPartitionKey(),
	}
	if t == schema.TypeArray {
		if f.ElementType, err = parseType(p.GetName(), p.GetElementType()); err != nil {
			return nil, nil, err
		}
	}
	rest := map[string]string{}
	for _, kv := range p.GetTypeParams() {
		var to *int
		switch kv.GetKey() {
		case "dim":
			to = &f.Dim
		case "max_length":
			to = &f.MaxLength
		case "max_capacity":
			to = &f.MaxCapacity
		default:
			rest[kv.GetKey()] = kv.GetValue()
			continue
		}
		if *to, err = strconv.Atoi(kv.GetValue()); err != nil {
			return nil, nil, fail(codeInvalid, "field %q: %s is %q, not a number", f.Name, kv.GetKey(), kv.GetValue())
		}
	}
	clearUnused(f)
	if f.Analyzer, err = parseAnalyzer(f, rest); err != nil {
		return nil, nil, err
	}
	if p.GetDefaultValue().GetData() != nil {
		if f.DefaultValue, err = parseDefault(f, p.GetDefaultValue()); err != nil {
			return nil, nil, err
		}
	}
	return f, rest, nil
}

// clearUnused drops parameters that clients send with types that have no use for them.
func clearUnused(f *schema.Field) {
	if !f.Type.IsVector() || f.Type == schema.TypeSparseFloatVector {
		f.Dim = 0
	}
	if f.Type != schema.TypeArray {
		f.MaxCapacity = 0
	}
	if f.Type != schema.TypeVarChar && f.ElementType != schema.TypeVarChar {
		f.MaxLength = 0
	}
}

// parseType takes the types that the engine has; the numbers are the same.
func parseType(field string, t schemapb.DataType) (schema.DataType, error) {
	switch t {
	case schemapb.DataType_String:
		return schema.TypeVarChar, nil
	case schemapb.DataType_Bool, schemapb.DataType_Int8, schemapb.DataType_Int16, schemapb.DataType_Int32, schemapb.DataType_Int64,
		schemapb.DataType_Float, schemapb.DataType_Double, schemapb.DataType_VarChar, schemapb.DataType_Array, schemapb.DataType_JSON,
		schemapb.DataType_BinaryVector, schemapb.DataType_FloatVector, schemapb.DataType_Float16Vector,
		schemapb.DataType_BFloat16Vector, schemapb.DataType_SparseFloatVector, schemapb.DataType_Int8Vector:
		return schema.DataType(t), nil
	case schemapb.DataType_None:
		return 0, fail(codeInvalid, "field %q has no data type", field)
	}
	return 0, fail(codeUnsupported, "field %q: data type %s is not supported", field, t)
}

func parseDefault(f *schema.Field, v *schemapb.ValueField) (any, error) {
	switch x := v.GetData().(type) {
	case *schemapb.ValueField_BoolData:
		return x.BoolData, nil
	case *schemapb.ValueField_IntData:
		return int64(x.IntData), nil
	case *schemapb.ValueField_LongData:
		return x.LongData, nil
	case *schemapb.ValueField_FloatData:
		return x.FloatData, nil
	case *schemapb.ValueField_DoubleData:
		return x.DoubleData, nil
	case *schemapb.ValueField_StringData:
		return x.StringData, nil
	}
	return nil, fail(codeInvalid, "type (%s) of field (%s) does not match its default value", f.Type, f.Name)
}

// formatSchema is the inverse of parseSchema.
func formatSchema(s *schema.Schema, name, db string, x *extra) *schemapb.CollectionSchema {
	p := &schemapb.CollectionSchema{
		Name: name, Description: s.Description, EnableDynamicField: s.Dynamic, DbName: db, Properties: pairs(properties(s, x)),
	}
	for _, f := range s.Fields {
		if f.IsDynamic || f.IsInsertTime { // clients know of them by enable_dynamic_field and collection.ttl.seconds
			continue
		}
		p.AutoID = p.AutoID || f.IsAutoID
		pf := formatField(f, x)
		pf.IsFunctionOutput = s.MadeBy(f.Name) != nil
		p.Fields = append(p.Fields, pf)
	}
	p.Functions = formatFunctions(s, x)
	return p
}

// properties are those of a collection, with those that say what the engine does.
func properties(s *schema.Schema, x *extra) map[string]string {
	out := maps.Clone(x.Properties)
	if out == nil {
		out = map[string]string{}
	}
	if !s.AllowDuplicateKeys {
		out[duplicateKeys] = "refuse"
	}
	formatTTL(s, out)
	return out
}

func formatField(f *schema.Field, x *extra) *schemapb.FieldSchema {
	p := &schemapb.FieldSchema{
		FieldID: f.ID, Name: f.Name, Description: f.Description, DataType: schemapb.DataType(f.Type), ElementType: schemapb.DataType(f.ElementType),
		IsPrimaryKey: f.IsPrimaryKey, AutoID: f.IsAutoID, Nullable: f.IsNullable, IsPartitionKey: f.IsPartitionKey,
		IsClusteringKey: x.Clustering != "" && x.Clustering == f.Name, DefaultValue: formatDefault(f),
	}
	params := maps.Clone(x.Fields[f.Name])
	if params == nil {
		params = map[string]string{}
	}
	formatAnalyzer(f, params)
	for key, n := range map[string]int{"dim": f.Dim, "max_length": f.MaxLength, "max_capacity": f.MaxCapacity} {
		if n > 0 {
			params[key] = strconv.Itoa(n)
		}
	}
	p.TypeParams = pairs(params)
	return p
}

func formatDefault(f *schema.Field) *schemapb.ValueField {
	switch x := f.DefaultValue.(type) {
	case nil:
		return nil
	case bool:
		return &schemapb.ValueField{Data: &schemapb.ValueField_BoolData{BoolData: x}}
	case int8:
		return &schemapb.ValueField{Data: &schemapb.ValueField_IntData{IntData: int32(x)}}
	case int16:
		return &schemapb.ValueField{Data: &schemapb.ValueField_IntData{IntData: int32(x)}}
	case int32:
		return &schemapb.ValueField{Data: &schemapb.ValueField_IntData{IntData: x}}
	case int64:
		return &schemapb.ValueField{Data: &schemapb.ValueField_LongData{LongData: x}}
	case float32:
		return &schemapb.ValueField{Data: &schemapb.ValueField_FloatData{FloatData: x}}
	case float64:
		return &schemapb.ValueField{Data: &schemapb.ValueField_DoubleData{DoubleData: x}}
	default:
		return &schemapb.ValueField{Data: &schemapb.ValueField_StringData{StringData: fmt.Sprint(x)}}
	}
}

// pairs gives a map in the order of its keys.
func pairs(m map[string]string) []*commonpb.KeyValuePair {
	out := make([]*commonpb.KeyValuePair, 0, len(m))
	for k, v := range m {
		out = append(out, &commonpb.KeyValuePair{Key: k, Value: v})
	}
	slices.SortFunc(out, func(a, b *commonpb.KeyValuePair) int { return cmp.Compare(a.Key, b.Key) })
	return out
}

// fromPairs makes a map; of a key given more than once the last one counts.
func fromPairs(kvs []*commonpb.KeyValuePair) map[string]string {
	if len(kvs) == 0 {
		return nil
	}
	m := make(map[string]string, len(kvs))
	for _, kv := range kvs {
		m[kv.GetKey()] = kv.GetValue()
	}
	return m
}
