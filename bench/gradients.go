//go:build unix

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/internal/feed"
	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/internal/tune"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// differentiated is a model whose gradients are compared.
type differentiated struct {
	name, model string
	flags       []string // of compress
	samples     string
	prepare     samples.SourceOptions
	loss        tune.Loss
}

// gradients compares the gradients of training steps with PyTorch's.
func (b *bench) gradients() error {
	encoder := filepath.Join(b.data, "minilm", "model.onnx")
	sentences := filepath.Join(b.data, "minilm", "sentences.npz")
	if err := b.needPython(); err != nil {
		return err
	}
	if err := need("bench/minilm.sh", encoder, sentences); err != nil {
		return err
	}
	b.printf("The gradient of a step's loss with respect to every parameter of a compressed network (calibrated on 256 samples), on %d samples: the distance from PyTorch's, in the Euclidean norm, over the norm, for the parameter where that is largest. At most 1e-3 is wanted in float32. The other columns tell how much of it is rounding: both, beside PyTorch's gradient in float64.\n\n```\npython bench/gradients.py ORIGINAL COMPRESSED FOLDER LOSS VALUE\n```\n\n| network | loss | parameters compared | from PyTorch in float32 | from PyTorch in float64 | PyTorch in float32 from float64 |\n|---|---|---|---|---|---|\n", gradientSamples)
	params := strconv.FormatInt(int64(minilmParams-0.5*minilmLinear), 10)
	mean, std := []float64{0.485, 0.456, 0.406}, []float64{0.229, 0.224, 0.225}
	small := b.sample("cifar10_train5000.bin")
	large := filepath.Join(b.data, "data", "imagenet")
	var short error
	for _, d := range []differentiated{
		{"ResNet-20 at macs=0.5", b.model(resnet), append([]string{"--target", "macs=0.5"}, cifar...), small, samples.SourceOptions{Mean: mean, Std: std}, tune.Logits},
		{"ResNet-20 at macs=0.3", b.model(resnet), append([]string{"--target", "macs=0.3"}, cifar...), small, samples.SourceOptions{Mean: mean, Std: std}, tune.Logits},
		{
			"SqueezeNet 1.1 at macs=0.5", b.model("squeezenet1.1_imagenet.onnx"),
			[]string{"--target", "macs=0.5", "--crop", "224", "--normalize", "imagenet"},
			large,
			samples.SourceOptions{Crop: samples.Size{Height: 224, Width: 224}, Mean: mean, Std: std},
			tune.Logits,
		},
		{"sentence encoder at params=" + params, encoder, []string{"--target", "params=" + params, "--keep", "Gather_*"}, sentences, samples.SourceOptions{}, tune.Cosine},
	} {
		if err := b.besideTorch(d); err != nil {
			b.note("gradients of %s: %v", d.name, err)
			if short = err; !errors.Is(err, errUnmet) {
				return err
			}
		}
	}
	return short
}

const gradientSamples = 8

// besideTorch prints the row of a network.
func (b *bench) besideTorch(d differentiated) error {
	small, folder := b.file("small.onnx"), b.file("gradients")
	args := []string{d.model, "-o", small, "--calib", d.samples, "--calib-samples", "256", "--verify-samples", "64"}
	if _, _, err := b.compress(append(args, d.flags...)...); err != nil {
		return err
	}
	loss, err := b.writeGradients(d, small, folder)
	if err != nil {
		return err
	}
	text, err := b.script("gradients.py", d.model, small, folder, string(d.loss), fmt.Sprint(loss)).Output()
	if err != nil {
		return err
	}
	var single, double, other float64
	var count int
	if _, err := fmt.Sscan(string(text), &single, &double, &other, &count); err != nil {
		return fmt.Errorf("%q: %w", text, err)
	}
	b.note("%s: %s", d.name, text)
	b.printf("| %s | %s | %d | %.1e | %.1e | %.1e |\n", d.name, d.loss, count, single, double, other)
	if !(single <= 1e-3) {
		return unmet("%s: a gradient is off by %.2g, want at most 1e-3", d.name, single)
	}
	return nil
}

// writeGradients computes the gradients of a step, and writes each to a file of its own in the folder, and the inputs
// to the folder's folder "inputs".
func (b *bench) writeGradients(d differentiated, small, folder string) (float64, error) {
	env, err := compress.Open(compress.EnvironmentOptions{})
	if err != nil {
		return 0, err
	}
	defer env.Close()
	lib, err := env.Need("gradients")
	if err != nil {
		return 0, err
	}
	original, err := onnxio.Read(d.model)
	if err != nil {
		return 0, err
	}
	defer original.Close()
	compressed, err := onnxio.Read(small)
	if err != nil {
		return 0, err
	}
	defer compressed.Close()
	specs, err := samples.Inputs(compressed)
	if err != nil {
		return 0, err
	}
	source, err := samples.Open(d.samples, d.prepare, specs)
	if err != nil {
		return 0, err
	}
	indices := make([]int, gradientSamples)
	for i := range indices {
		indices[i] = i
	}
	loss, gradients, err := tune.Gradient(b.ctx, ort.Of(lib), original, compressed, source, indices, tune.Options{Loss: d.loss, Part: tune.Reachable})
	if err != nil {
		return 0, err
	}
	run, err := feed.First(b.ctx, source, indices, specs, gradientSamples)
	if err != nil {
		return 0, err
	}
	if err := os.RemoveAll(folder); err != nil {
		return 0, err
	}
	if err := writeTensors(filepath.Join(folder, "inputs"), run.Inputs); err != nil {
		return 0, err
	}
	return loss, writeTensors(folder, gradients)
}

// writeTensors writes each tensor to a file of its own.
func writeTensors(folder string, tensors map[string]tensor.Dense) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	i := 0
	for name, d := range tensors {
		data, err := onnxio.DenseTensor(name, d).Marshal()
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("%d.pb", i)), data, 0o644); err != nil {
			return err
		}
		i++
	}
	return nil
}
