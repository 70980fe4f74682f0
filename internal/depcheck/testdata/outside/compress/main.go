// Compresses a model in memory and as a file, calibrated on samples that the program makes, and
// compares the two.
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
	"github.com/onnx-compress/onnx-compress/verify"
)

// noise is as many samples of noise.
type noise struct {
	count  int
	inputs []samples.InputSpec
}

func (n noise) Len() int { return n.count }

func (n noise) Describe() string { return fmt.Sprintf("%d samples of noise", n.count) }

func (n noise) Sample(i int) (samples.Sample, error) {
	r := rand.New(rand.NewPCG(1, uint64(i)))
	s := samples.Sample{Name: fmt.Sprint(i), Label: -1, Inputs: map[string]tensor.Dense{}}
	for _, in := range n.inputs {
		d := tensor.New(tensor.Float32, in.Shape[1:]...)
		for k := range d.Float32s() {
			d.Float32s()[k] = r.Float32()
		}
		s.Inputs[in.Name] = d
	}
	return s, nil
}

func run(ctx context.Context, from, to string) error {
	m, err := onnxio.Read(from)
	if err != nil {
		return err
	}
	defer m.Close()
	inputs, err := samples.Inputs(m)
	if err != nil {
		return err
	}
	var source samples.Source = noise{64, inputs}
	env, err := compress.Open(compress.EnvironmentOptions{})
	if err != nil {
		return err
	}
	defer env.Close()
	o := compress.Options{Targets: []compress.Target{{Resource: compress.MACs, Value: 0.5, Fraction: true}}, Source: source}
	small, _, err := compress.Compress(ctx, env, m, o) // in memory
	if err != nil {
		return err
	}
	defer small.Close()
	result, err := compress.Run(ctx, env, m, compress.RunOptions{Options: o, Output: to})
	if err != nil {
		return err
	}
	fmt.Println(result.Input.MACs, result.Output.MACs)

	runtime, err := env.Need("comparing models")
	if err != nil {
		return err
	}
	chosen, _ := samples.Split(source.Len(), 32, 0)
	report, err := verify.Compare(ctx, runtime, from, to, source, chosen, verify.Options{})
	if err != nil {
		return err
	}
	fmt.Println(report.Samples)
	return nil
}

func main() {
	if err := run(context.Background(), os.Args[1], os.Args[2]); err != nil {
		log.Fatal(err)
	}
}
