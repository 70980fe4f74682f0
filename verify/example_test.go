package verify_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/verify"
)

// Run two models on the same samples: here a network and the same with seven tenths of its
// parameters.
func ExampleCompare() {
	ctx := context.Background()
	const original, images = "../testmodels/data/fashion_resnet.onnx", "../testmodels/data/fashion.bin"
	folder, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	small := filepath.Join(folder, "small.onnx")
	m, err := onnxio.Read(original)
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	env, err := compress.Open(compress.EnvironmentOptions{})
	if err != nil {
		log.Fatal(err)
	}
	defer env.Close()
	_, err = compress.Run(ctx, env, m, compress.RunOptions{Output: small, Options: compress.Options{
		Methods: []string{"svd"}, Targets: []compress.Target{{Resource: compress.Params, Value: 0.7, Fraction: true}},
	}})
	if err != nil {
		log.Fatal(err)
	}

	inputs, err := samples.Inputs(m)
	if err != nil {
		log.Fatal(err)
	}
	src, err := samples.Open(images, samples.SourceOptions{}, inputs)
	if err != nil {
		log.Fatal(err)
	}
	lib, err := env.Need("comparing models")
	if err != nil {
		log.Fatal(err)
	}
	chosen, _ := samples.Split(src.Len(), 200, 0)
	r, err := verify.Compare(ctx, lib, original, small, src, chosen, verify.Options{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%d samples, output %s of %d classes\n", r.Samples, r.Classes.Output, r.Classes.Count)
	fmt.Printf("cosine above 0.9: %v, same class for at least 9 of 10: %v\n", r.Outputs[0].Cosine > 0.9, r.Classes.Agreement >= 0.9)
	fmt.Printf("top-1 before above 0.9: %v\n", r.Classes.Accuracy.Before > 0.9)
	// Output:
	// 200 samples, output logits of 10 classes
	// cosine above 0.9: true, same class for at least 9 of 10: true
	// top-1 before above 0.9: true
}
