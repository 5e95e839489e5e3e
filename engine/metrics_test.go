package engine_test

import (
	"reflect"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/selkiedb/selkie/engine"
)

// TestMetricsString: every figure is in the text.
func TestMetricsString(t *testing.T) {
	var m engine.Metrics
	n := int64(70_000)
	want := map[string]string{}
	var fill func(name string, v reflect.Value)
	fill = func(name string, v reflect.Value) {
		n++
		switch {
		case v.Type() == reflect.TypeFor[time.Duration]():
			v.SetInt(int64(90 * time.Minute))
			want[name] = "1h30m0s"
		case v.CanInt():
			v.SetInt(n)
			want[name] = strconv.FormatInt(n, 10)
		case v.CanUint():
			v.SetUint(uint64(n))
			want[name] = strconv.FormatInt(n, 10)
		case v.Kind() == reflect.Struct:
			for i := range v.NumField() {
				fill(name+"."+v.Type().Field(i).Name, v.Field(i))
			}
		}
	}
	fill("Metrics", reflect.ValueOf(&m).Elem())
	require.Greater(t, len(want), 40)
	for name, value := range want {
		require.Contains(t, m.String(), value, name)
	}
}
