package calib

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/onnx-compress/onnx-compress/internal/feed"
	"github.com/onnx-compress/onnx-compress/internal/outputs"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// counting says by target and for all samples of a run, one after the other, with what the change of each number is multiplied before it
// is squared; nil for a target all whose numbers count alike, as those of all but boxes do.
type counting [][]float32

// boxed is the target with a detector's boxes, −1 where there is none.
func boxed(list []target) int { return outputs.Boxed(outputsOf(list)) }

func outputsOf(list []target) []outputs.Output {
	out := make([]outputs.Output, len(list))
	for i, t := range list {
		out[i] = t.Output
	}
	return out
}

// countingOf looks at the values of all targets in a run of the original, and says which targets have the scores of a sample's boxes.
func countingOf(list []target, axes feed.Axes, r *feed.Run, values []tensor.Dense) (c counting, scores []int, err error) {
	c = make(counting, len(list))
	known := outputsOf(list)
	at := outputs.Boxed(known)
	if at < 0 {
		return c, nil, nil
	}
	count := 1
	parts, single := make([]tensor.Dense, len(list)), make([]bool, len(list))
	for i, t := range list {
		parts[i], single[i] = values[i], true
		if r.Batch > 0 {
			parts[i], single[i] = axes.Lead(t.name, values[i], r.Batch)
			count = len(r.Samples)
		}
	}
	if !single[at] {
		return c, nil, nil
	}
	var fits [][]float64 // what counts in one of the samples that fit
	var others []int     // the rest
	for k := range count {
		of := make([]outputs.Numbers, len(list))
		for i, d := range parts {
			if !single[i] {
				continue
			}
			if r.Batch > 0 {
				d = feed.Entry(d, k)
			}
			of[i].Shape = d.Shape
			if of[i].Values, err = d.Float64s(); err != nil {
				return nil, nil, fmt.Errorf("output %q: %w", list[i].name, err)
			}
		}
		counts, reads := outputs.BoxCounts(known, of)
		if counts == nil {
			others = append(others, k)
			continue
		}
		scores, fits = reads, counts
		c.add(k, max(r.Batch, 1), counts)
	}
	if fits != nil { // beside a sample whose boxes can be read, others count nothing: their pixels would drown all else
		nothing := make([][]float64, len(fits))
		for i, own := range fits {
			if own != nil {
				nothing[i] = make([]float64, len(own))
			}
		}
		for _, k := range others {
			c.add(k, max(r.Batch, 1), nothing)
		}
	}
	return c, scores, nil
}

// add sets what the numbers of sample k of so many count.
func (c counting) add(k, of int, counts [][]float64) {
	for i, own := range counts {
		if own == nil {
			continue
		}
		if c[i] == nil {
			c[i] = slices.Repeat([]float32{1}, len(own)*of)
		}
		for n, v := range own {
			c[i][k*len(own)+n] = float32(math.Sqrt(v))
		}
	}
}

// weigh multiplies changes with what they count.
func (c counting) weigh(target int, x []float32) {
	if c == nil || c[target] == nil {
		return
	}
	for i := range x {
		x[i] *= c[target][i]
	}
}

// counting runs the model alone, where what the outputs' numbers count depends on these.
func (gs *gradients) counting(ctx context.Context, r *feed.Run) (counting, error) {
	if gs.forward == nil {
		return nil, nil
	}
	values := map[string]tensor.Dense{}
	done, err := gs.forward.run(ctx, r.Inputs, gs.forward.outputs, values)
	if err != nil {
		return nil, err
	}
	defer done()
	c, _, err := countingOf(gs.targets, gs.axes, r, valuesOf(gs.targets, values))
	return c, err
}
