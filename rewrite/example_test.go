package rewrite_test

import (
	"fmt"
	"log"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/graph"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/shapes"
)

// Find the sites, factor one, and build the model with its factors in its place.
func Example() {
	m, err := onnxio.Read("../testmodels/data/fashion_resnet.onnx")
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	inputs, _ := shapes.InputShapes(m, nil)
	known := shapes.Infer(m, inputs)
	sites, skips, err := rewrite.Sites(m, known)
	if err != nil {
		log.Fatal(err)
	}
	site := &sites[len(sites)-2]
	fmt.Printf("%d sites, %d nodes left alone; %s: %s of %v\n", len(sites), len(skips), site.Name, site.Op, site.Kernel)

	env, err := compress.Open(compress.EnvironmentOptions{})
	if err != nil {
		log.Fatal(err)
	}
	defer env.Close()
	svd, err := compress.MethodNamed("svd")
	if err != nil {
		log.Fatal(err)
	}
	kernel, err := site.Load()
	if err != nil {
		log.Fatal(err)
	}
	spectrum, err := svd.Factor(env.Algebra, kernel, decomp.Metric{}) // by the weight alone
	if err != nil {
		log.Fatal(err)
	}
	chain, err := spectrum.Chain(decomp.Rank{16})
	if err != nil {
		log.Fatal(err)
	}
	patch, err := rewrite.Replace(m, site, chain, graph.NewNameSet(m))
	if err != nil {
		log.Fatal(err)
	}
	small, err := rewrite.Apply(m, []rewrite.Patch{patch}, rewrite.ApplyOptions{})
	if err != nil {
		log.Fatal(err)
	}
	defer small.Close()
	for _, n := range patch.New {
		fmt.Println(n.Op(), n.Name())
	}
	before, after := rewrite.MeasureCosts(m, known), rewrite.MeasureCosts(small, shapes.Infer(small, inputs))
	fmt.Printf("%d → %d multiply-adds, %d → %d parameters\n", before.MACs, after.MACs, before.Params, after.Params)
	// Output:
	// 16 sites, 0 nodes left alone; stage3.block2.conv2: Conv of 64×64×3×3
	// Conv stage3.block2.conv2/svd.first
	// Conv stage3.block2.conv2/svd.last
	// 20183936 → 18879360 multiply-adds, 176090 → 149466 parameters
}

// Find the axes, drop every other unit of one, and build the narrower model. The readers get the columns that stay of their
// own kernels here; a Fold would make up for what goes.
func ExampleNarrow() {
	m, err := onnxio.Read("../testmodels/data/fashion_resnet.onnx")
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	inputs, _ := shapes.InputShapes(m, nil)
	known := shapes.Infer(m, inputs)
	axes, fixed, err := rewrite.Axes(m, known)
	if err != nil {
		log.Fatal(err)
	}
	axis := &axes[len(axes)-1]
	fmt.Printf("%d axes; %s: %d units for %d readers\n", len(axes), axis.Name, axis.Units, len(axis.Readers))
	fmt.Printf("%s is on none: %s\n", fixed[0].Site.Name, fixed[0].Reason)

	n := rewrite.Narrowing{Axis: axis}
	for unit := 0; unit < axis.Units; unit += 2 {
		n.Keep = append(n.Keep, unit)
	}
	small, err := rewrite.Narrow(m, []rewrite.Narrowing{n}, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer small.Close()
	before, after := rewrite.MeasureCosts(m, known), rewrite.MeasureCosts(small, shapes.Infer(small, inputs))
	fmt.Printf("%d → %d multiply-adds, %d → %d parameters\n", before.MACs, after.MACs, before.Params, after.Params)
	// Output:
	// 9 axes; stage3.block2.conv1: 64 units for 1 readers
	// classifier is on none: they are the graph output "logits"
	// 20183936 → 18377600 multiply-adds, 176090 → 139098 parameters
}
