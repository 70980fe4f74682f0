package compound

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// softly is what attention does between queries and keys.
type softly struct {
	scale   float64
	softcap float64  // bounds the scores, 0 for not at all
	masks   []string // added to the scores behind that, broadcast to [batch, heads, queries, keys]
}

// attend returns Σ softmax(q·kᵀ)·v for q, k and v [batch, heads, sequence, channels].
func (b *body) attend(q, k, v string, s softly) string {
	scores := b.scale(b.Op("MatMul", q, b.transpose(k, 0, 1, 3, 2)), s.scale)
	if s.softcap != 0 {
		scores = b.scale(b.Op("Tanh", b.scale(scores, 1/s.softcap)), s.softcap)
	}
	for _, m := range s.masks {
		scores = b.Op("Add", scores, m)
	}
	return b.Op("MatMul", b.Node("Softmax", []string{scores}, graph.Int("axis", -1)), v)
}

// ahead returns whether keys [keys] come behind queries [queries, 1], of which the first stands at offset, "" for 0.
func (b *body) ahead(queries, keys, offset string) string {
	rows := b.counting(queries)
	if offset != "" {
		rows = b.Op("Add", rows, offset)
	}
	return b.Op("Greater", b.counting(keys), b.unsqueeze(rows, 1))
}

// scaled is the scale of the scores where the node does not say.
func (b *body) scaled(channels int) float64 {
	if v := float64(b.node.Float("scale", 0)); v != 0 {
		return v
	}
	return 1 / math.Sqrt(float64(channels))
}

// grown returns past and new keys or values one behind the other.
func (b *body) grown(past, new string) string {
	if past == "" {
		return new
	}
	return b.concat(2, past, new)
}

// maxShared bounds how many heads of queries share one of keys.
const maxShared = 1024

// errOld is for bodies that count positions.
var errOld = errors.New("before operator set 11 it has no body")

// attention is Attention of ONNX: Q, K, V, a mask, past keys and values; the outputs are Y and the keys and values so far.
func attention(b *body) error {
	if err := errors.Join(b.no(3), b.without(6)); err != nil {
		return err
	}
	x := [3]string{}
	var heads, channels [3]int
	flat := false
	for i := range x {
		shape, err := b.shape(b.x(i))
		if err != nil {
			return err
		}
		x[i] = b.x(i)
		switch len(shape) {
		case 4:
			heads[i], channels[i] = shape[1], shape[3]
		case 3:
			flat = true
			heads[i] = b.node.Int("kv_num_heads", 0)
			if i == 0 {
				heads[i] = b.node.Int("q_num_heads", 0)
			}
			if channels[i], err = divided(shape[2], heads[i]); err != nil {
				return err
			}
			x[i] = b.heads(x[i], heads[i], channels[i])
		default:
			return fmt.Errorf("input %d of shape %v", i, shape)
		}
	}
	k, v := b.grown(b.x(4), x[1]), b.grown(b.x(5), x[2])
	b.give(1, k)
	b.give(2, v)
	s := softly{scale: b.scaled(channels[0]), softcap: float64(b.node.Float("softcap", 0))}
	if mask := b.x(3); mask != "" {
		if b.typeOf(mask) == tensor.Bool {
			mask = b.penalty(b.Op("Not", mask), b.lowest())
		}
		s.masks = append(s.masks, mask)
	}
	if b.node.Int("is_causal", 0) != 0 {
		offset := ""
		if b.x(4) != "" {
			offset = b.size(b.x(4), 2)
		}
		s.masks = append(s.masks, b.penalty(b.ahead(b.size(x[0], 2), b.size(k, 2), offset), b.lowest()))
	}
	if heads[1] == 0 || heads[0]%heads[1] != 0 || heads[0]/heads[1] > maxShared {
		return fmt.Errorf("%d heads of queries for %d of keys", heads[0], heads[1])
	}
	times := heads[0] / heads[1]
	y := b.attend(x[0], b.repeated(k, heads[1], channels[1], times), b.repeated(v, heads[2], channels[2], times), s)
	if flat {
		y = b.joined(y, heads[0]*channels[2])
	}
	b.give(0, y)
	return nil
}

// packedAttention is Attention of com.microsoft: an input, the weights of queries, keys and values side by side, their bias, a
// mask, past keys and values, and what is added to the scores; the outputs are Y, and the keys and values so far. It is three
// products and a MultiHeadAttention.
func packedAttention(b *body) error {
	err := errors.Join(b.without(6), b.plain(0, "do_rotary", "past_present_share_buffer"))
	if err != nil {
		return err
	}
	sizes := b.node.Ints("qkv_hidden_sizes")
	if sizes == nil {
		width, err := b.last(b.x(1))
		if err != nil {
			return err
		}
		sizes = []int{width / 3, width / 3, width / 3}
	}
	if len(sizes) != 3 {
		return fmt.Errorf("qkv_hidden_sizes %v", sizes)
	}
	inputs, label, at := make([]string, 8), b.Prefix, 0
	for i, part := range []string{"query", "key", "value"} {
		b.Prefix = label + "/" + part
		x := b.Op("MatMul", b.x(0), b.slice(b.x(1), 1, at, at+sizes[i], 1))
		if b.x(2) != "" {
			x = b.Op("Add", x, b.slice(b.x(2), 0, at, at+sizes[i], 1))
		}
		inputs[i] = x
		at += sizes[i]
	}
	b.Prefix = label
	inputs[4], inputs[5] = b.x(3), b.x(5)
	if past := b.x(4); past != "" { // [2, batch, heads, sequence, channels]
		inputs[6], inputs[7] = b.gather(past, b.index(0), 0), b.gather(past, b.index(1), 0)
	}
	for inputs[len(inputs)-1] == "" {
		inputs = inputs[:len(inputs)-1]
	}
	outputs := 1
	if b.node.Output(1) != "" {
		outputs = 3
	}
	y := b.Several("com.microsoft::MultiHeadAttention", inputs, outputs, b.attrs("num_heads", "unidirectional", "scale", "mask_filter_value")...)
	b.give(0, y[0])
	if outputs > 1 {
		b.give(1, b.concat(0, b.unsqueeze(y[1], 0), b.unsqueeze(y[2], 0)))
	}
	return nil
}

// multiHead is MultiHeadAttention: query, key, value, bias, key_padding_mask, attention_bias, past_key, past_value; the outputs
// are Y and the keys and values so far. Keys and values may be cut into heads already.
func multiHead(b *body) error {
	if err := errors.Join(b.without(8, 9), b.no(3)); err != nil {
		return err
	}
	if b.Opset < 11 {
		return errOld
	}
	n, at := b.node.Int("num_heads", 0), 0
	var x [3]string
	var channels [3]int
	for i := range x {
		shape, err := b.shape(b.x(i))
		if err != nil {
			return err
		}
		if len(shape) == 4 && i > 0 {
			x[i], channels[i] = b.x(i), shape[3]
			continue
		}
		if len(shape) != 3 {
			return fmt.Errorf("input %d of shape %v", i, shape)
		}
		if channels[i], err = divided(shape[2], n); err != nil {
			return err
		}
		x[i] = b.x(i)
		if b.x(3) != "" {
			x[i] = b.Op("Add", x[i], b.slice(b.x(3), 0, at, at+shape[2], 1))
		}
		at += shape[2]
		x[i] = b.heads(x[i], n, channels[i])
	}
	k, v := b.grown(b.x(6), x[1]), b.grown(b.x(7), x[2])
	b.give(1, k)
	b.give(2, v)
	s := softly{scale: b.scaled(channels[0])}
	if b.x(5) != "" {
		s.masks = append(s.masks, b.x(5))
	}
	filter := float64(b.node.Float("mask_filter_value", -10000))
	if mask := b.x(4); mask != "" {
		m, err := b.padding(mask, k, filter)
		if err != nil {
			return err
		}
		s.masks = append(s.masks, m)
	}
	if b.node.Int("unidirectional", 0) != 0 {
		keys, queries := b.size(k, 2), b.size(x[0], 2)
		s.masks = append(s.masks, b.penalty(b.ahead(queries, keys, b.Op("Sub", keys, queries)), b.lowest()))
	}
	b.give(0, b.joined(b.attend(x[0], k, v, s), n*channels[2]))
	return nil
}

// padding returns what a mask of keys adds to the scores: lengths [batch], or 1 for keys that count, [batch, keys] or
// [batch, queries, keys].
func (b *body) padding(mask, k string, filter float64) (string, error) {
	shape, err := b.shape(mask)
	if err != nil {
		return "", err
	}
	batch, err := b.shape(b.x(0))
	if err != nil {
		return "", err
	}
	switch {
	case len(shape) == 1 && slices.Equal(shape, batch[:1]):
		beyond := b.Op("Not", b.Op("Less", b.counting(b.size(k, 2)), b.unsqueeze(b.cast(mask, tensor.Int64), 1)))
		return b.unsqueeze(b.penalty(beyond, filter), 1, 2), nil
	case len(shape) == 2:
		return b.unsqueeze(b.penalty(b.Op("Not", b.cast(mask, tensor.Bool)), filter), 1, 2), nil
	case len(shape) == 3:
		return b.unsqueeze(b.penalty(b.Op("Not", b.cast(mask, tensor.Bool)), filter), 1), nil
	}
	return "", fmt.Errorf("a mask of shape %v has no body", shape)
}

// groupQuery is GroupQueryAttention: query (or all three side by side), key, value, past_key, past_value, seqlens_k,
// total_sequence_length, tables of cosines and sines, position_ids, attention_bias. The outputs are Y and the keys and values
// so far, which are as long as past and new ones together, or with sliding_window_cache=1 as the past ones.
func groupQuery(b *body) error {
	err := errors.Join(b.without(11, 12, 13, 14, 15, 16), b.no(3), b.plain(0, "smooth_softmax", "kv_cache_bit_width"), b.plain(1, "causal"))
	if err != nil {
		return err
	}
	if b.Opset < 11 {
		return errOld
	}
	n, kv := b.node.Int("num_heads", 0), b.node.Int("kv_num_heads", 0)
	width, err := b.last(b.x(0))
	if err != nil {
		return err
	}
	packed := b.x(1) == ""
	all := n
	if packed {
		all = n + 2*kv
	}
	channels, err := divided(width, all)
	if err != nil || kv <= 0 || n%kv != 0 || n/kv > maxShared {
		return errors.Join(err, fmt.Errorf("%d heads of queries and %d of keys in %d channels", n, kv, width))
	}
	// All are [batch, sequence, heads, channels], as rotate wants them.
	q, k, v := b.x(0), b.x(1), b.x(2)
	if packed {
		x := b.reshape(b.x(0), 0, 0, all, channels)
		q, k, v = b.slice(x, 2, 0, n, 1), b.slice(x, 2, n, n+kv, 1), b.slice(x, 2, n+kv, all, 1)
	} else {
		q, k, v = b.reshape(q, 0, 0, n, channels), b.reshape(k, 0, 0, kv, channels), b.reshape(v, 0, 0, kv, channels)
	}
	c, err := b.cached()
	if err != nil {
		return err
	}
	if b.node.Int("do_rotary", 0) != 0 {
		t := turn{cos: b.x(7), sin: b.x(8), positions: b.x(9), ranks: 3, interleaved: b.node.Int("rotary_interleaved", 0) != 0}
		if t.half, err = b.last(t.cos); err != nil {
			return err
		}
		if t.positions == "" {
			t.positions, t.ranks = c.positions()
		}
		q, k = b.rotate(q, channels, t), b.rotate(k, channels, t)
	}
	q, k, v = b.transpose(q, 0, 2, 1, 3), c.grow(b.x(3), b.transpose(k, 0, 2, 1, 3)), c.grow(b.x(4), b.transpose(v, 0, 2, 1, 3))
	b.give(1, c.present(k, kv, channels))
	b.give(2, c.present(v, kv, channels))
	s := softly{scale: b.scaled(channels), softcap: float64(b.node.Float("softcap", 0)), masks: c.masks(k)}
	if b.x(10) != "" {
		s.masks = append(s.masks, b.x(10))
	}
	y := b.attend(q, b.repeated(k, kv, channels, n/kv), b.repeated(v, kv, channels, n/kv), s)
	b.give(0, b.joined(y, n*channels))
	return nil
}
