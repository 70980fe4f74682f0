package rewrite

import "slices"

// convolution follows Conv and ConvTranspose: a site computes or reads channels along axis 1; where it has groups, all
// channels of a group, before and behind it, are one unit.
func convolution(t *step) {
	s, ok := t.sites[t.node]
	switch {
	case !ok:
		t.refuse("has no weight that could be narrowed: %s", t.skips[t.node])
	case t.axis != 1 || t.slot > 0:
		t.refuse("does not treat them as its channels")
	case s.Kernel.Groups > 1:
		t.grouped(s)
	case t.out:
		t.computes(s)
		t.adds(0, t.units)
	default:
		t.reads(s)
	}
}

// computes notes that the output channels of a site are those of the step.
func (t *step) computes(s *Site) {
	out, _ := s.channelAxes()
	t.side(s, "computes", t.producers, s.Kernel.Out, out)
}

// reads notes that the input channels of a site are those of the step.
func (t *step) reads(s *Site) {
	_, in := s.channelAxes()
	t.side(s, "reads", t.readers, s.Kernel.In, in)
}

// side notes that the n channels of one side of a site, which lie so far from the right in its weight, are those of the step.
func (t *step) side(s *Site, verb string, ports map[*Site][]int, n, right int) {
	if len(t.units) != n {
		t.refuse("%s %d channels, not %d", verb, n, len(t.units))
		return
	}
	t.port(ports, s, t.units)
	t.cut(operand{t.node, s.weight.slot, right}, t.units)
}

// channelAxes returns how many axes lie behind that of the output channels and behind that of the input channels, of a
// single group, in the weight as the node sees it.
func (s *Site) channelAxes() (out, in int) {
	taps := len(s.Kernel.Window)
	if s.weight.swap || s.View.Transposed {
		return taps, taps + 1
	}
	return taps + 1, taps
}

// grouped follows channels through a convolution with groups, which goes with them.
func (t *step) grouped(s *Site) {
	k := s.Kernel
	from, to := k.In/k.Groups, k.Rows() // channels of a group before and behind
	if t.out {
		from, to = to, from
	}
	if len(t.units) != from*k.Groups {
		t.refuse("has %d groups of %d channels, not %d channels", k.Groups, from, len(t.units))
		return
	}
	other := make([]int, 0, to*k.Groups)
	for g := range k.Groups {
		group := t.units[g*from : (g+1)*from]
		first := group[0]
		for _, c := range group {
			if (c < 0) != (first < 0) {
				t.refuse("takes some of its %d groups to pieces", k.Groups)
				return
			}
			if c >= 0 {
				t.join(first, c)
			}
		}
		other = append(other, slices.Repeat([]int{first}, to)...)
	}
	in, out := t.units, other
	if t.out {
		in, out = other, t.units
	}
	t.input(0, 1, in)
	t.output(0, 1, out)
	rows := out // the weight's first axis
	if s.View.Transposed {
		rows = in
	}
	t.cut(operand{t.node, s.weight.slot, len(k.Window) + 1}, rows)
	t.numbers[number{node: t.node, attr: "group"}] = span{position{t.node.Output(0), 1}, 0, k.Out, k.Rows()}
	t.adds(0, out)
}

// adds notes that the channels lie so many axes before the last of a site's third input, which it may have not yet: a shift
// of its output may bring one.
func (t *step) adds(right int, units []int) {
	if t.node.Input(2) == "" {
		t.cut(operand{t.node, 2, right}, units)
		return
	}
	t.align(2, right, units)
}

// gemm follows Gemm: a site, of which the rows of one input and of the output may have channels too.
func gemm(t *step) {
	s, ok := t.sites[t.node]
	if !ok {
		t.refuse("has no weight that could be narrowed: %s", t.skips[t.node])
		return
	}
	in, ok := t.shape(s.Input)
	if !ok {
		return
	}
	if t.opset < 7 && t.node.Input(2) != "" {
		t.refuse("broadcasts as before operator set 7, which is not followed")
		return
	}
	column := s.View.axis(len(in))
	channel := s.ChannelAxis(2)
	switch data := 1 - s.weight.slot; {
	case t.out && t.axis == channel:
		t.computes(s)
		t.adds(1-channel, t.units)
	case t.out:
		t.input(data, 1-column, t.units)
		t.align(2, channel, t.units)
	case t.slot != data:
		t.addend()
	case t.axis == column:
		t.reads(s)
	default:
		t.output(0, 1-channel, t.units)
		t.align(2, channel, t.units)
	}
}

// addend follows channels from what a Gemm adds to its output.
func (t *step) addend() {
	c, ok := t.shape(t.node.Input(t.slot))
	out, known := t.shape(t.node.Output(0))
	if ok && known {
		t.output(0, len(out)-len(c)+t.axis, t.units)
	}
}

// axis is that along which the columns of a matrix lie in an input of the given rank.
func (v View) axis(rank int) int {
	switch {
	case v.Kind == FirstAxis || rank == 1:
		return 0
	case v.Kind == SecondLastAxis:
		return rank - 2
	}
	return rank - 1
}

// matMul follows MatMul: a site, or a product of activations, whose axes other than the one summed over channels may pass.
func matMul(t *step) {
	s, ok := t.sites[t.node]
	if !ok {
		if _, constant := t.hold(t.node.Input(1 - t.slot)); constant && !t.out {
			t.refuse("has no weight that could be narrowed: %s", t.skips[t.node])
			return
		}
		t.product()
		return
	}
	in, out, ok := t.rows(s)
	switch {
	case !ok:
	case s.Kernel.Groups > 1:
		t.refuse("multiplies them with a stack of matrices")
	case t.out && t.axis == s.ChannelAxis(len(out)):
		t.computes(s)
	case !t.out && t.axis == s.View.axis(len(in)):
		t.reads(s)
	case t.out:
		t.input(1-s.weight.slot, len(in)-len(out)+t.axis, t.units)
	default:
		t.output(0, len(out)-len(in)+t.axis, t.units)
	}
}

// rows returns the shapes of what a matrix reads and computes.
func (t *step) rows(s *Site) (in, out []int, ok bool) {
	if in, ok = t.shape(s.Input); !ok {
		return nil, nil, false
	}
	out, ok = t.shape(s.Output)
	return in, out, ok
}

// product follows channels through a product of two activations [..., M, K] and [..., K, N].
func (t *step) product() {
	a, aok := t.shape(t.node.Input(0))
	b, bok := t.shape(t.node.Input(1))
	out, ok := t.shape(t.node.Output(0))
	if !aok || !bok || !ok {
		return
	}
	if len(a) < 2 || len(b) < 2 {
		t.refuse("multiplies them with a vector that is computed")
		return
	}
	of := [][]int{a, b}[t.slot&1]
	if t.out {
		of = out
	}
	right := len(of) - 1 - t.axis
	switch {
	case !t.out && right == t.slot:
		if !slices.Contains(t.products, t.node) {
			t.products = append(t.products, t.node)
		}
		t.input(0, len(a)-1, t.units)
		t.input(1, len(b)-2, t.units)
	case right == 0:
		t.input(1, len(b)-1, t.units)
		t.output(0, len(out)-1, t.units)
	case right == 1:
		t.input(0, len(a)-2, t.units)
		t.output(0, len(out)-2, t.units)
	default:
		t.align(0, right, t.units)
		t.align(1, right, t.units)
		t.output(0, len(out)-1-right, t.units)
	}
}
