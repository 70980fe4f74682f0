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

// Halve the multiply-adds of a network, without data and by two of the decompositions.
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
	env, err := compress.Open(compress.EnvironmentOptions{})
	if err != nil {
		log.Fatal(err)
	}
	defer env.Close()
	result, err := compress.Run(context.Background(), env, m, compress.RunOptions{
		Output: filepath.Join(folder, "small.onnx"),
		Options: compress.Options{
			Targets:      []compress.Target{target},
			Methods:      []string{"svd", "spatial"},
			Select:       compress.Selection{Keep: []string{"stem", "classifier"}},
			AcceptDamage: true, // without samples, half is too little for this network
		},
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

// Show what several sizes of a model would cost.
func ExampleExplore() {
	m, err := onnxio.Read("../testmodels/data/fashion_resnet.onnx")
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	env, err := compress.Open(compress.EnvironmentOptions{})
	if err != nil {
		log.Fatal(err)
	}
	defer env.Close()
	e, err := compress.Explore(context.Background(), env, m, compress.ExploreOptions{
		Options: compress.Options{Methods: []string{"svd"}, VerifySamples: 1},
		Budgets: []float64{0.9, 0.8, 0.01},
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, p := range e.Points {
		if p.Why != "" {
			fmt.Printf("%g is out of reach\n", p.Budget)
			continue
		}
		fmt.Printf("%g: within the budget: %v\n", p.Budget, float64(p.MACs) <= p.Budget*float64(e.Input.MACs))
	}
	fmt.Println("measured on samples:", e.Unmeasured == "")
	// Output:
	// 0.9: within the budget: true
	// 0.8: within the budget: true
	// 0.01 is out of reach
	// measured on samples: false
}

// Find the sites of a model and what they cost, without reading a weight.
func ExampleAnalyse() {
	m, err := onnxio.Read("../testmodels/data/fashion_resnet.onnx")
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	a, err := compress.Analyse(context.Background(), m, compress.Options{
		InputShapes: map[string][]int{"image": {1, 1, 28, 28}}, Select: compress.Selection{Keep: []string{"stem"}},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%d multiply-adds, %d parameters, %d sites\n", a.Costs.MACs, a.Costs.Params, len(a.Sites))
	for _, s := range a.Skips {
		fmt.Printf("%s: %s\n", s.Name, s.Reason)
	}
	// Output:
	// 20183936 multiply-adds, 176090 parameters, 15 sites
	// stem: kept as it is by Options.Select.Keep "stem"
}

// Read a target as people write it.
func ExampleOptions_AddTarget() {
	var o compress.Options
	for _, words := range []string{"macs=50%", "params=2M", "agree=99%"} {
		if err := o.AddTarget(words); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(o.Targets, o.Goals)
	fmt.Println(o.AddTarget("mac=0.5"))
	// Output:
	// [macs=0.5 params=2000000] [agree=99%]
	// target "mac=0.5": unknown kind "mac" (did you mean "macs"?); known kinds: macs, params, bytes, latency, agree, drop, kl, ppl, boxes, cer, iou, cosine, snr
}
