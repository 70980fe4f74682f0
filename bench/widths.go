//go:build unix

package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
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

// ways are the methods that the sections on chains and widths set side by side.
func ways() []variant {
	chains := decomp.Names()
	of := func(methods ...string) []string { return []string{"--methods", strings.Join(methods, ",")} }
	return []variant{{"chains", of(chains...)}, {"widths", of(compress.Width)}, {"both", of(append(chains, compress.Width)...)}}
}

// nodes counts those of a model's graph.
func nodes(path string) (int, error) {
	m, err := onnxio.Read(path)
	if err != nil {
		return 0, err
	}
	defer m.Close()
	return len(graph.Of(m).Nodes()), nil
}

func (b *bench) widthsResnet20() error {
	calib := append([]string{"--calib", b.sample("cifar10_train5000.bin"), "--calib-samples", "1024"}, cifar...)
	return b.widths(b.model(resnet), calib, append([]string{"--data", b.sample("cifar10_test.bin")}, cifar...), "0.9", "0.8", "0.7", "0.6", "0.5", "0.4")
}

func (b *bench) widthsSqueezenet() error {
	return b.widths(b.model("squeezenet1.1_imagenet.onnx"), b.photos("--normalize", "imagenet"), nil, "0.8", "0.7", "0.6")
}

func (b *bench) widthsEfficientnet() error {
	return b.widths(b.model("efficientnet_lite0.onnx"), b.photos("--mean", "0.498", "--std", "0.502"), nil, "0.9", "0.8", "0.7", "0.6")
}

// widths shows chains, widths and both at fractions of a classifier's MACs, judged on the samples that a run keeps back or on others.
func (b *bench) widths(original string, calib, others []string, shares ...string) error {
	args := append([]string{original, "-o", b.file("small.onnx"), "--target", "macs=TARGET"}, calib...)
	b.printf("Chains alone (all decompositions), widths alone, and both in one search, at fractions of the MACs, with refit. Speed is the original's time over the compressed model's, as in the sections on speed, on one thread at batch 1 / batch 8. Nodes are those beyond the original's.\n\n```\n%s\n```\n\n| target | methods | MACs left | same class | top-1 | nodes | speed |\n|---|---|---|---|---|---|---|\n", b.command(args...))
	stats := b.file(filepath.Base(original) + ".stats")
	before, err := nodes(original)
	if err != nil {
		return err
	}
	for _, f := range shares {
		paths, rows := []string{original}, []string{}
		for i, v := range ways() {
			args[2], args[4] = b.file(fmt.Sprintf("%s.%d.onnx", filepath.Base(original), i)), "macs="+f
			_, r, err := b.compress(slices.Concat(args, v.flags, []string{"--stats", stats + fmt.Sprint(i)})...)
			if err != nil {
				return err
			}
			judged := r.Verification
			if others != nil {
				if judged, err = b.verify(slices.Concat([]string{original, args[2]}, others)...); err != nil {
					return err
				}
			}
			after, err := nodes(args[2])
			if err != nil {
				return err
			}
			paths = append(paths, args[2])
			row := fmt.Sprintf("| %s | %s | %.4f | %.1f %% | %.2f %% | %d |", f, v.title, share(r.Output.MACs, r.Input.MACs),
				100*judged.Classes.Agreement, 100*judged.Classes.Accuracy.After, after-before)
			b.note("%s", row)
			rows = append(rows, row)
		}
		var at [2][]compress.TimedModel
		for i, batch := range []string{"1", "8"} {
			var err error
			if at[i], err = b.beside(batch, paths); err != nil {
				return err
			}
		}
		for i, row := range rows {
			b.printf("%s %.2f / %.2f |\n", row, at[0][i+1].Speed, at[1][i+1].Speed)
		}
	}
	return nil
}
