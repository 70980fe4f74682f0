package grad_test

import (
	"errors"
	"fmt"
	"log"

	"github.com/onnx-compress/onnx-compress/grad"
	"github.com/onnx-compress/onnx-compress/onnxio"
)

// From a model, the model of its gradients: it takes a cotangent for every output
// beside the inputs, and any runtime computes it.
func ExampleBuild() {
	m, err := onnxio.Read("../testmodels/data/fashion_resnet.onnx")
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	values := grad.Infer(m, map[string][]int{"image": {8, 1, 28, 28}})
	g, err := grad.Build(m, grad.Options{Values: values, Wanted: []string{"image", "classifier.weight"}})
	blocked := (*grad.BlockedError)(nil)
	if errors.As(err, &blocked) {
		log.Fatalf("an operator has no gradient: %v", err)
	}
	if err != nil {
		log.Fatal(err)
	}
	defer g.Model.Close()
	fmt.Println("cotangent of logits:", g.Cotangents["logits"], values["logits"].Shape)
	for _, name := range []string{"image", "classifier.weight"} {
		fmt.Println("gradient of", name+":", g.Gradients[name])
	}
	// Output:
	// cotangent of logits: logits/cotangent [8 10]
	// gradient of image: stem/grad/convtranspose
	// gradient of classifier.weight: classifier/grad/gemm_1
}
