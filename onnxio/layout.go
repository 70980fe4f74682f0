package onnxio

import (
	"fmt"
	"math"

	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// layout is how much data a tensor's type and shape ask for.
type layout struct {
	elements int
	bytes    int // 0 for strings
}

// field is one of the data fields of a TensorProto: its name, how many entries it has,
// and how many the tensor would need there (-1: the type does not go there).
type field struct {
	name     string
	set      bool
	has, own int
}

// tensorLayout checks a tensor against itself: a known type, a valid shape, and data of
// the right length in the one field where the type belongs, or none for external data.
func tensorLayout(p *onnxpb.TensorProto) (layout, error) {
	t := tensor.Type(p.GetDataType())
	if !t.Valid() {
		return layout{}, fmt.Errorf("element type %d is not one that ONNX defines", p.GetDataType())
	}
	if p.Segment != nil {
		return layout{}, fmt.Errorf("tensors stored in segments are not supported")
	}
	n, err := elements(p.Dims)
	if err != nil {
		return layout{}, err
	}
	l := layout{elements: n, bytes: t.Bytes(n)}
	var used []field
	for _, f := range dataFields(p, t, l) {
		if f.set {
			used = append(used, f)
		}
	}
	switch {
	case external(p):
		if len(used) > 0 {
			return layout{}, fmt.Errorf("data stands both in %s and in an external file", used[0].name)
		}
		if t == tensor.String {
			return layout{}, fmt.Errorf("strings cannot be external data")
		}
		return l, nil
	case len(used) > 1:
		return layout{}, fmt.Errorf("data stands both in %s and in %s", used[0].name, used[1].name)
	case len(used) == 0 && n == 0:
		return l, nil
	case len(used) == 0:
		return layout{}, fmt.Errorf("%v tensor of shape %v has no data", t, p.Dims)
	}
	switch f := used[0]; {
	case f.own < 0:
		return layout{}, fmt.Errorf("%v data does not belong in %s", t, f.name)
	case f.has != f.own:
		return layout{}, fmt.Errorf("%v tensor of shape %v takes %d entries of %s, has %d", t, p.Dims, f.own, f.name, f.has)
	}
	return l, nil
}

// dataFields lists the data fields of a tensor, of which one at most may be set.
func dataFields(p *onnxpb.TensorProto, t tensor.Type, l layout) []field {
	where, count := "int32_data", l.elements
	switch t {
	case tensor.Float32:
		where = "float_data"
	case tensor.Complex64:
		where, count = "float_data", 2*l.elements
	case tensor.Float64:
		where = "double_data"
	case tensor.Complex128:
		where, count = "double_data", 2*l.elements
	case tensor.Int64:
		where = "int64_data"
	case tensor.Uint32, tensor.Uint64:
		where = "uint64_data"
	case tensor.String:
		where = "string_data"
	case tensor.Int4, tensor.Uint4, tensor.Int2, tensor.Uint2, tensor.Float4E2M1:
		count = l.bytes
	}
	fields := []field{
		{name: "raw_data", set: len(p.RawData) > 0, has: len(p.RawData), own: l.bytes},
		{name: "float_data", has: len(p.FloatData)},
		{name: "int32_data", has: len(p.Int32Data)},
		{name: "string_data", has: len(p.StringData)},
		{name: "int64_data", has: len(p.Int64Data)},
		{name: "double_data", has: len(p.DoubleData)},
		{name: "uint64_data", has: len(p.Uint64Data)},
	}
	if t == tensor.String {
		fields[0].own = -1
	}
	for i := range fields[1:] {
		f := &fields[i+1]
		f.set, f.own = f.has > 0, -1
		if f.name == where {
			f.own = count
		}
	}
	return fields
}

// elements returns the number of elements of a shape in a message.
func elements(dims []int64) (int, error) {
	shape := make([]int, len(dims))
	for i, d := range dims {
		if d > math.MaxInt {
			return 0, fmt.Errorf("dimension %d of shape %v is too large for this machine", i, dims)
		}
		shape[i] = int(d)
	}
	return tensor.Elements(shape)
}
