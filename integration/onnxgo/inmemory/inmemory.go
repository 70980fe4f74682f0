// Package inmemory compresses a model in memory, for the examples beside it.
package inmemory

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// File compresses the model in a file, and gives a sample to run it on.
func File(ctx context.Context, path string) (small []byte, input tensor.Dense, err error) {
	m, err := onnxio.Read(path)
	if err != nil {
		return nil, input, err
	}
	defer m.Close()
	return Compressed(ctx, m, "svd")
}

// Compressed halves the multiply-adds of a model of one input, by one of the methods, and gives a sample to run it on.
func Compressed(ctx context.Context, m *onnxio.Model, method string) (small []byte, input tensor.Dense, err error) {
	inputs, err := samples.Inputs(m)
	if err != nil {
		return nil, input, err
	}
	target, err := compress.ParseTarget("macs=0.5")
	if err != nil {
		return nil, input, err
	}
	env, err := compress.Open(compress.EnvironmentOptions{})
	if err != nil {
		return nil, input, err
	}
	defer env.Close()
	made, _, err := compress.Compress(ctx, env, m, compress.Options{
		Source: noise{inputs}, Targets: []compress.Target{target}, Methods: []string{method}, RankMultiple: 1,
	})
	if err != nil {
		return nil, input, err
	}
	defer made.Close()
	if small, err = made.Marshal(); err != nil {
		return nil, input, err
	}
	sample, err := noise{inputs}.Sample(0)
	if err != nil {
		return nil, input, err
	}
	input = sample.Inputs[inputs[0].Name]
	input.Shape = append([]int{1}, input.Shape...) // the axis that numbers samples
	return small, input, nil
}

// noise are 200 samples of noise; yours are what the model will see.
type noise struct{ inputs []samples.InputSpec }

func (noise) Len() int         { return 200 }
func (noise) Describe() string { return "200 samples of noise" }

// Sample makes one sample: equal numbers give equal samples.
func (s noise) Sample(i int) (samples.Sample, error) {
	random := rand.New(rand.NewPCG(uint64(i), 0))
	out := samples.Sample{Name: fmt.Sprint(i), Label: -1, Inputs: map[string]tensor.Dense{}}
	for _, in := range s.inputs {
		shape, count := in.Shape[1:], 1
		for _, n := range shape {
			count *= n
		}
		values := make([]float32, count)
		for k := range values {
			values[k] = random.Float32()
		}
		out.Inputs[in.Name] = tensor.FromFloat32(shape, values)
	}
	return out, nil
}
