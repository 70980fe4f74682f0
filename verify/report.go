package verify

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/onnx-compress/onnx-compress/internal/outputs"
)

// Report says how far the outputs of two models lie apart, and on what data.
type Report struct {
	// Original and Compressed are the paths of the two models.
	Original   string `json:"original"`
	Compressed string `json:"compressed"`
	// Data describes the samples, Samples counts them.
	Data    string `json:"data"`
	Samples int    `json:"samples"`
	// Evidence says what the samples are to the compressed model.
	Evidence Evidence `json:"evidence,omitempty"`
	// Judged sums up: what the outputs keep, by the measure that fits them.
	Judged Judged `json:"judged"`
	// Outputs has one entry per output of the model, in its order.
	Outputs []Output `json:"outputs"`
	// Classes judges the output with class scores: the one that was named, or the first that is floating-point, of shape
	// [samples, classes] with at least two classes (axes of size 1 may follow), and made by a linear layer or a softmax, not
	// by what normalizes it. It is null where none is.
	Classes *Classes `json:"classes"`
	// Language judges the first output that counts and has scores of tokens of a vocabulary; null where none has.
	Language *Language `json:"language,omitempty"`
	// Detections compares what a detector finds; null where no output that counts has boxes, or it is not known how these are laid out,
	// or there are none. Unmatched says which, where boxes are.
	Detections *Detections `json:"detections,omitempty"`
	Unmatched  string      `json:"unmatched,omitempty"`
	// Moved lists the samples whose outputs moved most, the most moved first; those
	// that did not move at all are not among them.
	Moved []Moved `json:"moved"`
}

// Output compares one output y of the original with its counterpart y'. Samples where
// either is not finite are counted and left out of all else; where none is left, or the
// output does not go by samples, Values is 0 and so are the other numbers.
type Output struct {
	Name string `json:"name"`
	// Kind is what the numbers are.
	Kind Kind `json:"kind"`
	// Doubt says what other numbers may be that nothing in the model tells apart from scores, and how to say so; empty where nothing is open.
	Doubt string `json:"doubt,omitempty"`
	// Ignored says that the output counts nothing, as a state does, so that no measure takes it.
	Ignored bool `json:"ignored,omitempty"`
	// Uncompared says why nothing of the output was compared, empty where something was.
	Uncompared string `json:"uncompared,omitempty"`
	// Differing counts the samples for which the data made the sizes differ between the models, so that they were left out.
	Differing int `json:"differing_sizes,omitempty"`
	// Values is the number of elements compared.
	Values int64 `json:"values"`
	// MaxRelative is max|y' − y| / max|y| over all elements of all samples.
	MaxRelative float64 `json:"max_relative_error"`
	// MeanRelative is mean|y' − y| / √mean(y²): relative to the root mean square of
	// the original's output. Where y is zero throughout, both errors are absolute.
	MeanRelative float64 `json:"mean_relative_error"`
	// Cosine is the mean over the samples of the cosine of the angle between y and y';
	// it is 1 for two zero vectors and 0 for a zero and another.
	Cosine float64 `json:"cosine"`
	// LeastCosine is that of the sample where it is least.
	LeastCosine float64 `json:"least_cosine"`
	// Neighbours are those of an embedding's samples; null for other outputs, and where there are too few samples to tell.
	Neighbours *Neighbours `json:"neighbours,omitempty"`
	// Sequence is that of tokens or letters, and Regions those of masks; null for other outputs, for masks whose places belong to nothing, and
	// for numbers that turn out to be none.
	Sequence *Sequence `json:"sequence,omitempty"`
	Regions  *Regions  `json:"regions,omitempty"`
	// SNR is 10·log10(Σy² / Σ(y' − y)²) in dB; null where y' = y, or y = 0.
	SNR *float64 `json:"snr_db"`
	// NonFiniteOriginal and NonFiniteCompressed count the samples with a NaN or an
	// infinity in that output.
	NonFiniteOriginal   int `json:"non_finite_original"`
	NonFiniteCompressed int `json:"non_finite_compressed"`
}

// Classes compares the classes with the largest score.
type Classes struct {
	Output string `json:"output"`
	// Count is the number of classes.
	Count int `json:"count"`
	// Samples is how many had scores.
	Samples int `json:"samples"`
	// Agreement is the share of samples for which both models name the same class. A
	// sample with a score that is NaN agrees with nothing.
	Agreement float64 `json:"agreement"`
	// Accuracy is null where the samples have no labels.
	Accuracy *Accuracy `json:"accuracy"`
	// Doubt says that the scores may be a box, and how to say so: four numbers that nothing in the model tells apart from scores, and that lie
	// as corners do for every sample. It is empty otherwise.
	Doubt string `json:"doubt,omitempty"`
	// Changed lists samples whose top class changed, the most moved first: those that
	// moved most, and those of the class that lost most accuracy.
	Changed []Moved `json:"changed,omitempty"`
}

// fewBoxes is how many samples make it sure that four numbers do not lie as corners do by chance.
const fewBoxes = 8

// Accuracy is the share of labelled samples whose label has the largest score.
type Accuracy struct {
	// Labelled is the number of samples with a label.
	Labelled int     `json:"labelled"`
	Before   float64 `json:"before"`
	After    float64 `json:"after"`
	// PerClass has an entry for every label that occurs, in order.
	PerClass []ClassAccuracy `json:"per_class"`
}

// ClassAccuracy is the accuracy on the samples of one label.
type ClassAccuracy struct {
	Label   int     `json:"label"`
	Samples int     `json:"samples"`
	Before  float64 `json:"before"`
	After   float64 `json:"after"`
}

// Moved is one sample and how far its outputs moved.
type Moved struct {
	Name string `json:"name"`
	// Index is the sample's number in its source, −1 where it is a part of one.
	Index int `json:"-"`
	// Error is ‖y' − y‖ / ‖y‖ over the outputs of the sample that count, each divided by its root mean square over all
	// samples and multiplied with its weight; ‖y'‖ where y = 0; null where a number is not finite.
	Error *float64 `json:"error"`
	// Label is null where none is known, Before and After where no output looks
	// like class scores or a score is NaN.
	Label  *int `json:"label"`
	Before *int `json:"before"`
	After  *int `json:"after"`
}

// report makes a report of the sums.
func (s *sums) report() *Report {
	s.weigh()
	moved := s.moved()
	r := &Report{Outputs: make([]Output, len(s.list)), Moved: make([]Moved, len(moved))}
	for i, o := range s.list {
		if s.shapes[i] != nil {
			o.Output = o.At(s.shapes[i])
		}
		r.Outputs[i] = s.outputs[i].report(o)
		if o.Kind == outputs.Values {
			r.Outputs[i].Doubt = o.Doubt
		}
		r.Outputs[i].Neighbours = kept(s.vectors[i])
		r.Outputs[i].Sequence, r.Outputs[i].Regions = s.sequence(i), s.regions(i)
	}
	if s.classes > 0 {
		r.Classes = &Classes{
			Output: s.list[s.scored].Name, Count: s.classes, Samples: s.judged,
			Agreement: share(s.agree, s.judged), Accuracy: s.accuracy(),
		}
		if s.boxes == s.judged && s.judged >= fewBoxes {
			r.Classes.Doubt = s.list[s.scored].Doubt
		}
	}
	r.Language = s.language()
	r.Detections, r.Unmatched = s.detections()
	for i, e := range moved {
		r.Moved[i] = e.moved(s.classes > 0)
	}
	if r.Classes != nil {
		for _, e := range s.changes() {
			r.Classes.Changed = append(r.Classes.Changed, e.moved(true))
		}
	}
	return r
}

// moved is the example as a report has it, with its classes where there are any.
func (e example) moved(classes bool) Moved {
	known := func(v int) *int {
		if v < 0 {
			return nil
		}
		return &v
	}
	m := Moved{Name: e.name, Index: e.index, Label: known(e.label)}
	if classes {
		m.Before, m.After = known(e.before), known(e.after)
	}
	if v := e.error; !notFinite(v) {
		m.Error = &v
	}
	return m
}

func (s *outputSums) report(of output) Output {
	o := Output{
		Name: of.Name, Kind: of.Kind, Ignored: of.Weight == 0, Uncompared: of.why, Differing: s.differing,
		Values: s.values, NonFiniteOriginal: s.badRef, NonFiniteCompressed: s.badOther,
	}
	if s.values == 0 {
		if s.differing > 0 {
			o.Uncompared = fmt.Sprintf("its sizes depend on the data (node %q), and differ for all samples", of.Varies)
		}
		return o
	}
	n := float64(s.values)
	o.MaxRelative, o.MeanRelative = s.maxDiff, s.diff/n
	if s.ref2 > 0 {
		o.MaxRelative /= s.maxRef
		o.MeanRelative /= math.Sqrt(s.ref2 / n)
	}
	o.Cosine, o.LeastCosine = s.cosines/float64(s.samples), 1-s.away
	if s.ref2 > 0 && s.diff2 > 0 {
		snr := 10 * math.Log10(s.ref2/s.diff2)
		o.SNR = &snr
	}
	return o
}

// accuracy is nil where no example has a label.
func (s *sums) accuracy() *Accuracy {
	if len(s.labels) == 0 {
		return nil
	}
	a := &Accuracy{}
	var before, after int
	for _, label := range slices.Sorted(maps.Keys(s.labels)) {
		t := s.labels[label]
		a.PerClass = append(a.PerClass, ClassAccuracy{label, t.samples, share(t.before, t.samples), share(t.after, t.samples)})
		a.Labelled += t.samples
		before += t.before
		after += t.after
	}
	a.Before, a.After = share(before, a.Labelled), share(after, a.Labelled)
	return a
}

func share(part, whole int) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}
