package compress

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"

	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
)

// describe hashes and sizes a model file.
func describe(path string, c rewrite.Costs) (File, error) {
	f, err := os.Open(path)
	if err != nil {
		return File{}, fmt.Errorf("reading the model back: %w", err)
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	if err != nil {
		return File{}, fmt.Errorf("reading the model back: %w", err)
	}
	external, err := onnxio.ExternalBytes(path)
	if err != nil {
		return File{}, err
	}
	return File{Path: path, Bytes: n + external, SHA256: hex.EncodeToString(h.Sum(nil)), MACs: c.MACs, Params: c.Params}, nil
}
