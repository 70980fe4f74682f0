//go:build unix

package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/onnx-compress/onnx-compress/verify"
)

// sections lists the parts in the order of the results.
func sections() []section {
	return []section{
		{"resnet20", "ResNet-20 on CIFAR-10, all 10,000 test images", (*bench).resnet20},
		{"times", "Time and memory", (*bench).times},
		{"prediction", "Predicted and measured change of the outputs", (*bench).prediction},
		{"searches", "Searches on the same ladders", (*bench).searches},
		{"resnet20-schemes", "ResNet-20, all schemes", (*bench).resnet20Schemes},
		{"latency", "Speed of ResNet-20, compressed", (*bench).latency},
		{"latency-squeezenet", "Speed of SqueezeNet, compressed", (*bench).latencySqueezenet},
		{"forecast", "Foretold and measured time", (*bench).forecast},
		{"time-bounds", "A bound on the time", (*bench).bounds},
		{"speeds", "Speed by the defaults", (*bench).notSlower},
		{"int8", "Low rank and widths before int8", (*bench).int8},
		{"latency-fashion", "Speed of the tutorial's network, compressed", (*bench).latencyFashion},
		{"training-step", "One training step", (*bench).tuneStep},
		{"gradients", "Gradients of a step beside PyTorch's", (*bench).gradients},
		{"tune", "Accuracy won back by tuning", (*bench).tune},
		{"tune-parts", "Tuning: what each part is worth", (*bench).tuneParts},
		{"mirror", "The mean over mirror images", (*bench).mirror},
		{"tune-labels", "Tuning with labels", (*bench).tuneLabels},
		{"tune-photos", "SqueezeNet, tuned", (*bench).tunePhotos},
		{"tune-minilm", "A sentence encoder, tuned", (*bench).tuneMinilm},
		{"resnet56", "ResNet-56, all schemes", (*bench).resnet56},
		{"squeezenet", "SqueezeNet: what each part is worth", (*bench).squeezenet},
		{"squeezenet-schemes", "SqueezeNet, all schemes", (*bench).squeezenetSchemes},
		{"minilm", "A sentence encoder: what each part is worth", (*bench).minilm},
		{"minilm-widths", "A sentence encoder: chains and widths", (*bench).minilmWidths},
		{"widths-resnet20", "ResNet-20: chains and widths", (*bench).widthsResnet20},
		{"widths-squeezenet", "SqueezeNet: chains and widths", (*bench).widthsSqueezenet},
		{"widths-efficientnet", "EfficientNet-Lite0: chains and widths", (*bench).widthsEfficientnet},
		{"language", "A language model", (*bench).language},
		{"bn", "Batch-norm kept or folded", (*bench).batchNorm},
		{"models", "Other trained models", (*bench).models},
		{"real", "Models out of packages", (*bench).real},
		{"transformers", "Tiny transformers by every exporter", (*bench).transformers},
		{"onnx-tests", "ONNX's own test models", (*bench).onnxTests},
		{"few-samples", "Few samples", (*bench).few},
		{"bytes", "Same command, same bytes", (*bench).sameBytes},
		{"inspect", "Inspecting a model of 1 GiB", (*bench).inspect},
		{"large", "Models of real sizes", (*bench).large},
		{"limits", "A limit of 512 MiB", (*bench).limits},
		{"shards", "Calibration in parts", (*bench).shards},
		{"laws", "Held by tests", (*bench).laws},
		{"kills", "Killed at random moments", (*bench).kills},
		{"fuzz", "Fuzzing", (*bench).fuzz},
		{"tensorly", "Decompositions beside TensorLy", (*bench).tensorly},
		{"runtimes", "The written files in other runtimes", (*bench).runtimes},
	}
}

// cifar are the flags that the CIFAR networks' inputs need.
var cifar = []string{"--mean", cifarMean, "--std", cifarStd}

const cifarMean, cifarStd = "0.485,0.456,0.406", "0.229,0.224,0.225"

// resnet20Budgets are the fractions of the MACs that are measured.
var resnet20Budgets = []string{"0.7", "0.6", "0.5", "0.4"}

// calibrated are the arguments that compress a CIFAR network to a fraction of
// its MACs on 1,024 unlabelled training images.
func (b *bench) calibrated(model, out, macs string) []string {
	args := []string{b.model(model), "-o", filepath.Join(b.work, out), "--target", "macs=" + macs, "--calib", b.sample("cifar10_train5000.bin"), "--calib-samples", "1024"}
	return append(args, cifar...)
}

// top1 measures both files on all CIFAR test images.
func (b *bench) top1(model, out string) (*verify.Accuracy, error) {
	c, err := b.judged(model, out)
	if err != nil {
		return nil, err
	}
	return c.Accuracy, nil
}

// judged compares both files on all CIFAR test images.
func (b *bench) judged(model, out string) (*verify.Classes, error) {
	r, err := b.verify(append([]string{b.model(model), filepath.Join(b.work, out), "--data", b.sample("cifar10_test.bin")}, cifar...)...)
	if err != nil {
		return nil, err
	}
	if r.Classes == nil || r.Classes.Accuracy == nil {
		return nil, fmt.Errorf("%s: no accuracy in the report", out)
	}
	return r.Classes, nil
}

// svdOnly keeps to one scheme, at any rank.
var svdOnly = []string{"--methods", "svd", "--rank-multiple", "1"}

// variant is one way to weigh the sites against each other.
type variant struct {
	title string
	flags []string
}

// variants are what each part of the method is worth, the default last.
func variants() []variant {
	return []variant{
		{"`--probes 0 --no-refit`: each site's loss a share of its own variance", []string{"--probes", "0", "--no-refit"}},
		{"`--no-refit`: losses as expected changes of the network's outputs", []string{"--no-refit"}},
		{"default: the same, and every site solved anew in order", nil},
	}
}

func (b *bench) resnet20() error {
	const model = "resnet20_cifar10.onnx"
	b.printf("Calibrated on 1,024 unlabelled training images; input-whitened svd; no labels, no gradient descent.\n\n```\n%s\n%s\n```\n",
		b.command(append(b.calibrated(model, "small.onnx", "TARGET"), svdOnly...)...),
		b.command(append([]string{"verify", b.model(model), filepath.Join(b.work, "small.onnx"), "--data", b.sample("cifar10_test.bin")}, cifar...)...))
	for _, v := range variants() {
		b.printf("\n%s\n\n| target | MACs left | parameters left | top-1, original | top-1, compressed |\n|---|---|---|---|---|\n", v.title)
		for _, target := range resnet20Budgets {
			_, r, err := b.compress(slices.Concat(b.calibrated(model, "small.onnx", target), svdOnly, v.flags)...)
			if err != nil {
				return err
			}
			a, err := b.top1(model, "small.onnx")
			if err != nil {
				return err
			}
			b.note("resnet20 %s at %s: %.2f %%", v.title, target, 100*a.After)
			b.printf("| %s | %.4f | %.3f | %.2f %% | **%.2f %%** |\n", target,
				share(r.Output.MACs, r.Input.MACs), share(r.Output.Params, r.Input.Params), 100*a.Before, 100*a.After)
		}
	}
	return b.dataFree(model)
}

// Limits of the whole command on ResNet-20, for an idle machine of two cores.
const (
	mostSeconds = 90
	mostMiB     = 2048
)

// times measures whole commands.
func (b *bench) times() error {
	b.printf("The whole command on ResNet-20, 1,024 images to calibrate on and 1,024 to verify with, target macs=0.5; the stages are those of the last run. At most %d s and %d MiB are wanted on two idle cores.\n\n| schemes | variant | seconds | peak MiB | stages |\n|---|---|---|---|---|\n", mostSeconds, mostMiB)
	var over error
	for _, schemes := range [][]string{svdOnly, nil} {
		name := "all"
		if schemes != nil {
			name = "svd"
		}
		for _, v := range variants() {
			u, r, err := b.timed(b.runs, slices.Concat(b.calibrated("resnet20_cifar10.onnx", "small.onnx", "0.5"), schemes, v.flags)...)
			if err != nil {
				return err
			}
			b.note("times, %s, %v: %.1f s, %.0f MiB", name, v.flags, u.seconds, u.peakMiB)
			var stages []string
			for _, s := range r.Stages {
				stages = append(stages, fmt.Sprintf("%s %.2f", s.Name, s.Seconds))
			}
			b.printf("| %s | %s | %.1f | %.0f | %s |\n", name, v.title, u.seconds, u.peakMiB, strings.Join(stages, ", "))
			if u.seconds > mostSeconds || u.peakMiB > mostMiB {
				over = unmet("%s, %s: %.1f s and %.0f MiB; at most %d s and %d MiB are wanted of two idle cores", name, v.title, u.seconds, u.peakMiB, mostSeconds, mostMiB)
			}
		}
	}
	return over
}

// dataFree measures the same budgets without samples.
func (b *bench) dataFree(model string) error {
	b.printf("\nData-free, on the weights alone (no `--calib`):")
	for _, target := range resnet20Budgets {
		if _, _, err := b.compress(b.model(model), "-o", filepath.Join(b.work, "free.onnx"), "--target", "macs="+target, "--methods", "svd", "--rank-multiple", "1", "--accept-damage"); err != nil {
			return err
		}
		a, err := b.top1(model, "free.onnx")
		if err != nil {
			return err
		}
		b.printf(" %s: %.2f %%;", target, 100*a.After)
	}
	b.printf(" top-1 at each target.\n")
	return nil
}

func share(after, before int64) float64 { return float64(after) / float64(before) }

func (b *bench) batchNorm() error {
	b.printf("The same network with its BatchNormalization nodes, and with them folded into the convolutions.\n\n```\n%s\n```\n\n",
		b.command(append(b.calibrated("resnet20_cifar10_bn.onnx", "small.onnx", "TARGET"), svdOnly...)...))
	b.printf("| target | weighed by | folded, top-1 | with batch-norm, top-1 | difference |\n|---|---|---|---|---|\n")
	for _, v := range variants() {
		for _, target := range []string{"0.6", "0.5"} {
			var top [2]float64
			for i, model := range []string{"resnet20_cifar10.onnx", "resnet20_cifar10_bn.onnx"} {
				if _, _, err := b.compress(slices.Concat(b.calibrated(model, "small.onnx", target), svdOnly, v.flags)...); err != nil {
					return err
				}
				a, err := b.top1(model, "small.onnx")
				if err != nil {
					return err
				}
				top[i] = 100 * a.After
			}
			b.printf("| %s | %s | %.2f %% | %.2f %% | %.2f |\n", target, v.title, top[0], top[1], top[1]-top[0])
		}
	}
	return nil
}

func (b *bench) sameBytes() error {
	b.printf("SHA-256 of the written file, the command run twice and with one, two and three threads.\n\n```\n%s\n```\n\n| threads | SHA-256 |\n|---|---|\n",
		b.command(append(b.calibrated("resnet20_cifar10.onnx", "small.onnx", "0.5"), "--threads", "N")...))
	sums := map[string]bool{}
	for _, threads := range []string{"1", "2", "2", "3"} {
		args := append(b.calibrated("resnet20_cifar10.onnx", "small.onnx", "0.5"), "--threads", threads, "--force", "-q")
		if u, _, stderr, err := b.call(args...); err != nil || u.code != 0 {
			return fmt.Errorf("exit code %d: %s: %w", u.code, stderr, err)
		}
		file, err := os.ReadFile(filepath.Join(b.work, "small.onnx"))
		if err != nil {
			return err
		}
		sum := fmt.Sprintf("%x", sha256.Sum256(file))
		sums[sum] = true
		b.printf("| %s | `%s` |\n", threads, sum)
	}
	if len(sums) != 1 {
		return fmt.Errorf("%d different files came of the same command", len(sums))
	}
	return nil
}

// runtimes asks the Python script to load the written files elsewhere.
func (b *bench) runtimes() error {
	if err := b.needPython(); err != nil {
		return err
	}
	resnet, lite := filepath.Join(b.work, "resnet20.onnx"), filepath.Join(b.work, "lite0.onnx")
	if _, _, err := b.compress(b.calibrated("resnet20_cifar10.onnx", "resnet20.onnx", "0.5")...); err != nil {
		return err
	}
	args := []string{b.model("efficientnet_lite0.onnx"), "-o", lite, "--target", "macs=0.8", "--calib", b.sample("imagenet"), "--crop", "224", "--mean", "0.498", "--std", "0.502", "--calib-samples", "128", "--verify-samples", "64"}
	if _, _, err := b.compress(args...); err != nil {
		return err
	}
	b.printf("Largest difference to ONNX Runtime's output, relative to its largest value, on 4 seeded random inputs; at most 1e-4 is wanted.\n\n```\npython bench/runtimes.py resnet20.onnx lite0.onnx\n```\n\n")
	text, err := b.script("runtimes.py", resnet, lite).Output()
	b.printf("%s", text)
	return err
}
