package testmodels

import (
	_ "embed"

	"github.com/onnx-compress/onnx-compress/onnxio"
)

// What data/fashion.bin holds: records of one label byte and 28 × 28 pixel bytes.
const (
	FashionRecords = 1512
	FashionSize    = 28
	FashionClasses = 10
)

//go:embed data/fashion_resnet.onnx
var fashionModel string

//go:embed data/fashion.bin
var fashionImages string

// Fashion returns the trained demo network: input "image" [N,1,28,28], pixels divided by
// 255; output "logits" [N,10].
func Fashion() (*onnxio.Model, error) { return onnxio.Parse([]byte(fashionModel), "") }

// FashionImages returns the demo network's test images in the form of data/fashion.bin.
func FashionImages() []byte { return []byte(fashionImages) }
