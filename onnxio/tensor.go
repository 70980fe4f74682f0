package onnxio

import (
	"encoding/binary"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/onnx-compress/onnx-compress/internal/rss"
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

// Proto returns the tensor's message, which is read-only.
func (t Tensor) Proto() *onnxpb.TensorProto { return t.proto }

// ExternalTensor returns a tensor of no model yet whose elements take the given bytes of a file beside the model.
func ExternalTensor(name string, t tensor.Type, shape []int, location string, offset, length int64) Tensor {
	p := DenseTensor(name, tensor.Dense{Type: t, Shape: shape}).proto
	return Tensor{proto: pointOut(p, span{location: location, offset: offset, length: length})}
}

// ParseTensor returns the tensor that data holds as a serialized TensorProto, the format of ONNX's test data. It is an
// error for its numbers to be elsewhere.
func ParseTensor(data []byte) (Tensor, error) {
	p := &onnxpb.TensorProto{}
	if err := proto.Unmarshal(data, p); err != nil {
		return Tensor{}, fmt.Errorf("it is no serialized tensor: %w", err)
	}
	if external(p) {
		return Tensor{}, fmt.Errorf("the tensor keeps its numbers in another file; want them inside")
	}
	return Tensor{proto: p}, nil
}

// Marshal returns the bytes that ParseTensor reads.
func (t Tensor) Marshal() ([]byte, error) { return t.proto.MarshalVT() }

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

// Bytes returns how much the elements take, narrow types packed, or strings with nothing
// between them.
func (t Tensor) Bytes() int {
	n := t.Type().Bytes(t.Len())
	for _, s := range t.proto.GetStringData() {
		n += len(s)
	}
	return n
}

// Overhead returns the bytes that the tensor takes in a model's file beside its elements, but for its tag and length there.
func (t Tensor) Overhead() int { return t.proto.SizeVT() - len(t.proto.GetRawData()) }

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

// Float64s returns the elements converted to float64, a copy, as [tensor.Dense.Float64s] does. It leaves nothing of a file in memory.
func (t Tensor) Float64s() ([]float64, error) {
	d, err := t.Dense()
	if err != nil {
		return nil, err
	}
	v, err := d.Float64s()
	t.forget(d.Data)
	return v, err
}

// forget gives back the memory of bytes from Raw, where these are part of a file's map.
func (t Tensor) forget(raw []byte) {
	switch {
	case external(t.proto):
		rss.Forget(raw)
	case t.model != nil:
		t.model.files.forget(raw)
	}
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
		if t.model == nil {
			return nil, fmt.Errorf("its numbers are kept in another file, and it belongs to no model that could say where")
		}
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

// NewTensor returns a tensor of no model yet, with v, rounded to nearest even into type t,
// as its raw_data. It is an error for shape and v to differ in size, and for t not to hold a
// value of v.
func NewTensor(name string, t tensor.Type, shape []int, v []float64) (Tensor, error) {
	n, err := tensor.Elements(shape)
	if err != nil {
		return Tensor{}, fmt.Errorf("tensor %q: %w", name, err)
	}
	if n != len(v) {
		return Tensor{}, fmt.Errorf("tensor %q: shape %v takes %d numbers, got %d", name, shape, n, len(v))
	}
	raw, err := tensor.Encode(t, v)
	if err != nil {
		return Tensor{}, fmt.Errorf("tensor %q: %w", name, err)
	}
	return DenseTensor(name, tensor.Dense{Type: t, Shape: shape, Data: raw}), nil
}

// DenseTensor returns a tensor of no model yet that shares its numbers with d. A name "" is
// left out, as in attributes.
func DenseTensor(name string, d tensor.Dense) Tensor {
	p := &onnxpb.TensorProto{DataType: proto.Int32(int32(d.Type)), Dims: make([]int64, len(d.Shape)), RawData: d.Data}
	if name != "" {
		p.Name = proto.String(name)
	}
	for i, n := range d.Shape {
		p.Dims[i] = int64(n)
	}
	return Tensor{proto: p}
}
