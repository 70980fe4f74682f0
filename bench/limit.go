//go:build unix

package main

import (
	"path/filepath"
	"slices"
)

// A small limit of memory, and on how many samples models are calibrated and judged under it.
const limited, limitedSamples = "512MiB", "64"

// limits compresses ten models under a small limit of memory.
func (b *bench) limits() error {
	folder := filepath.Join(b.data, "minilm")
	shapes := filepath.Join(b.data, "large")
	if err := need("bench/minilm.sh", filepath.Join(folder, "model.onnx")); err != nil {
		return err
	}
	if err := need("bench/large.py", filepath.Join(shapes, "resnet18", "model.onnx"), filepath.Join(shapes, "resnet50", "model.onnx")); err != nil {
		return err
	}
	b.printf("Runs at %s under `--memory %s`: ten models, calibrated on few samples where there are any. What does not fit is refused, or left alone with the reason.\n\n"+
		"| model | samples | seconds | peak MiB | outcome |\n|---|---|---|---|---|\n", modelsTarget, limited)
	list := b.trained()
	for i := range list {
		list[i].file = b.model(list[i].file)
	}
	list = append(list,
		trained{file: filepath.Join(folder, "model.onnx"), samples: []string{"--calib", filepath.Join(folder, "sentences.npz")}},
		trained{file: filepath.Join(shapes, "resnet18", "model.onnx")}, trained{file: filepath.Join(shapes, "resnet50", "model.onnx")})
	for _, m := range list {
		args := slices.Concat([]string{m.file}, m.flags, m.samples)
		given := "none"
		if m.samples != nil {
			given = limitedSamples
			args = append(args, "--calib-samples", limitedSamples, "--verify-samples", limitedSamples)
		}
		args = append(args, "--target", modelsTarget, "--memory", limited, "--accept-damage", "-o", filepath.Join(b.work, "small.onnx"))
		name, err := filepath.Rel(b.data, m.file)
		if err != nil {
			return err
		}
		u, r, refused, err := b.outcome(args...)
		if err != nil {
			return err
		}
		if refused == "" {
			refused = "done"
			if r.Memory.Stage != "" {
				refused += ", most in the stage " + r.Memory.Stage
			}
		}
		b.note("%s: %.0f s, %.0f MiB", name, u.seconds, u.peakMiB)
		b.printf("| %s | %s | %.1f | %.0f | %s |\n", name, given, u.seconds, u.peakMiB, refused)
	}
	return nil
}
