package grad

import (
	"strings"

	"github.com/onnx-compress/onnx-compress/onnxio"
)

// text is the printed form of a model.
func text(m *onnxio.Model) string {
	var b strings.Builder
	if err := onnxio.Print(&b, m); err != nil {
		return err.Error()
	}
	return b.String()
}
