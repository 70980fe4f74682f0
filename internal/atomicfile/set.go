// Package atomicfile writes files whole or not at all. They are written, synced, in a hidden
// folder beside their places, `.NAME.tmp-RANDOM`, and renamed into these: on the same file
// system, where a rename replaces an old file in one step. A failure before that leaves the
// old file as it is, and nothing beside it; what a process that was killed leaves, the next one
// that writes beside it removes.
package atomicfile

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
)

// Set is files that come to their places together, in the folder of the path that it was made
// for. A link at such a place is replaced itself, not what it leads to: what refers to files
// beside it would look for them where the link leads.
type Set struct {
	folder  *Folder // in which the files wait under their names
	parent  string
	targets []string
	fresh   bool // whether nothing may be at the last target
}

// Beside begins a set with a hidden folder beside path.
func Beside(path string) (*Set, error) {
	parent := filepath.Dir(path)
	folder, err := MakeFolder(parent, "."+filepath.Base(path))
	if err != nil {
		return nil, err
	}
	return &Set{folder: folder, parent: parent}, nil
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
	f, err := os.OpenFile(s.Path(target), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
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

// Retarget gives the file that waits for a target another one: a name that its content decides on.
func (s *Set) Retarget(from, to string) error {
	if err := os.Rename(s.Path(from), s.Path(to)); err != nil {
		return err
	}
	s.targets[slices.Index(s.targets, from)] = to
	return nil
}

// Fresh has Commit fail, with an error that is [fs.ErrExist], where anything is at the target that was written last, and replace nothing there, whoever
// else writes meanwhile. The files wait as before then, and can be retargeted. (Where a file system has no links, somebody who writes there between
// two system calls may be missed.)
func (s *Set) Fresh() { s.fresh = true }

// Drop removes the file that waits for a target.
func (s *Set) Drop(target string) error {
	s.targets = slices.DeleteFunc(s.targets, func(t string) bool { return t == target })
	return os.Remove(s.Path(target))
}

// Path returns where the file for a target waits.
func (s *Set) Path(target string) string { return filepath.Join(s.folder.Path, filepath.Base(target)) }

// Discard removes whatever has not been committed. After Commit it does nothing.
func (s *Set) Discard() { s.folder.Remove() }

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
