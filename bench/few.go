//go:build unix

package main

import (
	"fmt"
	"path/filepath"
	"slices"
)

// fewSamples are the numbers of samples that are measured, and fewBudget the share of the MACs.
var fewSamples = []string{"8", "32", "128", "512"}

const fewBudget = "macs=0.7"

// few measures what few samples give beside none.
func (b *bench) few() error {
	schemes := []string{"--methods", "svd,spatial,tucker2", "--target", fewBudget, "-o", filepath.Join(b.work, "small.onnx")}
	cifarNet := func(model string) []string {
		return append([]string{b.model(model), "--calib", b.sample("cifar10_train5000.bin"), "--verify-samples", "2000"}, cifar...)
	}
	squeeze := []string{b.model("squeezenet1.1_imagenet.onnx"), "--calib", b.sample("imagenet"), "--verify-samples", "488", "--crop", "224", "--normalize", "imagenet"}
	b.printf("Signal to noise ratio of the outputs at %s, and in brackets the same top-1 class, on images that took no part (2,000 of CIFAR-10, 488 of ImageNet). The last row is without samples, judged on as many of the same sets.\n\n```\n%s\n```\n\n",
		fewBudget, b.command(slices.Concat(cifarNet("resnet20_cifar10.onnx"), schemes, []string{"--calib-samples", "N"})...))
	b.printf("| samples | ResNet-20 | ResNet-56 | SqueezeNet 1.1 |\n|---|---|---|---|\n")
	models := [][]string{cifarNet("resnet20_cifar10.onnx"), cifarNet("resnet56_cifar10_bn.onnx"), squeeze}
	for _, n := range fewSamples {
		row := "| " + n
		for _, args := range models {
			_, r, err := b.compress(slices.Concat(args, schemes, []string{"--calib-samples", n})...)
			if err != nil {
				return err
			}
			cell := fmt.Sprintf("%.1f dB (%.1f %%)", *r.Verification.Outputs[0].SNR, 100*r.Verification.Classes.Agreement)
			if r.Calibration.DataFree != nil {
				cell += ", by the weights alone"
			}
			b.note("few, %s samples: %s", n, cell)
			row += " | " + cell
		}
		b.printf("%s |\n", row)
	}
	row := "| none"
	for _, args := range models {
		free := filepath.Join(b.work, "free.onnx")
		if _, _, err := b.compress(args[0], "--methods", "svd,spatial,tucker2", "--target", fewBudget, "-o", free, "--accept-damage"); err != nil {
			return err
		}
		judged := slices.Clone(args)
		judged[1] = "--data"
		at := slices.Index(judged, "--verify-samples")
		judged[at] = "--samples"
		v, err := b.verify(append([]string{args[0], free}, judged[1:]...)...)
		if err != nil {
			return err
		}
		row += fmt.Sprintf(" | %.1f dB (%.1f %%)", *v.Outputs[0].SNR, 100*v.Classes.Agreement)
	}
	b.printf("%s |\n", row)
	return nil
}
