package samples

import (
	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/shapes"
)

// cacheAxes is how many axes a cache of keys or values has where its last one may be open: samples, heads, positions, channels of a head.
const cacheAxes = 4

// closeCaches says of caches of keys and values what the attention that reads them wants of them: how many channels the heads of those have that
// leave it open, as ONNX Runtime GenAI's builder does, from what is beside them; and how much room. Dimensions of one name have one size.
func closeCaches(m *onnxio.Model, inputs []InputSpec) {
	channels, room := dimensions(m, inputs, cacheAxes-1), dimensions(m, inputs, cacheAxes-2)
	if len(channels)+len(room) == 0 {
		return
	}
	g := graph.Of(m)
	var known *shapes.Shapes // inferred when first asked
	sizes, rooms := map[string]int{}, map[string]int{}
	for _, n := range g.Nodes() {
		for _, past := range pasts(n) {
			if dim := room[past]; dim != "" && n.Int("sliding_window_cache", 0) != 0 {
				rooms[dim] = max(rooms[dim], n.Int("local_window_size", 0))
			}
			if channels[past] == "" {
				continue
			}
			if known == nil {
				known = shapes.Infer(m, single(inputs))
			}
			if size := headSize(n, width(g, known, n.Input(0))); size > 0 {
				sizes[channels[past]] = size
			}
		}
	}
	for i := range inputs {
		in := &inputs[i]
		if size := sizes[channels[in.Name]]; size > 0 {
			in.Shape[cacheAxes-1] = size
		}
		in.Room = rooms[room[in.Name]]
	}
}

// dimensions names the dimension of every cache along an axis, where it is open.
func dimensions(m *onnxio.Model, inputs []InputSpec, axis int) map[string]string {
	names, feeds := map[string]string{}, graph.Of(m).Feeds()
	for i, in := range inputs {
		if len(in.Shape) != cacheAxes || in.Shape[axis] >= 0 {
			continue
		}
		if names[in.Name] = feeds[i].Dims()[axis].Name; names[in.Name] == "" {
			names[in.Name] = in.Name
		}
	}
	return names
}

// single are the shapes of inputs that are no caches where everything open is 1.
func single(inputs []InputSpec) map[string][]int {
	ones := map[string][]int{}
	for _, in := range inputs {
		if in.Type.IsFloat() {
			continue
		}
		for _, n := range in.Shape {
			ones[in.Name] = append(ones[in.Name], max(n, 1))
		}
	}
	return ones
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
