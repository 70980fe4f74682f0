package verify

import (
	"context"
	"fmt"
	"os"
	"slices"

	"github.com/onnx-compress/onnx-compress/internal/feed"
	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/internal/rss"
	"github.com/onnx-compress/onnx-compress/onnxio"
	"github.com/onnx-compress/onnx-compress/samples"
)

// open makes the sessions of both models and says what the outputs of the original are. The caller calls what it returns when all runs
// are done.
func (c *comparison) open(lib *ort.Library, original, compressed string) (done func(), err error) {
	var closers []func()
	finish := func() {
		for _, f := range slices.Backward(closers) {
			f()
		}
	}
	defer func() {
		if err != nil {
			finish()
		}
	}()
	before, err := onnxio.Read(original)
	if err != nil {
		return nil, &OriginalError{err}
	}
	closers = append(closers, func() { _ = before.Close() }) // which was only read
	after, odd := onnxio.Read(compressed)                    // of what only the runtime can read weights are loaded
	if odd == nil {
		closers = append(closers, func() { _ = after.Close() })
	} else if info, err := os.Stat(compressed); err != nil || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("compressed model: %w", odd) // which the runtime would wait for, if it is a pipe
	}
	mapped := odd == nil && c.o.Memory > 0 && !rss.Loads(before.DiskBytes(), after.DiskBytes(), c.o.Memory)
	if c.before, err = session(lib, original, before, mapped); err != nil {
		return nil, &OriginalError{err}
	}
	closers = append(closers, c.before.Close)
	if c.after, err = session(lib, compressed, after, mapped); err != nil {
		return nil, fmt.Errorf("compressed model: %w", err)
	}
	closers = append(closers, c.after.Close)
	if mapped {
		closers = append(closers, rss.Shed(slices.Concat(before.Files(), after.Files()), c.o.Memory/4*3).Stop)
	}
	return finish, c.describe(original, before)
}

// limitBatch lowers the batch where the outputs of both models for as many samples, on every thread, would take over a quarter of the
// memory, by those that the original has for one sample.
func (c *comparison) limitBatch(ctx context.Context, src samples.Source, indices []int) {
	if c.o.Memory <= 0 || c.o.Batch == 1 || len(indices) == 1 || len(c.names) == 0 {
		return
	}
	r, err := feed.First(ctx, src, indices, feed.SessionInputs(c.before), 1)
	if err != nil || r.Batch != 1 {
		return // what is wrong, the runs will say; and a batch that is the model's own stays
	}
	results, err := c.before.Run(ctx, r.Inputs, c.names)
	if err != nil {
		return
	}
	defer results.Close()
	var bytes int64
	for i := range c.names {
		bytes += 2 * int64(len(results.Get(i).Data))
	}
	for _, in := range r.Inputs {
		bytes += int64(len(in.Data))
	}
	c.o.Batch = int(max(1, min(int64(c.o.Batch), c.o.Memory/4/(max(bytes, 1)*int64(c.o.Threads)))))
}

// session makes the session of a model in a file.
func session(lib *ort.Library, path string, m *onnxio.Model, mapped bool) (*ort.Session, error) {
	if !mapped {
		return lib.NewSessionFile(path, ort.Options{})
	}
	data, err := m.MarshalMapped()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return lib.NewSession(data, ort.Options{ExternalFolder: m.ExternalFolder(), Mapped: true})
}
