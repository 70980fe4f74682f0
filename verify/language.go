package verify

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/onnx-compress/onnx-compress/internal/feed"
	"github.com/onnx-compress/onnx-compress/internal/outputs"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// Language compares the tokens that two models expect, the next ones or, of models that fill in what is left out, those that stand there, at every position of texts that is not padding. Its intervals hold for all
// such texts, with 95 in 100: positions of one text have much in common, so that texts are what is counted.
type Language struct {
	Output string `json:"output"`
	// Vocabulary is the number of tokens, Samples that of the texts, and Positions that of their positions.
	Vocabulary int `json:"vocabulary"`
	Samples    int `json:"samples"`
	Positions  int `json:"positions"`
	// Agreement is the share of positions at which both models think the same token most likely.
	Agreement Estimate `json:"agreement"`
	// KL is the mean over the positions of KL(original ‖ compressed) of the distributions of the token, in nats.
	KL Estimate `json:"kl"`
	// Perplexity is null where the tokens are no labels, or not the next ones.
	Perplexity *Perplexity `json:"perplexity"`
}

// Perplexity is that of texts to the two models: exp of the mean −log p of each token after those before it.
type Perplexity struct {
	// Tokens is how many were expected.
	Tokens int     `json:"tokens"`
	Before float64 `json:"before"`
	After  float64 `json:"after"`
	// Increase is After / Before − 1.
	Increase Estimate `json:"increase"`
}

// Estimate is a value with its interval of 95 in 100.
type Estimate struct {
	Value float64 `json:"value"`
	// Low and High are null for a single sample.
	Low  *float64 `json:"low"`
	High *float64 `json:"high"`
}

// textSums are the sums over the positions of one text.
type textSums struct {
	positions, agree int
	kl               float64
	tokens           int     // that were expected
	before, after    float64 // Σ −log p of them
}

// text is what a model read of an example.
type text struct {
	ids         []int64 // nil where they are not known, or no labels
	empty       []bool  // positions of the scores that are padding; nil where none are
	probability bool
}

// read is what the model read of example k.
func (s *runSums) read(k int, t outputs.Text) text {
	out := text{probability: t.Probabilities}
	if d, ok := s.inputs[t.IDs]; ok && s.labelled && len(d.Shape) == 2 && d.Shape[0] == s.batch {
		out.ids, _ = feed.Entry(d, k).Int64s() // which are integers
	}
	out.empty = s.padding(s.spoken, k)
	return out
}

// padding says which positions of example k are at an output; nil where none are.
func (s *runSums) padding(output, k int) []bool {
	all := s.empty[output]
	n := len(all) / s.batch
	return all[k*n:][:n]
}

// padding tells whether a position of the scores is.
func (t text) padding(k int) bool { return len(t.empty) > 0 && t.empty[k] }

// id is the token at a position, counted from the last one at 0; −1 where there is none.
func (t text) id(back int) int {
	if at := len(t.ids) - 1 - back; back >= 0 && at >= 0 {
		return int(max(t.ids[at], -1))
	}
	return -1
}

// compare sums up the scores of one text, [positions, vocabulary]. They are those of the last positions, where there are fewer than the
// text has.
func (t text) compare(before, after tensor.Dense) (textSums, error) {
	var s textSums
	if len(before.Shape) != 2 || before.Shape[1] == 0 {
		return s, nil
	}
	n := before.Shape[0]
	for k := range n {
		if t.padding(k) {
			continue
		}
		y, z, err := pair(feed.Entry(before, k), feed.Entry(after, k))
		if err != nil {
			return s, err
		}
		s.positions++
		if tensor.ArgMax(y) == tensor.ArgMax(z) {
			s.agree++
		}
		t.logarithms(y)
		t.logarithms(z)
		for i, p := range y {
			s.kl += math.Exp(p) * (p - z[i])
		}
		if next := t.id(n - 2 - k); next >= 0 && next < len(y) && !t.padding(k+1) {
			s.tokens++
			s.before -= y[next]
			s.after -= z[next]
		}
	}
	return s, nil
}

// logarithms turns scores into logarithms of the probabilities that they stand for. A probability that is too small for a float32 counts
// as the least one.
func (t text) logarithms(x []float64) {
	if t.probability {
		for i, p := range x {
			x[i] = math.Log(max(p, math.SmallestNonzeroFloat32))
		}
	}
	largest, sum := math.Inf(-1), 0.
	for _, v := range x {
		largest = max(largest, v)
	}
	for _, v := range x {
		sum += math.Exp(v - largest)
	}
	largest += math.Log(sum)
	for i := range x {
		x[i] -= largest
	}
}

// language sums the texts up; nil where no output has scores of tokens of a vocabulary.
func (s *sums) language() *Language {
	if s.spoken < 0 || s.words < 1 {
		return nil
	}
	var agree, kl, before, rise ratio
	for i := range s.examples {
		t := &s.examples[i].text
		agree.add(float64(t.agree), t.positions)
		kl.add(t.kl, t.positions)
		before.add(t.before, t.tokens)
		rise.add(t.after-t.before, t.tokens)
	}
	if agree.count == 0 {
		return nil
	}
	l := &Language{Output: s.list[s.spoken].Name, Vocabulary: s.words, Samples: len(agree.parts), Positions: agree.count, Agreement: agree.share(), KL: kl.estimate()}
	if l.KL.Low != nil {
		*l.KL.Low = max(*l.KL.Low, 0)
	}
	if before.count > 0 {
		bits, more := before.mean(), rise.estimate()
		l.Perplexity = &Perplexity{Tokens: before.count, Before: power(bits), After: power(bits + more.Value), Increase: more.each(func(v float64) float64 { return power(v) - 1 })}
	}
	return l
}

// power is exp(x), as far as it is a number that JSON has.
func power(x float64) float64 { return min(math.Exp(x), math.MaxFloat64) }

// ratio is Σ value / Σ count over samples.
type ratio struct {
	sum   float64
	count int
	parts []part
}

type part struct {
	value float64
	count int
}

func (r *ratio) add(value float64, count int) {
	if count > 0 {
		r.sum, r.count, r.parts = r.sum+value, r.count+count, append(r.parts, part{value, count})
	}
}

func (r *ratio) mean() float64 { return r.sum / float64(max(r.count, 1)) }

// deviation is the standard deviation of the mean (W. G. Cochran, Sampling Techniques, 3rd ed., 1977, section 6.3): from
// n samples √(n/(n−1) Σ(vᵢ − r·cᵢ)²) / Σcᵢ.
func (r *ratio) deviation() float64 {
	n, sum := float64(len(r.parts)), 0.
	for _, p := range r.parts {
		d := p.value - r.mean()*float64(p.count)
		sum += d * d
	}
	return math.Sqrt(n/(n-1)*sum) / float64(r.count)
}

// estimate is the mean with its interval by the normal distribution.
func (r *ratio) estimate() Estimate {
	out := Estimate{Value: r.mean()}
	if len(r.parts) > 1 {
		reach := confidence * r.deviation()
		low, high := out.Value-reach, out.Value+reach
		out.Low, out.High = &low, &high
	}
	return out
}

// share is estimate for a share of what was counted: Wilson's interval on as many as would deviate so much if they were independent. Where
// they do not deviate at all, these are as many as there are samples.
func (r *ratio) share() Estimate {
	out := Estimate{Value: r.mean()}
	if len(r.parts) < 2 {
		return out
	}
	n, p := len(r.parts), out.Value
	if v := r.deviation(); v > 0 {
		n = max(1, int(min(p*(1-p)/(v*v), float64(r.count))))
	}
	low, high := Wilson(p, n)
	out.Low, out.High = &low, &high
	return out
}

// each is an estimate of something that grows with what was estimated.
func (e Estimate) each(f func(float64) float64) Estimate {
	out := Estimate{Value: f(e.Value)}
	if e.Low != nil {
		low, high := f(*e.Low), f(*e.High)
		out.Low, out.High = &low, &high
	}
	return out
}

// kind is that of the output.
func (l *Language) kind(r *Report) Kind {
	at := slices.IndexFunc(r.Outputs, func(o Output) bool { return o.Name == l.Output })
	if at < 0 {
		return outputs.Next
	}
	return r.Outputs[at].Kind
}

// sentence says how the models' tokens differ, which are the next ones or others by the kind of output, on so many samples.
func (l *Language) sentence(kind Kind, on string) string {
	which := "the next token"
	if kind == outputs.Words {
		which = "the token at each position"
	}
	if l.KL.Value == 0 && l.Agreement.Value == 1 {
		return fmt.Sprintf("Its distributions of %s are the original's on %s.", which, on)
	}
	said := fmt.Sprintf("Its distributions of %s differ from the original's by a mean KL divergence of %s nats on %s", which, KL.Text(round4(l.KL.Value)), on)
	if l.KL.Low != nil {
		said += fmt.Sprintf(" (with 95 %% confidence by %s to %s on all such samples)", KL.Text(round4(*l.KL.Low)), KL.Text(round4(*l.KL.High)))
	}
	said += fmt.Sprintf("; the most likely token is the same for %s of %d positions", share2(l.Agreement.Value), l.Positions)
	if p := l.Perplexity; p != nil {
		said += fmt.Sprintf("; perplexity went from %s to %s (%s)", digits(p.Before), digits(p.After), PPL.Text(round4(p.Increase.Value)))
	}
	return said + "."
}

// round4 leaves four digits behind the point.
func round4(v float64) float64 { return math.Round(v*1e4) / 1e4 }

// digits writes a perplexity.
func digits(v float64) string {
	if v < 1e4 {
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}
