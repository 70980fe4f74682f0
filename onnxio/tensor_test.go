package onnxio

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// typed returns a tensor whose data stand in whatever field set puts them.
func typed(t tensor.Type, dims []int64, set func(p *onnxpb.TensorProto)) *onnxpb.TensorProto {
	p := &onnxpb.TensorProto{Name: proto.String("t"), DataType: proto.Int32(int32(t)), Dims: dims}
	set(p)
	return p
}

func TestTypedFieldsDecode(t *testing.T) {
	ints := func(v ...int32) func(*onnxpb.TensorProto) {
		return func(p *onnxpb.TensorProto) { p.Int32Data = v }
	}
	words := func(v ...uint64) func(*onnxpb.TensorProto) {
		return func(p *onnxpb.TensorProto) { p.Uint64Data = v }
	}
	for _, c := range []struct {
		t    tensor.Type
		set  func(*onnxpb.TensorProto)
		want []float64
	}{
		{tensor.Float32, func(p *onnxpb.TensorProto) { p.FloatData = []float32{1.5, -2} }, []float64{1.5, -2}},
		{tensor.Float64, func(p *onnxpb.TensorProto) { p.DoubleData = []float64{0.1, -2} }, []float64{0.1, -2}},
		{tensor.Int64, func(p *onnxpb.TensorProto) { p.Int64Data = []int64{1 << 40, -2} }, []float64{1 << 40, -2}},
		{tensor.Uint64, words(1<<63, 2), []float64{1 << 63, 2}},
		{tensor.Uint32, words(math.MaxUint32, 2), []float64{math.MaxUint32, 2}},
		{tensor.Int32, ints(math.MinInt32, 7), []float64{math.MinInt32, 7}},
		{tensor.Int16, ints(-32768, 7), []float64{-32768, 7}},
		{tensor.Uint16, ints(65535, 7), []float64{65535, 7}},
		{tensor.Int8, ints(-128, 7), []float64{-128, 7}},
		{tensor.Uint8, ints(255, 7), []float64{255, 7}},
		{tensor.Bool, ints(1, 0), []float64{1, 0}},
		{tensor.Float16, ints(0x3c00, 0xc000), []float64{1, -2}},
		{tensor.BFloat16, ints(0x3f80, 0xc000), []float64{1, -2}},
		{tensor.Float8E4M3FN, ints(0x38, 0xc0), []float64{1, -2}},
		{tensor.Int4, ints(0x1f, 0x07), []float64{-1, 1, 7}},
		{tensor.Uint4, ints(0x1f, 0x07), []float64{15, 1, 7}},
		{tensor.Float4E2M1, ints(0x1f, 0x07), []float64{-6, 0.5, 6}},
		{tensor.Int2, ints(0b11_10_01_00, 0b01), []float64{0, 1, -2, -1, 1}},
		{tensor.Uint2, ints(0b11_10_01_00, 0b01), []float64{0, 1, 2, 3, 1}},
	} {
		t.Run(c.t.String(), func(t *testing.T) {
			p := typed(c.t, []int64{int64(len(c.want))}, c.set)
			h := New(&onnxpb.ModelProto{}).Tensor(p)
			d, err := h.Dense()
			if err != nil {
				t.Fatal(err)
			}
			if h.Name() != "t" || h.Type() != c.t || h.Len() != len(c.want) || h.External() || !slices.Equal(h.Shape(), []int{len(c.want)}) {
				t.Errorf("handle says %q %v %v", h.Name(), h.Type(), h.Shape())
			}
			got, err := d.Float64s()
			if err != nil || !slices.Equal(got, c.want) {
				t.Errorf("got %v, %v; want %v", got, err, c.want)
			}
			raw := typed(c.t, p.Dims, func(p *onnxpb.TensorProto) { p.RawData = d.Data })
			again, err := New(&onnxpb.ModelProto{}).Tensor(raw).Dense()
			if err != nil || !slices.Equal(again.Data, d.Data) {
				t.Errorf("as raw data: %v, %v", again, err)
			}
		})
	}
}

func TestComplexAndEmpty(t *testing.T) {
	m := New(&onnxpb.ModelProto{})
	for _, c := range []struct {
		p     *onnxpb.TensorProto
		bytes int
	}{
		{typed(tensor.Complex64, []int64{2}, func(p *onnxpb.TensorProto) { p.FloatData = make([]float32, 4) }), 16},
		{typed(tensor.Complex128, []int64{2}, func(p *onnxpb.TensorProto) { p.DoubleData = make([]float64, 4) }), 32},
		{typed(tensor.Float32, []int64{2, 0}, func(*onnxpb.TensorProto) {}), 0},
		{typed(tensor.Float32, []int64{0}, func(p *onnxpb.TensorProto) { p.RawData = []byte{} }), 0},
		{typed(tensor.Float16, []int64{0}, func(*onnxpb.TensorProto) {}), 0},
	} {
		raw, err := m.Tensor(c.p).Raw()
		if err != nil || len(raw) != c.bytes {
			t.Errorf("%v%v: %d bytes, %v; want %d", m.Tensor(c.p).Type(), c.p.Dims, len(raw), err, c.bytes)
		}
	}
}

func TestTensorRefuses(t *testing.T) {
	raw := func(n int) func(*onnxpb.TensorProto) {
		return func(p *onnxpb.TensorProto) { p.RawData = make([]byte, n) }
	}
	for _, c := range []struct {
		p    *onnxpb.TensorProto
		want string
	}{
		{typed(tensor.Undefined, nil, raw(4)), "element type 0 is not one that ONNX defines"},
		{typed(99, nil, raw(4)), "element type 99"},
		{typed(tensor.Float32, []int64{2}, raw(9)), "takes 8 entries of raw_data, has 9"},
		{typed(tensor.Float32, []int64{-2}, raw(8)), "dimension 0 of shape [-2] is negative"},
		{typed(tensor.Float32, []int64{math.MaxInt64, math.MaxInt64}, raw(8)), "more elements than memory"},
		{typed(tensor.Float32, []int64{2}, func(*onnxpb.TensorProto) {}), "float32 tensor of shape [2] has no data"},
		{typed(tensor.Float32, []int64{0}, raw(1)), "takes 0 entries of raw_data, has 1"},
		{typed(tensor.Int4, []int64{3}, raw(3)), "takes 2 entries of raw_data, has 3"},
		{typed(tensor.Uint2, []int64{5}, func(p *onnxpb.TensorProto) { p.Int32Data = []int32{1} }), "takes 2 entries of int32_data, has 1"},
		{typed(tensor.Float32, []int64{1}, func(p *onnxpb.TensorProto) { p.DoubleData = []float64{1} }), "float32 data does not belong in double_data"},
		{typed(tensor.Int64, []int64{1}, func(p *onnxpb.TensorProto) { p.Int32Data = []int32{1} }), "int64 data does not belong in int32_data"},
		{typed(tensor.Float32, []int64{1}, func(p *onnxpb.TensorProto) {
			p.RawData, p.FloatData = make([]byte, 4), []float32{1}
		}), "both in raw_data and in float_data"},
		{typed(tensor.String, []int64{1}, raw(4)), "string data does not belong in raw_data"},
		{typed(tensor.String, []int64{2}, func(p *onnxpb.TensorProto) { p.StringData = [][]byte{nil} }), "takes 2 entries of string_data, has 1"},
		{typed(tensor.String, []int64{1}, func(p *onnxpb.TensorProto) { p.StringData = [][]byte{[]byte("a")} }), "strings have no raw data"},
		{typed(tensor.Float32, nil, func(p *onnxpb.TensorProto) { p.Segment = &onnxpb.TensorProto_Segment{} }), "segments"},
	} {
		_, err := New(&onnxpb.ModelProto{}).Tensor(c.p).Dense()
		refused(t, err, `tensor "t"`, c.want)
	}
}

func TestNewTensor(t *testing.T) {
	p, err := NewTensor("w", tensor.Float16, []int{2, 1}, []float64{1, -2})
	if err != nil {
		t.Fatal(err)
	}
	d, err := p.Dense()
	if err != nil || p.Name() != "w" || fmt.Sprint(d) != "{float16 [2 1] [0 60 0 192]}" {
		t.Errorf("%v, %v", d, err)
	}
	for _, c := range []struct {
		t     tensor.Type
		shape []int
		want  string
	}{
		{tensor.Float32, []int{3}, "shape [3] takes 3 numbers, got 2"},
		{tensor.Float32, []int{-2}, "negative"},
		{tensor.Float16, []int{2}, "element 1 is 100000, which float16 cannot hold"},
	} {
		_, err := NewTensor("w", c.t, c.shape, []float64{1, 1e5})
		refused(t, err, `tensor "w"`, c.want)
	}
}

// TestRawAliases asks for the bytes of an inline tensor and expects memory that was
// there before.
func TestRawAliases(t *testing.T) {
	m := open(t, save(t, small()))
	w := m.Proto.GetGraph().Initializer[0]
	raw, err := m.Tensor(w).Raw()
	if err != nil {
		t.Fatal(err)
	}
	if &raw[0] != &w.RawData[0] || cap(raw) != len(raw) {
		t.Error("raw data was copied, or can grow into what follows")
	}
}
