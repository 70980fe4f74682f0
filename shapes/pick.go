package shapes

import (
	"fmt"
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/tensor"
)

func gather(c *call) error {
	in, idx := c.shape(0), c.shape(1)
	k, err := graph.Axis(c.attr("axis", 0), len(in))
	if err != nil {
		return err
	}
	out := slices.Concat(in[:k], idx, in[k+1:])
	at, ok := c.data(1).ints()
	for i, a := range at {
		if a < -int64(in[k]) || a >= int64(in[k]) {
			return fmt.Errorf("index %d is out of range for axis %d of size %d", at[i], k, in[k])
		}
	}
	if !ok {
		c.set(0, out)
		return nil
	}
	st, si := strides(in), strides(idx)
	c.moved(out, func(p []int) int {
		a := int(at[dot(p[k:k+len(idx)], si)])
		if a < 0 {
			a += in[k]
		}
		return dot(p[:k], st[:k]) + a*st[k] + dot(p[k+len(idx):], st[k+1:])
	})
	return nil
}

func gatherElements(c *call) error {
	c.set(0, c.shape(1))
	return nil
}

func gatherND(c *call) error {
	in, idx := c.shape(0), c.shape(1)
	b := c.attr("batch_dims", 0)
	if len(idx) == 0 || b < 0 || b >= len(idx) {
		return fmt.Errorf("indices of shape %v with batch_dims %d", idx, b)
	}
	depth := idx[len(idx)-1]
	if b+depth > len(in) {
		return fmt.Errorf("indices of depth %d after %d batch axes into rank %d", depth, b, len(in))
	}
	c.set(0, slices.Concat(idx[:len(idx)-1], in[b+depth:]))
	return nil
}

// nonZero follows NonZero, whose output size depends on its input's numbers.
func nonZero(c *call) error {
	d := c.data(0)
	if d == nil {
		return fmt.Errorf("the output's size depends on data")
	}
	in := c.shape(0)
	rows := make([][]int64, len(in))
	n := 0
	for k := range d.len() {
		if d.real(k) != 0 {
			n++
			for i, a := range tensor.Coordinates(k, in) {
				rows[i] = append(rows[i], int64(a))
			}
		}
	}
	c.put(0, &value{shape: []int{len(in), n}, data: fromInts(tensor.Int64, slices.Concat(rows...)...)})
	return nil
}

func oneHot(c *call) error {
	depth := c.data(1)
	if depth == nil || depth.len() != 1 || !(depth.real(0) >= 0 && depth.real(0) < maxSize) {
		return fmt.Errorf("depth is not known in advance")
	}
	in := c.shape(0)
	k, err := graph.Axis(c.attr("axis", -1), len(in)+1)
	if err != nil {
		return err
	}
	c.set(0, slices.Concat(in[:k], []int{int(depth.real(0))}, in[k:]))
	return nil
}

// topK follows TopK: k is an attribute before opset 10, input 1 since.
func topK(c *call) error {
	n, err := c.scalar(1, c.attr("k", -1))
	if err != nil {
		return err
	}
	out := slices.Clone(c.shape(0))
	k, err := graph.Axis(c.attr("axis", -1), len(out))
	if err != nil {
		return err
	}
	if n < 0 || n > out[k] {
		return fmt.Errorf("k is %d for an axis of size %d", n, out[k])
	}
	out[k] = n
	c.set(0, out)
	c.set(1, out)
	return nil
}
