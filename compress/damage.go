package compress

import (
	"fmt"
	"slices"

	"github.com/onnx-compress/onnx-compress/verify"
)

// What a model has to keep of the original on random inputs where no real data judges it: the signal to noise ratio in dB of every
// output, and the share of inputs with the same top class. On trained image classifiers, compressed data-free to between 0.95 and
// 0.5 of their multiply-adds, what is below one of the two had lost at least 4 points of accuracy, most of it next to all, and all
// that had lost more than 10 points was below: ResNet-20 by svd has 11.1, 9.8, 4.6 and 2.9 dB at 0.95, 0.9, 0.8 and 0.6, and 89, 81,
// 62 and 23 % of the photos right, of 91 %; ResNet-56 12.8, 9.6 and 4.6 dB at 0.95, 0.85 and 0.7, and 90, 86 and 60 %, of 90 %;
// EfficientNet-Lite0 5.7 dB at 0.95, and 30 % of 90 %. SqueezeNet, whose scores have much in common, keeps 14.8 dB at 0.95, but the
// class of 38 % of the random inputs and of 56 % of the photos. Of texts, random tokens tell as much: MiniLM has 12.4, 6.0, 1.9 and
// -0.2 dB at 0.97, 0.9, 0.8 and 0.7 on them, and a mean cosine of 0.985, 0.917, 0.763 and 0.600 on sentences; SmolLM2-135M at 0.97, whose
// scores have much in common, 15.1 dB, but names the same next token in 7 % of the places by chance, and in 12 % of those of texts.
const (
	leastSNR       = 10
	leastAgreement = 0.5
)

// DamageError says that random inputs show a model to be destroyed, of which no real data was there to judge. Nothing is written.
type DamageError struct {
	// Output is the output that shows it: by SNR, its signal to noise ratio in dB, or where that is nil by Agreement, the share
	// of random inputs for which both models name the same class, or of positions in random texts for which they name the same Token.
	Output    string
	SNR       *float64
	Agreement float64
	Token     bool
}

func (e *DamageError) Error() string {
	of, value, least := verify.Agreement, e.Agreement, leastAgreement
	words := "the same top class for %s of them, less than %s"
	switch {
	case e.SNR != nil:
		of, value, least, words = verify.SNR, *e.SNR, leastSNR, "a signal to noise ratio of %s, less than %s"
	case e.Token:
		words = "the same token at %s of their positions, less than %s"
	}
	found := fmt.Sprintf(words, of.Text(value), of.Text(least))
	return fmt.Sprintf("the compressed model does not do what the original does: on random inputs output %q has %s, and no real data was there to judge it; "+
		"give samples (%s), which also makes it much better, ask for less compression, or take it as it is (%s)", e.Output, found, OptionSource, OptionDamage)
}

// unjudged is what a result says where no real data judged the model.
const unjudged = "NO REAL DATA judged the model: random inputs show that it runs, not how good it is; give samples (" + string(OptionSource) + ")"

// damaged refuses a model that random inputs show to be destroyed.
func damaged(r *verify.Report) error {
	var worst *DamageError
	for _, o := range r.Outputs {
		if o.Ignored || o.SNR == nil || *o.SNR >= leastSNR {
			continue
		}
		if worst == nil || *o.SNR < *worst.SNR {
			worst = &DamageError{Output: o.Name, SNR: o.SNR}
		}
	}
	if worst != nil {
		return worst
	}
	if c := r.Classes; c != nil && c.Agreement < leastAgreement && names(r, c.Output) {
		return &DamageError{Output: c.Output, Agreement: c.Agreement}
	}
	if l := r.Language; l != nil && l.Agreement.Value < leastAgreement && names(r, l.Output) {
		return &DamageError{Output: l.Output, Agreement: l.Agreement.Value, Token: true}
	}
	return nil
}

// names tells whether all of the original's numbers at an output say something: those that are not finite name no class.
func names(r *verify.Report, output string) bool {
	return !slices.ContainsFunc(r.Outputs, func(o verify.Output) bool { return o.Name == output && o.NonFiniteOriginal > 0 })
}
