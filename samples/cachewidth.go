package samples

import (
	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/shapes"
)

// cacheAxes is how many axes a cache of keys or values has where its last one may be open: samples, heads, positions, channels of a head.
const cacheAxes = 4

// closeCaches fills in how many channels the heads of caches have that leave it open, as ONNX Runtime GenAI's builder does, from what the
// attention reads beside them. Dimensions of one name have one size.
func closeCaches(m *onnxio.Model, inputs []InputSpec) {
	dims, ones := map[string]string{}, map[string][]int{}
	feeds := graph.Of(m).Feeds()
	for i, in := range inputs {
		switch open := len(in.Shape) == cacheAxes && in.Shape[cacheAxes-1] < 0; {
		case !in.Type.IsFloat() && in.Shape != nil:
			for _, n := range in.Shape {
				ones[in.Name] = append(ones[in.Name], max(n, 1))
			}
		case open && feeds[i].Dims()[cacheAxes-1].Name != "":
			dims[in.Name] = feeds[i].Dims()[cacheAxes-1].Name
		case open:
			dims[in.Name] = in.Name
		}
	}
	if len(dims) == 0 {
		return
	}
	g, known, channels := graph.Of(m), shapes.Infer(m, ones), map[string]int{}
	for _, n := range g.Nodes() {
		for _, past := range pasts(n) {
			if size := headSize(n, width(g, known, n.Input(0))); size > 0 && dims[past] != "" {
				channels[dims[past]] = size
			}
		}
	}
	for _, in := range inputs {
		if size := channels[dims[in.Name]]; size > 0 {
			in.Shape[cacheAxes-1] = size
		}
	}
}

// pasts are the caches that a node reads.
func pasts(n graph.Node) []string {
	switch n.Op() {
	case "com.microsoft::GroupQueryAttention":
		return []string{n.Input(3), n.Input(4)}
	case "com.microsoft::MultiHeadAttention":
		return []string{n.Input(6), n.Input(7)}
	}
	return nil
}

// width is the size of the last axis of a value [samples, positions, channels]; 0 where it is not known.
func width(g *graph.Graph, known *shapes.Shapes, value string) int {
	if shape, ok := known.Of(value); ok && len(shape) == cacheAxes-1 {
		return shape[len(shape)-1]
	}
	if n, ok := g.Producer(value); ok && n.Op() == "com.microsoft::MatMulNBits" {
		return n.Int("N", 0)
	}
	return 0
}

// headSize is how many channels a head of an attention has whose queries, or what is packed with them, have so many; 0 for no whole number.
func headSize(n graph.Node, width int) int {
	heads := n.Int("num_heads", 0)
	if n.Op() == "com.microsoft::GroupQueryAttention" && n.Input(1) == "" {
		heads += 2 * n.Int("kv_num_heads", 0)
	}
	if heads <= 0 || width%heads != 0 {
		return 0
	}
	return width / heads
}
