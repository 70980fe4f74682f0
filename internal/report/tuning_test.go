package report

import (
	"io"
	"testing"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/internal/tune"
)

func tuning() *compress.TuneResult {
	accuracy := 0.9125
	return &compress.TuneResult{
		Start: compress.File{Path: "small.onnx"}, Output: compress.File{Path: "tuned.onnx"},
		Tuning: &compress.Tuning{
			Source: "5000 records of 3×32×32 in train.bin", Learned: 4500, Held: 500, Augment: "flip,crop=4", Batch: 64, Steps: 140, Optimizer: tune.Adam,
			Parameters: 154114, Tensors: 59, End: tune.Completed, Improved: true, Best: 2, SamplesPerSecond: 431.4, Seconds: 21.2,
			Curve: []tune.Point{
				{Held: 0.08184, Agreement: 0.94},
				{Epoch: 1, Step: 70, Loss: 0.0937, Held: 0.0848, Agreement: 0.942},
				{Epoch: 2, Step: 140, Loss: 0.0768, Held: 0.0773, Agreement: 0.95, Accuracy: &accuracy, Averaged: true},
			},
		},
		Verification: classified(),
		Stages:       []compress.Stage{{Name: "tune", Seconds: 21.2}, {Name: "write", Seconds: 0.01}, {Name: "verify", Seconds: 0.5}},
	}
}

func TestTuningText(t *testing.T) {
	golden(t, "tuning", func(w io.Writer) error { return Tuning(w, tuning(), false) })
	golden(t, "tuning_verbose", func(w io.Writer) error { return Tuning(w, tuning(), true) })
	kept := tuning()
	kept.Tuning.Improved, kept.Tuning.Best, kept.Tuning.End, kept.Tuning.Familiar = false, 0, tune.Diverged, true
	kept.Tuning.Advice = "the loss ran away at step 12; try a learning rate of 0.0001, or a longer warm-up"
	golden(t, "tuning_kept", func(w io.Writer) error { return Tuning(w, kept, false) })
}
