package verify

import (
	"context"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/internal/ort/orttest"
	"github.com/onnx-compress/onnx-compress/internal/outputs"
	"github.com/onnx-compress/onnx-compress/internal/testkit"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/tensor"
	"github.com/onnx-compress/onnx-compress/testmodels"
)

const vocabulary = 7

// bigram is a language model that looks the scores of the next token up by the last one; with softmax they are probabilities.
func bigram(t *testing.T, table []float64, softmax bool) string {
	b := testmodels.NewBuilder(1, 17, 8)
	ids := b.Input("input_ids", tensor.Int64, "N", "S")
	b.Input("attention_mask", tensor.Int64, "N", "S")
	x := b.Node("Gather", []string{b.Tensor("table", tensor.Float32, []int{vocabulary, vocabulary}, table), ids})
	if softmax {
		b.Node("Softmax", []string{x}, graph.Int("axis", -1))
	}
	b.Output(b.Rename("logits"), tensor.Float32, "N", "S", vocabulary)
	return save(t, b)
}

// written are samples of texts of four tokens; masks leave out what is padding.
func written(t *testing.T, labels string, ids, masks []int64) samples.Source {
	t.Helper()
	shape := []int{len(ids) / 4, 4}
	path := testkit.SaveArrays(t, map[string]tensor.Dense{"input_ids": tensor.FromInt64(shape, ids), "attention_mask": tensor.FromInt64(shape, masks)})
	open := []int{-1, -1}
	src, err := samples.Open(path, samples.SourceOptions{Labels: labels}, []samples.InputSpec{{Name: "input_ids", Type: tensor.Int64, Shape: open}, {Name: "attention_mask", Type: tensor.Int64, Shape: open}})
	if err != nil {
		t.Fatal(err)
	}
	return src
}

// logProbabilities are those of the tokens after one, by the definition.
func logProbabilities(table []float64, id int64) []float64 {
	row := table[vocabulary*id:][:vocabulary]
	sum := 0.
	for _, v := range row {
		sum += math.Exp(v)
	}
	out := make([]float64, vocabulary)
	for i, v := range row {
		out[i] = math.Log(math.Exp(v) / sum)
	}
	return out
}

// The numbers are those of the definitions, at positions that are not padding, whatever the batch, and whether scores went through a softmax.
func TestLanguage(t *testing.T) {
	lib := orttest.Open(t)
	random := rand.New(rand.NewPCG(1, 2))
	before, after := make([]float64, vocabulary*vocabulary), make([]float64, vocabulary*vocabulary)
	for i := range before {
		before[i] = float64(float32(random.NormFloat64()))
		after[i] = float64(float32(before[i] + 0.7*random.NormFloat64()))
	}
	ids := []int64{1, 2, 3, 4, 6, 5, 0, 0, 0, 0, 2, 1, 4, 4, 3, 6}
	masks := []int64{1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1}
	var agree, kl, positions, entropy, other, tokens float64
	for i, id := range ids {
		if masks[i] == 0 {
			continue
		}
		positions++
		p, q := logProbabilities(before, id), logProbabilities(after, id)
		if tensor.ArgMax(p) == tensor.ArgMax(q) {
			agree++
		}
		for k := range p {
			kl += math.Exp(p[k]) * (p[k] - q[k])
		}
		if i%4 < 3 && masks[i+1] == 1 {
			tokens++
			entropy -= p[ids[i+1]]
			other -= q[ids[i+1]]
		}
	}
	for _, softmax := range []bool{false, true} {
		for _, batch := range []int{1, 3, 4} {
			r, err := Compare(context.Background(), lib, bigram(t, before, softmax), bigram(t, after, softmax), written(t, samples.NextToken, ids, masks), []int{0, 1, 2, 3},
				Options{Batch: batch, Threads: 2, Evidence: Unseen})
			if err != nil {
				t.Fatal(err)
			}
			l := r.Language
			if r.Outputs[0].Kind != outputs.Next || l == nil || l.Vocabulary != vocabulary || l.Samples != 4 || float64(l.Positions) != positions || float64(l.Perplexity.Tokens) != tokens {
				t.Fatalf("%+v of %s", l, r.Outputs[0].Kind)
			}
			for name, c := range map[string][2]float64{
				"agreement": {l.Agreement.Value, agree / positions}, "kl": {l.KL.Value, kl / positions},
				"before": {l.Perplexity.Before, math.Exp(entropy / tokens)}, "after": {l.Perplexity.After, math.Exp(other / tokens)},
				"increase": {l.Perplexity.Increase.Value, math.Exp((other-entropy)/tokens) - 1},
			} {
				if math.Abs(c[0]-c[1]) > 1e-5 {
					t.Errorf("softmax %v, batch %d: %s is %v, want %v", softmax, batch, name, c[0], c[1])
				}
			}
			for name, e := range map[string]Estimate{"agreement": l.Agreement, "kl": l.KL, "perplexity": l.Perplexity.Increase} {
				if e.Low == nil || !(*e.Low < e.Value && e.Value < *e.High) {
					t.Errorf("%s: %+v", name, e)
				}
			}
			if j := r.Judged; j.Measure != KL || j.Kind != outputs.Next || *j.Value != l.KL.Value || j.Low != l.KL.Low {
				t.Errorf("judged %+v", j)
			}
			for m, want := range map[Measure]float64{Agreement: l.Agreement.Value, KL: l.KL.Value, PPL: l.Perplexity.Increase.Value} {
				if f, err := m.Of(r); err != nil || f.Value != want || f.Output != "logits" {
					t.Errorf("%s: %+v, %v", m, f, err)
				}
			}
		}
	}
}

// Without labels there is no perplexity; equal models agree; models without a vocabulary have no language.
func TestLanguageIsAbsent(t *testing.T) {
	lib := orttest.Open(t)
	path := bigram(t, make([]float64, vocabulary*vocabulary), false)
	ids, masks := []int64{1, 2, 3, 4}, []int64{1, 1, 1, 1}
	r, err := Compare(context.Background(), lib, path, path, written(t, "", ids, masks), []int{0}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if l := r.Language; l.Perplexity != nil || l.KL.Value != 0 || l.KL.Low != nil || l.Agreement.Value != 1 {
		t.Errorf("%+v", l)
	}
	if _, err := PPL.Of(r); err == nil || !strings.Contains(err.Error(), "no labels") {
		t.Errorf("perplexity: %v", err)
	}
	r, err = Compare(context.Background(), lib, path, path, written(t, samples.NextToken, ids, masks), []int{0}, Options{Kinds: map[string]Kind{"logits": outputs.Tokens}})
	if err != nil || r.Language != nil {
		t.Errorf("as tokens: %+v, %v", r.Language, err)
	}
	if _, err := KL.Of(r); err == nil || !strings.Contains(err.Error(), "scores of the next token") {
		t.Errorf("kl: %v", err)
	}
}

// The interval is that of samples, which may have any number of positions: of means of 100 random texts it holds the truth in about 95 of
// 100 repetitions.
func TestEstimateCovers(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	covered, shares := 0, 0
	const repetitions = 400
	for range repetitions {
		var r, s ratio
		for range 100 {
			n := 5 + random.IntN(30)
			own, sum, right := random.NormFloat64(), 0., 0. // what a text has in common
			for range n {
				sum += 2 + own + random.NormFloat64()
				if random.Float64() < 0.8+0.1*math.Tanh(own) {
					right++
				}
			}
			r.add(sum, n)
			s.add(right, n)
		}
		if e := r.estimate(); *e.Low <= 2 && 2 <= *e.High {
			covered++
		}
		if e := s.share(); *e.Low <= 0.8 && 0.8 <= *e.High {
			shares++
		}
	}
	for name, n := range map[string]int{"mean": covered, "share": shares} {
		if share := float64(n) / repetitions; share < 0.91 || share > 0.985 {
			t.Errorf("%s: %.3f of the intervals hold the truth", name, share)
		}
	}
	var one ratio
	one.add(3, 3)
	one.add(5, 5)
	if e := one.share(); e.Value != 1 || *e.Low > 0.35 || *e.High < 1-1e-9 {
		t.Errorf("all of two texts: %g, from %g to %g", e.Value, *e.Low, *e.High)
	}
}

// Scores by models that see what comes after a token have no perplexity, and are judged by their divergence all the same.
func TestWords(t *testing.T) {
	lib := orttest.Open(t)
	masked := func(scale float64) string {
		b := testmodels.NewBuilder(1, 17, 8)
		x := b.Node("Gather", []string{b.Random("table", -1, 1, vocabulary, 4), b.Input("input_ids", tensor.Int64, "N", "S")})
		b.Input("attention_mask", tensor.Int64, "N", "S")
		scores := b.Node("MatMul", []string{b.Linear(x, 4, 4, false), b.Node("Transpose", []string{x}, graph.Ints("perm", 0, 2, 1))})
		x = b.Node("MatMul", []string{b.Node("Softmax", []string{scores}, graph.Int("axis", -1)), x})
		b.Node("Mul", []string{b.Linear(x, 4, vocabulary, false), b.Tensor("scale", tensor.Float32, nil, []float64{scale})})
		b.Output(b.Rename("logits"), tensor.Float32, "N", "S", vocabulary)
		return save(t, b)
	}
	r, err := Compare(context.Background(), lib, masked(3), masked(1), written(t, samples.NextToken, []int64{1, 2, 3, 4, 4, 3, 2, 0}, []int64{1, 1, 1, 1, 1, 1, 1, 0}), []int{0, 1}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if l := r.Language; l == nil || l.Positions != 7 || l.KL.Value <= 0 || l.Perplexity != nil {
		t.Fatalf("%+v", r.Language)
	}
	if j := r.Judged; j.Kind != outputs.Words || j.Measure != KL || !strings.Contains(j.Text, "distributions of the token at each position differ") {
		t.Errorf("judged %+v", j)
	}
	if _, err := PPL.Of(r); err == nil || !strings.Contains(err.Error(), "bound kl in its place") {
		t.Errorf("perplexity: %v", err)
	}
}
