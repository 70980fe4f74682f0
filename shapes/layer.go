package shapes

import (
	"fmt"
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
)

// batchNorm follows BatchNormalization; further outputs are per channel.
func batchNorm(c *call) error {
	x := c.shape(0)
	c.set(0, x)
	channels := 1
	if len(x) > 1 {
		channels = x[1]
	}
	for i := 1; i < len(c.out); i++ {
		c.set(i, []int{channels})
	}
	return nil
}

// layerNorm follows LayerNormalization; mean and deviation keep the axes before axis.
func layerNorm(c *call) error {
	x := c.shape(0)
	k, err := graph.Axis(c.attr("axis", -1), len(x))
	if err != nil {
		return err
	}
	c.set(0, x)
	stat := slices.Concat(x[:k], ones(len(x)-k))
	c.set(1, stat)
	c.set(2, stat)
	return nil
}

func dropout(c *call) error {
	c.set(0, c.shape(0))
	c.set(1, c.shape(0))
	return nil
}

func dynamicQuantize(c *call) error {
	c.set(0, c.shape(0))
	c.set(1, []int{})
	c.set(2, []int{})
	return nil
}

// recurrent follows RNN, GRU and LSTM: X [seq, batch, in], or [batch, seq, in]
// where layout is 1 (opset 14); R [directions, gates·hidden, hidden].
func recurrent(c *call) error {
	x, r := c.shape(0), c.shape(2)
	if len(x) != 3 || len(r) != 3 {
		return fmt.Errorf("input of shape %v, recurrence of shape %v", x, r)
	}
	dirs, hidden := r[0], r[2]
	if c.attr("layout", 0) == 1 {
		c.set(0, []int{x[0], x[1], dirs, hidden})
		c.set(1, []int{x[0], dirs, hidden})
		c.set(2, []int{x[0], dirs, hidden})
		return nil
	}
	c.set(0, []int{x[0], dirs, x[1], hidden})
	c.set(1, []int{dirs, x[1], hidden})
	c.set(2, []int{dirs, x[1], hidden})
	return nil
}

// attention follows Attention (opset 23): Q, K, V as [batch, heads, seq, size], or
// [batch, seq, heads·size] with head counts as attributes; a cache of past keys and
// values in inputs 4 and 5 goes before K and V. Outputs: Y, the grown cache, the scores.
func attention(c *call) error {
	q, k, v := c.shape(0), c.shape(1), c.shape(2)
	flat := len(q) == 3
	var err error
	if q, err = heads(q, c.attr("q_num_heads", 0)); err != nil {
		return err
	}
	if k, err = heads(k, c.attr("kv_num_heads", 0)); err != nil {
		return err
	}
	if v, err = heads(v, c.attr("kv_num_heads", 0)); err != nil {
		return err
	}
	past := 0
	if c.has(4) {
		if len(c.shape(4)) != 4 {
			return fmt.Errorf("past keys of shape %v", c.shape(4))
		}
		past = c.shape(4)[2]
	}
	if flat {
		c.set(0, []int{q[0], q[2], q[1] * v[3]})
	} else {
		c.set(0, []int{q[0], q[1], q[2], v[3]})
	}
	c.set(1, []int{k[0], k[1], past + k[2], k[3]})
	c.set(2, []int{v[0], v[1], past + v[2], v[3]})
	c.set(3, []int{q[0], q[1], q[2], past + k[2]})
	return nil
}

// heads returns [batch, heads, seq, size] for an operand of Attention.
func heads(shape []int, n int) ([]int, error) {
	if len(shape) == 4 {
		return shape, nil
	}
	if len(shape) != 3 || n <= 0 || shape[2]%n != 0 {
		return nil, fmt.Errorf("operand of shape %v with %d heads", shape, n)
	}
	return []int{shape[0], n, shape[1], shape[2] / n}, nil
}
