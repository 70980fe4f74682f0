package refit

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/onnx-compress/onnx-compress/internal/atomicfile"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// key names a value of one of the models.
type key struct {
	side  side
	value string
}

// shelf keeps the values at the current cut, for every run: in memory, and in one temporary file per value what goes
// beyond the limit. It may be used from several goroutines.
type shelf struct {
	limit  int64
	folder string

	mu      sync.Mutex
	used    int64 // bytes in memory
	filed   int64 // bytes in files
	most    int64 // largest filed ever
	entries map[key]*entry
	free    map[int][][]byte   // what forgotten tensors of each size lay in: those of the next cut mostly have the same
	spare   int64              // bytes of it
	temp    *atomicfile.Folder // in folder, nil until there is a file
}

type entry struct {
	runs map[int]place
	file *os.File
	end  int64 // of the file
}

// place is where a run's tensor is: in the tensor itself, or in the entry's file.
type place struct {
	tensor tensor.Dense
	filed  bool
	at     int64
	size   int
}

func newShelf(limit int64, folder string) *shelf {
	return &shelf{limit: limit, folder: folder, entries: map[key]*entry{}, free: map[int][][]byte{}}
}

// put keeps a copy of a tensor.
func (s *shelf) put(k key, run int, t tensor.Dense) error {
	file, at, err := s.reserve(k, run, t)
	if err != nil || file == nil {
		return err
	}
	if _, err := file.WriteAt(t.Data, at); err != nil {
		return fmt.Errorf("keeping value %q in a temporary file: %w", k.value, err)
	}
	return nil
}

// reserve keeps a tensor in memory, or finds it a place in a file.
func (s *shelf) reserve(k key, run int, t tensor.Dense) (*os.File, int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entries[k]
	if e == nil {
		e = &entry{runs: map[int]place{}}
		s.entries[k] = e
	}
	p := place{tensor: tensor.Dense{Type: t.Type, Shape: t.Shape}, size: len(t.Data)}
	if s.used+int64(len(t.Data)) <= s.limit {
		s.used += int64(len(t.Data))
		p.tensor.Data = append(s.take(len(t.Data)), t.Data...)
		e.runs[run] = p
		return nil, 0, nil
	}
	if e.file == nil {
		file, err := s.create()
		if err != nil {
			return nil, 0, fmt.Errorf("the values at a cut need more than the %d MiB of memory allowed: %w", s.limit>>20, err)
		}
		e.file = file
	}
	p.filed, p.at = true, e.end
	e.runs[run] = p
	e.end += int64(len(t.Data))
	s.filed += int64(len(t.Data))
	s.most = max(s.most, s.filed)
	return e.file, p.at, nil
}

// take returns room for so many bytes, of what is free where there is some of this size. s.mu must be held.
func (s *shelf) take(size int) []byte {
	if list := s.free[size]; len(list) > 0 {
		s.free[size] = list[:len(list)-1]
		s.spare -= int64(size)
		return list[len(list)-1][:0]
	}
	if s.used+s.spare > s.limit {
		clear(s.free)
		s.spare = 0
	}
	return make([]byte, 0, size)
}

// create makes a temporary file. s.mu must be held.
func (s *shelf) create() (*os.File, error) {
	if s.temp == nil {
		var err error
		if s.temp, err = atomicfile.MakeFolder(s.folder, "onnx-compress"); err != nil {
			return nil, err
		}
	}
	return os.CreateTemp(s.temp.Path, "values-")
}

// loan is what a run reads of the shelf. It is for one goroutine.
type loan struct {
	shelf *shelf
	run   int
	read  map[key]tensor.Dense // from files
}

func (s *shelf) loan(run int) *loan { return &loan{shelf: s, run: run, read: map[key]tensor.Dense{}} }

// get is shelf.get, and reads no file twice.
func (l *loan) get(k key) (tensor.Dense, error) {
	if t, ok := l.read[k]; ok {
		return t, nil
	}
	t, filed, err := l.shelf.get(k, l.run)
	if filed {
		l.read[k] = t
	}
	return t, err
}

// done gives back what was read from files, for what is read or put next.
func (l *loan) done() {
	s := l.shelf
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range l.read {
		if size := len(t.Data); s.used+s.spare+int64(size) <= s.limit {
			s.spare += int64(size)
			s.free[size] = append(s.free[size], t.Data)
		}
	}
}

// get returns a tensor that was put, and whether it was read from a file: else it is not to be changed, and not to be used when it is
// forgotten.
func (s *shelf) get(k key, run int) (t tensor.Dense, filed bool, err error) {
	s.mu.Lock()
	e := s.entries[k]
	if e == nil {
		s.mu.Unlock()
		return t, false, fmt.Errorf("value %q was not kept", k.value)
	}
	p, ok := e.runs[run]
	if !ok {
		s.mu.Unlock()
		return t, false, fmt.Errorf("value %q was not kept for run %d", k.value, run)
	}
	file := e.file
	if t = p.tensor; p.filed {
		t.Data = s.take(p.size)[:p.size]
	}
	s.mu.Unlock()
	if !p.filed {
		return t, false, nil
	}
	if _, err := file.ReadAt(t.Data, p.at); err != nil {
		return tensor.Dense{}, false, fmt.Errorf("reading value %q from a temporary file: %w", k.value, err)
	}
	return t, true, nil
}

func (s *shelf) has(k key) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.entries[k] != nil
}

// form returns the type of a value and what all runs' shapes have in common, with -1 for a size that differs; nil
// where they do not even have the same number of axes.
func (s *shelf) form(k key) (tensor.Type, []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var t tensor.Type
	var shape []int
	first := true
	for _, p := range s.entries[k].runs {
		t = p.tensor.Type
		switch {
		case first:
			shape = append([]int{}, p.tensor.Shape...)
			first = false
		case len(shape) != len(p.tensor.Shape):
			return t, nil
		}
		for i, n := range p.tensor.Shape {
			if shape[i] != n {
				shape[i] = -1
			}
		}
	}
	return t, shape
}

// close forgets all values.
func (s *shelf) close() {
	_ = s.sweep(func(key) bool { return false }) // of temporary files, which nothing is lost with
	s.temp.Remove()
}

// sweep forgets the values for which keep says so.
func (s *shelf) sweep(keep func(key) bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for k, e := range s.entries {
		if keep(k) {
			continue
		}
		for _, p := range e.runs {
			if !p.filed {
				s.used -= int64(p.size)
				s.spare += int64(p.size)
				s.free[p.size] = append(s.free[p.size], p.tensor.Data)
			}
		}
		if e.file != nil {
			s.filed -= e.end
			errs = append(errs, e.file.Close(), os.Remove(e.file.Name()))
		}
		delete(s.entries, k)
	}
	return errors.Join(errs...)
}
