// Command go compresses a model in memory, from samples that the program makes itself: go run ./docs/ways/go MODEL
package main

import (
	"context"
	"fmt"
	"log"
	"math/rand/v2"
	"os"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/tensor"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: go run ./docs/ways/go MODEL")
	}
	if err := run(context.Background(), os.Args[1]); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, path string) error {
	m, err := onnxio.Read(path) // or onnxio.Parse of bytes
	if err != nil {
		return err
	}
	defer m.Close()
	inputs, err := samples.Inputs(m)
	if err != nil {
		return err
	}
	target, err := compress.ParseTarget("macs=0.8")
	if err != nil {
		return err
	}
	env, err := compress.Open(compress.EnvironmentOptions{})
	if err != nil {
		return err
	}
	defer env.Close()
	small, result, err := compress.Compress(ctx, env, m, compress.Options{
		Source:  source{inputs},
		Targets: []compress.Target{target},
		Methods: []string{"svd"},
	})
	if err != nil {
		return err
	}
	defer small.Close()
	fmt.Printf("%d of %d multiply-adds\n", result.Output.MACs, result.Input.MACs)
	fmt.Println(result.Verification.Judged.Text)
	return onnxio.Write(ctx, small, "small.onnx", onnxio.WriteOptions{})
}

// source are 300 samples of noise; yours are what the model will see.
type source struct{ inputs []samples.InputSpec }

func (source) Len() int         { return 300 }
func (source) Describe() string { return "300 samples of noise" }

// Sample makes one sample: equal numbers give equal samples.
func (s source) Sample(i int) (samples.Sample, error) {
	random := rand.New(rand.NewPCG(uint64(i), 0))
	out := samples.Sample{Name: fmt.Sprint(i), Label: -1, Inputs: map[string]tensor.Dense{}}
	for _, in := range s.inputs {
		count := 1
		for _, n := range in.Shape[1:] { // the first axis numbers samples
			count *= n
		}
		values := make([]float32, count)
		for k := range values {
			values[k] = random.Float32()
		}
		out.Inputs[in.Name] = tensor.FromFloat32(in.Shape[1:], values)
	}
	return out, nil
}
