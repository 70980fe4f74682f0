package grad

import (
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// layout knows which activations are in blocks of channels. ONNX Runtime puts convolutions on blocks in by
// itself where the weights are constants; weights that are fed it leaves alone. Between these convolutions, what works
// number by number is done on the blocks too, so that few activations have to be reordered. Every value keeps its name
// in the usual layout; where nothing reads it by that name, the node that would reorder it is dropped (see graph.Needed).
type layout struct {
	block int // channels in a block, 0 for none
	// of holds the blocked form of values, by their name in the usual layout.
	of   map[string]inBlocks
	used bool
}

// inBlocks is the blocked form of a value [N, C, H, W]: [N, C/b, H, W, b] in memory, but of the same shape to the runtime.
type inBlocks struct {
	name  string
	shape []int
}

// takes reports whether a convolution of numbers of type t can run in blocks.
func (e *emitter) takes(k kernel, t tensor.Type) bool {
	b := e.layout.block
	if b < 2 || len(k.size) != 2 || t != tensor.Float32 || k.to%b != 0 {
		return false
	}
	if k.groups == 1 {
		return k.from%b == 0 || k.from < b
	}
	return k.depthwise() || k.from/k.groups%b == 0 && k.to/k.groups%b == 0
}

// depthwise reports whether every channel has a kernel of its own.
func (k kernel) depthwise() bool { return k.groups > 1 && k.from == k.groups && k.to == k.groups }

// inner is how many input channels of a group a blocked weight has side by side.
func (e *emitter) inner(k kernel) int {
	if k.from/k.groups%e.layout.block == 0 {
		return e.layout.block
	}
	return 1
}

// conv emits a convolution with a weight in blocks. The value that it gives out is in the usual layout, and has the
// name out where that is not empty.
func (e *emitter) conv(k kernel, x, weight, bias, out string) string {
	blocked := x
	if k.groups > 1 || k.from%e.layout.block == 0 {
		blocked = e.blocks(x, slices.Concat([]int{k.batch, k.from}, k.in))
	}
	inputs := []string{blocked, weight}
	if bias != "" {
		inputs = append(inputs, bias)
	}
	y := e.convNode(k.window, k.groups, inputs...)
	return e.usual(inBlocks{y, slices.Concat([]int{k.batch, k.to}, k.out)}, out)
}

// convNode emits the node of a convolution whose inputs are in blocks.
func (e *emitter) convNode(w window, groups int, inputs ...string) string {
	return e.blockNode("Conv", inputs, graph.Ints("kernel_shape", w.size...), graph.Ints("strides", w.stride...), graph.Ints("dilations", w.dilation...),
		graph.Ints("pads", slices.Concat(w.begin, w.end)...), graph.Int("group", groups))
}

// blocks returns the blocked form of a value of that shape, whose channels fill blocks.
func (e *emitter) blocks(x string, shape []int) string {
	if e.layout.of[x].name == "" {
		e.layout.of[x] = inBlocks{e.blockNode("ReorderInput", []string{x}), shape}
	}
	return e.layout.of[x].name
}

// usual brings a value back from blocks. The result has the name out where that is not empty.
func (e *emitter) usual(b inBlocks, out string) string {
	plain := e.blockNode("ReorderOutput", []string{b.name}, graph.Int("channels", b.shape[1]))
	if last := len(e.Nodes) - 1; out != "" {
		named := e.Nodes[last].Spec()
		named.Outputs, plain = []string{out}, out
		e.Nodes[last] = named.Node()
	}
	e.layout.of[plain] = b
	return plain
}

func (e *emitter) blockNode(op string, inputs []string, attributes ...graph.Attr) string {
	e.layout.used = true
	return e.Node(blockedDomain+"::"+op, inputs, attributes...)
}

// weight orders a weight [to, from/groups, size...] in blocks: [to/b, from/groups/i, size..., i, b], with i input
// channels and b output channels side by side.
func (e *emitter) weight(k kernel, w string) string {
	i, b := e.inner(k), e.layout.block
	w = e.Op("Reshape", w, e.Ints(k.to/b, b, k.from/k.groups/i, i, k.places()))
	w = e.transpose(w, []int{0, 2, 4, 3, 1})
	return e.Op("Reshape", w, e.Ints(slices.Concat([]int{k.to, k.from / k.groups}, k.size)...))
}

// flippedWeight orders the weight [k.to, k.from/groups, size...] of a convolution in blocks for the one that takes the
// cotangent back: the channels change places and the window is turned around.
func (e *emitter) flippedWeight(k, back kernel, w string) string {
	b, places := e.layout.block, k.places()
	var taps int // the axis of the window
	if k.depthwise() {
		w = e.Op("Reshape", w, e.Ints(k.to/b, b, places))
		w, taps = e.transpose(w, []int{0, 2, 1}), 1
	} else {
		i := e.inner(back)
		w = e.Op("Reshape", w, e.Ints(k.groups, k.to/k.groups/i, i, k.from/k.groups/b, b, places))
		w, taps = e.transpose(w, []int{0, 3, 1, 5, 2, 4}), 3
	}
	if places > 1 {
		w = e.gather(w, taps, downFrom(places))
	}
	return e.Op("Reshape", w, e.Ints(slices.Concat([]int{back.to, back.from / back.groups}, k.size)...))
}

// relay returns the nodes of the forward pass with convolutions in blocks where their weights are fed, and what lies
// between them.
func (p *route) relay() ([]graph.Node, error) {
	if p.emitter.layout.block == 0 {
		return p.facts.Nodes(), nil
	}
	e := newEmitter(p.emitter.Opset, p.emitter.Names, p.emitter.layout) // constants of its own, ahead of the nodes that read them
	for _, n := range p.facts.Nodes() {
		if k, ok := p.fedConv(n); ok {
			e.begin(n.Output(0)+"/blocked", tensor.Float32)
			e.conv(k, n.Input(0), e.weight(k, n.Input(1)), n.Input(2), n.Output(0))
		} else if !e.relayed(n, p.facts) {
			e.Nodes = append(e.Nodes, n)
		}
	}
	return e.Nodes, e.Err
}

// fedConv returns the kernel of a node of the forward pass that is a convolution whose weight is fed and fills blocks.
func (p *route) fedConv(n graph.Node) (kernel, bool) {
	if n.Op() != "Conv" || !p.facts.fed[n.Input(1)] {
		return kernel{}, false
	}
	k, err := convKernel(&call{emitter: p.emitter, facts: p.facts, node: n})
	return k, err == nil && p.emitter.takes(k, p.facts.typ(n.Output(0)))
}
