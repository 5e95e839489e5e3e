package milvus

import (
	"bytes"
	"encoding/json"
	"strconv"

	"github.com/milvus-io/milvus-proto/go-api/v2/commonpb"
	"github.com/milvus-io/milvus-proto/go-api/v2/schemapb"

	"github.com/selkiedb/selkie/schema"
	"github.com/selkiedb/selkie/text"
)

// parseFunctions adds the functions of a schema to the engine's. There is BM25; its parameters are given here, or are the defaults.
func parseFunctions(s *schema.Schema, x *extra, p *schemapb.CollectionSchema) error {
	for _, fn := range p.GetFunctions() {
		name := fn.GetName()
		if fn.GetType() != schemapb.FunctionType_BM25 {
			return fail(codeUnsupported, "function %q: functions of type %s are not supported, only those of type BM25", clip(name), fn.GetType())
		}
		if len(fn.GetInputFieldNames()) != 1 || len(fn.GetOutputFieldNames()) != 1 {
			return fail(codeInvalid, "BM25 function %q should have one input field and one output field", clip(name))
		}
		f := schema.BM25(fn.GetInputFieldNames()[0], fn.GetOutputFieldNames()[0])
		k1, b, err := bm25Params(fn.GetParams(), schema.DefaultK1, schema.DefaultB)
		if err != nil {
			return err
		}
		s.WithFunction(f.Parameters(k1, b))
		if x.Functions == nil {
			x.Functions = map[string]string{}
		}
		x.Functions[f.Output] = name
	}
	for _, pf := range p.GetFields() {
		if pf.GetIsFunctionOutput() && s.MadeBy(pf.GetName()) == nil {
			return fail(codeInvalid, "field %q is said to be the output of a function, and none makes it", clip(pf.GetName()))
		}
	}
	return nil
}

// bm25Params reads the parameters of BM25.
func bm25Params(kvs []*commonpb.KeyValuePair, defaultK1, defaultB float64) (k1, b float64, err error) {
	p := params{pairs: fromPairs(kvs)}
	k1, ok, err := p.float("bm25_k1")
	if !ok {
		k1 = defaultK1
	}
	if err != nil {
		return 0, 0, err
	}
	if b, ok, err = p.float("bm25_b"); !ok {
		b = defaultB
	}
	if err == nil && (!(k1 > 0 && k1 <= 3) || !(b >= 0 && b <= 1)) {
		err = fail(codeInvalid, "bm25_k1 should be in range (0, 3] and bm25_b in [0, 1], are %v and %v", k1, b)
	}
	return k1, b, err
}

func formatFunctions(s *schema.Schema, x *extra) []*schemapb.FunctionSchema {
	var out []*schemapb.FunctionSchema
	for _, fn := range s.Functions {
		in, _ := s.Field(fn.Input)
		made, _ := s.Field(fn.Output)
		p := &schemapb.FunctionSchema{
			Name: x.Functions[fn.Output], Id: made.ID, Type: schemapb.FunctionType_BM25,
			InputFieldNames: []string{fn.Input}, InputFieldIds: []int64{in.ID}, OutputFieldNames: []string{fn.Output}, OutputFieldIds: []int64{made.ID},
		}
		if p.Name == "" {
			p.Name = "bm25_" + fn.Output
		}
		if k1, b := fn.Numbers(); k1 != schema.DefaultK1 || b != schema.DefaultB {
			p.Params = pairs(map[string]string{"bm25_k1": strconv.FormatFloat(k1, 'g', -1, 64), "bm25_b": strconv.FormatFloat(b, 'g', -1, 64)})
		}
		out = append(out, p)
	}
	return out
}

// parseAnalyzer finds the engine's analyzer of a field's parameters; "" is none.
func parseAnalyzer(f *schema.Field, params map[string]string) (string, error) {
	enabled := params["enable_analyzer"]
	if on, err := strconv.ParseBool(enabled); enabled == "" || err != nil || !on {
		return "", nil
	}
	if f.Type != schema.TypeVarChar {
		return "", fail(codeInvalid, "field %q: an analyzer is for VarChar fields", f.Name)
	}
	if _, ok := params["multi_analyzer_params"]; ok {
		return "", fail(codeUnsupported, "field %q: multi_analyzer_params are not supported", f.Name)
	}
	name, err := analyzerOf(params["analyzer_params"])
	if err != nil {
		return "", fail(classify(err).Code, "field %q: %s", f.Name, err)
	}
	return name, nil
}

// analyzerOf finds the engine's analyzer of a text of parameters. Anything but what is exactly one of these is refused: another analyzer would find
// other texts.
func analyzerOf(params string) (string, error) {
	if params == "" {
		return text.Standard, nil
	}
	var p struct {
		Type      string   `json:"type"`
		Tokenizer string   `json:"tokenizer"`
		Filter    []string `json:"filter"`
	}
	d := json.NewDecoder(bytes.NewReader([]byte(params)))
	d.DisallowUnknownFields()
	err := d.Decode(&p)
	switch {
	case err != nil:
	case p.Type == "" && p.Tokenizer == "" && len(p.Filter) == 0, p.Type == "standard" && p.Tokenizer == "" && len(p.Filter) == 0,
		p.Type == "" && p.Tokenizer == "standard" && len(p.Filter) == 1 && p.Filter[0] == "lowercase":
		return text.Standard, nil
	case p.Type == "english" && p.Tokenizer == "" && len(p.Filter) == 0:
		return text.English, nil
	case p.Type == "" && p.Tokenizer == "whitespace" && len(p.Filter) == 0:
		return text.Whitespace, nil
	}
	return "", fail(codeUnsupported, `analyzer_params %s are not supported: there are {"type": "standard"}, {"type": "english"} and {"tokenizer": "whitespace"}`, clip(params))
}

// formatAnalyzer names the analyzer of a field that was made without the protocol.
func formatAnalyzer(f *schema.Field, params map[string]string) {
	if f.Analyzer == "" || params["enable_analyzer"] != "" {
		return
	}
	params["enable_analyzer"], params["analyzer_params"] = "true", `{"type": "`+f.Analyzer+`"}`
	if f.Analyzer == text.Whitespace {
		params["analyzer_params"] = `{"tokenizer": "whitespace"}`
	}
}
