package shapes_test

import (
	"fmt"
	"log"

	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/shapes"
)

// The shapes of all values follow from those of the inputs.
func ExampleInfer() {
	m, err := onnxio.Read("../testmodels/data/fashion_resnet.onnx")
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	inputs, unknown := shapes.InputShapes(m, map[string][]int{"image": {4, 1, 28, 28}})
	s := shapes.Infer(m, inputs)
	logits, known := s.Of("logits")
	fmt.Println(inputs, unknown, logits, known)

	// Where axis 0 alone is open, one sample is meant.
	inputs, _ = shapes.InputShapes(m, nil)
	logits, _ = shapes.Infer(m, inputs).Of("logits")
	fmt.Println(inputs, logits)
	// Output:
	// map[image:[4 1 28 28]] [] [4 10] true
	// map[image:[1 1 28 28]] [1 10]
}
