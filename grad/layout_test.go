package grad

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/internal/ort/orttest"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// blockCase is a convolution between two others of 1×1. Channels are in blocks.
type blockCase struct {
	name       string
	from, to   float64 // channels, in blocks
	groups     int     // -1 for one to each channel
	size       []int
	attributes []*onnxpb.AttributeProto
	convs      int // that run in blocks, the first one's and the gradient of the last one's input among them
}

func blockCases() []blockCase {
	pads := func(v ...int) *onnxpb.AttributeProto { return intsAttr("pads", v) }
	return []blockCase{
		{"plain", 1, 2, 1, []int{3, 3}, []*onnxpb.AttributeProto{pads(1, 1, 1, 1)}, 4},
		{"no padding", 2, 1, 1, []int{3, 1}, nil, 4},
		{"pads differ", 1, 1, 1, []int{3, 2}, []*onnxpb.AttributeProto{pads(2, 0, 1, 1)}, 4},
		{"same upper", 1, 1, 1, []int{2, 3}, []*onnxpb.AttributeProto{onnxio.MakeString("auto_pad", "SAME_UPPER")}, 4},
		{"dilated", 1, 1, 1, []int{3, 3}, []*onnxpb.AttributeProto{pads(2, 2, 2, 2), intsAttr("dilations", []int{2, 2})}, 4},
		{"stride", 1, 1, 1, []int{3, 3}, []*onnxpb.AttributeProto{pads(1, 1, 1, 1), intsAttr("strides", []int{2, 1})}, 3},
		{"one by one", 2, 2, 1, []int{1, 1}, nil, 4},
		{"depthwise", 2, 2, -1, []int{3, 3}, []*onnxpb.AttributeProto{pads(1, 1, 1, 1)}, 4},
		{"groups", 4, 2, 2, []int{3, 3}, []*onnxpb.AttributeProto{pads(1, 1, 1, 1)}, 4},
		{"groups too narrow", 2, 1, 2, []int{3, 3}, []*onnxpb.AttributeProto{pads(1, 1, 1, 1)}, 2},
		{"few in", 0.25, 1, 1, []int{3, 3}, []*onnxpb.AttributeProto{pads(1, 1, 1, 1)}, 2},
		{"few out", 1, 0.25, 1, []int{3, 3}, []*onnxpb.AttributeProto{pads(1, 1, 1, 1)}, 2},
		{"not whole", 1.5, 1.5, 1, []int{3, 3}, nil, 0},
	}
}

// net makes the network of a case.
func (c blockCase) net(block int) *net {
	n := newNet(13, tensor.Float32, 3)
	channels := func(blocks float64) int { return int(blocks * float64(block)) }
	from, to, groups := channels(c.from), channels(c.to), c.groups
	if groups < 0 {
		groups = from
	}
	scaled := func(r *rand.Rand, v []float64) {
		for i := range v {
			v[i] = r.NormFloat64() / 8
		}
	}
	x := n.op("Conv", []string{n.data(normal, 2, 3, 7, 6), n.weight(scaled, from, 3, 1, 1), n.weight(scaled, from)})
	x = n.op("Conv", []string{x, n.weight(scaled, slices.Concat([]int{to, from / groups}, c.size)...)}, append(c.attributes, onnxio.MakeInt("group", int64(groups)))...)
	n.out(n.op("Conv", []string{x, n.weight(scaled, 5, to, 1, 1)}))
	return n
}

func TestBlocks(t *testing.T) {
	l := orttest.Open(t)
	block, err := ChannelBlock(context.Background(), l)
	if err != nil {
		t.Fatal(err)
	}
	if block == 0 {
		t.Skip("ONNX Runtime has no blocked convolutions on this machine")
	}
	for _, c := range blockCases() {
		t.Run(c.name, func(t *testing.T) {
			n := c.net(block)
			m := n.model()
			defer m.Close()
			o := Options{Values: n.values(t, l, m), Wanted: n.wanted, Feed: n.wanted}
			plain, _ := n.fedGradients(t, l, m, o)
			o.Block = block
			blocked, ops := n.fedGradients(t, l, m, o)
			for i, name := range n.wanted {
				if _, off, size := farthest(blocked[i], plain[i]); !(off <= 1e-5*size) {
					t.Errorf("gradient of %s is off by %.3g of %.3g", name, off, size)
				}
			}
			if got := ops["Conv"]; got != c.convs {
				t.Errorf("%d convolutions in blocks, want %d", got, c.convs)
			}
		})
	}
}

// fedGradients builds and runs the graph of the gradients, with the same cotangents every time, and counts its blocked nodes.
func (n *net) fedGradients(t *testing.T, l *ort.Library, m *onnxio.Model, o Options) ([][]float64, map[string]int) {
	t.Helper()
	g, err := Build(m, o)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Model.Close()
	_, feeds := n.opened()
	random := rand.New(rand.NewPCG(5, 6))
	for _, out := range slices.Sorted(maps.Keys(g.Cotangents)) {
		v := make([]float32, product(o.Values[out].Shape))
		for i := range v {
			v[i] = float32(random.NormFloat64())
		}
		feeds[g.Cotangents[out]] = tensor.FromFloat32(o.Values[out].Shape, v)
	}
	var names []string
	for _, w := range n.wanted {
		names = append(names, g.Gradients[w])
	}
	ops := map[string]int{}
	for _, node := range g.Model.Graph().GetNode() {
		if node.GetDomain() == blockedDomain {
			ops[node.GetOpType()]++
		}
	}
	return run(t, session(t, l, g.Model), feeds, names), ops
}
