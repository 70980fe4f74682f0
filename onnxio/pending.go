package onnxio

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/onnx-compress/onnx-compress/internal/atomicfile"
)

// Pending is a model written in full, but not yet at its target: it waits in a hidden
// folder beside it, where it can be opened and judged, until Commit or Discard.
type Pending struct {
	set     *atomicfile.Set
	targets []string // the model's last
	sources []os.FileInfo
	options WriteOptions
}

// Create writes the model, synced, into a hidden folder beside path, to be moved there by
// Commit. It refuses what CanWrite refuses. When it fails, or the context ends, nothing
// is left behind.
//
// Weights are streamed from where they are. External data stays external: one file of
// real copies at offsets that are multiples of 4 KiB. A model that would exceed the 2 GiB
// of a protobuf message has its tensors of 1 KiB and more made external.
func Create(ctx context.Context, m *Model, path string, o WriteOptions) (*Pending, error) {
	s, err := create(ctx, m, path, o, maxFile)
	if err != nil {
		return nil, fmt.Errorf("writing model %s: %w", path, err)
	}
	return s, nil
}

func create(ctx context.Context, m *Model, path string, o WriteOptions, limit int) (*Pending, error) {
	data := dataPath(path)
	p, blobs, err := layOut(m, filepath.Base(data), limit)
	if err != nil {
		return nil, err
	}
	s := &Pending{targets: []string{path}, sources: m.sources(), options: o}
	if len(blobs) > 0 {
		s.targets = []string{data, path}
	}
	if err := checkTargets(s.sources, s.targets, o); err != nil {
		return nil, err
	}
	if s.set, err = atomicfile.Beside(path); err != nil {
		return nil, err
	}
	if len(blobs) > 0 {
		err = s.fill(ctx, data, func(w io.Writer) error { return writeBlobs(w, blobs) })
	}
	if err == nil {
		err = s.fill(ctx, path, func(w io.Writer) error {
			return encoder{w: w, whole: wholeMessage}.message(p.ProtoReflect())
		})
	}
	if err != nil {
		s.Discard()
		return nil, err
	}
	return s, nil
}

// path returns the model's target.
func (s *Pending) path() string { return s.targets[len(s.targets)-1] }

// Path returns where the model file waits.
func (s *Pending) Path() string { return s.set.Path(s.path()) }

// Commit moves the files to their targets, external data first. When one cannot be
// moved, those before it are taken back. The targets are checked once more.
func (s *Pending) Commit() error {
	err := checkTargets(s.sources, s.targets, s.options)
	if err == nil {
		err = s.set.Commit()
	}
	if err != nil {
		return fmt.Errorf("writing model %s: %w", s.path(), err)
	}
	return nil
}

// Discard removes whatever has not been committed. After Commit it does nothing.
func (s *Pending) Discard() { s.set.Discard() }

// fill writes the file for one target, as long as the context lasts.
func (s *Pending) fill(ctx context.Context, target string, body func(io.Writer) error) error {
	return s.set.Write(target, func(f io.Writer) error {
		w := bufio.NewWriterSize(cancellable{ctx, f}, 1<<20)
		if err := body(w); err != nil {
			return err
		}
		return w.Flush()
	})
}

// cancellable stops writing when its context ends, between blocks of a few megabytes.
type cancellable struct {
	ctx context.Context
	w   io.Writer
}

func (c cancellable) Write(b []byte) (int, error) {
	const block = 4 << 20
	done := 0
	for {
		if c.ctx.Err() != nil {
			return done, context.Cause(c.ctx)
		}
		n, err := c.w.Write(b[done:min(len(b), done+block)])
		done += n
		if err != nil || done == len(b) {
			return done, err
		}
	}
}
