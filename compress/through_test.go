package compress

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
	"github.com/onnx-compress/onnx-compress/verify"
)

const (
	pairWords  = 24 // the pair's vocabulary
	pairStates = 32 // numbers that the encoder gives at each position
	pairUsed   = 8  // of these, the first that the decoder looks at much
)

// encoderOf is a small encoder as Optimum writes them: of ids of tokens and a mask come states. Its weights are called as those of decoderOf.
func encoderOf(t *testing.T) *onnxio.Model {
	t.Helper()
	b := testmodels.NewBuilder(3, 17, 8)
	ids, mask := b.Input("input_ids", tensor.Int64, "batch", "length"), b.Input("attention_mask", tensor.Int64, "batch", "length")
	x := b.Node("Gather", []string{b.Weight("embed", 1, pairWords, 20), ids})
	x = b.Node("Relu", []string{b.Linear(x, 20, 40, true)})
	b.Node("Mul", []string{b.Linear(x, 40, pairStates, true), masked(b, mask)})
	b.Output(b.Rename("last_hidden_state"), tensor.Float32, "batch", "length", pairStates)
	return built(t, b)
}

// masked is a mask of [samples, positions, 1] as numbers.
func masked(b *testmodels.Builder, mask string) string {
	return b.Node("Unsqueeze", []string{b.Node("Cast", []string{mask}, graph.Int("to", int(tensor.Float32))), b.Ints("two", 2)})
}

// decoderOf gives scores of tokens by the mean of the states, and looks at most of these a hundredth as much as at the first.
func decoderOf(t *testing.T, states string, dims ...any) *onnxio.Model {
	t.Helper()
	b := testmodels.NewBuilder(4, 17, 8)
	ids := b.Input("input_ids", tensor.Int64, "batch", "length")
	mask := b.Input("encoder_attention_mask", tensor.Int64, "batch", "encoder_length")
	x := b.Input(states, tensor.Float32, append([]any{"batch", "encoder_length"}, dims...)...)
	random := rand.New(rand.NewPCG(5, 5))
	weight := make([]float64, pairStates*16)
	for i := range weight {
		weight[i] = random.NormFloat64() / 2
		if i/16 >= pairUsed {
			weight[i] /= 100
		}
	}
	read := b.Node("MatMul", []string{b.Node("Mul", []string{x, masked(b, mask)}), b.Tensor("read", tensor.Float32, []int{pairStates, 16}, weight)})
	read = b.Node("ReduceMean", []string{read}, graph.Ints("axes", 1), graph.Int("keepdims", 1))
	own := b.Node("Gather", []string{b.Weight("embed", 1, pairWords, 16), ids})
	b.Node("MatMul", []string{b.Node("Tanh", []string{b.Node("Add", []string{own, read})}), b.Weight("head", 4, 16, pairWords)})
	b.Output(b.Rename("logits"), tensor.Float32, "batch", "length", pairWords)
	return built(t, b)
}

// pairs are texts for both.
func pairs(t *testing.T, n int) (out memory) {
	t.Helper()
	random := rand.New(rand.NewPCG(9, 9))
	row := func(length int, number func() int) tensor.Dense {
		v := make([]float64, length)
		for i := range v {
			v[i] = float64(number())
		}
		d, err := tensor.FromFloat64([]int{length}, v).Convert(tensor.Int64)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	word := func() int { return random.IntN(pairWords) }
	for i := range n {
		out = append(out, samples.Sample{Name: fmt.Sprintf("pair %d", i), Label: -1, Inputs: map[string]tensor.Dense{
			"input_ids": row(7, word), "attention_mask": row(7, func() int { return 1 }), "decoder_input_ids": row(5, word),
		}})
	}
	return out
}

// throughOptions compress to seven tenths of the parameters and of more that stay.
func throughOptions(source samples.Source, left Target) Options {
	return Options{Targets: []Target{left}, Source: source, CalibSamples: 60, Probes: 1, Methods: []string{"svd"}, RankMultiple: 1}
}

// TestThrough: an encoder that is judged through its decoder keeps what that makes of it better, at as many parameters, than one that is judged by
// its own output. The encoder alone is written, and its weights are to the byte those that the joined model's compression has for it.
func TestThrough(t *testing.T) {
	needRuntime(t)
	encoder, decoder := encoderOf(t), decoderOf(t, "encoder_hidden_states", pairStates)
	source := pairs(t, 90)
	o := to(t, throughOptions(source, share(Params, 0.7)))
	o.Through = decoder
	r, _ := runTo(t, encoder, o)
	if r.Through == nil || len(r.Through.Fed) != 2 || r.Through.Fed[0] != (Fed{"encoder_hidden_states", "last_hidden_state"}) || r.Through.Fed[1] != (Fed{"encoder_attention_mask", "attention_mask"}) {
		t.Fatalf("judged through %+v", r.Through)
	}
	if v := r.Verification; v.Outputs[0].Name != "logits" || v.Language == nil || v.Original != encoder.Path {
		t.Fatalf("verified by %+v", v)
	}
	small := graph.Of(read(t, o.Output))
	if len(small.Outputs()) != 1 || small.Outputs()[0].Name() != "last_hidden_state" || len(small.Feeds()) != 2 {
		t.Fatalf("the result gives %v of %v", small.Outputs(), small.Feeds())
	}
	whole, err := Joined(encoder, decoder)
	if err != nil {
		t.Fatal(err)
	}
	joined := save(t, whole)
	limit := 0.7*float64(r.Input.Params) + float64(graphParams(t, decoder))
	both := to(t, throughOptions(source, Target{Resource: Params, Value: limit}))
	for _, s := range r.Sites {
		both.Select.Only = append(both.Select.Only, s.Name)
	}
	runTo(t, joined, both)
	other := graph.Of(read(t, both.Output))
	for _, w := range small.Initializers() {
		d, err := w.Dense()
		if err != nil {
			t.Fatal(err)
		}
		if same, ok := other.Initializer(w.Name()); !ok {
			t.Errorf("the joined model has no %q", w.Name())
		} else if e, err := same.Dense(); err != nil || !bytes.Equal(d.Data, e.Data) {
			t.Errorf("%q is another one in the joined model, %v", w.Name(), err)
		}
	}
	inputs, err := samples.Inputs(encoder)
	if err != nil {
		t.Fatal(err)
	}
	own := to(t, throughOptions(samples.Only(source, inputs), share(Params, 0.7)))
	runTo(t, encoder, own)
	judged := func(path string) float64 {
		v, err := Verify(t.Context(), in(t), encoder, path, VerifyOptions{Source: source, Through: decoder})
		if err != nil {
			t.Fatal(err)
		}
		return v.Language.KL.Value
	}
	if through, alone := judged(o.Output), judged(own.Output); !(through < alone/2) {
		t.Errorf("KL divergence %g through the decoder, %g by the encoder's own output", through, alone)
	}
}

// graphParams counts the elements of a model's constants.
func graphParams(t *testing.T, m *onnxio.Model) (n int) {
	t.Helper()
	for _, w := range graph.Of(m).Initializers() {
		n += w.Len()
	}
	return n
}

// TestThroughGoal: a goal is of what the decoder gives, and where none is given it is what fits that.
func TestThroughGoal(t *testing.T) {
	needRuntime(t)
	o := throughOptions(pairs(t, 90), Target{})
	o.Targets, o.Through = nil, decoderOf(t, "encoder_hidden_states", pairStates)
	_, r, err := Compress(t.Context(), in(t), encoderOf(t), quick(o))
	if err != nil {
		t.Fatal(err)
	}
	if r.Trials == nil || len(r.Trials.Goals) != 1 || r.Trials.Goals[0].Measure != verify.KL || r.Output.Params >= r.Input.Params {
		t.Errorf("%+v, %d of %d parameters", r.Trials, r.Output.Params, r.Input.Params)
	}
}

// TestThroughRefused: what cannot be judged through another model is said before there is any work.
func TestThroughRefused(t *testing.T) {
	encoder := encoderOf(t)
	fits := decoderOf(t, "encoder_hidden_states", pairStates)
	older := graph.Of(decoderOf(t, "encoder_hidden_states", pairStates)).Parts()
	older.Opsets = []graph.Opset{{Version: 16}}
	for name, c := range map[string]struct {
		through *onnxio.Model
		change  func(*Options)
		want    string
	}{
		"no samples":      {fits, func(o *Options) { o.Source = nil }, "no samples"},
		"tuning":          {fits, func(o *Options) { o.Descent = &Descent{} }, "tuning goes by its own outputs"},
		"int8":            {fits, func(o *Options) { o.For = ForCPUInt8 }, "int8"},
		"another width":   {decoderOf(t, "encoder_hidden_states", pairStates+1), nil, "encoder_hidden_states: float32[?,?,33], which do not fit"},
		"nothing fits":    {decoderOf(t, "states", pairStates+1), nil, "no input fits an output"},
		"other operators": {save(t, older.Model()), nil, "version 17 of the operators of ONNX"},
	} {
		o := throughOptions(pairs(t, 20), share(Params, 0.7))
		o.Through = c.through
		if c.change != nil {
			c.change(&o)
		}
		_, _, err := Compress(t.Context(), bare(), encoder, o)
		if usage := (*UsageError)(nil); !errors.As(err, &usage) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestFeeds: what a decoder is given is told by names, else by the one shape that fits.
func TestFeeds(t *testing.T) {
	encoder := encoderOf(t)
	for states, dims := range map[string][]any{"last_hidden_state": {pairStates}, "memory": {pairStates}, "encoder_hidden_states": {"width"}} {
		fed, err := feeds(encoder, decoderOf(t, states, dims...))
		if err != nil || len(fed) != 2 || fed[0] != (Fed{states, "last_hidden_state"}) {
			t.Errorf("%s: %v, %v", states, fed, err)
		}
	}
	b := testmodels.NewBuilder(6, 17, 8)
	for _, name := range []string{"a", "b"} {
		b.Input(name, tensor.Float32, "batch", "length", pairStates)
	}
	b.Node("Add", []string{"a", "b"})
	b.Output(b.Rename("y"), tensor.Float32, "batch", "length", pairStates)
	if _, err := feeds(encoder, built(t, b)); err == nil || !strings.Contains(err.Error(), `"a" could be "last_hidden_state", "b" could be "last_hidden_state"`) {
		t.Errorf("of two alike: %v", err)
	}
	if _, err := Joined(encoder, save(t, encoder)); err == nil {
		t.Error("an encoder reads its own output")
	}
}
