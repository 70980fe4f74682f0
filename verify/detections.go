package verify

import (
	"fmt"
	"math"
	"slices"

	"github.com/onnx-compress/onnx-compress/internal/feed"
	"github.com/onnx-compress/onnx-compress/internal/outputs"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// Detections says how many of the objects that two detectors find are found by both: a box of one matches one of the other's of the same class where they
// overlap (the area in common by that of both together) by half, among those with a score of 0.25 or more. Where there is a box for every
// place, those that overlap by more than half with one of their class and a larger score are left out before.
type Detections struct {
	// Output has the boxes, and Reads lists all outputs that were read, this one first.
	Output string   `json:"output"`
	Reads  []string `json:"reads"`
	// LeastScore is the least score of a box that counts.
	LeastScore float64 `json:"least_score"`
	// Samples is in how many a model found something.
	Samples int `json:"samples"`
	// Before and After are how many boxes the models found, and Matched how many both.
	Before  int `json:"before"`
	After   int `json:"after"`
	Matched int `json:"matched"`
	// Share is 2·Matched / (Before + After), the share of all boxes that match, or F1 of one by the other; Low and High are the ends of its
	// 95 % interval, with samples that differ as these do.
	Share float64 `json:"share"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
}

// reading is what both models found in a sample, by one layout of their outputs.
type reading struct {
	name                   string
	reads                  []int // outputs
	before, after, matched int
}

// same tells whether readings are by the same layout.
func (r reading) same(as reading) bool { return r.name == as.name && slices.Equal(r.reads, as.reads) }

// plain are what outputs are, without how they are compared.
func plain(list []output) []outputs.Output {
	out := make([]outputs.Output, len(list))
	for i, o := range list {
		out[i] = o.Output
	}
	return out
}

// detect reads what both models found in every sample of a run: of gives an output of both.
func (s *runSums) detect(list []output, axes feed.Axes, of func(output int) (before, after tensor.Dense)) (err error) {
	known := plain(list)
	if outputs.Boxed(known) < 0 {
		return nil
	}
	for k := range s.examples {
		sample := func(i int, d tensor.Dense) (tensor.Dense, bool) {
			if s.batch == 1 { // all of it is of this sample, whatever its axes are
				return d, true
			}
			d, single := axes.Lead(list[i].Name, d, s.batch)
			if !single {
				return d, false
			}
			return feed.Entry(d, k), true
		}
		shapes := make([][]int, len(list))
		for i, o := range list {
			if o.at < 0 {
				continue
			}
			before, _ := of(i)
			if d, single := sample(i, before); single {
				shapes[i] = d.Shape
			}
		}
		e := &s.examples[k]
		if e.found, e.blind, err = detected(outputs.Layouts(known, shapes), func(i int) (y, z outputs.Numbers, err error) {
			before, after := of(i)
			before, _ = sample(i, before)
			after, _ = sample(i, after)
			y.Shape, z.Shape = before.Shape, after.Shape
			y.Values, z.Values, err = pair(before, after)
			return y, z, err
		}); err != nil {
			return err
		}
	}
	return nil
}

// detected reads a sample by all layouts that its original's numbers allow. It is blind where these are not finite.
func detected(layouts []outputs.Layout, numbers func(output int) (y, z outputs.Numbers, err error)) (found []reading, blind bool, err error) {
	before, after := map[int]outputs.Numbers{}, map[int]outputs.Numbers{}
	for _, l := range layouts {
		var y, z []outputs.Numbers
		for _, i := range l.Outputs {
			if _, ok := before[i]; !ok {
				if before[i], after[i], err = numbers(i); err != nil {
					return nil, false, err
				}
			}
			if slices.ContainsFunc(before[i].Values, notFinite) {
				return nil, true, nil
			}
			y, z = append(y, before[i]), append(z, after[i])
		}
		first, fits := l.Read(y)
		if !fits {
			continue
		}
		second, _ := l.Read(z)
		found = append(found, reading{l.Name, l.Outputs, len(first), len(second), outputs.Match(first, second)})
	}
	return found, false, nil
}

// detections sums up what was found by the likeliest of the layouts that all samples allow; nil where there is none, or nothing was
// found, which why says.
func (s *sums) detections() (d *Detections, why string) {
	at := outputs.Boxed(plain(s.list))
	seen := slices.DeleteFunc(slices.Clone(s.examples), func(e example) bool { return e.blind })
	if at < 0 || len(seen) == 0 {
		return nil, ""
	}
	for _, layout := range seen[0].found {
		if all := readings(seen, layout); len(all) == len(seen) {
			d = summed(all)
			d.Output = s.list[at].Name
			for _, i := range layout.reads {
				d.Reads = append(d.Reads, s.list[i].Name)
			}
			if d.Before+d.After == 0 {
				return nil, fmt.Sprintf("no sample has a box with a score of %g or more", outputs.LeastScore)
			}
			return d, ""
		}
	}
	return nil, "the layout of its boxes is not known"
}

// readings are those of examples by one layout.
func readings(list []example, layout reading) []reading {
	var out []reading
	for _, e := range list {
		if i := slices.IndexFunc(e.found, layout.same); i >= 0 {
			out = append(out, e.found[i])
		}
	}
	return out
}

// summed adds readings up. The interval is Wilson's for as many boxes as would deviate as much, each by itself: the share is a ratio of sums over
// samples, and the boxes of a sample are no independent ones.
func summed(all []reading) *Detections {
	d := &Detections{LeastScore: outputs.LeastScore}
	for _, r := range all {
		d.Before += r.before
		d.After += r.after
		d.Matched += r.matched
		if r.before+r.after > 0 {
			d.Samples++
		}
	}
	boxes := float64(d.Before + d.After)
	if boxes == 0 {
		return d
	}
	d.Share = 2 * float64(d.Matched) / boxes
	deviation := 0.
	for _, r := range all {
		off := 2*float64(r.matched) - d.Share*float64(r.before+r.after)
		deviation += off * off
	}
	alone := float64(d.Samples) // where all match, or none, each sample counts once
	if 0 < d.Share && d.Share < 1 {
		alone = min(d.Share*(1-d.Share)*boxes*boxes/deviation, boxes/2)
	}
	d.Low, d.High = Wilson(d.Share, max(1, int(math.Round(alone))))
	return d
}

// sentence says how many boxes match.
func (d *Detections) sentence(on string) string {
	return fmt.Sprintf("Of the boxes that it or the original finds on %s, %s match (with 95 %% confidence %s to %s of all such): %d of the original's %d and its %d, of the same class, overlapping by half or more, with a score of %g or more.",
		on, share2(d.Share), share2(d.Low), share2(d.High), d.Matched, d.Before, d.After, d.LeastScore)
}
