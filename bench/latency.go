//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"github.com/onnx-compress/onnx-compress/compress"
)

// plain are the schemes without depthwise factors.
var plain = []string{"--methods", "svd,svd-in,spatial,spatial-wh,tucker2"}

// speeds are the ways in which models are compressed whose speed is compared; the last, with the multiples given as well.
func speeds(multiples ...string) []variant {
	out := []variant{
		{"by the defaults", nil}, {"`--rank-multiple 1`", []string{"--rank-multiple", "1"}}, {"`" + strings.Join(plain, " ") + "`", plain},
	}
	for _, n := range multiples {
		out = append(out, variant{"the same, `--rank-multiple " + n + "`", append(plain[:2:2], "--rank-multiple", n)})
	}
	return out
}

// latency measures what multiply-adds saved are worth in ONNX Runtime on this processor. The refit changes weights, and no speed.
func (b *bench) latency() error {
	calib := append([]string{"--calib", b.sample("cifar10_train5000.bin"), "--calib-samples", "1024", "--no-refit"}, cifar...)
	return b.latencies(b.model(resnet), "macs=0.5", calib, speeds())
}

func (b *bench) latencySqueezenet() error {
	return b.latencies(b.model("squeezenet1.1_imagenet.onnx"), "macs=0.7", b.photos("--normalize", "imagenet", "--no-refit"), speeds())
}

// latencyFashion measures the same on a network of thin layers, where few ranks fill a block.
func (b *bench) latencyFashion() error {
	calib := []string{"--calib", "testmodels/data/fashion.bin", "--calib-samples", "512"}
	return b.latencies("testmodels/data/fashion_resnet.onnx", "macs=0.5", calib, speeds("8", "4", "1"))
}

// latencies compresses one model in every way, and times the results side by side.
func (b *bench) latencies(original, target string, calib []string, variants []variant) error {
	file := filepath.Base(original)
	args := append([]string{original, "-o", b.file("small.onnx"), "--target", target}, calib...)
	b.printf("Speed is the original's time over the compressed model's, the median over the turns of `onnx-compress bench`, on one thread of this processor.\n\n```\n%s\n```\n\n| %s at %s | MACs left | same class | speed, batch 1 | speed, batch 16 |\n|---|---|---|---|---|\n", b.command(args...), file, target)
	paths, rows := []string{original}, []string{}
	for i, v := range variants {
		args[2] = b.file(fmt.Sprintf("%s.%d.onnx", file, i))
		_, r, err := b.compress(append(append(args[:len(args):len(args)], "--stats", b.file(file+".stats")), v.flags...)...)
		if err != nil {
			return err
		}
		paths = append(paths, args[2])
		agree := "–"
		if c := r.Verification.Classes; c != nil {
			agree = fmt.Sprintf("%.1f %%", 100*c.Agreement)
		}
		rows = append(rows, fmt.Sprintf("| %s: %s | %.4f | %s |", v.title, chosen(r.Sites), share(r.Output.MACs, r.Input.MACs), agree))
	}
	for _, batch := range []string{"1", "16"} {
		models, err := b.beside(batch, paths)
		if err != nil {
			return err
		}
		for i := range rows {
			rows[i] += fmt.Sprintf(" %.2f× |", models[i+1].Speed)
		}
	}
	b.printf("%s\n", strings.Join(rows, "\n"))
	return nil
}

// beside times files beside the first of them, with flags that tell what they run on.
func (b *bench) beside(batch string, paths []string, flags ...string) ([]compress.TimedModel, error) {
	args := slices.Concat([]string{"bench"}, paths, []string{"--batch", batch, "-q", "--json"}, flags)
	u, out, stderr, err := b.call(args...)
	if err != nil {
		return nil, err
	}
	if u.code != 0 {
		return nil, fmt.Errorf("%s: exit code %d: %s", b.command(args...), u.code, stderr)
	}
	r := new(compress.Benchmark)
	if err := json.Unmarshal(out, r); err != nil {
		return nil, err
	}
	return r.Models, nil
}

// notSlower compresses every trained model by the defaults, and times it beside the original: none may be slower.
func (b *bench) notSlower() error {
	b.printf("Every model by the default options, on 256 samples where there are any and by the weights alone elsewhere; without the refit, which changes no time. Speed is the original's time over the compressed model's, the median over the turns of `onnx-compress bench`, on one thread; a dash stands where the batch is fixed.\n\n```\n%s\n```\n\n| model | target | MACs left | speed, batch 1 | speed, batch 8 |\n|---|---|---|---|---|\n",
		b.command("MODEL", "-o", b.file("small.onnx"), "--target", "TARGET", "--calib", "SAMPLES", "--calib-samples", "256", "--no-refit"))
	var slower []string
	for _, m := range b.trained() {
		args := slices.Concat([]string{b.model(m.file), "-o", b.file("small.onnx"), "--no-refit", "--accept-damage"}, m.flags, m.samples)
		if m.samples != nil {
			args = append(args, "--calib-samples", "256", "--verify-samples", "64", "--stats", b.file(m.file+".stats"))
		}
		for _, target := range []string{"macs=0.7", "macs=0.5"} {
			row, least, err := b.speedsOf(m, append(args[:len(args):len(args)], "--target", target))
			if err != nil {
				return fmt.Errorf("%s at %s: %w", m.file, target, err)
			}
			b.printf("| %s | %s | %s\n", modelName(m.file), target, row)
			if least < 1-tolerated {
				slower = append(slower, fmt.Sprintf("%s at %s: %.2f×", modelName(m.file), target, least))
			}
		}
	}
	if len(slower) > 0 {
		return unmet("slower than the original by the defaults: %s", strings.Join(slower, "; "))
	}
	return nil
}

// tolerated is what the place of two files in memory makes, as a share of their time.
const tolerated = 0.02

// speedsOf runs one and times what comes of it at batch 1 and 8: the rest of its row, and the least speed.
func (b *bench) speedsOf(m trained, args []string) (row string, least float64, err error) {
	_, r, refused, err := b.outcome(args...)
	if err != nil {
		return "", 0, err
	}
	if refused != "" {
		return refused + " | | |", 1, nil
	}
	row, least = fmt.Sprintf("%.4f |", share(r.Output.MACs, r.Input.MACs)), math.Inf(1)
	for _, batch := range []string{"1", "8"} {
		models, err := b.beside(batch, []string{args[0], args[2]}, m.flags...)
		if err != nil && batch != "1" {
			row += " – |" // which the model does not take
			continue
		}
		if err != nil {
			return "", 0, err
		}
		row, least = row+fmt.Sprintf(" %.2f× |", models[1].Speed), min(least, models[1].Speed)
	}
	return row, least, nil
}
