package tune

import (
	"math"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// balance gives the factors on both sides of every inner channel of a chain the same norm: a channel between two
// linear nodes with nothing in between can be scaled on one side and divided on the other, and no output changes. Gradient
// steps of one size for all weights, as Adam's, destroy factors of very different norms. Only weights that the
// original does not have are changed.
func balance(original, m *onnxio.Model, p *parameters, vector []float32) {
	at := map[string]parameter{}
	for _, v := range p.list {
		if _, old := graph.Of(original).Initializer(v.name); !old {
			at[v.name] = v
		}
	}
	g := graph.Of(m)
	for _, n := range g.Nodes() {
		u, ok := g.Reader(n.Output(0))
		if !ok || u.Slot != 0 {
			continue
		}
		out, ok := channelsOf(g, n, at, true)
		if !ok {
			continue
		}
		in, ok := channelsOf(g, u.Node, at, false)
		if ok && out.count == in.count {
			even(vector, out, in)
		}
	}
}

// channels tells which numbers of the parameters belong to each of the channels on one side of a value.
type channels struct {
	count int
	visit func(channel int, do func(at int))
	// bias is the first number of a bias per channel, which scales along but has no part in the norm; -1 for none.
	bias int
}

// channelsOf are the channels that a node gives out, or takes in, where only it reads their weights and these are no
// longer the original's.
func channelsOf(g *graph.Graph, n graph.Node, at map[string]parameter, out bool) (channels, bool) {
	own := func(slot int) (parameter, bool) {
		p, ok := at[n.Input(slot)]
		return p, ok && alone(g, p.name)
	}
	slot, axis := 1, 0 // axis of a matrix [in, out]
	if n.Op() == "Gather" {
		slot = 0
	}
	if out {
		axis = 1
	}
	w, ok := own(slot)
	if !ok {
		return channels{}, false
	}
	along := func(axis int) channels { return channels{w.shape[axis], strided(w, axis), -1} }
	switch op, matrix := n.Op(), len(w.shape) == 2; {
	case op == "Conv" && out:
		c := along(0)
		if n.Input(2) == "" {
			return c, true
		}
		b, ok := own(2)
		c.bias = b.from
		return c, ok
	case op == "Conv":
		return grouped(w, n.Int("group", 1)), true
	case op == "MatMul" && matrix, op == "Gather" && matrix && out && n.Int("axis", 0) == 0:
		return along(axis), true
	case op == "Gemm" && (out && n.Input(2) == "" || !out && n.Int("transA", 0) == 0):
		return along((axis + n.Int("transB", 0)) % 2), true
	}
	return channels{}, false
}

// grouped are the channels that a convolution takes in.
func grouped(w parameter, groups int) channels {
	per, out, block := w.shape[1], w.shape[0]/max(groups, 1), tensor.Product(w.shape[2:])
	return channels{per * groups, func(channel int, do func(int)) {
		group, k := channel/per, channel%per
		for o := group * out; o < (group+1)*out; o++ {
			for i := range block {
				do(w.from + (o*per+k)*block + i)
			}
		}
	}, -1}
}

// alone reports whether only one node reads an initializer.
func alone(g *graph.Graph, name string) bool {
	u := g.Uses(name)
	return len(u) == 1 && !u[0].Nested
}

// strided visits the numbers with one index along an axis of a weight.
func strided(w parameter, axis int) func(int, func(int)) {
	inner, size := tensor.Product(w.shape[axis+1:]), w.shape[axis]
	outer := tensor.Product(w.shape[:axis])
	return func(channel int, do func(int)) {
		for o := range outer {
			for i := range inner {
				do(w.from + (o*size+channel)*inner + i)
			}
		}
	}
}

// even scales every channel so that both sides have the same norm.
func even(vector []float32, out, in channels) {
	for k := range out.count {
		size := func(c channels) float64 {
			sum := 0.
			c.visit(k, func(at int) { sum += float64(vector[at]) * float64(vector[at]) })
			return math.Sqrt(sum)
		}
		a, b := size(out), size(in)
		if !(a > 0) || !(b > 0) {
			continue
		}
		s := float32(math.Sqrt(b / a))
		if s == 0 || math.IsInf(float64(1/s), 0) {
			continue
		}
		out.visit(k, func(at int) { vector[at] *= s })
		if out.bias >= 0 {
			vector[out.bias+k] *= s
		}
		in.visit(k, func(at int) { vector[at] /= s })
	}
}
