package onnxio

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// Staged is a model written in full, but not yet at its target: it waits in a hidden
// folder beside it, where it can be opened and judged, until Commit or Discard.
type Staged struct {
	folder  string
	targets []string // the model's last
	sources []os.FileInfo
	options WriteOptions
}

// Stage writes the model, synced, into a hidden folder beside path, to be moved there by
// Commit. It refuses what CanWrite refuses. When it fails, or the context ends, nothing
// is left behind.
//
// Weights are streamed from where they are. External data stays external: one file of
// real copies at offsets that are multiples of 4 KiB. A model that would exceed the 2 GiB
// of a protobuf message has its tensors of 1 KiB and more made external.
func Stage(ctx context.Context, m *Model, path string, o WriteOptions) (*Staged, error) {
	s, err := stage(ctx, m, path, o, maxFile)
	if err != nil {
		return nil, fmt.Errorf("writing model %s: %w", path, err)
	}
	return s, nil
}

func stage(ctx context.Context, m *Model, path string, o WriteOptions, limit int) (*Staged, error) {
	data := dataPath(path)
	p, blobs, err := layOut(m, filepath.Base(data), limit)
	if err != nil {
		return nil, err
	}
	s := &Staged{targets: []string{path}, sources: m.sources(), options: o}
	if len(blobs) > 0 {
		s.targets = []string{data, path}
	}
	if err := checkTargets(s.sources, s.targets, o); err != nil {
		return nil, err
	}
	if s.folder, err = stagingFolder(path); err != nil {
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

// Path returns where the model file waits.
func (s *Staged) Path() string { return s.waiting(s.targets[len(s.targets)-1]) }

// waiting returns where the file for a target waits.
func (s *Staged) waiting(target string) string { return filepath.Join(s.folder, filepath.Base(target)) }

// Commit moves the files to their targets, external data first. When one cannot be
// moved, those before it are taken back. The targets are checked once more.
func (s *Staged) Commit() error {
	path := s.targets[len(s.targets)-1]
	if err := checkTargets(s.sources, s.targets, s.options); err != nil {
		return fmt.Errorf("writing model %s: %w", path, err)
	}
	var placed []string
	for _, target := range s.targets {
		// The last needs no way back: it is either moved or it is not.
		if err := s.place(target, target != path); err != nil {
			return fmt.Errorf("writing model %s: %w", path, errors.Join(err, s.takeBack(placed)))
		}
		placed = append(placed, target)
	}
	s.Discard()
	return syncFolder(filepath.Dir(path))
}

// Discard removes whatever has not been committed. After Commit it does nothing.
func (s *Staged) Discard() {
	// What cannot be removed stays hidden, and is no reason to fail.
	_ = os.RemoveAll(s.folder)
}

// place moves one file to its target. With keep, a file already there is kept in
// the staging folder.
func (s *Staged) place(target string, keep bool) error {
	if keep {
		if err := os.Rename(target, s.kept(target)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return os.Rename(s.waiting(target), target)
}

func (s *Staged) kept(target string) string { return s.waiting(target) + ".old" }

// takeBack undoes place.
func (s *Staged) takeBack(placed []string) error {
	var errs []error
	for _, target := range placed {
		errs = append(errs, os.Rename(target, s.waiting(target)))
		if err := os.Rename(s.kept(target), target); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// fill writes and syncs the file for one target in the staging folder, with the
// permissions of the file that it will replace.
func (s *Staged) fill(ctx context.Context, target string, body func(io.Writer) error) error {
	f, err := os.OpenFile(s.waiting(target), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	if old, statErr := os.Stat(target); statErr == nil {
		err = f.Chmod(old.Mode().Perm())
	}
	w := bufio.NewWriterSize(cancellable{ctx, f}, 1<<20)
	if err == nil {
		err = body(w)
	}
	if err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// stagingFolder makes a fresh hidden folder beside a target.
func stagingFolder(target string) (string, error) {
	folder := filepath.Join(filepath.Dir(target), "."+filepath.Base(target)+".tmp-"+rand.Text()[:12])
	return folder, os.Mkdir(folder, 0o700)
}

// syncFolder makes renames in a folder durable where the system has a way to.
func syncFolder(folder string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	f, err := os.Open(folder)
	if err != nil {
		return err
	}
	defer f.Close()
	// Some file systems cannot sync a folder. The files themselves are synced.
	_ = f.Sync()
	return nil
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
