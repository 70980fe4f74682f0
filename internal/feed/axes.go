package feed

import (
	"bytes"
	"context"
	"math"
	"slices"

	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/internal/outputs"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// Axes says by name along which axis of a model's outputs the samples of a batch lie: 0 for names that it does not have, and
// negative where they lie along none.
type Axes map[string]int

// FindAxes finds the axes of outputs: as they are declared, or where that is not so, by two runs of the session that open makes, if any: of
// one sample and of two where the batch is free; else of batches that differ in the last sample. The samples of batches of
// one need no axis. The only errors are the context's and those of open: what is wrong with a model, its runs will say.
func FindAxes(ctx context.Context, open func() (s *ort.Session, done func(), err error), src samples.Source, indices []int, inputs []samples.InputSpec, batch int, list []outputs.Output) (Axes, error) {
	a := Axes{}
	var names []string
	for _, o := range list {
		if a[o.Name] = max(o.Axis, 0); o.Axis < 0 && o.Kind != outputs.Opaque && o.Varies == "" {
			names = append(names, o.Name)
		}
	}
	fixed := samples.Batch(inputs)
	if fixed > 0 {
		batch = fixed
	}
	if len(names) == 0 || len(indices) == 0 || batch < 2 {
		return a, nil
	}
	one, other := twoRuns(ctx, src, indices, inputs, fixed)
	if other == nil {
		return a, ctx.Err()
	}
	s, done, err := open()
	if err != nil || s == nil {
		return a, err
	}
	defer done()
	before, err := s.Run(ctx, one, names)
	if err != nil {
		return a, ctx.Err()
	}
	defer before.Close()
	after, err := s.Run(ctx, other, names)
	if err != nil {
		return a, ctx.Err()
	}
	defer after.Close()
	for i, name := range names {
		if x, y := before.Get(i), after.Get(i); fixed > 0 {
			a[name] = told(x, y, fixed)
		} else {
			a[name] = grown(x.Shape, y.Shape)
		}
	}
	return a, nil
}

// Opened gives out a session that somebody else closes.
func Opened(s *ort.Session) func() (*ort.Session, func(), error) {
	return func() (*ort.Session, func(), error) { return s, func() {}, nil }
}

// twoRuns are the inputs of the two runs; other is nil where there is nothing to tell an axis by.
func twoRuns(ctx context.Context, src samples.Source, indices []int, inputs []samples.InputSpec, fixed int) (one, other map[string]tensor.Dense) {
	first, err := First(ctx, src, indices[:1], inputs, 1)
	if err != nil || first.Batch == 0 {
		return nil, nil
	}
	list, batch := slices.Repeat(first.Samples, 2), 2
	if fixed > 0 {
		list, batch = slices.Repeat(first.Samples, fixed), fixed
		for _, i := range indices[1:min(len(indices), 8)] {
			s, err := src.Sample(i)
			if err != nil || s.Check(inputs) != nil || !sameShapes(s, list[0], inputs) {
				continue
			}
			if list[fixed-1] = s; slices.ContainsFunc(inputs, func(in samples.InputSpec) bool {
				return !bytes.Equal(s.Inputs[in.Name].Data, list[0].Inputs[in.Name].Data)
			}) {
				break
			}
		}
	}
	if other, err = samples.Stack(list, inputs, batch); err != nil {
		return nil, nil
	}
	return first.Inputs, other
}

// grown is the axis that is larger for two samples than for one.
func grown(one, two []int) int {
	if len(one) != len(two) {
		return -1
	}
	axis := -1
	for i := range slices.Backward(one) {
		if two[i] == 2*one[i] && (one[i] == 1 || i == 0 && one[i] > 0) {
			axis = i
		}
	}
	return axis
}

// own is which share of the change of an output lies, at least, in the entry of the sample that changed. What a model finds out of a
// whole batch, such as the scale of a quantization, changes the others too, by little.
const own = 0.9

// told is the axis of size n in whose last entry two values differ.
func told(a, b tensor.Dense, n int) int {
	x, err := a.Float64s()
	y, err2 := b.Float64s()
	known := err == nil && err2 == nil && len(x) == len(y)
	best, most := -1, own
	for axis, size := range a.Shape {
		if size != n {
			continue
		}
		share, differ := 0., false
		if known {
			share, differ = lastShare(x, y, n, tensor.Product(a.Shape[axis+1:]))
		}
		switch {
		case !differ:
			return axis // there is only the size to go by
		case share >= most:
			best, most = axis, share
		}
	}
	return best
}

// lastShare is the share of Σ(y−x)² in the last entries of an axis of size n with so many numbers to an entry.
func lastShare(x, y []float64, n, entry int) (share float64, differ bool) {
	var last, all float64
	for i, v := range x {
		d := (y[i] - v) * (y[i] - v)
		if math.IsNaN(d) || math.IsInf(d, 0) {
			continue
		}
		all += d
		if i/entry%n == n-1 {
			last += d
		}
	}
	return last / all, all > 0
}

// Lead brings the samples of an output, of a batch of so many, to its axis 0. It is false where they do not lie along an axis of that size.
func (a Axes) Lead(name string, d tensor.Dense, batch int) (tensor.Dense, bool) {
	axis := a[name]
	if axis < 0 || axis >= len(d.Shape) || d.Shape[axis] != batch {
		return d, false
	}
	if axis == 0 {
		return d, true
	}
	shape := slices.Concat([]int{batch}, d.Shape[:axis], d.Shape[axis+1:])
	return tensor.Dense{Type: d.Type, Shape: shape, Data: swapped(d.Data, tensor.Product(d.Shape[:axis]), batch)}, true
}

// Entry is one entry of a value along its axis 0, of elements of whole bytes, as those of outputs are.
func Entry(d tensor.Dense, k int) tensor.Dense {
	size := len(d.Data) / d.Shape[0]
	return tensor.Dense{Type: d.Type, Shape: d.Shape[1:], Data: d.Data[k*size:][:size]}
}

// Back undoes Lead.
func (a Axes) Back(name string, d tensor.Dense) tensor.Dense {
	axis := a[name]
	if axis <= 0 || axis >= len(d.Shape) {
		return d
	}
	shape := slices.Concat(d.Shape[1:axis+1], d.Shape[:1], d.Shape[axis+1:])
	return tensor.Dense{Type: d.Type, Shape: shape, Data: swapped(d.Data, d.Shape[0], tensor.Product(shape[:axis]))}
}

// swapped transposes [a, b, ...] to [b, a, ...].
func swapped(data []byte, a, b int) []byte {
	out := make([]byte, len(data))
	entry := len(data) / max(1, a*b)
	for i := range a {
		for k := range b {
			copy(out[(k*a+i)*entry:][:entry], data[(i*b+k)*entry:])
		}
	}
	return out
}

// WithoutFiller brings the samples of an output to its axis 0 and cuts off what a fixed batch was filled up with, or says that it
// cannot be told apart. What does not go by samples stays as it is, where there is no filler.
func (r *Run) WithoutFiller(axes Axes, name string, d tensor.Dense) (tensor.Dense, bool) {
	if r.Batch == 0 {
		return d, true
	}
	led, ok := axes.Lead(name, d, r.Batch)
	if !ok {
		return d, r.Batch <= len(r.Samples)
	}
	led.Data = led.Data[:len(led.Data)/r.Batch*len(r.Samples)]
	led.Shape = append([]int{len(r.Samples)}, led.Shape[1:]...)
	return led, true
}
