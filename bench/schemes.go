//go:build unix

package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/onnx-compress/onnx-compress/compress"
)

// schemeBudgets are the fractions of the MACs that all schemes together are measured at, and
// schemeFloors the accuracies of ResNet-20 that are wanted of them, in percent.
var schemeBudgets = []string{"0.7", "0.6", "0.5", "0.4", "0.3", "0.2"}

var schemeFloors = []float64{91.3, 90.6, 89.8, 87.6, 82.9, 70.8}

// chosen says how many sites each scheme was chosen for.
func chosen(sites []compress.SiteResult) string {
	count := map[string]int{}
	for _, s := range sites {
		count[s.Method]++
	}
	var words []string
	for _, name := range slices.Sorted(maps.Keys(count)) {
		words = append(words, fmt.Sprintf("%s %d", name, count[name]))
	}
	return strings.Join(words, ", ")
}

// resnet20Schemes measures all schemes on one set of ladders.
func (b *bench) resnet20Schemes() error {
	b.printf("All schemes on offer, search and refit as by default; 1,024 unlabelled training images, all 10,000 test images. The last column has every rank on offer (`--rank-multiple 1`), for the fewest multiply-adds at a given error.\n\n```\n%s\n```\n\n| target | MACs left | parameters left | top-1, compressed | wanted | no refit | chosen | seconds | any rank |\n|---|---|---|---|---|---|---|---|---|\n",
		b.command(b.calibrated("resnet20_cifar10.onnx", "small.onnx", "TARGET")...))
	var short error
	for i, target := range schemeBudgets {
		r, after, seconds, err := b.schemesAt("resnet20_cifar10.onnx", target)
		if err != nil {
			return err
		}
		_, plain, _, err := b.schemesAt("resnet20_cifar10.onnx", target, "--no-refit")
		if err != nil {
			return err
		}
		_, free, _, err := b.schemesAt("resnet20_cifar10.onnx", target, "--rank-multiple", "1")
		if err != nil {
			return err
		}
		b.printf("| %s | %.4f | %.3f | **%.2f %%** | %.1f %% | %.2f %% | %s | %.0f | %.2f %% |\n", target, share(r.Output.MACs, r.Input.MACs), share(r.Output.Params, r.Input.Params), after, schemeFloors[i], plain, chosen(r.Sites), seconds, free)
		if after < schemeFloors[i] {
			short = unmet("%.2f %% at %s of the MACs, want at least %.1f %%", after, target, schemeFloors[i])
		}
	}
	return short
}

// schemesAt compresses a CIFAR network by all schemes and returns its accuracy in percent.
func (b *bench) schemesAt(model, target string, flags ...string) (*compress.Result, float64, float64, error) {
	args := append(b.calibrated(model, "small.onnx", target), "--stats", b.file(model+".stats"))
	u, r, err := b.compress(append(args, flags...)...)
	if err != nil {
		return nil, 0, 0, err
	}
	a, err := b.top1(model, "small.onnx")
	if err != nil {
		return nil, 0, 0, err
	}
	b.note("%s at %s %v: %.2f %%, %s", model, target, flags, 100*a.After, chosen(r.Sites))
	return r, 100 * a.After, u.seconds, nil
}

// resnet56 measures a deeper network of the same kind.
func (b *bench) resnet56() error {
	const model = "resnet56_cifar10_bn.onnx"
	b.printf("As above, on the deeper network with its BatchNormalization nodes.\n\n```\n%s\n```\n\n| target | MACs left | parameters left | top-1, original | top-1, compressed | chosen | seconds |\n|---|---|---|---|---|---|---|\n",
		b.command(b.calibrated(model, "small.onnx", "TARGET")...))
	for _, target := range schemeBudgets {
		args := append(b.calibrated(model, "small.onnx", target), "--stats", b.file(model+".stats"))
		u, r, err := b.compress(args...)
		if err != nil {
			return err
		}
		a, err := b.top1(model, "small.onnx")
		if err != nil {
			return err
		}
		b.note("resnet56 at %s: %.2f %%", target, 100*a.After)
		b.printf("| %s | %.4f | %.3f | %.2f %% | **%.2f %%** | %s | %.0f |\n", target, share(r.Output.MACs, r.Input.MACs), share(r.Output.Params, r.Input.Params), 100*a.Before, 100*a.After, chosen(r.Sites), u.seconds)
	}
	return nil
}

// squeezenetSchemes measures all schemes on a network of 1,000 classes.
func (b *bench) squeezenetSchemes() error {
	b.printf("SqueezeNet 1.1, all schemes on offer, 512 images to calibrate on, the other 488 to judge.\n\n```\n%s\n```\n\n| target | refit | MACs left | parameters left | same class | top-1, original | top-1, compressed | chosen | seconds |\n|---|---|---|---|---|---|---|---|---|\n", b.command(b.squeezed("TARGET")...))
	for _, target := range []string{"0.8", "0.7", "0.6", "0.5"} {
		for _, flags := range [][]string{{"--no-refit"}, nil} {
			args := append(b.squeezed(target), "--stats", b.file("squeezeSchemes.stats"))
			u, r, err := b.compress(append(args, flags...)...)
			if err != nil {
				return err
			}
			c := r.Verification.Classes
			word := "yes"
			if flags != nil {
				word = "no"
			}
			b.note("squeezenet at %s, refit %s: %.2f %% agree", target, word, 100*c.Agreement)
			b.printf("| %s | %s | %.4f | %.3f | **%.2f %%** | %.2f %% | %.2f %% | %s | %.0f |\n", target, word, share(r.Output.MACs, r.Input.MACs), share(r.Output.Params, r.Input.Params),
				100*c.Agreement, 100*c.Accuracy.Before, 100*c.Accuracy.After, chosen(r.Sites), u.seconds)
		}
	}
	return nil
}
