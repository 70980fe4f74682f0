package tune

import (
	"math"

	"github.com/onnx-compress/onnx-compress/internal/outputs"
	"github.com/onnx-compress/onnx-compress/internal/suggest"
)

// Loss is a distance of an output y from what the original computes there, t: a mean over the samples.
type Loss string

// The losses. Squared distances are shares of the variance of t, so that outputs and models can be compared.
const (
	// AutoLoss is Logits for outputs that look like class scores, KL for scores of tokens of a vocabulary, Cosine for embeddings, else MSE.
	AutoLoss Loss = ""
	// Of scores of next tokens Logits and KL are means over the positions of each text that are not padding.
	//
	// Logits is ‖c(y) − c(t)‖² with c(y) the scores less their mean: a shift of all scores of a sample changes no class.
	Logits Loss = "logits"
	// KL is T²·KL(softmax(t/T) ‖ softmax(y/T)), T being the temperature (Hinton and others, arXiv 1503.02531).
	KL Loss = "kl"
	// Cosine is 1 − cos(y, t), over all axes but the first: for embeddings.
	Cosine Loss = "cosine"
	// MSE is ‖y − t‖².
	MSE Loss = "mse"
)

// Losses lists the losses that can be named.
func Losses() []Loss { return []Loss{Logits, KL, Cosine, MSE} }

// ParseLoss reads the name of a loss, or "auto".
func ParseLoss(s string) (Loss, error) {
	if s == "auto" {
		return AutoLoss, nil
	}
	return suggest.Named("loss", s, append([]Loss{"auto"}, Losses()...))
}

// auto is the loss of an output of a kind, which has scores of so many classes.
func auto(kind outputs.Kind, classes int) Loss {
	switch {
	case classes > 0:
		return Logits
	case kind.Vocabulary():
		return KL
	case kind == outputs.Embedding:
		return Cosine
	}
	return MSE
}

// squared reports whether the loss is a squared distance, to be divided by a variance.
func (l Loss) squared() bool { return l == Logits || l == MSE }

// distance is the loss of one sample, with the sums that the graph of a training step has, in float64.
func (l Loss) distance(y, t []float32, temperature float64) float64 {
	switch l {
	case KL:
		p, q := logSoftmax(t, temperature), logSoftmax(y, temperature)
		sum := 0.
		for i := range p {
			sum += math.Exp(p[i]) * (p[i] - q[i])
		}
		return temperature * temperature * sum
	case Cosine:
		return 1 - cosine(y, t)
	}
	mean, sum := 0., 0.
	if l == Logits {
		for i := range y {
			mean += (float64(y[i]) - float64(t[i])) / float64(len(y))
		}
	}
	for i := range y {
		d := float64(y[i]) - float64(t[i]) - mean
		sum += d * d
	}
	return sum / float64(len(y))
}

// logSoftmax is the logarithm of softmax(x/T).
func logSoftmax(x []float32, temperature float64) []float64 {
	out := make([]float64, len(x))
	largest := math.Inf(-1)
	for i, v := range x {
		out[i] = float64(v) / temperature
		largest = math.Max(largest, out[i])
	}
	sum := 0.
	for _, v := range out {
		sum += math.Exp(v - largest)
	}
	for i := range out {
		out[i] -= largest + math.Log(sum)
	}
	return out
}

// cosine is the cosine of the angle between two vectors, 0 where one is zero.
func cosine(y, t []float32) float64 {
	var yt, yy, tt float64
	for i := range y {
		a, b := float64(y[i]), float64(t[i])
		yt += a * b
		yy += a * a
		tt += b * b
	}
	if yy == 0 || tt == 0 {
		return 0
	}
	return yt / math.Sqrt(yy*tt)
}

// variance sums up how much a value of the original varies.
type variance struct {
	loss            Loss
	n, sum, squares float64
}

func (s *variance) add(t []float32) {
	mean := 0.
	if s.loss == Logits {
		for _, v := range t {
			mean += float64(v) / float64(len(t))
		}
	}
	for _, v := range t {
		x := float64(v) - mean
		s.n++
		s.sum += x
		s.squares += x * x
	}
}

// weight is one over the variance for squared distances, and 1 for the others.
func (s *variance) weight() float64 {
	if !s.loss.squared() || s.n == 0 {
		return 1
	}
	mean := s.sum / s.n
	if v := s.squares/s.n - mean*mean; v > 0 && !math.IsInf(v, 0) {
		return 1 / v
	}
	return 1
}
