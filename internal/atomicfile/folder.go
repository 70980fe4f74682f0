package atomicfile

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
)

// Folder is a hidden or temporary folder of this process. A file in it is locked: when the lock is free its owner is dead, and
// whoever makes the next folder beside it removes it.
type Folder struct {
	Path string
	root *os.Root
	lock *os.File
}

// lockName is the file that an owner has locked.
const lockName = ".onnx-compress.lock"

// ours are the names of such folders.
var ours = regexp.MustCompile(`\.tmp-[A-Z2-7]{12}$`)

// MakeFolder makes the folder NAME.tmp-RANDOM in another one, "" for the system's temporary one, and removes those there that
// dead processes left.
func MakeFolder(in, name string) (*Folder, error) {
	if in == "" {
		in = os.TempDir()
	}
	sweep(in)
	for range 100 {
		path := filepath.Join(in, name+".tmp-"+rand.Text()[:12])
		if err := os.Mkdir(path, 0o700); err != nil {
			return nil, err
		}
		f, state, err := claim(path, os.O_CREATE)
		if err == nil && state != taken {
			return f, nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, errors.Join(err, os.Remove(path))
		}
		// Somebody took it for a left-over before it was locked.
	}
	return nil, fmt.Errorf("the folders that are made in %s go at once", in)
}

// claimed says how it is with a lock.
type claimed int

const (
	locked claimed = iota
	taken          // another process has it, or had it and removed the folder
	unlockable
)

// claim opens a folder and locks it. What is done in it then is done in the folder that was opened, also where
// somebody puts a link in its place.
func claim(path string, flag int) (*Folder, claimed, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, taken, err
	}
	named, err := os.Lstat(path)
	if err != nil {
		return nil, taken, errors.Join(err, root.Close())
	}
	if opened, err := root.Stat("."); err != nil || !os.SameFile(named, opened) {
		return nil, taken, root.Close()
	}
	lock, err := root.OpenFile(lockName, os.O_WRONLY|flag, 0o600)
	if err != nil {
		return nil, taken, errors.Join(err, root.Close())
	}
	f := &Folder{path, root, lock}
	ok, busy := tryLock(lock)
	if now, err := root.Stat(lockName); err != nil || busy {
		return nil, taken, f.close()
	} else if mine, err := lock.Stat(); err != nil || !os.SameFile(now, mine) {
		return nil, taken, f.close()
	}
	if !ok {
		return f, unlockable, nil
	}
	return f, locked, nil
}

func (f *Folder) close() error { return errors.Join(f.lock.Close(), f.root.Close()) }

// Remove removes the folder with all that is in it. What cannot be removed is no reason to fail. Removing it again does nothing.
func (f *Folder) Remove() {
	if f == nil || f.lock == nil {
		return
	}
	if dir, err := f.root.Open("."); err == nil {
		names, _ := dir.Readdirnames(-1)
		_ = dir.Close()
		for _, name := range names {
			if name != lockName { // which goes last: until then the folder has an owner
				_ = f.root.RemoveAll(name)
			}
		}
	}
	// The lock's file goes while it is locked: whoever waits for it to take the folder for his own then finds that it is not there.
	err := f.root.Remove(lockName)
	_ = f.lock.Close()
	if err != nil {
		_ = f.root.Remove(lockName) // on Windows an open file stays
	}
	_ = f.root.Close()
	_ = os.Remove(f.Path)
	f.lock = nil
}

// sweep removes the folders in another one whose owners are dead.
func sweep(in string) {
	entries, err := os.ReadDir(in)
	if err != nil {
		return
	}
	for _, e := range entries {
		if !e.IsDir() || !ours.MatchString(e.Name()) {
			continue
		}
		path := filepath.Join(in, e.Name())
		f, state, err := claim(path, 0)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			_ = os.Remove(path) // its owner died before it made the lock: there is nothing in it, or else this does nothing
		case err == nil && state == locked:
			f.Remove()
		case f != nil:
			_ = f.close()
		}
	}
}
