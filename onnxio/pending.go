package onnxio

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/onnx-compress/onnx-compress/internal/atomicfile"
	"github.com/onnx-compress/onnx-compress/onnxio/onnxpb"
)

// Pending is a model written in full, but not yet at its target: it waits in a hidden
// folder beside it, where it can be opened and judged, until Commit or Discard.
type Pending struct {
	set     *atomicfile.Set
	target  string // the model's
	data    string // that of its external data, "" where it has none
	sum     string // the digest of these
	sources []os.FileInfo
	options WriteOptions
	wanted  string // the target that was asked for
	model   *Model
	limit   int // of the message, in bytes
}

// Create writes the model, synced, into a hidden folder beside path, to be moved there by
// Commit. It refuses what CanWrite refuses, but for a target that exists where o.Aside is set. When it fails, or the context ends, nothing
// is left behind. The model is to stay open until Commit.
//
// Weights are streamed from where they are. External data stays external: one file of
// real copies at offsets that are multiples of 4 KiB, whose name has the hash of its content. A model that would exceed the 2 GiB
// of a protobuf message has its tensors of 1 KiB and more made external.
func Create(ctx context.Context, m *Model, path string, o WriteOptions) (*Pending, error) {
	s, err := create(ctx, m, path, o, maxFile)
	if err != nil {
		return nil, fmt.Errorf("writing model %s: %w", path, err)
	}
	return s, nil
}

func create(ctx context.Context, m *Model, path string, o WriteOptions, limit int) (*Pending, error) {
	data := dataPath(path, strings.Repeat("0", sumLength)) // for the length of the name, until there is the content
	p, blobs, err := layOut(m, filepath.Base(data), limit)
	if err != nil {
		return nil, err
	}
	s := &Pending{target: path, sources: m.sources(), options: o, wanted: path, model: m, limit: limit}
	if err := checkTarget(s.sources, path, o); err != nil && !s.displaced(err) {
		return nil, err
	}
	if s.set, err = atomicfile.Beside(path); err != nil {
		return nil, err
	}
	if !o.Overwrite {
		s.set.Fresh()
	}
	if len(blobs) > 0 {
		p, err = s.fillData(ctx, data, blobs)
	}
	if err == nil {
		err = s.fillModel(ctx, path, p)
	}
	if err != nil {
		s.Discard()
		return nil, err
	}
	return s, nil
}

// fillData writes the external data, and returns the message that refers to them by the name that they get from their content.
func (s *Pending) fillData(ctx context.Context, target string, blobs []blob) (*onnxpb.ModelProto, error) {
	// Straight to the file, without a buffer, so that what lies in files is copied between them. The digest is that of what arrived.
	err := s.set.Write(target, func(f io.Writer) error { return writeBlobs(ctx, f, blobs) })
	if err != nil {
		return nil, err
	}
	if s.sum, err = fileDigest(ctx, s.set.Path(target)); err != nil {
		return nil, err
	}
	return s.nameData(target)
}

// nameData names the external data, which wait for a target, after the model's target and their content, and returns the message that refers to them.
func (s *Pending) nameData(from string) (*onnxpb.ModelProto, error) {
	s.data = dataPath(s.target, s.sum)
	if err := s.set.Retarget(from, s.data); err != nil {
		return nil, err
	}
	p, _, err := layOut(s.model, filepath.Base(s.data), s.limit)
	return p, err
}

// fillModel writes the message.
func (s *Pending) fillModel(ctx context.Context, target string, p *onnxpb.ModelProto) error {
	return s.fill(ctx, target, func(w io.Writer) error {
		return encoder{w: w, whole: wholeMessage, written: s.model.files.forget}.message(p.ProtoReflect())
	})
}

// Path returns where the model file waits.
func (s *Pending) Path() string { return s.set.Path(s.target) }

// Target returns where the model goes, or after Commit, where it went.
func (s *Pending) Target() string { return s.target }

// Commit moves the files to their places, the model last: until then an old one is there, with its data. Then external data that
// were written for this place and are not the model's go. The target is checked once more.
func (s *Pending) Commit() error { return CommitAll(s) }

// CommitAll is Commit of several models, in their order: all of them come to their places or, where one cannot, none, and what was there before
// is put back. Where a file system does not allow that, the error names what was replaced.
func CommitAll(list ...*Pending) error {
	err := commitAll(list)
	for range mostNames {
		again := false
		for _, s := range list {
			if !s.displaced(err) {
				continue
			}
			if err := s.stepAside(); err != nil {
				return fmt.Errorf("writing model %s: %w", s.target, err)
			}
			again = true
		}
		if !again {
			break
		}
		err = commitAll(list)
	}
	return err
}

// mostNames is how often a model goes aside, from others that take each name before it.
const mostNames = 1000

func commitAll(list []*Pending) error {
	var sets []*atomicfile.Set
	var targets []string
	for _, s := range list {
		if err := checkTarget(s.sources, s.target, s.options); err != nil {
			return fmt.Errorf("writing model %s: %w", s.target, err)
		}
		sets, targets = append(sets, s.set), append(targets, s.target)
	}
	if err := atomicfile.CommitAll(sets...); err != nil {
		return fmt.Errorf("writing model %s: %w", strings.Join(targets, ", "), err)
	}
	for _, s := range list {
		removeOldData(s.sources, s.target, s.data)
	}
	return nil
}

// displaced tells whether an error says that something else has come to a target, from which this model may go aside.
func (s *Pending) displaced(err error) bool {
	return s.options.Aside && !s.options.Overwrite && errors.Is(err, fs.ErrExist)
}

// taken tells whether anything is at the model's target.
func (s *Pending) taken() bool {
	_, err := os.Lstat(s.target)
	return err == nil
}

// stepAside gives a model whose target is taken the first free name beside the one that was asked for, and its external data one to match.
func (s *Pending) stepAside() error {
	if !s.taken() {
		return nil
	}
	old, kind := s.target, filepath.Ext(s.wanted)
	for n := 2; s.taken(); n++ {
		s.target = fmt.Sprintf("%s.%d%s", strings.TrimSuffix(s.wanted, kind), n, kind)
	}
	if s.data == "" {
		return s.set.Retarget(old, s.target)
	}
	p, err := s.nameData(s.data)
	if err != nil {
		return err
	}
	if err := s.fillModel(context.Background(), s.target, p); err != nil {
		return err
	}
	return s.set.Drop(old)
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
