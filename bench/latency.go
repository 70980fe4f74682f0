//go:build unix

package main

import (
	"encoding/json"
	"fmt"
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
