//go:build unix

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// int8 compresses classifiers for int8, and shows what both models keep and take as int8.
func (b *bench) int8() error {
	if err := b.needPython(); err != nil {
		return err
	}
	path := os.Getenv("PATH")
	if err := os.Setenv("PATH", filepath.Dir(b.python)+string(os.PathListSeparator)+path); err != nil {
		return err
	}
	defer os.Setenv("PATH", path)
	tiny := append([]string{"--calib", b.sample("cifar10_train5000.bin"), "--calib-samples", "512"}, cifar...)
	b.printf("Made by `--for cpu-int8`, where ONNX Runtime's quantizer makes int8 models of both: static ranges of 128 calibration images, weights of int8 by output channels; both judged on images that calibration did not see, and timed in turns, one image on one thread. Speed is the float original's time over the model's. What cannot be had at no more time than the original as int8 takes is refused.\n\n```\n%s\n```\n\n| model | target | MACs left | same class, float | same class, original as int8 | same class, as int8 | speed, original as int8 | speed, as int8 | as int8, against int8 alone |\n|---|---|---|---|---|---|---|---|---|\n",
		b.command(append([]string{"MODEL", "--target", "TARGET", "--for", "cpu-int8", "-o", b.file("small.onnx")}, tiny...)...))
	for _, m := range []struct {
		trained
		targets []string
	}{
		{trained{resnet, nil, tiny}, []string{"macs=0.5", "latency=0.8"}},
		{trained{"squeezenet1.1_imagenet.onnx", nil, b.photos("--normalize", "imagenet")}, []string{"macs=0.7", "latency=0.7"}},
		{trained{"efficientnet_lite0.onnx", nil, b.photos("--mean", "0.498", "--std", "0.502")}, []string{"macs=0.88", "latency=0.85"}},
	} {
		for _, target := range m.targets {
			if err := b.int8Row(m.trained, target); err != nil {
				return err
			}
		}
	}
	return nil
}

// int8Row runs one and prints what came of it.
func (b *bench) int8Row(m trained, target string) error {
	args := append([]string{b.model(m.file), "--target", target, "--for", "cpu-int8", "-o", b.file("small.onnx")}, m.samples...)
	u, r, refused, err := b.outcome(args...)
	if err != nil {
		return err
	}
	name := strings.TrimSuffix(m.file, ".onnx")
	if refused != "" {
		b.printf("| %s | %s | %s | | | | | | |\n", name, target, refused)
		return nil
	}
	if r.Int8 == nil {
		return fmt.Errorf("%s: not judged as int8: %s", name, r.Unquantized)
	}
	kept := func(i int) string {
		if c := r.Int8.Models[i].Report.Classes; c != nil {
			return fmt.Sprintf("%.1f %%", 100*c.Agreement)
		}
		return "–"
	}
	alone, both := r.Int8.Models[1], r.Int8.Models[3]
	b.printf("| %s | %s | %.4f | %s | %s | %s | %.2f | %.2f | %.2f× |\n", name, target, share(r.Output.MACs, r.Input.MACs), kept(2), kept(1), kept(3),
		alone.Speed, both.Speed, both.Speed/alone.Speed)
	b.note("%s at %s: %.1f s", name, target, u.seconds)
	return nil
}
