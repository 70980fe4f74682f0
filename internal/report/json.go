package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"strings"
)

// JSON writes v as indented JSON with a final newline. Numbers that are not finite, which JSON cannot hold, are null.
func JSON(w io.Writer, v any) error {
	var b bytes.Buffer
	err := encode(&b, v)
	if odd := (*json.UnsupportedValueError)(nil); errors.As(err, &odd) {
		b.Reset()
		err = encode(&b, finite(reflect.ValueOf(v)))
	}
	if err != nil {
		return err
	}
	_, err = w.Write(b.Bytes())
	return err
}

func encode(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// finite is v with null in place of numbers that are not finite. It encodes as v does, as far as the types go that results are
// made of: structs with tags, lists, maps by text, pointers.
func finite(v reflect.Value) any {
	if !v.IsValid() {
		return nil
	}
	if _, own := v.Interface().(json.Marshaler); own {
		return v.Interface()
	}
	switch v.Kind() {
	case reflect.Float32, reflect.Float64:
		if f := v.Float(); math.IsNaN(f) || math.IsInf(f, 0) {
			return nil
		}
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return nil
		}
		return finite(v.Elem())
	case reflect.Slice:
		if v.IsNil() || v.Type().Elem().Kind() == reflect.Uint8 {
			return v.Interface()
		}
		out := make([]any, v.Len())
		for i := range out {
			out[i] = finite(v.Index(i))
		}
		return out
	case reflect.Map:
		if v.IsNil() {
			return nil
		}
		out := map[string]any{}
		for _, key := range v.MapKeys() {
			out[fmt.Sprint(key)] = finite(v.MapIndex(key))
		}
		return out
	case reflect.Struct:
		return members(nil, v)
	}
	return v.Interface()
}

// object is a JSON object whose members stay in their order.
type object []member

type member struct {
	name  string
	value any
}

// MarshalJSON writes the members.
func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		for _, v := range []any{m.name, m.value} {
			if err := encode(&b, v); err != nil {
				return nil, err
			}
			b.Truncate(b.Len() - 1) // the newline
			b.WriteByte(':')
		}
		b.Truncate(b.Len() - 1)
	}
	return append(append([]byte{'{'}, b.Bytes()...), '}'), nil
}

// members adds those of a struct: its fields, and in the place of an embedded struct without a name the fields of that.
func members(out object, v reflect.Value) object {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		value := v.Field(i)
		if f.Anonymous && name == "" {
			for value.Kind() == reflect.Pointer && !value.IsNil() {
				value = value.Elem()
			}
			if value.Kind() == reflect.Struct {
				out = members(out, value)
			}
			continue
		}
		if !f.IsExported() || name == "-" || strings.Contains(options, "omitempty") && empty(value) {
			continue
		}
		if name == "" {
			name = f.Name
		}
		out = append(out, member{name, finite(value)})
	}
	return out
}

// empty tells what omitempty leaves out.
func empty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Slice, reflect.Map, reflect.String, reflect.Array:
		return v.Len() == 0
	case reflect.Struct:
		return false
	}
	return v.IsZero()
}
