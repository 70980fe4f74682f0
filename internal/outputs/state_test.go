package outputs

import (
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

// TestHandedOn: a cache, or a state, goes in and comes out under nearly the same name and in the same shape, and is neither classes nor
// anything else that counts.
func TestHandedOn(t *testing.T) {
	batch, open := []any{"N", 32}, []any{"N", "T"}
	for _, c := range []struct {
		in, out string
		was     []any
		is      []any
		want    Kind
	}{
		{"in_cache0", "out_cache0", batch, batch, State},
		{"in_cache0", "cache0_next", batch, batch, State},
		{"in_cache0", "new.cache0", batch, batch, State},
		{"in_cache0", "out_cache1", batch, batch, Scores},
		{"in_cache0", "cache_hits0", batch, batch, Scores},
		{"in_cache0", "out", batch, batch, Scores},
		{"cache", "cache_out", open, open, State},
		{"state", "stateN", batch, batch, State},
		{"state", "stateN", batch, []any{"N", "M"}, State},
		{"state", "stateN", batch, []any{"N", 4}, Scores},
		{"state", "stateN", batch, []any{"N", 32, 1}, Scores},
		{"state", "state_out", open, batch, Scores}, // which grows, as no state does
		{"rnn_state_in", "rnn_state_out", batch, batch, State},
		{"rnn_state_in", "lm_state_out", batch, batch, Scores},
		{"h", "hn", batch, batch, State},
		{"h0", "hN", batch, batch, State},
		{"c0", "cn", batch, batch, State},
		{"h0", "cn", batch, batch, Scores},
		{"hidden", "hidden_out", batch, batch, State},
		{"x2", "y", batch, batch, Scores},
	} {
		b := testmodels.NewBuilder(5, 13, 8)
		x, state := b.Input("x", tensor.Float32, "N", 8), b.Input(c.in, tensor.Float32, c.was...)
		b.Output(b.Node("Softmax", []string{b.Linear(x, 8, 4, true)}), tensor.Float32, "N", 4)
		b.Node("Add", []string{state, b.Linear(x, 8, 32, true)})
		b.Node("Softmax", []string{b.Rename("sum")})
		b.Output(b.Rename(c.out), tensor.Float32, c.is...)
		m := testkit.Built(t, b)
		list, err := Of(m, Options{})
		if err != nil || list[1].Kind != c.want || (list[1].Weight == 0) != (c.want == State) {
			t.Errorf("%s%v becomes %s%v: %+v, %v; want %s", c.out, c.is, c.in, c.was, list, err, c.want)
		}
		list, err = Of(m, Options{Kinds: map[string]Kind{c.out: Values}, Weights: map[string]float64{c.out: 2}})
		if err != nil || list[1].Kind != Values || list[1].Weight != 2 {
			t.Errorf("%s said to be values: %+v, %v", c.out, list, err)
		}
	}
}

// TestLying: an output is the same whether the nodes that make it lie in the branches of an If or in the main graph.
func TestLying(t *testing.T) {
	for op, want := range map[string]Kind{"Softmax": Scores, "Tanh": Embedding} {
		b := testmodels.NewBuilder(5, 17, 8)
		x := b.Input("x", tensor.Float32, "N", 8)
		y := b.Linear(x, 8, 32, true)
		branch := func(name string) graph.Parts {
			return b.Body(name, func(b *testmodels.Builder) { b.Output(one(b, op, y), tensor.Float32, "N", 32) })
		}
		b.Node("If", []string{b.Input("which", tensor.Bool)}, graph.Body("then_branch", branch("then")), graph.Body("else_branch", branch("else")))
		b.Output(b.Rename("out"), tensor.Float32, "N", 32)
		m := testkit.Built(t, b)
		for _, how := range []graph.Branches{graph.Closed, graph.Then, graph.Else, graph.Both} {
			at := m
			if o := graph.Open(m, func(graph.Node, bool) graph.Branches { return how }); o != nil {
				at = o.Model
			} else if how != graph.Closed {
				t.Fatal("nothing was opened")
			}
			if list, err := Of(at, Options{}); err != nil || list[0].Kind != want {
				t.Errorf("%s, opened as %d: %+v, %v; want %s", op, how, list, err, want)
			}
		}
	}
}
