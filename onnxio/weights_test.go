package onnxio

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// weighed is a model with tensors of several kinds.
func weighed() *onnxpb.ModelProto {
	p := small()
	p.Graph.Initializer = append(p.Graph.Initializer, counting("large", 300),
		&onnxpb.TensorProto{Name: proto.String("words"), DataType: proto.Int32(int32(tensor.String)), Dims: []int64{2}, StringData: [][]byte{[]byte("a b"), []byte("c")}})
	return p
}

func weightsDigest(t *testing.T, m *Model) string {
	t.Helper()
	sum, err := m.WeightsDigest(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

// TestWeightsDigest: wherever and in whatever field weights lie, their digest is the same; and another one for any other weight.
func TestWeightsDigest(t *testing.T) {
	m := open(t, save(t, weighed()))
	want := weightsDigest(t, m)

	s, err := create(context.Background(), m, filepath.Join(t.TempDir(), "out.onnx"), WriteOptions{}, 2500)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(); err != nil {
		t.Fatal(err)
	}
	outside := open(t, s.target)
	if !outside.Tensor(outside.Proto.Graph.Initializer[3]).External() {
		t.Fatal("nothing is external")
	}
	if got := weightsDigest(t, outside); got != want {
		t.Errorf("with a file of external data: %s, want %s", got, want)
	}

	for _, c := range []struct {
		name string
		same bool
		edit func(p *onnxpb.ModelProto)
	}{
		{"other metadata", true, func(p *onnxpb.ModelProto) { p.MetadataProps = nil }},
		{"another order", true, func(p *onnxpb.ModelProto) { slices.Reverse(p.Graph.Initializer) }},
		{"a typed field", true, func(p *onnxpb.ModelProto) {
			w := p.Graph.Initializer[0]
			w.FloatData, w.RawData = tensor.Dense{Type: tensor.Float32, Shape: []int{54}, Data: w.RawData}.Float32s(), nil
		}},
		{"an element", false, func(p *onnxpb.ModelProto) { p.Graph.Initializer[0].RawData[7] ^= 1 }},
		{"a typed element", false, func(p *onnxpb.ModelProto) { p.Graph.Initializer[2].Int32Data[0] = 0 }},
		{"a name", false, func(p *onnxpb.ModelProto) { p.Graph.Initializer[4].Name = proto.String("word") }},
		{"a shape", false, func(p *onnxpb.ModelProto) { p.Graph.Initializer[3].Dims = []int64{30, 10} }},
		{"words cut elsewhere", false, func(p *onnxpb.ModelProto) {
			p.Graph.Initializer[4].StringData = [][]byte{[]byte("a"), []byte("b c")}
		}},
		{"a constant", false, func(p *onnxpb.ModelProto) { p.Graph.Node[2].Attribute[0].T.RawData[0] ^= 1 }},
		{"one fewer", false, func(p *onnxpb.ModelProto) { p.Graph.Initializer = p.Graph.Initializer[:4] }},
	} {
		p := weighed()
		c.edit(p)
		if got := weightsDigest(t, New(p)); (got == want) != c.same {
			t.Errorf("%s: %s, and it was %s", c.name, got, want)
		}
	}
}

// TestWeightsDigestStreams: what was read of a model's file does not stay in memory, and the context ends it.
func TestWeightsDigestStreams(t *testing.T) {
	path := sparseFile(t, weighty(8, 8<<20))
	m := open(t, path)
	weightsDigest(t, m)
	if n := mapped(t, path); n > 16<<20 {
		t.Errorf("%d MiB of the file stay in memory", n>>20)
	}
	ctx, stop := context.WithCancel(context.Background())
	stop()
	if _, err := m.WeightsDigest(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}
