package compound

import (
	"errors"
	"fmt"

	"github.com/onnx-compress/onnx-compress/graph"
)

// turn is how positions turn the channels of heads.
type turn struct {
	cos, sin    string // tables [positions, half], or [batch, sequence, half] where there are no positions
	positions   string // [sequence] or [batch, sequence], "" for none
	ranks       int    // axes of what the tables give: those of positions and one more
	half        int    // how many pairs of channels turn
	interleaved bool   // whether pairs are neighbours, and not half of the channels apart
}

// rotate turns the channels of x [batch, sequence, heads, channels], of which so many are in a head.
func (b *body) rotate(x string, channels int, t turn) string {
	beside := func(table string) string {
		if t.positions != "" {
			table = b.gather(table, t.positions, 0)
		}
		return b.unsqueeze(table, t.ranks-1)
	}
	cos, sin := beside(t.cos), beside(t.sin)
	var first, second string
	if t.interleaved {
		first, second = b.slice(x, 3, 0, 2*t.half, 2), b.slice(x, 3, 1, 2*t.half, 2)
	} else {
		first, second = b.slice(x, 3, 0, t.half, 1), b.slice(x, 3, t.half, 2*t.half, 1)
	}
	left := b.Op("Sub", b.Op("Mul", first, cos), b.Op("Mul", second, sin))
	right := b.Op("Add", b.Op("Mul", first, sin), b.Op("Mul", second, cos))
	var y string
	if t.interleaved {
		y = b.concat(4, b.unsqueeze(left, 4), b.unsqueeze(right, 4))
		y = b.reshape(y, 0, 0, 0, 2*t.half)
	} else {
		y = b.concat(3, left, right)
	}
	if 2*t.half < channels {
		y = b.concat(3, y, b.slice(x, 3, 2*t.half, rest, 1))
	}
	return y
}

// rotated is the body of a rotary embedding of input 0, [batch, sequence, hidden] or [batch, heads, sequence, channels].
func (b *body) rotated(t turn) error {
	shape, err := b.shape(b.x(0))
	if err != nil {
		return err
	}
	if t.half, err = b.last(t.cos); err != nil {
		return err
	}
	t.interleaved = b.node.Int("interleaved", 0) != 0
	if r := b.node.Int("rotary_embedding_dim", 0); r != 0 && r != 2*t.half {
		return fmt.Errorf("rotary_embedding_dim %d beside tables of %d pairs", r, t.half)
	}
	switch len(shape) {
	case 4:
		y := b.rotate(b.transpose(b.x(0), 0, 2, 1, 3), shape[3], t)
		b.give(0, b.transpose(y, 0, 2, 1, 3))
	case 3:
		channels := 2 * t.half
		if n := b.node.Int("num_heads", 0); n > 0 {
			channels = shape[2] / n
		}
		if channels == 0 || shape[2]%channels != 0 {
			return fmt.Errorf("%d channels in heads of %d", shape[2], channels)
		}
		y := b.rotate(b.reshape(b.x(0), 0, 0, shape[2]/channels, channels), channels, t)
		b.give(0, b.reshape(y, 0, 0, shape[2]))
	default:
		return fmt.Errorf("input of shape %v", shape)
	}
	return nil
}

// rotary is RotaryEmbedding of ONNX: X, tables of cosines and sines, and the positions in them, without which the tables are those
// of every sample.
func rotary(b *body) error {
	return b.rotated(turn{cos: b.x(1), sin: b.x(2), positions: b.x(3), ranks: 3})
}

// rotaryAt is RotaryEmbedding of com.microsoft: input, position_ids, tables of cosines and sines. A single position is that of the
// first entry.
func rotaryAt(b *body) error {
	if err := b.plain(0, "is_packed_batching"); err != nil {
		return err
	}
	if b.node.Float("scale", 1) != 1 {
		return errors.New("with a scale it has no body")
	}
	shape, err := b.shape(b.x(0))
	if err != nil {
		return err
	}
	rank, err := b.rank(b.x(1))
	if err != nil {
		return err
	}
	t := turn{cos: b.x(2), sin: b.x(3), positions: b.x(1), ranks: 3}
	if rank < 2 {
		if b.Opset < 11 {
			return errors.New("before operator set 11 it has no body with one position")
		}
		t.positions = b.Op("Add", b.counting(b.size(b.x(0), len(shape)-2)), b.x(1))
		t.ranks = 2
	}
	return b.rotated(t)
}

// heads takes [batch, sequence, hidden] to [batch, heads, sequence, channels].
func (b *body) heads(x string, n, channels int) string {
	return b.transpose(b.reshape(x, 0, 0, n, channels), 0, 2, 1, 3)
}

// joined takes [batch, heads, sequence, channels] to [batch, sequence, hidden].
func (b *body) joined(x string, hidden int) string {
	return b.reshape(b.transpose(x, 0, 2, 1, 3), 0, 0, hidden)
}

// repeated gives each of so many heads of keys or values to as many queries.
func (b *body) repeated(x string, n, channels, times int) string {
	if times == 1 {
		return x
	}
	wide := b.unsqueeze(x, 2)
	parts := make([]string, times)
	for i := range parts {
		parts[i] = wide
	}
	return b.reshape(b.concat(2, parts...), 0, n*times, -1, channels)
}

// divided is how many channels each of n heads has.
func divided(hidden, n int) (int, error) {
	if n <= 0 || hidden%n != 0 {
		return 0, fmt.Errorf("%d channels for %d heads", hidden, n)
	}
	return hidden / n, nil
}

// attrs returns those of the node's attributes that are named.
func (b *body) attrs(names ...string) []graph.Attr {
	var out []graph.Attr
	for _, name := range names {
		if a, ok := b.node.Attr(name); ok {
			out = append(out, a)
		}
	}
	return out
}
