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
		out, ok := outChannels(g, n, at)
		if !ok {
			continue
		}
		in, ok := inChannels(g, u.Node, at)
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

// outChannels are the channels that a node gives out.
func outChannels(g *graph.Graph, n graph.Node, at map[string]parameter) (channels, bool) {
	c := channels{bias: -1}
	weight := 1
	if n.Op() == "Gather" {
		weight = 0
	}
	w, ok := at[n.Input(weight)]
	if !ok || !alone(g, w.name) {
		return c, false
	}
	switch op := n.Op(); {
	case op == "Conv":
		if n.Input(2) != "" {
			b, ok := at[n.Input(2)]
			if !ok || !alone(g, b.name) {
				return c, false
			}
			c.bias = b.from
		}
		c.count, c.visit = w.shape[0], strided(w, 0)
		return c, true
	case op == "MatMul" && len(w.shape) == 2:
		c.count, c.visit = w.shape[1], strided(w, 1)
		return c, true
	case op == "Gather" && len(w.shape) == 2 && n.Int("axis", 0) == 0:
		c.count, c.visit = w.shape[1], strided(w, 1)
		return c, true
	case op == "Gemm" && n.Input(2) == "":
		axis := 1 - n.Int("transB", 0)
		c.count, c.visit = w.shape[axis], strided(w, axis)
		return c, true
	}
	return c, false
}

// inChannels are the channels that a node takes in.
func inChannels(g *graph.Graph, n graph.Node, at map[string]parameter) (channels, bool) {
	c := channels{bias: -1}
	w, ok := at[n.Input(1)]
	if !ok || !alone(g, w.name) {
		return c, false
	}
	switch op := n.Op(); {
	case op == "Conv":
		groups := n.Int("group", 1)
		per, out := w.shape[1], w.shape[0]/max(groups, 1)
		c.count = per * groups
		block := tensor.Product(w.shape[2:])
		c.visit = func(channel int, do func(int)) {
			group, k := channel/per, channel%per
			for o := group * out; o < (group+1)*out; o++ {
				for i := range block {
					do(w.from + (o*per+k)*block + i)
				}
			}
		}
		return c, true
	case op == "MatMul" && len(w.shape) == 2:
		c.count, c.visit = w.shape[0], strided(w, 0)
		return c, true
	case op == "Gemm" && n.Int("transA", 0) == 0:
		axis := n.Int("transB", 0)
		c.count, c.visit = w.shape[axis], strided(w, axis)
		return c, true
	}
	return c, false
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
