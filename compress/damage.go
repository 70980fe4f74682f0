package compress

import (
	"fmt"

	"github.com/onnx-compress/onnx-compress/internal/outputs"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/verify"
)

// leastOnNoise is the signal to noise ratio in dB, on random inputs, below which a model that no real data judged is taken for
// destroyed. On trained image classifiers the ratio on random inputs goes along with that on photos, and wherever it was below
// 10 dB at least a tenth of the accuracy was lost: ResNet-20 on CIFAR-10 with svd has 11.1, 9.8, 4.6, 3.9 and 2.9 dB on random
// inputs at 0.95, 0.9, 0.8, 0.7 and 0.6 of the multiply-adds, and 89, 81, 62, 11 and 23 % of the photos right, of 91 %. How many
// top classes change on random inputs says less, for there the scores of all classes lie close together.
const leastOnNoise = 10

// DamageError says that random inputs show a model to be destroyed, of which no real data was there to judge. Nothing is written.
type DamageError struct {
	// Output is the output with the least signal to noise ratio, SNR, in dB, and Least what is the least that is accepted.
	Output     string
	SNR, Least float64
	// Agreement is the share of random inputs with the same top class; negative where the model has no classes.
	Agreement float64
}

func (e *DamageError) Error() string {
	text := fmt.Sprintf("the compressed model does not do what the original does: on random inputs output %q has a signal to noise ratio of %s, less than %s",
		e.Output, verify.SNR.Text(e.SNR), verify.SNR.Text(e.Least))
	if e.Agreement >= 0 {
		text += fmt.Sprintf(" (the same top class for %s of them)", verify.Agreement.Text(e.Agreement))
	}
	return fmt.Sprintf("%s, and no real data was there to judge it; give samples (%s), which also makes it much better, ask for less compression, or take it as it is (%s)",
		text, OptionSource, OptionDamage)
}

// unjudged is what a result says where no real data judged the model.
const unjudged = "NO REAL DATA judged the model: random inputs show that it runs, not how good it is; give samples (" + string(OptionSource) + ")"

// damaged refuses a model that random inputs show to be destroyed.
func damaged(r *verify.Report) error {
	var worst *DamageError
	for _, o := range r.Outputs {
		if o.Ignored || o.Kind == outputs.Opaque || o.SNR == nil {
			continue
		}
		if *o.SNR < leastOnNoise && (worst == nil || *o.SNR < worst.SNR) {
			worst = &DamageError{Output: o.Name, SNR: *o.SNR, Least: leastOnNoise, Agreement: -1}
		}
	}
	if worst == nil {
		return nil
	}
	if c := r.Classes; c != nil && c.Output == worst.Output {
		worst.Agreement = c.Agreement
	}
	return worst
}

// tells reports whether random inputs tell something of a model: where its inputs are numbers. Of indices and conditions, such as
// words of a text, there is one value alone in them.
func tells(inputs []samples.InputSpec) bool {
	for _, in := range inputs {
		if !in.Type.IsFloat() && len(in.Shape) > 0 {
			return false
		}
	}
	return len(inputs) > 0
}
