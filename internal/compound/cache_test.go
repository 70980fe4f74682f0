package compound_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/compound"
	"github.com/onnx-compress/onnx-compress/internal/ort/orttest"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// A cache that is as long as the window, or longer, is read and kept as the kernel does, at every number of tokens: rows beyond those in use
// may be anything.
func TestWindowedCache(t *testing.T) {
	const n, kv, channels, window = 4, 2, 16, 3
	l := orttest.Open(t)
	table := compound.NewTable()
	for seed := range uint64(60) {
		var room, batch, sequence int
		var total []int
		d, node, named := drawn("com.microsoft::GroupQueryAttention", seed, func(d *draw) {
			room, batch, sequence = window+d.IntN(4), pick(d, 1, 2), pick(d, 1, 2, 5, 9)
			prompt := d.coin()
			if !prompt && batch > 1 {
				sequence = 1 // all that the kernel takes
			}
			most := sequence
			for range batch {
				tokens := sequence
				if !prompt {
					tokens += 1 + d.IntN(12)
				}
				total = append(total, tokens)
				most = max(most, tokens)
			}
			d.groups(batch, sequence, n, kv, channels)
			d.float(batch, kv, room, channels)
			d.float(batch, kv, room, channels)
			at := -1
			d.feed(tensor.Int32, []int{batch}, func() float64 { at++; return float64(total[at] - 1) })
			d.list(tensor.Int32, pick(d, []int{1}, nil), most)
			d.attr(graph.Int("num_heads", n), graph.Int("kv_num_heads", kv), graph.Int("local_window_size", window), graph.Int("sliding_window_cache", 1))
			if d.coin() {
				d.float(32, channels/2)
				d.float(32, channels/2)
				d.attr(graph.Int("do_rotary", 1), graph.Int("rotary_interleaved", d.IntN(2)))
			}
			d.outputs = 3
		})
		said := fmt.Sprintf("seed %d, opset %d, window %d, room %d, %d new of %v tokens", seed, d.opset, window, room, sequence, total)
		want := run(t, l, d, []graph.Node{node}, named)
		got := run(t, l, d, expand(t, table, node, d), named)
		for i := range want {
			if !slices.Equal(got[i].Shape, want[i].Shape) {
				t.Fatalf("%s: output %d is %v, want %v", said, i, got[i].Shape, want[i].Shape)
			}
			for b, tokens := range total {
				used, rows, every := sequence, sequence, 1
				if i > 0 {
					used, rows, every = inUse(tokens, room, window), room, kv
				}
				for k := range every {
					from := (b*every + k) * rows
					if why := differ(cut(t, got[i], rows*batch*every, from, used), cut(t, want[i], rows*batch*every, from, used)); why != "" {
						t.Fatalf("%s: output %d, sample %d: %s", said, i, b, why)
					}
				}
			}
		}
	}
}

// inUse is how many rows of a cache with so much room hold tokens.
func inUse(tokens, room, window int) int {
	for tokens > room {
		tokens -= room - window + 1
	}
	return tokens
}

// cut takes rows of a value that has so many.
func cut(t *testing.T, d tensor.Dense, rows, from, used int) tensor.Dense {
	t.Helper()
	v, err := d.Float64s()
	if err != nil {
		t.Fatal(err)
	}
	wide := len(v) / rows
	return tensor.FromFloat64([]int{used, wide}, v[from*wide:(from+used)*wide])
}

// What a body of such a cache wants is said.
func TestWindowedCacheRefused(t *testing.T) {
	known := compound.Known{Opset: 17, Shape: func(string) ([]int, bool) { return []int{1, 2, 32}, true }}
	attrs := []graph.Attr{graph.Int("num_heads", 2), graph.Int("kv_num_heads", 2), graph.Int("sliding_window_cache", 1)}
	window := append(slices.Clone(attrs), graph.Int("local_window_size", 4))
	all := []string{"q", "k", "v", "pk", "pv", "lengths", "total"}
	for want, c := range map[string]struct {
		opset  int
		inputs []string
		attrs  []graph.Attr
	}{
		"no body before operator set 12":   {11, all, window},
		"wants a local_window_size":        {17, all, attrs},
		"wants past keys and values":       {17, all[:3], window},
		"an attention_bias it has no body": {17, append(slices.Clone(all), "", "", "", "bias"), window},
	} {
		known.Opset = c.opset
		_, err := compound.NewTable().Body(graph.NewNode("com.microsoft::GroupQueryAttention", "n", c.inputs, []string{"y", "pk2", "pv2"}, c.attrs...), known, graph.NewNameSet(graph.Parts{IR: 8}.Model()))
		testkit.WantError(t, err, want)
	}
}
