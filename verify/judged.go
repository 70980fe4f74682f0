package verify

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/onnx-compress/onnx-compress/internal/outputs"
)

// Evidence says what the samples of a comparison are to the compressed model; empty where that is not known.
type Evidence string

// The kinds of evidence.
const (
	// Unseen samples had no part in the compression.
	Unseen Evidence = "unseen"
	// Random inputs stand in for samples: they show that a model runs, not how good it is.
	Random Evidence = "random"
)

// Judged is what a comparison says by the one measure that fits the outputs: agreement for class scores, the KL divergence for
// next tokens, the share of boxes that match for detectors, edits for letters, the class at each position for other tokens, the overlap of masks, the cosine for embeddings, the signal to noise ratio for all else, each at the output where it is worst.
type Judged struct {
	// Measure is empty where no output that counts could be compared.
	Measure Measure `json:"measure,omitempty"`
	Output  string  `json:"output,omitempty"`
	// Kind is that of the output.
	Kind Kind `json:"kind,omitempty"`
	// Value is as Number writes it: null for equal outputs.
	Value *float64 `json:"value"`
	// Samples is how many were judged, of class scores so many with the same class.
	Samples int `json:"samples"`
	// Low and High are the ends of the 95 % interval of an agreement (Wilson), of matching boxes, a KL divergence, a character error rate or an overlap; null for other measures.
	Low  *float64 `json:"low,omitempty"`
	High *float64 `json:"high,omitempty"`
	// Least is the cosine of the sample where it is least, and Recall the share of Neighbours.Of nearest neighbours that were kept;
	// null where the measure is no cosine, or neighbours were not looked for.
	Least  *float64 `json:"least,omitempty"`
	Recall *float64 `json:"recall,omitempty"`
	// Text says it in a sentence.
	Text string `json:"text"`
}

// Judge sums the report up.
func (r *Report) Judge() Judged {
	j := r.judged()
	j.Text = j.sentence(r)
	return j
}

func (r *Report) judged() Judged {
	if c := r.Classes; c != nil {
		n := c.Samples
		if n == 0 { // in reports of earlier versions
			n = r.Samples
		}
		low, high := Wilson(c.Agreement, n)
		return Judged{Measure: Agreement, Output: c.Output, Kind: outputs.Scores, Value: &c.Agreement, Samples: n, Low: &low, High: &high}
	}
	if l := r.Language; l != nil {
		return Judged{Measure: KL, Output: l.Output, Kind: l.kind(r), Value: &l.KL.Value, Samples: l.Samples, Low: l.KL.Low, High: l.KL.High}
	}
	if d := r.Detections; d != nil {
		return Judged{Measure: Boxes, Output: d.Output, Kind: outputs.Boxes, Value: &d.Share, Samples: r.Samples, Low: &d.Low, High: &d.High}
	}
	for _, m := range []Measure{CER, Agreement, IoU} {
		if f, err := m.worst(r.Outputs); err == nil && f.Output != "" {
			return r.placed(m, f)
		}
	}
	measure, list := SNR, []Output{}
	for _, o := range r.Outputs {
		if o.Kind == outputs.Embedding && o.Values > 0 {
			list = append(list, o)
		}
	}
	f, err := Cosine.worst(list)
	if err == nil {
		measure = Cosine
	} else if f, err = SNR.worst(r.Outputs); err != nil {
		return Judged{Samples: r.Samples}
	}
	j := Judged{Measure: measure, Output: f.Output, Value: Number(f.Value), Samples: r.Samples}
	for _, o := range r.Outputs {
		if o.Name != f.Output {
			continue
		}
		j.Kind = o.Kind
		if measure == Cosine {
			j.Least = &o.LeastCosine
			if o.Neighbours != nil {
				j.Recall = &o.Neighbours.Kept
			}
		}
	}
	return j
}

// placed is judged by what an output names at positions or places.
func (r *Report) placed(m Measure, f Finding) Judged {
	o := r.named(f.Output)
	e := o.estimate(m)
	return Judged{Measure: m, Output: o.Name, Kind: o.Kind, Value: &e.Value, Samples: r.Samples, Low: e.Low, High: e.High}
}

// named is the output of that name, which there is.
func (r *Report) named(output string) *Output {
	return &r.Outputs[slices.IndexFunc(r.Outputs, func(o Output) bool { return o.Name == output })]
}

// sentence says what was found.
func (j Judged) sentence(r *Report) string {
	on := fmt.Sprintf("%d samples", j.Samples)
	if j.Samples == 1 {
		on = "1 sample"
	}
	switch r.Evidence {
	case Random:
		return "Nothing real judged it: random inputs show that it runs, not how good it is."
	case Unseen:
		on = strconv.Itoa(j.Samples) + " unseen" + on[len(strconv.Itoa(j.Samples)):]
	}
	switch j.Measure {
	case CER:
		return r.named(j.Output).Sequence.sentence(j.Output, on)
	case IoU:
		return r.named(j.Output).Regions.sentence(j.Output, on)
	case Agreement:
		if r.Classes == nil {
			return r.named(j.Output).Sequence.sentence(j.Output, on)
		}
		said := fmt.Sprintf("It gives the original's top class for %s of %s (with 95 %% confidence for %s to %s of all such samples)", share2(*j.Value), on, share2(*j.Low), share2(*j.High))
		if a := r.Classes.Accuracy; a != nil {
			said += fmt.Sprintf("; top-1 accuracy went from %s to %s", share2(a.Before), share2(a.After))
		}
		if doubt := r.Classes.Doubt; doubt != "" {
			said += fmt.Sprintf(". Is %s class scores? For every sample it lies as the corners of a box do, and %s", j.Output, doubt)
		}
		return said + "."
	case KL:
		return r.Language.sentence(j.Kind, on)
	case Boxes:
		return r.Detections.sentence(on)
	case Cosine:
		said := fmt.Sprintf("Its embeddings (%s) keep a mean cosine of %.4f with the original's on %s, of %.4f where it is least", j.Output, *j.Value, on, *j.Least)
		if j.Recall != nil {
			said += fmt.Sprintf(", and %s of the %d nearest neighbours", share2(*j.Recall), neighbours)
		}
		return said + "."
	case SNR:
		if j.Value == nil {
			return fmt.Sprintf("Its outputs are the original's numbers on %s.", on)
		}
		return fmt.Sprintf("Its outputs keep a signal to noise ratio of %s on %s, at %s, where it is least%s.", decibels(*j.Value), on, j.Output, r.differing()+r.doubted(j.Output))
	}
	for _, o := range r.Outputs {
		if !o.Ignored && o.Values == 0 && o.NonFiniteOriginal > 0 {
			return fmt.Sprintf("No output that counts could be compared: the original's %s is NaN or infinite for %d of %s. Are the samples prepared as the model wants them?", o.Name, o.NonFiniteOriginal, on)
		}
	}
	if slices.ContainsFunc(r.Outputs, func(o Output) bool { return !o.Ignored && o.Uncompared == "" }) {
		return "No output that counts could be compared: all are empty for every sample, as where a detector finds nothing. Are the samples prepared as the model wants them?"
	}
	return "No output that counts could be compared."
}

// doubted says what else an output may be, if anything.
func (r *Report) doubted(output string) string {
	if doubt := r.named(output).Doubt; doubt != "" {
		return "; " + doubt
	}
	return ""
}

// differing says for how many samples sizes differ that depend on the data, if for any: how many boxes a detector finds.
func (r *Report) differing() string {
	most := 0
	for _, o := range r.Outputs {
		if !o.Ignored {
			most = max(most, o.Differing)
		}
	}
	if most == 0 {
		return ""
	}
	return fmt.Sprintf("; for %d of them it gives more or fewer values than the original, such as boxes, and these are not compared", most)
}

// share2 writes a share in percent with two digits behind the point.
func share2(v float64) string { return fmt.Sprintf("%.2f %%", 100*v) }

// decibels writes a signal to noise ratio.
func decibels(v float64) string {
	if math.Abs(v) >= math.MaxFloat64 {
		return SNR.Text(v)
	}
	return fmt.Sprintf("%.2f dB", v)
}

// confidence is how many standard deviations of a normal distribution leave 95 in 100 within.
const confidence = 1.959964

// Wilson is the 95 % interval of a share that was counted on n samples (E. B. Wilson, Journal of the American Statistical
// Association 22, 1927); all of [0, 1] for none.
func Wilson(share float64, n int) (low, high float64) {
	if n < 1 {
		return 0, 1
	}
	count, z := float64(n), confidence
	middle := (share + z*z/(2*count)) / (1 + z*z/count)
	reach := z / (1 + z*z/count) * math.Sqrt(share*(1-share)/count+z*z/(4*count*count))
	return max(0, middle-reach), min(1, middle+reach)
}

// Telling is about how many samples it takes to tell a share from one that falls short of all by three times as much, as 99 % from 97 %:
// the least for which the 95 % interval of the first leaves the second out.
func Telling(share float64) int {
	n := 1
	for ; n < 1<<20; n += 1 + n/64 {
		if low, _ := Wilson(share, n); low >= 1-3*(1-share) {
			break
		}
	}
	return n
}
