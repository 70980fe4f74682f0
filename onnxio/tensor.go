package onnxio

import (
	"encoding/binary"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// Tensor is a named constant whose numbers may stay in their file until asked for.
type Tensor struct {
	model *Model
	proto *onnxpb.TensorProto
}

// Tensor returns a handle on a tensor of the model's message. Nothing is read.
func (m *Model) Tensor(p *onnxpb.TensorProto) Tensor { return Tensor{model: m, proto: p} }

// Name returns the tensor's name, which may be "" in an attribute.
func (t Tensor) Name() string { return t.proto.GetName() }

// Type returns the type of the elements.
func (t Tensor) Type() tensor.Type { return tensor.Type(t.proto.GetDataType()) }

// Shape returns a copy of the dimensions; a scalar has none.
func (t Tensor) Shape() []int {
	shape := make([]int, len(t.proto.GetDims()))
	for i, d := range t.proto.GetDims() {
		shape[i] = int(d)
	}
	return shape
}

// Len returns the number of elements, or 0 where the shape is not valid.
func (t Tensor) Len() int {
	n, err := elements(t.proto.GetDims())
	if err != nil {
		return 0
	}
	return n
}

// External reports whether the numbers are kept in a file of their own.
func (t Tensor) External() bool { return external(t.proto) }

// Raw returns the elements as little-endian bytes, row-major, narrow types packed. Where
// it can it returns the mapped file or the message's own memory, so the bytes are
// read-only and valid until the model is closed. Tensors of strings have none.
func (t Tensor) Raw() ([]byte, error) {
	raw, err := t.raw()
	if err != nil {
		return nil, fmt.Errorf("tensor %q: %w", t.Name(), err)
	}
	return raw, nil
}

// Dense returns the tensor with its numbers, which share memory as Raw's do.
func (t Tensor) Dense() (tensor.Dense, error) {
	raw, err := t.Raw()
	if err != nil {
		return tensor.Dense{}, err
	}
	return tensor.Dense{Type: t.Type(), Shape: t.Shape(), Data: raw}, nil
}

func (t Tensor) raw() ([]byte, error) {
	p := t.proto
	layout, err := tensorLayout(p)
	if err != nil {
		return nil, err
	}
	if t.Type() == tensor.String {
		return nil, fmt.Errorf("strings have no raw data")
	}
	if external(p) {
		return t.model.readExternal(p, layout)
	}
	if n := len(p.RawData); n > 0 {
		return p.RawData[:n:n], nil
	}
	return typedData(p), nil
}

// typedData returns the bytes of a tensor, checked before, whose elements stand in one of
// the typed fields.
func typedData(p *onnxpb.TensorProto) []byte {
	le := binary.LittleEndian
	t := tensor.Type(p.GetDataType())
	switch t {
	case tensor.Float32, tensor.Complex64:
		return tensor.FromFloat32(nil, p.FloatData).Data
	case tensor.Float64, tensor.Complex128:
		return tensor.FromFloat64(nil, p.DoubleData).Data
	case tensor.Int64:
		return tensor.FromInt64(nil, p.Int64Data).Data
	case tensor.Uint64:
		out := make([]byte, 0, 8*len(p.Uint64Data))
		for _, v := range p.Uint64Data {
			out = le.AppendUint64(out, v)
		}
		return out
	case tensor.Uint32:
		out := make([]byte, 0, 4*len(p.Uint64Data))
		for _, v := range p.Uint64Data {
			out = le.AppendUint32(out, uint32(v))
		}
		return out
	}
	width := max(t.Size(), 1)
	out := make([]byte, 0, width*len(p.Int32Data))
	for _, v := range p.Int32Data {
		switch width {
		case 1:
			out = append(out, byte(v))
		case 2:
			out = le.AppendUint16(out, uint16(v))
		default:
			out = le.AppendUint32(out, uint32(v))
		}
	}
	return out
}

// NewTensor returns a tensor with v, rounded to nearest even into type t, as its
// raw_data. It is an error for shape and v to differ in size, and for t not to hold a
// value of v.
func NewTensor(name string, t tensor.Type, shape []int, v []float64) (*onnxpb.TensorProto, error) {
	n, err := tensor.Elements(shape)
	if err != nil {
		return nil, fmt.Errorf("tensor %q: %w", name, err)
	}
	if n != len(v) {
		return nil, fmt.Errorf("tensor %q: shape %v takes %d numbers, got %d", name, shape, n, len(v))
	}
	raw, err := tensor.Encode(t, v)
	if err != nil {
		return nil, fmt.Errorf("tensor %q: %w", name, err)
	}
	p := &onnxpb.TensorProto{
		Name:     proto.String(name),
		DataType: proto.Int32(int32(t)),
		Dims:     make([]int64, len(shape)),
		RawData:  raw,
	}
	for i, d := range shape {
		p.Dims[i] = int64(d)
	}
	return p, nil
}
