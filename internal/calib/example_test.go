package calib_test

import (
	"context"
	"fmt"
	"log"

	"github.com/onnx-compress/onnx-compress/compress"
	"github.com/onnx-compress/onnx-compress/internal/calib"
	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/shapes"
)

// Sum what the sites of a model see of some samples, and what its outputs feel of them.
func ExampleCollect() {
	m, err := onnxio.Read("../../testmodels/data/fashion_resnet.onnx")
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	inputs, err := samples.Inputs(m)
	if err != nil {
		log.Fatal(err)
	}
	src, err := samples.Open("../../testmodels/data/fashion.bin", samples.SourceOptions{}, inputs)
	if err != nil {
		log.Fatal(err)
	}
	chosen, held := samples.Split(src.Len(), 64, 0)
	fmt.Printf("%d samples to calibrate on, %d others\n", len(chosen), len(held))

	concrete, _ := shapes.InputShapes(m, nil)
	sites, _, err := rewrite.Sites(m, shapes.Infer(m, concrete))
	if err != nil {
		log.Fatal(err)
	}
	env, err := compress.Open(compress.EnvironmentOptions{})
	if err != nil {
		log.Fatal(err)
	}
	defer env.Close()
	lib, err := env.Need("calibration")
	if err != nil {
		log.Fatal(err)
	}
	stats, err := calib.Collect(context.Background(), ort.Of(lib), m, sites[:3], src, chosen, calib.Options{Probes: 1, Backend: env.Algebra})
	if err != nil {
		log.Fatal(err)
	}
	for _, s := range stats {
		fmt.Printf("%s: A is %d×%d, G is %d×%d, over %d positions\n", s.Site, s.A[0].Rows, s.A[0].Cols, s.G[0].Rows, s.G[0].Cols, s.Positions)
	}
	// Output:
	// 64 samples to calibrate on, 1448 others
	// stem: A is 9×9, G is 16×16, over 50176 positions
	// stage1.block1.conv1: A is 144×144, G is 16×16, over 50176 positions
	// stage1.block1.conv2: A is 144×144, G is 16×16, over 50176 positions
}
