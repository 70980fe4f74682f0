package shapes

import (
	"fmt"
	"slices"

	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
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
	k, err := axis(c.attr("axis", -1), len(x))
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

// attention follows Attention (opset 23) without a cache: Q, K, V as [batch,
// heads, seq, size], or [batch, seq, heads·size] with head counts as attributes.
func attention(c *call) error {
	q, v := c.shape(0), c.shape(2)
	if len(c.out) > 1 {
		return fmt.Errorf("only the first output has a shape rule")
	}
	switch {
	case len(q) == 4 && len(v) == 4:
		c.set(0, []int{q[0], q[1], q[2], v[3]})
	case len(q) == 3 && len(v) == 3:
		heads, kv := c.attr("q_num_heads", 0), c.attr("kv_num_heads", 0)
		if heads <= 0 || kv <= 0 || v[2]%int(kv) != 0 {
			return fmt.Errorf("q_num_heads %d, kv_num_heads %d for shapes %v and %v", heads, kv, q, v)
		}
		size, err := times(v[2]/int(kv), heads)
		if err != nil {
			return err
		}
		c.set(0, []int{q[0], q[1], size})
	default:
		return fmt.Errorf("shapes %v and %v", q, v)
	}
	return nil
}

// ifElse follows If: the branch that a known condition takes, or both where they agree.
func ifElse(c *call) error {
	branches := []*onnxpb.GraphProto{onnxio.Attr(c.node, "then_branch").GetG(), onnxio.Attr(c.node, "else_branch").GetG()}
	if d, ok := c.data(0).ints(); ok && len(d) == 1 {
		if d[0] != 0 {
			branches = branches[:1]
		} else {
			branches = branches[1:]
		}
	}
	var first []*value
	for k, g := range branches {
		if g == nil || len(g.GetOutput()) != len(c.out) {
			return fmt.Errorf("a branch is missing or has another number of outputs")
		}
		inner := c.inner()
		inner.graph(g)
		out := make([]*value, len(c.out))
		for i, o := range g.GetOutput() {
			if out[i] = inner.values[o.GetName()]; out[i] == nil {
				return fmt.Errorf("output %q of a branch: %s", o.GetName(), inner.why[o.GetName()])
			}
		}
		if k == 0 {
			first = out
			continue
		}
		for i, v := range out {
			if !slices.Equal(v.shape, first[i].shape) {
				return fmt.Errorf("the branches give shapes %v and %v", first[i].shape, v.shape)
			}
			first[i] = &value{shape: v.shape}
		}
	}
	copy(c.out, first)
	return nil
}
