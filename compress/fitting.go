package compress

import (
	"errors"
	"fmt"
	"slices"

	"github.com/onnx-compress/onnx-compress/internal/outputs"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/verify"
)

// aimless tells whether nothing is said of what to reach, and there are samples to find that by.
func (o Options) aimless() bool {
	return len(o.Targets)+len(o.Goals) == 0 && o.FromPlan == nil && o.Source != nil
}

// fitted are options with the goals that fit a model's outputs, where none were given.
func (o Options) fitted(m *onnxio.Model) (Options, error) {
	if !o.aimless() {
		return o, nil
	}
	if o.Source.Len() < 2 {
		return o, &UsageError{Err: fmt.Errorf("%s: how small the model may become is judged on samples that calibration does not use, and there is 1; give more, a few hundred if there are, or say how small, for example macs=0.5", o.Source.Describe())}
	}
	whole, err := o.judged(m)
	if err != nil {
		return o, err
	}
	list, err := outputs.Of(whole, outputs.Options{Classes: o.Classes, Weights: o.Weights, Kinds: o.Kinds})
	if err != nil {
		return o, &UsageError{Err: fmt.Errorf("%s: %w", m.Path, err)}
	}
	var kinds []verify.Kind
	for _, v := range list {
		if v.Weight > 0 {
			kinds = append(kinds, v.Kind)
		}
	}
	o.Goals, o.fitting = fittingGoals(kinds), true
	return o, nil
}

// refitted are the goals when the model has run: an output whose scores turn out to have another shape, or boxes of a layout that is
// not known, are judged as numbers are, and what goes with boxes that are matched with these.
func refitted(r *verify.Report) []verify.Bound {
	var kinds []verify.Kind
	for _, v := range r.Outputs {
		if d := r.Detections; d != nil && slices.Contains(d.Reads, v.Name) {
			if v.Name == d.Output {
				kinds = append(kinds, outputs.Boxes)
			}
			continue
		}
		if v.Ignored || v.Uncompared != "" {
			continue
		}
		kind := v.Kind
		if kind == outputs.Boxes {
			kind = outputs.Values
		}
		if kind == outputs.Scores && r.Classes == nil || kind.Vocabulary() && r.Language == nil || v.Placeless() {
			kind = outputs.Values
		}
		kinds = append(kinds, kind)
	}
	return fittingGoals(kinds)
}

// fittingGoals are those that fit outputs of certain kinds, one for each measure that these are judged by.
func fittingGoals(kinds []verify.Kind) []verify.Bound {
	if len(kinds) == 0 {
		kinds = []verify.Kind{outputs.Values}
	}
	var out []verify.Bound
	for _, k := range kinds {
		if g := verify.Fitting(k); !slices.Contains(out, g) {
			out = append(out, g)
		}
	}
	return out
}

// errAimless refuses a run of which nothing says what it is to reach.
var errAimless = errors.New("no target, and no samples to find one by: say how small the model should become, for example macs=0.5")
