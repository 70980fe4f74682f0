package compress_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/onnxio"
)

// Halve the multiply-adds of a network, without data.
func ExampleRun() {
	folder, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)

	m, err := onnxio.Read("../testmodels/data/fashion_resnet.onnx")
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	target, err := compress.ParseTarget("macs=0.5")
	if err != nil {
		log.Fatal(err)
	}
	result, err := compress.Run(context.Background(), m, compress.Options{
		Output:  filepath.Join(folder, "small.onnx"),
		Targets: []compress.Target{target},
		Select:  compress.Selection{Keep: []string{"stem", "classifier"}},
	})
	if err != nil {
		log.Fatal(err)
	}
	before, after := result.Input.MACs, result.Output.MACs
	fmt.Printf("%d sites; within the target: %v; more than 1 %% below it: %v\n",
		len(result.Sites), after <= before/2, after < before*49/100)
	// Output: 14 sites; within the target: true; more than 1 % below it: false
}

// List what could be compressed, without reading a weight.
func ExampleInspect() {
	m, err := onnxio.Read("../testmodels/data/fashion_resnet.onnx")
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	inspection, err := compress.Inspect(m, nil, compress.Selection{Only: []string{"stage3.block2.*"}})
	if err != nil {
		log.Fatal(err)
	}
	for _, s := range inspection.Sites {
		fmt.Printf("%s: %s of %d×%d, %v; two factors are smaller up to rank %d\n", s.Name, s.Op, s.Out, s.In, s.Window, s.BreakEven)
	}
	// Output:
	// stage3.block2.conv1: Conv of 64×64, [3 3]; two factors are smaller up to rank 57
	// stage3.block2.conv2: Conv of 64×64, [3 3]; two factors are smaller up to rank 57
}
