package rewrite

import (
	"fmt"
	"math"
	"slices"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/graph"
)

// Hidden says what the units of an axis are of the sums y that one site computes, y without what is added to them: an activation of
// z = y + Mean or, behind a BatchNormalization, of z with that mean and that standard deviation.
type Hidden struct {
	Producer *Site
	Mean     []float64 // of z, for each output channel
	// Deviation of z, below zero where its sign is the other one; nil for that of y.
	Deviation []float64
	// Activations are what each reader of the axis reads of z.
	Activations []decomp.Activation
}

// Hidden follows an axis from its only producer, through a bias or a BatchNormalization, an activation whose moments are known in closed
// form, however it is written, and moves, to its readers. Of other axes it says why they are none.
func (a *Axis) Hidden() (*Hidden, string) {
	switch {
	case len(a.Products) > 0:
		return nil, fmt.Sprintf("what %s %q sums over it cannot be told from weights", a.Products[0].Op(), a.Products[0].Label())
	case len(a.Producers) != 1:
		return nil, fmt.Sprintf("%d sites compute it, and what becomes of their products and sums cannot be told from weights", len(a.Producers))
	}
	p := a.Producers[0]
	for unit, channels := range p.Channels(a.Units) {
		if len(channels) != 1 {
			return nil, fmt.Sprintf("unit %d of it is %d channels of %s", unit, len(channels), p.Site.Name)
		}
	}
	h := &Hidden{Producer: p.Site}
	from, why := h.begin(newFinder(a.model, a.shapes))
	if why != "" {
		return nil, why
	}
	c := &curves{finder: newFinder(a.model, a.shapes), axis: a, at: map[string][]float64{from: grid()}}
	if why := c.follow(); why != "" {
		return nil, why
	}
	for _, r := range a.Readers {
		f, why := c.read(r.Site)
		if why != "" {
			return nil, why
		}
		h.Activations = append(h.Activations, f)
	}
	return h, ""
}

// begin returns the value that has z.
func (h *Hidden) begin(f *finder) (value, why string) {
	s := h.Producer
	value = s.Output
	if b := s.findBias(); b.swap != nil && b.swap.Old.Op() == "Add" {
		value = b.swap.Old.Output(0)
	}
	use, ok := f.graph.Reader(value)
	if !ok || use.Node.Op() != "BatchNormalization" {
		adds, ok := s.Addend()
		if !ok {
			return "", fmt.Sprintf("what is added to the outputs of %s is not known", s.Name)
		}
		h.Mean = make([]float64, s.Kernel.Out)
		copy(h.Mean, adds)
		return value, ""
	}
	n := use.Node
	scale, mean := f.channels(n, 1, s.Kernel.Out), f.channels(n, 2, s.Kernel.Out)
	if use.Slot != 0 || !f.inference(n) || scale == nil || mean == nil {
		return "", fmt.Sprintf("BatchNormalization %q is none of constants", n.Label())
	}
	h.Mean, h.Deviation = mean, scale // it knows what it normalises
	return n.Output(0), ""
}

// grid are the numbers at which activations are told apart.
func grid() []float64 {
	var out []float64
	for z := -8.0; z <= 8; z += 0.25 {
		out = append(out, z)
	}
	return out
}

// curves has values of an axis as functions of z, the same for all of its units.
type curves struct {
	*finder
	axis *Axis
	at   map[string][]float64
}

// follow works out all values of the axis behind the first.
func (c *curves) follow() (why string) {
	for _, n := range c.graph.Nodes() {
		some := slices.ContainsFunc(n.Inputs(), func(v string) bool { return c.at[v] != nil })
		if !some || slices.ContainsFunc(c.axis.Readers, func(r Port) bool { return r.Site.Node == n }) {
			continue
		}
		for _, v := range n.Outputs() {
			if _, on := c.axis.values[v]; !on {
				continue
			}
			if c.at[v] = c.through(n); c.at[v] == nil {
				return fmt.Sprintf("what %s %q makes of it cannot be told from weights", n.Op(), n.Label())
			}
		}
	}
	return ""
}

// through is what a node makes of its inputs, nil where that is not one function of z.
func (c *curves) through(n graph.Node) []float64 {
	x := c.at[n.Input(0)]
	switch op := n.Op(); op {
	case "Cast", "CastLike", "Dropout", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze":
		return x
	case "Add", "Div", "Mul", "Pow", "Sub":
		return c.both(n)
	case "Clip":
		return c.clipped(n, x)
	case "Erf", "Gelu", "Relu", "Sigmoid", "Tanh":
		f := map[string]func(float64) float64{
			"Erf": math.Erf, "Relu": func(v float64) float64 { return max(v, 0) }, "Tanh": math.Tanh, "Gelu": decomp.GELU.At,
			"Sigmoid": func(v float64) float64 { return 1 / (1 + math.Exp(-v)) },
		}[op]
		return applied(x, f)
	}
	return nil
}

// both is what a node makes of two inputs, one of which may be a constant number.
func (c *curves) both(n graph.Node) []float64 {
	f := map[string]func(x, y float64) float64{
		"Add": func(x, y float64) float64 { return x + y },
		"Div": func(x, y float64) float64 { return x / y },
		"Mul": func(x, y float64) float64 { return x * y },
		"Pow": math.Pow,
		"Sub": func(x, y float64) float64 { return x - y },
	}[n.Op()]
	var in [2][]float64
	for i := range in {
		v := n.Input(i)
		if in[i] = c.at[v]; in[i] == nil {
			number, ok := c.number(v)
			if !ok {
				return nil
			}
			in[i] = slices.Repeat([]float64{number}, len(grid()))
		}
	}
	out := make([]float64, len(in[0]))
	for i, x := range in[0] {
		out[i] = f(x, in[1][i])
	}
	return out
}

// clipped is what a Clip makes of its input, whose limits may be attributes or constants.
func (c *curves) clipped(n graph.Node, x []float64) []float64 {
	limits := [2]float64{math.Inf(-1), math.Inf(1)}
	for i, name := range []string{"min", "max"} {
		limits[i] = float64(n.Float(name, float32(limits[i])))
		if v := n.Input(1 + i); v != "" {
			number, ok := c.number(v)
			if !ok {
				return nil
			}
			limits[i] = number
		}
	}
	return applied(x, func(v float64) float64 { return min(max(v, limits[0]), limits[1]) })
}

// number is that of a constant that has but one.
func (c *curves) number(value string) (float64, bool) {
	h, ok := c.hold(value)
	if !ok || h.tensor.Len() != 1 {
		return 0, false
	}
	v, err := h.tensor.Float64s()
	if err != nil || len(v) != 1 {
		return 0, false
	}
	return v[0], true
}

func applied(x []float64, f func(float64) float64) []float64 {
	out := make([]float64, len(x))
	for i, v := range x {
		out[i] = f(v)
	}
	return out
}

// read names the activation that a site reads.
func (c *curves) read(s *Site) (decomp.Activation, string) {
	const near = 1e-3 // which GELU by Tanh is
	got := c.at[s.Input]
	for _, f := range []decomp.Activation{decomp.Identity, decomp.ReLU, decomp.ReLU6, decomp.GELU} {
		far := got == nil
		for i, z := range grid() {
			far = far || !(math.Abs(got[i]-f.At(z)) <= near)
		}
		if !far {
			return f, ""
		}
	}
	return 0, fmt.Sprintf("the activation before %s is none whose moments are known from weights: ReLU, ReLU6, GELU or none", s.Name)
}
