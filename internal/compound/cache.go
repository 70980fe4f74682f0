package compound

import (
	"errors"
	"math"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// cache is how a GroupQueryAttention keeps keys and values; all that it gives are values of the body.
type cache struct {
	// positions are those of the node's tokens, [sequence] or [batch, sequence]; ranks has one axis more.
	positions func() (positions string, ranks int)
	// grow returns the keys or values that the node reads, of those of the past and the new ones [batch, heads, sequence, channels].
	grow func(past, new string) string
	// masks are added to the scores of the queries against these keys.
	masks func(keys string) []string
	// present is what is kept of them.
	present func(all string, heads, channels int) string
}

// cached tells how the node keeps keys and values.
func (b *body) cached() (*cache, error) {
	queries, window := b.size(b.x(0), 1), b.node.Int("local_window_size", -1)
	if b.node.Int("sliding_window_cache", 0) != 0 {
		return b.windowedCache(queries, window)
	}
	offset := ""
	if b.x(3) != "" {
		offset = b.size(b.x(3), 2)
	}
	after := func(v string) string {
		if offset == "" {
			return v
		}
		return b.Op("Add", v, offset)
	}
	return &cache{
		positions: func() (string, int) { return after(b.counting(queries)), 2 },
		grow:      b.grown,
		masks: func(k string) []string {
			keys := b.size(k, 2)
			masks := []string{b.penalty(b.ahead(queries, keys, offset), b.lowest())}
			if window > 0 {
				first := after(b.Op("Sub", b.counting(queries), b.index(window-1)))
				before := b.Op("Less", b.counting(keys), b.unsqueeze(first, 1))
				masks = append(masks, b.penalty(before, b.lowest()))
			}
			return masks
		},
		present: func(all string, _, _ int) string { return all },
	}, nil
}

// windowedCache has room for C positions, W ≤ C of them the window. Of the T tokens of a sample so far its first L(T) rows hold the last L(T),
// one behind the other; the other rows hold anything. With G = C-W+1, L(T) is T up to C tokens, and T - G·⌈(T-C)/G⌉ beyond: so the text of the
// operator in ONNX Runtime. Every sample has a T of its own, seqlens_k + 1, and total_sequence_length is the largest.
func (b *body) windowedCache(queries string, window int) (*cache, error) {
	var err error
	switch {
	case b.Opset < 12:
		err = errors.New("with sliding_window_cache=1 it has no body before operator set 12")
	case window <= 0:
		err = errors.New("with sliding_window_cache=1 it wants a local_window_size")
	case b.x(3) == "" || b.x(4) == "" || b.x(5) == "" || b.x(6) == "":
		err = errors.New("with sliding_window_cache=1 it wants past keys and values, and lengths")
	case b.x(10) != "":
		err = errors.New("with sliding_window_cache=1 and an attention_bias it has no body")
	}
	if err != nil {
		return nil, err
	}
	zero, one := b.index(0), b.index(1)
	room := b.size(b.x(3), 2)
	step := b.Op("Sub", room, b.index(window-1))
	rows := func(tokens string) string {
		beyond := b.Op("Max", b.Op("Sub", tokens, room), zero)
		times := b.Op("Div", b.Op("Add", beyond, b.Op("Sub", step, one)), step)
		return b.Op("Sub", tokens, b.Op("Mul", step, times))
	}
	// Each is [batch, 1]: tokens with those of the node, and before it; rows in use before it, and behind. No token of the node is padding.
	total := b.Op("Add", b.reshape(b.cast(b.x(5), tensor.Int64), -1, 1), one)
	before := b.Op("Sub", total, queries)
	resident, kept := rows(before), rows(total)
	// No sample has more rows in use than front [1], which shapes may decide where lengths depend on what a mask holds.
	front := b.Op("Min", b.Op("Sub", b.reshape(b.cast(b.x(6), tensor.Int64), -1), queries), room)
	return &cache{
		positions: func() (string, int) { return b.Op("Add", before, b.counting(queries)), 3 },
		grow: func(past, new string) string {
			return b.concat(2, b.Op("Slice", past, b.Ints(0), front, b.Ints(2)), new)
		},
		masks: func(string) []string {
			// Places are counted from the first of the node's tokens. Rows that are not in use lie behind all.
			past := b.Op("Sub", b.counting(b.reshape(front)), resident)
			past = b.Op("Where", b.Op("Less", past, zero), past, b.index(math.MaxInt32))
			own := b.counting(queries)
			every := b.Op("Add", b.Op("Mul", before, zero), own)
			places, query := b.unsqueeze(b.concat(1, past, every), 1, 2), b.unsqueeze(own, 1)
			return []string{
				b.penalty(b.Op("Greater", places, query), b.lowest()),
				b.penalty(b.Op("Less", places, b.Op("Sub", query, b.index(window-1))), b.lowest()),
			}
		},
		present: func(all string, heads, channels int) string {
			row := b.Op("Add", b.counting(room), b.Op("Sub", b.Op("Add", resident, queries), kept)) // among those in use
			row = b.Op("Where", b.Op("Less", row, resident), row, b.Op("Add", row, b.Op("Sub", front, resident)))
			row = b.Op("Min", row, b.Op("Sub", b.size(all, 2), one))
			row = b.Op("Expand", b.unsqueeze(row, 1, 3), b.Ints(1, heads, 1, channels))
			return b.Node("GatherElements", []string{all, row}, graph.Int("axis", 2))
		},
	}, nil
}
