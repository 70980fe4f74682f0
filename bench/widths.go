//go:build unix

package main

import (
	"fmt"
	"path/filepath"
)

// minilmWidths shows chains and widths, each alone and both, on a sentence encoder.
func (b *bench) minilmWidths() error {
	model, sentences := filepath.Join(b.data, "minilm", "model.onnx"), filepath.Join(b.data, "minilm", "sentences.npz")
	if err := need("bench/minilm.sh", model, sentences); err != nil {
		return err
	}
	common := []string{
		model, "-o", b.file("small.onnx"), "--calib", sentences, "--calib-samples", "256", "--verify-samples", "256", "--keep", "Gather_*",
	}
	b.printf("The encoder of the section before, at fractions of the parameters of its 36 linear layers, 256 sentences, with refit. Widths are hidden units of the six perceptrons, dimensions of the heads' values, and those of queries and keys. Cells: mean cosine on 256 other sentences / nodes beyond the original's.\n\n```\n%s\n```\n\n| methods |",
		b.command(append(common, "--methods", "METHODS", "--target", "params=TARGET")...))
	shares := []float64{0.8, 0.7, 0.6, 0.5}
	for _, f := range shares {
		b.printf(" %g |", f)
	}
	b.printf("\n|---|---|---|---|---|\n")
	for _, methods := range []string{"svd", "width", "svd,width"} {
		row := "| " + methods + " |"
		for _, f := range shares {
			target := fmt.Sprintf("params=%d", int64(minilmParams-(1-f)*minilmLinear))
			_, r, err := b.compress(append(common, "--methods", methods, "--target", target)...)
			if err != nil {
				return err
			}
			chains := 0
			for _, s := range r.Sites {
				if s.Rank != nil {
					chains++
				}
			}
			row += fmt.Sprintf(" %.4f / %d |", r.Verification.Outputs[0].Cosine, chains)
			b.note("minilm by %s at %g: %s", methods, f, row)
		}
		b.printf("%s\n", row)
	}
	return nil
}
