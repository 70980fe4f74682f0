package tune

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/feed"
	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/internal/ort/orttest"
	"github.com/onnx-compress/onnx-compress/internal/outputs"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

const words = 12

// speaker gives the scores of the next token by the last one; scale is that of its last layer. Its mask may have positions of a cache.
func speaker(t *testing.T, scale float64) *onnxio.Model {
	t.Helper()
	b := testmodels.NewBuilder(3, 17, 8)
	ids := b.Input("input_ids", tensor.Int64, "N", "S")
	b.Input("attention_mask", tensor.Int64, "N", "total")
	x := b.Node("Gather", []string{b.Random("table", -1, 1, words, 8), ids})
	head := make([]float64, 8*words)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range head {
		head[i] = random.NormFloat64() + scale*random.NormFloat64()
	}
	b.Node("MatMul", []string{x, b.Tensor("head", tensor.Float32, []int{8, words}, head)})
	b.Output(b.Rename("logits"), tensor.Float32, "N", "S", words)
	return testkit.Built(t, b)
}

// padded are texts of five tokens, of which the last two of every other are padding, behind so many positions of a cache.
func padded(n, cached int) memory {
	random := rand.New(rand.NewPCG(5, 6))
	var out memory
	for i := range n {
		ids, mask := make([]int64, 5), []int64{1, 1, 1, 1, 1}
		for k := range ids {
			if ids[k] = random.Int64N(words); i%2 == 0 && k > 2 {
				ids[k], mask[k] = 0, 0
			}
		}
		mask = append(make([]int64, cached), mask...)
		out = append(out, samples.Sample{Name: fmt.Sprint("text ", i), Label: -1, Inputs: map[string]tensor.Dense{
			"input_ids": tensor.FromInt64([]int{5}, ids), "attention_mask": tensor.FromInt64([]int{5 + cached}, mask),
		}})
	}
	return out
}

// What a training step takes for the loss is what held-out samples are judged by: padding has no part in either.
func TestLossOfTokens(t *testing.T) {
	lib := orttest.Open(t)
	original, small, src := speaker(t, 0), speaker(t, 0.5), padded(4, 2)
	inputs, err := samples.Inputs(original)
	if err != nil {
		t.Fatal(err)
	}
	r, err := feed.First(context.Background(), src, testkit.Count(4), inputs, 4)
	if err != nil {
		t.Fatal(err)
	}
	answer := func(m *onnxio.Model, inputs map[string]tensor.Dense, output string) tensor.Dense {
		t.Helper()
		s, err := feed.Host{Library: lib}.NewSession(m)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		out, err := s.Run(context.Background(), inputs, []string{output})
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		d := out.Get(0)
		return tensor.FromFloat32(d.Shape, append([]float32{}, d.Float32s()...))
	}
	y, z := answer(small, r.Inputs, "logits"), answer(original, r.Inputs, "logits")
	for _, loss := range []Loss{KL, Logits} {
		one := term{value: "logits", loss: loss, weight: 1, shape: y.Shape, typ: tensor.Float32, words: words, text: outputs.Text{IDs: "input_ids", Mask: "attention_mask"}}
		o, err := newObjective(small, []term{one}, nil, nil, 2)
		if err != nil {
			t.Fatal(err)
		}
		defer o.model.Close()
		feeds := map[string]tensor.Dense{o.teachers[0]: z, o.shares[0]: one.shares(r)}
		for name, d := range r.Inputs {
			feeds[name] = d
		}
		got := float64(answer(o.model, feeds, o.loss).Float32s()[0])
		want, positions := 0., 0
		for k := range 4 {
			a, b := one.rows(y, r, k), one.rows(z, r, k)
			for i := range a {
				want += loss.distance(a[i], b[i], 2) / float64(4*len(a))
			}
			positions += len(a)
		}
		if positions != 3+5+3+5 || math.Abs(got-want) > 1e-5*want || want <= 0 {
			t.Errorf("%s: the graph has %g, the rows of %d positions %g", loss, got, positions, want)
		}
	}
}

// The divergence of next tokens falls, and more of them are the same.
func TestDistilTokens(t *testing.T) {
	lib := orttest.Open(t)
	d := distil(t, lib, speaker(t, 0), speaker(t, 0.5), padded(80, 0), Options{Epochs: 15, Batch: 8, Threads: 2, Loss: KL, Optimizer: Adam, Rate: 3e-2})
	first, best := d.Curve[0], d.Curve[d.Best]
	if best.Held > first.Held/10 || best.Agreement <= first.Agreement || !(first.Agreement < 1) {
		t.Errorf("from %+v to %+v", first, best)
	}
}

// divergence is the mean of KL(original ‖ m) over the positions of texts that are not padding.
func divergence(t *testing.T, lib *ort.Library, original, m *onnxio.Model, texts memory) float64 {
	t.Helper()
	inputs, err := samples.Inputs(original)
	if err != nil {
		t.Fatal(err)
	}
	r, err := feed.First(context.Background(), texts, testkit.Count(len(texts)), inputs, len(texts))
	if err != nil {
		t.Fatal(err)
	}
	of := term{loss: KL, words: words, text: outputs.Text{IDs: "input_ids", Mask: "attention_mask"}}
	scores := func(m *onnxio.Model) tensor.Dense {
		s, err := feed.Host{Library: lib}.NewSession(m)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		out, err := s.Run(context.Background(), r.Inputs, []string{"logits"})
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		d := out.Get(0)
		return tensor.FromFloat32(d.Shape, append([]float32{}, d.Float32s()...))
	}
	y, z := scores(m), scores(original)
	sum, n := 0., 0
	for k := range texts {
		a, b := of.rows(y, r, k), of.rows(z, r, k)
		for i := range a {
			sum += KL.distance(a[i], b[i], 1)
			n++
		}
	}
	return sum / float64(n)
}

// What is learned by default of scores of tokens is their divergence: of a small model with fewer numbers to tell by, less of it is left on
// texts that were not learned from than squared distances leave.
func TestAutoOfTokens(t *testing.T) {
	lib := orttest.Open(t)
	original := narrowSpeaker(t, 0)
	unseen := padded(200, 1)[96:]
	left := map[Loss]float64{}
	for _, loss := range []Loss{AutoLoss, KL, MSE} {
		d := distil(t, lib, original, narrowSpeaker(t, 2), padded(96, 0), Options{Epochs: 12, Batch: 8, Threads: 2, Optimizer: Adam, Rate: 1e-2, Loss: loss, Blocks: -1})
		left[loss] = divergence(t, lib, original, d.Model, unseen)
	}
	if before := divergence(t, lib, original, narrowSpeaker(t, 2), unseen); left[AutoLoss] != left[KL] || left[KL] > 0.9*left[MSE] || left[KL] > before/2 {
		t.Errorf("a divergence of %v is left of %g", left, before)
	}
}

// A tuning stays within its memory: fewer texts run at once, one after the other, and come to the same. What cannot be held is refused with the
// least that would do, and that does.
func TestMemory(t *testing.T) {
	lib := orttest.Open(t)
	original, src := speaker(t, 0), padded(48, 0)
	begun := func(memory int64) (*trainer, error) {
		o := Options{Epochs: 3, Batch: 8, Threads: 2, Optimizer: Adam, Rate: 1e-2, Memory: memory}.withDefaults()
		return newTrainer(t.Context(), lib, original, speaker(t, 0.5), src, testkit.Count(len(src)), o)
	}
	var refused *MemoryError
	if _, err := begun(1000); !errors.As(err, &refused) || refused.Limit != 1000 || refused.Least <= 1000 {
		t.Fatalf("%v", err)
	}
	if _, err := begun(refused.Least - 1); !errors.As(err, &refused) {
		t.Fatalf("%v", err)
	}
	least := refused.Least
	var losses []float64
	for _, c := range []struct {
		memory        int64
		shard, beside int
	}{{1 << 30, 8, 2}, {4 * least, 2, 1}, {least, 1, 1}} {
		tr, err := begun(c.memory)
		if err != nil {
			t.Fatal(err)
		}
		if tr.shard != c.shard || tr.beside != c.beside || 4*int64(tr.teacher.room) > c.memory {
			t.Errorf("in %d bytes %d texts run at once, %d times; want %d, %d times", c.memory, tr.shard, tr.beside, c.shard, c.beside)
		}
		if err := tr.train(t.Context()); err != nil {
			t.Fatal(err)
		}
		losses = append(losses, tr.curve[len(tr.curve)-1].Held)
		tr.close()
	}
	for _, l := range losses { // of steps of as many texts
		if math.Abs(l-losses[0]) > 1e-4*losses[0] {
			t.Errorf("the losses are %v", losses)
		}
	}
}

// narrowSpeaker gives scores as speaker does, of which a narrow one has fewer numbers to give them by.
func narrowSpeaker(t *testing.T, rank int) *onnxio.Model {
	t.Helper()
	b := testmodels.NewBuilder(3, 17, 8)
	ids := b.Input("input_ids", tensor.Int64, "N", "S")
	b.Input("attention_mask", tensor.Int64, "N", "total")
	x := b.Node("Gather", []string{b.Random("table", -1, 1, words, 8), ids})
	x = b.Node("Tanh", []string{b.Node("MatMul", []string{x, b.Random("hidden", -1, 1, 8, 8)})})
	head := b.Random("head", -2, 2, 8, words)
	if rank > 0 {
		x = b.Node("MatMul", []string{x, b.Random("first", -1, 1, 8, rank)})
		head = b.Random("second", -1, 1, rank, words)
	}
	b.Node("MatMul", []string{x, head})
	b.Output(b.Rename("logits"), tensor.Float32, "N", "S", words)
	return testkit.Built(t, b)
}
