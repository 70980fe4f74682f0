package samples

import (
	"fmt"

	"github.com/onnx-compress/onnx-compress/internal/bounded"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// What samples may claim. A file with holes has terabytes on paper and nothing on disk, and what is read of it is as large
// as it says.
const (
	maxSamples     = 1 << 24 // all of ImageNet-21k
	maxSampleBytes = 1 << 30 // of one sample at one input
	maxLabelBytes  = 1 << 28
)

// checkSize refuses samples of a shape that no memory holds.
func checkSize(typ tensor.Type, shape []int) error {
	n, err := tensor.Elements(shape)
	if err == nil && n > maxSampleBytes/max(typ.Size(), 1) {
		err = fmt.Errorf("a sample of shape %s takes %s; at most %s are read", tensor.ShapeText(shape), bounded.Text(int64(n)*int64(typ.Size())), bounded.Text(maxSampleBytes))
	}
	return err
}

// checkCount refuses more samples than are drawn from.
func checkCount(name string, n int) error {
	if n > maxSamples {
		return fmt.Errorf("%s has %d samples; at most %d are drawn from, so give a part of them", name, n, maxSamples)
	}
	return nil
}
