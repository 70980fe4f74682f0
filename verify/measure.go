package verify

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/onnx-compress/onnx-compress/internal/outputs"
)

// Measure is something that a Report tells and that can have a bound, by the word that asks for it.
type Measure string

// The measures. Those of outputs are of the output where they are worst.
const (
	// Agreement is the share of samples whose top class is the original's, or without class scores Language.Agreement, or Sequence.Agreement of tokens.
	Agreement Measure = "agree"
	// Drop is the share of labelled samples by which top-1 accuracy falls.
	Drop Measure = "drop"
	// ClassDrop is Drop on the samples of the class that loses most.
	ClassDrop Measure = "class-drop"
	// SNR is 10·log10(Σy² / Σ(y' − y)²) in dB: +Inf for equal outputs, and −Inf for others where the original's is zero
	// throughout.
	SNR Measure = "snr"
	// KL is Language.KL in nats, and PPL the share by which perplexity grows, Language.Perplexity.Increase.
	KL  Measure = "kl"
	PPL Measure = "ppl"
	// Boxes is Detections.Share.
	Boxes Measure = "boxes"
	// CER is Spelling.Rate, and IoU Regions.IoU.
	CER Measure = "cer"
	IoU Measure = "iou"
	// Recall is Neighbours.Kept.
	Recall Measure = "recall"
	// Cosine, MeanError and MaxError are Output.Cosine, MeanRelative and MaxRelative.
	Cosine    Measure = "cosine"
	MeanError Measure = "mean-error"
	MaxError  Measure = "max-error"
)

// Measures lists all measures.
func Measures() []Measure {
	return []Measure{Agreement, Drop, ClassDrop, KL, PPL, Boxes, CER, IoU, SNR, Cosine, Recall, MeanError, MaxError}
}

// Title names the measure in words.
func (m Measure) Title() string {
	switch m {
	case Agreement:
		return "same top class"
	case Drop:
		return "loss of top-1 accuracy"
	case ClassDrop:
		return "largest loss of accuracy of a class"
	case KL:
		return "KL divergence of the token"
	case PPL:
		return "increase of perplexity"
	case Boxes:
		return "boxes that match"
	case CER:
		return "letters that differ"
	case IoU:
		return "overlap of masks"
	case SNR:
		return "signal to noise ratio"
	case Cosine:
		return "cosine"
	case Recall:
		return "nearest neighbours kept"
	case MeanError:
		return "mean relative error"
	}
	return "largest relative error"
}

// Least tells that large values are good, so that a bound is a least value; else it is the largest.
func (m Measure) Least() bool {
	return m == Agreement || m == Boxes || m == IoU || m == SNR || m == Cosine || m == Recall
}

// unit is "%" for shares, "dB", or "" for plain numbers.
func (m Measure) unit() string {
	switch m {
	case Agreement, Drop, ClassDrop, PPL, Boxes, CER, IoU, Recall:
		return "%"
	case SNR:
		return "dB"
	}
	return ""
}

// Text writes a value with its unit: 99.2 %, 30 dB.
func (m Measure) Text(v float64) string {
	switch {
	case m == SNR && v > math.MaxFloat64:
		return "equal outputs"
	case m == SNR && v <= -math.MaxFloat64:
		return "other values where the original has zeros"
	case m == SNR:
		return round(v, 100) + " dB"
	case m == PPL && v >= 0:
		return "+" + round(100*v, 1e4) + " %"
	case m.unit() == "%":
		return round(100*v, 1e4) + " %"
	}
	return strconv.FormatFloat(v, 'g', 5, 64)
}

// round writes a number with as many digits as the largest fraction of one asks for.
func round(v, fraction float64) string {
	return strconv.FormatFloat(math.Round(v*fraction)/fraction, 'f', -1, 64)
}

// Finding is what a report says of a measure.
type Finding struct {
	// Value is a share, decibels or a plain number.
	Value float64
	// Output is the output that decides, empty for accuracies.
	Output string
	// Class is the class that decides, nil for all but ClassDrop.
	Class *ClassAccuracy
}

// Of returns what a report says of the measure. Where it was not measured, the error says why, and Output at which output.
func (m Measure) Of(r *Report) (Finding, error) {
	switch m {
	case KL, PPL:
		return m.ofText(r)
	case Boxes:
		return m.ofBoxes(r)
	case Agreement:
		switch {
		case r.Classes == nil && r.Language != nil:
			return m.ofText(r)
		case r.Classes == nil:
			return m.worst(r.Outputs)
		}
		return Finding{Value: r.Classes.Agreement, Output: r.Classes.Output}, nil
	case Drop, ClassDrop:
		if r.Classes == nil || r.Classes.Accuracy == nil {
			return Finding{}, errors.New("no labels for an output that looks like class scores")
		}
		a := r.Classes.Accuracy
		if outputs.NearChance(a.Before, a.Labelled, r.Classes.Count) {
			return Finding{}, &GuessingError{Accuracy: a.Before, Labelled: a.Labelled, Classes: r.Classes.Count}
		}
		if m == Drop || len(a.PerClass) == 0 {
			return Finding{Value: a.Before - a.After}, nil
		}
		worst := a.Worst()
		return Finding{Value: worst.Before - worst.After, Class: &worst}, nil
	}
	return m.worst(r.Outputs)
}

// ofText is what a comparison of tokens says of the measure.
func (m Measure) ofText(r *Report) (Finding, error) {
	l := r.Language
	switch {
	case l == nil:
		return Finding{}, errors.New("no output looks like scores of the next token, or of a vocabulary at each position")
	case m == Agreement:
		return Finding{Value: l.Agreement.Value, Output: l.Output}, nil
	case m == KL:
		return Finding{Value: l.KL.Value, Output: l.Output}, nil
	case l.Perplexity == nil:
		if l.kind(r) == outputs.Words {
			return Finding{}, fmt.Errorf("output %q has scores of the token at each position by what stands on both sides of it, which have no perplexity; bound kl in its place", l.Output)
		}
		return Finding{Output: l.Output}, errors.New("its tokens are no labels, so that there is no perplexity")
	}
	return Finding{Value: l.Perplexity.Increase.Value, Output: l.Output}, nil
}

// ofBoxes is what a comparison of detections says.
func (m Measure) ofBoxes(r *Report) (Finding, error) {
	switch {
	case r.Detections != nil:
		return Finding{Value: r.Detections.Share, Output: r.Detections.Output}, nil
	case r.Unmatched != "":
		return Finding{}, errors.New(r.Unmatched)
	}
	return Finding{}, errors.New("no output that counts looks like a detector's boxes, or several do")
}

// GuessingError says that already the original is right as seldom as guessing is, so that there is no accuracy to lose.
type GuessingError struct {
	Accuracy float64
	Labelled int
	Classes  int
}

func (e *GuessingError) Error() string {
	return fmt.Sprintf("the original is right for %s of %d labelled samples, which is what guessing among %d classes gives, so there is no accuracy to lose; are these the labels for this model, from 0 and in its order of classes, and are the samples prepared as it wants them (size, normalization, order of colours)?",
		Drop.Text(math.Round(e.Accuracy*1e4)/1e4), e.Labelled, e.Classes)
}

// worst finds the output with the worst value, of those that count and have something to compare.
func (m Measure) worst(list []Output) (Finding, error) {
	if len(list) == 0 {
		return Finding{}, errors.New("the models have no outputs")
	}
	var out Finding
	none := true
	for _, o := range list {
		if o.Ignored || o.Uncompared != "" || !o.has(m) {
			continue
		}
		if o.Values == 0 {
			return Finding{Output: o.Name}, errors.New("no finite values to compare")
		}
		v := o.value(m)
		if none || math.IsNaN(v) || m.Least() && v < out.Value || !m.Least() && v > out.Value {
			out = Finding{Value: v, Output: o.Name}
		}
		none = false
	}
	if !none {
		return out, nil
	}
	switch m {
	case Recall:
		return out, fmt.Errorf("no output is known to be an embedding, or there are fewer than %d samples", leastVectors)
	case CER:
		return out, errors.New("no output that counts looks like letters that are read from an image or a sound, or none are read")
	case IoU:
		return out, errors.New("no output that counts looks like a mask, or no place is inside of one, or its numbers are no mask's: many lie between 0.1 and 0.9")
	case Agreement:
		return out, errors.New("no output looks like class scores")
	}
	return out, errors.New("no output that counts can be compared")
}

// has tells whether an output has the measure.
func (o Output) has(m Measure) bool {
	switch m {
	case Recall:
		return o.Neighbours != nil
	case Agreement:
		return o.Sequence != nil
	case CER:
		return o.Sequence != nil && o.Sequence.Spelling != nil
	case IoU:
		return o.Regions != nil
	}
	return true
}

// Placeless tells whether an output that should name classes at positions or places names none.
func (o Output) Placeless() bool {
	switch o.Kind {
	case outputs.Tokens:
		return !o.has(Agreement)
	case outputs.Letters:
		return !o.has(CER)
	case outputs.Mask:
		return !o.has(IoU)
	}
	return false
}

// estimate is a measure of what an output, which has it, names at positions or places.
func (o Output) estimate(m Measure) Estimate {
	switch m {
	case CER:
		return o.Sequence.Spelling.Rate
	case IoU:
		return o.Regions.IoU
	}
	return o.Sequence.Agreement
}

// value is that of one output.
func (o Output) value(m Measure) float64 {
	switch m {
	case SNR:
		return o.Ratio()
	case Cosine:
		return o.Cosine
	case Recall:
		return o.Neighbours.Kept
	case Agreement, CER, IoU:
		return o.estimate(m).Value
	case MeanError:
		return o.MeanRelative
	}
	return o.MaxRelative
}

// Ratio is the SNR without gaps: +Inf for equal outputs, −Inf for others where the original's is zero throughout.
func (o Output) Ratio() float64 {
	switch {
	case o.SNR != nil:
		return *o.SNR
	case o.MaxRelative == 0:
		return math.Inf(1)
	}
	return math.Inf(-1)
}

// Worst is the class that lost most accuracy, the first of equals. There must be one.
func (a *Accuracy) Worst() ClassAccuracy {
	return slices.MaxFunc(a.PerClass, func(p, q ClassAccuracy) int {
		return cmp.Compare(p.Before-p.After, q.Before-q.After)
	})
}

// Number is a value as JSON can hold it: nil for +Inf, and the least number for −Inf.
func Number(v float64) *float64 {
	if math.IsInf(v, 1) {
		return nil
	}
	v = max(v, -math.MaxFloat64)
	return &v
}

// Value is what Number was made of, but for −Inf.
func Value(number *float64) float64 {
	if number == nil {
		return math.Inf(1)
	}
	return *number
}
