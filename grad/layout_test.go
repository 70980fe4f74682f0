package grad

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/internal/ort/orttest"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// blockCase is a convolution between two others of 1×1, with a Relu on both sides. Channels are in blocks.
type blockCase struct {
	name       string
	from, to   float64 // channels, in blocks
	groups     int     // -1 for one to each channel
	size       []int
	attributes []graph.Attr
	batches    int // the samples, in blocks; 0 for two samples
	convs      int // that run in blocks, the first one's and the gradient of the last one's input among them
}

func blockCases() []blockCase {
	pads := func(v ...int) graph.Attr { return graph.Ints("pads", v...) }
	strides := func(v ...int) graph.Attr { return graph.Ints("strides", v...) }
	dilated := graph.Ints("dilations", 2, 2)
	return []blockCase{
		{"plain", 1, 2, 1, []int{3, 3}, attrs{pads(1, 1, 1, 1)}, 0, 4},
		{"no padding", 2, 1, 1, []int{3, 1}, nil, 0, 4},
		{"pads differ", 1, 1, 1, []int{3, 2}, attrs{pads(2, 0, 1, 1)}, 0, 4},
		{"same upper", 1, 1, 1, []int{2, 3}, attrs{graph.String("auto_pad", "SAME_UPPER")}, 0, 4},
		{"dilated", 1, 1, 1, []int{3, 3}, attrs{pads(2, 2, 2, 2), dilated}, 0, 4},
		{"stride", 1, 1, 1, []int{3, 3}, attrs{pads(1, 1, 1, 1), strides(2, 1)}, 0, 3},
		{"one by one", 2, 2, 1, []int{1, 1}, nil, 0, 4},
		{"one by one, one block", 1, 1, 1, []int{1, 1}, nil, 0, 4},
		{"one by one, stride", 1, 1, 1, []int{1, 1}, attrs{strides(2, 2)}, 0, 3},
		{"joined", 1, 2, 1, []int{1, 1}, nil, 0, 4},
		{"groups", 4, 2, 2, []int{3, 3}, attrs{pads(1, 1, 1, 1)}, 0, 4},
		{"groups too narrow", 2, 1, 2, []int{3, 3}, attrs{pads(1, 1, 1, 1)}, 0, 2},
		{"few in", 0.25, 1, 1, []int{3, 3}, attrs{pads(1, 1, 1, 1)}, 0, 2},
		{"few out", 1, 0.25, 1, []int{3, 3}, attrs{pads(1, 1, 1, 1)}, 0, 2},
		{"not whole", 1.5, 1.5, 1, []int{3, 3}, nil, 0, 0},
		// One convolution more for the gradient of the weight.
		{"depthwise", 2, 2, -1, []int{3, 3}, attrs{pads(1, 1, 1, 1)}, 0, 5},
		{"depthwise, column", 1, 1, -1, []int{3, 1}, attrs{pads(0, 0, 2, 0)}, 0, 5},
		{"depthwise, stride", 2, 2, -1, []int{3, 3}, attrs{pads(1, 1, 1, 1), strides(2, 2)}, 0, 5},
		{"depthwise, dilated", 1, 1, -1, []int{2, 3}, attrs{pads(2, 2, 2, 2), dilated, strides(1, 2)}, 0, 5},
		{"depthwise, rest", 1, 1, -1, []int{2, 2}, attrs{strides(2, 4)}, 0, 3},
		{"batch", 1, 2, 1, []int{3, 3}, attrs{pads(1, 1, 1, 1)}, 1, 5},
		{"two batches", 2, 1, 1, []int{2, 3}, attrs{pads(1, 0, 0, 2)}, 2, 5},
		{"batch, stride", 1, 1, 1, []int{3, 3}, attrs{pads(1, 1, 1, 1), strides(2, 1)}, 1, 4},
		{"batch, dilated", 1, 1, 1, []int{2, 2}, attrs{pads(1, 1, 1, 1), strides(1, 2), dilated}, 1, 4},
	}
}

// net makes the network of a case. Past some convolutions there is another way.
func (c blockCase) net(block int) *net {
	n := newNet(13, tensor.Float32, 3)
	channels := func(blocks float64) int { return int(blocks * float64(block)) }
	from, to, groups, batch := channels(c.from), channels(c.to), c.groups, 2
	if groups < 0 {
		groups = from
	}
	if c.batches > 0 {
		batch = c.batches * block
	}
	scaled := func(r *rand.Rand, v []float64) {
		for i := range v {
			v[i] = r.NormFloat64() / 8
		}
	}
	x := n.op("Conv", []string{n.data(normal, batch, 3, 7, 6), n.weight(scaled, from, 3, 1, 1), n.weight(scaled, from)})
	x = n.op("Relu", []string{x})
	y := n.op("Conv", []string{x, n.weight(scaled, slices.Concat([]int{to, from / groups}, c.size)...), n.weight(scaled, to)}, append(c.attributes, graph.Int("group", groups))...)
	y = n.op("Relu", []string{y})
	if slices.Contains([]string{"depthwise", "one by one", "one by one, one block"}, c.name) {
		y = n.op("Mul", []string{n.op("Add", []string{x, y}), n.op("Sigmoid", []string{y})})
	}
	if c.name == "joined" {
		y, to = n.op("Concat", []string{x, y, x}, graph.Int("axis", 1)), 2*from+to
	}
	n.out(n.op("Conv", []string{y, n.weight(scaled, 5, to, 1, 1)}))
	return n
}

func TestBlocks(t *testing.T) {
	l := orttest.Open(t)
	block := blockOf(t, l)
	for _, c := range blockCases() {
		t.Run(c.name, func(t *testing.T) {
			if got := c.net(block).compareBlocks(t, l, block); got != c.convs {
				t.Errorf("%d convolutions in blocks, want %d", got, c.convs)
			}
		})
	}
}

// Transposed convolutions do not run in blocks, the gradients of their weights do.
func TestBlocksTransposed(t *testing.T) {
	l := orttest.Open(t)
	block := blockOf(t, l)
	for _, groups := range []int{1, block} {
		n := newNet(13, tensor.Float32, 3)
		x := n.op("Relu", []string{n.op("Conv", []string{n.data(normal, block, 3, 4, 5), n.weight(normal, block, 3, 1, 1)})})
		x = n.op("ConvTranspose", []string{x, n.weight(normal, block, block/groups, 3, 2)}, graph.Ints("strides", 2, 1),
			graph.Ints("pads", 1, 0, 0, 1), graph.Int("group", groups))
		n.out(n.op("Tanh", []string{x}))
		if got := n.compareBlocks(t, l, block); got != 2 {
			t.Errorf("%d groups: %d convolutions in blocks, want 2", groups, got)
		}
	}
}

// blockOf is the number of channels in a block; without blocks the test is skipped.
func blockOf(t *testing.T, l *ort.Library) int {
	t.Helper()
	block, err := ChannelBlock(context.Background(), l)
	if err != nil {
		t.Fatal(err)
	}
	if block == 0 {
		t.Skip("ONNX Runtime has no blocked convolutions on this machine")
	}
	return block
}

// compareBlocks holds the gradients in blocks to those without, and returns how many convolutions run in blocks.
func (n *net) compareBlocks(t *testing.T, l *ort.Library, block int) int {
	t.Helper()
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
	return ops["Conv"]
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
		v := make([]float32, tensor.Product(o.Values[out].Shape))
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
	for _, node := range graph.Of(g.Model).Nodes() {
		if node.Domain() == blockedDomain {
			ops[node.Type()]++
		}
	}
	return run(t, session(t, l, g.Model), feeds, names), ops
}
