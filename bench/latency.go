//go:build unix

package main

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
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
	return b.latencies(b.model(resnet), "macs=0.5", calib, speeds(), 200)
}

func (b *bench) latencySqueezenet() error {
	return b.latencies(b.model("squeezenet1.1_imagenet.onnx"), "macs=0.7", []string{
		"--calib", b.sample("imagenet"), "--labels", b.sample("imagenet/labels.tsv"), "--calib-samples", "512",
		"--verify-samples", "488", "--crop", "224", "--normalize", "imagenet", "--no-refit",
	}, speeds(), 30)
}

// latencyFashion measures the same on a network of thin layers, where few ranks fill a block.
func (b *bench) latencyFashion() error {
	calib := []string{"--calib", "testmodels/data/fashion.bin", "--calib-samples", "512"}
	return b.latencies("testmodels/data/fashion_resnet.onnx", "macs=0.5", calib, speeds("8", "4", "1"), 500)
}

// latencies compresses one model in every way, and times the results side by side.
func (b *bench) latencies(original, target string, calib []string, variants []variant, rounds int) error {
	if err := b.needPython(); err != nil {
		return err
	}
	file := filepath.Base(original)
	args := append([]string{original, "-o", b.file("small.onnx"), "--target", target}, calib...)
	b.printf("Speed is the original's time over the compressed model's, the median over %d turns taken in one process, on one thread of this processor.\n\n```\n%s\n```\n\n| %s at %s | MACs left | same class | speed, batch 1 | speed, batch 16 |\n|---|---|---|---|---|\n", rounds, b.command(args...), file, target)
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
		lines, err := b.beside(batch, rounds, paths)
		if err != nil {
			return err
		}
		for i := range rows {
			_, speed, _ := strings.Cut(lines[i+1], " ")
			rows[i] += " " + speed + "× |"
		}
	}
	b.printf("%s\n", strings.Join(rows, "\n"))
	return nil
}

// beside times files by latency.py, one line a file.
func (b *bench) beside(batch string, rounds int, paths []string) ([]string, error) {
	out, err := b.script("latency.py", append([]string{batch, strconv.Itoa(rounds)}, paths...)...).Output()
	if err != nil {
		return nil, fmt.Errorf("latency.py: %w", err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) != len(paths) {
		return nil, fmt.Errorf("latency.py printed %d lines for %d files", len(lines), len(paths))
	}
	return lines, nil
}
