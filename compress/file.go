package compress

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"

	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/rewrite"
)

// describe hashes and sizes a model file.
func describe(ctx context.Context, path string, c rewrite.Costs) (File, error) {
	f, err := os.Open(path)
	if err != nil {
		return File{}, fmt.Errorf("reading the model back: %w", err)
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, reader{ctx, f})
	if err != nil {
		return File{}, fmt.Errorf("reading the model back: %w", err)
	}
	external, err := onnxio.ExternalBytes(path)
	if err != nil {
		return File{}, err
	}
	return File{Path: path, Bytes: n + external, SHA256: hex.EncodeToString(h.Sum(nil)), MACs: c.MACs, Params: c.Params}, nil
}

// reader reads until the context ends.
type reader struct {
	ctx context.Context
	r   io.Reader
}

func (r reader) Read(b []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(b)
}
