package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Commit moves the files to their targets, in the order in which they were written, as CommitAll does. The last is what refers to the others, which
// have names of their own content: until it is in its place, what was there before is whole.
func (s *Set) Commit() error { return CommitAll(s) }

// CommitAll moves the files of several sets to their targets, one set after the other: all of them or, where one cannot be moved, none. Then
// those that were moved to where nothing was wait in their hidden folders again, and what others replaced is put back; until all are in their places
// it is held by links in the hidden folders. Where that cannot be, as on file systems without links, the error names what was replaced. A process that
// is killed here leaves each target as one of both.
func CommitAll(sets ...*Set) error {
	left := 0
	for _, s := range sets {
		left += len(s.targets)
	}
	var done []moved
	for _, s := range sets {
		for _, target := range s.targets {
			left--
			m, err := s.move(target, left > 0)
			if err == nil {
				done = append(done, m)
				// The others are to be there for good before what refers to them.
				err = syncFolder(s.parent)
			}
			if err != nil {
				return errors.Join(err, undo(done))
			}
		}
	}
	for _, s := range sets {
		s.Discard()
	}
	return nil
}

// moved is a file that has come to its target.
type moved struct {
	target, from string
	linked       bool   // whether it is still where it waited, too, and nothing was at the target
	fresh        bool   // whether it is not, and nothing was at the target
	old          string // what was there, "" where it could not be held
}

// move moves the file for a target; with hold, what it replaces is held.
func (s *Set) move(target string, hold bool) (moved, error) {
	m := moved{target: target, from: s.Path(target)}
	alone := s.fresh && target == s.targets[len(s.targets)-1] // where nothing may be
	if s.fresh {
		// A link is made where nothing is, or not at all; a rename would replace what came there since anybody looked.
		err := os.Link(m.from, target)
		if err == nil || alone && errors.Is(err, fs.ErrExist) {
			m.linked = err == nil
			return m, err
		}
	}
	info, err := os.Lstat(target)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		m.fresh = true
	case err == nil && alone:
		return m, fmt.Errorf("%s: %w", target, fs.ErrExist)
	case err == nil && hold:
		m.old = held(target, info, m.from+".replaced")
	}
	return m, os.Rename(m.from, target)
}

// held makes a second name of a file, or of a link another one; "" where that cannot be.
func held(path string, info fs.FileInfo, name string) string {
	if info.Mode()&fs.ModeSymlink == 0 {
		if os.Link(path, name) != nil {
			return ""
		}
		return name
	}
	to, err := os.Readlink(path)
	if err != nil || os.Symlink(to, name) != nil {
		return ""
	}
	return name
}

// undo puts back what was there before, the last first.
func undo(done []moved) error {
	var errs []error
	for i := len(done) - 1; i >= 0; i-- {
		m := done[i]
		var err error
		switch {
		case m.linked:
			if err = os.Remove(m.target); errors.Is(err, fs.ErrNotExist) {
				err = nil // another writer has cleared it away
			} else if err != nil {
				err = fmt.Errorf("%s was written, and could not be removed again: %w", m.target, err)
			}
		case m.fresh:
			if err = os.Rename(m.target, m.from); err != nil {
				err = fmt.Errorf("%s was written, and could not be removed again: %w", m.target, err)
			}
		case m.old == "":
			err = fmt.Errorf("%s was replaced, and what was there could not be held", m.target)
		default:
			_ = os.Link(m.target, m.from) // so that it waits again, as far as links go
			if err = os.Rename(m.old, m.target); err != nil {
				err = fmt.Errorf("%s was replaced, and what was there could not be put back: %w", m.target, err)
			}
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
