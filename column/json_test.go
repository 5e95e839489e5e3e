package column

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestMembers(t *testing.T) {
	text := ` { "a" : {"b":[1,"}"]} ,"\u0061\"":"x\\" , "c":-1.5e3,"d" : [ ] , "e":null }  `
	require.True(t, json.Valid([]byte(text)))
	var keys, values []string
	for k, v := range members([]byte(text)) {
		keys, values = append(keys, k), append(values, string(v))
	}
	require.Equal(t, []string{"a", `a"`, "c", "d", "e"}, keys)
	require.Equal(t, []string{`{"b":[1,"}"]}`, `"x\\"`, "-1.5e3", "[ ]", "null"}, values)
	for range members([]byte(" {  } ")) {
		t.Fatal("an empty object has no members")
	}
	v, ok := member([]byte(`{"a":1,"a":2}`), "a")
	require.True(t, ok)
	require.Equal(t, "2", string(v))
	_, ok = member([]byte(`{"a":1}`), "b")
	require.False(t, ok)
}

// members agrees with encoding/json on whatever that accepts as an object.
func FuzzMembers(f *testing.F) {
	f.Add([]byte(`{"a":{"b":[1,"}"]},"\u0061":"x\\","c":-1.5e3}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var want map[string]json.RawMessage
		if json.Unmarshal(text, &want) != nil || want == nil {
			return
		}
		got := map[string]json.RawMessage{}
		for k, v := range members(text) {
			got[k] = v
		}
		require.Equal(t, len(want), len(got))
		for k, v := range want {
			if w, ok := got[k]; ok { // keys with bad UTF-8 are kept as they are here, and never pass Build
				require.JSONEq(t, string(v), string(w))
			}
		}
	})
}

func TestAppendFloat(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := rapid.OneOf(rapid.Float64(), rapid.Float64Range(-1e-5, 1e-5), rapid.Float64Range(-1e22, 1e22)).Draw(t, "x")
		if x-x != 0 {
			return
		}
		want, err := json.Marshal(x)
		require.NoError(t, err)
		require.Equal(t, string(want), string(appendFloat(nil, x, 64)))
		y := rapid.OneOf(rapid.Float32(), rapid.Float32Range(-1e-5, 1e-5)).Draw(t, "y")
		if y-y != 0 {
			return
		}
		want, err = json.Marshal(y)
		require.NoError(t, err)
		require.Equal(t, string(want), string(appendFloat(nil, float64(y), 32)))
	})
}

func TestAppendString(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "s")
		want, err := marshal(s)
		require.NoError(t, err)
		require.Equal(t, string(want), string(appendString(nil, []byte(s))))
	})
}
