package shapes

import (
	"fmt"
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/tensor"
)

func concat(c *call) error {
	parts := slices.DeleteFunc(slices.Clone(c.in), func(v *value) bool { return v == nil })
	def := 0
	if c.opset < 4 {
		def = 1
	}
	out := slices.Clone(parts[0].shape)
	k, err := graph.Axis(c.attr("axis", def), len(out))
	if err != nil {
		return err
	}
	out[k] = 0
	for _, p := range parts {
		if len(p.shape) != len(out) {
			return fmt.Errorf("inputs of rank %d and %d", len(out), len(p.shape))
		}
		for i, d := range p.shape {
			if i != k && d != out[i] {
				return fmt.Errorf("inputs differ in axis %d: %d and %d", i, out[i], d)
			}
		}
		out[k] += p.shape[k]
	}
	c.put(0, &value{shape: out, data: concatenate(parts, out, k)})
	return nil
}

func concatenate(parts []*value, out []int, k int) *numbers {
	if !small(out) {
		return nil
	}
	data := make([]*numbers, len(parts))
	for i, p := range parts {
		data[i] = p.data
	}
	all := join(data)
	if all == nil {
		return nil
	}
	return all.pick(indices(out, func(at []int) int {
		base, a := 0, at[k]
		for _, p := range parts {
			if a < p.shape[k] {
				local := slices.Clone(at)
				local[k] = a
				return base + dot(local, strides(p.shape))
			}
			a -= p.shape[k]
			base += tensor.Product(p.shape)
		}
		return 0
	}))
}

// split follows Split: sizes are an attribute or (opset 1 and since 13) input 1;
// otherwise the outputs, or num_outputs of them, share the axis evenly.
func split(c *call) error {
	in := c.shape(0)
	k, err := graph.Axis(c.attr("axis", 0), len(in))
	if err != nil {
		return err
	}
	sizes, err := c.list("split", 1)
	if err != nil {
		return err
	}
	if sizes == nil {
		n := c.attr("num_outputs", len(c.out))
		if n <= 0 || n > len(c.out) {
			return fmt.Errorf("num_outputs is %d for %d outputs", n, len(c.out))
		}
		chunk := (in[k] + n - 1) / n
		for i := range n {
			sizes = append(sizes, min(chunk, max(0, in[k]-i*chunk)))
		}
	}
	at := 0
	for i, size := range sizes {
		if size < 0 || size > in[k]-at {
			return fmt.Errorf("parts %v of an axis of size %d", sizes, in[k])
		}
		out := slices.Clone(in)
		out[k] = size
		v := &value{shape: out}
		if d := c.data(0); d != nil && small(out) {
			st, from := strides(in), at
			v.data = d.pick(indices(out, func(p []int) int { return dot(p, st) + from*st[k] }))
		}
		c.put(i, v)
		at += size
	}
	return nil
}
