//go:build unix

package main

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
)

const speedIs = "Speed is the original's time over the compressed model's, the median of turns taken in one process, on one thread of this processor.\n"

// latency measures what multiply-adds saved are worth in ONNX Runtime on this processor.
func (b *bench) latency() error {
	if err := b.needPython(); err != nil {
		return err
	}
	b.printf(speedIs)
	imagenet := []string{
		"--calib", b.sample("imagenet"), "--labels", b.sample("imagenet/labels.tsv"), "--calib-samples", "512",
		"--verify-samples", "488", "--crop", "224", "--normalize", "imagenet",
	}
	plain := []string{"--methods", "svd,svd-in,spatial,spatial-wh,tucker2"}
	variants := []variant{
		{"all schemes", nil},
		{"all schemes, `--rank-multiple 1`", []string{"--rank-multiple", "1"}},
		{"`--methods svd,svd-in,spatial,spatial-wh,tucker2`", plain},
		{"the same, `--rank-multiple 1`", append(plain[:2:2], "--rank-multiple", "1")},
	}
	for _, m := range []struct {
		file   string
		target string
		calib  []string
		rounds int
	}{
		{resnet, "macs=0.5", append([]string{"--calib", b.sample("cifar10_train5000.bin"), "--calib-samples", "1024"}, cifar...), 200},
		{"squeezenet1.1_imagenet.onnx", "macs=0.7", imagenet, 30},
	} {
		if err := b.latencies(b.model(m.file), m.target, m.calib, variants, m.rounds); err != nil {
			return err
		}
	}
	return nil
}

// latencyFashion measures the same on a network of thin layers, where few ranks fill a block.
func (b *bench) latencyFashion() error {
	if err := b.needPython(); err != nil {
		return err
	}
	b.printf(speedIs)
	plain := []string{"--methods", "svd,svd-in,spatial,spatial-wh,tucker2"}
	variants := []variant{{"all schemes", nil}, {"all schemes, `--rank-multiple 1`", []string{"--rank-multiple", "1"}}, {"`" + strings.Join(plain, " ") + "`", plain}}
	for _, n := range []string{"8", "4", "1"} {
		variants = append(variants, variant{"the same, `--rank-multiple " + n + "`", append(plain[:2:2], "--rank-multiple", n)})
	}
	return b.latencies("testmodels/data/fashion_resnet.onnx", "macs=0.5", []string{"--calib", "testmodels/data/fashion.bin", "--calib-samples", "512"}, variants, 500)
}

// latencies compresses one model in every way, and times the results side by side.
func (b *bench) latencies(original, target string, calib []string, variants []variant, rounds int) error {
	file := filepath.Base(original)
	args := append([]string{original, "-o", b.file("small.onnx"), "--target", target}, calib...)
	b.printf("\n```\n%s\n```\n\n| %s at %s | MACs left | same class | speed, batch 1 | speed, batch 16 |\n|---|---|---|---|---|\n", b.command(args...), file, target)
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
