// Package atomicfile writes files whole or not at all. They are written, synced, in a hidden
// folder beside their places, `.NAME.tmp-RANDOM`, and renamed into these: on the same file
// system, where a rename replaces an old file in one step. A failure before that leaves the
// old file as it is, and nothing beside it.
package atomicfile

import (
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
)

// Set is files that come to their places together, in the folder of the path that it was made
// for. A link at such a place is replaced itself, not what it leads to: what refers to files
// beside it would look for them where the link leads.
type Set struct {
	folder  string // hidden, in which the files wait under their names
	targets []string
	// An old file could not be brought back: it is in the folder, which must stay.
	stranded bool
}

// Beside begins a set with a hidden folder beside path.
func Beside(path string) (*Set, error) {
	folder := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".tmp-"+rand.Text()[:12])
	if err := os.Mkdir(folder, 0o700); err != nil {
		return nil, err
	}
	return &Set{folder: folder}, nil
}

// Write adds the file for a target, as body writes it, which does the buffering. Until Commit
// or Discard it lies, closed and synced, at Path.
func (s *Set) Write(target string, body func(io.Writer) error) error {
	f, err := s.create(target)
	if err != nil {
		return err
	}
	err = body(f)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// create makes the file that waits for a target, with the permissions of the one that it will
// replace.
func (s *Set) create(target string) (*os.File, error) {
	f, err := os.OpenFile(s.Path(target), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return nil, err
	}
	if old, statErr := os.Stat(target); statErr == nil {
		if err := f.Chmod(old.Mode().Perm()); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	s.targets = append(s.targets, target)
	return f, nil
}

// Path returns where the file for a target waits.
func (s *Set) Path(target string) string { return filepath.Join(s.folder, filepath.Base(target)) }

// Commit moves the files to their targets, in the order in which they were written. When one
// cannot be moved, those before it are taken back, so that the last file is new exactly when
// all are.
func (s *Set) Commit() error {
	for i, target := range s.targets {
		// The last needs no way back: it is either moved or it is not.
		if err := s.place(target, i < len(s.targets)-1); err != nil {
			for _, placed := range slices.Backward(s.targets[:i]) {
				err = errors.Join(err, os.Rename(placed, s.Path(placed)), s.restore(placed))
			}
			return err
		}
	}
	parent := filepath.Dir(s.folder)
	s.Discard()
	return syncFolder(parent)
}

// Discard removes whatever has not been committed. After Commit it does nothing.
func (s *Set) Discard() {
	if s.stranded {
		return
	}
	// What cannot be removed stays hidden, and is no reason to fail.
	_ = os.RemoveAll(s.folder)
}

// place moves one file to its target. With keep, a file already there is kept in the hidden
// folder.
func (s *Set) place(target string, keep bool) error {
	if keep {
		if err := os.Rename(target, s.kept(target)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	err := os.Rename(s.Path(target), target)
	if err != nil && keep {
		err = errors.Join(err, s.restore(target))
	}
	return err
}

func (s *Set) kept(target string) string { return s.Path(target) + ".old" }

// restore brings the file that was kept, if any, back to its target.
func (s *Set) restore(target string) error {
	err := os.Rename(s.kept(target), target)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	s.stranded = s.stranded || err != nil
	return err
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
