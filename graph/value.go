package graph

import (
	"cmp"
	"strings"
	"unicode"

	"google.golang.org/protobuf/proto"

	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// Value is what a graph declares of one of its values: an input, an output, or one inside.
type Value struct{ p *onnxpb.ValueInfoProto }

// Dim is a dimension as a model declares it.
type Dim struct {
	Size int    // negative where it is open
	Name string // of an open dimension, the same wherever it has the same size; "" where it has none

	denotation, placeholder string
}

// NewValue declares a dense tensor. Nil dimensions leave its rank open, the type Undefined all but the name.
func NewValue(name string, t tensor.Type, dims []Dim) Value {
	v := &onnxpb.ValueInfoProto{Name: proto.String(name)}
	if t == tensor.Undefined {
		return Value{v}
	}
	typ := &onnxpb.TypeProto_Tensor{ElemType: proto.Int32(int32(t))}
	if dims != nil {
		typ.Shape = &onnxpb.TensorShapeProto{Dim: wrap(dims, dimension)}
	}
	v.Type = &onnxpb.TypeProto{Value: &onnxpb.TypeProto_TensorType{TensorType: typ}}
	return Value{v}
}

// NewSequence declares a sequence of what an element is declared as.
func NewSequence(name string, element Value) Value {
	return Value{&onnxpb.ValueInfoProto{Name: proto.String(name), Type: &onnxpb.TypeProto{
		Value: &onnxpb.TypeProto_SequenceType{SequenceType: &onnxpb.TypeProto_Sequence{ElemType: element.p.GetType()}},
	}}}
}

// Sizes returns dimensions of the given sizes, open where one is negative; nil for nil.
func Sizes(shape []int) []Dim {
	if shape == nil {
		return nil
	}
	return wrap(shape, func(n int) Dim { return Dim{Size: n} })
}

func dimension(d Dim) *onnxpb.TensorShapeProto_Dimension {
	p := &onnxpb.TensorShapeProto_Dimension{Denotation: text(nil, d.denotation)}
	switch {
	case d.Size >= 0:
		p.Value = &onnxpb.TensorShapeProto_Dimension_DimValue{DimValue: int64(d.Size)}
	case d.Name != "" || d.placeholder != "":
		p.Value = &onnxpb.TensorShapeProto_Dimension_DimParam{DimParam: cmp.Or(d.Name, d.placeholder)}
	}
	return p
}

// Size returns the bytes that the declaration takes in a model's file, but for its tag and length there.
func (v Value) Size() int { return v.p.SizeVT() }

// Name returns the value's name.
func (v Value) Name() string { return v.p.GetName() }

// Declared reports whether the value's type is declared at all.
func (v Value) Declared() bool { return v.p.GetType().GetValue() != nil }

// Dense reports whether the value is declared as a dense tensor, not as nothing or as something else.
func (v Value) Dense() bool { return v.p.GetType().GetTensorType() != nil }

// Type returns the type of a dense tensor's elements, or Undefined.
func (v Value) Type() tensor.Type { return tensor.Type(v.p.GetType().GetTensorType().GetElemType()) }

// placeholder tells whether a dimension's name only says that it is open, as some exporters write of every such one. By the
// specification equal names are equal sizes, but to these neither exporters nor runtimes hold.
func placeholder(name string) bool {
	switch strings.ToLower(name) {
	case "none", "null", "unk", "unknown", "dynamic", "-1":
		return true
	}
	return !strings.ContainsFunc(name, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) })
}

// Dims returns the dimensions of a dense tensor, nil where no shape is declared; those of a scalar are empty. Placeholders such as
// "?" and "None" are no names.
func (v Value) Dims() []Dim {
	shape := v.p.GetType().GetTensorType().GetShape()
	if shape == nil {
		return nil
	}
	return wrap(shape.GetDim(), func(d *onnxpb.TensorShapeProto_Dimension) Dim {
		out := Dim{Size: -1, Name: d.GetDimParam(), denotation: d.GetDenotation()}
		if placeholder(out.Name) {
			out.Name, out.placeholder = "", out.Name
		}
		if n, ok := d.GetValue().(*onnxpb.TensorShapeProto_Dimension_DimValue); ok {
			out.Size = int(max(n.DimValue, -1))
		}
		return out
	})
}
