package filter

import (
	"encoding/json"
	"math"
	"reflect"
)

// templateValue turns a Go value into a constant: bool, any integer or float, string, []byte (a string), json.Number, and
// slices and arrays of these.
func templateValue(given any) (value, error) {
	left := MaxList
	return templatePart(given, 0, &left)
}

// templatePart may use up as many elements as are left, so that slices that hold each other many times stay bounded.
func templatePart(given any, depth int, left *int) (value, error) {
	switch x := given.(type) {
	case bool:
		return boolValue(x), nil
	case int:
		return intValue(int64(x)), nil
	case int64:
		return intValue(x), nil
	case float64:
		return finite(x)
	case string:
		return stringValue(x), nil
	case []byte:
		return stringValue(string(x)), nil
	case json.Number:
		if i, err := x.Int64(); err == nil {
			return intValue(i), nil
		}
		f, err := x.Float64()
		if err != nil {
			return value{}, failf(span{}, "holds %q, which is no number", string(x))
		}
		return finite(f)
	case []int64:
		return listOf(x, left, intValue)
	case []string:
		return listOf(x, left, stringValue)
	case nil:
		return value{}, failf(span{}, `is nil; "is null" finds rows without a value`)
	}
	v := reflect.ValueOf(given)
	switch {
	case v.CanInt():
		return intValue(v.Int()), nil
	case v.CanUint():
		if v.Uint() > math.MaxInt64 {
			return value{}, failf(span{}, "holds %d, which is out of the range of Int64", v.Uint())
		}
		return intValue(int64(v.Uint())), nil
	case v.CanFloat():
		return finite(v.Float())
	case v.Kind() == reflect.Bool:
		return boolValue(v.Bool()), nil
	case v.Kind() == reflect.String:
		return stringValue(v.String()), nil
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8:
		return stringValue(string(v.Bytes())), nil
	case v.Kind() == reflect.Slice, v.Kind() == reflect.Array:
		if *left -= v.Len(); *left < 0 {
			return value{}, longList()
		}
		if depth >= maxListDepth {
			return value{}, failf(span{}, "holds lists more than %d deep", maxListDepth)
		}
		list := make([]value, v.Len())
		for i := range list {
			var err error
			if list[i], err = templatePart(v.Index(i).Interface(), depth+1, left); err != nil {
				return value{}, err
			}
		}
		return listValue(list), nil
	}
	return value{}, failf(span{}, "is a %T; it may be a bool, a number, a string or a slice of these", given)
}

const maxListDepth = 16 // lists within lists in a template's value, which could be endless

func listOf[T any](from []T, left *int, one func(T) value) (value, error) {
	if *left -= len(from); *left < 0 {
		return value{}, longList()
	}
	list := make([]value, len(from))
	for i, x := range from {
		list[i] = one(x)
	}
	return listValue(list), nil
}

func longList() error {
	return tooLarge(span{}, "has more than %d elements", MaxList)
}

func finite(f float64) (value, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return value{}, failf(span{}, "is %g, which is no finite number", f)
	}
	return floatValue(f), nil
}
