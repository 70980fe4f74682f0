//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/verify"
)

// trained is a model of the data folder, the flags that any run on it needs, and those that give it samples, none where there are none.
type trained struct {
	file    string
	flags   []string
	samples []string
}

func (b *bench) trained() []trained {
	tiny := append([]string{"--calib", b.sample("cifar10_train5000.bin"), "--calib-samples", "1024"}, cifar...)
	return []trained{
		{"squeezenet1.1_imagenet.onnx", nil, b.photos("--normalize", "imagenet")},
		{"efficientnet_lite0.onnx", nil, b.photos("--mean", "0.498", "--std", "0.502")},
		{"resnet20_cifar10.onnx", nil, tiny},
		{"resnet20_cifar10_bn.onnx", nil, tiny},
		{"resnet56_cifar10_bn.onnx", nil, tiny},
		{"ppocr4_rec.onnx", []string{"--input-shape", "x=1x3x48x320"}, nil},
		{"face_age.onnx", nil, nil},
	}
}

// photos are the flags of a network for photos and its samples: 512 calibrate, 488 others judge.
func (b *bench) photos(flags ...string) []string {
	return append(flags, "--calib", b.sample("imagenet"), "--labels", b.sample("imagenet/labels.tsv"), "--calib-samples", "512", "--verify-samples", "488", "--crop", "224")
}

// modelsTarget is what is asked for of each.
const modelsTarget = "macs=0.7"

// models compresses each calibrated on its data and by its weights alone.
func (b *bench) models() error {
	b.printf("One run each at %s, by the defaults: calibrated, and verified on samples that calibration did not see, where there are data; and by the weights alone, verified on random inputs, by which a run may end with code 6, for a result that does not do what the original does. Of several outputs the worst counts.\n\n```\n", modelsTarget)
	list := b.trained()
	for _, m := range list {
		if m.samples != nil {
			b.printf("%s\n", b.command(b.whole(m, m.samples)...))
		}
	}
	b.printf("%s\n```\n\n| model | samples | MACs left | parameters left | sites factored | outputs | same class | top-1 | seconds | peak MiB |\n|---|---|---|---|---|---|---|---|---|---|\n",
		b.command(b.whole(trained{file: "MODEL"}, nil)...))
	for _, m := range list {
		if m.samples != nil {
			if err := b.row(m, m.samples); err != nil {
				return err
			}
		}
		if err := b.row(m, nil); err != nil {
			return err
		}
	}
	return nil
}

// row runs one and prints what came of it. Only codes that say something about the result are no errors.
func (b *bench) row(m trained, samples []string) error {
	u, r, refused, err := b.outcome(b.whole(m, samples)...)
	if err != nil {
		return err
	}
	name, given := strings.TrimSuffix(m.file, ".onnx"), "none"
	if samples != nil {
		given = "its data"
	}
	if refused != "" {
		b.printf("| %s | %s | %s | | | | | | %.1f | %.0f |\n", name, given, refused, u.seconds, u.peakMiB)
		return nil
	}
	if float64(r.Output.MACs) > 0.7*float64(r.Input.MACs) {
		return fmt.Errorf("%s is done, and %d of %d multiply-adds are left", name, r.Output.MACs, r.Input.MACs)
	}
	b.note("%s, %s: %.1f s, %.0f MiB", name, given, u.seconds, u.peakMiB)
	b.printf("| %s | %s | %.4f | %.3f | %d of %d | %s | %.1f | %.0f |\n", name, given, share(r.Output.MACs, r.Input.MACs), share(r.Output.Params, r.Input.Params),
		factored(r.Sites), len(r.Sites), judged(r.Verification), u.seconds, u.peakMiB)
	return nil
}

// The exit codes of a result that is not delivered.
const exitUnmet, exitDamage = 3, 6

// outcome runs the tool once: its result, or where there is none the code that says something about it, with its words up to what to try.
// Other codes are errors.
func (b *bench) outcome(args ...string) (u usage, r *compress.Result, refused string, err error) {
	u, out, stderr, err := b.call(append(slices.Clone(args), "--force", "-q", "--json")...)
	if err != nil {
		return u, nil, "", err
	}
	switch u.code {
	case 0:
	case exitUnmet, exitDamage:
		words, _, _ := strings.Cut(stderr, "\n")
		words, _, _ = strings.Cut(words[strings.Index(words, ": ")+2:], "; ") // what to try stands behind it
		return u, nil, fmt.Sprintf("exit %d: %s", u.code, words), nil
	default:
		return u, nil, "", fmt.Errorf("%s: exit code %d: %s", b.command(args...), u.code, stderr)
	}
	r = new(compress.Result)
	return u, r, "", json.Unmarshal(out, r)
}

// judged are the cells of a verification: the outputs' least ratio of signal to noise, same classes, accuracies.
func judged(r *verify.Report) string {
	if r == nil {
		return "not verified | | "
	}
	least := "equal"
	var worst *float64
	for _, o := range r.Outputs {
		if o.SNR != nil && !o.Ignored && (worst == nil || *o.SNR < *worst) {
			worst, least = o.SNR, fmt.Sprintf("%.1f dB", *o.SNR)
		}
	}
	classes, accuracy := "", ""
	if c := r.Classes; c != nil {
		classes = fmt.Sprintf("%.1f %%", 100*c.Agreement)
		if a := c.Accuracy; a != nil {
			accuracy = fmt.Sprintf("%.1f %% → %.1f %%", 100*a.Before, 100*a.After)
		}
	}
	return least + " | " + classes + " | " + accuracy
}

// whole are the arguments of a run.
func (b *bench) whole(m trained, samples []string) []string {
	return slices.Concat([]string{b.model(m.file)}, m.flags, samples, []string{"--target", modelsTarget, "-o", filepath.Join(b.work, "small.onnx")})
}
