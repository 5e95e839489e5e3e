package milvus

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/milvus-io/milvus-proto/go-api/v2/commonpb"
)

// params are parameters as clients send them: pairs of strings, one of which, "params", may hold more of them as a JSON object. The
// pairs themselves come first.
type params struct {
	pairs map[string]string
	inner map[string]any
}

func parseParams(kvs []*commonpb.KeyValuePair) (params, error) {
	p := params{pairs: fromPairs(kvs)}
	text, ok := p.pairs["params"]
	if !ok || strings.TrimSpace(text) == "" {
		return p, nil
	}
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.UseNumber()
	if err := d.Decode(&p.inner); err != nil {
		return p, fail(codeInvalid, "invalid search params, params is no JSON object: %s", clip(text))
	}
	return p, nil
}

// text gives a parameter as text.
func (p params) text(key string) (string, bool) {
	if v, ok := p.pairs[key]; ok {
		return v, v != ""
	}
	switch v := p.inner[key].(type) {
	case nil:
		return "", false
	case string:
		return v, v != ""
	case json.Number:
		return v.String(), true
	case bool:
		return strconv.FormatBool(v), true
	default:
		b, err := json.Marshal(v)
		return string(b), err == nil
	}
}

// int gives a parameter that must be a whole number from low to high.
func (p params) int(key string, low, high int64) (n int64, ok bool, err error) {
	s, ok := p.text(key)
	if !ok {
		return 0, false, nil
	}
	n, err = strconv.ParseInt(s, 10, 64)
	if err != nil {
		// Clients write whole numbers as 10.0, too.
		f, ferr := strconv.ParseFloat(s, 64)
		if ferr != nil || f != float64(int64(f)) {
			return 0, false, fail(codeInvalid, "%s [%s] is invalid, it should be a whole number", key, clip(s))
		}
		n = int64(f)
	}
	if n < low || n > high {
		return 0, false, fail(codeInvalid, "%s [%d] is invalid: out of range in json: param [%s] (%d) should be in range [%d, %d]", key, n, key, n, low, high)
	}
	return n, true, nil
}

// float gives a parameter that must be a number.
func (p params) float(key string) (x float64, ok bool, err error) {
	s, ok := p.text(key)
	if !ok {
		return 0, false, nil
	}
	x, err = strconv.ParseFloat(s, 64)
	if err != nil || x != x {
		return 0, false, fail(codeInvalid, "%s [%s] is invalid, it should be a number", key, clip(s))
	}
	return x, true, nil
}

// bool gives a parameter that is true or not; Python's True is true.
func (p params) bool(key string) bool {
	s, _ := p.text(key)
	b, err := strconv.ParseBool(strings.ToLower(s))
	return err == nil && b
}
