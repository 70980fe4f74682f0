//go:build unix

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/onnx-compress/onnx-compress/calib"
	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
	"github.com/onnx-compress/onnx-compress/tune"
)

// differentiated is a model whose gradients are compared.
type differentiated struct {
	name, model string
	compress    []string // flags
	input       string   // NAME=SHAPE of random numbers, or a file of samples
	loss        tune.Loss
}

// gradients compares the gradients of training steps with PyTorch's.
func (b *bench) gradients() error {
	encoder := filepath.Join(b.data, "minilm", "model.onnx")
	samples := filepath.Join(b.data, "minilm", "unseen.npz")
	if b.python == "" {
		b.printf("Left out: no -python was given.\n")
		return nil
	}
	if b.lacking("bench/minilm.sh DIR/minilm", encoder, samples) {
		return nil
	}
	b.printf("The gradient of a step's loss with respect to every parameter of a compressed network, beside PyTorch's in float32, on %d samples: the distance in the Euclidean norm over the norm. At most 1e-3 is wanted.\n\n```\npython bench/gradients.py ORIGINAL COMPRESSED INPUTS.npz GRADIENTS LOSS VALUE\n```\n\n| network | loss | parameters compared | largest difference |\n|---|---|---|---|\n", gradientSamples)
	params := strconv.FormatInt(int64(minilmParams-0.5*minilmLinear), 10)
	var short error
	for _, d := range []differentiated{
		{"ResNet-20 at macs=0.5", b.model(resnet), []string{"--target", "macs=0.5"}, "input=3,32,32", tune.Logits},
		{"ResNet-20 at macs=0.3", b.model(resnet), []string{"--target", "macs=0.3"}, "input=3,32,32", tune.Logits},
		{"SqueezeNet 1.1 at macs=0.5", b.model("squeezenet1.1_imagenet.onnx"), []string{"--target", "macs=0.5"}, "data=3,224,224", tune.Logits},
		{"sentence encoder at params=" + params, encoder, []string{"--target", "params=" + params, "--keep", "*/Gather"}, samples, tune.Cosine},
	} {
		if err := b.besideTorch(d); err != nil {
			b.note("gradients of %s: %v", d.name, err)
			short = err
		}
	}
	return short
}

const gradientSamples = 8

// besideTorch prints the row of a network.
func (b *bench) besideTorch(d differentiated) error {
	small, inputs, folder := b.file("small.onnx"), d.input, b.file("gradients")
	if name, shape, random := strings.Cut(d.input, "="); random {
		inputs = b.file("inputs.npz")
		if err := b.runPython("bench/inputs.py", inputs, name, strconv.Itoa(gradientSamples), shape); err != nil {
			return err
		}
	}
	// The weights alone decide on the chains: how good they are does not matter here.
	if _, _, err := b.compress(append([]string{d.model, "-o", small}, d.compress...)...); err != nil {
		return err
	}
	loss, err := b.writeGradients(d, small, inputs, folder)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(b.ctx, b.python, "bench/gradients.py", d.model, small, inputs, folder, string(d.loss), fmt.Sprint(loss))
	cmd.Stderr = os.Stderr
	text, err := cmd.Output()
	if err != nil {
		return err
	}
	var worst, ratio float64
	var count int
	if _, err := fmt.Sscan(string(text), &worst, &ratio, &count); err != nil {
		return fmt.Errorf("%q: %w", text, err)
	}
	b.note("%s: %s", d.name, text)
	b.printf("| %s | %s | %d | %.1e |\n", d.name, d.loss, count, worst)
	if !(worst <= 1e-3) {
		return fmt.Errorf("%s: a gradient is off by %.2g, want at most 1e-3", d.name, worst)
	}
	return nil
}

func (b *bench) runPython(args ...string) error {
	cmd := exec.CommandContext(b.ctx, b.python, args...)
	cmd.Stderr = os.Stderr
	return cmd.Run()
}

// writeGradients computes the gradients of a step and writes each to a file of its own.
func (b *bench) writeGradients(d differentiated, small, inputs, folder string) (float64, error) {
	libs, err := compress.OpenLibraries("")
	if err != nil {
		return 0, err
	}
	defer libs.Close()
	lib, err := libs.Need("gradients")
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
	specs, err := calib.Inputs(compressed)
	if err != nil {
		return 0, err
	}
	source, err := calib.Open(inputs, calib.SourceOptions{}, specs)
	if err != nil {
		return 0, err
	}
	indices := make([]int, gradientSamples)
	for i := range indices {
		indices[i] = i
	}
	loss, gradients, err := tune.Gradient(b.ctx, lib, original, compressed, source, indices, tune.DistilOptions{Loss: d.loss, Part: tune.Reachable})
	if err != nil {
		return 0, err
	}
	if err := os.RemoveAll(folder); err != nil {
		return 0, err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return 0, err
	}
	i := 0
	for name, g := range gradients {
		t := &onnxpb.TensorProto{Name: &name, DataType: proto.Int32(int32(g.Type)), RawData: g.Data}
		for _, n := range g.Shape {
			t.Dims = append(t.Dims, int64(n))
		}
		data, err := proto.Marshal(t)
		if err != nil {
			return 0, err
		}
		if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("%d.pb", i)), data, 0o644); err != nil {
			return 0, err
		}
		i++
	}
	return loss, nil
}
